"""LiteLLM reads the test server's answers as it reads those of the real providers."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from model_server import LITELLM_MODELS, Answer, ModelServer


# What LiteLLM's own types say when they are first used.
@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import LiteLLM, which takes seconds the first time, and keep it off the network."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = importlib.import_module("litellm")
    monkeypatch.setattr(litellm, "disable_hf_tokenizer_download", True)
    monkeypatch.setattr(litellm, "disable_streaming_logging", True)  # it leaves threads
    return litellm


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", LITELLM_MODELS)
def test_litellm_reads_an_answer(
    model_server: ModelServer, litellm: Any, provider: str, stream: bool
) -> None:
    """Each path through LiteLLM gives the exact text, thoughts and usage, in one request."""
    model_server.script(Answer(chunks=("Grüße ", "from ", "loopback\n"), reasoning="Hm.  So: "))
    options: dict[str, Any] = {"api_version": "2024-12-01-preview"} if provider == "azure" else {}
    if stream:
        options |= {"stream": True, "stream_options": {"include_usage": True}}
    reply = litellm.completion(
        model=f"{provider}/{LITELLM_MODELS[provider]}",
        messages=[{"role": "user", "content": "Hello"}],
        api_base=model_server.base_for(provider),
        api_key="k",
        num_retries=0,
        max_retries=0,
        **options,
    )
    replies = list(reply) if stream else [reply]
    choices = [reply.choices[0] for reply in replies if reply.choices]
    parts = [choice.delta if stream else choice.message for choice in choices]
    assert "".join(part.content or "" for part in parts) == "Grüße from loopback\n"
    assert "".join(getattr(part, "reasoning_content", None) or "" for part in parts) == "Hm.  So: "
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    usage = replies[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (7, 5)
    assert model_server.count == 1


def test_litellm_reads_an_embedding(model_server: ModelServer, litellm: Any) -> None:
    reply = litellm.embedding(
        "openai/text-embedding-3-small", ["Hello"], api_base=model_server.openai_base, api_key="k"
    )
    assert reply.data[0]["embedding"] == [0.5, -0.5]
    assert model_server.count == 1
