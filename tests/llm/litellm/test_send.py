"""One prompt is one HTTP request, on every path through LiteLLM."""

from __future__ import annotations

import json
import sys
from contextlib import closing, suppress
from typing import Any

import pytest
from model_server import LITELLM_MODELS, Answer, Cut, Hang, ModelServer, Raw, Refuse
from sending import DIALECTS, failure, request_to, send, send_once

from openhands_llm_magic import errors
from openhands_llm_magic.llm.events import Accepted, Done, Event, ReasoningDelta, TextDelta, Usage
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.litellm.send import DROP_MAX_RETRIES, missing_key_variables
from openhands_llm_magic.llm.prepare import Request

pytestmark = pytest.mark.usefixtures("litellm")

each_dialect = pytest.mark.parametrize("provider", DIALECTS)
each_provider = pytest.mark.parametrize("provider", LITELLM_MODELS)
each_provider_and_more = pytest.mark.parametrize(
    "provider", [*LITELLM_MODELS, *sorted(DROP_MAX_RETRIES)]
)
SWITCHES = {
    "num_retries": None,
    "model_fallbacks": None,
    "suppress_debug_info": True,
    "REPEATED_STREAMING_CHUNK_LIMIT": sys.maxsize,
    "disable_hf_tokenizer_download": True,
    "modify_params": True,
}
"""LiteLLM's global switches as our requests need them."""
AT_ONCE = {"retry-after-ms": "1"}


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@each_provider
def test_an_answer_arrives_as_it_was_sent(model_server: ModelServer, provider: str) -> None:
    """The exact text without the model's thoughts, piece by piece, and the provider's count."""
    answer = Answer(chunks=("Grüße ", "\n  from", " 🐴\n"), reasoning="Hm. ", usage=(11, 3))
    events = send(model_server, answer, provider)
    assert text_of(events) == "Grüße \n  from 🐴\n"
    assert len([event for event in events if isinstance(event, TextDelta)]) == 3
    usage, done = events[-2:]
    # Anthropic does not count them apart, and LiteLLM estimates them.
    assert usage == Usage(11, 3, reasoning_tokens=3 if provider == "anthropic" else 0)
    assert isinstance(done, Done)
    assert done.finish_reason == "stop"
    assert model_server.count == 1


@each_dialect
@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
def test_why_it_ended(model_server: ModelServer, provider: str, finish_reason: str) -> None:
    """With text in it; `test_fault_matrix.py` has the answers without."""
    done = send(model_server, Answer("Hello", finish_reason=finish_reason), provider)[-1]
    assert isinstance(done, Done)
    assert done.finish_reason == finish_reason


def test_an_answer_without_text_is_counted(model_server: ModelServer) -> None:
    """It is paid for like any other."""
    model_server.script(Answer("", finish_reason="length", usage=(1000, 100)))
    events: list[Event] = []
    with pytest.raises(errors.OutputLimitError) as caught:
        events.extend(send_once(request_to(model_server)))
    assert events == [Accepted(), Usage(1000, 100)]
    done = send(model_server, Answer("Hello", usage=(1000, 100)))[-1]
    assert done == Done("stop", caught.value.cost_usd)


def test_hidden_reasoning_is_known_by_its_count(model_server: ModelServer) -> None:
    """OpenAI's models count it and do not show it."""
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    usage_and_more = usage | {"completion_tokens_details": {"reasoning_tokens": 5}}
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "length"}
    chunks = [head | {"choices": [choice]}, head | {"choices": [], "usage": usage_and_more}]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    error = failure(model_server, Raw(body.encode(), "text/event-stream"))
    assert str(error) == "all of its 5 tokens went into reasoning"


@each_dialect
def test_what_the_model_thinks_comes_before_its_answer(
    model_server: ModelServer, provider: str
) -> None:
    events = send(model_server, Answer("So be it.", reasoning="Let me think."), provider)
    thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(thoughts) == "Let me think."
    assert text_of(events) == "So be it."
    kinds = [type(event) for event in events]
    assert kinds.index(ReasoningDelta) < kinds.index(TextDelta)


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "gemini", "ollama_chat"])
def test_uncounted_tokens_are_not_made_up(model_server: ModelServer, provider: str) -> None:
    """LiteLLM would count them itself; Anthropic always counts."""
    events = send(model_server, Answer("Hello", usage=None), provider)
    assert not any(isinstance(event, Usage) for event in events)
    assert events[-1] == Done("stop", None)


def test_what_it_cost(model_server: ModelServer) -> None:
    """In proportion to the tokens; None where the price is unknown, or 0, which means the same."""

    def cost_usd(provider: str, usage: tuple[int, int]) -> float | None:
        done = send(model_server, Answer(usage=usage), provider)[-1]
        assert isinstance(done, Done)
        return done.cost_usd

    cost = cost_usd("openai", (1000, 100))
    assert cost is not None
    assert cost > 0
    assert cost_usd("openai", (2000, 200)) == pytest.approx(2 * cost)
    assert cost_usd("hosted_vllm", (1000, 100)) is None
    assert load().cost_per_token("ollama_chat/qwen3", 1000, 100) == (0, 0)
    assert cost_usd("ollama_chat", (1000, 100)) is None


