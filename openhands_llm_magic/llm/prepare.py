"""From settings and a prompt to what LiteLLM is asked, as OpenHands asks it; nothing is sent.

Each setting goes under the keyword that its declaration names; what depends on the model is a
rule of `RULES` (OpenHands has them in `openhands/llm/llm.py`).
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import trust
from openhands_llm_magic.config.providers import PROVIDERS, addresses_in, provider_of, server_of
from openhands_llm_magic.config.secret import (
    NeverPickled,
    Secrecy,
    Secret,
    can_be_secret,
    logins_in,
    secrecy,
    throughout,
)
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError, Text, UsageError
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.conversations import tokens_of, whole
from openhands_llm_magic.llm.events import Cost
from openhands_llm_magic.llm.explain import EMPTY_PROMPT
from openhands_llm_magic.llm.litellm.cost import usd_at_most
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.tools.declared import MOST_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import RequestError
    from openhands_llm_magic.llm.answers.extract import Schema
    from openhands_llm_magic.llm.conversations import Content, Message
    from openhands_llm_magic.llm.embedding.vectors import Vectors
    from openhands_llm_magic.llm.events import Usage
    from openhands_llm_magic.llm.tools.calls import Asked
    from openhands_llm_magic.llm.tools.declared import Tool


@dataclass(frozen=True, slots=True)
class Request(NeverPickled):
    """What is sent to a model.

    Attributes:
        model: The model with its provider prefix, as LiteLLM takes it.
        messages: The conversation in OpenAI's form.
        options: Further keyword arguments of `litellm.completion`.
        modify_params: Whether LiteLLM may mend messages that a provider would refuse; it reads
            this from a global of its own.
        price_usd_per_token: What a token of the prompt and one of the answer cost, or None for
            LiteLLM's own price list.
        has_tools: Whether the model may ask for functions of the person's.
    """

    model: str
    messages: Sequence[Message]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    modify_params: bool = True
    price_usd_per_token: tuple[float, float] | None = None
    has_tools: bool = False

    @property
    def tokens(self) -> float:
        """About the tokens of the prompt, with those that the answer may take at most, if set."""
        prompt = sum(map(conversations.tokens_of_message, self.messages))
        tools = self.options.get("tools")
        prompt += tokens_of(json.dumps(tools, default=str)) if tools else 0
        return prompt + (self.most_answer_tokens or 0)

    @property
    def most_answer_tokens(self) -> int | None:
        """The tokens that the answer may have, or None where that is not set."""
        limits = (self.options.get(name) for name in ("max_completion_tokens", "max_tokens"))
        return next((limit for limit in limits if isinstance(limit, int)), None)

    def within(self, limit_s: float) -> Request:
        """Return the request with a timeout of at most some seconds, or as it is for infinity."""
        return replace(self, options=timed(self.options, limit_s))


def timed(options: Mapping[str, Any], limit_s: float) -> Mapping[str, Any]:
    """Return options with a timeout of at most some seconds; infinity changes nothing."""
    if math.isinf(limit_s):
        return options
    timeout_s = min(limit_s, options.get("timeout") or limit_s)
    return {**options, "timeout": max(timeout_s, 0.001)}  # 0 would be none


@dataclass(frozen=True, slots=True)
class EmbeddingRequest(NeverPickled):
    """Texts to turn into vectors.

    Attributes:
        model: The model with its provider prefix, as LiteLLM takes it.
        texts: One or more.
        options: Further keyword arguments of `litellm.embedding`.
    """

    model: str
    texts: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def tokens(self) -> float:
        """About the tokens of the texts."""
        return sum(map(tokens_of, self.texts))

    def within(self, limit_s: float) -> EmbeddingRequest:
        """Return the request with a timeout of at most some seconds, or as it is for infinity."""
        return replace(self, options=timed(self.options, limit_s))


@dataclass(frozen=True, slots=True)
class Response:
    """What came of one HTTP request beside the text, which came as events.

    Attributes:
        error: Why there is no whole answer, or None when there is one.
        finish_reason: Why the model stopped, in OpenAI's words.
        usage: Tokens as the provider counted them, or None where it counted none.
        cost: What it cost.
        model: The model that answered, as the provider names it, or None.
        raw: What else the provider told: the answer's id, the model's exact name, its own count.
        vectors: Those of the texts, where vectors were asked for.
        calls: The functions that the answer asks for, of those that were offered.
        told_of_calls: What the provider wants back with all of them, in its own terms.
    """

    error: RequestError | None = None
    finish_reason: str = "stop"
    usage: Usage | None = None
    cost: Cost = field(default_factory=Cost)
    model: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    vectors: Vectors | None = None
    calls: tuple[Asked, ...] = ()
    told_of_calls: Mapping[str, Any] = field(default_factory=dict, repr=False)


NO_KEY = Secret("")

SAMPLING = ("temperature", "top_p", "reasoning_effort")
"""Settings whose defaults are OpenHands', and not the providers'."""

SAFETY_MODELS = ("gemini", "mistral")
"""Parts of the names of models that OpenHands sends safety_settings to."""

TAKEN_KEYWORDS = frozenset({
    "model", "messages", "api_key", "base_url", "api_version", "custom_llm_provider", "timeout",
    "drop_params", "seed", "num_retries", "max_retries", "retry_policy", "stream",
    "stream_options", "fallbacks", "context_window_fallback_dict", "model_list", "n",
})  # fmt: skip
"""Keywords that completion_kwargs cannot hold: they are settings, or how the answer is read."""

REGIONAL = frozenset({"bedrock", "vertex_ai"})
"""Providers with a server for each region, so that the catalogue's address is one of many."""


