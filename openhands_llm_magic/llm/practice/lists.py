"""The models that the practice server says it has, in each provider's form.

What each tells of a model was read from Ollama's and LM Studio's API references, from answers of
vLLM and llama.cpp that were published, and from LiteLLM's proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.llm.practice import embeddings
from openhands_llm_magic.llm.practice.agent import CONTEXT_TOKENS, Agent
from openhands_llm_magic.llm.practice.dialects import CREATED_S
from openhands_llm_magic.llm.practice.models import MODELS
from openhands_llm_magic.llm.practice.routes import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openhands_llm_magic.llm.practice.routes import Route

WINDOW_TOKENS = 32_768
"""Tokens that a prompt may have, as lists tell; only agent-forgets holds a prompt to fewer."""

PRACTICE = "practice"
"""Who has made the models, and of what kind they are."""

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
        return {"data": [_anthropic(name) for name in found], **ends}
    name, form = FORMS.get(route.dialect, ("data", _openai))
    return {name: [form(each, route) for each in found], "object": "list"}


def can_call(name: str, route: Route) -> bool:
    """Return whether a model is said to call functions."""
    model = MODELS.get(route.acts_as or name)
    return name != embeddings.MODEL and (model is None or model.fault != "no tools")


def context(name: str, route: Route) -> int:
    """Return the tokens that a model has room for as it is loaded."""
    model = MODELS.get(route.acts_as or name)
    if model and model.fault == "too long":
        return CONTEXT_TOKENS
    reads = model.calls.read if model and isinstance(model.calls, Agent) else int
    return reads(WINDOW_TOKENS)


def _openai(name: str, _route: Route) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED_S, "owned_by": PRACTICE}


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": CREATED}


def _gemini(name: str, _route: Route) -> dict[str, Any]:
    methods = ["embedContent"] if name == embeddings.MODEL else ["generateContent", "countTokens"]
    told = {"name": f"models/{name}", "supportedGenerationMethods": methods}
    return told | {"displayName": name, "inputTokenLimit": WINDOW_TOKENS}


def _litellm(name: str, route: Route) -> dict[str, Any]:
    info = {
        "mode": "embedding" if name == embeddings.MODEL else "chat",
        "max_input_tokens": WINDOW_TOKENS,
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 0.0,
        "supports_function_calling": can_call(name, route),
    }
    return {"model_name": name, "litellm_params": {"model": name}, "model_info": info}


def _vllm(name: str, route: Route) -> dict[str, Any]:
    more = {"root": name, "parent": None, "max_model_len": WINDOW_TOKENS}
    return _openai(name, route) | {"owned_by": route.dialect} | more


def _llama_cpp(name: str, route: Route) -> dict[str, Any]:
    meta = {"n_ctx_train": WINDOW_TOKENS}
    return _openai(name, route) | {"owned_by": "llamacpp", "meta": meta}


def _details(name: str) -> dict[str, Any]:
    family = "bert" if name == embeddings.MODEL else PRACTICE
    told = {"parent_model": "", "format": "gguf", "family": family, "families": [family]}
    return told | {"parameter_size": "0B", "quantization_level": "F32"}


def _ollama(name: str, _route: Route) -> dict[str, Any]:
    told = {"name": name, "model": name, "modified_at": CREATED, "size": 0, "digest": ""}
    return told | {"details": _details(name)}


def _lm_studio(name: str, route: Route) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "type": "embeddings" if name == embeddings.MODEL else "llm",
        "publisher": PRACTICE,
        "state": "loaded",
        "max_context_length": WINDOW_TOKENS,
        "loaded_context_length": context(name, route),
        "capabilities": ["tool_use"] if can_call(name, route) else [],
    }


def _openrouter(name: str, route: Route) -> dict[str, Any]:
    writes = ["embeddings"] if name == embeddings.MODEL else ["text"]
    architecture = {"input_modalities": ["text"], "output_modalities": writes}
    told = {"id": name, "name": name, "created": CREATED_S, "context_length": WINDOW_TOKENS}
    takes = ["max_tokens", "stop", *(["tools", "tool_choice"] if can_call(name, route) else [])]
    more = {"architecture": architecture, "supported_parameters": takes}
    return told | more | {"pricing": {"prompt": "0", "completion": "0"}}


def shown(name: str, route: Route) -> dict[str, Any]:
    """Return what Ollama tells of a model."""
    can, template = ["embedding" if name == embeddings.MODEL else "completion"], "{{ .Prompt }}"
    if can_call(name, route):
        can, template = [*can, "tools"], "{{ if .Tools }}<tools>{{ .Tools }}</tools>{{ end }}"
    info = {"general.architecture": PRACTICE, f"{PRACTICE}.context_length": WINDOW_TOKENS}
    told = {"parameters": "temperature 1", "template": template, "details": _details(name)}
    return told | {"model_info": info, "capabilities": can, "modified_at": CREATED}


def loaded(names: Iterable[str], route: Route) -> dict[str, Any]:
    """Return which models Ollama has in memory; it loads one as it is asked."""
    more = {"expires_at": "2099-01-01T00:00:00Z", "size_vram": 0}
    return {
        "models": [
            _ollama(name, route) | more | {"context_length": context(name, route)} for name in names
        ]
    }


def properties(route: Route) -> dict[str, Any]:
    """Return what llama.cpp's server tells of itself."""
    can = can_call(route.acts_as, route)
    return {
        "default_generation_settings": {"n_ctx": context(route.acts_as, route), "params": {}},
        "total_slots": 1,
        "model_path": f"{PRACTICE}.gguf",
        "modalities": {"vision": False, "audio": False},
        "chat_template": "{{ tools }}" if can else "{{ messages }}",
        "chat_template_caps": {"supports_tools": can, "supports_tool_calls": can},
        "is_sleeping": False,
    }


FORMS: Mapping[str, tuple[str, Callable[[str, Route], dict[str, Any]]]] = {
    "gemini": ("models", _gemini),
    "litellm_proxy": ("data", _litellm),
    "llama_cpp": ("data", _llama_cpp),
    "lm_studio": ("data", _lm_studio),
    "ollama": ("models", _ollama),
    "openrouter": ("data", _openrouter),
    "sglang": ("data", _vllm),
    "vllm": ("data", _vllm),
}
"""What a list is called, and how a model of it is told, where it is not as OpenAI does it."""


TELLS: Mapping[str, Callable[[Route], dict[str, Any]]] = {
    "models": listed,
    "properties": properties,
    "key": lambda _route: KEY,
}
"""What is told to who asks for it, whatever else the request says."""
