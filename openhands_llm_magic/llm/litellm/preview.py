"""A request as it would be sent, and what it would cost; nothing is sent."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.secret import MASK, Redactor, throughout
from openhands_llm_magic.llm.conversations import tokens_of
from openhands_llm_magic.llm.litellm.clients import ours
from openhands_llm_magic.llm.litellm.cost import ANSWER, PROMPT, listed_usd
from openhands_llm_magic.llm.litellm.loading import load, quiet
from openhands_llm_magic.llm.litellm.models import listed
from openhands_llm_magic.llm.litellm.send import asking_once, missing_key_variables, resolved
from openhands_llm_magic.llm.litellm.tool_calls import messages_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.llm.prepare import Prepared, Request

PARTLY_MASKED = "****"
"""What is in a header of which LiteLLM shows the ends."""

_QUERY = re.compile(r"([?&](?!api-version=|alt=)[^=&?]+=)[^&]+")
"""What an address may hold of secrets."""

LONGEST_DATA = 200
"""Characters of a file's data that are shown."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The request that a prompt would make, and what it would cost.

    Attributes:
        address: Where to, or "" if only LiteLLM knows.
        headers: With what headers; keys are masked.
        body: The JSON, without what tells the server to stream; for a provider that is not in the
            catalogue, what LiteLLM makes it from.
        prompt_tokens: Tokens of the prompt, as LiteLLM counts them before; the provider's count may
            differ.
        prompt_usd: What they cost if none are in a cache, or None when the price is unknown.
        answer_tokens: The most that the answer may have, or None without such a limit.
        answer_usd: What so many cost, or without a limit 1,000; None when the price is unknown.
        missing_keys: The variables of which one would have to hold a key, where there is none.
    """

    address: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    prompt_usd: float | None = None
    answer_tokens: int | None = None
    answer_usd: float | None = None
    missing_keys: tuple[str, ...] = ()


How = Literal["streamed", "chat", "responses"]
"""How an answer is asked for: piece by piece, as a whole, or on OpenAI's Responses API."""


def parameters_of(model: str) -> frozenset[str]:
    """Name those of OpenAI's parameters that LiteLLM takes for a model, proxied or not."""
    litellm = load()
    name = model.lower().removeprefix("litellm_proxy/").removeprefix("openhands/")
    with quiet(litellm):
        return frozenset(litellm.get_supported_openai_params(model=name) or ())


def preview(prepared: Prepared, how: How = "streamed") -> Preview:
    """Return what a prompt would send, and to whom; nothing is sent.

    Args:
        prepared: The prompt.
        how: How it is asked; on the Responses API its messages are the items of `input`.

    Raises:
        ModelNotFoundError: LiteLLM knows no provider for the model.
    """
    litellm = load()
    request, settings = prepared.request, prepared.settings
    options = request.options
    missing = () if "api_key" in options else missing_key_variables(request.model)
    # Without any key LiteLLM would make no request.
    keyed = replace(request, options={**options, "api_key": MASK}) if missing else request
    redact = Redactor(prepared.secrets).redact
    with ours.hiding(redact):
        if how == "responses":
            shown: Mapping[str, Any] | None = _on_responses(litellm, keyed)
        else:
            shown = _captured(litellm, keyed, streams=how == "streamed")
    if shown is None:
        body = {"model": request.model, "messages": [*request.messages], **options}
        shown = {"raw_request_body": body}
    body, headers = _as_sent(shown)
    redact_prompt = Redactor(prepared.answer_secrets).redact
    tokens = _tokens(litellm, request)
    facts = listed(settings.model) or {}
    by_list = (listed_usd(facts, PROMPT, tokens), listed_usd(facts, ANSWER, tokens))
    prompt_price, answer_price = request.price_usd_per_token or by_list
    limit = settings.max_output_tokens
    return Preview(
        _QUERY.sub(rf"\1{MASK}", redact(_address(shown, request, how))),
        throughout(body, lambda text: _shortened(redact_prompt(text))),
        {
            name: MASK if PARTLY_MASKED in str(it) else redact(str(it))
            for name, it in headers.items()
        },
        tokens,
        None if prompt_price is None else tokens * prompt_price,
        limit,
        None if answer_price is None else (limit or 1000) * answer_price,
        missing,
    )


OF_THE_CALL = frozenset({
    "api_key", "api_version", "base_url", "custom_llm_provider", "drop_params", "extra_headers",
    "seed", "timeout",
})  # fmt: skip
"""Keyword arguments of LiteLLM's function that are no part of a body of the Responses API."""


