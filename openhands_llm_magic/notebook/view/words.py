"""The short texts about waits: a countdown while one lasts, and a note when it is over."""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.llm.explain import HELD_BY

if TYPE_CHECKING:
    from openhands_llm_magic.llm.events import Held, Retrying
    from openhands_llm_magic.llm.reply import Reply

SET_BY = {
    "server": "as the server asks",
    "policy": "by the retry policy",
}

CUT_OFF = {
    "length": "cut off at the limit of the answer's tokens: raise max_output_tokens, if it is set",
    "content_filter": "cut off by the provider's content filter",
}
"""What is said of an answer with text, by its finish_reason."""

AGAIN = "the answer broke off; asking again"
"""Stands between a partial answer, which stays where it is, and the next attempt's."""


BAR_WIDTH = 10
"""Characters of the bar of a wait."""

TOLD_FROM_S = 0.5
"""Seconds for which a request is held back that are told."""

NOTED_FROM_S = 1.0
"""Seconds for which a request was held back that are worth a note."""

MOST_SAID = 160
"""Characters of a server's words that are shown during a wait."""


def seconds(duration_s: float) -> str:
    """Write a duration with its unit, to a tenth of a second."""
    return f"{round(duration_s, 1):g} s"


def usd(amount_usd: float) -> str:
    """Write an amount of US dollars to the cent, and a small one to the two digits that count."""
    cents = f"{amount_usd:.2f}"
    digits = f"{Decimal(f'{amount_usd:.2g}'):f}"
    return f"${digits if len(digits) > len(cents) and amount_usd < 1 else cents}"


def countdown_words(retrying: Retrying, remaining_s: float) -> str:
    """Write a wait as it is counted down.

    Example: "Rate limit (429): retry 1 of 4 in 3 s, as the server asks".
    """
    fault = retrying.caused_by
    status = f" ({fault.status})" if fault.status else ""
    what = fault.label.removeprefix("a ").capitalize()
    retry = f"{what}{status}: retry {retrying.retry} of {retrying.of}"
    if remaining_s <= 0:
        return f"{retry}, asking again …"
    return f"{retry} in {math.ceil(remaining_s)} s, {SET_BY[retrying.set_by]}"


def held_words(held: Held) -> str:
    """Write for how long a request is held back, and why; a moment is not worth a word."""
    if held.remaining_s < TOLD_FROM_S:
        return "asking …"
    return f"Held back for {math.ceil(held.remaining_s)} s, {HELD_BY[held.by]}"


def correcting_words(problem: str) -> str:
    """Write what stands between an answer that did not fit, and the next."""
    return f"the answer did not fit ({problem}); asking once more"


def bar(retrying: Retrying, remaining_s: float) -> str:
    """Draw how much of a wait is over, as in "▰▰▰▱▱▱▱▱▱▱"."""
    share = remaining_s / retrying.wait_s if retrying.wait_s > 0 else 0.0
    left = math.ceil(BAR_WIDTH * min(max(share, 0.0), 1.0))
    return "▰" * (BAR_WIDTH - left) + "▱" * left


def said_words(retrying: Retrying) -> str:
    """Give the server's own words about the fault, in short, on one line."""
    return shorten(" ".join(str(retrying.caused_by).split()), MOST_SAID)


def note_words(reply: Reply) -> str:
    """Write the note that stays: how the answer was cut off, and what was waited for.

    Example: "waited 12 s for a rate limit, 2 retries". There is none for an answer as it should be.
    """
    cut = CUT_OFF.get(reply.finish_reason or "") if reply.error is None else None
    held = f"held back {seconds(reply.held_s)}" if reply.held_s >= NOTED_FROM_S else None
    return "; ".join(note for note in (*reply.notes, cut, held, _waits_words(reply)) if note)


def _waits_words(reply: Reply) -> str:
    if not reply.waits:
        return ""
    waited: defaultdict[str, float] = defaultdict(float)
    for wait in reply.waits:
        waited[wait.caused_by.label] += wait.wait_s
    causes = " and ".join(f"{seconds(wait_s)} for {label}" for label, wait_s in waited.items())
    retries = len(reply.waits)
    return f"waited {causes}, {retries} {'retry' if retries == 1 else 'retries'}"
