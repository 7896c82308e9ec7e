"""The gate: who goes when. How fast that is in all is in `test_gate_speed.py`."""

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

from openhands_llm_magic.llm.limits.gate import LATE_S, Gate, Limits, Turn, gate_for
from openhands_llm_magic.llm.limits.pace import FIRST_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator

A_SECOND_IN = 1e-6
"""Sums of floats are as exact as this."""

gaps_s = st.lists(st.floats(0, 30), min_size=1, max_size=40)


def let_through(turn: Turn, now_s: float) -> float:
    """Ask until the turn may go; gives the time of it."""
    for _ in range(1000):
        wait_s = turn.wait_s(now_s)
        assert 0 <= wait_s < math.inf
        if not wait_s:
            return now_s
        now_s += wait_s
    raise AssertionError("it never went")


def send(gate: Gate, now_s: float, *, tokens: float = 0) -> tuple[Turn, float]:
    """Wait for a turn of its own; gives it, and when it went."""
    turn = gate.turn(tokens)
    return turn, let_through(turn, now_s)


def refused(gate: Gate, now_s: float, retry_after_s: float | None) -> None:
    """Send a request that the server refuses at once."""
    with gate.turn() as turn:
        turn.refused(let_through(turn, now_s), retry_after_s)


@given(gaps_s)
def test_before_the_first_refusal_nothing_waits(gaps: list[float]) -> None:
    """Whatever the pace: no limit is made up."""
    gate = Gate()

    for now_s in itertools.accumulate(gaps):
        turn = gate.turn(tokens=10_000)
        assert turn.wait_s(now_s) == 0
        turn.accepted(now_s)


@given(st.floats(1, 1000), st.integers(1, 20), gaps_s)
def test_a_known_limit_is_kept_in_every_span_of_time(
    per_minute: float, burst: int, gaps: list[float]
) -> None:
    gate = Gate(Limits(requests_per_minute=per_minute, burst=burst))
    now_s, went_s = 0.0, []

    for gap_s in gaps:
        now_s = send(gate, now_s + gap_s)[1]
        went_s.append(now_s)

    for first, last in itertools.combinations(range(len(went_s)), 2):
        span_s = went_s[last] - went_s[first]
        assert last - first + 1 <= burst + span_s * per_minute / 60 + A_SECOND_IN


@given(st.floats(60, 100_000), st.lists(st.integers(1, 5000), min_size=2, max_size=20))
def test_a_known_limit_of_tokens_is_kept_on_average(per_minute: float, tokens: list[int]) -> None:
    """A second's worth goes at once; a longer prompt goes alone, and is paid for afterwards."""
    gate = Gate(Limits(tokens_per_minute=per_minute))
    now_s = 0.0

    for amount in tokens:
        _, now_s = send(gate, now_s, tokens=amount)

    assert sum(tokens[:-1]) <= (now_s + 1) * per_minute / 60 + A_SECOND_IN


def test_tokens_are_corrected_when_the_answer_tells_how_many_they_were() -> None:
    gate = Gate(Limits(tokens_per_minute=60))
    more, _ = send(gate, 0.0, tokens=1)

    more.answered(tokens=50)

    assert gate.turn(tokens=1).wait_s(0.0) == pytest.approx(50 / 0.98)


def test_a_refused_prompt_used_no_tokens() -> None:
    gate = Gate(Limits(tokens_per_minute=60))
    turn, _ = send(gate, 0.0, tokens=1000)

    turn.refused(0.0, retry_after_s=2.5)

    assert gate.turn(tokens=1).wait_s(0.0) == pytest.approx(2.5, abs=0.1)


def test_when_one_is_told_to_wait_all_wait_with_it() -> None:
    gate = Gate()
    refused(gate, 0.0, retry_after_s=7.5)
    turns = [gate.turn() for _ in range(5)]

    assert all(turn.wait_s(0.1) >= 7.4 for turn in turns)
    assert gate.pace.closed_s(0.1) == pytest.approx(7.4)


