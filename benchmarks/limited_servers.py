"""Rate limits as servers keep them, without the HTTP around them.

Each is a pure state machine on a passed-in time in seconds: the simulation and a real server both
ask it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, Protocol

WINDOW_S = 60.0
EPSILON_S = 1e-9

RetryAfter = Literal["exact", "rounded up", "none"]
"""The wait that a refusal names: to the millisecond, in whole seconds, or not at all."""


class Server(Protocol):
    """A limit of so many requests a minute."""

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until a request would be accepted, 0 for at once."""

    def take(self, now_s: float) -> None:
        """Count a request that is accepted now; `wait_s` was asked just before."""

    def left(self, now_s: float) -> dict[str, str]:
        """Return the headers that tell what is left, in OpenAI's form."""


@dataclass(slots=True)
class TokenBucket:
    """`per_minute` requests a minute at even distances, and `burst` at once after a pause."""

    per_minute: float
    burst: float = 1
    _level: float = field(init=False)
    _at_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._level = self.burst

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the bucket holds one request."""
        per_s = self.per_minute / 60
        self._level = min(self.burst, self._level + (now_s - self._at_s) * per_s)
        self._at_s = now_s
        wait_s = (1 - self._level) / per_s
        return wait_s if wait_s > EPSILON_S else 0.0

    def take(self, now_s: float) -> None:  # noqa: ARG002 - the level is of now
        """Take one request out."""
        self._level -= 1

    def left(self, now_s: float) -> dict[str, str]:  # noqa: ARG002 - the level is of now
        """Tell the level, and when the bucket is full."""
        full_s = (self.burst - self._level) * 60 / self.per_minute
        return _headers(self.burst, self._level, full_s)


@dataclass(slots=True)
class FixedWindow:
    """`per_minute` requests in each minute of the server's clock, which began `phase_s` before."""

    per_minute: int
    phase_s: float = 0.0
    _window: int = field(init=False, default=0)
    _taken: int = field(init=False, default=0)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the next minute begins, if this one is used up."""
        window = int((now_s + self.phase_s + EPSILON_S) // WINDOW_S)
        if window != self._window:
            self._window, self._taken = window, 0
        return self._ends_in_s(now_s) if self._taken >= self.per_minute else 0.0

    def take(self, now_s: float) -> None:  # noqa: ARG002 - the window is that of now
        """Count one request."""
        self._taken += 1

    def left(self, now_s: float) -> dict[str, str]:
        """Tell what is left of this minute, and when it ends."""
        return _headers(self.per_minute, self.per_minute - self._taken, self._ends_in_s(now_s))

    def _ends_in_s(self, now_s: float) -> float:
        return (self._window + 1) * WINDOW_S - self.phase_s - now_s


@dataclass(slots=True)
class SlidingWindow:
    """`per_minute` requests in any 60 seconds."""

    per_minute: int
    _taken_s: deque[float] = field(init=False, default_factory=deque)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the oldest request of the last minute is a minute old."""
        while self._taken_s and self._taken_s[0] + WINDOW_S <= now_s + EPSILON_S:
            self._taken_s.popleft()
        if len(self._taken_s) < self.per_minute:
            return 0.0
        return self._taken_s[0] + WINDOW_S - now_s

    def take(self, now_s: float) -> None:
        """Count one request."""
        self._taken_s.append(now_s)

    def left(self, now_s: float) -> dict[str, str]:
        """Tell what is left, and when the oldest request is a minute old."""
        resets_s = self._taken_s[0] + WINDOW_S - now_s if self._taken_s else 0.0
        return _headers(self.per_minute, self.per_minute - len(self._taken_s), resets_s)


def named_wait_s(wait_s: float, style: RetryAfter) -> float | None:
    """Return the wait that a refusal names, in seconds."""
    match style:
        case "exact":
            return wait_s
        case "rounded up":
            return float(math.ceil(wait_s))
        case _:
            return None


def _headers(limit: float, remaining: float, resets_in_s: float) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": f"{limit:.0f}",
        "x-ratelimit-remaining-requests": f"{math.floor(remaining + EPSILON_S)}",
        "x-ratelimit-reset-requests": f"{resets_in_s:.3f}s",
    }
