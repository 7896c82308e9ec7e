"""How fast the rate limiter is, and how rarely refused: by simulation, so nothing waits.

Each prompt is asked by one of 8 workers. The times are compared with those of somebody who knows
exactly when the server will accept a request, and sends it then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.limited_servers import TokenBucket
from benchmarks.scenarios import BURSTS, PER_MINUTE, SERVERS, runs
from benchmarks.simulation import Load, ideal_s, simulate
from openhands_llm_magic.llm.limits.limiter import Limits, RateLimiter

if TYPE_CHECKING:
    from benchmarks.limited_servers import RetryAfter

pytestmark = pytest.mark.slow

RATES = (37, 120, 600)
"""`make benchmarks` tries more of them."""

UNKNOWN = [
    # server, Retry-After, of 60 prompts: x ideal and % refused, of 500 the same
    ("bucket of 1", "exact", (1.3, 10), (1.05, 3)),
    ("bucket of a second", "exact", (1.3, 10), (1.05, 3)),
    ("bucket of a minute", "exact", (1.3, 10), (1.05, 3)),
    ("fixed window", "exact", (1.3, 10), (1.05, 3)),
    ("fixed window, begun", "exact", (1.3, 10), (1.05, 3)),
    ("sliding window", "exact", (1.3, 10), (1.05, 3)),
    ("bucket of 1", "rounded up", (2.5, 14), (1.35, 3)),
    ("bucket of a second", "rounded up", (1.3, 14), (1.05, 3)),
    ("bucket of a minute", "rounded up", (1.3, 10), (1.05, 3)),
    ("fixed window", "rounded up", (1.3, 10), (1.05, 3)),
    ("fixed window, begun", "rounded up", (1.3, 10), (1.05, 3)),
    ("sliding window", "rounded up", (1.3, 10), (1.05, 3)),
    ("bucket of 1", "none", (3, 14), (1.25, 3)),
    ("bucket of a second", "none", (1.4, 14), (1.06, 3)),
    ("bucket of a minute", "none", (1.3, 10), (1.05, 3)),
    ("fixed window", "none", (1.3, 10), (1.15, 4)),
    ("fixed window, begun", "none", (1.4, 10), (1.35, 4)),
    ("sliding window", "none", (1.3, 10), (1.15, 4)),
]
"""What is reached. The goals are 1.3 x and 10 % for 60 prompts, 1.05 x and 3 % for 500. Where more
stands here they cannot be met, or not quite: a wait in whole seconds is 10 times what a bucket of
600 a minute needs; without a named wait a refused prompt waits 5 s and nobody knows when a minute
ends."""


@pytest.mark.parametrize(("server", "retry_after", "of_60", "of_500"), UNKNOWN)
def test_with_an_unknown_limit(
    server: str,
    retry_after: RetryAfter,
    of_60: tuple[float, float],
    of_500: tuple[float, float],
) -> None:
    for prompts, (slower, refused) in ((60, of_60), (500, of_500)):
        for run in runs(server, prompts, lambda _: Limits(), rates=RATES, retry_after=retry_after):
            assert run.ratio <= slower, run
            assert run.refused_percent <= refused, run
            assert run.result.gave_up == 0, run


@pytest.mark.parametrize("server", BURSTS)
@pytest.mark.parametrize("prompts", [60, 500])
def test_with_a_known_limit_it_is_as_fast_as_can_be_and_never_refused(
    server: str, prompts: int
) -> None:
    burst = BURSTS[server]

    for run in runs(server, prompts, lambda n: Limits(n, burst=burst(n))):
        assert run.ratio <= 1.05, run
        assert run.result.refused == 0, run


@pytest.mark.parametrize("server", SERVERS)
def test_with_a_known_rate_alone_it_is_never_refused_either(server: str) -> None:
    """It goes at even distances then, as if the server saved nothing up."""
    for run in runs(server, 60, Limits):
        assert run.result.refused == 0, run
        assert run.result.took_s <= 1.05 * 60 / min(PER_MINUTE) * 60 + 3, run


@pytest.mark.parametrize("limits", [Limits(), Limits(requests_per_minute=60)])
@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_is_not_even_slows_little_down(limits: Limits, seed: int) -> None:
    """A request that is overtaken by the next one is refused, and says little about the limit."""
    load = Load(500, latency_s=(0.05, 0.4), transit_s=(0.005, 0.1), seed=seed)

    result = simulate(TokenBucket(60), RateLimiter(limits), load)

    assert result.took_s <= 1.35 * ideal_s(TokenBucket(60), load)
    assert result.refused_share <= 0.04


@pytest.mark.parametrize("server", ["bucket of a minute", "fixed window", "fixed window, begun"])
def test_a_server_that_tells_what_is_left_refuses_next_to_nothing(server: str) -> None:
    for run in runs(server, 500, lambda _: Limits(), tells=True):
        assert run.ratio <= 1.05, run
        assert run.refused_percent <= 1, run


@pytest.mark.parametrize("server", SERVERS)
def test_answers_that_begin_late_change_nothing(server: str) -> None:
    for run in runs(server, 500, lambda _: Limits(), rates=RATES, late=True):
        assert run.ratio <= 1.06, run
        assert run.refused_percent <= 3.5, run


@pytest.mark.parametrize("server", SERVERS)
def test_nobody_waits_much_longer_in_line_than_the_others(server: str) -> None:
    """8 workers at 37 a minute: each has its turn within 13 s, or a whole window."""
    load = Load(200)

    result = simulate(SERVERS[server](37), RateLimiter(), load)

    assert result.longest_in_line_s <= (65 if "window" in server else 20)


def test_an_unlimited_server_is_not_slowed_down() -> None:
    """But for the first few requests, which wait until one is accepted."""
    load = Load(500)
    unlimited = TokenBucket(1e9, 1e9)

    result = simulate(unlimited, RateLimiter(), load)

    assert result.took_s <= ideal_s(TokenBucket(1e9, 1e9), load) + 0.1
    assert result.longest_in_line_s <= 0.1


@pytest.mark.parametrize("retry_after", ["exact", "rounded up", "none"])
def test_a_limit_that_gets_lower_is_learned_within_some_refusals(retry_after: RetryAfter) -> None:
    class Halved(TokenBucket):
        def wait_s(self, now_s: float) -> float:
            self.per_minute = 120 if now_s < 60 else 40
            return TokenBucket.wait_s(self, now_s)

    load = Load(400, retry_after=retry_after, seed=1)

    result = simulate(Halved(120, 2), RateLimiter(), load)

    assert result.took_s <= 1.05 * ideal_s(Halved(120, 2), load)
    assert result.refused <= 25
    assert result.gave_up == 0


def test_a_limit_that_gets_higher_is_found_out() -> None:
    """More slowly: each try costs a refusal, so there are few."""

    class Raised(TokenBucket):
        def wait_s(self, now_s: float) -> float:
            self.per_minute = 60 if now_s < 60 else 120
            return TokenBucket.wait_s(self, now_s)

    load = Load(1000, seed=1)

    result = simulate(Raised(60, 2), RateLimiter(), load)

    assert result.took_s <= 1.4 * ideal_s(Raised(60, 2), load)
    assert result.refused_share <= 0.03
