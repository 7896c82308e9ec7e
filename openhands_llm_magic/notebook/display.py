"""What a person sees of a request: a live area, a final output, or text in a terminal.

A view takes each event as it comes and shows as much as its surface can. The surfaces differ in
who watches: JupyterLab and VS Code update one output in place, a terminal can only add text, and
where nobody watches (nbclient, nbval) one final output is all there is.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from IPython.display import display, publish_display_data

from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.llm.events import (
    Event,
    Held,
    ReasoningDelta,
    Retrying,
    TextDelta,
    Waiting,
)
from openhands_llm_magic.notebook import garbage, sanitize
from openhands_llm_magic.notebook.formats import FORMATS
from openhands_llm_magic.notebook.surface import Surface, surface
from openhands_llm_magic.notebook.terminal import TerminalView
from openhands_llm_magic.notebook.wait import WIDGET_VIEW, Bundle, Waits, note_html, status
from openhands_llm_magic.notebook.words import (
    note_words,
)

if TYPE_CHECKING:
    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.retry import Clock

WHOLE_LIMIT = 6_000
"""Characters of an answer up to which a live update shows all of it."""

TAIL = 2_000
"""Characters from the end that a live update of a longer answer shows."""

THINKING_S = 1.0
"""Seconds between two updates while the model thinks."""

STOPPED_LIMIT = 40_000
"""Characters of a stopped answer up to which it is rendered; more would hold up the interrupt."""


class View(Protocol):
    """Shows one request."""

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show an event that `builder` has taken in."""

    def render(self, reply: Reply) -> None:
        """Prepare what `finish` shows: a long answer takes a while, and may be broken off."""

    def finish(self) -> None:
        """Show what came of it, in place of all that was shown before."""


def view_on(where: Surface, model: str, clock: Clock, waits: Waits) -> View:
    """Make the view for a surface."""
    match where:
        case "live":
            return LiveView(model, clock, waits)
        case "final":
            return FinalView()
        case "terminal":
            return TerminalView()


@garbage.kept()
def bundle(reply: Reply) -> Bundle:
    """Render a reply: sanitised text/html, and text/plain. Never text/markdown, which would run."""
    note = note_words(reply)
    plain = "\n\n".join(part for part in (sanitize.to_plain(reply.text).rstrip(), note) if part)
    stopped = isinstance(reply.error, Stopped) and len(reply.text) > STOPPED_LIMIT
    render = sanitize.plain_to_html if stopped else FORMATS[reply.format]
    rendered = render(reply.text)
    shown = _reasoning_html(reply.reasoning) + rendered + note_html(note)
    return {"text/html": shown, "text/plain": plain}


def _reasoning_html(reasoning: str) -> str:
    """Fold up what the model thought, above its answer."""
    if not reasoning.strip():
        return ""
    return f"<details><summary>Reasoning</summary>{sanitize.to_html(reasoning)}</details>"


def show(reply: Reply) -> None:
    """Show a reply as one output, unless there is nothing in it."""
    _publish(bundle(reply))


def _publish(shown: Bundle) -> None:
    if shown["text/plain"]:
        publish_display_data(shown)


def show_both(shell: Any, *, text: str, html: str) -> None:
    """Show text of our own, as HTML where that can be shown."""
    if surface(shell) == "terminal":
        sys.stdout.write(f"{text}\n")
    else:
        publish_display_data({"text/plain": text, "text/html": html})


class FinalView:
    """Shows one output at the end."""

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show nothing yet."""

    def render(self, reply: Reply) -> None:
        """Prepare the output."""
        self._rendered = bundle(reply)

    def finish(self) -> None:
        """Show what came of it."""
        _publish(self._rendered)


class LiveView:
    """Updates one output in place while the answer arrives.

    Text that comes too soon after an update is shown by a timer, should nothing come after it.
    """

    def __init__(self, model: str, clock: Clock, waits: Waits) -> None:
        self._clock = clock
        self._waits = waits
        self._next_update_s = clock.now()
        self._shown: Bundle = status(f"asking {model} …")
        self._handle = display(self._shown, raw=True, display_id=True)
        self._lock = threading.Lock()  # the timer's thread shows the pieces, too
        self._pieces: list[str] = []
        self._timer: threading.Timer | None = None

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show the text so far, as often as its length allows, and every tick of a wait."""
        match event:
            case TextDelta(text):
                with self._lock:
                    self._pieces.append(text)
                left_s = self._next_update_s - self._clock.now()
                if left_s <= 0:
                    self._disarm()
                    self._show_text()
                elif self._timer is None:
                    self._arm(left_s)
            case ReasoningDelta():
                self._show_thinking(builder)
            case Retrying():
                self._disarm()
                self._pieces.clear()
            case Waiting() | Held():
                self._show(self._waits.bundle(event))
            case _:
                pass

    def render(self, reply: Reply) -> None:
        """Prepare the output."""
        self._rendered = bundle(reply)

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
        self._show({"text/html": live_html(text), "text/plain": ""})
        self._next_update_s = self._clock.now() + update_interval_s(len(text))

    def _show_thinking(self, builder: ReplyBuilder) -> None:
        """Show that the model thinks, and how much so far."""
        if self._clock.now() >= self._next_update_s:
            self._show(status(f"thinking … {builder.words_thought:,} words"))
            self._next_update_s = self._clock.now() + THINKING_S

    def _show(self, shown: Bundle) -> None:
        if not (WIDGET_VIEW in shown and WIDGET_VIEW in self._shown):
            self._handle.update(shown, raw=True)
        self._shown = shown


def update_interval_s(length: int) -> float:
    """Return the seconds between two live updates of an answer with `length` characters.

    Rendering costs the browser time in proportion to what is shown, and each update is sent whole.
    """
    return max(0.2, 1e-4 * length) if length <= WHOLE_LIMIT else 0.6


@garbage.kept()
def live_html(text: str) -> str:
    """Render an answer that is still arriving: all of it, or the end of a long one."""
    if len(text) <= WHOLE_LIMIT:
        return sanitize.to_html(text)
    start = text.find("\n\n", len(text) - TAIL)
    start = len(text) - TAIL if start < 0 else start + 2
    above, tail = text[:start], text[start:]
    fences = [line for line in above.splitlines() if line.startswith("```")]
    if len(fences) % 2:  # the cut fell into a code block, which goes on below it
        tail = f"{fences[-1]}\n{tail}"
    return status(f"… {len(above) / 1000:.0f} kB above …")["text/html"] + sanitize.to_html(tail)
