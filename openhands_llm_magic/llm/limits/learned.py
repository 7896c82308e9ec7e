"""How fast a server takes requests, learned from its refusals alone.

At first a few requests go at once, and two more for each that the server accepts; nothing else is
held back before the first refusal. A refusal closes for as long as the server says, or for a while.
Then requests go one by one and soon more at once, at the rate that the server has been seen to take
(`Reading`); the rate then grows, slowly near what is known and faster further away, until the
server refuses again. After some minutes without a request all is forgotten.

Two kinds of limit are told apart. A *steady* one lets `rate` requests a second through and saves
up to `burst` of them in a pause, like a token bucket. A *windowed* one lets so many through in a
minute, then none until the minute is over. A steady limit refuses for 1 / rate at most, so one that
refuses for longer counts minutes.

Pure: no clock of its own, no lock. All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections import deque
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
        """Seconds from one refusal to the other."""
        return max(self.ended_s - self.began_s, SHORTEST_S)


@dataclass(frozen=True, slots=True)
class Reading:
    """A server's limit, as far as its refusals have told.

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
    """Return what a server's limit is, after a further refusal.

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
    """Return how many of these requests a bucket must have saved that refills at `rate`."""
    level = most = 1.0
    for before_s, after_s in pairwise(sent_s):
        level = max(0.0, level - (after_s - before_s) * rate) + 1
        most = max(most, level)
    return most


def slowest_rate(sent_s: Sequence[float], burst: float) -> float:
    """Return the slowest rate at which a bucket that saves `burst` lets these requests through."""
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


FORGET_S = 300.0
"""What is known of a limit is forgotten after so long without a request."""

HISTORY_S = 600.0
"""How long accepted requests are remembered, once there was a refusal; before it, a minute."""

UNREFUSED_S = 1.0
"""A request that was not refused for so long counts as accepted, for an answer may take its time;
or sooner, if refusals come sooner."""

FIRST_AT_ONCE = 6
"""Requests that may go before any is accepted: all of a burst would be refused together."""

POLL_S = 0.05
"""How soon to ask again when what to wait for is another request's fate."""

ROUNDING = 1e-6
"""Times and counts that differ by less are the same."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 32.0
"""The pauses that are made when the server names none; each in vain doubles the next."""

CAUTION = 0.985
GROWTH = 0.05
STEPS = 150.0
"""The pace is (`CAUTION` + `GROWTH` x (accepted / `STEPS`)^3) x the rate: the rate itself after 100
accepted requests, twice that after 400, and much sooner while the rate is a guess."""

FEW_WINDOWS = 4
"""A limit of so many a minute is tried with one more after four minutes, or `STEPS` requests."""

BLUR_S = 0.2
"""How exact a named wait is taken to be: it is about the next request, not the rate."""

WINDOW_MARGIN = 1.002
"""A minute is taken to be a little longer, because requests do not all travel equally long."""


@dataclass(slots=True)
class Stop:
    """A time in which the server takes nothing, from one refusal on.

    Attributes:
        began_s: When the first refusal came.
        told_s: When the newest one came. What was sent before then says nothing new.
        opens_s: When requests go again.
        resumes_s: When a request must be sent to find the server open, as far as it told.
        vain: How many requests tried in vain to find it open.
        named: Whether the server named the wait.
        margin_s: By how much the named wait may be too long: whole seconds are rounded up.
    """

    began_s: float
    told_s: float
    opens_s: float
    resumes_s: float
    vain: int = 0
    named: bool = False
    margin_s: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether the server named the wait to a fraction of a second."""
        return self.named and not self.margin_s

    @property
    def closed_s(self) -> float:
        """For how long the server took nothing, at least."""
        until_s = self.opens_s - self.margin_s if self.named else self.told_s
        return max(0.0, until_s - self.began_s)


