"""The models that OpenHands lists as verified: those of its page on LLMs, and its current ones.

Each list has the date on which it was as it is here, and where it is from. `docs/page.md`, the
search for models, the panel and Tab take them from here. Where they are shown as lists, the page's
comes first; what is offered to choose from begins with the current ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from openhands_llm_magic.errors import Text


@dataclass(frozen=True, slots=True)
class Verified:
    """One list of OpenHands.

    Attributes:
        title: Who lists them: a name, which is the same in every language.
        as_of: The day on which it was so, as in 2025-05-07.
        source: Where it stands: an address.
        models: Its models as the setting `model` takes them, the recommended one first.
    """

    title: str
    as_of: str
    source: str
    models: tuple[str, ...]

    @property
    def trait(self) -> Text:
        """The word for its models in a list of models."""
        return Text("verified {month}", month=self.as_of[:7])


# fmt: off
PAGE = Verified(
    title="OpenHands", as_of="2025-05-07",
    source="https://github.com/All-Hands-AI/OpenHands/blob/689d3c9046/docs/i18n/ja/docusaurus-plugin-content-docs/current/usage/llms/llms.md",
    models=(
        "anthropic/claude-3-7-sonnet-20250219", "gemini/gemini-2.5-pro", "deepseek/deepseek-chat",
        "openai/o3-mini", "openai/o3", "openai/o4-mini",
        "openrouter/all-hands/openhands-lm-32b-v0.1",
    ),
)

# What it calls minimax, glm, nvidia, qwen and digitalocean is left out: the prefixes are not
# LiteLLM's. Most of these models are behind openhands/ and openrouter/, too.
CURRENT = Verified(
    title="OpenHands SDK 1.58.2", as_of="2026-10-25",
    source="https://github.com/OpenHands/software-agent-sdk/blob/v1.58.2/openhands-sdk/openhands/sdk/llm/utils/verified_models.py",
    models=(
        "anthropic/claude-opus-5-5", "anthropic/claude-opus-5", "anthropic/claude-sonnet-5-5",
        "anthropic/claude-sonnet-5", "anthropic/claude-haiku-5-5",
        "anthropic/claude-haiku-4-5-20251001", "anthropic/claude-fable-5-1",
        "anthropic/claude-fable-5",
        "openai/gpt-6.1-sol", "openai/gpt-6-sol", "openai/gpt-6-luna", "openai/gpt-6-astra",
        "openai/gpt-5.6", "openai/gpt-5.6-sol", "openai/gpt-5.6-terra", "openai/gpt-5.6-luna",
        "openai/gpt-5.3-codex", "openai/gpt-5.2-codex",
        "gemini/gemini-4-argon", "gemini/gemini-3.1-pro", "gemini/gemini-3.1-pro-preview",
        "gemini/gemini-3.8-flash", "gemini/gemini-3.7-flash", "gemini/gemini-3.5-flash-lite",
        "gemini/gemini-3.1-flash-lite",
        "deepseek/deepseek-chat", "deepseek/deepseek-v4-pro", "deepseek/deepseek-v4-flash",
        "deepseek/deepseek-v4-flash-vision-exp", "deepseek/deepseek-v4.1-flash",
        "deepseek/deepseek-v3.2-reasoner",
        "mistral/devstral-2512", "mistral/devstral-medium-2512",
        "moonshot/kimi-k3", "moonshot/kimi-k2.7-code", "moonshot/kimi-for-coding",
        "openhands/claude-opus-5-5", "openhands/claude-opus-5", "openhands/claude-sonnet-5-5",
        "openhands/claude-sonnet-5", "openhands/claude-fable-5-1", "openhands/claude-fable-5",
        "openhands/gpt-6.1-sol", "openhands/gpt-6-sol", "openhands/gpt-6-luna",
        "openhands/gpt-6-astra", "openhands/gpt-5.6", "openhands/gpt-5.3-codex",
        "openhands/gpt-5.2-codex", "openhands/minimax-m3.1-flash", "openhands/minimax-m3",
        "openhands/minimax-m2.7", "openhands/gemini-3.1-pro", "openhands/gemini-3.1-pro-preview",
        "openhands/gemini-3.8-flash", "openhands/gemini-3.7-flash",
        "openhands/gemini-3.5-flash-lite", "openhands/deepseek-chat", "openhands/deepseek-v4-pro",
        "openhands/deepseek-v4-flash", "openhands/deepseek-v4-flash-vision-exp",
        "openhands/deepseek-v4.1-flash", "openhands/deepseek-v3.2-reasoner", "openhands/kimi-k3",
        "openhands/kimi-k2.7-code", "openhands/devstral-2512", "openhands/devstral-medium-2512",
        "openhands/glm-5.3", "openhands/glm-5.3-flash", "openhands/glm-5.2",
        "openhands/nemotron-3.5-lightning-30b-a3b", "openhands/nemotron-3-nano",
        "openhands/nemotron-3-super-120b-a12b", "openhands/nemotron-3-ultra-550b-a55b",
        "openhands/qwen3.7-plus", "openhands/qwen3.6-plus", "openhands/qwen3.8-max",
        "openhands/qwen3.7-max", "openhands/qwen3.8-flash", "openhands/qwen3.7-flash",
        "openhands/qwen3-coder-480b", "openhands/qwen3-coder-next", "openhands/qwen3-coder-plus",
        "openhands/qwen3-coder-flash", "openhands/trinity-large-thinking",
        "openrouter/anthropic/claude-opus-5", "openrouter/anthropic/claude-sonnet-5.5",
        "openrouter/anthropic/claude-sonnet-5", "openrouter/anthropic/claude-haiku-5.5",
        "openrouter/anthropic/claude-haiku-4.5", "openrouter/openai/gpt-6.1-sol",
        "openrouter/openai/gpt-6-astra", "openrouter/openai/gpt-5.6-sol",
        "openrouter/openai/gpt-5.3-codex", "openrouter/openai/gpt-5.2-codex",
        "openrouter/deepseek/deepseek-chat", "openrouter/deepseek/deepseek-v4-pro",
        "openrouter/deepseek/deepseek-v4-flash", "openrouter/google/gemini-4-argon",
        "openrouter/google/gemini-3.1-pro-preview", "openrouter/google/gemini-3.8-flash",
        "openrouter/google/gemini-3.7-flash", "openrouter/google/gemini-3.5-flash-lite",
        "openrouter/moonshotai/kimi-k3", "openrouter/moonshotai/kimi-k2.7-code",
        "openrouter/mistralai/devstral-2512", "openrouter/z-ai/glm-5.3",
        "openrouter/z-ai/glm-5.3-flash", "openrouter/z-ai/glm-5.2", "openrouter/minimax/minimax-m3",
    ),
)
# fmt: on

LISTS = (PAGE, CURRENT)
"""The page's first, which is the older one."""

MODELS = tuple(dict.fromkeys(model for each in LISTS for model in each.models))
"""The models of all lists, each once."""


def traits_of(model: str) -> tuple[Text, ...]:
    """Return the words for the lists that a model is in."""
    return tuple(each.trait for each in LISTS if model in each.models)
