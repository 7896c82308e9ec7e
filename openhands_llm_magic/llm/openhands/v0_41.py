"""OpenHands 0.41, as `openhands/llm/llm.py` has it; its image has LiteLLM 1.72."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config.lint.model import sampling_refused
from openhands_llm_magic.config.openhands_file import NOTHING
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.openhands.version import (
    PASSED_BY_BOTH,
    Version,
    as_texts,
    azure_limit,
    cached_parts,
    in_parts,
    place,
    site_of,
)

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.openhands.version import Draft

TITLE = "OpenHands 0.41"

EFFORT = frozenset({
    "o1", "o1-2024-12-17", "o3", "o3-2025-04-16", "o3-mini", "o3-mini-2025-01-31", "o4-mini",
    "o4-mini-2025-04-16",
})  # fmt: skip
"""Models that reason, of those that 0.41 knows."""

TOOLS = (
    "claude-3-7-sonnet-20250219", "claude-sonnet-3-7-latest", "claude-3-5-sonnet",
    "claude-3.5-haiku", "claude-3-5-haiku-20241022", "claude-sonnet-4-20250514",
    "claude-opus-4-20250514", "gpt-4o", "o1-2024-12-17", "o3", "o4-mini", "gemini-2.5-pro",
    "gpt-4.1",
)  # fmt: skip
"""Parts of the names of models that 0.41 gives its tools to as tools."""

CACHE = frozenset({
    "claude-3-7-sonnet-20250219", "claude-sonnet-3-7-latest", "claude-3.7-sonnet",
    "claude-3-5-sonnet-20241022", "claude-3-5-sonnet-20240620", "claude-3-5-haiku-20241022",
    "claude-3-haiku-20240307", "claude-3-opus-20240229", "claude-sonnet-4-20250514",
    "claude-opus-4-20250514",
})  # fmt: skip
"""Models of which the cache is told what to keep."""

LATER_PROVIDERS = frozenset({
    "aiml", "amazon_nova", "bytez", "chutes", "cometapi", "compactifai", "dashscope", "gigachat",
    "github_copilot", "gradient_ai", "heroku", "hyperbolic", "inception", "lambda_ai", "lemonade",
    "minimax", "modelscope", "moonshot", "morph", "nano-gpt", "oci", "openhands", "ovhcloud",
    "poe", "publicai", "scaleway", "synthetic", "v0", "vercel_ai_gateway", "wandb", "xiaomi_mimo",
    "zai",
})  # fmt: skip
"""Prefixes of models that neither 0.41 nor its LiteLLM knows, and that people use now."""


def _sampling(made: Draft) -> None:
    """A temperature and a top_p are always sent: 0.0 and 1.0 when nobody set them."""
    made.set(temperature=made["temperature"], top_p=made["top_p"], top_k=made["top_k"])
    if made.model.startswith("huggingface") and made["top_p"] == 1:
        made.options["top_p"] = 0.9


def _provider(made: Draft) -> None:
    """The custom_llm_provider is passed on, and no key of AWS: those come from AWS's variables."""
    made.set(custom_llm_provider=made["custom_llm_provider"] or None)


def _effort(made: Draft) -> None:
    """A reasoning_effort goes to o1, o3, o3-mini and o4-mini alone, and no temperature with it."""
    if made.model.rpartition("/")[2] in EFFORT:
        made.set(reasoning_effort=made["reasoning_effort"])
        made.options.pop("temperature", None)


def _limit(made: Draft) -> None:
    """A limit of the answer is always sent: the most that the model is known for, or 4,096."""
    known = made.facts.get("max_output_tokens") or made.facts.get("max_tokens") or 4096
    known = 64_000 if made.has("claude-3-7-sonnet", "claude-3.7-sonnet") else known
    made.set(max_completion_tokens=made["max_output_tokens"] or known)


def _messages(made: Draft) -> None:
    """A message is a list of parts where the model is known to see, or for tools; else a text."""
    cached = _marks_cache(made)
    sees = bool(made.facts.get("supports_vision")) and not made["disable_vision"]
    if "deepseek" in made.model or not (cached or sees or _gives_tools(made)):
        made.messages = as_texts(made.messages)
    else:
        made.messages = cached_parts(made.messages) if cached else in_parts(made.messages)


def _marks_cache(made: Draft) -> bool:
    return bool(made["caching_prompt"]) and made.model.rpartition("/")[2] in CACHE


def _gives_tools(made: Draft) -> bool:
    said = made["native_tool_calling"]
    return any(part in made.model for part in TOOLS) if said is None else bool(said)


def _site(made: Draft) -> None:
    """OpenRouter alone is told the site and the application, as HTTP-Referer and X-Title."""
    if made.model.startswith("openrouter/"):
        made.options["extra_headers"] = site_of(made)


def _refuses(settings: Snapshot) -> Text:
    prefix, slash, _ = settings.model.partition("/")
    if slash and prefix in LATER_PROVIDERS and not settings.custom_llm_provider:
        told = "{version} would fail: neither it nor the LiteLLM 1.72 of its image knows {prefix}"
        return Text(told, version=TITLE, prefix=f"{prefix}/")
    return NOTHING


def _remark(made: Draft) -> Text:
    refused = sampling_refused(made.settings)
    return Text("{note}.", note=refused) if refused else NOTHING


V0_41 = Version(
    name="openhands",
    title=TITLE,
    defaults=MappingProxyType(
        {
            "temperature": 0.0,
            "top_p": 1.0,
            "reasoning_effort": "high",
            "timeout": None,
            "num_retries": 4,
            "retry_min_wait": 5,
            "retry_max_wait": 30,
            "retry_multiplier": 2.0,
        }
    ),
    passes=PASSED_BY_BOTH | {"custom_llm_provider", "modify_params"},
    rules=(
        place,
        _provider,
        _sampling,
        _limit,
        _effort,
        azure_limit,
        _messages,
        _site,
    ),
    tools_tokens=(3300, 4900),
    gives_tools=_gives_tools,
    marks_cache=_marks_cache,
    condenses_at_events=100,
    refuses=_refuses,
    remark=_remark,
)
