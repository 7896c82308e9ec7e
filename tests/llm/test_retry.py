"""The retry policy, and the loop that asks again under it."""

from __future__ import annotations

import math
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from fake_clock import FakeClock
from hypothesis import example, given
from hypothesis import strategies as st

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.events import (
    Done,
    Event,
    Failed,
    Retrying,
    Sending,
    TextDelta,
    Waiting,
)
from openhands_llm_magic.llm.reply import fold
from openhands_llm_magic.llm.retries import RetryPolicy, countdown, with_retries
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, TICK_S, Cancelled, Control, SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable

BUSY = errors.ServerError("busy", status=503)
ANSWER: list[Event] = [TextDelta("Hi"), Done("stop")]
PERMANENT = [
    errors.AddressError,
    errors.AuthenticationError,
    errors.BadRequestError,
    errors.CertificateError,
    errors.ContentFilterError,
    errors.ContextLengthError,
    errors.FinishReasonError,
    errors.ToolCallError,
    errors.ToolRoundsError,
    errors.ToolsRefusedError,
    errors.MissingKeyError,
    errors.ModelNotFoundError,
    errors.NoTextError,
    errors.ThrottledError,
    errors.LibraryError,
    errors.NotStoredError,
    errors.OverBudgetError,
    errors.UntrustedAddressError,
    errors.StoreError,
    errors.OutputLimitError,
    errors.OversizedError,
    errors.ProxyError,
    errors.QuotaError,
    errors.RedirectError,
    errors.RequestTooLargeError,
    errors.Stopped,
    errors.UnsendableError,
]
TRANSIENT = [
    errors.BrokenAnswerError,
    errors.ConnectionFailedError,
    errors.NoAnswerInTimeError,
    errors.RateLimitError,
    errors.ServerError,
]


def limited(retry_after_s: float | None) -> errors.RateLimitError:
    return errors.RateLimitError("slow down", status=429, retry_after_s=retry_after_s)


def played(
    outcomes: Iterable[errors.RequestError | list[Event]], policy: RetryPolicy, clock: FakeClock
) -> list[Event]:
    """Make attempts that fail or answer in turn; one too many breaks the test."""
    left = iter(outcomes)
    events: list[Event] = []

    def attempt() -> None:
        outcome = next(left)
        events.append(Sending("a model"))
        if isinstance(outcome, errors.RequestError):
            raise outcome
        events.extend(outcome)

    for event in with_retries(attempt, policy, clock):
        events.append(event)  # noqa: PERF402 - between those of the attempts
    return events


def waits(events: list[Event]) -> list[tuple[float, str]]:
    return [(event.wait_s, event.set_by) for event in events if isinstance(event, Retrying)]


def test_the_waits_that_openhands_documents() -> None:
    policy = RetryPolicy()
    assert [policy.wait_before_s(retry) for retry in range(1, 5)] == [5, 10, 20, 30]
    assert RetryPolicy.from_settings(load_settings()) == policy


policies = st.builds(
    RetryPolicy,
    num_retries=st.integers(0, 10**9),
    min_wait_s=st.integers(0, 10**6),
    max_wait_s=st.integers(0, 10**6),
    multiplier=st.floats(1, allow_infinity=False),
)


@given(policies, st.integers(1, 10**9))
@example(RetryPolicy(min_wait_s=0, max_wait_s=30, multiplier=1e308), 2)
@example(RetryPolicy(min_wait_s=10**6, max_wait_s=30, multiplier=1.7e308), 2)
def test_waits_never_shrink_and_stay_below_the_longest(policy: RetryPolicy, retry: int) -> None:
    """However large the multiplier and the number of retries are."""
    wait_s, next_wait_s = policy.wait_before_s(retry), policy.wait_before_s(retry + 1)
    assert 0 <= wait_s <= next_wait_s <= policy.max_wait_s
    assert policy.wait_before_s(1) == min(policy.min_wait_s, policy.max_wait_s)


