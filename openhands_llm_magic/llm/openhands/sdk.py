"""The current OpenHands, as `openhands/sdk/llm/` of openhands-sdk 1.58 has it."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config.export import FURTHER_IN_PROFILES
from openhands_llm_magic.config.lint.model import (
    ANY_WINDOW,
    SMALLEST_WINDOW_TOKENS,
    too_small_window_tokens,
)
from openhands_llm_magic.config.openhands_file import NOTHING
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.litellm.preview import parameters_of
from openhands_llm_magic.llm.openhands.version import (
    PASSED_BY_BOTH,
    Version,
    as_texts,
    azure_limit,
    cached_parts,
    in_parts,
    parts_of,
    place,
    site_of,
)

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.openhands.version import Draft

TITLE = "OpenHands SDK 1.58"

THINKING = ("claude-sonnet-4-5", "claude-sonnet-4-6", "claude-haiku-4-5")
"""Parts of the names of models that are given a budget to think with."""

CACHE = (
    "claude-3-7-sonnet", "claude-sonnet-3-7-latest", "claude-3-5-sonnet", "claude-3-5-haiku",
    "claude-3-haiku-20240307", "claude-3-opus-20240229", "claude-sonnet-4", "claude-opus-4",
    "claude-haiku-4-5", "claude-haiku-5-5", "claude-opus-5", "claude-sonnet-5", "claude-fable-5",
)  # fmt: skip

TEXTS = ("deepseek-v3.2", "glm", "groq/kimi-k2-instruct", "openrouter/minimax")
"""Parts of the names of models that get a text in place of a list of parts."""

RESPONSES = ("gpt-5", "gpt-6", "codex-mini-latest")
"""Parts of the names of models that are asked on the Responses API, where LiteLLM does not say."""

FREE_LIMIT_TOKENS = 16_384
"""The most that an answer may have at a server whose address is set, unless somebody says more."""


def _openhands(made: Draft) -> None:
    """A model openhands/NAME is asked of OpenHands' own LiteLLM Proxy."""
    own = PROVIDERS["openhands"]
    if made.model.startswith(own.prefix):
        made.model = "litellm_proxy/" + made.model.removeprefix(own.prefix)
        made.options.setdefault("base_url", own.base_url_form.rstrip("/"))
    plain = str(made.options.get("base_url")).rstrip("/") == "https://api.openai.com"
    if made.model.startswith("openai/") and plain:
        del made.options["base_url"]


def _aws(made: Draft) -> None:
    """The keys and region of AWS are passed on, and then no api_key."""
    if made.model.startswith("bedrock/"):
        made.options.pop("api_key", None)
    for name in ("aws_access_key_id", "aws_secret_access_key", "aws_region_name"):
        made.set(**{name: made[name] or None})


def _sampling(made: Draft) -> None:
    """A temperature, top_p and top_k are sent when somebody set them, but not to models that take a
    reasoning_effort: of those Gemini's alone get them.
    """
    sampling = {name: made[name] for name in ("temperature", "top_p", "top_k")}
    told = made.facts.get("supports_sampling_params")
    kept = told is not False and (told or not _takes_effort(made) or made.has("gemini"))
    if kept and not _thinks(made):
        made.set(**sampling)


def _effort(made: Draft) -> None:
    """A reasoning_effort is sent to all models that take it, "high" when nobody set it; LiteLLM
    makes of it a budget to think with for Claude and Gemini, and thinking for DeepSeek and Ollama.
    """
    if _takes_effort(made):
        made.set(reasoning_effort=made["reasoning_effort"])


def _limit(made: Draft) -> None:
    """A limit of the answer is sent when somebody set one or the model is known: the most that it
    writes, which for Claude Sonnet 3.7 and 4 is 64,000, and 16,384 at most where base_url is set.
    """
    made.set(max_completion_tokens=made["max_output_tokens"] or _known_limit(made))


def _known_limit(made: Draft) -> int | None:
    if made.has("claude-3-7-sonnet", "claude-sonnet-4", "kimi-k2-thinking"):
        return 64_000
    facts, limit = made.facts, None
    ours = made["base_url"] and not made["model"].startswith("litellm_proxy/")
    if isinstance(facts.get("max_output_tokens"), int):
        limit = facts["max_output_tokens"]
        window = made["max_input_tokens"] or facts.get("max_input_tokens")
        window = window or facts.get("max_tokens")
        limit = limit // 2 if window and limit >= window else limit
        limit = min(limit, FREE_LIMIT_TOKENS) if ours else limit
    elif isinstance(facts.get("max_tokens"), int):
        limit = min(facts["max_tokens"], FREE_LIMIT_TOKENS)
    return min(limit or 100_000, 100_000) if "o3" in made.model else limit


def _thinking(made: Draft) -> None:
    """Claude Sonnet 4.5 and 4.6 and Haiku 4.5 are given a budget to think with: one token below the
    limit of the answer, and at most 200,000.
    """
    limit = made.options.get("max_completion_tokens")
    if _thinks(made) and limit:
        budget = min(200_000, limit - 1)
        made.options["thinking"] = {"type": "enabled", "budget_tokens": budget}
        beta = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
        made.options["extra_headers"] = beta | made.options.get("extra_headers", {})
        made.options["max_tokens"] = limit


def _further(made: Draft) -> None:
    """A profile's extra_headers and litellm_extra_body are passed on, which are extra_headers and
    extra_body in completion_kwargs; the headers HTTP-Referer and X-Title go to every provider.
    """
    given = made.settings.completion_kwargs or {}
    headers = site_of(made) | dict(given.get("extra_headers") or {})
    made.set(extra_headers=headers or None, extra_body=given.get("extra_body") or None)


