"""The retry policy, with the waits that it makes."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.config.schedule import openhands_wait_s, our_wait_s
from openhands_llm_magic.notebook.panel.parts import Section, Workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.notebook.language import Language
    from openhands_llm_magic.notebook.panel.field import Field

NAMES = ("num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier")

MOST_SHOWN = 8
"""Waits that are listed and drawn; the others are counted."""

MOST_ADDED = 1_000
"""Waits whose sum is told."""


class Retries(Section):
    """The four settings of the policy, and what they make of a rate limit.

    Args:
        bench: What the sections share.
        field: Gives a setting's field.
    """

    def __init__(self, bench: Workbench, field: Callable[[str], Field]) -> None:
        self._say = bench.say
        self._preview = bench.html("llm-preview")
        fields = bench.box([field(name).box for name in NAMES], "llm-pairs")
        self.box = bench.box([bench.heading("Retries"), self._preview, fields])

    def refresh(self, settings: Snapshot) -> None:
        """Show the waits before each retry, here and in OpenHands."""
        count, most = settings.num_retries, MOST_ADDED + 1
        ours_s = [our_wait_s(settings, retry) for retry in range(1, min(count, most) + 1)]
        # OpenHands takes num_retries for the number of attempts.
        theirs_s = [
            openhands_wait_s(settings, retry) for retry in range(1, min(count - 1, most) + 1)
        ]
        lines = [schedule_words(ours_s, self._say)]
        if ours_s != theirs_s:
            told = "OpenHands itself counts attempts, not retries. It would do: {schedule}"
            lines.append(self._say(told, schedule=schedule_words(theirs_s, self._say)))
        self._preview.value = _bar(ours_s) + "".join(f"<div>{escape(line)}</div>" for line in lines)


def schedule_words(waits_s: Sequence[float], say: Language) -> str:
    """Write the waits, as in "5 s, 10 s, 20 s, 30 s: gives up after 65 s"."""
    if not waits_s:
        return say("no retry: gives up at the first failure")
    listed = [say("{seconds} s", seconds=f"{wait_s:g}") for wait_s in waits_s[:MOST_SHOWN]]
    if len(waits_s) > MOST_ADDED:
        return say(
            "{waits} … more than {count} retries", waits=say(", ").join(listed), count=MOST_ADDED
        )
    if len(waits_s) > MOST_SHOWN:
        listed.append(say("… ({count} retries)", count=len(waits_s)))
    total = f"{sum(waits_s):g}"
    return say("{waits}: gives up after {total} s", waits=say(", ").join(listed), total=total)


def _bar(waits_s: Sequence[float]) -> str:
    """Draw the waits in proportion, with the attempts between them."""
    shown_s = waits_s[:MOST_SHOWN]
    waits = "".join(f'<i style="flex-grow:{wait_s:g}"></i><b></b>' for wait_s in shown_s)
    return f'<div class="llm-bar" aria-hidden="true"><b></b>{waits}</div>'
