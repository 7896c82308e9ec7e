"""What is shipped, and what an installation pins."""

from __future__ import annotations

import re
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
