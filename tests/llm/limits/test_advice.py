"""Which settings outlast what a server was seen to refuse for, and what is seen."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import Answer, ModelServer, Refuse
from sending import ask_in_vain
from setting_values import chosen

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.limits import seen, waits
from openhands_llm_magic.llm.limits.advice import Advice, advice, schedules, told
from openhands_llm_magic.llm.limits.seen import LONGEST_S, Seen, seen_in
from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import REFUSED, ledger_of

if TYPE_CHECKING:
    from pathlib import Path

    from fake_clock import FakeClock

    from openhands_llm_magic.config.resolve import Snapshot

MINUTE = Seen(asked_s=60.0)


def advised(settings: Snapshot, found: Seen) -> Advice:
    made = advice(settings, found)
    assert made is not None
    return made


def gives_up_s(settings: Snapshot) -> list[float]:
    return [each.gives_up_s for each in schedules(settings)]


def test_a_minute_is_not_outlasted_by_what_nobody_has_set() -> None:
    """OpenHands counts attempts and doubles from 2 s; its SDK has defaults of its own."""
    settings = chosen(model="anthropic/m")
    assert gives_up_s(settings) == [65, 18, 120]
    made = advised(settings, MINUTE)
    assert made.values == {"num_retries": 8, "retry_min_wait": 15, "retry_max_wait": 60}
    assert [each.gives_up_s for each in made.then] == [405, 213, 303]


def test_openais_client_makes_further_waits_in_0_41() -> None:
    """They count as short as they may be."""
    assert gives_up_s(chosen(model="openai/m")) == [65, 18 + 4 * 1.125, 120]


@pytest.mark.parametrize(
    ("found", "values", "advised_values"),
    [
        (MINUTE, {"num_retries": 6, "retry_min_wait": 30, "retry_max_wait": 60}, {}),
        (Seen(asked_s=3.0), {}, {}),
        (Seen(passed_s=7.5), {}, {}),
        (Seen(asked_s=3.0), {"num_retries": 0}, {"num_retries": 3}),
        (Seen(refused_s=20.0), {}, {"num_retries": 6}),
        (
            Seen(passed_s=20.0),
            {"retry_multiplier": 0.0},
            {"num_retries": 6, "retry_multiplier": 2.0},
        ),
        (
            Seen(asked_s=400.0),
            {"num_retries": 30, "retry_max_wait": 120},
            {"retry_after_limit": 400.0},
        ),
        (MINUTE, {"num_retries": 20, "retry_after_limit": 30.0}, {"retry_after_limit": 60.0}),
    ],
)
def test_advice(found: Seen, values: dict[str, Any], advised_values: dict[str, float]) -> None:
    """Nothing where it is enough, and never fewer retries or shorter waits than are set."""
    assert advised(chosen(model="anthropic/m", **values), found).values == advised_values


@pytest.mark.parametrize(
    "found", [Seen(), Seen(is_closed=True), Seen(asked_s=LONGEST_S + 1), Seen(asked_s=7200)]
)
def test_no_retry_outlasts_hours_or_a_day(found: Seen) -> None:
    """Nor is anything advised where nothing was seen."""
    assert advice(chosen(), found) is None


def test_a_deadline_that_comes_first_is_told() -> None:
    """It is the person's own, and nothing advises another."""
    early = chosen(model="anthropic/m", deadline=30.0)
    lines = told(advised(early, MINUTE))
    assert lines[-1].startswith("deadline = 30 s ends a prompt of this package before that")
    assert "deadline" not in advised(early, MINUTE).values
    assert len(told(advised(chosen(model="anthropic/m", deadline=90.0), MINUTE))) == 2


NUMBERS = {
    "num_retries": st.integers(0, 40) | st.just(10**9),
    "retry_min_wait": st.integers(0, 200) | st.just(10**400),
    "retry_max_wait": st.integers(0, 200) | st.just(10**400),
    "retry_multiplier": st.floats(0, 20) | st.sampled_from([1e300, 5e-324]),
    "retry_after_limit": st.floats(0, 1000),
    "deadline": st.floats(1, 1000),
}
SOME = st.sets(st.sampled_from(sorted(NUMBERS))).flatmap(
    lambda names: st.fixed_dictionaries({name: NUMBERS[name] for name in sorted(names)})
)
SECONDS = st.none() | st.floats(0.01, LONGEST_S)
FOUND = st.builds(Seen, SECONDS, SECONDS, SECONDS)
MODELS = st.sampled_from(["openai/m", "anthropic/m", "gemini/m", "m"])


