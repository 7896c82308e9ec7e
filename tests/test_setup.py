"""What a person meets first: the demo, and the example profile."""

from __future__ import annotations

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
