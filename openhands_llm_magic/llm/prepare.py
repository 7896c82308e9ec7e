"""From settings to what LiteLLM is asked, as OpenHands asks it (`openhands/llm/llm.py`).

Each setting goes under the keyword that its declaration names; what depends on the model is a
rule of `RULES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.layers import DEFAULT
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError
from openhands_llm_magic.llm.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Message

NO_KEY = Secret("")

REASONING_MODELS = frozenset({
    "o1", "o1-2024-12-17", "o3", "o3-2025-04-16", "o3-mini", "o3-mini-2025-01-31", "o4-mini",
    "o4-mini-2025-04-16",
})  # fmt: skip
"""Models that OpenHands 0.41 sends reasoning_effort to, and never a temperature."""

LATER_REASONING_MODELS = ("gpt-5*", "gemini-2.5-flash", "gemini-2.5-pro", "deepseek-r1-0528*")
"""Models that OpenHands sends it to since 0.62, where it has no default: here only when set."""

ONE_SAMPLING_SETTING = ("claude-opus-4-1*", "claude-sonnet-4-5*", "claude-haiku-4-5*")
"""Models of Anthropic that refuse a request with both temperature and top_p."""

SAFETY_MODELS = ("gemini", "mistral")
"""Parts of the names of models that OpenHands sends safety_settings to."""

TAKEN_KEYWORDS = frozenset({
    "model", "messages", "api_key", "base_url", "api_version", "custom_llm_provider", "timeout",
    "drop_params", "seed", "num_retries", "max_retries", "retry_policy", "stream",
    "stream_options", "fallbacks", "context_window_fallback_dict", "model_list", "n",
})  # fmt: skip
"""Keywords that completion_kwargs cannot hold: they are settings, or how the answer is read."""


@dataclass(slots=True)
class Draft:
    """A request in the making.

    Attributes:
        settings: What it is made from.
        model: The model as LiteLLM takes it.
        options: The other keyword arguments.
    """

    settings: Snapshot
    model: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The model's name without prefixes, as OpenHands looks it up."""
        return self.model.lower().rsplit("/", 1)[-1]

    @property
    def provider(self) -> str:
        """The provider's name in the catalogue, or ""."""
        named = self.options.get("custom_llm_provider")
        provider = provider_of(self.model, self.options.get("base_url"), named)
        return provider.name if provider else ""

    def leave_out(self, *keywords: str) -> None:
        """Drop options, if they are there."""
        for keyword in keywords:
            self.options.pop(keyword, None)


def request_from(
    settings: Snapshot,
    messages: Sequence[Message],
    response_format: Mapping[str, Any] | None = None,
) -> Request:
    """Turn settings into the request that OpenHands would make with them.

    Args:
        settings: The settings.
        messages: What is asked, in OpenAI's form.
        response_format: The schema that the answer is held to, as OpenAI takes it.

    Raises:
        SettingError: completion_kwargs holds what it cannot.
    """
    options = {
        setting.sent_as: value.get_secret_value() if isinstance(value, Secret) else value
        for setting in SETTINGS.values()
        # An empty text is what a person writes for "none"; OpenHands passes it on as such.
        if setting.sent_as and (value := getattr(settings, setting.name)) not in (None, "", NO_KEY)
    }
    draft = Draft(settings, options.pop("model"), options)
    for rule in RULES:
        rule(draft)
    if response_format is not None:
        draft.options["response_format"] = response_format
    price = (settings.input_cost_per_token, settings.output_cost_per_token)
    return Request(
        draft.model,
        messages,
        draft.options,
        modify_params=settings.modify_params,
        price_usd_per_token=None if None in price else price,
    )


def _openhands_models(draft: Draft) -> None:
    """OpenHands' own models are those of its LiteLLM Proxy."""
    own = PROVIDERS["openhands"]
    if draft.model.startswith(own.prefix):
        draft.model = "litellm_proxy/" + draft.model.removeprefix(own.prefix)
        draft.options.setdefault("base_url", own.base_url_form)


