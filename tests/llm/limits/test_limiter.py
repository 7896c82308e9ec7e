"""The limiter: who goes when. How fast that is in all is in `test_gate_speed.py`."""

from __future__ import annotations

import gc
import itertools
import math
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.llm.limits.learned import FIRST_AT_ONCE
from openhands_llm_magic.llm.limits.limiter import LATE_S, Limits, Permit, RateLimiter, limiter_for

if TYPE_CHECKING:
    from collections.abc import Iterator

A_SECOND_IN = 1e-6
"""Sums of floats are as exact as this."""

gaps_s = st.lists(st.floats(0, 30), min_size=1, max_size=40)


def let_through(permit: Permit, now_s: float) -> float:
    """Ask until the turn may go; gives the time of it."""
    for _ in range(1000):
        wait_s = permit.wait_s(now_s)
        assert 0 <= wait_s < math.inf
        if not wait_s:
            return now_s
        now_s += wait_s
    raise AssertionError("it never went")


def send(limiter: RateLimiter, now_s: float, *, tokens: float = 0) -> tuple[Permit, float]:
    """Wait for a turn of its own; gives it, and when it went."""
    permit = limiter.permit(tokens)
    return permit, let_through(permit, now_s)


def refused(limiter: RateLimiter, now_s: float, retry_after_s: float | None) -> None:
    """Send a request that the server refuses at once."""
    with limiter.permit() as permit:
        permit.refused(let_through(permit, now_s), retry_after_s)


@given(gaps_s)
def test_before_the_first_refusal_nothing_waits(gaps: list[float]) -> None:
    """Whatever the pace: no limit is made up."""
    limiter = RateLimiter()

    for now_s in itertools.accumulate(gaps):
        permit = limiter.permit(tokens=10_000)
        assert permit.wait_s(now_s) == 0
        permit.accepted(now_s)


@given(st.floats(1, 1000), st.integers(1, 20), gaps_s)
def test_a_known_limit_is_kept_in_every_span_of_time(
    per_minute: float, burst: int, gaps: list[float]
) -> None:
    limiter = RateLimiter(Limits(requests_per_minute=per_minute, burst=burst))
    now_s, went_s = 0.0, []

    for gap_s in gaps:
        now_s = send(limiter, now_s + gap_s)[1]
        went_s.append(now_s)

    for first, last in itertools.combinations(range(len(went_s)), 2):
        span_s = went_s[last] - went_s[first]
        assert last - first + 1 <= burst + span_s * per_minute / 60 + A_SECOND_IN


@given(st.floats(60, 100_000), st.lists(st.integers(1, 5000), min_size=2, max_size=20))
def test_a_known_limit_of_tokens_is_kept_on_average(per_minute: float, tokens: list[int]) -> None:
    """A second's worth goes at once; a longer prompt goes alone, and is paid for afterwards."""
    limiter = RateLimiter(Limits(tokens_per_minute=per_minute))
    now_s = 0.0

    for amount in tokens:
        _, now_s = send(limiter, now_s, tokens=amount)

    assert sum(tokens[:-1]) <= (now_s + 1) * per_minute / 60 + A_SECOND_IN


def test_tokens_are_corrected_when_the_answer_tells_how_many_they_were() -> None:
    limiter = RateLimiter(Limits(tokens_per_minute=60))
    more, _ = send(limiter, 0.0, tokens=1)

    more.answered(tokens=50)

    assert limiter.permit(tokens=1).wait_s(0.0) == pytest.approx(50 / 0.98)


def test_a_refused_prompt_used_no_tokens() -> None:
    limiter = RateLimiter(Limits(tokens_per_minute=60))
    permit, _ = send(limiter, 0.0, tokens=1000)

    permit.refused(0.0, retry_after_s=2.5)

    assert limiter.permit(tokens=1).wait_s(0.0) == pytest.approx(2.5, abs=0.1)


def test_when_one_is_told_to_wait_all_wait_with_it() -> None:
    limiter = RateLimiter()
    refused(limiter, 0.0, retry_after_s=7.5)
    permits = [limiter.permit() for _ in range(5)]

    assert all(permit.wait_s(0.1) >= 7.4 for permit in permits)
    assert limiter.pace.closed_s(0.1) == pytest.approx(7.4)


