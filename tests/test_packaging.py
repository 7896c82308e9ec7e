"""What is shipped, and what an installation pins."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.build import build_wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
PYTHONS = [
    name.rpartition(" ")[2]
    for name in PROJECT["classifiers"]
    if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", name)
]
PINS = [
    line
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
AUDIT = runpy.run_path(str(ROOT / "release" / "audit.py"))
MACHINES = [
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
]


def pinned_on(python: str, machine: dict[str, str]) -> list[str]:
    """Return the name of each package that is pinned there, once for each pin that applies."""
    version = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    pins = map(Requirement, PINS)
    there = [pin for pin in pins if not pin.marker or pin.marker.evaluate({**version, **machine})]
    return [canonicalize_name(pin.name) for pin in there]


def test_constraints_hold_on_any_machine() -> None:
    """Each is a name, a version and perhaps a marker: no index address, no path, no option."""
    pin = r"[\w.-]+==[\w.]+( ; [\w. '<>=!()]+)?"

    assert [line for line in PINS if not re.fullmatch(pin, line)] == []


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine["platform_machine"])
@pytest.mark.parametrize("python", ["3.11.0", "3.11.2", *(f"{each}.8" for each in PYTHONS)])
def test_every_declared_dependency_is_pinned_once_on_every_promised_python(
    python: str, machine: dict[str, str]
) -> None:
    """`make test-pins` proves the same of what these depend on, which takes an index."""
    declared = [
        *PYPROJECT["build-system"]["requires"],
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
    pinned = pinned_on(python, machine)

    assert len(set(pinned)) == len(pinned), "two pins of a package apply"
    missing = {canonicalize_name(Requirement(one).name) for one in declared} - set(pinned)
    assert missing == {PROJECT["name"]}, "run `make constraints`"


def test_what_runs_has_hashes_and_the_same_pins() -> None:
    """`pip install --require-hashes -r requirements.txt` takes no file but one of these."""
    text = (ROOT / "requirements.txt").read_text("utf-8").replace(" \\\n", "")
    lines = [line.split("    --hash=") for line in text.splitlines() if not line.startswith("#")]
    versions = {pin.partition(" ;")[0] for pin in PINS}
    named = {canonicalize_name(Requirement(pin).name) for pin, *_ in lines}
    declared = {canonicalize_name(Requirement(one).name) for one in PROJECT["dependencies"]}

    assert {pin.partition(" ;")[0] for pin, *_ in lines} - versions == set()
    for pin, *hashes in lines:
        assert hashes, pin
        assert [each for each in hashes if not re.fullmatch("sha256:[0-9a-f]{64}", each)] == []
    assert declared - named == set(), "run `make constraints`"


def test_the_bill_of_materials_names_every_pin(tmp_path: Path) -> None:
    """Those that run are required and have hashes; the same pins give the same file."""
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    for file in files:
        subprocess.run([sys.executable, ROOT / "release" / "sbom.py", file], check=True)  # noqa: S603 - our own script
    one, other = (file.read_bytes() for file in files)
    told = json.loads(one)
    parts = told["components"]
    pinned = {(pin.name, next(iter(pin.specifier)).version) for pin in map(Requirement, PINS)}
    required = [each for each in parts if each["scope"] == "required"]

    assert one == other
    assert {(each["name"], each["version"]) for each in parts} == pinned
    assert len(parts) == len(pinned)
    assert all(each["externalReferences"][0]["hashes"] for each in required)
    assert told["metadata"]["component"]["version"] == PROJECT["version"]
    (own,) = told["dependencies"]
    needed = {each["name"] for each in required if each["purl"] in own["dependsOn"]}
    assert needed == {Requirement(one).name for one in PROJECT["dependencies"]}


def told_by_audit(tmp_path: Path, script: str) -> tuple[int, list[str]]:
    """Return what the audit says of three pins with another program in pip-audit's place."""
    program = tmp_path / "pip_audit.py"
    head = "import json, sys\nargs = sys.argv\nout = args[args.index('--output') + 1]\n"
    program.write_text(head + script)
    pins = AUDIT["pins"]("a==1\nb==2 ; python_full_version < '3.11.5'\nb==3\n# note\n")
    assert pins == [["a==1", "b==2"], ["b==3"]]
    found = [
        one for asked in pins for one in AUDIT["audited"](asked, [sys.executable, str(program)])
    ]
    told: tuple[int, list[str]] = AUDIT["report"](found)
    return told


@pytest.mark.parametrize(
    ("entry", "code", "told"),
    [
        ("'vulns': []", 0, "3 of 3 pinned packages were looked up: no known vulnerability"),
        (
            "'vulns': [{'id': 'CVE-1', 'fix_versions': ['9.1']}] if name == 'a' else []",
            1,
            "a 1: CVE-1, mended in 9.1",
        ),
        (
            "**({'vulns': []} if name == 'a' else {'skip_reason': 'not found on PyPI'})",
            2,
            "NOT AUDITED: only 1 of 3 pinned packages were looked up",
        ),
    ],
)
def test_the_audit_tells_what_is_known_and_what_is_not(
    tmp_path: Path, entry: str, code: int, told: str
) -> None:
    """pip-audit itself calls packages clean that the database did not answer for."""
    found, lines = told_by_audit(
        tmp_path,
        "lines = open(args[args.index('--requirement') + 1]).read().split()\n"
        "pairs = [line.split('==') for line in lines]\n"
        f"told = [{{'name': name, 'version': version, {entry}}} for name, version in pairs]\n"
        "json.dump({'dependencies': told}, open(out, 'w'))\n",
    )
    assert (found, lines[0][: len(told)]) == (code, told)


def test_an_audit_without_a_network_fails_and_says_why(tmp_path: Path) -> None:
    code, lines = told_by_audit(tmp_path, "sys.exit('no route to api.example')\n")
    assert code == 2
    assert "only 0 of 3" in lines[0]
    assert "(no route to api.example)" in lines[0]


def test_the_same_pythons_are_promised_everywhere() -> None:
    readme, makefile = ((ROOT / each).read_text("utf-8") for each in ("README.md", "Makefile"))
    tried = re.search(r"^PYTHONS := (.*)$", makefile, re.MULTILINE)

    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == PYTHONS[0]
    assert tried
    assert [".".join(each.split(".")[:2]) for each in tried[1].split()] == PYTHONS
    assert f"Python {', '.join(PYTHONS[:-1])} or {PYTHONS[-1]}" in readme


def test_the_version_stands_in_one_place() -> None:
    modules = (ROOT / "openhands_llm_magic").rglob("*.py")

    assert [m for m in modules if PROJECT["version"] in m.read_text("utf-8")] == []


def test_the_wheel_holds_the_package_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    wheel = ZipFile(tmp_path / build_wheel(str(tmp_path)))
    top_level = {name.split("/")[0] for name in wheel.namelist()}
    dist_info = f"openhands_llm_magic-{PROJECT['version']}.dist-info"
    metadata = Parser().parsestr(wheel.read(f"{dist_info}/METADATA").decode())

    assert top_level == {"openhands_llm_magic", dist_info}
    assert {name for name in wheel.namelist() if not name.startswith(dist_info)} == {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "openhands_llm_magic").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{dist_info}/licenses/LICENSE" in wheel.namelist()
    assert metadata["Version"] == PROJECT["version"]
