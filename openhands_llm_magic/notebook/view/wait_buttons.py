"""The buttons of a wait, in the output of the very cell that waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
from traitlets import Bool, Unicode

if TYPE_CHECKING:
    from collections.abc import Callable


class WaitButtons(anywidget.AnyWidget):
    """A wait with the buttons "Retry now" and "Stop".

    Its front end tells that it is there as soon as it is made, shown or not. When that arrives
    while the cell runs, on a thread of a subshell, clicks will arrive, too.

    Callbacks run on that thread.

    Args:
        on_now: Called when the wait is to end.
        on_stop: Called when the request is to end; never once the buttons are closed.

    Attributes:
        html: What is shown above the buttons, safe to show.
        now_text: What the first button says.
        waiting: Whether the first button does anything.
        heard: Whether clicks get through.
    """

    _esm = Path(__file__).with_name("wait_buttons.js")

    html = Unicode().tag(sync=True)
    now_text = Unicode("Retry now").tag(sync=True)
    waiting = Bool(default_value=True).tag(sync=True)

    def __init__(self, on_now: Callable[[], None], on_stop: Callable[[], None]) -> None:
        self.heard = False
        self._on_now = on_now
        self._on_stop = on_stop
        self._closing = threading.Lock()
        super().__init__()
        self.on_msg(self._receive)
        _let_through(self.comm, self._handle_msg)

    @property
    def view(self) -> dict[str, Any]:
        """What an output shows it by."""
        return {"version_major": 2, "version_minor": 0, "model_id": self.model_id}

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


def _let_through(comm: Any, handle: Callable[[dict[str, Any]], None]) -> None:
    """Let the messages of a comm through while a cell runs, as they are."""
    # Not as `comm` does it, with the session's `post_execute` hooks before and after, on this
    # thread: they would show the figures of a cell that has not finished drawing them.
    comm.handle_msg = handle
    # ipykernel 7.4 sends messages to the thread that the comm was last used on: the busy one.
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, subshell_id: subshell_id  # noqa: SLF001 - guarded


def _nothing() -> None:
    """Do nothing, as the request has ended."""
