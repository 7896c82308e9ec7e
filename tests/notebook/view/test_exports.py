"""What nbconvert makes of the answers in a saved notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook.view.display import bundle

pytest.importorskip("nbconvert", reason="it comes with JupyterLab")

EXAMPLE = Path(__file__).parents[3] / "jupyter-config" / "jupyter_nbconvert_config.json"
"""To be copied to ~/.jupyter."""

ANSWER = "# So\n\n```python\nif x < 1: pass\n```\n\n- [x] *done*"


def exported(folder: Path, form: str) -> str:
    """Return what nbconvert makes of a notebook with an answer and a table of other HTML."""
    shown = bundle(Reply(ANSWER, finish_reason="stop"))
    table = {"text/html": "<table>x</table>", "text/plain": "x"}
    outputs = [new_output("display_data", data=data) for data in (shown, table)]
    notebook = new_notebook(cells=[new_code_cell("%llm Hi", outputs=outputs)])
    nbformat.write(notebook, folder / "it.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", form, "--stdout", "it.ipynb"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    return ran.stdout


@pytest.mark.slow  # nbconvert takes seconds
def test_in_html_code_is_that_of_a_markdown_cell(tmp_path: Path) -> None:
    """Its style sheet has a fixed-width font for code alone."""
    page = exported(tmp_path, "html")
    assert '<pre><code><span class="k">if</span>' in page


def test_in_markdown_an_answer_is_markdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the example in the folder of Jupyter's configuration."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(EXAMPLE.parent))
    text = exported(tmp_path, "markdown")
    assert ANSWER in text
    assert "llm-reply" not in text
    assert "<table>x</table>" in text