def test_after_the_wait_they_go_one_by_one_until_one_is_accepted() -> None:
    gate = Gate()
    for _ in range(20):
        send(gate, 0.0)[0].accepted(0.0)
    refused(gate, 0.0, retry_after_s=30.5)
    first, second, third, fourth = (gate.turn() for _ in range(4))

    went = [turn.wait_s(30.5) == 0 for turn in (first, second, third)]
    first.accepted(30.6)
    then = [turn.wait_s(30.6) == 0 for turn in (second, third, fourth)]

    assert went == [True, False, False]
    assert then == [True, True, False]


@pytest.mark.parametrize("held", ["refused", "overloaded"])
def test_a_slow_answer_does_not_keep_the_others_from_going(held: str) -> None:
    """A model may think for minutes before its answer begins; a refusal would come at once."""
    gate = Gate()
    turn, _ = send(gate, 0.0)
    turn.refused(0.1, 1.5) if held == "refused" else turn.overloaded(0.1, 1.5)
    slow, went_s = send(gate, 1.6)

    _, then_s = send(gate, went_s)

    assert then_s - went_s < 3
    slow.accepted(then_s + 60)


def test_they_go_in_the_order_in_which_they_came() -> None:
    gate = Gate(Limits(requests_per_minute=60))
    turns = [gate.turn() for _ in range(8)]
    for turn in turns:
        turn.wait_s(0.0)

    went = []
    for tenth in range(1, 100):
        # The last one asks first, each time.
        went += [
            turn for turn in reversed(turns) if turn.sent_s is None and not turn.wait_s(tenth / 10)
        ]

    assert went == turns[1:]


def test_one_that_goes_away_blocks_nobody() -> None:
    gate = Gate(Limits(requests_per_minute=60))
    send(gate, 0.0)
    with gate.turn() as interrupted:
        interrupted.wait_s(0.0)
        next_one = gate.turn()
        assert next_one.wait_s(0.0) == pytest.approx(2 / 0.98)

    assert next_one.wait_s(0.0) == pytest.approx(1 / 0.98)


def test_one_that_no_longer_asks_is_overtaken_and_keeps_its_place() -> None:
    """As when somebody stops reading a stream of events in the middle of a wait."""
    gate = Gate(Limits(requests_per_minute=60))
    send(gate, 0.0)
    asleep, awake, last = gate.turn(), gate.turn(), gate.turn()
    due_s = asleep.wait_s(0.0)
    for turn in (awake, last):
        turn.wait_s(0.0)

    assert awake.wait_s(due_s) > 0
    assert awake.wait_s(due_s + LATE_S + 0.01) == 0
    assert last.wait_s(5.0) == 0
    assert let_through(asleep, 5.0) < 7


def test_a_request_whose_fate_is_not_known_counts_but_used_no_tokens() -> None:
    """As when it was interrupted or failed: the server may have counted it."""
    gate = Gate(Limits(requests_per_minute=60, tokens_per_minute=6000))

    for _ in range(3):
        with gate.turn(tokens=1000) as turn:
            turn.wait_s(0.0)
            turn.go(0.0)

    with gate.turn(tokens=1000) as turn:
        assert turn.wait_s(0.0) == pytest.approx(3 / 0.98)
        assert turn.held_by == "requests_per_minute"


def test_turns_that_the_collector_ends_do_no_harm() -> None:
    """It runs on whatever thread makes objects, also within the gate."""
    gate = Gate()

    def left_behind() -> Iterator[None]:
        with gate.turn() as turn:
            turn.wait_s(0.0)
            yield

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for now_s in range(50):
            cycle: list[object] = [left_behind()]
            next(cycle[0])  # type: ignore[call-overload]
            cycle.append(cycle)
            del cycle
            gate.turn().wait_s(float(now_s))
    finally:
        gc.set_threshold(*before)
    gc.collect()

    assert gate.turn().wait_s(1000.0) == 0