@given(st.floats(0, 1), st.integers(1, 10**9))
def test_a_multiplier_below_one_shortens_the_waits(multiplier: float, retry: int) -> None:
    policy = RetryPolicy(multiplier=multiplier)
    assert 0 <= policy.wait_before_s(retry + 1) <= policy.wait_before_s(retry) <= 5


@pytest.mark.parametrize("asked_s", [0.0, 0.5, 7.0, 300.0])
def test_the_wait_that_the_server_names_wins(asked_s: float) -> None:
    """Also over `max_wait_s`, and when it is no wait at all."""
    clock = FakeClock()
    events = played([limited(asked_s), BUSY, ANSWER], RetryPolicy(), clock)
    assert waits(events) == [(asked_s, "server"), (10, "policy")]
    assert clock.now() == pytest.approx(asked_s + 10)
    assert fold(events).text == "Hi"


def test_a_wait_beyond_the_limit_is_not_begun() -> None:
    clock = FakeClock()
    error = limited(301)
    assert played([error], RetryPolicy(), clock) == [Sending("a model"), Failed(error)]
    assert clock.sleeps_s == []


@pytest.mark.parametrize("kind", PERMANENT)
def test_permanent_failures_are_not_retried(kind: type[errors.RequestError]) -> None:
    clock = FakeClock()
    error = kind("no", retry_after_s=1)
    assert played([error], RetryPolicy(), clock) == [Sending("a model"), Failed(error)]
    assert clock.sleeps_s == []


@pytest.mark.parametrize("kind", TRANSIENT)
def test_transient_failures_are_retried(kind: type[errors.RequestError]) -> None:
    error = kind("not now")
    events = played([error, ANSWER], RetryPolicy(), FakeClock())
    assert events[1] == Retrying(retry=1, of=4, caused_by=error, wait_s=5, set_by="policy")
    assert events[-2:] == ANSWER


def test_every_error_is_known_to_be_one_or_the_other() -> None:
    kinds = errors.RequestError.__subclasses__() + errors.TransientError.__subclasses__()
    assert set(kinds) == {*PERMANENT, *TRANSIENT, errors.TransientError}


def test_without_retries_there_is_one_attempt() -> None:
    policy = RetryPolicy(num_retries=0)
    assert played([BUSY], policy, FakeClock()) == [Sending("a model"), Failed(BUSY)]


@given(st.integers(0, 6))
def test_it_gives_up_after_the_last_retry(num_retries: int) -> None:
    """Every attempt and every wait is in the reply."""
    clock = FakeClock()
    outcomes = [BUSY] * (num_retries + 1)
    reply = fold(played(outcomes, RetryPolicy(num_retries=num_retries), clock))
    assert (reply.error, reply.attempts) == (BUSY, num_retries + 1)
    assert [wait.retry for wait in reply.waits] == list(range(1, num_retries + 1))
    assert reply.waited_s == pytest.approx(clock.now())


def test_other_exceptions_pass() -> None:
    """A mistake in the code below is not retried and not hidden."""

    def attempt() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(with_retries(attempt, RetryPolicy(), FakeClock()))


def retrying(wait_s: float) -> Retrying:
    return Retrying(retry=1, of=4, caused_by=BUSY, wait_s=wait_s, set_by="policy")


@given(st.floats(0, 400), st.floats(0, 1e6))
@example(2.0, 0.0)
@example(0.25, 0.0)
def test_a_countdown_ticks_at_least_once_a_second(wait_s: float, now_s: float) -> None:
    """It waits exactly as long as it should, and the seconds left only go down, to 0."""
    clock = FakeClock(now_s)
    remaining = [waiting.remaining_s for waiting in countdown(retrying(wait_s), clock)]
    assert clock.now() - now_s == pytest.approx(wait_s, abs=1e-6)
    assert remaining[0] == pytest.approx(wait_s, abs=1e-6)
    assert remaining[-1] == 0
    assert all(0 < before - after <= TICK_S + 1e-6 for before, after in pairwise(remaining))
    assert all(sleep_s <= TICK_S for sleep_s in clock.sleeps_s)
    assert len(remaining) <= math.ceil(wait_s) + 2


