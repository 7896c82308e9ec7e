"""What a request is doing, in words with seconds that count up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic.llm.events import (
    Accepted,
    Correcting,
    Event,
    Loading,
    ReasoningDelta,
    Sending,
    TextDelta,
    Throttled,
    Waiting,
)
from openhands_llm_magic.notebook.language import cell_words
from openhands_llm_magic.notebook.view.words import (
    TOLD_FROM_S,
    bar,
    countdown_words,
    said_words,
    throttled_words,
)

if TYPE_CHECKING:
    from openhands_llm_magic.llm.events import ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock

AT_ONCE_S = 0.5
"""A step that takes no longer is not shown; for most requests that is each of them."""

QUIET_S = 2.0
"""Seconds without text after which that is said."""


class Progress:
    """Follows the events of a request.

    Args:
        model: The model that is asked.
        clock: Counts the seconds.

    Attributes:
        said: The server's own words about a fault that is waited for, or "".
        done: How much of the work is done, which stands in front of each step, or "".
    """

    def __init__(self, model: str, clock: Clock) -> None:
        self._clock = clock
        self._say = say = cell_words()
        self._asking = say("asking {model}", model=model)
        self._what = self._fixed = self._before = self.said = self.done = ""
        self._began_s = clock.now()
        self._thinking: ReplyBuilder | None = None
        self._thought = (0, "")  # at which second
        self._begin(self._asking)

    def see(self, event: Event, builder: ReplyBuilder) -> None:
        """Take in the next event."""
        match event:
            case TextDelta():
                self._see_text()
            case ReasoningDelta():
                self._see_thought(builder)
            case Loading():
                self._begin(self._say("loading LiteLLM"))
            case Sending(model, host):
                self._begin(self._say("connecting to {host}", host=host or model))
            case Accepted():
                self._begin(self._say("waiting for the first token"))
            case Throttled():
                self._see_held(event)
            case Waiting(retrying, remaining_s):
                counted = countdown_words(retrying, remaining_s)
                self._fix(f"{counted} {bar(retrying, remaining_s)}", said_words(retrying))
            case Correcting():
                self._begin(self._asking)
            case _:
                pass

    def _see_text(self) -> None:
        if self._what:
            self._begin("")
        self._began_s = self._clock.now()

    def _see_thought(self, builder: ReplyBuilder) -> None:
        if self._thinking is None:
            self._begin(self._say("thinking"))
            self._thinking = builder

    def _see_held(self, held: Throttled) -> None:
        if held.remaining_s >= TOLD_FROM_S:
            self._fix(throttled_words(held))
        elif self._fixed:
            self._begin(self._asking)

    def _fix(self, words: str, said: str = "") -> None:
        """Take words that stand until something else happens."""
        self._begin(words)
        self._fixed, self.said = words, said

    def _begin(self, what: str) -> None:
        self._before = self._step
        self._what, self._began_s = what, self._clock.now()
        self._fixed = self.said = ""
        self._thinking = None

    @property
    def words(self) -> str:
        """What is to be shown now; "" while text comes."""
        return " · ".join(filter(None, (self.done, self._step)))

    @property
    def _step(self) -> str:
        if self._fixed:
            return self._fixed
        lasted_s = self._clock.now() - self._began_s
        second = int(lasted_s)
        if not self._what:
            return (
                self._say("… nothing for {seconds} s", seconds=second)
                if lasted_s >= QUIET_S
                else ""
            )
        if self._before and lasted_s < AT_ONCE_S:
            return self._before
        if self._thinking is not None:
            if self._thought[0] != second or not self._thought[1]:  # counting takes a while
                count = f"{self._thinking.words_thought:,}"
                self._thought = second, self._say("thinking … {count} words", count=count)
            return self._thought[1]
        if not second:
            return f"{self._what} …"
        return self._say("{what} … {seconds} s", what=self._what, seconds=second)
