"""The catalogue is complete and consistent, and finds the provider that LiteLLM would use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.providers import (
    PROVIDERS,
    Provider,
    Server,
    provider_of,
    server_of,
)
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.practice import models as practice_models

each_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)

# A model, a base_url, and the provider that they lead to.
LEADS_TO = [
    ("openai/gpt-4o", None, "openai"),
    ("openai/openai/x", None, "openai"),
    ("openai/gpt-4o", "https://api.openai.com/v1", "openai"),
    ("gpt-4o", None, "openai"),
    ("gpt-4o", "https://proxy.example/v1", "openai_compatible"),
    ("openai/x", "https://proxy.example/v1", "openai_compatible"),
    ("openai/x", "http://localhost:5000/v1", "openai_compatible"),
    ("openai/x", "http://[half", "openai_compatible"),
    ("openai/x", "https://u:p@API.openai.com:443", "openai"),
    ("openai/x", "http://api.openai.com/v1", "openai_compatible"),  # not encrypted
    ("openai/x", "https://api.groq.com/openai/v1", "groq_openai"),
    ("openai/x", "http://127.0.0.1:30000/v1", "sglang"),
    ("openai/x", "http://host.docker.internal:8000/v1", "vllm"),
    ("openai/x", "http://localhost:1234/v1", "lm_studio"),
    ("openai/x", "http://localhost:11434/v1", "ollama"),
    ("groq/x", "http://localhost:8000/v1", "groq"),
    ("ollama_chat/x", None, "ollama"),
    ("openrouter/openrouter/x", None, "openrouter"),
    ("claude-sonnet-4-20250514", None, "anthropic"),
    ("gemini-2.5-pro", None, "vertex_ai"),
    ("us.anthropic.claude-sonnet-4-20250514-v1:0", None, "bedrock"),
    ("practice/echo", None, "practice"),
    ("Qwen/Qwen3", None, None),
    ("x", "http://localhost:8000/v1", None),
    ("", None, None),
]


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("https://u:p@A.Example/v1?key=x", Server("https", "a.example", 443)),
        ("HTTP://[::1]:0", Server("http", "::1", 0)),
        ("ws://a", Server("ws", "a", None)),
        *[
            (text, None)
            for text in ("", "a.example:80", "/v1", "http://", "http://[", "http://a:b")
        ],
        (None, None),
    ],
)
def test_the_server_of_an_address(address: str | None, server: Server | None) -> None:
    assert server_of(address) == server


@each_provider
def test_an_entry_names_what_there_is(provider: Provider) -> None:
    """Its example and verified models carry its prefix, and it asks for settings that exist."""
    for model in (provider.example, *provider.verified_models):
        assert model.startswith(provider.prefix)
    assert set(provider.asks_for) <= set(SETTINGS)
    for line in (provider.guide, provider.mistake):
        assert line.endswith(".")
        assert "\n" not in line


@each_provider
def test_the_example_leads_back_to_its_entry(provider: Provider) -> None:
    address = provider.base_url_form if "base_url" in provider.asks_for else None
    assert provider_of(provider.example, address) == provider


def test_the_practice_prefix_is_that_of_the_practice_provider() -> None:
    assert PROVIDERS["practice"].prefix == practice_models.PREFIX


@pytest.mark.parametrize(("model", "base_url", "name"), LEADS_TO)
def test_a_model_leads_to_a_provider(model: str, base_url: str | None, name: str | None) -> None:
    found = provider_of(model, base_url)
    assert (found.name if found else None) == name


def test_a_custom_provider_counts_more_than_the_name() -> None:
    assert provider_of("gpt-4o", None, "azure") == PROVIDERS["azure"]
    assert provider_of("gpt-4o", None, "unheard_of") is None


@pytest.mark.parametrize(
    "model",
    [
        *(provider.example for provider in PROVIDERS.values()),
        *("gpt-4o", "gpt-5-mini", "o1", "o3-mini", "ft:gpt-4o:x", "claude-sonnet-4-20250514"),
        *("gemini-2.5-pro", "anthropic.claude-3-5-sonnet-20240620-v1:0"),
    ],
)
def test_litellm_agrees(litellm: Any, model: str) -> None:
    """LiteLLM takes each name for the provider whose prefix the catalogue gives."""
    provider = provider_of(model)
    assert provider is not None
    if provider.name in ("openhands", "practice"):  # our own rewriting, see llm/prepare.py
        with pytest.raises(litellm.BadRequestError):
            litellm.get_llm_provider(model)
    else:
        assert litellm.get_llm_provider(model)[1] + "/" == provider.prefix


@given(model=st.text(), base_url=st.none() | st.text() | st.from_regex(r"https?://[^/]*:[^/]*/v1"))
def test_any_text_is_looked_up_without_an_error(model: str, base_url: str | None) -> None:
    found = provider_of(model, base_url)
    assert found is None or found is PROVIDERS[found.name]


@given(address=st.text(), provider=st.sampled_from(list(PROVIDERS.values())))
def test_a_prefix_of_its_own_needs_no_address(address: str, provider: Provider) -> None:
    if provider.prefix != "openai/":
        assert provider_of(provider.example, address) == provider