def _practice_models(draft: Draft) -> None:
    """Practice models are answered on this machine, see `llm.practice`."""
    prefix = PROVIDERS["practice"].prefix
    if draft.model.startswith(prefix):
        from openhands_llm_magic.llm.practice import server as practice  # noqa: PLC0415 - its server is rarely needed

        server = practice.running()
        draft.model = "openai/" + draft.model.removeprefix(prefix)
        draft.options |= {"base_url": server.base_url, "api_key": server.key}
        draft.leave_out("custom_llm_provider")


def _reasoning(draft: Draft) -> None:
    """Reasoning models take an effort in place of temperature and top_p; others know no effort."""
    chosen = draft.settings.origin("reasoning_effort") != DEFAULT
    later = any(fnmatchcase(draft.name, pattern) for pattern in LATER_REASONING_MODELS)
    if draft.name in REASONING_MODELS or (later and chosen and "reasoning_effort" in draft.options):
        draft.leave_out("temperature", "top_p")
    else:
        draft.leave_out("reasoning_effort")


def _one_sampling_setting(draft: Draft) -> None:
    """Where temperature and top_p exclude each other, temperature counts."""
    if any(fnmatchcase(draft.name, pattern) for pattern in ONE_SAMPLING_SETTING):
        draft.leave_out("top_p")


def _azure_limit(draft: Draft) -> None:
    """Azure has the limit of an answer under its older name."""
    if draft.model.startswith("azure") and "max_completion_tokens" in draft.options:
        draft.options["max_tokens"] = draft.options.pop("max_completion_tokens")


def _safety(draft: Draft) -> None:
    """Only the models that know safety_settings get them."""
    if not any(part in draft.model.lower() for part in SAFETY_MODELS):
        draft.leave_out("safety_settings")


def _aws_keys(draft: Draft) -> None:
    """Keys of AWS go nowhere but to AWS."""
    if draft.provider != "bedrock" and not draft.model.startswith("sagemaker"):
        draft.leave_out("aws_access_key_id", "aws_secret_access_key", "aws_region_name")


def _vertex_place(draft: Draft) -> None:
    """Project and location go to Vertex AI alone."""
    if draft.provider != "vertex_ai":
        draft.leave_out("vertex_project", "vertex_location")


def _completion_kwargs(draft: Draft) -> None:
    """completion_kwargs count more than all that comes before."""
    given = draft.settings.completion_kwargs or {}  # a copy, which LiteLLM may change
    taken = sorted(TAKEN_KEYWORDS.intersection(given))
    if taken:
        raise SettingError(
            f"completion_kwargs ({draft.settings.origin('completion_kwargs')}) cannot hold"
            f" {', '.join(taken)}: take it out, and use the setting of that name if there is one"
        )
    draft.options |= given


def _openrouter_site(draft: Draft) -> None:
    """OpenRouter is told which application asks, in headers that it names."""
    if draft.provider == "openrouter":
        site = {
            "HTTP-Referer": draft.settings.openrouter_site_url,
            "X-Title": draft.settings.openrouter_app_name,
        }
        told = {name: value for name, value in site.items() if value}
        draft.options["extra_headers"] = told | dict(draft.options.get("extra_headers", {}))


RULES_OF_PLACE: tuple[Callable[[Draft], None], ...] = (
    _openhands_models,
    _practice_models,
    _aws_keys,
    _vertex_place,
)
"""Where a request goes and what goes there with it, whatever it asks for."""

RULES: tuple[Callable[[Draft], None], ...] = (
    _openhands_models,
    _practice_models,
    _reasoning,
    _one_sampling_setting,
    _azure_limit,
    _safety,
    _aws_keys,
    _vertex_place,
    _completion_kwargs,
    _openrouter_site,
)
"""What depends on the model, in the order in which it is applied."""
