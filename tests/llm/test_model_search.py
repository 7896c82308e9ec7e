"""Which models a search finds, in which order, and by what names."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from datetime import date
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openhands_llm_magic.config import litellm_files, withdrawn
from openhands_llm_magic.config.verified import MODELS as VERIFIED_MODELS
from openhands_llm_magic.llm import model_search
from openhands_llm_magic.llm.litellm import models
from openhands_llm_magic.llm.model_search import all_models, further_prefixes, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOGS_IN = ("github_copilot/", "microsoft_365_copilot/")
"""LiteLLM asks for a login as soon as it sees the name."""

CHAT = {"mode": "chat", "max_tokens": 4096}
EMBEDS = {"mode": "embedding", "max_tokens": 4096}


@pytest.fixture
def list_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Put a list in the place of LiteLLM's."""
    spec = ModuleSpec("litellm", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", {"litellm": spec}.get)

    def write(listed: dict[str, Any]) -> None:
        (tmp_path / litellm_files.PRICE_FILE).write_text(json.dumps(listed))

    caches = (litellm_files.prices, models.models_of, model_search.all_models)
    for cached in caches:
        cached.cache_clear()
    yield write
    for cached in caches:
        cached.cache_clear()


def names(text: str) -> list[str]:
    return [each.name for each in search(text)]


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["GPT", "4o", "claude", "vision", "mini", "3", "/"]), max_size=3))
def test_each_word_occurs_in_what_is_found(words: list[str]) -> None:
    """In the name or the traits, in any case; what is not found lacks one."""
    texts = {
        each.name: " ".join([each.name, *each.traits]).lower()
        for each in all_models()
        if not each.embeds
    }
    having = {name for name, text in texts.items() if all(word.lower() in text for word in words)}
    assert set(names(" ".join(words))) == having


def test_verified_models_come_first_then_the_catalogues_by_name() -> None:
    day = withdrawn.today()
    ranked = sorted(VERIFIED_MODELS, key=lambda name: withdrawn.has_ended(name, day))
    assert names("verified") == names("")[: len(VERIFIED_MODELS)] == ranked
    found = names("gpt-4o")
    assert found.index("openai/gpt-4o") < found.index("openai/gpt-4o-mini")
    assert found.index("openai/gpt-4o-mini") < found.index("github_copilot/gpt-4o")


def test_models_that_their_makers_have_ended_are_the_last(
    list_models: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawn, "today", lambda: date(2026, 11, 30))
    openai = CHAT | {"litellm_provider": "openai"}
    list_models({"gpt-8": openai | {"deprecation_date": "2026-10-23"}, "gpt-9": openai})
    assert names("openai/gpt-")[-2:] == ["openai/gpt-9", "openai/gpt-8"]


def test_models_that_embed_are_found_when_asked_for(list_models: Callable[..., None]) -> None:
    """Or when nothing else is found."""
    openai, voyage = {"litellm_provider": "openai"}, {"litellm_provider": "voyage"}
    vector, voyager = "text-embedding-3-small", "voyage/voyage-4"
    list_models({"gpt-9": CHAT | openai, vector: EMBEDS | openai, voyager: EMBEDS | voyage})
    assert names("openai/gpt-9") == ["openai/gpt-9"]
    assert f"openai/{vector}" not in names("openai")
    assert names("openai embed") == [f"openai/{vector}"]
    assert names("voyage") == [voyager]
    assert [each.traits for each in search("voyage")] == [("embedding",)]


def test_what_is_unknown_is_not_nothing(list_models: Callable[..., None]) -> None:
    free = {"input_cost_per_token": 0, "output_cost_per_token": 0.0}
    list_models(
        {
            "xai/unpriced": CHAT | {"litellm_provider": "xai"},
            "xai/free": CHAT | free | {"litellm_provider": "xai"},
        }
    )
    known = {each.name: each.abilities for each in search("xai/")}
    assert known["xai/unpriced"].prompt_usd is known["xai/unpriced"].answer_usd is None
    assert known["xai/free"].prompt_usd == known["xai/free"].answer_usd == 0
    assert further_prefixes() == {"xai/": 2}


def test_what_is_no_model_to_ask_is_left_out(list_models: Callable[..., None]) -> None:
    """Classes of prices, pictures, regions, and providers that LiteLLM does not reach."""
    entries = {
        "together-ai-left-out": CHAT | {"litellm_provider": "together_ai"},
        "anyscale/left-out": CHAT | {"litellm_provider": "anyscale"},
        "azure/eu/left-out": CHAT | {"litellm_provider": "azure"},
        "azure/us/left-out": EMBEDS | {"litellm_provider": "azure"},
        "xai/left-out": {"mode": "image_generation", "litellm_provider": "xai"},
    }
    list_models(entries | {"azure/listed": CHAT | {"litellm_provider": "azure"}})
    assert names("listed") == ["azure/listed"]
    assert names("left-out") == []


def test_without_litellms_list_the_catalogue_is_left() -> None:
    code = """
from openhands_llm_magic.config import litellm_files, withdrawn
litellm_files.PRICE_FILE = "missing.json"
from openhands_llm_magic.llm.model_search import search
assert search("openai/o3") and search("practice/echo") and not search("xai/")
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code


def test_litellm_is_not_imported() -> None:
    code = """
import sys
from openhands_llm_magic.llm.model_search import search
assert search("gpt-4o")
assert "litellm" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code


def test_litellm_reaches_each_by_its_name(litellm: Any) -> None:
    """Except that those of OpenHands and of the practice server are ours to translate."""
    ours = ("openhands/", "practice/")
    for each in all_models():
        if not each.name.startswith((*LOGS_IN, *ours)):
            _, provider, _, _ = litellm.get_llm_provider(each.name)
            assert provider


def test_each_is_there_once() -> None:
    listed = [each.name for each in all_models()]
    assert len(set(listed)) == len(listed) > len(VERIFIED_MODELS)
