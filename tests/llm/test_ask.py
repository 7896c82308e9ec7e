"""A prompt and settings in, events or a `Reply` out, through real HTTP."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Cut, Hang, ModelServer, Raw, Refuse
from sending import ask_in_vain

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.events import Accepted, Sending, TextDelta
from openhands_llm_magic.llm.practice import shared as practice
from openhands_llm_magic.llm.reply import fold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_clock import FakeClock
    from model_server import Step

    from openhands_llm_magic.llm.practice.server import PracticeServer

pytestmark = pytest.mark.usefixtures("litellm", "set_up")

RETRY_AFTER_7 = Refuse(429, {"retry-after": "7"})


def body_of(server: ModelServer) -> dict[str, Any]:
    body: dict[str, Any] = server.received[-1].body
    return body


def test_ask_gives_the_reply(model_server: ModelServer) -> None:
    model_server.script(Answer("Hello you", usage=(7, 2)))
    reply = ask("Hello")
    assert (reply.text, str(reply), reply.model) == ("Hello you", "Hello you", "openai/gpt-4o")
    assert (reply.attempts, reply.waits, reply.finish_reason) == (1, (), "stop")
    assert reply.usage is not None
    assert reply.usage.total_tokens == 9
    assert reply.cost_usd is not None


def test_stream_gives_the_events_of_the_same_reply(model_server: ModelServer) -> None:
    model_server.script(Answer("one two three"))
    events = list(stream("Hello"))
    kinds = [type(event).__name__ for event in events]
    kinds = [kind for kind, _ in groupby(kinds)]
    assert kinds == ["Sending", "Accepted", "TextDelta", "Usage", "AttemptEnded", "Done"]
    messages = [{"role": "user", "content": "Hello"}]
    assert fold(events, "openai/gpt-4o", messages) == ask("Hello")


def test_nothing_is_sent_before_the_first_event_is_asked_for(model_server: ModelServer) -> None:
    events = stream("Hello")
    assert model_server.count == 0
    assert any(isinstance(event, Accepted) for event in events)
    assert model_server.count == 1


def test_settings_reach_the_server(model_server: ModelServer) -> None:
    """Under the names of the provider's API; an override counts for this request alone."""
    settings = load_settings()
    sent: dict[str, Any] = {"temperature": 0.7, "top_p": 0.5}
    ask("Hello", settings, system="Be brief.", max_output_tokens=99, **sent)
    body = body_of(model_server)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert body["model"] == "gpt-4o"
    assert body.items() >= {**sent, "max_completion_tokens": 99, "stream": True}.items()
    assert model_server.received[-1].headers["authorization"] == "Bearer sk-canary-0123456789abcdef"
    ask("Hello", settings)
    body = body_of(model_server)
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert not body.keys() & {"temperature", "top_p", "max_completion_tokens"}


def test_our_own_settings_do_not(model_server: ModelServer) -> None:
    """How often to retry is not the server's business."""
    ask("Hello", num_retries=1, retry_min_wait=2, retry_after_limit=60)
    unexpected = {name for name in body_of(model_server) if "retr" in name}
    assert unexpected == set()