@dataclass(frozen=True, slots=True)
class Prepared(NeverPickled):
    """A prompt that is ready to be sent; nothing was sent yet.

    Attributes:
        settings: What it is made from.
        request: What is sent.
        schema: What the answer is held to, or None.
        tools: The functions that the model may ask for.
        max_rounds: How often it may do so.
        secrets: All that must not show in an error: a server may echo any key, and often does.
    """

    settings: Snapshot
    request: Request
    schema: Schema | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    tools: tuple[Tool, ...] = ()
    max_rounds: int = MOST_ROUNDS

    @property
    def answer_secrets(self) -> tuple[str, ...]:
        """The secrets that must not show in an answer either, where a common word is no secret."""
        return tuple(filter(can_be_secret, self.secrets))

    @property
    def host(self) -> str:
        """The server's host name, or "" where only LiteLLM knows it."""
        settings, options = self.settings, self.request.options
        asked_at = options.get("base_url") or options.get("api_base")
        return host_of(settings.model, asked_at or settings.base_url, settings.custom_llm_provider)

    @property
    def most_usd(self) -> float | None:
        """What one attempt costs at most in US dollars, as `usd_at_most` says; None if unknown."""
        return usd_at_most(self.request, self.settings.model)

    def with_messages(self, messages: Sequence[Message]) -> Request:
        """Return the request that asks other messages with all else as it is."""
        return replace(self.request, messages=_fit(messages, self.settings))


def prepare(  # noqa: PLR0913 - all but the first two are named
    prompt: str | Sequence[Message],
    settings: Snapshot,
    *,
    system: str | None = None,
    schema: Schema | None = None,
    tools: Sequence[Tool] = (),
    max_rounds: int = MOST_ROUNDS,
) -> Prepared:
    """Make a prompt ready to be sent, and send nothing.

    Args:
        prompt: What to ask: a text, or messages in OpenAI's form.
        settings: What to ask with.
        system: Instructions that come before a text.
        schema: What the answer is held to.
        tools: Functions that the model may ask for.
        max_rounds: How often it may do so.

    Raises:
        SettingError: completion_kwargs holds what it cannot, or a project's config file sets what
            it must not decide.
        UsageError: The prompt is empty.
    """
    trust.require_harmless(settings)
    messages = conversation(prompt, system=system) if isinstance(prompt, str) else list(prompt)
    response_format = None
    if schema is not None and abilities_of(settings.model).takes_schema:
        response_format = schema.response_format
    elif schema is not None:
        messages = schema.told(messages)
    messages = _fit(throughout(messages, whole), settings)
    request = request_from(settings, messages, response_format)
    if tools:
        declared = {"tools": [each.declaration for each in tools]}
        request = replace(request, options={**request.options, **declared}, has_tools=True)
    of_tools = (secret for each in tools for secret in each.secrets)
    secrets = (*secrets_of(settings, request.options), *of_tools)
    return Prepared(settings, request, schema, secrets, tuple(tools), max_rounds)


