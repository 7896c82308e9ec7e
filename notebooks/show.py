"""Run a notebook for real and print it as text: `python show.py [--save] NOTEBOOK`.

`make demo` uses it, and `make notebooks`, which saves what the cells show. A cell that fails ends
it with exit status 1, unless the cell is tagged `raises-exception`, as in nbclient and nbval.
"""

from __future__ import annotations

import argparse
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 120
"""Seconds that one cell may take."""


def as_text(output: Mapping[str, Any]) -> str:
    """Give what a terminal can show of one cell output."""
    match output:
        case {"output_type": "stream", "text": text}:
            return str(text).rstrip("\n")
        case {"output_type": "error", "ename": name, "evalue": message}:
            return f"{name}: {message}"
        case {"data": {"text/plain": text}}:
            return str(text)
        case _:
            return ""


def show(path: Path, *, save: bool = False) -> None:
    """Run the notebook in this Python's own kernel and print each cell as it goes.

    Args:
        path: The notebook.
        save: Whether to save it with its new outputs.

    Raises:
        CellExecutionError: A cell failed; the cells after it were not run.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=TIMEOUT_S,
        record_timing=False,
        store_widget_state=False,  # of a panel that nobody looks at
        extra_arguments=["--log-level=ERROR"],  # ipykernel warns of its own, local, TCP
        resources={"metadata": {"path": str(path.parent)}},
    )
    numbers = count(1)
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                prompt = f"In [{next(numbers)}]: "
                continuation = "\n" + "...: ".rjust(len(prompt))
                print(prompt + cell.source.replace("\n", continuation), flush=True)
                client.execute_cell(cell, index)
                print("\n".join(filter(None, map(as_text, cell.outputs))) + "\n", flush=True)
            else:
                print(cell.source + "\n")
    if save:
        notebook.metadata["language_info"] = {"name": "python"}  # without this machine's version
        nbformat.write(notebook, path)


def main() -> None:
    """Show the notebook that the command line names."""
    parser = argparse.ArgumentParser(description="Run a notebook and print it.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--save", action="store_true", help="save the outputs")
    options = parser.parse_args()
    try:
        show(options.notebook, save=options.save)
    except CellExecutionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