@pytest.mark.parametrize(("wait_s", "seen"), [(3, [3, 2, 1, 0]), (2.5, [2.5, 2, 1, 0]), (0, [0])])
def test_a_countdown_goes_by_whole_seconds(wait_s: float, seen: list[float]) -> None:
    events = countdown(retrying(wait_s), FakeClock())
    assert [waiting.remaining_s for waiting in events] == seen


def test_a_clock_that_jumps_ahead_ends_the_wait() -> None:
    """As when the machine slept through it."""
    clock = FakeClock()
    clock.stalls_s = [0, 3600]
    assert [waiting.remaining_s for waiting in countdown(retrying(30), clock)] == [30, 29, 0]
    assert len(clock.sleeps_s) == 2


@given(st.lists(st.floats(0, 900), max_size=20))
def test_an_hour_is_counted_down_right_whatever_the_machine_sleeps(stalls_s: list[float]) -> None:
    """What is shown is what is left by the clock at that moment, and no wait ends early."""
    clock = FakeClock(1e9)
    clock.stalls_s = list(stalls_s)
    for waiting in countdown(retrying(3600), clock):
        left_s = 1e9 + 3600 - clock.now()
        assert waiting.remaining_s == pytest.approx(max(0, left_s), abs=1e-5)
    assert clock.now() - 1e9 >= 3600
    assert clock.now() - 1e9 <= 3600 + max(stalls_s, default=0) + 1e-5


def test_time_that_passes_at_the_consumer_is_part_of_the_wait() -> None:
    """A display that takes its time must not stretch the wait."""
    clock = FakeClock()
    for waiting in countdown(retrying(5), clock):
        if waiting.remaining_s:
            clock.sleep(0.5)
    assert clock.now() == 5


def test_cancelling_it_in_a_wait_makes_no_further_attempt() -> None:
    """The wait ends at once."""
    control, clock = Control(), FakeClock()
    made = []

    def attempt() -> None:
        made.append(clock.now())
        raise BUSY

    events = with_retries(attempt, RetryPolicy(), clock, control)
    assert isinstance(next(events), Retrying)
    assert isinstance(next(events), Waiting)
    control.cancel()
    with pytest.raises(Cancelled):
        next(events)
    assert (made, clock.now()) == ([0], 0)


def test_the_systems_clock_is_real() -> None:
    before_s = SystemClock.now()
    SystemClock.wait(threading.Event(), 0.001)
    assert SystemClock.now() > before_s


def test_setting_the_machines_clock_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an hour in the middle of a short wait."""
    began_s, events = time.time(), countdown(retrying(0.05), SYSTEM_CLOCK)
    first = next(events)
    monkeypatch.setattr(time, "time", lambda: began_s - 3600)
    rest = [waiting.remaining_s for waiting in events]
    assert 0 < first.remaining_s <= 0.05
    assert rest == [0]


def test_no_wait_stays_none_whatever_it_is_multiplied_by() -> None:
    policy = RetryPolicy(min_wait_s=0, max_wait_s=30, multiplier=1e200)
    assert [policy.wait_before_s(retry) for retry in (1, 2, 3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("deadline_s", "waits_s"),
    [(5, []), (5.1, [5]), (16, [5, 10]), (36, [5, 10, 20]), (1000, [5, 10, 20, 30])],
)
def test_no_wait_goes_beyond_the_deadline(
    clock: FakeClock, deadline_s: float, waits_s: list[float]
) -> None:
    """What could not be sent again before it is not waited for at all."""
    events = played([BUSY] * 5, RetryPolicy(deadline_s=deadline_s), clock)
    assert [wait_s for wait_s, _ in waits(events)] == waits_s
    assert isinstance(events[-1], Failed)
    assert clock.now() < deadline_s
