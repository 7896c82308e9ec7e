"""When makers end their models, by LiteLLM's list."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config import litellm_files, withdrawn
from openhands_llm_magic.config.providers import PROVIDERS

END = date(2026, 10, 23)


def listed(provider: str) -> dict[str, str]:
    return {"litellm_provider": provider, "mode": "chat", "deprecation_date": END.isoformat()}


@pytest.fixture(autouse=True)
def prices(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        "o9": listed("openai"),
        "gemini-9": listed("vertex_ai-language-models"),
        "gemini/gemini-9": {"litellm_provider": "gemini", "mode": "chat"},
        "anthropic.claude-9-v1:0": listed("bedrock_converse"),
        "moonshot/kimi-9": listed("moonshot"),
        "xai/grok-9": listed("xai"),
    }
    monkeypatch.setattr(litellm_files, "prices", lambda: table)


@pytest.mark.parametrize(
    ("model", "ends"),
    [
        ("openai/o9", True),
        ("o9", True),
        ("openhands/o9", True),  # its proxy has nowhere else to get it from
        ("azure/o9", False),
        ("openrouter/openai/o9", False),
        ("litellm_proxy/o9", False),
        ("vertex_ai/gemini-9", True),
        ("gemini/gemini-9", False),
        ("bedrock/anthropic.claude-9-v1:0", True),
        ("moonshot/kimi-9", True),
        ("xai/grok-9", True),
        ("openai/unknown", False),
        ("", False),
    ],
)
def test_the_day_is_that_of_the_models_own_provider(model: str, ends: bool) -> None:
    """The same model may be served for longer by another."""
    assert withdrawn.ends_on(model) == (END if ends else None)


@given(days=st.integers(-900, 900))
def test_on_its_last_day_a_model_is_still_there(days: int) -> None:
    day = END + timedelta(days)
    assert withdrawn.has_ended("openai/o9", day) == (days > 0)
    told = "withdrawn on 2026-10-23" if days > 0 else "its maker ends it on 2026-10-23"
    assert withdrawn.remark("openai/o9", day) == told
    assert withdrawn.remark("openai/unknown", day) is None


def test_what_the_page_lists_and_litellm_no_longer_has() -> None:
    """OpenHands' page recommends it, and it is older than the list."""
    old = "anthropic/claude-3-7-sonnet-20250219"
    assert withdrawn.has_ended(old, END)
    assert withdrawn.remark(old, END) == "no longer in LiteLLM's list"
    for model in ("anthropic/claude-opus-5-5", "openrouter/all-hands/openhands-lm-32b-v0.1"):
        assert withdrawn.remark(model, END) is None, "newer than the list, or anyone's to serve"


def test_nothing_is_said_without_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm_files, "prices", dict)
    assert withdrawn.remark("anthropic/claude-3-7-sonnet-20250219", END) is None


def test_no_example_was_withdrawn_when_it_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the list of LiteLLM that is installed."""
    monkeypatch.undo()
    chosen = date(2026, 11, 30)
    examples = [each.example for each in PROVIDERS.values()]
    assert [each for each in examples if withdrawn.has_ended(each, chosen)] == []
