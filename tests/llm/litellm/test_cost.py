"""What a request cost, by a table of cases worked out by hand, and what it can cost at most."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import Raw
from sending import request_to

from openhands_llm_magic.config.litellm_files import prices
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import BrokenAnswerError
from openhands_llm_magic.llm.events import Cost, TextDelta
from openhands_llm_magic.llm.litellm import send as sending
from openhands_llm_magic.llm.litellm.cost import Told, cost_of, usd_at_most
from openhands_llm_magic.llm.litellm.embed import embed
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.practice.rare_dialects import message
from openhands_llm_magic.llm.prepare import EmbeddingRequest, Request, prepare
from openhands_llm_magic.llm.worker import Cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server import ModelServer

    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.prepare import Response

pytestmark = pytest.mark.usefixtures("litellm")

CASES = tomllib.loads(Path(__file__).with_name("prices.toml").read_text("utf-8"))["case"]

AWS = {
    "aws_access_key_id": "k",
    "aws_secret_access_key": "s",
    "aws_region_name": "us-east-1",
    "api_key": None,
}


def cases(*dialects: str | None) -> list[Any]:
    """Give the cases of some dialects; None stands for the usual one of the provider."""
    return [
        pytest.param(
            case,
            id=case["name"],
            marks=pytest.mark.xfail(reason=case["wrong"]) if "wrong" in case else (),
        )
        for case in CASES
        if case.get("dialect") in dialects
    ]


def events_of(*events: Mapping[str, Any], headers: Mapping[str, str]) -> Raw:
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Raw(body.encode(), "text/event-stream", headers=headers)


def openai(usage: Mapping[str, Any], case: Mapping[str, Any]) -> Raw:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    head |= {"service_tier": "default"} | json.loads(case.get("chunk", "{}"))
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}
    last = head | {"choices": [], "usage": usage}
    return events_of(head | {"choices": [choice]}, last, headers=case.get("headers", {}))


ANTHROPIC_TEXT = (
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Hello"},
    },
)


def anthropic_start(usage: Mapping[str, Any]) -> dict[str, Any]:
    head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
    return {"type": "message_start", "message": head | {"usage": usage}}


def anthropic(usage: Any, _case: Mapping[str, Any]) -> Raw:
    first, last = usage
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    return events_of(
        anthropic_start(first),
        *ANTHROPIC_TEXT,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": last},
        {"type": "message_stop"},
        headers={},
    )


def gemini(usage: Mapping[str, Any], _case: Mapping[str, Any]) -> Raw:
    content = {"role": "model", "parts": [{"text": "Hello"}]}
    candidate = {"index": 0, "content": content, "finishReason": "STOP"}
    return events_of({"candidates": [candidate], "usageMetadata": usage}, headers={})


def bedrock(usage: Mapping[str, Any], _case: Mapping[str, Any]) -> Raw:
    body = (
        message("messageStart", role="assistant")
        + message("contentBlockDelta", contentBlockIndex=0, delta={"text": "Hello"})
        + message("contentBlockStop", contentBlockIndex=0)
        + message("messageStop", stopReason="end_turn")
        + message("metadata", usage=usage, metrics={"latencyMs": 1})
    )
    return Raw(body, "application/vnd.amazon.eventstream")


ANSWERS = {"anthropic": anthropic, "gemini": gemini, "bedrock": bedrock}


def asked(server: ModelServer, case: Mapping[str, Any]) -> Request:
    """Make the request of a case, and script its answer."""
    provider = case["model"].partition("/")[0]
    server.script(ANSWERS.get(provider, openai)(json.loads(case["usage"]), case))
    keys = AWS if provider == "bedrock" else {}
    made = request_to(server, provider, **keys, **case.get("options", {}))
    price = [usd / 1e6 for usd in case.get("by_hand", ())]
    return replace(made, model=case["model"], price_usd_per_token=tuple(price) or None)


def expect(cost: Cost, case: Mapping[str, Any]) -> None:
    told_by = case.get("told_by", "price list")
    assert cost.told_by == told_by
    assert cost.usd == (pytest.approx(case["usd"], rel=1e-9) if "usd" in case else None)
    assert cost.price_list.startswith("litellm 1.") == (told_by == "price list")


def test_the_table_is_whole() -> None:
    """Each case has its source, and no case runs twice or not at all."""
    assert len(CASES) >= 30
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert all({"source", "read"} <= case.keys() for case in CASES)
    run = [*cases(None, "bedrock"), *cases("vectors"), *cases("none")]
    assert len(run) == len(CASES)


@pytest.mark.parametrize("case", cases(None, "bedrock"))
def test_an_answer(model_server: ModelServer, case: dict[str, Any]) -> None:
    response = sending.send(asked(model_server, case), lambda _: None)
    assert response.error is None
    expect(response.cost, case)


def embedded(server: ModelServer, model: str, usage: Any, numbers: Any = (0.5, 0.25)) -> Response:
    """Ask for the vector of a text."""
    vector = {"object": "embedding", "index": 0, "embedding": numbers}
    body = {"object": "list", "model": "m", "data": [vector], "usage": usage}
    server.script(Raw(json.dumps(body).encode(), "application/json"))
    options = {"base_url": server.base_for(model.partition("/")[0]), "api_key": "k"}
    return embed(EmbeddingRequest(model, ("x",), options), lambda _: None)


@pytest.mark.parametrize("case", cases("vectors"))
def test_vectors(model_server: ModelServer, case: dict[str, Any]) -> None:
    response = embedded(model_server, case["model"], json.loads(case["usage"]))
    assert response.error is None
    expect(response.cost, case)


def test_vectors_that_cannot_be_read_are_paid_for(model_server: ModelServer) -> None:
    usage = {"prompt_tokens": 1000, "total_tokens": 1000}
    response = embedded(model_server, "openai/text-embedding-3-small", usage, ["no number"])
    assert response.error is not None
    assert response.cost.usd == pytest.approx(0.00002)


@pytest.mark.parametrize("case", cases("none"))
def test_a_count(litellm: Any, case: dict[str, Any]) -> None:
    """Without a server, as the price depends on its host, or its login cannot be had."""
    counted = json.loads(case["usage"])
    cost = cost_of(litellm, case["model"], Told(counted), options=case.get("options", {}))
    expect(cost, case)


STARTED = {
    "input_tokens": 300,
    "cache_read_input_tokens": 600,
    "cache_creation_input_tokens": 100,
    "output_tokens": 1,
}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize("rest", [(), (OVERLOADED,)])
def test_an_answer_that_broke_off_is_paid_for(
    model_server: ModelServer, rest: tuple[dict[str, Any], ...]
) -> None:
    """Anthropic counts the prompt when it begins to answer: 900 + 180 + 375 + 15 millionths."""
    model_server.script(events_of(anthropic_start(STARTED), *ANTHROPIC_TEXT, *rest, headers={}))
    request = replace(request_to(model_server, "anthropic"), model="anthropic/claude-sonnet-4-5")
    response = sending.send(request, lambda _: None)
    assert response.error is not None
    assert response.cost.usd == pytest.approx(0.00147)
    assert response.cost.told_by == "price list"


def test_an_answer_that_was_stopped_is_paid_for(model_server: ModelServer) -> None:
    model_server.script(anthropic((STARTED, {"output_tokens": 100}), {}))
    request = replace(request_to(model_server, "anthropic"), model="anthropic/claude-sonnet-4-5")

    def stop(event: Event) -> None:
        if isinstance(event, TextDelta):
            raise Cancelled

    response = sending.send(request, stop)
    assert response.error is not None
    assert response.cost.usd == pytest.approx(0.00147)


def test_an_answer_that_broke_off_uncounted_has_an_unknown_cost(model_server: ModelServer) -> None:
    """It is never one of $0."""
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}
    model_server.script(events_of(head | {"choices": [choice]}, headers={}))
    response = sending.send(request_to(model_server), lambda _: None)
    assert type(response.error) is BrokenAnswerError
    assert response.cost == Cost(None, "unknown")


LIMIT = {"max_completion_tokens": 1000}


def at_most(model: str, content: Any = "Hello", **options: Any) -> float | None:
    request = Request(model, [{"role": "user", "content": content}], LIMIT | options)
    return usd_at_most(request, model)


@given(text=st.text(max_size=500), answer=st.integers(0, 1000), written=st.booleans())
def test_no_answer_costs_more_than_was_said(text: str, answer: int, written: bool) -> None:
    """Not even where each byte is a token, all are written to a cache, and the answer is full."""
    prompt = len(text.encode())
    for model in ("openai/gpt-5.4", "anthropic/claude-opus-4-5", "gemini/gemini-2.5-pro"):
        most = at_most(model, text)
        counted: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": answer}
        counted["total_tokens"] = prompt + answer
        if written:
            counted["cache_creation_input_tokens"] = prompt
        usd = cost_of(load(), model, Told(counted)).usd or 0
        assert most is not None
        assert usd <= most


@pytest.mark.parametrize(
    ("model", "tokens", "usd"),
    [
        ("openai/gpt-5.4", 300_000, 1.5225),
        ("gemini/gemini-2.5-pro", 250_000, 0.64),
        ("dashscope/qwen3-max", 200_000, 0.615),
        ("anthropic/claude-opus-4-5", 100_000, 0.65),
    ],
)
def test_a_long_prompt_may_be_dearer(model: str, tokens: int, usd: float) -> None:
    """By the tier of its length, or when it is written to a cache; its bytes count as tokens."""
    most = at_most(model, "x" * tokens)
    assert most is not None
    assert usd < most < 1.05 * usd


def test_what_else_may_be_dearer() -> None:
    """A cache of an hour, a tier, a region, and what a provider charges for pictures."""
    hour = [{"type": "text", "text": "x" * 9999, "cache_control": {"ttl": "1h"}}]
    short = [{"type": "text", "text": "x" * 9999, "cache_control": {"ttl": "5m"}}]
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "x" * 10**6}}]
    claude = "anthropic/claude-opus-4-5"
    assert at_most(claude, hour) > at_most(claude, short)  # type: ignore[operator]
    assert at_most("openai/gpt-5", service_tier="auto") > at_most("openai/gpt-5")  # type: ignore[operator]
    europe = at_most("openai/gpt-5.4", base_url="https://eu.api.openai.com/v1")
    world = at_most("openai/gpt-5.4", base_url="https://ww.example.com/v1111")
    assert europe == pytest.approx(1.1 * world)  # type: ignore[operator]
    extra = at_most(claude, picture) - at_most(claude)  # type: ignore[operator]
    assert extra == pytest.approx(5000 * 6.25e-6, rel=0.1)


PDF = [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf,"}}]


def test_a_file_whose_tokens_nobody_knows_may_fill_the_context() -> None:
    most = at_most("anthropic/claude-opus-4-5", PDF)
    assert most is not None
    assert most == pytest.approx(200_000 * 6.25e-6 + 1000 * 25e-6, rel=0.01)


@pytest.mark.parametrize(
    ("model", "content", "options"),
    [
        ("openai/my-own", "Hello", {}),
        ("ollama/llama3", "Hello", {}),
        ("openai/gpt-5", "Hello", {"web_search_options": {}}),
        ("openai/gpt-5", "Hello", {"tools": [{"type": "web_search"}]}),
        ("openai/gpt-4o-search-preview", "Hello", {}),
        ("anthropic/claude-opus-5", "Hello", {"extra_body": {"speed": "fast"}}),
        ("perplexity/sonar", "Hello", {}),
    ],
)
def test_what_has_no_upper_bound(model: str, content: Any, options: dict[str, Any]) -> None:
    """No price, or a tool of the provider's that has one of its own."""
    assert at_most(model, content, **options) is None


