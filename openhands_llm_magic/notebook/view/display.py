"""What a person sees of a request: outputs that grow, a final one, or text in a terminal.

A view takes each event as it comes and shows as much as its front end can. Front ends differ in who
watches: JupyterLab and VS Code update an output in place, a terminal can only add text, and where
nobody watches (nbclient, nbval) one final output is all there is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.display import display as display_output
from IPython.display import publish_display_data

from openhands_llm_magic.config.resolve import DISPLAY_VARIABLE
from openhands_llm_magic.errors import FormatError, Stopped, Text, UsageError
from openhands_llm_magic.llm.answers.extract import Schema, code_in, json_in, unfenced
from openhands_llm_magic.llm.conversations import fenced
from openhands_llm_magic.llm.events import (
    Correcting,
    Event,
    Retrying,
    TextDelta,
    Throttled,
    ToolCalled,
    ToolResult,
    ToolRound,
)
from openhands_llm_magic.notebook import language, wording
from openhands_llm_magic.notebook.view import calls, sanitize
from openhands_llm_magic.notebook.view.live import STOPPED_LIMIT, LiveView
from openhands_llm_magic.notebook.view.outputs import Outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.buttons import Waits
    from openhands_llm_magic.notebook.view.parts import Breakable
    from openhands_llm_magic.notebook.wording import Bundle


FrontEnd = Literal["live", "final", "terminal"]


def front_end(shell: Any) -> FrontEnd:
    """Tell who watches the cell that runs now.

    `LLM_MAGIC_DISPLAY` has the last word, but where outputs cannot be updated.
    """
    chosen = os.environ.get(DISPLAY_VARIABLE, "")
    if chosen not in ("", "live", "final", "terminal"):
        told = "{variable} takes live, final or terminal, not {given}."
        raise UsageError(Text(told, variable=DISPLAY_VARIABLE, given=repr(chosen)))
    if is_captured(shell) or _in_output_widget(shell):
        return "final"
    match chosen:
        case "live" | "final" | "terminal":
            return chosen
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "terminal"
    request = kernel.get_parent("shell")
    if "cellId" in request.get("metadata", {}):
        return "live"
    # jupyter_console, which drops updates of an output, allows stdin; nbclient and nbval do not.
    return "terminal" if request.get("content", {}).get("allow_stdin") else "final"


def is_captured(shell: Any) -> bool:
    """Tell whether `%%capture` keeps the outputs; it would show all states of one below another."""
    return isinstance(shell.display_pub, CapturingDisplayPublisher)


def _in_output_widget(shell: Any) -> bool:
    """Tell whether an Output of ipywidgets takes the outputs: it drops updates of them.

    So it is within `with out:`, `@out.capture()` and the function of an `interact`. Each Output
    that takes messages knows which, by the request that they belong to.
    """
    widgets = sys.modules.get("ipywidgets")
    if widgets is None or not hasattr(shell, "get_parent"):
        return False
    request_id = shell.get_parent().get("header", {}).get("msg_id")
    # There is no public way to all widgets that does not warn.
    known = getattr(widgets.widgets.widget, "_instances", {})
    return any(
        isinstance(each, widgets.Output) and each.msg_id == request_id for each in [*known.values()]
    )


def drop_empty_captures(shell: Any) -> None:
    """Take what IPython has captured of a reply that was shown already: an output of nothing.

    `cap.show()` would show it as "<RichOutput object>".
    """
    if is_captured(shell):
        kept = [each for each in shell.display_pub.outputs if each["data"]]
        shell.display_pub.outputs[:] = kept


class TerminalView:
    """Adds text as it arrives, with one line that rewrites itself during a wait."""

    breakable: Breakable = nullcontext

    def __init__(self, model: str, clock: Clock) -> None:
        self._progress = wording.Progress(model, clock)
        self._told = self._progress.words
        self._status_width = 0
        self._at_line_start = True
        self._answer_began = False
        self._held = False
        # A pipe or a file cannot go back to a line's start; a kernel's console can.
        self._rewrites = sys.stdout.isatty() or "ipykernel" in sys.modules

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Write a piece of the answer, or rewrite the status line."""
        self._progress.see(event, builder)
        match event:
            case TextDelta(text):
                self._erase_status()
                self._write(sanitize.to_plain(text))
                self._answer_began = True
            case ToolRound() | ToolCalled() | ToolResult():
                self._see_call(event)
            case Correcting(problem):
                self._end_line()
                self._write(f"({wording.correcting_words(problem)})\n")
                self._answer_began = False
            case Retrying():
                self._end_line()
                if self._answer_began:
                    self._write(f"({wording.again_words()})\n")
                    self._answer_began = False
                if not self._rewrites:
                    counted = wording.countdown_words(event, event.wait_s)
                    self._write(f"{counted} ({wording.said_words(event)})\n")
            case Throttled(remaining_s=remaining_s) if not self._rewrites:
                if remaining_s >= wording.TOLD_FROM_S and not self._held:
                    self._write(wording.throttled_words(event) + "\n")
                self._held = remaining_s > 0
            case _:
                pass
        self.tick()
        if isinstance(event, ToolCalled) and self._status_width:
            self._erase_status()
            self._write(f"{self._told}\n")

    def _see_call(self, event: ToolRound | ToolCalled | ToolResult) -> None:
        """Write what came of a call; below what is asked and printed meanwhile."""
        self.make_room()
        self._answer_began = False
        if isinstance(event, ToolResult):
            self._write(f"({calls.terminal_words(event.call)})\n")

    def make_room(self) -> None:
        """Let what is written next begin on a line of its own."""
        self._erase_status()
        self._end_line()

    def tell(self, words: str) -> None:
        """Rewrite the status line with how much of the work is done."""
        self._progress.done = words
        self.tick()

    def tick(self) -> None:
        """Rewrite the status line with what is waited for, where no text would be overwritten."""
        words = self._progress.words
        if words == self._told or not (self._rewrites and self._at_line_start):
            return
        self._told = words
        if words:
            said = self._progress.said
            stops = language.cell_words()("(Ctrl-C stops it)")
            self._show_status(f"{words} {stops} {said}" if said else words)

    def render(self, reply: Reply) -> None:
        """Prepare the note that `finish` writes below the answer."""
        self._note = wording.note_words(reply)
        self._footer = wording.footer_words(reply)

    def finish(self) -> None:
        """End the line, and add the note."""
        self.make_room()
        for words in filter(None, (self._note, self._footer)):
            self._write(f"({words})\n")

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._out(text)
            self._at_line_start = text.endswith("\n")

    def _show_status(self, words: str) -> None:
        # A line that wraps could not be rewritten.
        words = words[: shutil.get_terminal_size().columns - 1]
        self._out("\r" + words.ljust(self._status_width))
        self._status_width = len(words)

    def _erase_status(self) -> None:
        if self._status_width:
            self._out("\r" + " " * self._status_width + "\r")
            self._status_width = 0

    @staticmethod
    def _out(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


FORMULA = re.compile(r"\$\$(.*)\$\$|\\\[(.*)\\\]|\$(.*)\$|\\\((.*)\\\)", re.DOTALL)
"""A formula with what models put around it."""

MARK = re.compile(r"(?<!\\)(?:\$|\\[\[(])")
"""What tells that there is a formula within a text; a line of an array may end in \\\\[4pt]."""


def _json(text: str) -> str:
    """Show JSON indented and coloured; an answer that is not JSON, as it is."""
    try:
        value = json_in(text)
    except FormatError:
        return sanitize.to_html(text)
    block = fenced(json.dumps(value, indent=2, ensure_ascii=False))
    return sanitize.to_html(block.replace("\n", "json\n", 1))


def _math(text: str) -> str:
    """Show an answer that is a formula, with or without marks around it, or a text with some."""
    formula = unfenced(text)
    marked = FORMULA.fullmatch(formula)
    if marked is not None:
        formula = "".join(marked.groups("")).strip()
    if MARK.search(formula):
        return sanitize.to_html(text)
    return sanitize.to_html(f"$$\n{formula}\n$$")


def _html(text: str) -> str:
    return sanitize.html_to_html(unfenced(text))


FORMATS: dict[str, Callable[[str], str]] = {
    "markdown": sanitize.to_html,
    "text": sanitize.plain_to_html,
    "json": _json,
    "code": sanitize.to_html,
    "html": _html,
    "math": _math,
}
"""For each value of `--format`, what renders an answer's text as HTML that is safe to show."""


def schema_named(name: str | None, variables: Mapping[str, object]) -> Schema | None:
    """Return the schema in a variable, if one is named.

    Raises:
        UsageError: There is no such variable, or no schema in it.
    """
    if name is None:
        return None
    if name not in variables:
        raise UsageError(Text("--schema {name}: there is no variable {name}.", name=name))
    return Schema.of(name, variables[name])


def data_of(text: str, form: str, schema: Schema | None = None) -> Any:
    """Return what an answer is in its format: JSON's value, the code, or None.

    Raises:
        FormatError: It was to be JSON, or to fit a schema, and does not.
    """
    if schema is not None:
        return schema.read(text)
    match form:
        case "json":
            return json_in(text)
        case "code":
            return code_in(text)
    return None


class Ticking(Protocol):
    """Shows what goes on with time.

    Attributes:
        breakable: Makes the context of long rendering, in which an interrupt may be raised.
    """

    breakable: Breakable

    def tick(self) -> None:
        """Show what is due by the clock; called some 20 times a second, and after events."""


class View(Ticking, Protocol):
    """Shows one request to a person, from its first event to its end."""

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show an event that `builder` has taken in."""

    def tell(self, words: str) -> None:
        """Show how much of the work is done, where such words can be replaced by the next."""

    def render(self, reply: Reply) -> None:
        """Prepare what `finish` shows; it can be called again where it was broken off.

        Raises:
            KeyboardInterrupt: An interrupt came while a long answer was rendered.
        """

    def finish(self) -> None:
        """Show what came of it; of what was shown before, text stays."""


def view_on(
    where: FrontEnd, model: str, clock: Clock, waits: Waits, form: str = "markdown"
) -> View:
    """Make the view for a front end, of an answer in one of the formats."""
    match where:
        case "live":
            return LiveView(model, clock, Outputs(clock, waits), answer_html, form)
        case "final":
            return FinalView()
        case "terminal":
            return TerminalView(model, clock)


def bundle(reply: Reply) -> Bundle:
    """Render a reply: sanitised text/html, and text/plain. Never text/markdown, which would run."""
    html, plain = wording.below_answer(reply)
    title = language.cell_words()("Reasoning")
    thought = sanitize.folded_html(title, reply.reasoning)
    answer = calls.all_folded(reply) + thought + answer_html(reply)
    texts = (sanitize.to_plain(reply.text).rstrip(), plain)
    return {"text/html": answer + html, "text/plain": "\n\n".join(filter(None, texts))}


def answer_html(reply: Reply) -> str:
    """Render an answer in its format; one without text is nothing."""
    if not reply.text:
        return ""
    stopped = isinstance(reply.error, Stopped) and len(reply.text) > STOPPED_LIMIT
    render = sanitize.plain_to_html if stopped else FORMATS[reply.shown_as]
    return render(reply.text)


def show(reply: Reply) -> None:
    """Show a reply as one output, unless there is nothing in it."""
    publish(bundle(reply))


def publish(shown: Bundle) -> None:
    """Show a bundle as one output, unless there is nothing in it."""
    if shown["text/plain"]:
        publish_display_data(shown)


def show_both(shell: Any, *, text: str, html: str) -> None:
    """Show text of our own, as HTML where that can be shown."""
    if front_end(shell) == "terminal":
        sys.stdout.write(f"{text}\n")
    else:
        publish_display_data({"text/plain": text, "text/html": wording.without_math(html)})


class StatusLine:
    """A line that says what goes on before a request, where somebody watches; used with `with`."""

    def __init__(self, shell: Any) -> None:
        self._where = front_end(shell)
        self._shown = ""
        self._output: Any = None

    def show(self, words: str) -> None:
        """Show these words in the place of those before."""
        if words == self._shown or self._where == "final":
            return
        if self._where == "live":
            shown = {"text/plain": words, "text/html": wording.status_html(words)}
            if self._output is None:
                self._output = display_output(shown, raw=True, display_id=True)
            else:
                self._output.update(shown, raw=True)
        elif sys.stdout.isatty() or "ipykernel" in sys.modules:
            sys.stdout.write("\r" + words.ljust(len(self._shown)))
            sys.stdout.flush()
        self._shown = words

    def end(self, words: str) -> None:
        """Leave these words where others were shown."""
        if self._shown:
            self.show(words)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._where == "terminal":
            sys.stdout.write("\n")


class FinalView:
    """Shows one output at the end."""

    breakable: Breakable = nullcontext

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Show nothing yet."""

    def tell(self, words: str) -> None:
        """Show nothing yet."""

    def tick(self) -> None:
        """Show nothing yet."""

    def render(self, reply: Reply) -> None:
        """Prepare the one output, the answer with its note."""
        with nullcontext() if isinstance(reply.error, Stopped) else self.breakable():
            self._rendered = bundle(reply)

    def finish(self) -> None:
        """Show the output."""
        publish(self._rendered)
