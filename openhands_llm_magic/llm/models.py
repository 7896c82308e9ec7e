"""The models that a person can choose from, without importing LiteLLM.

LiteLLM's package has a file of every model it knows. Importing LiteLLM to read it takes seconds;
reading it takes 30 ms, once.
"""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.llm.practice import models as practice_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openhands_llm_magic.config.provider import Provider

PRICE_FILE = "model_prices_and_context_window_backup.json"
"""LiteLLM's file, beside its `__init__.py`."""

BY_REGION = frozenset({"azure", "bedrock"})
"""Providers of which LiteLLM lists a model again for each region: `azure/eu/gpt-4o`. The region is
a setting, or the address's."""

OF_TOKENS = frozenset({"max_tokens", "max_input_tokens", "input_cost_per_token"})
"""A model of language has one of these; LiteLLM calls some other services "chat", too."""


@cache
def models_of(provider: Provider) -> tuple[str, ...]:
    """List the models of a provider, as the setting `model` takes them.

    Verified models come first, then the provider's example, then those that LiteLLM knows, by
    name. What a person's own server offers is known to that server alone, so for most providers
    that ask for a base_url there are none.
    """
    example = () if provider.names_are_own else (provider.example,)
    if provider.prefix == practice_models.PREFIX:
        known = [provider.prefix + name for name in practice_models.MODELS]
    else:
        known = sorted(_known_to_litellm(provider), key=by_number)
    return tuple(dict.fromkeys([*provider.verified_models, *example, *known]))


def _known_to_litellm(provider: Provider) -> Iterator[str]:
    """Name the chat models that LiteLLM reaches by the provider's prefix alone."""
    prefix = provider.prefix
    if provider_of(prefix) != provider:  # another one has the prefix, when there is no base_url
        return
    for listed, facts in prices().items():
        name = listed.removeprefix(prefix)
        if maker_of(facts) + "/" != prefix or not is_chat(facts) or name.startswith("ft:"):
            continue
        if not (provider.name in BY_REGION and "/" in name):
            yield prefix + name


def maker_of(facts: Mapping[str, Any]) -> str:
    """Name LiteLLM's provider of a model without its variant: "vertex_ai-language-models"."""
    return str(facts.get("litellm_provider")).partition("-")[0].removesuffix("_converse")


def is_chat(facts: Mapping[str, Any]) -> bool:
    """Tell whether a model answers on the chat-completions API, in text.

    Those of the mode "responses" are reached through another API of the provider.
    """
    writes = facts.get("supported_output_modalities") or ["text"]
    return facts.get("mode") == "chat" and "text" in writes and not OF_TOKENS.isdisjoint(facts)


def by_number(name: str) -> list[tuple[int, str]]:
    """Order names so that gpt-9 comes before gpt-10."""
    parts = re.findall(r"(\d+)|(\D+)", name.lower())
    return [(int(number), "") if number else (-1, text) for number, text in parts]


@cache
def prices() -> Mapping[str, Mapping[str, Any]]:
    """Read what LiteLLM knows of each model; nothing, where its file cannot be read."""
    try:
        found = importlib.util.find_spec("litellm")
        if found is None or found.origin is None:
            return {}
        listed = json.loads(Path(found.origin).with_name(PRICE_FILE).read_bytes())
    except (OSError, ValueError):  # no such file, no JSON
        return {}
    models = listed.items() if isinstance(listed, dict) else ()
    return {name: facts for name, facts in models if isinstance(facts, dict)}
