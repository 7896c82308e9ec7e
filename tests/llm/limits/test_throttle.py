"""Prompts to one model pass one limiter, through real HTTP.

Two requests at once are two runs that are read in turn, on a clock that stands still until the
test lets time pass.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from fake_clock import SteppedClock
from model_server import Answer, ModelServer, Refuse
from sending import ask_in_vain

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.connection import ConnectionTest
from openhands_llm_magic.llm.events import Accepted, Done, Event, Retrying, Throttled, Waiting
from openhands_llm_magic.llm.reply import ReplyBuilder
from openhands_llm_magic.llm.worker import Control

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from fake_clock import FakeClock

pytestmark = pytest.mark.usefixtures("litellm", "set_up")

RETRY_AFTER_7 = Refuse(429, {"retry-after": "7"})
PER_DAY = Refuse(429, {"retry-after": "3600"}, message="Rate limit reached on requests per day.")
USED_UP = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6s"}


@pytest.fixture
def stepped() -> SteppedClock:
    """A clock that stands still until the test lets time pass."""
    return SteppedClock()


@pytest.fixture
def asking(stepped: SteppedClock) -> Iterator[Any]:
    """Begins to ask with some settings; returns the events, which are closed after the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            closing(stream("Hello", clock=stepped, **settings))
        )


def until(kind: type[Event], events: Generator[Event]) -> Event:
    """Read on to an event of a kind, and give it."""
    return next(event for event in events if isinstance(event, kind))


def test_when_one_is_told_to_wait_the_others_wait_with_it(
    model_server: ModelServer, stepped: SteppedClock, asking: Any
) -> None:
    """Instead of running into the limit, one after the other."""
    model_server.script(RETRY_AFTER_7, Answer("Hi"))
    first, second = asking(), asking()

    until(Retrying, first)
    held = next(second)

    assert isinstance(held, Throttled)
    assert (held.by, held.throttled_s) == ("pause", 0)
    assert held.remaining_s >= 7
    assert model_server.count == 1
    first.close()
    stepped.let_time_pass()
    builder = ReplyBuilder()
    for event in second:
        builder.add(event)
    assert (builder.reply.text, builder.reply.attempts) == ("Hi", 1)
    assert builder.reply.throttled_s == stepped.now() >= 7
    assert model_server.count == 2


def test_a_busy_server_that_names_a_wait_is_left_alone_by_all(
    model_server: ModelServer, asking: Any
) -> None:
    model_server.script(Refuse(503, {"retry-after": "7"}), Answer("Hi"))
    first, second = asking(), asking()

    until(Retrying, first)

    assert next(second) == Throttled("pause", 0, 7)


def test_a_busy_server_that_names_none_holds_nobody_up(
    model_server: ModelServer, asking: Any
) -> None:
    model_server.script(Refuse(503), Answer("Hi"))
    first, second = asking(), asking()

    until(Retrying, first)

    assert not isinstance(next(second), Throttled)


def test_another_model_or_key_does_not_wait(model_server: ModelServer, asking: Any) -> None:
    model_server.script(RETRY_AFTER_7, Answer("Hi"))
    until(Retrying, asking())

    for other in (asking(model="openai/gpt-4.1"), asking(api_key="sk-another")):
        assert not isinstance(next(other), Throttled)


