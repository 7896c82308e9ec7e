"""What a person meets first: make, the demo, and the example profile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]


def test_the_demo_prints_what_the_cells_show_and_stops_at_an_error(tmp_path: Path) -> None:
    """An expected error is printed as one line; an unexpected one fails the command."""
    expected_error = new_code_cell("int('x')", metadata={"tags": ["raises-exception"]})
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("print('out')\n6 * 7"),
        expected_error,
        new_code_cell("1 / 0"),
        new_code_cell("print('not' + ' reached')"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "demo.ipynb")

    demo = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, ROOT / "notebooks" / "show.py", tmp_path / "demo.ipynb"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert demo.returncode == 1
    assert "# Title\n\nIn [1]: print('out')\n   ...: 6 * 7\nout\n42\n" in demo.stdout
    assert "\nValueError: invalid literal for int() with base 10: 'x'\n" in demo.stdout
    assert "ZeroDivisionError" in demo.stderr
    assert "not reached" not in demo.stdout


def test_the_example_profile_loads_the_extension_and_sets_its_settings(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    shutil.copy(ROOT / "jupyter-config" / "ipython_config.py", profile)

    ask = ["--profile-dir", str(profile), "-c", "%config LLMSettings.num_retries"]
    ipython = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "IPython", *ask], check=False, capture_output=True, text=True
    )

    assert ipython.stdout.split()[-1:] == ["6"], ipython.stderr


def make_commands(folder: Path, commands: dict[str, str]) -> None:
    """Write shell commands of one line each into a folder."""
    folder.mkdir()
    for name, line in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("there", "status", "told", "installed"),
    [
        pytest.param({"chromium": ":", "fc-list": "echo font"}, 0, [], [], id="all there"),
        pytest.param({}, 1, ["chromium fontconfig fonts-ipafont-gothic"], [], id="no apt-get"),
        pytest.param(
            {"apt-get": "echo $* >> log", "id": "echo 1000", "fc-list": "echo font"},
            1,
            ["chromium"],
            [],
            id="not root",
        ),
        pytest.param(
            {"apt-get": "echo $* >> log", "id": "echo 0", "chromium-browser": ":", "fc-list": ":"},
            0,
            [],
            ["update", "install -y --no-install-recommends fontconfig fonts-ipafont-gothic"],
            id="root",
        ),
    ],
)
def test_what_the_browser_tests_need_is_installed_or_named_in_one_line(
    tmp_path: Path, there: dict[str, str], status: int, told: list[str], installed: list[str]
) -> None:
    make_commands(tmp_path / "bin", there)
    log = tmp_path / "log"
    log.touch()

    script = subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", ROOT / "tests" / "browser" / "chromium.sh"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": str(tmp_path / "bin")},
    )

    assert script.returncode == status
    assert [line.partition("apt-get install ")[2] for line in script.stderr.splitlines()] == told
    assert log.read_text().splitlines() == installed


def make(*words: str, check: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in the clone, with more variables, and without what a make around us has set."""
    return subprocess.run(  # noqa: S603 - our own Makefile
        [str(shutil.which("make")), *words],
        check=check,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={name: os.environ[name] for name in os.environ if "MAKE" not in name} | environment,
    )


def test_make_describes_every_target_that_people_and_ci_are_told_of(tmp_path: Path) -> None:
    described = re.findall(r"^make ([a-z-]+) +\S", make("help", check=True).stdout, re.MULTILINE)
    texts = [ROOT / ".ci" / "run", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    told = {
        name
        for text in texts
        for name in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", text.read_text("utf-8"), re.MULTILINE)
    }

    assert told - set(described) == set()
    for target in described:  # what each would run is known, down to the last file
        make("--dry-run", target, f"VENV={tmp_path}/venv", check=True)


@pytest.mark.parametrize(
    ("python", "told"),
    [
        pytest.param("exit 1", "is not Python 3.11 or newer", id="too old"),
        pytest.param(
            "case $2 in *print*) echo python3.12-venv;; *ensurepip*) exit 1;; esac",
            "apt-get install python3.12-venv",
            id="Debian without venv",
        ),
    ],
)
def test_a_python_that_will_not_do_is_named_in_one_line(
    tmp_path: Path, python: str, told: str
) -> None:
    make_commands(tmp_path / "bin", {"python": python})

    made = make("demo", f"PYTHON={tmp_path}/bin/python", f"VENV={tmp_path}/venv")

    assert told in made.stderr.splitlines()[0]
    assert not (tmp_path / "venv").exists()


def environment_of(folder: Path, python: str) -> None:
    """Make a folder look like an environment whose Python answers questions with a line of shell.

    What is asked of it with `-c` goes to that line; all else is logged.
    """
    log = f'echo "$*|$PYTHONPATH|$LC_ALL|$PIP_USER" >> {folder}/log'
    folder.mkdir()
    (folder / "pyvenv.cfg").touch()
    make_commands(folder / "bin", {"python": f'if [ "$1" = -c ]; then {python}; else {log}; fi'})


def test_an_environment_is_installed_once_and_again_where_it_was_moved(tmp_path: Path) -> None:
    """Nothing of the caller's shell reaches its Python."""
    venv = tmp_path / "venv"
    environment_of(venv, f"cat {tmp_path}/place")
    shell = {"PYTHONPATH": "/opt/ros", "LC_ALL": "C", "PIP_USER": "1", "VENV": str(venv)}
    installed = []

    for place in ("here", "here", "there"):
        (tmp_path / "place").write_text(place)
        (venv / "log").write_text("")
        make("demo", check=True, **shell)
        installed.append(
            [line for line in (venv / "log").read_text().splitlines() if "pip" in line]
        )

    pip = "-m pip install --quiet --disable-pip-version-check -c constraints.txt -e .[demo]|||0"
    assert installed == [[pip], [], [pip]]


def test_an_environment_without_pip_or_python_is_named_in_one_line(tmp_path: Path) -> None:
    """As uv makes them, or as an upgrade of the system's Python leaves them."""
    environment_of(tmp_path / "venv", "exit 1")

    made = make("demo", f"VENV={tmp_path}/venv")

    assert "or was made without pip: run `make clean`" in made.stderr.splitlines()[0]
    assert not (tmp_path / "venv" / "log").exists()