def _retention(made: Draft) -> None:
    """A prompt_cache_retention of "24h" goes to GPT-5 and GPT-4.1, to no mini and not to Azure."""
    listed = made.has("gpt-5", "gpt-4.1") and not made.has("mini")
    if (listed or made.has("gpt-5.1-codex-mini")) and not made.has("azure/"):
        made.options["prompt_cache_retention"] = "24h"


def _messages(made: Draft) -> None:
    """Every message is a list of parts, but for a few models such as GLM and MiniMax."""
    cached = _marks_cache(made)
    sees = bool(made.facts.get("supports_vision")) and not made["disable_vision"]
    if made.has(*TEXTS) or not (cached or sees or _gives_tools(made)):
        made.messages = as_texts(made.messages)
    else:
        made.messages = cached_parts(made.messages) if cached else in_parts(made.messages)


def _marks_cache(made: Draft) -> bool:
    said = made.facts.get("supports_prompt_caching")
    is_asked = bool(made["caching_prompt"]) and said is not False
    return is_asked and (made.has(*CACHE) or (bool(said) and made.has("claude")))


def _gives_tools(made: Draft) -> bool:
    return made["native_tool_calling"] is not False


def _responses(made: Draft) -> None:
    """Models that LiteLLM lists with the Responses API, and GPT-5, are asked on that."""
    endpoints = made.facts.get("supported_endpoints")
    listed = "/v1/responses" in endpoints if isinstance(endpoints, list) else None
    if not (made.has(*RESPONSES) if listed is None else listed):
        return
    made.how = "responses"
    options = made.options
    made.set(
        max_output_tokens=options.pop("max_completion_tokens", options.pop("max_tokens", None))
    )
    effort, reasons = options.pop("reasoning_effort", None), made.facts.get("supports_reasoning")
    for name in ("temperature", "top_p", "top_k", "thinking"):
        options.pop(name, None)
    if effort and reasons is not None:  # else LiteLLM drops it
        options["reasoning"] = {"effort": effort}
    if not reasons:
        made.set(temperature=made["temperature"])
    options |= {"tool_choice": "auto", "store": False}
    if _takes_effort(made):
        options["include"] = ["reasoning.encrypted_content"]
    system = [each for each in made.messages if each["role"] == "system"]
    if system:
        options["instructions"] = "\n\n---\n\n".join(
            each["content"].strip() for each in as_texts(system)
        )
    made.messages = [_item(each) for each in made.messages if each["role"] != "system"]


def _item(message: Message) -> Message:
    """Return a message as an item of the Responses API."""
    kind = "output_text" if message["role"] == "assistant" else "input_text"
    content = [
        {"type": kind, "text": part["text"]}
        if part["type"] == "text"
        else {"type": "input_image", "image_url": part.get("image_url", {}).get("url")}
        for part in parts_of(message["content"])
    ]
    return {"type": "message", "role": message["role"], "content": content}


def _named_twice(made: Draft) -> None:
    """A provider that begins the name that its server knows, too, is lost: the SDK takes the prefix
    off and hands LiteLLM the provider beside the rest, of which LiteLLM takes it off again.
    """
    if name := twice_named(made.model):
        made.model = name


def twice_named(model: str) -> str:
    """Return a model without the first of two equal prefixes, or "" where it has not two.

    OpenRouter has models of its own, as openrouter/openrouter/auto, which LiteLLM knows.
    """
    prefix, _, rest = model.partition("/")
    is_twice = prefix and prefix != "openrouter" and rest.startswith(f"{prefix}/")
    return rest if is_twice else ""


def _takes_effort(made: Draft) -> bool:
    """Return whether the SDK sends a model a reasoning_effort: by LiteLLM's list, or its code."""
    told = made.facts.get("supports_reasoning")
    return told if isinstance(told, bool) else "reasoning_effort" in parameters_of(made.model)


def _thinks(made: Draft) -> bool:
    """Return whether the SDK gives a model a budget to think with."""
    facts = made.facts
    adaptive, reasons = facts.get("supports_adaptive_thinking"), facts.get("supports_reasoning")
    return adaptive is not True and reasons is not False and made.has(*THINKING)


def _refuses(settings: Snapshot) -> Text:
    window_tokens = too_small_window_tokens(settings, os.environ)
    if window_tokens is not None:
        told = (
            "{version} would refuse the model: its context of {tokens} tokens is below {least},"
            " unless {variable} is set"
        )
        return Text(
            told,
            version=TITLE,
            tokens=f"{window_tokens:,}",
            least=f"{SMALLEST_WINDOW_TOKENS:,}",
            variable=f"{ANY_WINDOW}=1",
        )
    return NOTHING


SDK = Version(
    name="openhands-sdk",
    title=TITLE,
    defaults=MappingProxyType(
        {
            "temperature": None,
            "top_p": None,
            "reasoning_effort": "high",
            "timeout": 300,
            "num_retries": 5,
            "retry_min_wait": 8,
            "retry_max_wait": 64,
            "retry_multiplier": 8.0,
        }
    ),
    passes=PASSED_BY_BOTH
    | {"aws_access_key_id", "aws_secret_access_key", "aws_region_name"}
    | FURTHER_IN_PROFILES.keys(),
    rules=(
        place,
        _openhands,
        _aws,
        _further,
        _sampling,
        _limit,
        _effort,
        azure_limit,
        _thinking,
        _retention,
        _messages,
        _responses,
        _named_twice,
    ),
    tools_tokens=(7100, 9000),
    gives_tools=_gives_tools,
    marks_cache=_marks_cache,
    condenses_at_events=80,
    refuses=_refuses,
)
