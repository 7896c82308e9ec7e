"""What a person sees of a request: outputs that grow, a final one, or text in a terminal.

A view takes each event as it comes and shows as much as its front end can. Front ends
differ in who watches: JupyterLab and VS Code update an output in place, a terminal can only add
text, and where nobody watches (nbclient, nbval) one final output is all there is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from IPython.display import publish_display_data

from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.notebook.front_end import FrontEnd, front_end
from openhands_llm_magic.notebook.view import sanitize
from openhands_llm_magic.notebook.view.formats import FORMATS
from openhands_llm_magic.notebook.view.live import LiveView
from openhands_llm_magic.notebook.view.terminal import TerminalView
from openhands_llm_magic.notebook.view.wait import Bundle, Waits, note_html
from openhands_llm_magic.notebook.view.words import note_words

if TYPE_CHECKING:
    from openhands_llm_magic.llm.events import Event, Reply, ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock

STOPPED_LIMIT = 40_000
"""Characters of a stopped answer up to which it is rendered; more would hold up the interrupt."""


class View(Protocol):
    """Shows one request."""

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show an event that `builder` has taken in."""

    def tell(self, words: str) -> None:
        """Show how far it is, where that can be replaced."""

    def tick(self) -> None:
        """Show what is due by the clock; called some 20 times a second, and after events."""

    def render(self, reply: Reply) -> None:
        """Prepare what `finish` shows: a long answer takes a while, and may be broken off."""

    def finish(self) -> None:
        """Show what came of it; of what was shown before, text stays."""


def view_on(
    where: FrontEnd, model: str, clock: Clock, waits: Waits, form: str = "markdown"
) -> View:
    """Make the view for a front end, of an answer in one of the formats."""
    match where:
        case "live":
            return LiveView(model, clock, waits, _answer_html, form)
        case "final":
            return FinalView()
        case "terminal":
            return TerminalView(model, clock)


@sanitize.collector_off()
def bundle(reply: Reply) -> Bundle:
    """Render a reply: sanitised text/html, and text/plain. Never text/markdown, which would run."""
    note = note_words(reply)
    plain = "\n\n".join(part for part in (sanitize.to_plain(reply.text).rstrip(), note) if part)
    shown = (
        sanitize.folded_html("Reasoning", reply.reasoning) + _answer_html(reply) + note_html(note)
    )
    return {"text/html": shown, "text/plain": plain}


def _answer_html(reply: Reply) -> str:
    """Render an answer in its format."""
    stopped = isinstance(reply.error, Stopped) and len(reply.text) > STOPPED_LIMIT
    render = sanitize.plain_to_html if stopped else FORMATS[reply.format]
    return render(reply.text)


def show(reply: Reply) -> None:
    """Show a reply as one output, unless there is nothing in it."""
    _publish(bundle(reply))


def _publish(shown: Bundle) -> None:
    if shown["text/plain"]:
        publish_display_data(shown)


def show_both(shell: Any, *, text: str, html: str) -> None:
    """Show text of our own, as HTML where that can be shown."""
    if front_end(shell) == "terminal":
        sys.stdout.write(f"{text}\n")
    else:
        publish_display_data({"text/plain": text, "text/html": html})


class FinalView:
    """Shows one output at the end."""

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show nothing yet."""

    def tell(self, words: str) -> None:
        """Show nothing yet."""

    def tick(self) -> None:
        """Show nothing yet."""

    def render(self, reply: Reply) -> None:
        """Prepare the output."""
        self._rendered = bundle(reply)

    def finish(self) -> None:
        """Show what came of it."""
        _publish(self._rendered)
