"""Clocks for tests: time passes only while somebody sleeps."""

from __future__ import annotations

import threading


class FakeClock:
    """Satisfies `llm.control.Clock`.

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

    def wait(self, wake: threading.Event, duration_s: float) -> None:
        """Let the time pass at once, unless the wait is over before."""
        if not wake.is_set():
            self.sleep(duration_s)

    def sleep(self, duration_s: float) -> None:
        """Let the time pass at once."""
        self.sleeps_s.append(duration_s)
        self._now_s += duration_s + (self.stalls_s.pop(0) if self.stalls_s else 0.0)


class SteppedClock(FakeClock):
    """A clock on which waits last until the test lets time pass, so that runs can be watched."""

    def __init__(self, now_s: float = 0.0) -> None:
        super().__init__(now_s)
        self._lock = threading.Lock()
        self._passes = threading.Event()

    def let_time_pass(self) -> None:
        """Let waits take no time from now on."""
        self._passes.set()

    def wait(self, wake: threading.Event, duration_s: float) -> None:
        """Wait until the test lets time pass, or the wait is ended."""
        while not self._passes.is_set():
            if wake.wait(0.001):
                return
        with self._lock:
            super().wait(wake, duration_s)
