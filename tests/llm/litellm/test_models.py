"""The names of models to choose from, read from LiteLLM's file without importing LiteLLM."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

import pytest

from openhands_llm_magic.config import litellm_files, withdrawn
from openhands_llm_magic.config.providers import PROVIDERS, Provider, provider_of
from openhands_llm_magic.config.verified import CURRENT
from openhands_llm_magic.llm.litellm import models
from openhands_llm_magic.llm.litellm.models import models_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    ListModels = Callable[[dict[str, Any]], None]

each_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)

OPENAI = PROVIDERS["openai"]
CHAT = {"mode": "chat", "max_tokens": 4096, "litellm_provider": "openai"}


@pytest.fixture
def list_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ListModels]:
    """Put a list in the place of LiteLLM's."""
    spec = ModuleSpec("litellm", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", {"litellm": spec}.get)

    def write(listed: dict[str, Any]) -> None:
        (tmp_path / litellm_files.PRICE_FILE).write_text(json.dumps(listed))

    for cached in (litellm_files.prices, models.models_of):
        cached.cache_clear()
    yield write
    for cached in (litellm_files.prices, models.models_of):
        cached.cache_clear()


def test_litellm_is_not_imported() -> None:
    """Nor tornado, for the models of the practice provider."""
    code = """
import sys
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.llm.litellm.models import models_of
assert all("openai/gpt-4o" in models_of(PROVIDERS["openai"]) for _ in range(2))
assert models_of(PROVIDERS["practice"])
assert {"litellm", "tornado"}.isdisjoint(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code


NEWEST_FIRST = sorted(OPENAI.verified_models, key=lambda name: name not in CURRENT.models)

FIRST = len(OPENAI.verified_models) + 1
"""Models of OpenAI that come before those of LiteLLM's list: the last one is the example."""


@each_provider
def test_the_names_are_of_the_provider(provider: Provider) -> None:
    """With its prefix, so that they lead back to it; each once."""
    names = models_of(provider)
    address = provider.base_url_form if "base_url" in provider.asks_for else None
    assert [name for name in names if not name.startswith(provider.prefix)] == []
    assert {provider_of(name, address) for name in names} <= {provider}
    assert len(set(names)) == len(names)


@each_provider
def test_verified_models_come_first(provider: Provider) -> None:
    """Of the newest list before those of older ones, those that have ended last; the example."""
    names, day = models_of(provider), withdrawn.today()
    count = len(provider.verified_models)
    current = [name for name in CURRENT.models if name in provider.verified_models]
    older = [name for name in provider.verified_models if name not in current]
    assert names[:count] == (
        *(name for name in [*current, *older] if not withdrawn.has_ended(name, day)),
        *(name for name in [*current, *older] if withdrawn.has_ended(name, day)),
    )
    if "/my-" not in provider.example:
        assert provider.example in names[: count + 1]


def test_no_name_is_one_to_fill_in() -> None:
    """Such as azure/my-deployment, the example of Azure."""
    names = [name for provider in PROVIDERS.values() for name in models_of(provider)]
    assert [name for name in names if "/my-" in name] == []


@pytest.mark.parametrize(
    ("name", "count"),
    {
        "openai": 30, "anthropic": 5, "gemini": 10, "vertex_ai": 30, "azure": 30, "bedrock": 50,
        "mistral": 10, "groq": 3, "deepseek": 3, "moonshot": 3, "ollama": 10, "practice": 7,
    }.items(),
)  # fmt: skip
def test_litellm_knows_many(name: str, count: int) -> None:
    assert len(models_of(PROVIDERS[name])) >= count


@pytest.mark.parametrize("name", ["openai_compatible", "litellm_proxy", "sglang", "vllm"])
def test_what_a_persons_own_server_offers_is_not_known(name: str) -> None:
    assert models_of(PROVIDERS[name]) == ()


def test_practice_models() -> None:
    """In the order in which they are told of."""
    assert models_of(PROVIDERS["practice"])[:2] == ("practice/echo", "practice/rate-limited")


@pytest.mark.parametrize(
    "name",
    [
        "openai/text-embedding-3-small",
        "openai/whisper-1",
        "openai/gpt-image-1",
        "openai/gpt-3.5-turbo-instruct",
        "openai/ft:gpt-4o-2024-08-06",
        "openai/container",
        "openai/sample_spec",
    ],
)
def test_what_does_not_chat_is_left_out(name: str) -> None:
    assert name not in models_of(OPENAI)


@pytest.mark.parametrize("name", ["azure", "bedrock"])
def test_a_region_makes_no_other_model(name: str) -> None:
    """LiteLLM lists `azure/eu/gpt-4o` and `bedrock/us-east-1/...` for their prices."""
    assert {model.count("/") for model in models_of(PROVIDERS[name])} == {1}


def test_a_name_is_listed_once_whatever_it_begins_with(list_models: ListModels) -> None:
    """LiteLLM has some models with the prefix, some without, and some twice."""
    list_models({"gpt-9": CHAT, "openai/gpt-9": CHAT, "openai/gpt-10": CHAT})
    assert models_of(OPENAI)[FIRST:] == ("openai/gpt-9", "openai/gpt-10")


def test_versions_are_in_order(list_models: ListModels) -> None:
    list_models(dict.fromkeys(["gpt-10", "gpt-9-mini", "gpt-9", "Gpt-9.5", "gpt-9-2025"], CHAT))
    names = [name.removeprefix("openai/") for name in models_of(OPENAI)[FIRST:]]
    assert names == ["gpt-9", "gpt-9-2025", "gpt-9-mini", "Gpt-9.5", "gpt-10"]


@pytest.mark.parametrize(
    "facts",
    [
        {"mode": "embedding"},
        {"mode": "responses"},
        {"mode": "completion"},
        {"mode": None},
        {"max_tokens": 4096, "litellm_provider": "text-completion-openai"},
        {"supported_output_modalities": ["audio"]},
        {"litellm_provider": "azure"},
        {"litellm_provider": None},
    ],
    ids=str,
)
def test_what_decides(list_models: ListModels, facts: dict[str, Any]) -> None:
    list_models({"gpt-9": CHAT, "gpt-10": CHAT | facts})
    assert models_of(OPENAI)[FIRST:] == ("openai/gpt-9",)


@pytest.mark.parametrize(
    ("provider", "variant"),
    [("vertex_ai", "vertex_ai-language-models"), ("bedrock", "bedrock_converse")],
)
def test_variants_of_a_provider_are_the_provider(
    list_models: ListModels, provider: str, variant: str
) -> None:
    list_models({"a-model": CHAT | {"litellm_provider": variant}})
    assert f"{provider}/a-model" in models_of(PROVIDERS[provider])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"gpt-9": "cheap"}', "\x00"])
@pytest.mark.usefixtures("list_models")
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """The verified models and the example are left."""
    (tmp_path / litellm_files.PRICE_FILE).write_text(text)
    assert models_of(OPENAI) == (*NEWEST_FIRST, OPENAI.example)


@pytest.mark.usefixtures("list_models")
def test_no_file() -> None:
    assert models_of(OPENAI) == (*NEWEST_FIRST, OPENAI.example)


@pytest.mark.usefixtures("list_models")
@pytest.mark.parametrize("spec", [None, ModuleSpec("litellm", None)])
def test_no_litellm(monkeypatch: pytest.MonkeyPatch, spec: ModuleSpec | None) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", {"litellm": spec}.get)
    assert models_of(OPENAI) == (*NEWEST_FIRST, OPENAI.example)
