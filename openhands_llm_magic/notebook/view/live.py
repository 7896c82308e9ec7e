"""An answer in a live notebook: it grows downward, and nothing that was shown goes away."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from IPython.display import display

from openhands_llm_magic.llm.events import Correcting, Event, Retrying, TextDelta
from openhands_llm_magic.notebook.view import sanitize
from openhands_llm_magic.notebook.view.parts import Part, Parts
from openhands_llm_magic.notebook.view.progress import Progress
from openhands_llm_magic.notebook.view.wait import Bundle, Waits, note_html, status_html
from openhands_llm_magic.notebook.view.words import again_words, correcting_words, note_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.display import DisplayHandle

    from openhands_llm_magic.llm.events import Reply, ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock

SHORTEST_S = 0.2
"""Seconds between two updates."""

MOST_PER_S = 100_000
"""Bytes that the updates take in a second, headers and all; large ones come less often for it."""

AHEAD_S = 0.5
"""Seconds by which they may be ahead of that, as when a part ends."""

ENVELOPE = 600
"""Bytes of an update beside its data, about: two headers, a signature, the output's id."""

BROKEN_OFF = '<div style="opacity:0.7">{}</div>'
"""Around text that is no part of the answer."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """What an output shows of one attempt, or of our own words between two."""

    part: Part
    attempt: Parts | None = None


@dataclass(slots=True)
class _Output:
    """One output of the cell.

    Attributes:
        segments: What it shows, and goes on to show.
        shown: What the front end was sent last.
    """

    segments: list[_Segment] = field(default_factory=list)
    shown: Bundle = field(default_factory=dict)
    handle: DisplayHandle | None = None

    def show(self, bundle: Bundle) -> int:
        """Show this now; tell how many bytes that took."""
        if bundle == self.shown:
            return 0
        if self.handle is None:
            self.handle = display(bundle, raw=True, display_id=True)
        else:
            self.handle.update(bundle, raw=True)
        self.shown = bundle
        return ENVELOPE + len(json.dumps(bundle, ensure_ascii=False).encode())


class LiveView:
    """Shows an answer in parts, each an output; only the last one is updated.

    When an attempt breaks off, its text stays where it is, paler, and the next one begins below.

    Args:
        model: The model that is asked.
        clock: Tells when the next update may come.
        waits: Has the buttons of the waits.
        render: Renders a whole answer.
        form: The format of the answer.
    """

    def __init__(
        self,
        model: str,
        clock: Clock,
        waits: Waits,
        render: Callable[[Reply], str],
        form: str = "markdown",
    ) -> None:
        self._clock = clock
        self._waits = waits
        self._render = render
        self._form = form
        self._progress = Progress(model, clock)
        self._attempt = Parts(form)
        self._attempts = [self._attempt]
        self._outputs = [_Output()]
        self._growing: _Segment | None = None
        self._has_news = False
        self._answer, self._note, self._is_over = self._attempt, "", False
        self._told = self._progress.words
        self._next_s = self._paid_s = clock.now()
        self._show()
        self._next_s = clock.now()  # the first words of an answer need not wait

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Take in an event, and show it if it is time."""
        match event:
            case TextDelta(text):
                if not self._attempt.text:
                    self._show_reasoning(builder.reply.reasoning)
                self._attempt.add(text)
                self._has_news = True
            case Retrying():
                self._break_off(again_words())
            case Correcting(problem):
                self._break_off(correcting_words(problem))
            case _:
                pass
        self._progress.see(event, builder)
        self._waits.see(event)
        self.tick()

    def tick(self) -> None:
        """Show what is due: text, or for how long the request has been waiting."""
        self._waits.tick()
        if self._clock.now() < self._next_s:
            return
        words = self._progress.words
        if self._has_news:
            self._show_text()
        elif words != self._told:
            self._told = words
            self._show()

    def tell(self, words: str) -> None:
        """Show how far it is."""
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
        self._answer, self._note, self._is_over = answer, note_words(reply), True
        self._attempt.flush()
        self._end_parts()
        last = self._attempt.growing(is_last=True)
        if answer is self._attempt and not answer.is_cut:
            last = Part(last.text, self._render(reply))
        self._growing = _Segment(last, self._attempt)

    def finish(self) -> None:
        """Show it, and leave nothing of the waits."""
        self._link()
        bundle = self._last_bundle()
        bundle["text/html"] += note_html(self._note)
        plain = (bundle["text/plain"].rstrip(), self._note)
        bundle["text/plain"] = "\n\n".join(each for each in plain if each)
        self._show_outputs(bundle)
        self._waits.close()

    def _show_reasoning(self, reasoning: str) -> None:
        """Put what the model thought above its answer, in an output that is not updated."""
        folded = sanitize.folded_html("Reasoning", reasoning)
        if folded:
            self._outputs[-1].segments.append(_Segment(Part("", folded)))
            self._outputs.append(_Output())

    def _show_text(self) -> None:
        self._has_news = False
        self._end_parts()
        self._growing = _Segment(self._attempt.growing(), self._attempt)
        self._told = self._progress.words
        self._show()

    def _end_parts(self) -> None:
        """Leave the parts that have ended alone, each in an output of its own."""
        for part in self._attempt.ended():
            self._outputs[-1].segments.append(_Segment(part, self._attempt))
            self._outputs.append(_Output())

    def _show(self) -> None:
        """Show the part that grows, and below it what is waited for."""
        bundle = self._last_bundle()
        if self._told:
            said = self._waits.words_beside(self._progress.said)
            bundle["text/html"] += status_html(self._told) + note_html(said)
            bundle["text/plain"] = bundle["text/plain"] or self._told
        if self._waits.marker:
            bundle["text/html"] = f'<div class="{self._waits.marker}">{bundle["text/html"]}</div>'
        self._show_outputs(bundle)

    def _last_bundle(self) -> Bundle:
        growing = [self._growing] if self._growing else []
        return self._bundle([*self._outputs[-1].segments, *growing])

    def _show_outputs(self, last: Bundle) -> None:
        """Show all outputs as they are now, those that are new first.

        So text that moves into a new one is there all the time.
        """
        bundles = [self._bundle(output.segments) for output in self._outputs[:-1]] + [last]
        shown = list(zip(self._outputs, bundles, strict=True))
        shown.sort(key=lambda one: one[0].handle is not None)
        self._spend(sum(output.show(bundle) for output, bundle in shown))

    def _break_off(self, words: str) -> None:
        """Leave what came of an attempt where it is, and say that it is not the answer."""
        broken = self._attempt
        if not broken.text:
            return
        broken.flush()
        self._end_parts()
        ended = _Segment(broken.growing(is_last=True), broken)
        self._outputs[-1].segments += [ended, _Segment(Part("", note_html(f"({words})")))]
        self._growing, self._has_news = None, False
        self._attempt = Parts(self._form, sum(len(each.text) for each in self._attempts))
        self._answer = self._attempt
        self._attempts.append(self._attempt)
        self._show()

    def _link(self) -> None:
        """Put links into the parts above whose addresses came below them."""
        shown = [
            (output, number)
            for output in self._outputs
            for number, segment in enumerate(output.segments)
            if segment.attempt is self._attempt
        ]
        for (output, number), part in zip(shown, self._attempt.linked(), strict=False):
            if part is not None:
                output.segments[number] = _Segment(part, self._attempt)

    def _bundle(self, segments: list[_Segment]) -> Bundle:
        """Put together what an output shows; its text is the answer's alone when that is known."""
        html = plain = ""
        for segment in segments:
            is_other = segment.attempt not in (None, self._answer)
            html += BROKEN_OFF.format(segment.part.html) if is_other else segment.part.html
            plain += "" if is_other and self._is_over else segment.part.text
        return {"text/html": html, "text/plain": plain}

    def _spend(self, size: int) -> None:
        """Let the next update come when there is time for it."""
        if size:
            now_s = self._clock.now()
            self._paid_s = max(now_s, self._paid_s) + size / MOST_PER_S
            self._next_s = max(now_s + SHORTEST_S, self._paid_s - AHEAD_S)
