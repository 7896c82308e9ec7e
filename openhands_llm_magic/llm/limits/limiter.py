"""One rate limiter for each endpoint, model and key, which all prompts to it pass, from any thread.

Three things hold a request back: a limit that the person set (`Limits`), what the server's answers
say is left (`headroom.py`), and what its refusals teach (`learned.py`). It has no clock and never
sleeps: whoever waits asks for the seconds, sleeps as it likes, and asks again::

    with limiter.permit() as permit:
        while wait_s := permit.wait_s(clock.now()):
            clock.sleep(min(wait_s, 1))
        ...  # send, then tell: permit.accepted, permit.answered or permit.refused
"""

from __future__ import annotations

import math
import threading
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import DailyLimitError, RateLimitError, Text, ThrottledError
from openhands_llm_magic.llm.events import Throttled
from openhands_llm_magic.llm.explain import THROTTLED_BY
from openhands_llm_magic.llm.limits.headroom import UNITS, Headroom, Unit, left_in
from openhands_llm_magic.llm.limits.learned import LearnedRate
from openhands_llm_magic.llm.worker import TICK_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import TransientError
    from openhands_llm_magic.llm.events import ThrottledBy
    from openhands_llm_magic.llm.prepare import EmbeddingRequest, Request
    from openhands_llm_magic.llm.worker import Clock, Control


ASK_EVERY_S = 1.0
LATE_S = 0.25
"""Whoever waits asks once a second; one that is late lets the others go first until it asks."""

CAPPED_BY: dict[Unit, ThrottledBy] = {
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
}
"""The setting that holds each limit."""

SOON_S = 0.01
"""How soon to ask again when the one in front may go now, and has yet to ask."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that are known from the start; None for one that is not.

    Attributes:
        requests_per_minute: Requests a minute; they go at even distances.
        tokens_per_minute: Tokens a minute, of prompts and answers; a second's worth goes at once.
        burst: Requests that may go at once after a pause, if the server lets them.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst: float = 1


class RateLimiter:
    """Lets requests go in the order in which they came, none before its time.

    Use its permits; what is below is theirs, under the lock.

    Attributes:
        lock: Held while anything below is used.
        line: The permits that wait, the first one first.
        pace: What the server's refusals teach.
        caps: The limits that the person set.
        headroom: What the server says is left.
        closed: The refusal for a limit of a day that is used up, and until when it holds.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        # The collector may end a permit that was left behind while this very thread has the lock.
        self.lock = threading.RLock()
        self.line: list[Permit] = []
        self.pace = LearnedRate()
        self.caps: dict[Unit, TokenBucket] = {unit: TokenBucket() for unit in UNITS}
        self.headroom: dict[Unit, Headroom] = {unit: Headroom() for unit in UNITS}
        self.closed: tuple[DailyLimitError, float] | None = None
        self.limit(limits or Limits())

    def limit(self, limits: Limits) -> None:
        """Keep to these limits from now on."""
        tokens = limits.tokens_per_minute
        with self.lock:
            self.caps["requests"].limit(limits.requests_per_minute, limits.burst)
            self.caps["tokens"].limit(tokens, (tokens or 0) / 60)

    def permit(self, tokens: float = 0) -> Permit:
        """Return a permit for a request of about so many tokens, which has to wait for it."""
        return Permit(self, tokens)

    def until_free_s(
        self, permit: Permit, ahead: list[Permit], now_s: float
    ) -> tuple[float, ThrottledBy]:
        """Return the seconds until a permit may go, after those ahead, and what throttles it."""
        paced: ThrottledBy = "pause" if self.pace.closed_s(now_s) else "pace"
        waits: list[tuple[float, ThrottledBy]] = [(self.pace.wait_s(now_s, len(ahead)), paced)]
        for unit, amount in permit.amounts.items():
            before = sum(other.amounts[unit] for other in ahead)
            waits += [
                (self.caps[unit].wait_s(now_s, amount, before), CAPPED_BY[unit]),
                (self.headroom[unit].wait_s(now_s, amount + before), "headroom"),
            ]
        return max(waits)


