"""A limit that the person set, kept from the first request on."""

from __future__ import annotations

import math

CAUTION = 0.98
"""The part of the limit that is used, because not all requests travel equally long."""


class Cap:
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
        """Give the seconds until `amount` may pass, after what goes before it.

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
        """Take `amount` out; a negative one puts it back."""
        self._level -= amount