class LearnedRate:
    """When the next request may go."""

    def __init__(self) -> None:
        self._sent_s: deque[float] = deque()  # all that were not refused
        self._last_s = 0.0
        self._forget()

    def _forget(self) -> None:
        self._known: tuple[Stop, Reading] | None = None
        self._before: tuple[Stop, Reading] | None = None
        self._opening_s: list[float] = []
        self._opens_s = -math.inf
        self._at_once = FIRST_AT_ONCE
        self._unrefused_s = UNREFUSED_S
        self._unsure_s: deque[float] = deque()
        self._level = 0.0
        self._level_at_s = 0.0
        self._grown = 0
        self._held_back = True
        self._allowed = 1

    def wait_s(self, now_s: float, ahead: int = 0) -> float:
        """Return the seconds until a request may go, when `ahead` others go before it."""
        if now_s > max(self._last_s, self._opens_s) + FORGET_S:
            self._forget()
        closed_s = self.closed_s(now_s)
        wait_s = 0.0
        if self._known is not None:
            stop, reading = self._known
            growth = self._growth(stop, reading)
            if reading.window is None:
                rate = reading.rate * (CAUTION + GROWTH * growth)
                wait_s = self._until_refilled_s(now_s + closed_s, ahead, rate, reading.burst)
            else:
                self._allowed = reading.window + int(max(1, GROWTH * reading.window) * growth)
                wait_s = self._until_minute_over_s(now_s + closed_s, ahead)
        if not wait_s and not self._may_try_another(now_s):
            wait_s = POLL_S
        return closed_s + wait_s

    def closed_s(self, now_s: float) -> float:
        """Return the seconds for which nobody may ask, because the server refused."""
        return max(0.0, self._opens_s - now_s)

    def _growth(self, stop: Stop, reading: Reading) -> float:
        steps = STEPS
        if reading.window is not None:
            steps = min(STEPS, FEW_WINDOWS * reading.window)
        elif reading.is_guess or not stop.exact:
            steps = 1 / (1 / STEPS + max(1.0, reading.weight) ** -1.5)
        return (self._grown / steps) ** 3

    def _until_refilled_s(self, now_s: float, ahead: int, rate: float, burst: float) -> float:
        if (passed_s := now_s - self._level_at_s) > 0:
            full = max(burst, self._level)
            self._held_back = self._level + passed_s * rate <= full + 0.25
            self._level = min(full, self._level + passed_s * rate)
            self._level_at_s = now_s
        missing = 1 + ahead - self._level
        return missing / rate if missing > ROUNDING else 0.0

    def _until_minute_over_s(self, now_s: float, ahead: int) -> float:
        back = self._allowed - ahead % self._allowed
        if len(self._sent_s) < back:
            return 0.0
        return max(0.0, self._sent_s[-back] + MINUTE_S * WINDOW_MARGIN - now_s)

    def _may_try_another(self, now_s: float) -> bool:
        while self._unsure_s and self._unsure_s[0] + self._unrefused_s <= now_s:
            self.accepted(self._unsure_s[0])
        window = self._known[1].window if self._known else None
        beyond_known = window is not None and self._sent_within_minute(window, now_s)
        return len(self._unsure_s) < (1 if beyond_known else self._at_once)

    def _sent_within_minute(self, count: int, now_s: float) -> bool:
        return len(self._sent_s) >= count and self._sent_s[-count] > now_s - MINUTE_S

    def sent(self, now_s: float) -> None:
        """Note that a request is sent now."""
        self._last_s = now_s
        self._sent_s.append(now_s)
        kept_s = MINUTE_S if self._known is None else HISTORY_S
        while self._sent_s[0] < now_s - kept_s:
            self._sent_s.popleft()
        self._unsure_s.append(now_s)
        self._level -= 1
        self._grown += self._held_back  # what nobody waited for tries nothing out

    def accepted(self, sent_s: float) -> None:
        """Note that the request sent then was not refused."""
        if sent_s in self._unsure_s:
            self._unsure_s.remove(sent_s)
            self._at_once += 1

    def withdrawn(self, sent_s: float) -> None:
        """Forget the request sent then: nothing is known of its fate."""
        for times_s in (self._unsure_s, self._sent_s, self._opening_s):
            if sent_s in times_s:
                times_s.remove(sent_s)

    def hold(self, now_s: float, wait_s: float) -> None:
        """Let nothing go for some seconds; this says nothing about a limit."""
        self._opens_s = max(self._opens_s, now_s + wait_s)
        self._at_once = 1

    def refused(
        self,
        sent_s: float,
        now_s: float,
        named_s: float | None,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        """Note that the request sent then was refused, with the wait that the server named.

        Without one there is a pause of `longest_pause_s` at most.
        """
        self.withdrawn(sent_s)
        self._unrefused_s = min(UNREFUSED_S, POLL_S + 3 * (now_s - sent_s))
        if self._known is not None and sent_s <= self._known[0].told_s:
            stop, _ = self._known  # it was under way when the news came
            if named_s is not None:
                stop.opens_s = max(stop.opens_s, now_s + named_s)
                stop.resumes_s = max(stop.resumes_s, sent_s + named_s)
        else:
            stop = self._next_stop(sent_s, now_s, named_s, longest_pause_s)
        reading = self._read(stop)
        self._known = stop, reading
        self.hold(now_s, stop.opens_s - now_s)
        closed_s = stop.opens_s - stop.began_s if stop.named or stop.vain > 1 else 0.0
        self._level = max(1.0, min(reading.burst, reading.rate * closed_s))
        self._level_at_s = stop.opens_s
        self._grown = 0
        self._held_back = True

    def _next_stop(
        self, sent_s: float, now_s: float, named_s: float | None, longest_pause_s: float
    ) -> Stop:
        began_s, vain, pause_s = now_s, 0, FIRST_PAUSE_S
        resumes_s = now_s if named_s is None else sent_s + named_s
        if self._known is None:
            self._opening_s = [time_s for time_s in self._sent_s if time_s >= sent_s - MINUTE_S]
        elif any(time_s > self._known[0].told_s for time_s in self._sent_s):
            self._before = self._known
            pause_s = min(FIRST_PAUSE_S, 1 / self._known[1].rate)
        else:
            last, _ = self._known
            began_s, vain = last.began_s, last.vain + 1
            pause_s = min(FIRST_PAUSE_S * 2**vain, LONGEST_PAUSE_S)
            resumes_s = last.resumes_s if named_s is None else resumes_s
        if named_s is None:
            opens_s = now_s + min(pause_s, longest_pause_s)
            return Stop(began_s, now_s, opens_s, resumes_s, vain)
        margin_s = 1.0 if named_s == round(named_s) else 0.0
        return Stop(began_s, now_s, now_s + named_s, resumes_s, vain, named=True, margin_s=margin_s)

    def _read(self, stop: Stop) -> Reading:
        if self._before is None:
            began_s = self._opening_s[0] if self._opening_s else stop.began_s
            ended_s = stop.resumes_s if stop.named else stop.opens_s
            if len(self._opening_s) <= 1 and stop.closed_s < stop.margin_s:
                ended_s -= stop.margin_s / 2  # "1 second" may be any shorter time
            return first_reading(Stretch(self._opening_s, began_s, ended_s))
        last, before = self._before
        began_s = max(last.resumes_s, stop.told_s - HISTORY_S)
        sent_s = [t for t in self._sent_s if began_s - ROUNDING <= t < stop.told_s]
        since_s = stop.resumes_s - MINUTE_S - max(stop.margin_s, 0.05)
        if before.window is None and not stop.named:
            since_s = max(since_s, began_s)  # what went before may belong to another minute
        minute = sum(t >= since_s for t in self._sent_s)
        if before.window is not None:
            minute = min(minute, self._allowed)
        blur_s = max(stop.margin_s, BLUR_S) if stop.named else 0.0
        closed_s = max(last.closed_s, stop.closed_s)
        stretch = Stretch(sent_s, began_s, stop.resumes_s, closed_s, blur_s, minute)
        return next_reading(before, stretch, self._opening_s)