def _fit(messages: Sequence[Message], settings: Snapshot) -> list[Message]:
    """Return messages as the model takes them."""
    wanted = conversations.thoughts_as_wanted(messages, settings.model)
    return conversations.marked(wanted, settings)


def conversation(
    prompt: Content, *, system: str | None = None, before: Sequence[Message] = ()
) -> list[Message]:
    """Make the messages of a prompt.

    Args:
        prompt: Its content: a text, or parts in OpenAI's form.
        system: Instructions that come before all else.
        before: What was said before.

    Raises:
        UsageError: The prompt is empty.
    """
    if isinstance(prompt, str) and not prompt.strip():
        raise UsageError(EMPTY_PROMPT)
    first = [{"role": "system", "content": system}] if system else []
    return [*first, *before, {"role": "user", "content": prompt}]


def host_of(model: str, base_url: str | None, custom_llm_provider: str | None = None) -> str:
    """Name the host of the server that a model is asked at, or return "" where it is not known.

    Args:
        model: The model as the settings name it.
        base_url: The address that is set, or None.
        custom_llm_provider: The provider that is set, or None for that of the model's prefix.
    """
    provider = provider_of(model, base_url, custom_llm_provider)
    server = server_of(base_url or _own_address(provider))
    return server.host if server else ""


def _own_address(provider: Provider | None) -> str:
    """Return the address at which LiteLLM finds a provider by itself, or "" where not known."""
    if provider is None or provider.name in REGIONAL or "base_url" in provider.asks_for:
        return ""
    set_by_variable = addresses_in(os.environ, provider.prefix)
    # Of several it depends on the provider which one LiteLLM takes.
    return (set_by_variable or [provider.base_url_form])[0] * (len(set_by_variable) < 2)  # noqa: PLR2004 - see above


def account_of(options: Mapping[str, Any]) -> str:
    """Return what tells accounts apart: the key, or all that a provider could take for it."""
    return options.get("api_key") or "\n".join(_environment_keys())


def secrets_of(settings: Snapshot, options: Mapping[str, Any] | None = None) -> list[str]:
    """Return all that must not show in an error: what a request is sent with, and other keys.

    A common word that is part of the model's name or of the address, which every error tells, is
    no secret: local servers take keys like "ollama".

    Args:
        settings: What it is made from.
        options: Those of the request, which may hold a key that the settings do not.
    """
    keys = [*settings.secrets(), *_environment_keys(), (options or {}).get("api_key", "")]
    addresses = f"{settings.base_url} {settings.embedding_base_url}"
    told = f"{settings.model} {settings.embedding_model} {addresses}"
    hidden = (key for key in keys if can_be_secret(key) or key.strip() not in told)
    return [form for key in hidden for form in (key, key.strip())] + logins_in(addresses)


def _environment_keys() -> list[str]:
    """Return the keys that providers' own variables hold."""
    return [value for name, value in os.environ.items() if secrecy(name) >= Secrecy.LIKELY]


