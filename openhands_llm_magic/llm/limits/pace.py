"""How fast a server takes requests, learned from its refusals alone.

At first a few requests go at once, and two more for each that the server accepts; nothing else is
held back before the first refusal. A refusal closes for as long as the server says, or for a while.
Then requests go one by one and soon more at once, at the rate that the server has been seen to take
(`reading.py`); the rate then grows, slowly near what is known and faster further away, until the
server refuses again. After some minutes without a request all is forgotten.

Pure: no clock of its own, no lock. All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from openhands_llm_magic.llm.limits.reading import (
    MINUTE_S,
    Reading,
    Stretch,
    first_reading,
    next_reading,
)

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


class Pace:
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
        """Give the seconds until a request may go, when `ahead` others go before it."""
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
        """Give the seconds for which nobody may ask, because the server refused."""
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
        """Note a request that goes now."""
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