def test_what_the_server_says_is_left_is_kept_to(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """It need not refuse anything."""
    model_server.script(Answer("one", headers=USED_UP), Answer("two"))
    ask("Hello", clock=clock)

    reply = ask("Hello", clock=clock)

    assert (reply.text, reply.attempts) == ("two", 1)
    assert reply.throttled_s == pytest.approx(6)


def test_a_limit_of_requests_is_kept_from_the_start(
    model_server: ModelServer, clock: FakeClock
) -> None:
    model_server.script(Answer("Hi"))
    replies = [ask("Hello", clock=clock, requests_per_minute=30) for _ in range(3)]

    assert [reply.throttled_s for reply in replies] == pytest.approx([0, 2, 2], rel=0.03)
    held = next(stream("Hello", clock=clock, requests_per_minute=30))
    assert isinstance(held, Throttled)
    assert held.by == "requests_per_minute"


def test_a_limit_of_tokens_counts_what_the_answers_used(
    model_server: ModelServer, clock: FakeClock
) -> None:
    model_server.script(Answer("Hi", usage=(20, 40)))
    settings: dict[str, Any] = {"tokens_per_minute": 60, "max_output_tokens": 40}

    first, second = (ask("Hello", clock=clock, **settings) for _ in range(2))

    assert first.throttled_s == 0
    assert second.throttled_s == pytest.approx(60, rel=0.05)


def test_a_long_prompt_counts_before_its_answer(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """About four bytes a token, in any language."""
    model_server.script(Answer("Hi", usage=None))
    for prompt in ("word " * 80, "言葉" * 67):
        ask(prompt, clock=clock, tokens_per_minute=60)
        began_s = clock.now()
        ask("Hello", clock=clock, tokens_per_minute=60)
        assert clock.now() - began_s == pytest.approx(100, rel=0.05)
        clock.sleep(10)


def test_a_hold_is_told_about_once_a_second(
    model_server: ModelServer, stepped: SteppedClock, asking: Any
) -> None:
    model_server.script(Answer("Hi"))
    stepped.let_time_pass()
    list(asking(requests_per_minute=20))

    held = [event for event in asking(requests_per_minute=20) if isinstance(event, Throttled)]

    assert [each.throttled_s for each in held] == pytest.approx([0, 1, 2, 3, 3.06], abs=0.01)
    left_s = [each.remaining_s for each in held]
    assert left_s == pytest.approx([3.06, 2.06, 1.06, 0.06, 0], abs=0.01)


@pytest.mark.parametrize(
    "settings",
    [
        {"requests_per_minute": 2, "deadline": 10},
        {"requests_per_minute": 2, "deadline": 10, "num_retries": 0},
        {"requests_per_minute": 0.1, "deadline": 400},
    ],
)
def test_a_hold_beyond_the_deadline_is_not_begun(
    model_server: ModelServer, clock: FakeClock, settings: dict[str, Any]
) -> None:
    """Nothing is sent, and the line names the limit and the deadline, nobody else."""
    model_server.script(Answer("Hi"))
    ask("Hello", clock=clock, **settings)

    error = ask_in_vain(clock, **settings)

    assert type(error) is errors.ThrottledError
    assert str(error).startswith("not sent within the deadline (its turn comes in ")
    assert "s, to keep within requests_per_minute)" in str(error)
    assert "raise deadline (now" in str(error)
    assert error.reply.attempts == 0
    assert (model_server.count, clock.sleeps_s) == (1, [])


def test_a_failed_request_counts_for_the_limit(model_server: ModelServer, clock: FakeClock) -> None:
    """The server may have counted it, whatever came of it."""
    model_server.script(Refuse(400), Refuse(500), Answer("Hi"))
    settings: dict[str, Any] = {"requests_per_minute": 6, "num_retries": 0}
    ask_in_vain(clock, **settings)
    ask_in_vain(clock, **settings)

    ask("Hello", clock=clock, **settings)

    assert clock.now() == pytest.approx(20, rel=0.03)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "groq", "litellm_proxy"])
def test_what_is_left_is_read_from_the_headers_of_each_dialect(
    model_server: ModelServer, clock: FakeClock, provider: str
) -> None:
    names = ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
    if provider == "anthropic":
        names = ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset")
    model_server.script(Answer("Hi", headers=dict(zip(names, ["0", "6s"], strict=True))))
    settings: dict[str, Any] = {
        "model": f"{provider}/a-model",
        "base_url": model_server.base_for(provider),
    }

    replies = [ask("Hello", clock=clock, **settings) for _ in range(2)]

    assert [reply.throttled_s for reply in replies] == [0, pytest.approx(6)]


def test_other_headers_are_not_passed_on(model_server: ModelServer, asking: Any) -> None:
    """A gateway may echo a key in one."""
    model_server.script(Answer("Hi", headers={"x-key": "sk-canary-0123456789abcdef", **USED_UP}))

    accepted = until(Accepted, asking())

    assert isinstance(accepted, Accepted)
    assert set(accepted.headers) <= {*USED_UP, "date"}


@pytest.mark.parametrize("prompt", ["a lone surrogate: \udce9", "\0"])
def test_any_text_can_be_counted(model_server: ModelServer, clock: FakeClock, prompt: str) -> None:
    """What cannot be sent is told as such, in one line."""
    model_server.script(Answer("Hi"))
    try:
        ask(prompt, clock=clock, num_retries=0)
    except errors.RequestError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - either is right


