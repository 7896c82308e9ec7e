"""The models that the practice server says it has, in each provider's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.llm.practice import embeddings
from openhands_llm_magic.llm.practice.dialects import CREATED_S
from openhands_llm_magic.llm.practice.models import MODELS
from openhands_llm_magic.llm.practice.routes import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openhands_llm_magic.llm.practice.routes import Route

WINDOW_TOKENS = 32_768
"""Tokens that a prompt may have, as lists tell; nothing holds a prompt to it."""

CREATED = "2025-01-01T00:00:00Z"

KEY: dict[str, Any] = {
    "data": {
        "label": "practice",
        "usage": 0,
        "limit": None,
        "limit_remaining": None,
        "is_free_tier": False,
    }
}
"""What OpenRouter tells of a key."""

SHOWN: dict[str, Any] = {
    "details": {"family": "practice"},
    "model_info": {"general.architecture": "practice", "practice.context_length": WINDOW_TOKENS},
    "capabilities": ["completion", "tools"],
    "template": "{{ .tools }}",
}
"""What Ollama tells of a model."""


def names(provider: str) -> list[str]:
    """Return the names of the models that a provider would have: an example, then ours."""
    own = [*MODELS, embeddings.MODEL]
    if provider == OWN or provider not in PROVIDERS:
        return own
    entry = PROVIDERS[provider]
    return [entry.example.removeprefix(entry.prefix), *own]


def listed(route: Route) -> dict[str, Any]:
    """Return the body of the answer to who asks for all models."""
    found = names(route.provider)
    if route.dialect == "anthropic":
        ends = {"has_more": False, "first_id": found[0], "last_id": found[-1]}
        return {"data": [*map(_anthropic, found)], **ends}
    name, form = FORMS.get(route.dialect, ("data", _openai))
    return {name: [*map(form, found)], "object": "list"}


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED_S, "owned_by": "practice"}


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": CREATED}


def _gemini(name: str) -> dict[str, Any]:
    methods = ["embedContent"] if name == embeddings.MODEL else ["generateContent", "countTokens"]
    told = {"name": f"models/{name}", "supportedGenerationMethods": methods}
    return told | {"displayName": name, "inputTokenLimit": WINDOW_TOKENS}


def _litellm(name: str) -> dict[str, Any]:
    mode = "embedding" if name == embeddings.MODEL else "chat"
    info = {"mode": mode, "max_input_tokens": WINDOW_TOKENS}
    return {"model_name": name, "litellm_params": {"model": name}, "model_info": info}


def _ollama(name: str) -> dict[str, Any]:
    family = "bert" if name == embeddings.MODEL else "practice"
    told = {"name": name, "model": name, "modified_at": CREATED, "size": 0}
    return told | {"details": {"family": family}}


def _lm_studio(name: str) -> dict[str, Any]:
    kind = "embeddings" if name == embeddings.MODEL else "llm"
    told = {"id": name, "object": "model", "type": kind, "state": "loaded"}
    return told | {"max_context_length": WINDOW_TOKENS, "loaded_context_length": WINDOW_TOKENS}


def _openrouter(name: str) -> dict[str, Any]:
    writes = ["embeddings"] if name == embeddings.MODEL else ["text"]
    architecture = {"input_modalities": ["text"], "output_modalities": writes}
    told = {"id": name, "name": name, "created": CREATED_S, "context_length": WINDOW_TOKENS}
    return told | {"architecture": architecture, "pricing": {"prompt": "0", "completion": "0"}}


FORMS: Mapping[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "gemini": ("models", _gemini),
    "litellm_proxy": ("data", _litellm),
    "lm_studio": ("data", _lm_studio),
    "ollama": ("models", _ollama),
    "openrouter": ("data", _openrouter),
}
"""What a list is called, and how a model of it is told, where it is not as OpenAI does it."""
