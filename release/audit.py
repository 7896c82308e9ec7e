"""Tells which pinned packages have known vulnerabilities, and which could not be looked up.

pip-audit does the looking up. It calls a package that the database does not answer for "skipped",
and then reports that no vulnerabilities are known and exits with 0; here that is a failure, as a
mirror of PyPI that has the packages need not have the database.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
PIP_AUDIT = (sys.executable, "-m", "uv", "tool", "run", "--quiet", "pip-audit")

CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 2
"""What the command exits with."""


def pins(constraints: str) -> list[list[str]]:
    """Return the pins of all systems and Pythons, in lists with one version of a package each."""
    lists: list[dict[str, str]] = []
    for line in constraints.splitlines():
        pin = line.partition(" ;")[0]
        name, is_pin, _ = pin.partition("==")
        if not is_pin:
            continue
        place = next((each for each in lists if name not in each), None)
        if place is None:
            lists.append(place := {})
        place[name] = pin
    return [list(each.values()) for each in lists]


def audited(asked: Sequence[str], command: Sequence[str] = PIP_AUDIT) -> list[dict[str, Any]]:
    """Return what pip-audit says of each pin; one that it says nothing of is skipped."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, told = Path(folder) / "pins.txt", Path(folder) / "told.json"
        wanted.write_text("\n".join(asked), "utf-8")
        options = [
            "--requirement",
            str(wanted),
            "--no-deps",
            "--disable-pip",
            "--progress-spinner=off",
        ]
        ran = subprocess.run(  # noqa: S603 - our own command
            [*command, *options, "--format=json", "--output", told],
            check=False,
            capture_output=True,
            text=True,
        )
        found = json.loads(told.read_text("utf-8"))["dependencies"] if told.exists() else []
    names = {each["name"] for each in found}
    last = (ran.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    missing = [pin for pin in asked if pin.partition("==")[0] not in names]
    return [*found, *({"name": pin, "skip_reason": last} for pin in missing)]


def report(found: Sequence[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit code, and what a person is told."""
    skipped = [each for each in found if "skip_reason" in each]
    lines = list(_vulnerable(found))
    counted = f"{len(found) - len(skipped)} of {len(found)} pinned packages were looked up"
    if skipped:
        reason = skipped[0]["skip_reason"]
        told = (
            f"NOT AUDITED: only {counted}; of others the database told nothing ({reason})."
            " Run it where PyPI itself is reached."
        )
        return VULNERABLE if lines else NOT_AUDITED, [*lines, told]
    known = f"{len(lines)} known vulnerabilities" if lines else "no known vulnerability"
    return VULNERABLE if lines else CLEAN, [*lines, f"{counted}: {known}"]


def _vulnerable(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    for each in found:
        for one in each.get("vulns", ()):
            fixed = ", ".join(one["fix_versions"]) or "no version yet"
            yield f"{each['name']} {each['version']}: {one['id']}, mended in {fixed}"


def main() -> None:
    """Look up all pins, print what was found, and exit with what came of it."""
    found = [one for asked in pins(CONSTRAINTS.read_text("utf-8")) for one in audited(asked)]
    code, lines = report(found)
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    sys.exit(code)


if __name__ == "__main__":
    main()
