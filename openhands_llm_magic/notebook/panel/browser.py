"""What only the browser can do for the panel: copy a text, and keep the keyboard to itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anywidget

if TYPE_CHECKING:
    from collections.abc import Callable


class FrontEnd(anywidget.AnyWidget):
    """An invisible widget.

    Inside the panel it keeps letters typed on a list or a button from the notebook, which would
    take them for its shortcuts and insert or delete cells. Every browser window that shows the
    notebook tries to copy, and the one in front succeeds.

    Args:
        on_copied: Called with whether a copy worked. True may follow False, when a window in the
            background answers first. Without a front end it is never called.
    """

    _esm = Path(__file__).with_name("browser.js")

    def __init__(self, on_copied: Callable[[bool], None]) -> None:
        super().__init__(layout={"display": "none"})
        self._on_copied = on_copied
        self._copies = 0
        self._worked: bool | None = None
        self.on_msg(self._receive)

    def copy(self, text: str) -> None:
        """Ask the browser to copy a text; it goes as a message, no trait holds it."""
        self._copies += 1
        self._worked = None
        self.send({"type": "copy", "copy": self._copies, "text": text})

    def _receive(self, _front_end: object, content: dict[str, object], _buffers: object) -> None:
        """Pass on what a window answers, unless it is about an earlier copy or nothing new."""
        match content:
            case {"type": "copied", "copy": self._copies, "ok": bool(ok)}:
                if self._worked is not True and ok is not self._worked:
                    self._worked = ok
                    self._on_copied(ok)
