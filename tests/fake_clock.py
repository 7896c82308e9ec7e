"""A clock for tests: time passes only while somebody sleeps."""

from __future__ import annotations


class FakeClock:
    """Satisfies `llm.retry.Clock`.

    Attributes:
        sleeps_s: Each sleep, in seconds.
        stalls_s: Seconds by which the next sleeps last longer, as when a laptop is closed.
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self._now_s = now_s
        self.sleeps_s: list[float] = []
        self.stalls_s: list[float] = []

    def now(self) -> float:
        """Seconds, from wherever the test began."""
        return self._now_s

    def sleep(self, duration_s: float) -> None:
        """Let the time pass at once."""
        self.sleeps_s.append(duration_s)
        self._now_s += duration_s + (self.stalls_s.pop(0) if self.stalls_s else 0.0)
