"""On which thread a kernel with subshells takes the messages of a widget."""

from __future__ import annotations

from typing import Any


def route_as_sent(widget: Any) -> None:
    """Take a widget's messages where the front end sends them: past a running cell, and in order.

    ipykernel 7.4 sends those of each widget to the thread that it was last used on: the one that
    runs a cell, or another one than its neighbour's, whose click then overtakes the text that was
    typed before it.
    """
    # Not as `comm` does it, with the session's `post_execute` hooks before and after, on this
    # thread: they would show the figures of a cell that has not finished drawing them.
    widget.comm.handle_msg = widget._handle_msg  # noqa: SLF001 - what ipywidgets gives to the comm
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _as_sent  # noqa: SLF001 - guarded; there is no public way


def _as_sent(_data: object, subshell_id: str | None) -> str | None:
    return subshell_id
