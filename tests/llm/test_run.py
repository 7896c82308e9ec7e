"""A prepared prompt on its worker thread: the events of each attempt, cancelling, event loops."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Cut, Hang, ModelServer, Raw, Refuse

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import ask, ask_async, stream, stream_async
from openhands_llm_magic.llm.events import AttemptEnded, Done, Failed, Sending, TextDelta, Usage
from openhands_llm_magic.llm.litellm.send import send
from openhands_llm_magic.llm.prepare import prepare
from openhands_llm_magic.llm.worker import Cancelled, Control, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_clock import FakeClock

    from openhands_llm_magic.llm.events import Event

pytestmark = pytest.mark.usefixtures("litellm", "set_up")


def ended(events: list[Event]) -> list[AttemptEnded]:
    return [event for event in events if isinstance(event, AttemptEnded)]


def test_an_answered_attempt_tells_all_of_it(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Answer("Hello you", usage=(1000, 100)))
    [attempt] = ended(list(stream("Hello", clock=clock)))
    assert (attempt.number, attempt.outcome, attempt.status) == (1, "answered", 200)
    assert attempt.error is None
    assert attempt.usage == Usage(1000, 100)
    assert attempt.cost.told_by == "price list"
    assert attempt.cost.usd == ask("Hello", clock=clock).cost_usd
    assert (attempt.model, attempt.host) == ("openai/gpt-4o", "127.0.0.1")
    assert attempt.model_answered == "gpt-4o"
    assert attempt.operation == "chat"


def test_there_is_one_for_each_request(model_server: ModelServer, clock: FakeClock) -> None:
    """Also for one that was refused, and for one whose answer was cut off."""
    model_server.script(
        Refuse(429, {"retry-after": "7"}), Cut(after_chunks=1, of=Answer("one two")), Answer("Hi")
    )
    refused, cut, answered = ended(list(stream("Hello", clock=clock)))
    assert [each.number for each in (refused, cut, answered)] == [1, 2, 3]
    assert (refused.outcome, refused.status) == ("failed", 429)
    assert type(refused.error) is errors.RateLimitError
    assert refused.first_token_s is None
    assert (cut.outcome, cut.status, cut.waited_s) == ("failed", 200, 7)
    assert type(cut.error) is errors.BrokenAnswerError
    assert cut.first_token_s is not None
    assert (answered.outcome, answered.waited_s) == ("answered", 10)
    assert model_server.count == 3


def test_the_times_are_those_of_the_request_alone(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """Without the waits, which stand beside them."""
    model_server.script(Answer("Hi"))
    ask("Hello", clock=clock, requests_per_minute=6)
    model_server.script(Answer("One two", between_chunks=lambda _sent: clock.sleep(2)))
    [attempt] = ended(list(stream("Hello", clock=clock, requests_per_minute=6)))
    assert attempt.throttled_s == pytest.approx(10, rel=0.03)
    assert attempt.took_s == pytest.approx(4)


def test_a_stopped_attempt_is_told_as_one(model_server: ModelServer) -> None:
    """The text that had come is there, and the connection is closed."""
    model_server.script(Hang(after_chunks=1, of=Answer("Some words")))
    control = Control()
    events = []
    for event in stream("Hello", control=control):
        events.append(event)
        if isinstance(event, TextDelta):
            control.cancel()
    [attempt] = ended(events)
    assert (attempt.outcome, attempt.status) == ("stopped", 200)
    assert isinstance(events[-1], Failed)
    assert type(events[-1].error) is errors.Stopped
    assert model_server.received[0].hung_up.wait(timeout=2)


def test_a_cancel_while_an_answer_is_passed_on_is_told_as_one(model_server: ModelServer) -> None:
    """Also where the answer has come in one piece."""
    whole = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    model_server.script(Answer("Hi"), Raw(whole, "application/json"))

    def emit(event: Event) -> None:
        if isinstance(event, TextDelta):
            raise Cancelled

    for streamed in (True, False):
        response = send(prepare("Hello", load_settings()).request, emit)
        assert response.error is not None, f"{streamed=}"


@pytest.mark.parametrize(
    "price", [{}, {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}]
)
def test_who_told_the_price(
    model_server: ModelServer, clock: FakeClock, price: dict[str, Any]
) -> None:
    """A price that a person has set; nobody, where the server is one on this machine."""
    model_server.script(Answer(usage=(10, 5)))
    [attempt] = ended(list(stream("Hello", clock=clock, model="openai/my-own", **price)))
    assert attempt.cost.told_by == ("by hand" if price else "local")
    assert attempt.cost.usd == (pytest.approx(20e-6) if price else None)


def test_a_request_that_was_never_made_has_none(clock: FakeClock) -> None:
    events = list(stream("Hello", clock=clock, cache="replay"))
    assert [type(event) for event in events] == [Failed]


def test_preparing_sends_nothing(model_server: ModelServer) -> None:
    """What is prepared cannot be changed, and knows its host and its price."""
    prepared = prepare("Hello " * 400, load_settings().with_overrides({"max_output_tokens": 1000}))
    assert model_server.count == 0
    assert prepared.host == "127.0.0.1"
    text_bytes = len("Hello " * 400)
    assert prepared.most_usd is not None
    assert 0 < prepared.most_usd - (text_bytes * 2.5e-6 + 1000 * 10e-6) < 0.004
    assert "canary" not in repr(prepared)
    with pytest.raises(AttributeError):
        prepared.schema = None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({"base_url": "", "model": "gpt-4o"}, "api.openai.com"),
        ({"base_url": "https://me:pw@gateway.example:8443/v1"}, "gateway.example"),
        ({"base_url": "", "model": "bedrock/x"}, ""),
        ({"base_url": "http://[half"}, ""),
    ],
)
def test_the_host(settings: dict[str, str], host: str) -> None:
    assert prepare("Hello", load_settings().with_overrides(settings)).host == host


def test_litellm_runs_on_the_worker_thread_alone(
    model_server: ModelServer, litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So an interrupt, which Python raises on the main thread, cannot land within it."""
    threads = []
    completion = litellm.completion

    def noting(*args: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        return completion(*args, **options)

    monkeypatch.setattr(litellm, "completion", noting)
    ask("Hello")
    assert threads[0] is not threading.main_thread()
    assert model_server.count == 1


def test_a_reader_that_is_late_gets_all_of_the_text(model_server: ModelServer) -> None:
    model_server.script(Answer("one two three"))
    events = stream("Hello")
    assert isinstance(next(events), Sending)
    time.sleep(0.2)  # if all of it has not come by then, it comes in more pieces
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(texts) == "one two three"


@pytest.mark.parametrize("mistake", [ZeroDivisionError, SystemExit])
def test_a_mistake_of_ours_is_raised_where_the_events_are_taken(
    mistake: type[BaseException],
) -> None:
    """It is no success, whatever kind it is."""

    def job(emit: Callable[[Any], None]) -> None:
        emit(TextDelta("before"))
        raise mistake

    events = iter(Run(job))
    assert next(events) == TextDelta("before")
    with pytest.raises(mistake):
        next(events)


def test_two_threads_ask_at_once(model_server: ModelServer) -> None:
    """Each gets its own answer."""
    model_server.script(lambda received: Answer(received.body["messages"][-1]["content"]))
    replies: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: replies.append(ask(name).text))
        for name in ("one", "two", "three", "four")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == ["four", "one", "three", "two"]