def test_settings_of_the_config_file_are_found(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LLM_MODEL")
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "openai/from-file"\n')
    assert ask("Hello").model == "openai/from-file"
    assert body_of(model_server)["model"] == "from-file"


@pytest.mark.parametrize("prompt", ["", " \n\t"])
def test_an_empty_prompt(model_server: ModelServer, prompt: str) -> None:
    """It is refused when it is given, not when its events are read."""
    with pytest.raises(errors.UsageError, match="prompt is empty"):
        stream(prompt)
    assert model_server.count == 0


def test_a_bad_override(model_server: ModelServer) -> None:
    with pytest.raises(errors.SettingError, match="temperature"):
        stream("Hello", temperature="hot")
    with pytest.raises(errors.SettingError, match="temprature"):
        stream("Hello", temprature=0.5)
    assert model_server.count == 0


def test_a_failure_holds_what_came(model_server: ModelServer, clock: FakeClock) -> None:
    """The longest partial answer of all attempts."""
    model_server.script(Cut(after_chunks=3, of=Answer("one two three four")), Cut(after_chunks=1))
    error = ask_in_vain(clock, num_retries=1)
    assert type(error) is errors.BrokenAnswerError
    reply = error.reply
    assert reply is not None
    assert reply.text == "one two three "
    assert reply.error is error
    assert (reply.attempts, reply.waited_s, reply.finish_reason) == (2, 5, None)


def test_the_servers_wait_is_kept_to(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(RETRY_AFTER_7, RETRY_AFTER_7, Answer("Hi"))
    reply = ask("Hello", clock=clock)
    assert reply.text == "Hi"
    assert model_server.count == reply.attempts == 3
    assert [(wait.wait_s, wait.set_by) for wait in reply.waits] == [(7, "server"), (7, "server")]
    assert clock.now() == 14


def test_closing_it_hangs_up(model_server: ModelServer) -> None:
    model_server.script(Hang(after_chunks=2))
    with closing(stream("Hello")) as events:
        first, second, third = next(events), next(events), next(events)
        assert (first, second) == (Sending("openai/gpt-4o", "127.0.0.1"), Accepted())
        assert isinstance(third, TextDelta)
        assert "Hello from ".startswith(third.text)
    assert model_server.received[0].hung_up.wait(timeout=1)


@pytest.mark.parametrize(
    ("step", "kind", "names"),
    [
        (Refuse(401), errors.AuthenticationError, ["api_key", "LLM_API_KEY", "401"]),
        (Refuse(404), errors.ModelNotFoundError, ["set model", "LLM_MODEL", "openai/gpt-4o"]),
        (Refuse(402), errors.QuotaError, ["api_key", "LLM_API_KEY", "credit"]),
        (
            Refuse(429, code="insufficient_quota"),
            errors.QuotaError,
            ["api_key", "LLM_API_KEY", "429"],
        ),
        (
            Refuse(400, code="context_length_exceeded"),
            errors.ContextLengthError,
            ["model", "LLM_MODEL"],
        ),
        (Refuse(400), errors.BadRequestError, ["Check the settings", "LLM_MODEL"]),
        (Cut(how="reset"), errors.ConnectionFailedError, ["base_url", "LLM_BASE_URL"]),
        (RETRY_AFTER_7, errors.RateLimitError, ["num_retries", "argument num_retries"]),
    ],
)
def test_a_failure_names_the_setting_and_its_origin(
    model_server: ModelServer,
    clock: FakeClock,
    step: Step,
    kind: type[errors.RequestError],
    names: list[str],
) -> None:
    """On one line."""
    model_server.script(step)
    error = ask_in_vain(clock, num_retries=0)
    assert type(error) is kind
    assert [name for name in names if name.lower() not in str(error).lower()] == []
    assert len(str(error).splitlines()) == 1


def test_a_silent_server_names_the_timeout(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Hang())
    error = ask_in_vain(clock, num_retries=0, timeout=1)
    assert type(error) is errors.NoAnswerInTimeError
    assert "argument timeout" in str(error)


@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-sonnet-4-20250514"])
def test_a_missing_key_names_the_variable(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, model: str
) -> None:
    """Nothing is sent."""
    monkeypatch.delenv("LLM_API_KEY")
    error = ask_in_vain(clock, model=model)
    assert type(error) is errors.MissingKeyError
    assert model.split("/", maxsplit=1)[0].upper() + "_API_KEY" in str(error)
    assert "practice/echo" in str(error)
    assert model_server.count == 0


def test_litellm_s_proxy_needs_a_key(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """LiteLLM's list of variables has none of its own proxy."""
    monkeypatch.delenv("LLM_API_KEY")
    error = ask_in_vain(clock, model="litellm_proxy/my-model")
    assert type(error) is errors.MissingKeyError
    assert "Set LITELLM_PROXY_API_KEY in the environment" in str(error)
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", "sk-canary-of-proxy")
    model_server.script(Refuse(401, message="Not this one."))
    error = ask_in_vain(clock, model="litellm_proxy/my-model")
    assert type(error) is errors.AuthenticationError
    assert model_server.count == 1


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("azure/my-deployment", "such as https://your-resource.openai.azure.com."),
        ("azure_ai/my-model", "Set base_url (now"),
    ],
)
def test_a_missing_address_is_named(
    model_server: ModelServer, clock: FakeClock, model: str, words: str
) -> None:
    """Before anything is sent, LiteLLM and its clients ask for it by names of theirs."""
    error = ask_in_vain(clock, model=model, base_url="")
    assert f"nothing was sent: {model} needs the address of a server" in str(error)
    assert words in str(error)
    assert "refused" not in str(error)
    assert model_server.count == 0


def test_a_key_in_the_provider_s_variable_is_not_told_as_missing(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """LiteLLM names it where the address is what it lacks."""
    monkeypatch.delenv("LLM_API_KEY")
    monkeypatch.setenv("AZURE_API_KEY", "sk-canary-of-azure")
    error = ask_in_vain(clock, model="azure/my-deployment", base_url="")
    assert "nothing was sent: azure/my-deployment needs the address" in str(error)
    assert model_server.count == 0


def test_what_litellm_makes_no_request_of_was_not_sent(clock: FakeClock) -> None:
    """No server has refused it."""
    error = ask_in_vain(clock, model="openai_like/my-model")
    assert "nothing was sent, as LiteLLM makes no request of this" in str(error)
    assert "the argument model" in str(error)


def test_a_model_without_a_provider(model_server: ModelServer, clock: FakeClock) -> None:
    error = ask_in_vain(clock, model="no-such-model", base_url="")
    assert type(error) is errors.ModelNotFoundError
    assert "argument model" in str(error)
    assert model_server.count == 0


@pytest.fixture
def practice_server() -> Iterator[PracticeServer]:
    """Stop the server that practice models share, which starts at first use."""
    server = practice.running()
    yield server
    server.stop()


def test_practice_models_answer(
    model_server: ModelServer, practice_server: PracticeServer, clock: FakeClock
) -> None:
    """On this machine, with no account, whatever key and server are set."""
    reply = ask("Hello there", model="practice/echo", clock=clock)
    assert "Hello there" in reply.text
    assert (reply.model, reply.attempts) == ("practice/echo", 1)
    reply = ask("Hello there", model="practice/rate-limited", clock=clock)
    assert reply.attempts == 3
    assert [wait.set_by for wait in reply.waits] == ["server", "server"]
    assert clock.now() == reply.waited_s > 0
    reply = ask("Hello there", model="practice/drops", clock=clock)
    assert [type(wait.caused_by) for wait in reply.waits] == [errors.BrokenAnswerError]
    assert "Hello there" in reply.text
    error = ask_in_vain(clock, model="practice/out-of-quota")
    assert type(error) is errors.QuotaError
    assert practice_server.key not in str(error)
    assert model_server.count == 0


def test_a_deadline_ends_the_retries_and_is_named(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """The line says which setting it was, and what it is."""
    model_server.script(Refuse(503))
    error = ask_in_vain(clock, deadline=12)
    assert model_server.count == 2
    assert sum(clock.sleeps_s) == 5
    assert "gave up after 1 retry, as the next would come after 12 s" in str(error)
    assert "raise deadline (now 12, from the argument deadline)" in str(error)


def test_a_request_is_not_waited_for_beyond_the_deadline(model_server: ModelServer) -> None:
    """A silent server does not hold up the cell."""
    model_server.script(Hang())
    with pytest.raises(errors.NoAnswerInTimeError, match="in time"):
        ask("Hello", deadline=1)
    assert model_server.count == 1


def test_what_else_the_provider_told_is_kept(
    model_server: ModelServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its id, the exact model and its own count; a key that it echoes is masked."""
    monkeypatch.setenv("LLM_BASE_URL", model_server.openai_base)
    monkeypatch.setenv("LLM_API_KEY", "sk-of-the-test")
    head = {"id": "id-of-sk-of-the-test", "object": "chat.completion.chunk", "model": "m-0613"}
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    chunk = json.dumps(head | {"created": 1, "choices": [choice]})
    model_server.script(Raw(f"data: {chunk}\n\ndata: [DONE]\n\n".encode(), "text/event-stream"))
    raw = ask("Hello", model="openai/test", clock=clock).raw
    assert raw["id"] == "id-of-**********"
    assert raw["model"] == "m-0613"