@given(st.data())
def test_whatever_happens_nobody_starves(data: st.DataObject) -> None:
    """After any requests, refusals, waits and departures, a new one goes in a finite time."""
    gate = Gate(Limits(requests_per_minute=data.draw(st.sampled_from([None, 60.0]))))
    now_s = 0.0
    turns = [gate.turn(tokens=data.draw(st.integers(0, 100)))]
    for _ in range(data.draw(st.integers(0, 60))):
        now_s += data.draw(st.sampled_from([0.0, 0.01, 0.5, 3.0, 61.0, 400.0]))
        turn = data.draw(st.sampled_from(turns))
        match data.draw(st.sampled_from(["ask", "ask", "accept", "refuse", "leave", "join"])):
            case "ask":
                assert 0 <= turn.wait_s(now_s) < math.inf
            case "accept":
                turn.accepted(
                    now_s,
                    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "5s"},
                )
            case "refuse":
                turn.refused(now_s, data.draw(st.sampled_from([None, 0.0, 0.2, 1.0, 30.5])))
            case "leave":
                turn.__exit__(None, None, None)
            case "join":
                turns.append(gate.turn())

    closed_s = gate.pace.closed_s(now_s)
    _, went_s = send(gate, now_s)

    assert went_s - now_s <= closed_s + 61 * (1 + len(turns))


def test_a_refusal_that_comes_minutes_late_makes_nobody_wait_for_minutes() -> None:
    """As when the computer slept: so few requests in so long a time do not tell the rate."""
    gate = Gate()
    refused(gate, 0.0, retry_after_s=1.5)
    late, _ = send(gate, 2.0)
    accepted, went_s = send(gate, 3.0)
    accepted.accepted(went_s)

    late.refused(400.0)

    first_s = send(gate, 400.0)[1]
    assert send(gate, first_s)[1] <= first_s + 61


def test_a_limit_is_forgotten_after_minutes_without_a_request() -> None:
    gate = Gate()
    refused(gate, 0.0, retry_after_s=1.5)
    went, waits = gate.turn().wait_s(2.0), gate.turn().wait_s(2.0)
    assert went == 0 < waits

    turns = [gate.turn() for _ in range(FIRST_AT_ONCE + 1)]

    assert [turn.wait_s(400.0) == 0 for turn in turns] == [True] * FIRST_AT_ONCE + [False]


def test_at_first_a_few_go_at_once_and_more_as_they_are_accepted() -> None:
    """All of a burst would be refused together."""
    gate = Gate()
    turns = [gate.turn() for _ in range(3 * FIRST_AT_ONCE)]

    went = [turn for turn in turns if turn.wait_s(0.0) == 0]
    assert went == turns[:FIRST_AT_ONCE]
    for turn in went:
        turn.accepted(0.1)
    assert [turn.wait_s(0.1) for turn in turns] == [0.0] * len(turns)


def test_headers_slow_down_before_the_limit_is_hit() -> None:
    gate = Gate()
    turn, _ = send(gate, 0.0)

    turn.accepted(0.1, {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "20s"})

    assert send(gate, 0.2)[1] == 0.2
    assert gate.turn().wait_s(0.2) == pytest.approx(19.9)


def test_threads_share_a_gate() -> None:
    """The clock goes on by a millisecond with each question, so nothing sleeps."""
    gate = Gate(Limits(requests_per_minute=6000))
    ticks = itertools.count()
    went_s: list[float] = []

    def work() -> None:
        for _ in range(20):
            with gate.turn() as turn:
                while turn.wait_s(next(ticks) / 1000):
                    pass
                assert turn.sent_s is not None
                went_s.append(turn.sent_s)
                turn.accepted(turn.sent_s)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(went_s) == 160
    assert all(after - before >= 0.01 for before, after in pairwise(sorted(went_s)))
    assert gate.line == []


def test_an_endpoint_model_and_key_have_one_gate_with_the_newest_limits() -> None:
    one = gate_for("http://127.0.0.1:1", "a-model", "sk-one", Limits(requests_per_minute=1))
    send(one, 0.0)
    with one.turn() as turn:
        assert turn.wait_s(0.0) > 60

    same = gate_for("http://127.0.0.1:1", "a-model", "sk-one")
    others = [
        gate_for("http://127.0.0.1:1", "another", "sk-one"),
        gate_for("http://127.0.0.1:2", "a-model", "sk-one"),
        gate_for("http://127.0.0.1:1", "a-model", "sk-two"),
    ]

    assert same is one
    assert one not in others
    assert [same.turn().wait_s(1.0) for _ in range(3)] == [0.0] * 3
