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

SEEING = (
    "-vl",
    "claude-3",
    "claude-4",
    "claude-haiku",
    "claude-opus",
    "claude-sonnet",
    "gemini",
    "gemma-3",
    "gpt-4.1",
    "gpt-4o",
    "gpt-5",
    "internvl",
    "llama-4",
    "llama4",
    "llava",
    "pixtral",
    "vision",
)
"""Parts of the names of models that may see where LiteLLM's list is silent, as it is for half."""

UNMARKED = ("openai/", "azure/")
"""Prefixes under which a mark would reach a server that speaks OpenAI's dialect."""


def abilities_of(model: str) -> Abilities:
    """Look a model up by its name with the provider's prefix."""
    facts = _facts(model)
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
        prompt_usd=facts.get("input_cost_per_token"),
        answer_usd=facts.get("output_cost_per_token"),
    )


def _flag(listed: bool | None, *, likely: bool) -> bool | None:
    """Read a flag of the list, whose silence means no, or nothing where a yes is likely."""
    return (None if likely else False) if listed is None else listed


def _facts(model: str) -> Mapping[str, Any] | None:
    """Find a model in the list, which has some with their prefix and some without."""
    listed = prices()
    own = PROVIDERS["openhands"].prefix
    proxied = model.removeprefix("litellm_proxy/").removeprefix(own)
    for name in (model, proxied, proxied.partition("/")[2]):
        if name and name in listed:
            return listed[name]
    return None
