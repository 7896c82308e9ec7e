"""The live area: one output that is updated in place while an answer arrives."""

from __future__ import annotations

import contextvars
import json
import re
import threading
from typing import TYPE_CHECKING

from IPython.display import display

from openhands_llm_magic.llm.events import (
    Correcting,
    Event,
    Held,
    ReasoningDelta,
    Retrying,
    TextDelta,
    Waiting,
)
from openhands_llm_magic.notebook.view import garbage, sanitize
from openhands_llm_magic.notebook.view.formats import NO_MARKDOWN
from openhands_llm_magic.notebook.view.pace import Pace
from openhands_llm_magic.notebook.view.wait import WIDGET_VIEW, Bundle, Waits, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.retry import Clock

THINKING_S = 1.0
"""Seconds between two updates while the model thinks."""


class LiveView:
    """Updates one output in place while the answer arrives, as often as its `Pace` allows.

    Text that comes too soon after an update is shown by a timer, should nothing come after it.

    Args:
        model: The model that is asked.
        clock: Tells when the next update may come.
        waits: Shows the waits.
        render: Makes the output that stays in the end.
        form: The format of the answer.
    """

    def __init__(
        self,
        model: str,
        clock: Clock,
        waits: Waits,
        render: Callable[[Reply], Bundle],
        form: str = "markdown",
    ) -> None:
        self._clock = clock
        self._waits = waits
        self._render = render
        self._is_markdown = form not in NO_MARKDOWN
        self._pace = Pace(clock)
        self._shown: Bundle = status(f"asking {model} …")
        self._handle = display(self._shown, raw=True, display_id=True)
        self._lock = threading.Lock()  # the timer's thread shows the pieces, too
        self._pieces: list[str] = []
        self._timer: threading.Timer | None = None

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show the text so far, if it is time, and every tick of a wait."""
        match event:
            case TextDelta(text):
                with self._lock:
                    self._pieces.append(text)
                left_s = self._pace.left_s
                if left_s <= 0:
                    self._disarm()
                    self._show_text()
                elif self._timer is None:
                    self._arm(left_s)
            case ReasoningDelta():
                self._show_thinking(builder)
            case Retrying() | Correcting():
                self._disarm()
                self._pieces.clear()
                self._pace = Pace(self._clock)
            case Waiting() | Held():
                self._show(self._waits.bundle(event))
            case _:
                pass

    def tell(self, words: str) -> None:
        """Show how far it is."""
        self._show(status(words))

    def tick(self) -> None:
        """Do nothing: what is due comes by itself."""

    def render(self, reply: Reply) -> None:
        """Prepare the output."""
        self._rendered = self._render(reply)

    def finish(self) -> None:
        """Replace the live area by the reply."""
        self._disarm()
        self._show(self._rendered)
        self._waits.close()

    def _arm(self, after_s: float) -> None:
        # ipykernel knows by the context which cell an output belongs to.
        run = contextvars.copy_context().run
        self._timer = threading.Timer(after_s, run, [self._show_late])
        self._timer.daemon = True
        self._timer.start()

    def _disarm(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()

    def _show_late(self) -> None:
        with self._lock:
            if self._timer is threading.current_thread():  # and has not been disarmed
                self._timer = None
                self._show_text()

    def _show_text(self) -> None:
        text = "".join(self._pieces)
        self._pieces[:] = [text]
        size = len(text.encode(errors="surrogatepass"))
        room = self._pace.room(len(text), size)
        html = live_html(text, room, is_markdown=self._is_markdown)
        shown = {"text/html": html, "text/plain": ""}
        self._show(shown)
        self._pace.spend(len(json.dumps(shown, ensure_ascii=False).encode()), room, size)

    def _show_thinking(self, builder: ReplyBuilder) -> None:
        """Show that the model thinks, and how much so far."""
        if self._pace.left_s <= 0:
            self._show(status(f"thinking … {builder.words_thought:,} words"))
            self._pace.pause(THINKING_S)

    def _show(self, shown: Bundle) -> None:
        if not (WIDGET_VIEW in shown and WIDGET_VIEW in self._shown):
            self._handle.update(shown, raw=True)
        self._shown = shown


@garbage.kept()
def live_html(text: str, room: int, *, is_markdown: bool = True) -> str:
    """Render an answer that is still arriving: the last `room` characters, about.

    Code has no colours yet, which would make it four times as long.
    """
    start = 0 if len(text) <= room else _start(text, room)
    above, tail = text[:start], text[start:]
    told = _told_of(above) if above else ""
    if not is_markdown:
        return told + sanitize.plain_to_html(tail)
    if fence := _open_fence(above):  # the cut fell into a code block, which goes on below it
        tail = f"{fence}\n{tail}"
    return told + sanitize.to_html(tail, colours=False)


def _told_of(above: str) -> str:
    kilobytes = len(above.encode(errors="surrogatepass")) / 1000
    return status(f"… {kilobytes:.1f} kB above …")["text/html"]


_BEGINNINGS = [re.compile(gap) for gap in (r"\n\n(?=\S)", r"\n(?=\S)", r"\n", " ")]
"""What comes before a block, a line that is not indented, a line, a word."""


def _start(text: str, room: int) -> int:
    """Find where something begins in the first half of the last `room` characters."""
    earliest = len(text) - room
    for gap in _BEGINNINGS:
        if found := gap.search(text, earliest, earliest + room // 2):
            return found.end()
    return earliest


_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})(.*)$", re.MULTILINE)


def _open_fence(text: str) -> str:
    """Give the fence of the code block in which a text ends, if it does."""
    opened = ""
    for marks, info in _FENCE.findall(text):
        if not opened:
            opened = marks
        elif marks.startswith(opened) and not info.strip():
            opened = ""
    return opened