def test_after_the_wait_they_go_one_by_one_until_one_is_accepted() -> None:
    limiter = RateLimiter()
    for _ in range(20):
        send(limiter, 0.0)[0].accepted(0.0)
    refused(limiter, 0.0, retry_after_s=30.5)
    first, second, third, fourth = (limiter.permit() for _ in range(4))

    went = [permit.wait_s(30.5) == 0 for permit in (first, second, third)]
    first.accepted(30.6)
    then = [permit.wait_s(30.6) == 0 for permit in (second, third, fourth)]

    assert went == [True, False, False]
    assert then == [True, True, False]


@pytest.mark.parametrize("held", ["refused", "overloaded"])
def test_a_slow_answer_does_not_keep_the_others_from_going(held: str) -> None:
    """A model may think for minutes before its answer begins; a refusal would come at once."""
    limiter = RateLimiter()
    permit, _ = send(limiter, 0.0)
    permit.refused(0.1, 1.5) if held == "refused" else permit.overloaded(0.1, 1.5)
    slow, went_s = send(limiter, 1.6)

    _, then_s = send(limiter, went_s)

    assert then_s - went_s < 3
    slow.accepted(then_s + 60)


def test_they_go_in_the_order_in_which_they_came() -> None:
    limiter = RateLimiter(Limits(requests_per_minute=60))
    permits = [limiter.permit() for _ in range(8)]
    for permit in permits:
        permit.wait_s(0.0)

    went = []
    for tenth in range(1, 100):
        # The last one asks first, each time.
        went += [
            permit
            for permit in reversed(permits)
            if permit.sent_s is None and not permit.wait_s(tenth / 10)
        ]

    assert went == permits[1:]


def test_one_that_goes_away_blocks_nobody() -> None:
    limiter = RateLimiter(Limits(requests_per_minute=60))
    send(limiter, 0.0)
    with limiter.permit() as interrupted:
        interrupted.wait_s(0.0)
        next_one = limiter.permit()
        assert next_one.wait_s(0.0) == pytest.approx(2 / 0.98)

    assert next_one.wait_s(0.0) == pytest.approx(1 / 0.98)


def test_one_that_no_longer_asks_is_overtaken_and_keeps_its_place() -> None:
    """As when somebody stops reading a stream of events in the middle of a wait."""
    limiter = RateLimiter(Limits(requests_per_minute=60))
    send(limiter, 0.0)
    asleep, awake, last = limiter.permit(), limiter.permit(), limiter.permit()
    due_s = asleep.wait_s(0.0)
    for permit in (awake, last):
        permit.wait_s(0.0)

    assert awake.wait_s(due_s) > 0
    assert awake.wait_s(due_s + LATE_S + 0.01) == 0
    assert last.wait_s(5.0) == 0
    assert let_through(asleep, 5.0) < 7


def test_a_request_whose_fate_is_not_known_counts_but_used_no_tokens() -> None:
    """As when it was interrupted or failed: the server may have counted it."""
    limiter = RateLimiter(Limits(requests_per_minute=60, tokens_per_minute=6000))

    for _ in range(3):
        with limiter.permit(tokens=1000) as permit:
            permit.wait_s(0.0)
            permit.go(0.0)

    with limiter.permit(tokens=1000) as permit:
        assert permit.wait_s(0.0) == pytest.approx(3 / 0.98)
        assert permit.throttled_by == "requests_per_minute"


def test_turns_that_the_collector_ends_do_no_harm() -> None:
    """It runs on whatever thread makes objects, also within the limiter."""
    limiter = RateLimiter()

    def left_behind() -> Iterator[None]:
        with limiter.permit() as permit:
            permit.wait_s(0.0)
            yield

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for now_s in range(50):
            cycle: list[object] = [left_behind()]
            next(cycle[0])  # type: ignore[call-overload]
            cycle.append(cycle)
            del cycle
            limiter.permit().wait_s(float(now_s))
    finally:
        gc.set_threshold(*before)
    gc.collect()

    assert limiter.permit().wait_s(1000.0) == 0