def test_a_key_of_the_providers_own_variable_has_its_own_gate(
    model_server: ModelServer, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLM_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-one-account")
    model_server.script(RETRY_AFTER_7, Answer("Hi"))
    until(Retrying, asking())

    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another")

    assert not isinstance(next(asking()), Throttled)


def test_after_a_wait_beyond_the_limit_whoever_asks_again_is_sent(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """The server said hours; a person who asks nevertheless has a reason."""
    model_server.script(Refuse(429, {"retry-after": "3600"}), Answer("Hi"))
    ask_in_vain(clock)

    assert ask("Hello", clock=clock).throttled_s == 0


def test_a_limit_of_a_day_is_asked_for_once(model_server: ModelServer, clock: FakeClock) -> None:
    """Until it opens the others are told so, and nothing is sent; then they are sent again."""
    model_server.script(PER_DAY, Answer("Hi"))
    for _ in range(3):
        error = ask_in_vain(clock)
        assert type(error) is errors.DailyLimitError
        assert "the limit of the day is used up (429: Rate limit reached" in str(error)
        assert "it opens again at 20" in str(error)
    assert error.retry_after_s == 3600
    assert model_server.count == 1
    clock.wait(threading.Event(), 3600)
    assert ask("Hello", clock=clock).text == "Hi"


def test_a_limit_of_a_day_does_not_hold_back_a_connection_test(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """Who has bought credit meanwhile tests it; after that prompts are sent again."""
    model_server.script(PER_DAY, Answer("OK"))
    ask_in_vain(clock)
    *_, done = ConnectionTest(load_settings(), clock).run()
    assert type(done) is Done
    assert ask("Hello", clock=clock).text == "OK"


@pytest.mark.parametrize(
    ("words", "waits_s"),
    [
        # OpenAI's limit of a day is a bucket, of which a place is free again in a moment.
        ("Rate limit reached on requests per day (RPD). Please try again in 8.64s.", [8.64] * 4),
        ("Rate limit reached on tokens per day (TPD). Please try again in 9m38.016s.", []),
        ("Rate limit exceeded: free-models-per-day", []),
    ],
)
def test_a_limit_of_a_day_is_waited_for_where_it_opens_soon(
    model_server: ModelServer, clock: FakeClock, words: str, waits_s: list[float]
) -> None:
    model_server.script(Refuse(429, message=words))
    error = ask_in_vain(clock)
    assert type(error) is errors.DailyLimitError
    assert [wait.wait_s for wait in error.reply.waits] == pytest.approx(waits_s)


@pytest.mark.parametrize("wait_s", [0, 1, 3])
def test_the_gate_makes_no_retry_later_than_the_policy(
    model_server: ModelServer, clock: FakeClock, wait_s: int
) -> None:
    """It pauses when a refusal names no wait, but not beyond the policy's own wait."""
    model_server.script(*[Refuse(429)] * 4, Answer("Hi"))

    reply = ask("Hello", clock=clock, retry_min_wait=wait_s, retry_multiplier=1)

    assert (reply.attempts, reply.throttled_s) == (5, 0)
    assert clock.now() == 4 * wait_s


def test_retry_now_ends_a_wait_and_passes_the_gate(
    model_server: ModelServer, stepped: SteppedClock, asking: Any
) -> None:
    """Once: the next wait is another one. The reply tells how long was really waited."""
    model_server.script(RETRY_AFTER_7, RETRY_AFTER_7, Answer("Hi"))
    control, builder = Control(), ReplyBuilder()

    for event in asking(control=control):
        builder.add(event)
        match event:
            case Waiting(Retrying(retry=1), 7):
                control.retry_now()
            case Waiting(Retrying(retry=2), 7):
                stepped.let_time_pass()

    assert [wait.wait_s for wait in builder.reply.waits] == [0, 7]
    assert builder.reply.text == "Hi"
    assert stepped.now() == builder.reply.waited_s == 7
    assert model_server.count == 3


def test_stopped_while_it_is_held_back(model_server: ModelServer, asking: Any) -> None:
    """It leaves the line, and counts as no request."""
    model_server.script(Answer("Hi"))
    list(asking(requests_per_minute=20))
    control, builder = Control(), ReplyBuilder()

    for event in asking(requests_per_minute=20, control=control):
        builder.add(event)
        control.cancel()

    assert isinstance(builder.reply.error, Stopped)
    assert builder.reply.attempts == 0
    assert model_server.count == 1
