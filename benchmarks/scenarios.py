"""The limits under which the rate limiter is simulated: kinds of servers, rates, latencies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.limited_servers import FixedWindow, SlidingWindow, TokenBucket
from benchmarks.simulation import Load, Result, ideal_s, simulate
from openhands_llm_magic.llm.limits.limiter import Limits, RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.limited_servers import Server

PER_MINUTE = (37, 60, 120, 300, 600)
SERVERS: dict[str, Callable[[int], Server]] = {
    "bucket of 1": lambda per_minute: TokenBucket(per_minute, 1),
    "bucket of a second": lambda per_minute: TokenBucket(per_minute, max(1, per_minute / 60)),
    "bucket of a minute": lambda per_minute: TokenBucket(per_minute, per_minute),
    "fixed window": FixedWindow,
    "fixed window, begun": lambda per_minute: FixedWindow(per_minute, phase_s=35),
    "sliding window": SlidingWindow,
}
BURSTS: dict[str, Callable[[int], float]] = {
    "bucket of 1": lambda _: 1,
    "bucket of a second": lambda per_minute: max(1, per_minute / 60),
    "bucket of a minute": float,
}
"""How many requests each server takes at once after a pause."""

SLOW_AND_FAST = ((0.05, 0.05, 1), (0.05, 3.0, 1), (0.05, 3.0, 2))
"""The shortest and the longest latency in seconds, and the seed."""


@dataclass(frozen=True, slots=True)
class Run:
    """One simulation.

    Attributes:
        per_minute: The limit.
        load: What was asked.
        result: What came of it.
        ideal_s: The time that nobody can beat.
    """

    per_minute: int
    load: Load
    result: Result
    ideal_s: float

    @property
    def ratio(self) -> float:
        """The time, as a multiple of the ideal one."""
        return self.result.took_s / self.ideal_s

    @property
    def refused_percent(self) -> float:
        """Refusals in 100 requests."""
        return 100 * self.result.refused_share


@cache
def ideal(server: str, per_minute: int, load: Load) -> float:
    """Return `ideal_s`, reckoned once."""
    return ideal_s(SERVERS[server](per_minute), load)


def runs(
    server: str,
    prompts: int,
    limits: Callable[[int], Limits],
    ideal_of: str | None = None,
    rates: Sequence[int] = PER_MINUTE,
    **options: object,
) -> Iterator[Run]:
    """Ask under every rate and latency.

    Args:
        server: One of `SERVERS`.
        prompts: How many prompts.
        limits: Gives what is known of the limit, by its requests a minute.
        rates: Requests a minute, of those in `PER_MINUTE`.
        ideal_of: The server that the ideal time is that of, if it is another one.
        options: Further fields of `Load`.
    """
    for per_minute in rates:
        for *latency_s, seed in SLOW_AND_FAST:
            load = Load(prompts, latency_s=tuple(latency_s), seed=seed, **options)  # type: ignore[arg-type]
            result = simulate(SERVERS[server](per_minute), RateLimiter(limits(per_minute)), load)
            yield Run(per_minute, load, result, ideal(ideal_of or server, per_minute, load))
