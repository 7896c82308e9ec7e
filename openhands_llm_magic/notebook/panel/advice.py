"""What to set so that retries outlast the waits that a server was seen to ask for."""

from __future__ import annotations

import contextvars
import itertools
import threading
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError
from openhands_llm_magic.llm.limits import seen
from openhands_llm_magic.llm.limits.advice import (
    NO_RETRY_HELPS,
    Advice,
    advice,
    early_end,
    gives_up,
    lasting,
)
from openhands_llm_magic.notebook.language import worded
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.limits.advice import Schedule
    from openhands_llm_magic.llm.spending.attempt import Attempt
    from openhands_llm_magic.notebook.language import Language

THREAD = "reading of earlier waits"
"""The name of the thread that reads the ledger."""

DRAWN = 4.0
"""How many times as long as what was seen a drawn schedule is at most."""


class AdviceSection(Section):
    """Says which retries would outlast what was seen, draws both schedules, and sets the values.

    What the ledger has of earlier days is read on a thread, once for each server and model.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._place: tuple[str, str | None, str | None] | None = None
        self._earlier: list[Attempt] = []
        self._made: Advice | None = None
        self._lock = threading.Lock()  # of the server in place and what is known of it
        self._message = bench.message()
        self._shown = bench.html("llm-advice")
        tip = bench.say("Put these values into the fields above")
        self._use = bench.button("Use this", self._set, self._message.tell, tip=tip)
        self._row = bench.box([self._use], "llm-row")
        self.box = bench.box([self._shown, self._row, self._message.widget])

    def refresh(self, settings: Snapshot) -> None:
        """Show what to set, by what this session has seen and by what is known of earlier ones."""
        place = (settings.model, settings.base_url, settings.custom_llm_provider)
        with self._lock:
            if place != self._place:
                self._place, self._earlier = place, []
                run = contextvars.copy_context().run  # no output of it belongs to a cell
                args = (self._read, settings, place)
                threading.Thread(target=run, args=args, name=THREAD, daemon=True).start()
        self._show(settings)

    def _read(self, settings: Snapshot, place: tuple[str, str | None, str | None]) -> None:
        """Read what earlier sessions have seen, on the thread."""
        earlier = seen.on_recent_days(settings)
        with self._bench.lock, suppress(LLMMagicError):  # the file or the group is gone
            if earlier and self._place == place:
                self._earlier = earlier
                self._show(self._bench.draft.snapshot())

    def _show(self, settings: Snapshot) -> None:
        found = seen.seen_in([*seen.in_session(settings), *self._earlier])
        self._made = made = advice(settings, found)
        say = self._bench.say
        lines, drawn = [], ""
        if made is not None and made.values:
            lines = [gives_up(made).worded(say), self._outlasts(made)]
            lines += [each.worded(self._bench.errors) for each in early_end(made)]
            drawn = drawing(made, say)
        if found.is_closed:
            lines.append(say(NO_RETRY_HELPS))
        words = "".join(f"<div>{escape(line)}</div>" for line in lines)
        self._shown.value = f'<div role="status">{words}</div>{drawn}' if lines else ""
        show_if(self._row, drawn)

    def _outlasts(self, made: Advice) -> str:
        """Say what to set, with settings by the titles of their fields."""
        say = self._bench.say
        values = [f"{say(SETTINGS[name].title)} = {it:g}" for name, it in made.values.items()]
        told = "{values} would outlast it: they give up after {waits}."
        return say(told, values=say(", ").join(values), waits=lasting(made).worded(say))

    def _set(self) -> None:
        """Put the values into the fields; they are in force once the person applies them."""
        if self._made is not None:
            for name, value in self._made.values.items():
                self._bench.draft.edit(name, value)
            self._message.note(self._bench.say("The values are in the fields above."))


def drawing(made: Advice, say: Language) -> str:
    """Draw when each makes its attempts, now and with what is advised, beside what was seen."""
    wait_s = made.seen.longest_s or 0.0
    longest_s = max(each.gives_up_s for each in (*made.now, *made.then))
    scale_s = min(max(longest_s, wait_s), DRAWN * wait_s)
    titles = worded([each.title for each in made.now], say)
    rows = "".join(
        f"<tr><th>{escape(title)}</th>"
        f"<td>{_track(now, wait_s, scale_s)}</td><td>{_track(then, wait_s, scale_s)}</td></tr>"
        for title, now, then in zip(titles, made.now, made.then, strict=True)
    )
    heads = f"<tr><th></th><th>{escape(say('now'))}</th><th>{escape(say('with these values'))}</th>"
    told = say("Each tick is an attempt, and the dark part is the wait that was seen.")
    return f'<table aria-hidden="true">{heads}</tr>{rows}</table><div>{escape(told)}</div>'


def _track(each: Schedule, wait_s: float, scale_s: float) -> str:
    """Draw the attempts of a schedule as ticks; what was seen is a shade behind them."""
    past_s = [0.0, *itertools.accumulate(each.waits_s)]
    ticks = "".join(
        f'<b class="{"llm-late" if at_s > wait_s else "llm-vain"}"'
        f' style="left:{100 * at_s / scale_s:.1f}%"></b>'
        for at_s in past_s
        if at_s <= scale_s
    )
    return (
        f'<div class="llm-track"><i style="width:{100 * wait_s / scale_s:.1f}%"></i>{ticks}</div>'
    )
