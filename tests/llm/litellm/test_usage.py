"""What an answer took and cost, as each provider tells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Raw
from sending import request_to, send

from openhands_llm_magic.config.litellm_files import version
from openhands_llm_magic.errors import BrokenAnswerError
from openhands_llm_magic.llm.events import Cost, Done, Usage
from openhands_llm_magic.llm.litellm import send as sending
from openhands_llm_magic.llm.litellm.cost import Told, cost_of
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.litellm.stream import FinishTap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server import ModelServer

pytestmark = pytest.mark.usefixtures("litellm")

COUNTS: dict[str, Any] = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 600},
    "completion_tokens_details": {"reasoning_tokens": 40},
}
WRITTEN = {"prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100}}
CACHED: dict[str, Any] = {
    "input_tokens": 300,
    "cache_read_input_tokens": 600,
    "cache_creation_input_tokens": 100,
}
"""Anthropic's count, in which the tokens of the input are those that no cache had."""


def events_of(*events: Mapping[str, Any], **options: Any) -> Raw:
    """Write server-sent events."""
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Raw(body.encode(), "text/event-stream", **options)


def openai(usage: Mapping[str, Any], *, finish_reason: str | None = "stop", **options: Any) -> Raw:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    head |= {"service_tier": "default"}
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": finish_reason}
    return events_of(
        head | {"choices": [choice]}, head | {"choices": [], "usage": usage}, **options
    )


def anthropic(**last: int) -> Raw:
    head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
    text = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": "Hello"}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    return events_of(
        {"type": "message_start", "message": head | {"usage": CACHED | {"output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 100} | last},
        {"type": "message_stop"},
    )


def gemini(**counts: int) -> Raw:
    content = {"role": "model", "parts": [{"text": "Hello"}]}
    candidate = {"index": 0, "content": content, "finishReason": "STOP"}
    return events_of({"candidates": [candidate], "usageMetadata": counts})


@pytest.mark.parametrize(
    ("provider", "answer", "usage"),
    [
        ("openai", openai(COUNTS | DETAILS), Usage(1000, 100, 600, 40)),
        ("azure", openai(COUNTS | DETAILS), Usage(1000, 100, 600, 40)),
        ("hosted_vllm", openai(COUNTS | DETAILS), Usage(1000, 100, 600, 40)),
        ("openrouter", openai(COUNTS | WRITTEN), Usage(1000, 100, 600, 0, 100)),
        ("openai", openai(COUNTS | WRITTEN), Usage(1000, 100, 600, 0, 100)),
        ("litellm_proxy", openai(COUNTS | CACHED), Usage(1000, 100, 600, 0, 100)),
        ("deepseek", openai(COUNTS | {"prompt_cache_hit_tokens": 600}), Usage(1000, 100, 600)),
        ("anthropic", anthropic(), Usage(1000, 100, 600, 0, 100)),
        ("anthropic", anthropic(**CACHED), Usage(1000, 100, 600, 0, 100)),
        (
            "gemini",
            gemini(
                promptTokenCount=1000,
                cachedContentTokenCount=600,
                candidatesTokenCount=60,
                thoughtsTokenCount=40,
                totalTokenCount=1100,
            ),
            Usage(1000, 100, 600, 40),
        ),
    ],
)
def test_tokens_are_counted_alike(
    model_server: ModelServer, provider: str, answer: Raw, usage: Usage
) -> None:
    """All of the prompt, cached or not; Anthropic's last event may repeat what the first said."""
    assert send(model_server, answer, provider)[-2] == usage


@pytest.mark.parametrize(
    ("told", "usd"),
    [
        ({"cost": 0.0123}, 0.0123),
        ({"cost": 0}, 0),
        ({"cost": 0.0123, "cost_details": {"upstream_inference_cost": 0.2}}, 0.0123),
        ({"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.25}}, 0.75),
        ({"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 0.5),
        ({"cost": {"input_tokens_cost": 0.01, "total_cost": 0.0123}}, 0.0123),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("provider", ["openrouter", "openai", "hosted_vllm"])
def test_the_cost_that_a_provider_tells(
    model_server: ModelServer, provider: str, told: dict[str, Any], usd: float | None
) -> None:
    """It counts before the price list, and stands in `raw`, where LiteLLM puts a figure of its own.

    With a key of the person's own at the model's provider (`is_byok`), OpenRouter takes a fee.
    """
    listed = send(model_server, openai(COUNTS), provider)[-1]
    done = send(model_server, openai(COUNTS | told), provider)[-1]
    assert isinstance(listed, Done)
    assert isinstance(done, Done)
    assert done.cost_usd == (listed.cost_usd if usd is None else usd)
    assert done.raw["usage"].get("cost") == usd


@pytest.mark.parametrize(
    ("told", "in_chunk", "usd"),
    [
        ("0.0456", {}, 0.0456),
        ("0.0456", {"cost": 0.0123}, 0.0123),
        ("0.0", {}, None),
        ("?", {}, None),
    ],
)
def test_the_cost_that_a_litellm_proxy_tells(
    model_server: ModelServer, told: str, in_chunk: dict[str, Any], usd: float | None
) -> None:
    """In a header, before the answer is known, or after it beside its tokens; 0 means no price."""
    headers = {"x-litellm-response-cost": told}
    done = send(model_server, openai(COUNTS | in_chunk, headers=headers), "litellm_proxy")[-1]
    assert isinstance(done, Done)
    assert done.cost_usd == usd


def test_who_told_the_cost(litellm: Any) -> None:
    counted = litellm.Usage(**COUNTS)

    def cost(model: str = "openai/gpt-4o", usd: float | None = None, **given: Any) -> Cost:
        return cost_of(litellm, model, Told(counted, usd), **given)

    assert cost(usd=0.5, price=(0.25, 0.5)) == Cost(300, "by hand")
    assert cost(usd=0.5) == Cost(0.5, "provider")
    assert cost().told_by == "price list"
    assert cost().price_list == version()
    assert cost("openai/nobody-knows-it") == Cost(None, "unknown")
    assert cost_of(litellm, "openai/gpt-4o", Told(), price=(1, 1)) == Cost(None, "unknown")


def test_a_count_of_an_answer_that_broke_off(model_server: ModelServer) -> None:
    """LiteLLM drops it on some paths; what was counted is paid for."""
    model_server.script(openai(COUNTS | DETAILS, finish_reason=None))
    response = sending.send(request_to(model_server), lambda _: None)
    assert type(response.error) is BrokenAnswerError
    assert response.usage == Usage(1000, 100, 600, 40)
    assert response.cost.told_by == "price list"


def test_what_was_counted_until_an_answer_broke_off(litellm: Any) -> None:
    """Anthropic counts the prompt at the beginning."""
    tap = FinishTap()
    chunk = litellm.ModelResponseStream(choices=[], usage=litellm.Usage(**COUNTS, **DETAILS))
    list(tap.chunks([chunk]))
    assert tap.usage(None) == Usage(1000, 100, 600, 40)
    assert cost_of(load(), "openai/gpt-4o", Told(tap.counted)).told_by == "price list"
