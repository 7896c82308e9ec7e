"""Who watches a cell: a live notebook, a terminal, or nobody."""

from __future__ import annotations

import os
from typing import Any, Literal

from openhands_llm_magic.config.resolve import DISPLAY_VARIABLE
from openhands_llm_magic.errors import UsageError

FrontEnd = Literal["live", "final", "terminal"]


def front_end(shell: Any) -> FrontEnd:
    """Tell who watches the cell that runs now; `LLM_MAGIC_DISPLAY` has the last word."""
    chosen = os.environ.get(DISPLAY_VARIABLE, "")
    match chosen:
        case "live" | "final" | "terminal":
            return chosen
        case "":
            pass
        case _:
            raise UsageError(f"{DISPLAY_VARIABLE} takes live, final or terminal, not {chosen!r}.")
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "terminal"
    request = kernel.get_parent("shell")
    if "cellId" in request.get("metadata", {}):
        return "live"
    # jupyter_console, which drops updates of an output, allows stdin; nbclient and nbval do not.
    return "terminal" if request.get("content", {}).get("allow_stdin") else "final"