def _on_responses(litellm: Any, request: Request) -> Mapping[str, Any]:
    """Return the request on OpenAI's Responses API, which LiteLLM makes only beside `mcp`."""
    options = request.options
    with quiet(litellm):
        provider, *_ = resolved(litellm, request.model, options)
    known = provider_of(request.model, options.get("base_url"), options.get("custom_llm_provider"))
    base = options.get("base_url") or (known.base_url_form if known else "")
    if provider == "azure":
        base = f"{base.rstrip('/')}/openai"
    version = f"?api-version={options['api_version']}" if provider == "azure" else ""
    given = {name: value for name, value in options.items() if name not in OF_THE_CALL}
    return {
        "raw_request_api_base": f"{base.rstrip('/')}/responses{version}",
        "raw_request_body": {
            "model": request.model.removeprefix(f"{provider}/"),
            "input": [*request.messages],
            **given,
        },
        "raw_request_headers": options.get("extra_headers", {}),
    }


def _captured(litellm: Any, request: Request, *, streams: bool) -> Mapping[str, Any] | None:
    """Let LiteLLM make its request, and stop it before it is sent; None where that is not known."""
    with quiet(litellm):
        provider, *_ = resolved(litellm, request.model, request.options)
    own = (request.options.get("base_url"), request.options.get("custom_llm_provider"))
    if provider_of(request.model, *own) is None:
        return None
    log = _captor(litellm, request, streams=streams)
    if log is None:
        return None
    with (
        quiet(litellm, modify_params=request.modify_params),
        contextlib.ExitStack() as cleanup,
        contextlib.suppress(Exception),  # its own, which stops the request
    ):
        litellm.completion(
            model=request.model,
            messages=messages_for(provider, request.messages),
            **(STREAMED if streams else {}),
            litellm_logging_obj=log,
            **asking_once(litellm, provider, request.options, cleanup),
        )
    shown: Mapping[str, Any] | None = log.model_call_details.get("raw_request_typed_dict")
    return shown if shown and not shown.get("error") else None


STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def _captor(litellm: Any, request: Request, *, streams: bool) -> Any | None:
    """Make the log that stops a request before it is sent; None where LiteLLM has no such log."""
    try:
        log = litellm.litellm_core_utils.litellm_logging.Logging(
            model=request.model,
            messages=[dict(message) for message in request.messages],
            stream=streams,
            call_type="completion",
            litellm_call_id="preview",
            function_id="preview",
            start_time=dt.datetime.now(dt.UTC),
            log_raw_request_response=True,
            raw_request_only=True,
        )
    except (AttributeError, TypeError):  # it is gone, or takes other arguments
        return None
    return log if getattr(log, "raw_request_only", False) else None


def _address(shown: Mapping[str, Any], request: Request, how: How) -> str:
    """Return where a request goes, with the path that OpenAI's client adds to its base."""
    address = str(shown.get("raw_request_api_base") or "")
    base = address.rstrip("/")
    is_whole = base != str(request.options.get("base_url") or base).rstrip("/")
    if not address or is_whole or how == "responses" or not _is_of_openai(shown):
        return address
    if not request.model.startswith("azure/"):
        return f"{base}/chat/completions"
    deployment, version = shown["raw_request_body"]["model"], request.options.get("api_version")
    return f"{base}/openai/deployments/{deployment}/chat/completions?api-version={version}"


def _is_of_openai(shown: Mapping[str, Any]) -> bool:
    """Tell whether OpenAI's client makes a request: its headers lack but the content type."""
    headers = shown.get("raw_request_headers") or {}
    return "content-type" not in map(str.lower, headers)


def _as_sent(shown: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the body and the headers, with what OpenAI's client adds to each from the former."""
    body, headers = dict(shown["raw_request_body"]), dict(shown.get("raw_request_headers") or {})
    if _is_of_openai(shown):
        headers |= body.pop("extra_headers", None) or {}
        body |= body.pop("extra_body", None) or {}
    if not body.get("extra_body", True):
        del body["extra_body"]
    return body, headers


def _shortened(text: str) -> str:
    """Cut the data of a file, which nobody reads."""
    if text.startswith("data:") and len(text) > LONGEST_DATA:
        return f"{text.partition(',')[0]},… ({len(text):,} characters)"
    return text


def _tokens(litellm: Any, request: Request) -> int:
    """Count the tokens of the prompt, or estimate them where LiteLLM cannot count."""
    messages = [_in_chat_form(each) for each in request.messages]
    with quiet(litellm):
        try:
            tools = {"tools": request.options["tools"]} if request.has_tools else {}
            return int(litellm.token_counter(model=request.model, messages=messages, **tools))
        except Exception:  # noqa: BLE001 - whatever it raises for an image or a tokenizer
            return round(sum(tokens_of(each["content"]) for each in messages))


def _in_chat_form(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with its texts as LiteLLM counts them, also one of the Responses API."""
    content = message["content"]
    if not isinstance(content, list):
        return dict(message)
    texts = ("input_text", "output_text")
    parts = [{**part, "type": "text"} if part["type"] in texts else part for part in content]
    return {**message, "content": parts}