@given(SOME, FOUND, MODELS)
def test_what_is_advised_outlasts_what_was_seen(
    values: dict[str, Any], found: Seen, model: str
) -> None:
    """In all schedules, within what the settings take; it is enough then, and lowers nothing."""
    settings = chosen(model=model, **values)
    made = advice(settings, found)
    if made is None:
        assert found.longest_s is None
        return
    assert found.longest_s is not None
    changed = settings.with_overrides(made.values)
    for name, value in made.values.items():
        assert SETTINGS[name].from_text(f"{value:g}") == SETTINGS[name].validate(value) == value
        assert value > getattr(settings, name)
    enough = all(each.outlasts(found.longest_s) for each in schedules(settings))
    assert bool(made.values.keys() - {"retry_after_limit"}) == (not enough)
    assert all(each.outlasts(found.longest_s) for each in made.then)
    assert changed.retry_after_limit >= (found.asked_s or 0)
    assert advised(changed, found).values == {}
    if not enough:  # a server may count what it refuses
        longest = min(math.ceil(found.longest_s), 120)
        assert all(max(each.waits_s) >= longest for each in made.then)


def row(**values: Any) -> Attempt:
    made = {"ended_at_s": 1.0, "day": day_of(1.0), "outcome": "failed", **values}
    return Attempt(**made)


LIMITED = "RateLimitError"


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([], Seen()),
        ([row(error_type=LIMITED, asked_s=7.0), row(error_type=LIMITED, asked_s=60.0)], MINUTE),
        ([row(error_type="ServerError", refused_s=35.0)], Seen(refused_s=35.0)),
        ([row(outcome="answered", refused_s=35.0)], Seen(passed_s=35.0)),
        ([row(outcome="answered", asked_s=6.0)], Seen(asked_s=6.0)),
        ([row(error_type="DailyLimitError", asked_s=60.0)], Seen(is_closed=True)),
        ([row(error_type=LIMITED, asked_s=7200.0)], Seen(is_closed=True)),
        ([row(error_type=LIMITED, asked_s=3e7), row(error_type=LIMITED, asked_s=60.0)],
         Seen(asked_s=60.0, is_closed=True)),
        ([row(outcome="answered", refused_s=30_000.0)], Seen()),
        ([row(error_type="NoAnswerInTimeError", refused_s=300.0)], Seen()),
        ([row(outcome="stopped", error_type="Stopped", refused_s=5.0)], Seen()),
    ],
)  # fmt: skip
def test_the_longest_of_each_kind_counts(rows: list[Attempt], found: Seen) -> None:
    """A laptop that slept, other faults and a limit of a day say nothing of the retries."""
    assert seen_in(rows) == found
    assert seen_in(reversed(rows)) == found


@pytest.mark.parametrize(
    ("words", "window_s"),
    [
        ("This request would exceed your rate limit of 80,000 input tokens per minute.", 60),
        ("Rate limit reached for gpt-4 on requests per min (RPM): Limit 3, Used 3.", 60),
        ("Quota exceeded for GenerateRequestsPerMinutePerProjectPerModel", 60),
        ("limit: 10/minute", 60),
        ("您的账户每分钟请求数已达上限", 60),
        ("Too many requests: 100 per hour", 3600),
        ("Too many requests", None),
        ("the permit was refused", None),
    ],
)
def test_a_limit_that_is_named_tells_its_window(words: str, window_s: float | None) -> None:
    """Unless the server names the wait itself; a busy server's words name no limit."""
    limited = errors.RateLimitError(words, status=429)
    assert waits.told_s(limited) == window_s
    assert waits.told_s(errors.RateLimitError(words, status=429, retry_after_s=7.0)) == 7
    assert waits.told_s(errors.ServerError(words, status=503)) is None


pytestmark = pytest.mark.usefixtures("litellm")


def at(server: ModelServer, **values: Any) -> dict[str, Any]:
    return {"model": "openai/gpt-4o", "base_url": server.openai_base, "api_key": "k", **values}


def assert_uses_index(settings: Snapshot) -> None:
    """A ledger of a million rows is not read for the few that were refused."""
    kept = ledger_of(settings)
    assert kept is not None
    query = f"EXPLAIN QUERY PLAN SELECT asked_s FROM attempts WHERE {REFUSED} AND ended_at_s > 0"  # noqa: S608 - names of ours
    assert "attempts_refused" in str(kept.rows(query))


