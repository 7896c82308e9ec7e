"""The short texts about waits: a countdown while one lasts, and a note when it is over."""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.explain import THROTTLED_BY
from openhands_llm_magic.notebook.language import cell_words

if TYPE_CHECKING:
    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.events import Reply, Retrying, Throttled

SET_BY = {
    "server": "as the server asks",
    "policy": "by the retry policy",
}

CUT_OFF = {
    "length": "cut off at the limit of the answer's tokens: raise max_output_tokens, if it is set",
    "content_filter": "cut off by the provider's content filter",
}
"""What is said of an answer with text, by its finish_reason."""


BAR_WIDTH = 10
"""Characters of the bar of a wait."""

TOLD_FROM_S = 0.5
"""Seconds for which a request is held back that are told."""

NOTED_FROM_S = 1.0
"""Seconds for which a request was held back that are worth a note."""

MOST_SAID = 160
"""Characters of a server's words that are shown during a wait."""


def seconds(duration_s: float, say: Say | None = None) -> str:
    """Write a duration with its unit, to a tenth of a second."""
    return (say or cell_words())("{seconds} s", seconds=f"{round(duration_s, 1):g}")


def usd(amount_usd: float) -> str:
    """Write an amount of US dollars to the cent, and a small one to the two digits that count."""
    cents = f"{amount_usd:.2f}"
    digits = f"{Decimal(f'{amount_usd:.2g}'):f}"
    return f"${digits if len(digits) > len(cents) and amount_usd < 1 else cents}"


def countdown_words(retrying: Retrying, remaining_s: float, say: Say | None = None) -> str:
    """Write a wait as it is counted down.

    Example: "Rate limit (429): retry 1 of 4 in 3 s, as the server asks".
    """
    say = say or cell_words()
    fault = retrying.caused_by
    told = say(fault.label).removeprefix("a ")
    what = told[:1].upper() + told[1:] + (f" ({fault.status})" if fault.status else "")
    if remaining_s <= 0:
        asking = "{fault}: retry {retry} of {of}, asking again …"
        return say(asking, fault=what, retry=retrying.retry, of=retrying.of)
    return say(
        "{fault}: retry {retry} of {of} in {seconds} s, {set_by}",
        fault=what,
        retry=retrying.retry,
        of=retrying.of,
        seconds=math.ceil(remaining_s),
        set_by=say(SET_BY[retrying.set_by]),
    )


def throttled_words(held: Throttled, say: Say | None = None) -> str:
    """Write for how long a request is held back, and why; a moment is not worth a word."""
    say = say or cell_words()
    if held.remaining_s < TOLD_FROM_S:
        return say("asking …")
    left_s = math.ceil(held.remaining_s)
    return say("Held back for {seconds} s, {why}", seconds=left_s, why=say(THROTTLED_BY[held.by]))


def again_words() -> str:
    """Write what stands between a partial answer, which stays where it is, and the next one."""
    return cell_words()("the answer broke off; asking again")


def correcting_words(problem: str) -> str:
    """Write what stands between an answer that did not fit, and the next."""
    return cell_words()("the answer did not fit ({problem}); asking once more", problem=problem)


def bar(retrying: Retrying, remaining_s: float) -> str:
    """Draw how much of a wait is over, as in "▰▰▰▱▱▱▱▱▱▱"."""
    share = remaining_s / retrying.wait_s if retrying.wait_s > 0 else 0.0
    left = math.ceil(BAR_WIDTH * min(max(share, 0.0), 1.0))
    return "▰" * (BAR_WIDTH - left) + "▱" * left


def said_words(retrying: Retrying, say: Say | None = None) -> str:
    """Return what the server said about the fault, in short, on one line."""
    told = retrying.caused_by.text.worded(say or cell_words())
    return shorten(" ".join(told.split()), MOST_SAID)


def note_words(reply: Reply) -> str:
    """Write the note that stays: how the answer was cut off, and what was waited for.

    Example: "waited 12 s for a rate limit, 2 retries". There is none for an answer as it should be.
    """
    say = cell_words()
    notes = [note.worded(say) if isinstance(note, Text) else note for note in reply.notes]
    if reply.error is None and reply.finish_reason in CUT_OFF:
        notes.append(say(CUT_OFF[reply.finish_reason]))
    if reply.throttled_s >= NOTED_FROM_S:
        notes.append(say("held back {duration}", duration=seconds(reply.throttled_s, say)))
    return "; ".join(filter(None, [*notes, waits_words(reply, say)]))


def waits_words(reply: Reply, say: Say) -> str:
    """Write what was waited for between attempts, or "" where nothing was."""
    if not reply.waits:
        return ""
    waited: defaultdict[str, float] = defaultdict(float)
    for wait in reply.waits:
        waited[wait.caused_by.label] += wait.wait_s
    causes = say(" and ").join(
        say("{duration} for {fault}", duration=seconds(wait_s, say), fault=say(label))
        for label, wait_s in waited.items()
    )
    if len(reply.waits) == 1:
        return say("waited {causes}, 1 retry", causes=causes)
    return say("waited {causes}, {count} retries", causes=causes, count=len(reply.waits))
