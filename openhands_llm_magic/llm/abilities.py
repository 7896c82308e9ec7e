"""What a model can do and what it costs, as LiteLLM's list has it; LiteLLM is not imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.llm.models import prices

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Abilities:
    """What is known of a model; None where it is not.

    Attributes:
        sees: Whether it takes images.
        reads_pdf: Whether it takes PDFs.
        takes_schema: Whether it can be held to a JSON schema.
        caches_by_marks: Whether it caches the parts of a prompt that are marked, and only those.
        window_tokens: Tokens that a prompt may have.
        prompt_usd: US dollars for a token of the prompt.
        answer_usd: US dollars for a token of the answer.
    """

    sees: bool | None = None
    reads_pdf: bool | None = None
    takes_schema: bool | None = None
    caches_by_marks: bool = False
    window_tokens: int | None = None
    prompt_usd: float | None = None
    answer_usd: float | None = None


MARKED = "claude"
"""Part of the names of models that cache what is marked with `cache_control`. Others cache by
themselves, or not at all; a mark would be stripped, or refused."""

UNMARKED = ("openai/", "azure/")
"""Prefixes under which a mark would reach a server that speaks OpenAI's dialect."""


def abilities_of(model: str) -> Abilities:
    """Look a model up by its name with the provider's prefix."""
    facts = _facts(model)
    marks = MARKED in model.lower() and not model.startswith(UNMARKED)
    if facts is None:
        return Abilities(caches_by_marks=marks)
    return Abilities(
        sees=bool(facts.get("supports_vision")),
        reads_pdf=bool(facts.get("supports_pdf_input")),
        takes_schema=bool(facts.get("supports_response_schema")),
        caches_by_marks=marks and bool(facts.get("supports_prompt_caching")),
        window_tokens=facts.get("max_input_tokens") or facts.get("max_tokens"),
        prompt_usd=facts.get("input_cost_per_token"),
        answer_usd=facts.get("output_cost_per_token"),
    )


def _facts(model: str) -> Mapping[str, Any] | None:
    """Find a model in the list, which has some with their prefix and some without."""
    listed = prices()
    own = PROVIDERS["openhands"].prefix
    proxied = model.removeprefix("litellm_proxy/").removeprefix(own)
    for name in (model, proxied, proxied.partition("/")[2]):
        if name and name in listed:
            return listed[name]
    return None
