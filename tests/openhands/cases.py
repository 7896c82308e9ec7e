"""What OpenHands is asked with: each provider of the catalogue, and models of note."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.resolve import Snapshot

KEY = "sk-canary"

AWS = {
    "AWS_ACCESS_KEY_ID": "AKIACANARY",
    "AWS_SECRET_ACCESS_KEY": "canary",
    "AWS_REGION_NAME": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The variables of Bedrock: 0.41 passes on no keys of its config, and a profile holds none."""

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
]

CHOSEN = {
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "max_output_tokens": 100,
    "reasoning_effort": "low",
}
"""What somebody may have set for a model."""

ATTEMPTS = 3

POLICY = {
    "num_retries": ATTEMPTS,
    "retry_min_wait": 1,
    "retry_max_wait": 2,
    "retry_multiplier": 1.0,
}
"""Three attempts, with waits of one and two seconds."""

BASES = {
    "anthropic": "",
    "gemini": "/v1beta",
    "azure": "",
    "groq": "/openai/v1",
    "groq_openai": "/openai/v1",
    "litellm_proxy": "",
    "ollama": "",
    "mistral": "/mistral/v1",
    "bedrock": "",
    "openhands": "",
}
"""What a base_url has after the server's address, where that is not /v1."""

NOT_ON_THE_WIRE = {"vertex_ai", "practice"}
"""Vertex AI makes no request without an account; the practice provider is none of OpenHands'."""


@dataclass(frozen=True)
class Case:
    """Settings that OpenHands is asked with.

    Attributes:
        provider: The provider's name in the catalogue.
        model: The model.
        settings: What else is set.
    """

    provider: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def at(self, address: str, **more: Any) -> Snapshot:
        """Return the settings that lead to a server."""
        base = address + BASES.get(self.provider, "/v1")
        given: dict[str, Any] = {"model": self.model, "base_url": base, "api_key": KEY}
        if self.provider == "azure":
            given["api_version"] = "2024-12-01-preview"
        return load_settings(env={}).with_overrides(given | dict(self.settings) | more)


_MODELS = {
    "openai/o3-mini": "openai",
    "openai/gpt-4": "openai",
    "openai/gpt-4.1": "openai",
    "openai/gpt-5": "openai",
    "azure/o3-mini": "azure",
    "azure/gpt-5": "azure",
    "anthropic/claude-sonnet-4-5-20250929": "anthropic",
    "anthropic/claude-opus-4-6": "anthropic",
    "deepseek/deepseek-reasoner": "deepseek",
    "openrouter/anthropic/claude-sonnet-4": "openrouter",
    "litellm_proxy/claude-sonnet-4-5": "litellm_proxy",
    "hosted_vllm/zai-org/GLM-4.6": "vllm",
    "ollama_chat/qwen3": "ollama",
    "openai/devstral-small": "openai_compatible",
    "openai/openai/gpt-oss-120b": "openai_compatible",
}
"""Models that one of the versions has a rule for, each with the provider that it is asked of."""

_ASKED = {name: each.example for name, each in PROVIDERS.items() if name not in NOT_ON_THE_WIRE}

CASES: Mapping[str, Case] = {
    **{name: Case(name, model) for name, model in _ASKED.items()},
    **{f"{name}, chosen": Case(name, model, CHOSEN) for name, model in _ASKED.items()},
    **{model: Case(provider, model) for model, provider in _MODELS.items()},
    **{f"{model}, chosen": Case(each, model, CHOSEN) for model, each in _MODELS.items()},
}
"""With nothing set but model, key and address, and with what somebody may have chosen."""
