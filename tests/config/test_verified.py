"""The models that OpenHands lists as verified, each list with its day and its source."""

from __future__ import annotations

from datetime import date

import pytest

from openhands_llm_magic.config import verified
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.verified import CURRENT, LISTS, PAGE

each_list = pytest.mark.parametrize("listed", LISTS, ids=lambda each: each.as_of)

OF_THE_PAGE = [
    "anthropic/claude-3-7-sonnet-20250219",
    "gemini/gemini-2.5-pro",
    "deepseek/deepseek-chat",
    "openai/o3-mini",
    "openai/o3",
    "openai/o4-mini",
    "openrouter/all-hands/openhands-lm-32b-v0.1",
]


def test_those_of_the_page_come_first() -> None:
    """In its order; then those that are listed now, each once."""
    assert list(PAGE.models) == OF_THE_PAGE
    assert list(verified.MODELS[: len(OF_THE_PAGE)]) == OF_THE_PAGE
    assert len(set(verified.MODELS)) == len(verified.MODELS)
    assert set(verified.MODELS) == {*PAGE.models, *CURRENT.models}


@each_list
def test_a_list_says_when_and_where(listed: verified.Verified) -> None:
    assert date.fromisoformat(listed.as_of) <= date.fromisoformat(CURRENT.as_of)
    assert listed.source.startswith("https://")
    assert len(set(listed.models)) == len(listed.models) > 0


@each_list
def test_each_leads_to_its_provider(listed: verified.Verified) -> None:
    """And is one of those that the provider offers as verified."""
    for model in listed.models:
        provider = provider_of(model)
        assert provider is not None
        assert model in provider.verified_models


def test_a_provider_that_shares_a_prefix_has_none() -> None:
    """What is behind openai/ elsewhere is somebody else's."""
    assert PROVIDERS["openai"].verified_models[:3] == (
        "openai/o3-mini",
        "openai/o3",
        "openai/o4-mini",
    )
    assert PROVIDERS["openai_compatible"].verified_models == ()
    assert PROVIDERS["sglang"].verified_models == ()


def test_a_model_of_both_lists_has_both_words() -> None:
    assert verified.traits_of("deepseek/deepseek-chat") == ("verified 2025-05", "verified 2026-10")
    assert verified.traits_of("openai/gpt-4o") == ()
