"""The buttons of a wait, in the output of the very cell that waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
from traitlets import Bool, Unicode

from openhands_llm_magic.notebook.route import route_as_sent

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
        route_as_sent(self)

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


def _nothing() -> None:
    """Do nothing, as the request has ended."""
