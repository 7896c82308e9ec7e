"""Answers as Markdown in what `jupyter nbconvert --to markdown` writes.

It takes the HTML of an output before anything else, and a notebook's file must not hold a model's
Markdown as such: a trusted notebook would run what is in it. Of the file that is exported, this
makes a copy that does.
"""

from __future__ import annotations

from typing import Any

from openhands_llm_magic.notebook.view.sanitize import CLASS_OF_ANSWER


def answers_as_markdown(notebook: Any, resources: Any) -> tuple[Any, Any]:
    """Put the Markdown of each answer in the place of its HTML: a preprocessor of nbconvert.

    Args:
        notebook: The notebook, as nbformat has it; it is changed.
        resources: What else nbconvert knows.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if CLASS_OF_ANSWER in data.get("text/html", "") and "text/plain" in data:
                del data["text/html"]
                data["text/markdown"] = data.pop("text/plain")
    return notebook, resources
