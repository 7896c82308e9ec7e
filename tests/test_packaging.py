"""What is shipped, and what an installation pins."""

from __future__ import annotations

import re
import tomllib
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

from hatchling.build import build_wheel

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
PINS = [
    line
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]


def normalized(requirement: str) -> str:
    """Give the name in a requirement, in the one spelling of PEP 503."""
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_hold_on_any_machine() -> None:
    """Each is a name and a version: no index address, no path, no option."""
    assert [pin for pin in PINS if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []


def test_every_declared_dependency_is_pinned() -> None:
    declared = [
        *PYPROJECT["build-system"]["requires"],
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
    missing = {normalized(one) for one in declared} - {normalized(pin) for pin in PINS}

    assert missing == {PROJECT["name"]}, "run `make constraints`"


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