def test_what_a_server_asks_is_seen(
    model_server: ModelServer, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By this session, and by later ones through the ledger; another model's is its own."""
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    settings = load_settings().with_overrides(at(model_server))
    model_server.script(Refuse(429, {"retry-after": "60"}), Answer("Hi"))
    ask("Hello", clock=clock, **at(model_server))
    assert seen.seen(settings) == MINUTE
    seen.forget()
    assert seen_in(seen.in_session(settings)) == Seen()
    assert seen.seen(settings) == MINUTE
    assert seen.seen(settings.with_overrides({"model": "openai/o3"})) == Seen()
    assert_uses_index(settings)
    week_later_s = time.time() + 8 * 86400
    assert seen.on_recent_days(settings, week_later_s) == []


def test_without_a_ledger_the_session_is_seen(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Refuse(429, {"retry-after": "60"}), Answer("Hi"))
    ask("Hello", clock=clock, **at(model_server))
    settings = load_settings().with_overrides(at(model_server))
    assert ledger_of(settings) is None
    assert seen.seen(settings) == MINUTE


def test_a_busy_server_is_seen_by_what_passed(model_server: ModelServer, clock: FakeClock) -> None:
    """It names no wait: 5, 10 and 20 s passed until a request was answered."""
    model_server.script(*[Refuse(503)] * 3, Answer("Hi"))
    ask("Hello", clock=clock, **at(model_server))
    settings = load_settings().with_overrides(at(model_server))
    assert seen.seen(settings) == Seen(passed_s=35.0, refused_s=15.0)


def test_retries_that_gave_up_have_seen_how_long_at_least(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """Their own waits are then not enough, and more are advised."""
    model_server.script(*[Refuse(529)] * 5)
    ask_in_vain(clock=clock, **at(model_server))
    settings = load_settings().with_overrides(at(model_server))
    found = seen.seen(settings)
    assert found.refused_s == 65
    assert advised(settings, found).values["num_retries"] > 4


@pytest.mark.parametrize(("reset", "asked_s"), [("58s", 58.0), ("23h59m54s", None)])
def test_what_an_accepted_request_used_up_is_seen(
    reset: str, asked_s: float | None, model_server: ModelServer, clock: FakeClock
) -> None:
    """The server tells when its limit opens; the reset of a day's bucket says nothing of that."""
    used_up = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}
    model_server.script(Answer("Hi", headers=used_up))
    ask("Hello", clock=clock, **at(model_server))
    settings = load_settings().with_overrides(at(model_server))
    assert seen.seen(settings) == Seen(asked_s=asked_s)


TPM = "Rate limit reached on tokens per minute (TPM): Limit 7000, "
FREE = {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "32503680000"}
REPORTED = {
    "a limit of a minute without a wait": (
        Refuse(429, message="It would exceed your rate limit of 80,000 input tokens per minute."),
        {"num_retries": 8, "retry_min_wait": 15, "retry_max_wait": 60},
    ),
    "a minute and a fraction": (
        Refuse(429, message=f"{TPM}Used 6148, Requested 6895. Please try again in 1m0.363142857s."),
        {"num_retries": 8, "retry_min_wait": 15, "retry_max_wait": 61},
    ),
    "more than is ever free": (
        Refuse(429, message=f"{TPM}Used 0, Requested ~12903. Please try again in 50.597142857s."),
        None,
    ),
    "a few seconds": (
        Refuse(429, message=f"{TPM}Used 6900, Requested 451. Please try again in 5.289s."),
        {},
    ),
    "two minutes of another limit": (
        Refuse(429, message="Rate limit reached. Please try again in 1m47.5854s."),
        {"num_retries": 8, "retry_min_wait": 15, "retry_max_wait": 108},
    ),
    "Gemini's decimals": (
        Refuse(429, message="Quota exceeded for a metric. Please retry in 45.837906927s."),
        {"num_retries": 8, "retry_min_wait": 12, "retry_max_wait": 46},
    ),
    "two days": (Refuse(429, {"retry-after": "198300"}), None),
    "a free model's day": (
        Refuse(429, FREE, message="Rate limit exceeded: free-models-per-day."),
        None,
    ),
    "overloaded once": (Refuse(529, message="Overloaded"), None),
}


@pytest.mark.parametrize(("refusal", "values"), REPORTED.values(), ids=REPORTED)
def test_what_was_reported_elsewhere(
    refusal: Refuse, values: dict[str, int] | None, model_server: ModelServer, clock: FakeClock
) -> None:
    """None where no retry helps, or where nothing is known of how long it lasts."""
    model_server.script(refusal)
    ask_in_vain(clock=clock, num_retries=0, **at(model_server))
    settings = load_settings().with_overrides(at(model_server, model="openai/gpt-4o"))
    made = advice(settings, seen.seen(settings))
    assert (made.values if made else None) == values