class Permit:
    """One request's way through its limiter, from the line to its end.

    Use it in a `with` statement: leaving that, however it happens, gives back what it takes.
    Each `now_s` is in seconds of one monotonic clock.

    Attributes:
        amounts: What it takes of each limit.
        asks_at_s: When it will ask again at the latest.
        sent_s: When it was let through, or None.
        throttled_by: What it last waited for.
    """

    def __init__(self, limiter: RateLimiter, tokens: float) -> None:
        self.amounts: dict[Unit, float] = {"requests": 1.0, "tokens": tokens}
        self.asks_at_s = 0.0
        self.sent_s: float | None = None
        self.throttled_by: ThrottledBy = "pace"
        self._limiter = limiter
        self._fate_known = False

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until it is worth asking again; 0: go now.

        The first call takes a place in the line. Ask again after that long, and at least once a
        second: the wait gets shorter when the server turns out to take more than was thought.
        """
        if self.sent_s is not None:
            return 0.0
        limiter = self._limiter
        with limiter.lock:
            if self not in limiter.line:
                limiter.line.append(self)
            before = limiter.line[: limiter.line.index(self)]
            ahead = [other for other in before if now_s <= other.asks_at_s + LATE_S]
            wait_s, self.throttled_by = limiter.until_free_s(self, ahead, now_s)
            if ahead or wait_s > 0:
                wait_s = max(wait_s, SOON_S)
                self.asks_at_s = now_s + min(wait_s, ASK_EVERY_S)
                return wait_s
            self._go(now_s)
            return 0.0

    def go(self, now_s: float) -> None:
        """Let the request be sent now, whatever the limits are, because a person wants it."""
        with self._limiter.lock:
            if self.sent_s is None:
                self._go(now_s)

    def _go(self, now_s: float) -> None:
        limiter = self._limiter
        if self in limiter.line:
            limiter.line.remove(self)
        self.sent_s = now_s
        limiter.pace.sent(now_s)
        for unit, amount in self.amounts.items():
            limiter.caps[unit].take(amount)
            limiter.headroom[unit].sent(now_s, amount)

    def accepted(self, now_s: float, headers: Mapping[str, str] | None = None) -> None:
        """Tell that the server answers, with the headers of its response."""
        if self.sent_s is None:
            return
        with self._limiter.lock:
            self._limiter.closed = None
            self._limiter.pace.accepted(self.sent_s)
            self._end()
            for unit, headroom in self._limiter.headroom.items():
                if left := left_in(headers or {}, unit):
                    headroom.told(self.sent_s, now_s, left)

    def answered(self, tokens: float) -> None:
        """Tell how many tokens were really used, by the prompt and the answer."""
        with self._limiter.lock:
            self._limiter.caps["tokens"].take(tokens - self.amounts["tokens"])

    def refused(
        self, now_s: float, retry_after_s: float | None = None, longest_pause_s: float = math.inf
    ) -> None:
        """Tell that the server refused for its limit (429), with the wait that it named.

        Everybody waits with it.

        Args:
            now_s: When the refusal came.
            retry_after_s: The wait that the server named, in seconds, or None.
            longest_pause_s: The longest pause to make if it named none: after that long the
                retry policy asks again.
        """
        if self.sent_s is None:
            return
        with self._limiter.lock:
            self._limiter.pace.refused(self.sent_s, now_s, retry_after_s, longest_pause_s)
            self._end()
            self._limiter.caps["tokens"].take(-self.amounts["tokens"])

    def overloaded(self, now_s: float, retry_after_s: float) -> None:
        """Tell that the server asked to wait for another reason than a limit (503).

        Everybody waits with it, but it teaches nothing about a limit.
        """
        with self._limiter.lock:
            self._limiter.pace.hold(now_s, retry_after_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Leave the line, or end a request whose fate is not known.

        It counts for a limit of requests, as the server may have counted it, and used no tokens.
        """
        limiter = self._limiter
        with limiter.lock:
            if self in limiter.line:
                limiter.line.remove(self)
            elif self.sent_s is not None and not self._fate_known:
                limiter.pace.withdrawn(self.sent_s)
                self._end()
                limiter.caps["tokens"].take(-self.amounts["tokens"])

    def _end(self) -> None:
        self._fate_known = True
        if self.sent_s is not None:
            for unit, amount in self.amounts.items():
                self._limiter.headroom[unit].ended(self.sent_s, amount)


_limiters: dict[tuple[str, str, int], RateLimiter] = {}
_limiters_lock = threading.Lock()


def limiter_for(endpoint: str, model: str, key: str, limits: Limits | None = None) -> RateLimiter:
    """Return the rate limiter that all requests to one limit share, with the newest limits.

    Servers count by endpoint and model, and by key: who changes to another account need not wait
    for the first one's. The key is not kept.
    """
    with _limiters_lock:
        limiter = _limiters.setdefault((endpoint, model, hash(key)), RateLimiter())
    limiter.limit(limits or Limits())
    return limiter