@given(st.data())
def test_whatever_happens_nobody_starves(data: st.DataObject) -> None:
    """After any requests, refusals, waits and departures, a new one goes in a finite time."""
    limiter = RateLimiter(Limits(requests_per_minute=data.draw(st.sampled_from([None, 60.0]))))
    now_s = 0.0
    permits = [limiter.permit(tokens=data.draw(st.integers(0, 100)))]
    for _ in range(data.draw(st.integers(0, 60))):
        now_s += data.draw(st.sampled_from([0.0, 0.01, 0.5, 3.0, 61.0, 400.0]))
        permit = data.draw(st.sampled_from(permits))
        match data.draw(st.sampled_from(["ask", "ask", "accept", "refuse", "leave", "join"])):
            case "ask":
                assert 0 <= permit.wait_s(now_s) < math.inf
            case "accept":
                permit.accepted(
                    now_s,
                    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "5s"},
                )
            case "refuse":
                permit.refused(now_s, data.draw(st.sampled_from([None, 0.0, 0.2, 1.0, 30.5])))
            case "leave":
                permit.__exit__(None, None, None)
            case "join":
                permits.append(limiter.permit())

    closed_s = limiter.pace.closed_s(now_s)
    _, went_s = send(limiter, now_s)

    assert went_s - now_s <= closed_s + 61 * (1 + len(permits))


def test_a_refusal_that_comes_minutes_late_makes_nobody_wait_for_minutes() -> None:
    """As when the computer slept: so few requests in so long a time do not tell the rate."""
    limiter = RateLimiter()
    refused(limiter, 0.0, retry_after_s=1.5)
    late, _ = send(limiter, 2.0)
    accepted, went_s = send(limiter, 3.0)
    accepted.accepted(went_s)

    late.refused(400.0)

    first_s = send(limiter, 400.0)[1]
    assert send(limiter, first_s)[1] <= first_s + 61


def test_a_limit_is_forgotten_after_minutes_without_a_request() -> None:
    limiter = RateLimiter()
    refused(limiter, 0.0, retry_after_s=1.5)
    went, waits = limiter.permit().wait_s(2.0), limiter.permit().wait_s(2.0)
    assert went == 0 < waits

    permits = [limiter.permit() for _ in range(FIRST_AT_ONCE + 1)]

    assert [permit.wait_s(400.0) == 0 for permit in permits] == [True] * FIRST_AT_ONCE + [False]


def test_at_first_a_few_go_at_once_and_more_as_they_are_accepted() -> None:
    """All of a burst would be refused together."""
    limiter = RateLimiter()
    permits = [limiter.permit() for _ in range(3 * FIRST_AT_ONCE)]

    went = [permit for permit in permits if permit.wait_s(0.0) == 0]
    assert went == permits[:FIRST_AT_ONCE]
    for permit in went:
        permit.accepted(0.1)
    assert [permit.wait_s(0.1) for permit in permits] == [0.0] * len(permits)


def test_headers_slow_down_before_the_limit_is_hit() -> None:
    limiter = RateLimiter()
    permit, _ = send(limiter, 0.0)

    permit.accepted(
        0.1, {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "20s"}
    )

    assert send(limiter, 0.2)[1] == 0.2
    assert limiter.permit().wait_s(0.2) == pytest.approx(19.9)


def test_threads_share_a_gate() -> None:
    """The clock goes on by a millisecond with each question, so nothing sleeps."""
    limiter = RateLimiter(Limits(requests_per_minute=6000))
    ticks = itertools.count()
    went_s: list[float] = []

    def work() -> None:
        for _ in range(20):
            with limiter.permit() as permit:
                while permit.wait_s(next(ticks) / 1000):
                    pass
                assert permit.sent_s is not None
                went_s.append(permit.sent_s)
                permit.accepted(permit.sent_s)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(went_s) == 160
    assert all(after - before >= 0.01 for before, after in pairwise(sorted(went_s)))
    assert limiter.line == []


def test_an_endpoint_model_and_key_have_one_gate_with_the_newest_limits() -> None:
    one = limiter_for("http://127.0.0.1:1", "a-model", "sk-one", Limits(requests_per_minute=1))
    send(one, 0.0)
    with one.permit() as permit:
        assert permit.wait_s(0.0) > 60

    same = limiter_for("http://127.0.0.1:1", "a-model", "sk-one")
    others = [
        limiter_for("http://127.0.0.1:1", "another", "sk-one"),
        limiter_for("http://127.0.0.1:2", "a-model", "sk-one"),
        limiter_for("http://127.0.0.1:1", "a-model", "sk-two"),
    ]

    assert same is one
    assert one not in others
    assert [same.permit().wait_s(1.0) for _ in range(3)] == [0.0] * 3
