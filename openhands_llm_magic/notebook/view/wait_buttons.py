"""The buttons of a request, and on which thread a kernel takes the messages of a widget."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
from traitlets import Bool, Unicode

if TYPE_CHECKING:
    from collections.abc import Callable


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


class WaitButtons(anywidget.AnyWidget):
    """The button "Stop", and in a wait one that ends it.

    No output shows them, as it would be saved with the notebook: their front end puts them below
    the outputs of the cell in which it finds the element with their `marker`. It tells that it
    has, before they can be seen. When that arrives while the cell runs, on a thread of a subshell,
    clicks will arrive, too.

    Callbacks run on that thread.

    Args:
        on_now: Called when the wait is to end.
        on_stop: Called when the request is to end; never once the buttons are closed.
        stop_text: What the button says for that.

    Attributes:
        marker: The class of that element.
        is_shown: Whether the buttons can be seen.
        now_text: What the first button says, or "" for no such button.
        heard: Whether clicks get through.
    """

    _esm = Path(__file__).with_name("wait_buttons.js")

    marker = Unicode().tag(sync=True)
    is_shown = Bool(default_value=False).tag(sync=True)
    now_text = Unicode().tag(sync=True)
    stop_text = Unicode().tag(sync=True)

    def __init__(
        self, on_now: Callable[[], None], on_stop: Callable[[], None], stop_text: str = "Stop"
    ) -> None:
        self.heard = False
        self._on_now = on_now
        self._on_stop = on_stop
        self._closing = threading.Lock()
        super().__init__(marker=f"llm-wait-{uuid4()}", stop_text=stop_text)
        self.on_msg(self._receive)
        route_as_sent(self)

    def show(self, now_text: str) -> None:
        """Show the buttons."""
        with self.hold_sync():
            self.is_shown, self.now_text = True, now_text

    def close(self) -> None:
        """Leave nothing of it, neither here nor in what a front end saves of its widgets."""
        with self._closing:
            self._on_stop = _nothing
        self.layout.close()
        super().close()

    def _receive(self, _buttons: object, content: object, _buffers: object) -> None:
        match content:
            case {"type": "here"}:
                self.heard = True
            case {"type": "now"}:
                self._on_now()
            case {"type": "stop"}:
                with self._closing:
                    self._on_stop()


def _nothing() -> None:
    """Do nothing, as the request has ended."""