def test_asking_lets_other_tasks_go_on(model_server: ModelServer) -> None:
    model_server.script(Answer("one two", between_chunks=lambda _sent: time.sleep(0.1)))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def both() -> str:
        ticking = asyncio.create_task(tick())
        reply = await ask_async("Hello")
        ticking.cancel()
        return reply.text

    assert asyncio.run(both()) == "one two"
    assert ticks > 2


def test_events_arrive_in_an_event_loop(model_server: ModelServer, clock: FakeClock) -> None:
    """The same ones."""
    model_server.script(Refuse(429, {"retry-after": "2"}), Answer("Hi"))

    async def read() -> list[Event]:
        return [event async for event in stream_async("Hello", clock=clock)]

    *_, last = events = asyncio.run(read())
    assert isinstance(last, Done)
    assert [each.outcome for each in ended(events)] == ["failed", "answered"]


def test_cancelling_the_task_hangs_up(model_server: ModelServer) -> None:
    model_server.script(Hang(after_chunks=1))

    async def cancelled() -> None:
        task = asyncio.create_task(ask_async("Hello"))
        while not model_server.received:  # noqa: ASYNC110 - another thread receives
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert model_server.received[0].hung_up.wait(timeout=2)


def test_a_failure_is_raised_in_the_task(model_server: ModelServer) -> None:
    model_server.script(Refuse(401))
    with pytest.raises(errors.AuthenticationError) as caught:
        asyncio.run(ask_async("Hello"))
    assert caught.value.reply.attempts == 1


def test_messages_can_stand_for_the_prompt(model_server: ModelServer) -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    ask([*messages, {"role": "user", "content": "And now?"}])
    assert [each["role"] for each in model_server.received[0].body["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


def test_a_stream_can_be_held_to_a_schema(model_server: ModelServer) -> None:
    """A JSON schema or a pydantic class, as for `ask`."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    model_server.script(Answer("{}"), Answer('{"n": 7}'))
    with closing(stream("How many?", schema=schema)) as events:
        texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(texts) == '{}{"n": 7}'
