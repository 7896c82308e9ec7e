"""The cells of a guide to a provider, run in a kernel as a person runs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDES = Path(__file__).parents[1] / "notebooks" / "providers"


def run(guide: str, variables: Mapping[str, str], folder: Path) -> list[tuple[str, str]]:
    """Run the cells of a guide; return each with the text that it shows.

    A cell fails only where the guide expects it to.

    Args:
        guide: The notebook's name.
        variables: What was set before Jupyter starts.
        folder: Where the home folder is to be, of a person who has nothing else.
    """
    home = folder / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LLM_MAGIC_FOOTER": "on", **variables}
    cells = nbformat.read(GUIDES / f"{guide}.ipynb", as_version=4).cells
    shown = []
    with Kernel(env, cwd=str(home)) as kernel:
        for cell in cells:
            if cell.cell_type != "code":
                continue
            ran = kernel.run(cell.source)
            may_fail = "raises-exception" in cell.metadata.get("tags", ())
            assert ran.error is None or may_fail, ran.error
            outputs = [output.get("text/plain", "") for output in ran.outputs]
            shown.append((cell.source, "\n".join([ran.stdout, *outputs])))
    return shown


def shown_by(word: str, shown: list[tuple[str, str]]) -> list[str]:
    """Return what those cells show that have a line that begins with a word."""
    return [
        text for source, text in shown if any(line.startswith(word) for line in source.splitlines())
    ]