def raw_answer(usage: dict[str, Any]) -> Raw:
    """Make a stream of OpenAI's dialect with a count of its own."""
    head = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "m-0613"}
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}
    chunks = [head | {"choices": [choice]}, head | {"choices": [], "usage": usage}]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return Raw(body.encode(), "text/event-stream")


def test_cached_tokens_are_counted_and_cost_less(model_server: ModelServer) -> None:
    counts = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    [usage, full] = send(model_server, raw_answer(counts))[-2:]
    cached = counts | {"prompt_tokens_details": {"cached_tokens": 900}}
    [cached_usage, less] = send(model_server, raw_answer(cached))[-2:]
    assert usage == Usage(1000, 100)
    assert cached_usage == Usage(1000, 100, cached_tokens=900)
    assert isinstance(full, Done)
    assert isinstance(less, Done)
    assert full.cost_usd is not None
    assert less.cost_usd is not None
    assert 0 < less.cost_usd < full.cost_usd


@pytest.mark.parametrize("provider", sorted(DROP_MAX_RETRIES))
@pytest.mark.parametrize("status", [429, 500])
def test_a_failure_is_one_request(model_server: ModelServer, provider: str, status: int) -> None:
    failure(model_server, Refuse(status, AT_ONCE), provider)
    assert model_server.count == 1


@each_provider_and_more
def test_after_the_users_own_litellm_it_is_still_one(
    model_server: ModelServer,
    litellm: Any,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
) -> None:
    """His switches do not reach our request, and ours do not stay; none gets into the body."""
    monkeypatch.setattr(litellm, "num_retries", 2)
    monkeypatch.setattr(litellm, "suppress_debug_info", False)
    before = [getattr(litellm, name) for name in SWITCHES]
    failure(model_server, Refuse(429, AT_ONCE), provider)
    assert model_server.count == 1
    assert not {"max_retries", "num_retries", "azure_scope"} & model_server.received[0].body.keys()
    assert [getattr(litellm, name) for name in SWITCHES] == before


def test_switches_are_put_back_by_the_last_of_several_requests(
    model_server: ModelServer, litellm: Any
) -> None:
    before = [getattr(litellm, name) for name in SWITCHES]
    ours = list(SWITCHES.values())
    assert before != ours
    model_server.script(Hang(after_chunks=1))
    first, second = (send_once(request_to(model_server)) for _ in range(2))
    next(first)
    next(second)
    assert [getattr(litellm, name) for name in SWITCHES] == ours
    first.close()
    assert [getattr(litellm, name) for name in SWITCHES] == ours
    second.close()
    assert [getattr(litellm, name) for name in SWITCHES] == before


@each_provider
def test_nothing_is_printed(
    model_server: ModelServer, capfd: pytest.CaptureFixture[str], provider: str
) -> None:
    for step in (Answer(), Refuse(401), Refuse(429, AT_ONCE), Cut(how="abort")):
        model_server.script(step)
        with suppress(errors.RequestError):
            list(send_once(request_to(model_server, provider)))
    assert capfd.readouterr() == ("", "")


@each_dialect
@pytest.mark.parametrize("after_chunks", [1, 2])
def test_closing_it_hangs_up(model_server: ModelServer, provider: str, after_chunks: int) -> None:
    """At once, also while the server is silent."""
    model_server.script(Hang(after_chunks=after_chunks))
    with closing(send_once(request_to(model_server, provider))) as events:
        assert next(events) == Accepted()
        text = ""
        while len(text.split()) < after_chunks:
            event = next(events)
            assert isinstance(event, TextDelta)
            text += event.text
        assert not model_server.received[0].hung_up.is_set()
    assert model_server.received[0].hung_up.wait(timeout=1)


def test_nothing_is_sent_before_the_first_event_is_asked_for(model_server: ModelServer) -> None:
    send_once(request_to(model_server)).close()
    assert model_server.count == 0


def test_a_key_is_not_in_the_repr_of_a_request() -> None:
    assert "sk-" not in repr(Request("m", [], {"api_key": "sk-test-key"}))


def test_which_variables_could_hold_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_key_variables("openai/gpt-4o") == ("OPENAI_API_KEY",)
    assert missing_key_variables("ollama_chat/qwen3") == ()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
    assert missing_key_variables("openai/gpt-4o") == ()


def test_the_users_fallbacks_stay_his(
    model_server: ModelServer, litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is not sent to other models behind our back, and his list is as it was."""
    monkeypatch.setattr(litellm, "model_fallbacks", ["openai/other"])
    failure(model_server, Refuse(500))
    assert model_server.count == 1
    assert litellm.model_fallbacks == ["openai/other"]


def test_what_the_user_changes_meanwhile_stays_changed(
    model_server: ModelServer, litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "num_retries", 2)
    model_server.script(Hang(after_chunks=1))
    events = send_once(request_to(model_server))
    next(events)
    litellm.num_retries = 7
    events.close()
    assert litellm.num_retries == 7
