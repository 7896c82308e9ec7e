"""The answers of several models: side by side in a notebook, in a terminal one after the other.

In a notebook they are columns of one output, which a narrow window puts below each other. It is
updated as a whole, so that nothing in it can fall behind. Of a column that has ended its footer
shows at once, whatever the others do.
"""

from __future__ import annotations

import html
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.llm.events import TextDelta, ToolCalled, ToolResult
from openhands_llm_magic.notebook import language, wording
from openhands_llm_magic.notebook.view import display, sanitize
from openhands_llm_magic.notebook.view.live import LiveView
from openhands_llm_magic.notebook.view.outputs import Outputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.buttons import Waits
    from openhands_llm_magic.notebook.view.display import FrontEnd
    from openhands_llm_magic.notebook.view.parts import Breakable
    from openhands_llm_magic.notebook.wording import Bundle


class ColumnsView(display.Ticking, Protocol):
    """Shows the requests of several models to a person, each by its number."""

    def update(self, number: int, event: Event, builder: ReplyBuilder) -> None:
        """Show an event that `builder` has taken in."""

    def end(self, number: int, reply: Reply) -> None:
        """Show what has come of one of them; it can be called again where it was broken off.

        Raises:
            KeyboardInterrupt: An interrupt came while a long answer was rendered.
        """

    def finish(self) -> None:
        """Show what has come of all of them; `end` was called for each."""


def view_on(
    where: FrontEnd,
    titles: Sequence[str],
    clock: Clock,
    waits: Waits,
    form: str = "markdown",
) -> ColumnsView:
    """Make the view for a front end, of answers in one of the formats below their titles."""
    match where:
        case "live":
            return LiveColumns(titles, clock, waits, form)
        case "final":
            return FinalColumns(titles)
        case "terminal":
            return InTurn(titles, clock)


ROW = "display:flex;flex-wrap:wrap;column-gap:1.5em;align-items:flex-start"
COLUMN = (
    "flex:1 1 18em;min-width:0;box-sizing:border-box;overflow-x:auto;margin-bottom:1em;"
    "padding-left:0.8em;border-left:3px solid rgba(128,128,128,0.4)"
)
"""The styles stand on the elements, as an export and a notebook that is not trusted keep them."""


def side_by_side(columns: Iterable[tuple[str, Bundle]]) -> Bundle:
    """Put bundles below their titles, and beside each other where there is room."""
    shown, texts = "", []
    for title, bundle in columns:
        name = html.escape(title)
        head = f"<p {wording.NO_MATH}><b>{name}</b></p>"
        body = bundle.get("text/html", "")
        shown += f'<div role="group" aria-label="{name}" style="{COLUMN}">{head}{body}</div>'
        texts.append(f"## {sanitize.to_plain(title)}\n\n{bundle.get('text/plain', '')}".rstrip())
    return {"text/html": f'<div style="{ROW}">{shown}</div>', "text/plain": "\n\n".join(texts)}


def failure_words(reply: Reply) -> tuple[str, str] | None:
    """Say that there is no whole answer, and why, or return None where there is one."""
    if reply.error is None:
        return None
    say = language.cell_words()
    why = sanitize.to_plain(reply.error.text.worded(say))
    if isinstance(reply.error, Stopped):
        return say("Not complete") if reply.text else say("No answer"), why
    if reply.finish_reason is not None and reply.text:  # it does not fit, or could not be kept
        return say("Failed"), why
    return say("Not complete") if reply.text else say("No answer"), why


def _with_failure(reply: Reply, shown: Bundle) -> Bundle:
    """Add to what is shown of a reply why it is none."""
    words = failure_words(reply)
    if words is None:
        return shown
    what, why = words
    told = f"<p {wording.NO_MATH}><b>{html.escape(what)}:</b> {html.escape(why)}</p>"
    plain = [shown.get("text/plain", "").rstrip(), f"{what}: {why}"]
    html_now = shown.get("text/html", "") + told
    return {"text/html": html_now, "text/plain": "\n\n".join(filter(None, plain))}


class _Column:
    """Where one of the answers is shown: the `Place` of a `LiveView`, without outputs of its own.

    Attributes:
        bundle: What it shows.
    """

    is_one = True

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self.bundle: Bundle = {}

    @property
    def is_due(self) -> bool:
        """Whether it is time to show something again."""
        return self._outputs.is_due

    def hurry(self) -> None:
        """Let it be time to show something again."""
        self._outputs.hurry()

    def see(self, event: Event) -> None:
        """Leave the event to the buttons of all columns."""

    def tick(self) -> None:
        """Leave the buttons to all columns."""

    @staticmethod
    def beside(said: str) -> str:
        """Return a server's words; how to end a wait stands below all columns."""
        return said

    @staticmethod
    def marked(shown: str) -> str:
        """Return HTML as it is; the buttons stand below all columns."""
        return shown

    def show(self, bundles: Sequence[Bundle]) -> None:
        """Take what is to be shown."""
        self.bundle = {
            kind: "".join(bundle.get(kind, "") for bundle in bundles)
            for kind in ("text/html", "text/plain")
        }

    def close(self) -> None:
        """Leave the buttons to all columns."""