@dataclass(slots=True)
class Draft:
    """A request in the making, which the rules below may still change.

    Attributes:
        settings: The settings that it is made from.
        model: LiteLLM's name of the model.
        options: The other keyword arguments of LiteLLM's function.
    """

    settings: Snapshot
    model: str
    options: dict[str, Any]

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
        # A blank or a line end around a key was copied with it, and no header takes one.
        setting.sent_as: value.get_secret_value().strip() if isinstance(value, Secret) else value
        for setting in SETTINGS.values()
        # An empty text is what a person writes for "none"; OpenHands passes it on as such.
        if setting.sent_as and (value := getattr(settings, setting.name)) not in (None, "", NO_KEY)
    }
    draft = Draft(settings, options.pop("model"), options)
    for rule in RULES:
        rule(draft)
    if response_format is not None:
        draft.options["response_format"] = response_format
    of_input, of_output = settings.input_cost_per_token, settings.output_cost_per_token
    price = None if of_input is None or of_output is None else (of_input, of_output)
    return Request(
        draft.model,
        messages,
        draft.options,
        modify_params=settings.modify_params,
        price_usd_per_token=price,
    )


def _openhands_models(draft: Draft) -> None:
    """Ask OpenHands' LiteLLM Proxy for a model whose name begins with `openhands/`."""
    own = PROVIDERS["openhands"]
    if draft.model.startswith(own.prefix):
        draft.model = "litellm_proxy/" + draft.model.removeprefix(own.prefix)
        draft.options.setdefault("base_url", own.base_url_form)
        draft.leave_out("custom_llm_provider")


def _practice_models(draft: Draft) -> None:
    """Ask the practice provider, on this machine, for a model that begins with `practice/`."""
    prefix = PROVIDERS["practice"].prefix
    if draft.model.startswith(prefix):
        from openhands_llm_magic.llm.practice import shared as practice  # noqa: PLC0415 - its server is rarely needed

        server = practice.running()
        draft.model = "openai/" + draft.model.removeprefix(prefix)
        draft.options |= {"base_url": server.base_url, "api_key": server.key}
        draft.leave_out("custom_llm_provider")


def _sampling(draft: Draft) -> None:
    """Leave out what nobody has set: the provider's own default is right for its model.

    OpenHands 0.41 sends temperature 0.0 and top_p 1.0 then, and an effort to its four oldest
    reasoning models. Many a newer model refuses one of them, or both together.
    """
    for name in SAMPLING:
        if draft.settings.origin(name).kind == "default":
            draft.leave_out(name)


def _azure_limit(draft: Draft) -> None:
    """Send Azure the limit of an answer's tokens under its older name, `max_tokens`."""
    if draft.model.startswith("azure") and "max_completion_tokens" in draft.options:
        draft.options["max_tokens"] = draft.options.pop("max_completion_tokens")


def _safety(draft: Draft) -> None:
    """Leave safety_settings out for models that do not know them."""
    if not any(part in draft.model.lower() for part in SAFETY_MODELS):
        draft.leave_out("safety_settings")


def _aws_keys(draft: Draft) -> None:
    """Leave the keys of AWS out for all models but those of AWS."""
    if draft.provider != "bedrock" and not draft.model.startswith("sagemaker"):
        draft.leave_out("aws_access_key_id", "aws_secret_access_key", "aws_region_name")


def _vertex_place(draft: Draft) -> None:
    """Leave project and location out for all models but those of Vertex AI."""
    if draft.provider != "vertex_ai":
        draft.leave_out("vertex_project", "vertex_location")


def _completion_kwargs(draft: Draft) -> None:
    """Put completion_kwargs above all options that the rules before have made."""
    given = draft.settings.completion_kwargs or {}  # a copy, which LiteLLM may change
    taken = sorted(TAKEN_KEYWORDS.intersection(given))
    if taken:
        told = (
            "completion_kwargs ({origin}) cannot hold {names}: take it out, and use the setting of"
            " that name if there is one"
        )
        origin = draft.settings.origin("completion_kwargs").text
        raise SettingError(Text(told, origin=origin, names=", ".join(taken)))
    draft.options |= given


def _openrouter_site(draft: Draft) -> None:
    """Tell OpenRouter which application asks, in the headers that it reads."""
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
    _sampling,
    _azure_limit,
    _safety,
    _aws_keys,
    _vertex_place,
    _completion_kwargs,
    _openrouter_site,
)
"""What depends on the model, in the order in which it is applied."""