def test_the_most_by_a_price_that_was_set_by_hand() -> None:
    """A cache is written at the list's part of it, and what the list does not know at its whole."""
    price = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "max_output_tokens": 1000}
    settings = load_settings(env={}).with_overrides(price)
    for model, part in (("anthropic/claude-opus-4-5", 1.25), ("openai/my-own", 1)):
        text = "x" * 100_000
        most = prepare(text, settings.with_overrides({"model": model})).most_usd
        assert most == pytest.approx(part * 0.1 + 0.002, rel=0.02)
    unlimited = {"model": "openai/my-own", "max_output_tokens": None}
    assert prepare("Hello", settings.with_overrides(unlimited)).most_usd is None


def test_each_price_for_long_prompts_is_understood() -> None:
    """Those of the list's names that none of our patterns reads would be dropped in silence."""
    for model, facts in prices().items():
        if facts.get("mode") != "chat":
            continue
        for name, usd in facts.items():
            if name.startswith("input_cost_per_token_above_") and "_batches" not in name:
                request = Request(model, [{"role": "user", "content": "x" * 1_100_000}], LIMIT)
                tier = name.rpartition("_tokens")[2].removeprefix("_")
                request = replace(request, options=LIMIT | {"service_tier": tier or None})
                most = usd_at_most(request, model)
                assert most is None or most >= usd * 1_000_000, (model, name)
