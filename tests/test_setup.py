"""What a person meets first: the demo, and the example profile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
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
