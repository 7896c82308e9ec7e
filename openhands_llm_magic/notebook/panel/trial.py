"""The Test button: a tiny prompt under the settings shown, told step by step."""

from __future__ import annotations

import contextvars
import math
import threading
from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.llm.events import Done, Failed, Retrying, Waiting
from openhands_llm_magic.llm.retry import SYSTEM_CLOCK
from openhands_llm_magic.llm.trial import Step, Trial
from openhands_llm_magic.notebook.panel.parts import Message, Section, Workbench

if TYPE_CHECKING:
    from openhands_llm_magic.llm.events import Event, Reply
    from openhands_llm_magic.llm.retry import Clock
    from openhands_llm_magic.llm.trial import StepName
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

THREAD = "test of the settings"
"""The name of a test's thread."""

SET_BY = {"server": "as the server asks", "policy": "by the retry policy"}


class TrialSection(Section):
    """Runs a `Trial` on a thread of its own, which does nothing but set the value of a widget.

    Args:
        bench: What the sections share.
        clock: Measures and makes waits; None means the system's.
    """

    def __init__(self, bench: Workbench, clock: Clock | None = None) -> None:
        self._bench = bench
        self._clock = clock or SYSTEM_CLOCK
        self._trial: Trial | None = None
        self._message = Message(bench)
        self._steps = bench.html("llm-steps")
        say, tell = bench.say, self._message.tell
        told = say("Sends a tiny prompt with the settings shown here")
        buttons = [
            bench.button("Test", self.start, tell, tip=told, style="primary"),
            bench.button("Stop", self.stop, tell, tip=say("Stop the test")),
        ]
        parts = [
            bench.heading("Test"),
            bench.box(buttons, "llm-row", "llm-trial"),
            self._steps,
            self._message.widget,
        ]
        self.box = bench.box(parts)

    def start(self) -> None:
        """Begin a test, in place of one that still runs.

        Raises:
            SettingError: A value was refused.
        """
        self.stop()
        self._message.note("")
        trial = self._trial = Trial(self._bench.settings(), self._clock)
        # ipykernel knows by the context where output would belong: to this click, not to a cell.
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(self._watch, trial), daemon=True)
        thread.name = THREAD
        thread.start()

    def stop(self) -> None:
        """Stop the test, if one runs."""
        if self._trial is not None:
            self._trial.stop()

    def _watch(self, trial: Trial) -> None:
        log = TrialLog(self._bench.say)
        for event in trial.run():
            log.add(event)
            if self._trial is trial:
                self._steps.value = log.html
        if self._trial is trial:
            log.end(trial.reply)
            self._steps.value = log.html


class TrialLog:
    """What a test has shown so far, as HTML.

    Args:
        say: Translates its words.
    """

    def __init__(self, say: Language) -> None:
        self._say = say
        self._steps: dict[StepName, Step] = {}
        self._line = ""
        self._ended = ""

    def add(self, event: Step | Event) -> None:
        """Take in the next event."""
        match event:
            case Step():
                self._steps[event.name] = event
            case Waiting(retrying, remaining_s):
                self._line = wait_words(retrying, remaining_s, self._say)
            case Retrying() | Done() | Failed():
                self._line = ""
            case _:
                pass

    def end(self, reply: Reply) -> None:
        """Add what came of it."""
        if reply.error is not None:
            text = f"{self._say(reply.error.label)}: {reply.error}"
            self._ended = f'<div role="alert" class="llm-error">{escape(text)}</div>'
            return
        told = [self._say("It works."), self._say("Answer: {text}", text=reply.text.strip()[:80])]
        if reply.usage:
            told.append(self._say("{count} tokens", count=reply.usage.total_tokens))
        cost = "Cost: not known" if reply.cost_usd is None else "Cost: ${cost}"
        told.append(self._say(cost, cost=f"{reply.cost_usd or 0:.6f}"))
        self._ended = f'<div role="status" class="llm-good">{escape(" · ".join(told))}</div>'

    @property
    def html(self) -> str:
        """All of it."""
        rows = "".join(map(self._row, self._steps.values()))
        line = f"<div>{escape(self._line)}</div>" if self._line else ""
        return f"<table>{rows}</table>{line}{self._ended}"

    def _row(self, step: Step) -> str:
        title = self._say(TITLES[step.name])
        took = ""
        if step.state in ("done", "failed"):
            took = self._say("{seconds} s", seconds=f"{step.took_s:.2f}")
        detail = step.detail
        if step.state == "skipped":
            detail = self._say(SKIPPED.get(step.name, ""))
        cells = [MARKS[step.state], title, took, detail]
        return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def wait_words(retrying: Retrying, remaining_s: float, say: Language) -> str:
    """Write a wait as it is counted down."""
    fault = retrying.caused_by
    label = say(fault.label) + (f" ({fault.status})" if fault.status else "")
    return say(
        "{fault}: retry {retry} of {of} in {seconds} s, {set_by}",
        fault=label,
        retry=retrying.retry,
        of=retrying.of,
        seconds=math.ceil(remaining_s),
        set_by=say(SET_BY[retrying.set_by]),
    )