def forget() -> None:
    """Forget all rate limiters, and with them what they have learned."""
    with _limiters_lock:
        _limiters.clear()


class Throttle:
    """Lets the attempts of one request through the rate limiter of its model and account."""

    def __init__(
        self,
        request: Request | EmbeddingRequest,
        account: str,
        settings: Snapshot,
        clock: Clock,
        control: Control,
    ) -> None:
        limits = Limits(settings.requests_per_minute, settings.tokens_per_minute)
        address = str(request.options.get("base_url", ""))
        self._limiter = limiter_for(address, request.model, account, limits)
        self._tokens = request.tokens
        self._longest_s = settings.retry_after_limit
        self._clock = clock
        self._control = control

    def permit(self) -> Permit:
        """Return the permit of one attempt, to be used in a `with` statement."""
        return self._limiter.permit(self._tokens)

    def wait(self, permit: Permit, until_s: float) -> Iterator[Throttled]:
        """Wait for a permit, and tell so about once a second.

        Args:
            permit: The permit.
            until_s: When the attempt must have been sent, on the clock.

        Raises:
            Cancelled: The run was cancelled meanwhile.
            DailyLimitError: The limit of a day is used up, as the server told another request.
            ThrottledError: Its turn would come too late.
        """
        began_s = now_s = self._clock.now()
        self._require_open(now_s)
        tell_at_s = began_s
        while wait_s := permit.wait_s(now_s):
            if self._control.retrying_now:
                permit.go(now_s)
                break
            if now_s >= tell_at_s:
                tell_at_s = now_s + TICK_S
                yield Throttled(permit.throttled_by, now_s - began_s, wait_s)
            if now_s + wait_s > until_s:
                told = "its turn comes in {seconds} s, {why}"
                why = Text(THROTTLED_BY[permit.throttled_by])
                raise ThrottledError(Text(told, seconds=f"{wait_s:.0f}", why=why))
            self._control.sleep(self._clock, min(wait_s, TICK_S))
            now_s = self._clock.now()
        if now_s > began_s:
            yield Throttled(permit.throttled_by, now_s - began_s, 0.0)

    def _require_open(self, now_s: float) -> None:
        with self._limiter.lock:
            closed = self._limiter.closed
        if closed is None or self._control.asks_anyway or now_s >= closed[1]:
            return
        error = copy(closed[0])
        error.retry_after_s = closed[1] - now_s
        raise error

    def learn(self, permit: Permit, error: TransientError, pause_s: float) -> None:
        """Let the others wait, too, unless the prompt fails because the wait is too long.

        Then whoever asks again asks in earnest, unless the server has said when the limit of a day
        opens: until then nothing is sent. `pause_s` is the retry policy's wait, in seconds.
        """
        asked_s = error.retry_after_s
        if asked_s is not None and asked_s > self._longest_s:
            if isinstance(error, DailyLimitError):
                with self._limiter.lock:
                    self._limiter.closed = (error, self._clock.now() + asked_s)
            return
        if isinstance(error, RateLimitError):
            permit.refused(self._clock.now(), asked_s, pause_s)
        elif asked_s is not None:
            permit.overloaded(self._clock.now(), asked_s)


CAUTION = 0.98
"""The part of the limit that is used, because not all requests travel equally long."""


class TokenBucket:
    """A token bucket. Pure: times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._per_s = math.inf
        self._burst = 0.0
        self._level = math.inf
        self._at_s = -math.inf

    def limit(self, per_minute: float | None, burst: float) -> None:
        """Let `per_minute` pass a minute, None for any number, and `burst` at once."""
        self._per_s = math.inf if per_minute is None else CAUTION * per_minute / 60
        self._burst = burst
        self._level = math.inf if per_minute is None else min(self._level, burst)

    def wait_s(self, now_s: float, amount: float, before: float = 0.0) -> float:
        """Return the seconds until `amount` may pass, after what goes before it.

        More than a burst passes once the bucket is full, and is paid for afterwards.
        """
        if math.isinf(self._per_s):
            return 0.0
        if now_s > self._at_s:
            self._level = min(self._burst, self._level + (now_s - self._at_s) * self._per_s)
            self._at_s = now_s
        missing = min(amount, self._burst) + before - self._level
        return missing / self._per_s if missing > 1e-9 * self._burst else 0.0

    def take(self, amount: float) -> None:
        """Take so many requests or tokens out of the bucket; a negative amount puts some back."""
        self._level -= amount
