"""What a server's refusals say about its limit. Pure arithmetic on times of sending, in seconds.

Two kinds of limit are told apart. A *steady* one lets `rate` requests a second through and saves
up to `burst` of them in a pause, like a token bucket. A *windowed* one lets so many through in a
minute, then none until the minute is over. A steady limit refuses for 1 / rate at most, so one that
refuses for longer counts minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE_S = 60.0
SHORTEST_S = 0.05
"""Times below this are not told apart: a rate of one request in no time means nothing."""

JITTER_S = 0.02
"""How much earlier a request may have arrived than it seems, next to the one after it."""

WINDOW_FACTOR = 2.0
WINDOW_CLOSED_S = 3.0
LONGEST_WINDOW_S = MINUTE_S + 1
"""A limit counts minutes if it refused for twice as long as a steady one can, and so long; but one
that refuses for more than a minute counts something else, such as hours."""

BURST = 2.0
"""A burst from so many on counts as one."""

LOOKED_AT = 500
"""How many of the newest requests are looked at one by one."""

SLOWEST = 1 / MINUTE_S
"""Nobody is made to wait for longer than a minute, unless by the server's word."""

MOST_KNOWN = 4.0
"""What the rate known before weighs beside a new one, at most; more would be slow to unlearn."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The requests between two refusals.

    Attributes:
        sent_s: When those that were accepted were sent.
        began_s: When the server took requests again after the first of the two refusals.
        ended_s: When it takes them again after the second.
        closed_s: For how long the longer one of the refusals lasted, at least.
        blur_s: How far its length may be off; 0 for by one request, as when no wait was named.
        minute: How many requests were accepted in the minute before `ended_s`.
    """

    sent_s: Sequence[float]
    began_s: float
    ended_s: float
    closed_s: float = 0.0
    blur_s: float = 0.0
    minute: int = 0

    @property
    def length_s(self) -> float:
        """From one refusal to the other."""
        return max(self.ended_s - self.began_s, SHORTEST_S)


@dataclass(frozen=True, slots=True)
class Reading:
    """A limit as far as it is known.

    Attributes:
        rate: Requests a second that it lets through in the long run.
        burst: Requests that it lets through at once after a pause.
        weight: How many accepted requests the rate was read from; 0 for one that is a guess.
        window: Requests in a minute for a limit that counts minutes; None for a steady one.
    """

    rate: float
    burst: float = 1.0
    weight: float = 0.0
    window: int | None = None

    @property
    def is_guess(self) -> bool:
        """Whether the rate may be what a full bucket held; that of one request cannot be."""
        return not self.weight and self.burst >= BURST


def first_reading(opening: Stretch) -> Reading:
    """Read the first refusal. What a full bucket held counts as rate, so it may be far too high."""
    accepted = max(1, len(opening.sent_s))
    rate = accepted / min(opening.length_s, MINUTE_S)
    weight = MOST_KNOWN if opening.length_s >= 0.9 * MINUTE_S else 0.0
    return Reading(rate, burst_of(opening.sent_s, rate), weight)


def next_reading(before: Reading, stretch: Stretch, opening_s: Sequence[float]) -> Reading:
    """Read another refusal.

    Args:
        before: What the refusals before it say.
        stretch: What was accepted since the last of them.
        opening_s: What was accepted before the first: it shows what goes at once after a pause.
    """
    accepted = max(1, len(stretch.sent_s))
    rate = max(accepted / stretch.length_s, SLOWEST)
    telling = stretch.blur_s > 0 or stretch.length_s >= MINUTE_S / 2
    long_s = max(WINDOW_CLOSED_S, WINDOW_FACTOR / rate)
    windowed = before.window is not None or (telling and stretch.closed_s >= long_s)
    if windowed and stretch.closed_s <= LONGEST_WINDOW_S:
        steady = int(rate * MINUTE_S) if stretch.length_s >= 0.9 * MINUTE_S else 1
        return Reading(rate, burst_of(opening_s, rate), window=max(1, stretch.minute, steady))
    known = min(before.weight, MOST_KNOWN)
    new = stretch.length_s / (stretch.blur_s or 1 / rate)
    rate = (known * before.rate + new * rate) / (known + new)
    # A server that saves nothing loses what is asked of it too late: then the mean is too low.
    sent_s = stretch.sent_s[-LOOKED_AT:]
    rate = max(rate, slowest_rate(sent_s, before.burst))
    if stretch.blur_s:  # it named the wait, and would have taken one more at its end
        one_more = (accepted + 1) / stretch.length_s
        rate = max(rate, min(one_more, slowest_rate([*sent_s, stretch.ended_s], before.burst)))
    # What went at even distances is no burst only because the server now seems slower.
    fastest = rate if before.is_guess else max(rate, before.rate)
    return Reading(rate, burst_of(opening_s, fastest), known + accepted)


def burst_of(sent_s: Sequence[float], rate: float) -> float:
    """Give how many of these requests a bucket must have saved that refills at `rate`."""
    level = most = 1.0
    for before_s, after_s in pairwise(sent_s):
        level = max(0.0, level - (after_s - before_s) * rate) + 1
        most = max(most, level)
    return most


def slowest_rate(sent_s: Sequence[float], burst: float) -> float:
    """Give the slowest rate at which a bucket that saves `burst` lets these requests through."""
    low, high = 0.0, 1 / SHORTEST_S
    if burst_of(sent_s, low) <= burst:
        return 0.0
    while high - low > high / 1000:
        middle = (low + high) / 2
        if burst_of(sent_s, middle) <= burst + middle * JITTER_S:
            high = middle
        else:
            low = middle
    return high
