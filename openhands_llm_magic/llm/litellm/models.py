"""The models that a person can choose from, without importing LiteLLM."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import withdrawn
from openhands_llm_magic.config.litellm_files import prices
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.verified import LISTS
from openhands_llm_magic.llm.practice import models as practice_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openhands_llm_magic.config.providers import Provider

BY_REGION = frozenset({"azure", "bedrock"})
"""Providers of which LiteLLM lists a model again for each region: `azure/eu/gpt-4o`. The region is
a setting, or the address's."""

OF_TOKENS = frozenset({"max_tokens", "max_input_tokens", "input_cost_per_token"})
"""A model of language has one of these; LiteLLM calls some other services "chat", too."""


@cache
def models_of(provider: Provider) -> tuple[str, ...]:
    """List the models of a provider, as the setting `model` takes them.

    Verified models come first, of the newest list before those of older ones, and those that their
    makers have ended last of them; so the first is one that is served. Then comes the provider's
    example, then those that LiteLLM knows, by name. What a person's own server offers is
    known to that server alone, so for most providers that ask for a base_url there are none.
    """
    example = () if provider.names_are_own else (provider.example,)
    if provider.prefix == practice_models.PREFIX:
        known = [provider.prefix + name for name in practice_models.MODELS]
    else:
        known = sorted(_known_to_litellm(provider), key=by_number)
    day = withdrawn.today()
    own = frozenset(provider.verified_models)
    newest_first = [name for each in reversed(LISTS) for name in each.models if name in own]
    verified = sorted(newest_first, key=lambda name: withdrawn.has_ended(name, day))
    return tuple(dict.fromkeys([*verified, *example, *known]))


def _known_to_litellm(provider: Provider) -> Iterator[str]:
    """Name the chat models that LiteLLM reaches by the provider's prefix alone.

    Those that it lists under another prefix of the provider are reached by this one, too.
    """
    prefix = provider.prefix
    if provider_of(prefix) != provider:  # another one has the prefix, when there is no base_url
        return
    reaching = {prefix, *(each for each in provider.other_prefixes if each != "openai/")}
    for listed, facts in prices().items():
        listed_under = maker_of(facts) + "/"
        name = listed.removeprefix(listed_under)
        if listed_under not in reaching or not is_chat(facts) or name.startswith("ft:"):
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
    """Return a key to sort names by, so that gpt-9 comes before gpt-10."""
    parts = re.findall(r"(\d+)|(\D+)", name.lower())
    return [(int(number), "") if number else (-1, text) for number, text in parts]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What is known of a model; None where it is not.

    Attributes:
        sees: Whether it takes images.
        reads_pdf: Whether it takes PDFs.
        takes_schema: Whether it can be held to a JSON schema.
        caches_by_marks: Whether it caches the parts of a prompt that are marked, and only those.
        window_tokens: Tokens that a prompt may have.
        most_answer_tokens: Tokens that an answer may have.
        prompt_usd: US dollars for a token of the prompt.
        answer_usd: US dollars for a token of the answer.
    """

    sees: bool | None = None
    reads_pdf: bool | None = None
    takes_schema: bool | None = None
    caches_by_marks: bool = False
    window_tokens: int | None = None
    most_answer_tokens: int | None = None
    prompt_usd: float | None = None
    answer_usd: float | None = None


MARKED = "claude"
"""Part of the names of models that cache what is marked with `cache_control`. Others cache by
themselves, or not at all; a mark would be stripped, or refused."""

SEEING = (
    "-vl", "claude-3", "claude-4", "claude-haiku", "claude-opus", "claude-sonnet", "gemini",
    "gemma-3", "gpt-4.1", "gpt-4o", "gpt-5", "internvl", "llama-4", "llama4", "llava", "pixtral",
    "vision",
)  # fmt: skip
"""Parts of the names of models that may see where LiteLLM's list is silent, as it is for half."""

UNMARKED = ("openai/", "azure/")
"""Prefixes under which a mark would reach a server that speaks OpenAI's dialect."""


def abilities_of(model: str) -> Abilities:
    """Look a model up by its name with the provider's prefix."""
    facts = listed(model)
    marks = MARKED in model.lower() and not model.startswith(UNMARKED)
    if facts is None:
        return Abilities(caches_by_marks=marks)
    may_see = any(part in model.lower() for part in SEEING)
    sees = _flag(facts.get("supports_vision"), likely=may_see)
    return Abilities(
        sees=sees,
        # The list has no "no" here, and is silent for azure/gpt-4o as for gpt-3.5-turbo.
        reads_pdf=_flag(facts.get("supports_pdf_input"), likely=sees is not False),
        takes_schema=bool(facts.get("supports_response_schema")),
        caches_by_marks=marks and bool(facts.get("supports_prompt_caching")),
        window_tokens=facts.get("max_input_tokens") or facts.get("max_tokens"),
        most_answer_tokens=facts.get("max_output_tokens"),
        prompt_usd=facts.get("input_cost_per_token"),
        answer_usd=facts.get("output_cost_per_token"),
    )


def mode_of(model: str) -> str | None:
    """Return what LiteLLM's list says a model is for, such as "chat" or "embedding", or None."""
    facts = listed(model)
    return str(facts["mode"]) if facts and facts.get("mode") else None


def _flag(listed: bool | None, *, likely: bool) -> bool | None:
    """Read a flag of the list, whose silence means no, or nothing where a yes is likely."""
    return (None if likely else False) if listed is None else listed


def listed(model: str) -> Mapping[str, Any] | None:
    """Find a model in the list, which has some with their prefix and some without."""
    table = prices()
    own = PROVIDERS["openhands"].prefix
    proxied = model.removeprefix("litellm_proxy/").removeprefix(own)
    for name in (model, proxied, proxied.partition("/")[2]):
        if name and name in table:
            return table[name]
    return None
