"""An answer in a live notebook: it grows downward, in parts, and nothing that was shown goes away.

What is above stays as it is, and only the last part grows.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.llm.events import (
    Correcting,
    Event,
    Retrying,
    Sending,
    TextDelta,
    ToolCallBegun,
    ToolCalled,
    ToolResult,
    ToolRound,
)
from openhands_llm_magic.notebook.language import cell_words
from openhands_llm_magic.notebook.view import calls, sanitize
from openhands_llm_magic.notebook.view.parts import Breakable, Part, Parts
from openhands_llm_magic.notebook.wording import (
    Bundle,
    Progress,
    again_words,
    below_answer,
    correcting_words,
    note_html,
    status_html,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.view.outputs import Place


STOPPED_LIMIT = 40_000
"""Characters of a stopped answer up to which it is rendered; more would hold up the interrupt."""


BROKEN_OFF = '<div style="opacity:0.7">{}</div>'
"""Around text that is no part of the answer."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """What an output shows of one attempt, or of our own words between two."""

    part: Part
    attempt: Parts | None = None


class LiveView:
    """Shows an answer in parts, each an output; only the last one is updated.

    When an attempt breaks off, its text stays where it is, paler, and the next one begins below.

    Args:
        model: The model that is asked.
        clock: What waits go by.
        place: Where it is shown.
        render: Renders a whole answer.
        form: The format of the answer.
    """

    breakable: Breakable = nullcontext

    def __init__(
        self,
        model: str,
        clock: Clock,
        place: Place,
        render: Callable[[Reply], str],
        form: str = "markdown",
    ) -> None:
        self._place = place
        self._render = render
        self._form = form
        self._progress = Progress(model, clock)
        self._attempts: list[Parts] = []
        self._attempt = self._another()
        self._outputs: list[list[_Segment]] = [[]]
        self._growing: _Segment | None = None
        self._has_news = self._has_calls = False
        self._reasoned: Parts | None = None
        self._answer, self._note, self._is_over = self._attempt, "", False
        self._told = self._progress.words
        self._show()
        place.hurry()  # the first words of an answer need not wait

    def _another(self) -> Parts:
        """Begin another answer."""
        shown = sum(len(each.text) for each in self._attempts)
        breakable = lambda: self.breakable()  # noqa: E731, PLW0108 - it changes
        made = Parts(self._form, shown, breakable, is_one=self._place.is_one)
        self._attempts.append(made)
        return made

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Take in an event, and show it if it is time."""
        match event:
            case TextDelta(text):
                if not self._attempt.text:
                    self._show_reasoning(builder.reply.reasoning)
                self._attempt.add(text)
                self._has_news = True
            case ToolCallBegun() if not self._attempt.text:
                self._show_reasoning(builder.reply.reasoning)
            case Retrying():
                self._break_off(again_words())
            case Correcting(problem):
                self._break_off(correcting_words(problem))
            case ToolRound():
                self._leave("")
            case ToolResult(call):
                self._outputs[-1].append(_Segment(Part("", calls.folded(call))))
                self._has_calls = self._has_news = True
            case Sending() if self._has_calls:  # what is unfolded stays so while it is not updated
                self._outputs.append([])
                self._has_calls = False
            case _:
                pass
        self._progress.see(event, builder)
        self._place.see(event)
        if isinstance(event, ToolCalled):  # which may take the thread for long
            self._place.hurry()
        self.tick()

    def tick(self) -> None:
        """Show what is due: text, or for how long the request has been waiting."""
        self._place.tick()
        if not self._place.is_due:
            return
        words = self._progress.words
        if self._has_news:
            self._show_text()
        elif words != self._told:
            self._told = words
            self._show()

    def tell(self, words: str) -> None:
        """Show how much of the work is done."""
        self._progress.done = words
        self.tick()

    def render(self, reply: Reply) -> None:
        """Prepare what stays: the last part in its final form, with a note."""
        answer = max(
            (each for each in reversed(self._attempts) if reply.text.startswith(each.text)),
            key=lambda attempt: len(attempt.text),
            default=self._attempt,
        )
        if answer is self._attempt:
            if not answer.text:
                self._show_reasoning(reply.reasoning)
            answer.add(reply.text.removeprefix(answer.text))
        self._answer, self._below, self._is_over = answer, below_answer(reply), True
        if isinstance(reply.error, Stopped):
            self.breakable, self._attempt.longest = nullcontext, STOPPED_LIMIT
        self._attempt.flush()
        self._end_parts()
        if answer is self._attempt and not answer.is_long:
            with self.breakable():
                last = Part(answer.rest, self._render(reply))
        else:
            last = self._attempt.growing(is_last=True)
        self._growing = _Segment(last, self._attempt)

    def finish(self) -> None:
        """Show the last part with the note, and take the buttons away."""
        self._link()
        bundle = self._last_bundle()
        html, plain = self._below
        bundle["text/html"] += html
        bundle["text/plain"] = "\n\n".join(filter(None, (bundle["text/plain"].rstrip(), plain)))
        # An output cannot be taken away again, but one of no MIME type takes no room.
        self._show_outputs(bundle if any(bundle.values()) else {})
        self._place.close()

    def _show_reasoning(self, reasoning: str) -> None:
        """Put what the model thought above its answer, in an output that is not updated."""
        folded = sanitize.folded_html(cell_words()("Reasoning"), reasoning)
        if folded and self._reasoned is not self._attempt:
            self._reasoned = self._attempt
            self._outputs[-1].append(_Segment(Part("", folded)))
            self._outputs.append([])

    def _show_text(self) -> None:
        self._has_news = False
        self._end_parts()
        self._growing = _Segment(self._attempt.growing(), self._attempt)
        self._told = self._progress.words
        self._show()

    def _end_parts(self) -> None:
        """Leave the parts that have ended alone, each in an output of its own."""
        for part in self._attempt.ended():
            self._outputs[-1].append(_Segment(part, self._attempt))
            self._outputs.append([])

    def _show(self) -> None:
        """Show the part that grows, and below it what is waited for."""
        bundle = self._last_bundle()
        if self._told:
            said = self._place.beside(self._progress.said)
            bundle["text/html"] += status_html(self._told) + note_html(said)
            bundle["text/plain"] = bundle["text/plain"] or self._told
        bundle["text/html"] = self._place.marked(bundle["text/html"])
        self._show_outputs(bundle)

    def _last_bundle(self) -> Bundle:
        growing = [self._growing] if self._growing else []
        return self._bundle([*self._outputs[-1], *growing])

    def _show_outputs(self, last: Bundle) -> None:
        """Show all outputs as they are now."""
        self._place.show([*map(self._bundle, self._outputs[:-1]), last])

    def _break_off(self, words: str) -> None:
        """Leave what came of an attempt where it is, and say that it is not the answer."""
        if self._attempt.text:
            self._leave(note_html(f"({words})"))

    def _leave(self, below: str) -> None:
        """Leave what came of an attempt where it is, and begin another one below."""
        broken = self._attempt
        if broken.text:
            broken.flush()
            self._end_parts()
            ended = _Segment(broken.growing(is_last=True), broken)
            self._outputs[-1] += [ended, _Segment(Part("", below))]
        self._growing, self._has_news = None, False
        self._attempt = self._answer = self._another()
        self._show()

    def _link(self) -> None:
        """Put links into the parts above whose addresses came below them."""
        shown = [
            (output, number)
            for output in self._outputs
            for number, segment in enumerate(output)
            if segment.attempt is self._attempt
        ]
        for (output, number), part in zip(shown, self._attempt.linked(), strict=False):
            if part is not None:
                output[number] = _Segment(part, self._attempt)

    def _bundle(self, segments: list[_Segment]) -> Bundle:
        """Put together what an output shows; its text is the answer's alone when that is known."""
        html = plain = ""
        for segment in segments:
            is_other = segment.attempt not in (None, self._answer)
            html += BROKEN_OFF.format(segment.part.html) if is_other else segment.part.html
            plain += "" if is_other and self._is_over else segment.part.text
        return {"text/html": html, "text/plain": plain}
