"""A test of the settings in words: its steps, its waits, and what came of it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import ThrottledError, TransientError
from openhands_llm_magic.llm.connection import Step
from openhands_llm_magic.llm.events import Throttled, Waiting
from openhands_llm_magic.notebook import wording

if TYPE_CHECKING:
    from openhands_llm_magic.errors import RequestError
    from openhands_llm_magic.llm.connection import StepName
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.notebook.language import Language

TITLES: dict[StepName, str] = {
    "key": "Key",
    "address": "Address",
    "litellm": "Loading LiteLLM",
    "request": "Request",
    "first_token": "First token",
    "answer": "Answer",
}

MARKS = {"running": "…", "done": "✓", "failed": "✗", "skipped": "·"}

SKIPPED: dict[StepName, str] = {
    "key": "not asked for",
    "address": "not looked up",
    "litellm": "loaded already",
    "first_token": "no text",
}
"""Why a step is not taken."""

GOOD = 'role="status" class="llm-good"'
ERROR = 'role="alert" class="llm-error"'
PASSING = 'role="alert" class="llm-error llm-passing"'
"""How a fault is marked that another attempt may not meet."""

MOST_SHOWN = 80
"""Characters of the answer that are shown."""


class ConnectionLog:
    """What a test of the settings has shown so far, in the language of `say`."""

    def __init__(self, say: Language) -> None:
        self._say = say
        self._steps: dict[StepName, Step] = {}
        self._wait = ""
        self._ended = ""

    def add(self, event: Step | Event) -> None:
        """Take in the next event."""
        match event:
            case Step():
                self._begin_again(event)
                self._steps[event.name] = event
                self._wait = ""
            case Waiting(retrying, remaining_s):
                counted = wording.countdown_words(retrying, remaining_s, self._say)
                self._wait = f"{counted} ({wording.said_words(retrying, self._say)})"
            case Throttled(remaining_s=remaining_s):
                told = remaining_s >= wording.TOLD_FROM_S
                self._wait = wording.throttled_words(event, self._say) if told else ""
            case _:
                pass

    def _begin_again(self, step: Step) -> None:
        """Forget the steps after one that begins once more, as with a retry."""
        if step.state == "running" and step.name in self._steps:
            names = list(self._steps)
            for name in names[names.index(step.name) + 1 :]:
                del self._steps[name]

    def end(self, reply: Reply) -> None:
        """Add what came of the test."""
        self._wait = ""
        kind = GOOD if reply.error is None else ERROR
        if may_pass(reply.error):
            kind = PASSING
        self._ended = f"<div {kind}>{escape(end_words(reply, self._say))}</div>"

    @property
    def html(self) -> str:
        """All that the test has shown, as HTML."""
        rows = (step_words(step, self._say) for step in self._steps.values())
        cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
        table = "".join(f"<tr>{row}</tr>" for row in cells)
        wait = f"<div>{escape(self._wait)}</div>" if self._wait else ""
        return f"<table>{table}</table>{wait}{self._ended}"


def may_pass(error: RequestError | None) -> bool:
    """Return whether another attempt may not meet the fault that a test has met."""
    return isinstance(error, TransientError | ThrottledError)


def step_words(step: Step, say: Language) -> list[str]:
    """Return a step's mark, title, time and detail."""
    took = ""
    if step.state in ("done", "failed"):
        took = say("{seconds} s", seconds=f"{step.took_s:.2f}")
    detail = say(SKIPPED.get(step.name, "")) if step.state == "skipped" else say(step.detail)
    return [MARKS[step.state], say(TITLES[step.name]), took, detail]


def end_words(reply: Reply, say: Language) -> str:
    """Say what came of a test: that it works and what it cost, or what to change."""
    if reply.error is not None:
        return reply.error.text.worded(say)
    answer = shorten(" ".join(reply.text.split()), MOST_SHOWN)
    told = [say("It works."), say("Answer: {text}", text=answer)]
    if reply.waits:
        told.append(wording.waits_words(reply, say))
    if reply.usage:
        told.append(say("{count} tokens", count=reply.usage.total_tokens))
    return " · ".join([*told, wording.cost_words(reply, say)])