class LiveColumns:
    """Shows answers side by side while they arrive."""

    def __init__(self, titles: Sequence[str], clock: Clock, waits: Waits, form: str) -> None:
        self._titles = titles
        self._waits = waits
        self._outputs = Outputs(clock, waits)
        self._columns = [_Column(self._outputs) for _ in titles]
        self._views = [
            LiveView(title, clock, column, display.answer_html, form)
            for title, column in zip(titles, self._columns, strict=True)
        ]
        self._growing = dict(enumerate(self._views))
        self._show()
        self._outputs.hurry()

    @property
    def breakable(self) -> Breakable:
        """Makes the context of long rendering."""
        return self._views[0].breakable

    @breakable.setter
    def breakable(self, breakable: Breakable) -> None:
        for view in self._views:
            view.breakable = breakable

    def update(self, number: int, event: Event, builder: ReplyBuilder) -> None:
        """Take in an event of a column, and show it if it is time."""
        self._waits.see(event, number)
        self._views[number].update(event, builder)
        if isinstance(event, ToolCalled):  # which may take the thread for long
            self.tick()

    def tick(self) -> None:
        """Show what is due in any column."""
        self._outputs.tick()
        if self._outputs.is_due:
            for view in self._growing.values():
                view.tick()
            self._show()

    def end(self, number: int, reply: Reply) -> None:
        """Show what has come of a column, with its footer."""
        view, column = self._views[number], self._columns[number]
        view.render(reply)
        view.finish()
        column.bundle = _with_failure(reply, column.bundle)
        self._growing.pop(number, None)

    def finish(self) -> None:
        """Show all as it stays, and take the buttons away."""
        self._outputs.show([self._bundle()])
        self._outputs.close()

    def _show(self) -> None:
        bundle = self._bundle()
        bundle["text/html"] += wording.note_html(self._outputs.beside(""))
        bundle["text/html"] = self._outputs.marked(bundle["text/html"])
        self._outputs.show([bundle])

    def _bundle(self) -> Bundle:
        bundles = (column.bundle for column in self._columns)
        return side_by_side(zip(self._titles, bundles, strict=True))


class FinalColumns:
    """Shows one output at the end."""

    breakable: Breakable = nullcontext

    def __init__(self, titles: Sequence[str]) -> None:
        self._titles = titles
        self._bundles: list[Bundle] = [{} for _ in titles]

    def update(self, number: int, event: Event, builder: ReplyBuilder) -> None:
        """Show nothing yet."""

    def tick(self) -> None:
        """Show nothing yet."""

    def end(self, number: int, reply: Reply) -> None:
        """Prepare a column."""
        with nullcontext() if isinstance(reply.error, Stopped) else self.breakable():
            self._bundles[number] = _with_failure(reply, display.bundle(reply))

    def finish(self) -> None:
        """Show the output."""
        display.publish(side_by_side(zip(self._titles, self._bundles, strict=True)))


class _Turn(display.TerminalView):
    """Writes one answer below its title, which it holds back until there is something below it."""

    def __init__(self, title: str, clock: Clock, *, is_first: bool) -> None:
        super().__init__(title, clock)
        above = "" if is_first else "\n"
        self._heading = f"{above}## {sanitize.to_plain(title)}\n\n"

    @property
    def has_begun(self) -> bool:
        """Whether something of it was written."""
        return not self._heading

    def _write(self, text: str) -> None:
        heading, self._heading = self._heading, ""
        super()._write(heading + text)

    def end(self, reply: Reply) -> None:
        """Write what has come of it."""
        self.render(reply)
        self.finish()
        if words := failure_words(reply):
            self._write(f"({': '.join(words)})\n")


class InTurn:
    """Writes one answer after the other to a terminal, each while it arrives.

    The next is the first that has begun to answer, so that a model that is waited for does not
    hold back the others.
    """

    breakable: Breakable = nullcontext

    def __init__(self, titles: Sequence[str], clock: Clock) -> None:
        self._titles = titles
        self._clock = clock
        self._seen: list[list[tuple[Event, ReplyBuilder]]] = [[] for _ in titles]
        self._replies: dict[int, Reply] = {}
        self._left = [*range(len(titles))]
        self._number = 0
        self._view = self._turn()

    def update(self, number: int, event: Event, builder: ReplyBuilder) -> None:
        """Write an event of the answer whose turn it is, and keep those of the others."""
        self._seen[number].append((event, builder))
        if number == self._number:
            self._view.update(event, builder)
        elif isinstance(event, ToolCalled):  # what is asked and printed begins on a line of its own
            self._view.make_room()
        self._go_on()

    def tick(self) -> None:
        """Write what is waited for."""
        if self._left:
            self._view.tick()

    def end(self, number: int, reply: Reply) -> None:
        """Write what has come of an answer when its turn has come."""
        self._replies[number] = reply
        self._go_on()

    def finish(self) -> None:
        """Leave it at that: each was written when it had ended."""

    def _turn(self) -> _Turn:
        is_first = len(self._left) == len(self._titles)
        return _Turn(self._titles[self._number], self._clock, is_first=is_first)

    def _go_on(self) -> None:
        """Write answers that have ended, and choose the next."""
        while self._left:
            if self._number in self._replies:
                self._view.end(self._replies[self._number])
                self._left.remove(self._number)
            elif self._view.has_begun:
                return
            following = next(filter(self._has_begun, self._left), min(self._left, default=None))
            if following is None or following == self._number:
                return
            self._view.make_room()
            self._number = following
            self._view = self._turn()
            for event, builder in self._seen[following]:
                self._view.update(event, builder)

    def _has_begun(self, number: int) -> bool:
        seen = (event for event, _ in self._seen[number])
        return number in self._replies or any(isinstance(it, TextDelta | ToolResult) for it in seen)
