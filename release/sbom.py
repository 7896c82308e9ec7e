"""Writes the software bill of materials of a release: CycloneDX 1.6 as JSON, from what is pinned.

What the package needs to run (requirements.txt) is "required" and has the hashes of its files; what
its extras, tests and tools need besides (constraints.txt) is "excluded", as it is not shipped. The
same pins give the same file, to the byte.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]*[^\\\s]))?"
    r"(?P<hashes>(?: \\\n    --hash=\S+)*)$",
    re.MULTILINE,
)


def components(text: str, scope: str) -> dict[str, dict[str, Any]]:
    """Return the packages that a file of pins names, by their package URLs."""
    found: dict[str, dict[str, Any]] = {}
    for name, version, marker, hashes in PIN.findall(text):
        url = f"pkg:pypi/{canonicalize_name(name)}@{version}"
        one: dict[str, Any] = {
            "type": "library",
            "bom-ref": url,
            "name": name,
            "version": version,
            "scope": scope,
            "purl": url,
        }
        if marker:
            one["properties"] = [{"name": "python:marker", "value": marker}]
        if files := re.findall("sha256:([0-9a-f]{64})", hashes):
            # One package has many files, for Pythons and machines; any of them may be installed.
            one["externalReferences"] = [
                {
                    "type": "distribution",
                    "url": f"https://pypi.org/project/{name}/{version}/",
                    "hashes": [{"alg": "SHA-256", "content": each} for each in files],
                }
            ]
        found[url] = one
    return found


def sbom(project: dict[str, Any], requirements: str, constraints: str) -> dict[str, Any]:
    """Return the bill of materials.

    Args:
        project: The table `[project]` of pyproject.toml.
        requirements: The text of requirements.txt.
        constraints: The text of constraints.txt.
    """
    parts = components(constraints, "excluded") | components(requirements, "required")
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    direct = {canonicalize_name(Requirement(each).name) for each in project["dependencies"]}
    needed = [url for url, one in parts.items() if canonicalize_name(one["name"]) in direct]
    body = {
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": own,
            }
        },
        "components": [parts[url] for url in sorted(parts)],
        "dependencies": [{"ref": own, "dependsOn": sorted(needed)}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}"}
    return {**head, "version": 1, **body}


def main() -> None:
    """Write it into the file that is named."""
    pins = [(ROOT / name).read_text("utf-8") for name in ("requirements.txt", "constraints.txt")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    made = sbom(project, *pins)
    Path(sys.argv[1]).write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
