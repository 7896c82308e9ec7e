"""How each provider words the faults of the practice models: status, headers and body.

The words are those of `docs/providers.md`, where the report that each comes from is named. A
provider that has no words for a fault, as a server of one's own has no credit, uses those of the
practice provider, in its own form. `{s}` stands for the seconds to wait, `{exact_s}` for them with
what is left of a second, `{ms}` for milliseconds, `{model}` for the model, `{asked}` for the tokens
of the prompt and `{room}` for those that the model has room for.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.llm.practice.agent import CONTEXT_TOKENS
from openhands_llm_magic.llm.practice.wire import Refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

Fault = Literal[
    "rate limit", "overload", "no credit", "no tools", "too long", "overload midway", "cut"
]
"""What befalls a prompt: a refusal, one in the middle of a stream that began well, or an answer
whose connection is closed in the middle."""

WAIT_S = 3.0
"""Seconds that a rate limit asks to wait."""

AFTER = {"Retry-After": "{s}"}
AFTER_MS = {"Retry-After": "{s}", "Retry-After-Ms": "{ms}"}


def refusal(
    provider: str, fault: Fault, model: str, wait_s: float = WAIT_S, asked_tokens: int = 0
) -> Refuse:
    """Return how a provider refuses.

    Args:
        provider: The provider's name in the catalogue.
        fault: What befalls the prompt.
        model: The model that was asked for.
        wait_s: The seconds that it asks to wait, where it names any.
        asked_tokens: The tokens of the prompt.
    """
    words = WORDS.get(SAME_AS.get(provider, provider), OWN)
    found: Refuse | None = getattr(words, FIELDS[fault])
    if fault == "overload midway" and found is None:
        found = words.overload
    if found is None:
        own: Refuse = getattr(OWN, FIELDS[fault])
        found = own
    marks = {
        "{s}": f"{math.ceil(wait_s)}",
        "{exact_s}": f"{wait_s:g}",
        "{ms}": f"{math.ceil(1000 * wait_s)}",
        "{model}": model,
        "{asked}": f"{asked_tokens}",
        "{room}": f"{CONTEXT_TOKENS}",
    }
    body = None if found.body is None else json.dumps(_with(marks, json.loads(found.body))).encode()
    told = _with(marks, [found.message, found.headers, found.details])
    return replace(found, message=told[0], headers=told[1], details=tuple(told[2]), body=body)


def _with(marks: Mapping[str, str], value: Any) -> Any:
    """Return a value whose texts have what the marks in them stand for."""
    match value:
        case str():
            for mark, text in marks.items():
                value = value.replace(mark, text)
        case dict():
            return {name: _with(marks, each) for name, each in value.items()}
        case list() | tuple():
            return [_with(marks, each) for each in value]
    return value


def no_such_model(model: str) -> Refuse:
    """Return how OpenRouter refuses a model that it does not have."""
    return _error(400, message=f"{model} is not a valid model ID", code=400)


@dataclass(frozen=True, slots=True)
class Words:
    """A provider's refusals, each None where it has none of its own.

    An overload in the middle of a stream is worded as any other unless `midway` says how.
    """

    rate_limit: Refuse | None = None
    overload: Refuse | None = None
    no_credit: Refuse | None = None
    no_tools: Refuse | None = None
    too_long: Refuse | None = None
    midway: Refuse | None = None


FIELDS: Mapping[Fault, str] = {
    "rate limit": "rate_limit",
    "overload": "overload",
    "overload midway": "midway",
    "no credit": "no_credit",
    "no tools": "no_tools",
    "too long": "too_long",
}

SAME_AS = {"openai_compatible": "practice", "groq_openai": "groq", "openhands": "litellm_proxy"}
"""Providers that word a refusal as another does."""


def _error(status: int, headers: Mapping[str, str] | None = None, **error: Any) -> Refuse:
    """Make a refusal whose body is an object `error` of a form of its own."""
    return _body(status, {"error": error}, headers)


def _body(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Refuse:
    return Refuse(status, headers or {}, body=json.dumps(body).encode())


OVERLOADED = Refuse(503, message="The server is overloaded. Please try again later.")

OWN = Words(
    rate_limit=Refuse(
        429, AFTER_MS, message="Rate limit reached for requests. Please try again in {exact_s}s."
    ),
    overload=OVERLOADED,
    midway=OVERLOADED,
    no_credit=Refuse(
        429,
        code="insufficient_quota",
        message="You exceeded your current quota, please check your plan and billing details.",
    ),
    no_tools=Refuse(
        400,
        code="unsupported_parameter",
        message="The model `{model}` does not support tools.",
    ),
    too_long=Refuse(
        400,
        code="context_length_exceeded",
        message="This model's maximum context length is {room} tokens. However, your messages"
        " resulted in {asked} tokens. Please reduce the length of the messages.",
    ),
)
"""Those of the practice provider, which are OpenAI's."""

OPENAI = Words(
    rate_limit=Refuse(
        429,
        AFTER_MS,
        message="Rate limit reached for {model} in organization org-practice on requests per min"
        " (RPM): Limit 3, Used 3, Requested 1. Please try again in {exact_s}s. Visit"
        " https://platform.openai.com/account/rate-limits to learn more.",
    ),
    no_credit=Refuse(
        429,
        code="insufficient_quota",
        message="You exceeded your current quota, please check your plan and billing details. For"
        " more information on this error, read the docs:"
        " https://platform.openai.com/docs/guides/error-codes/api-errors.",
    ),
)

AZURE = Words(
    rate_limit=_error(
        429,
        AFTER_MS,
        code="429",
        message="Requests to the ChatCompletions_Create Operation under Azure OpenAI API version"
        " 2024-02-01 have exceeded call rate limit of your current OpenAI S0 pricing tier. Please"
        " retry after {s} seconds. Please go here: https://aka.ms/oai/quotaincrease if you would"
        " like to further increase the default rate limit.",
    ),
    overload=_error(
        429,
        AFTER_MS,
        code="429",
        message="The system is currently experiencing high demand and cannot process your request."
        " Your request exceeds the maximum usage size allowed during peak load. Please retry after"
        " {s} seconds. For improved latency reliability, consider switching to Provisioned"
        " Throughput.",
    ),
)

ANTHROPIC = Words(
    rate_limit=Refuse(
        429,
        AFTER,
        message="This request would exceed your account's rate limit. Please try again later.",
    ),
    overload=Refuse(529, message="Overloaded"),
    no_credit=Refuse(
        400,
        message="Your credit balance is too low to access the Anthropic API. Please go to Plans &"
        " Billing to upgrade or purchase credits.",
    ),
    too_long=Refuse(400, message="prompt is too long: {asked} tokens > {room} maximum"),
)

GOOGLE = "type.googleapis.com/google.rpc"
QUOTA = "You exceeded your current quota, please check your plan and billing details. For more"
QUOTA += " information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
METRIC = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
RETRY = {"@type": f"{GOOGLE}.RetryInfo", "retryDelay": "{exact_s}s"}


def _violation(period: str, most: str) -> dict[str, Any]:
    quota = {
        "quotaMetric": METRIC,
        "quotaId": f"GenerateRequestsPer{period}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": "{model}"},
        "quotaValue": most,
    }
    return {"@type": f"{GOOGLE}.QuotaFailure", "violations": [quota]}


GEMINI = Words(
    rate_limit=Refuse(
        429,
        message=f"{QUOTA}\n* Quota exceeded for metric: {METRIC}, limit: 10, model: {{model}}\n"
        "Please retry in {exact_s}s.",
        details=(_violation("Minute", "10"), RETRY),
    ),
    overload=Refuse(503, message="The model is overloaded. Please try again later."),
    no_credit=Refuse(
        429,
        message=f"{QUOTA}\n* Quota exceeded for metric: {METRIC}, limit: 0, model: {{model}}\n"
        "Please retry in {exact_s}s.",
        details=(_violation("Day", "0"), RETRY),
    ),
    too_long=Refuse(
        400,
        message="The input token count ({asked}) exceeds the maximum number of tokens allowed"
        " ({room}).",
    ),
)

GROQ = Words(
    rate_limit=_error(
        429,
        AFTER,
        message="Rate limit reached for model `{model}` in organization `org_practice` service tier"
        " `on_demand` on requests per minute (RPM): Limit 30, Used 30, Requested 1. Please try"
        " again in {exact_s}s. Need more tokens? Upgrade to Dev Tier today at"
        " https://console.groq.com/settings/billing",
        type="requests",
        code="rate_limit_exceeded",
    ),
    overload=_error(
        498,
        message="the flex tier is at capacity and the request won't be processed. You can try again"
        " later.",
        type="invalid_request_error",
    ),
    midway=OVERLOADED,  # there is no status 498 in a stream
)

OPENROUTER = Words(
    rate_limit=_error(
        429,
        message="Provider returned error",
        code=429,
        metadata={
            "raw": "{model} is temporarily rate-limited upstream. Please retry shortly, or add your"
            " own key to accumulate your rate limits",
            "provider_name": "Practice",
            "limit_source": "upstream_provider_shared_pool",
            "remedy_hint": "Retry shortly, add your own provider key, or route to another provider",
        },
    ),
    overload=_error(
        502,
        message="Worker local total request limit reached (33/32)",
        code=502,
        metadata={"error_type": "provider_unavailable"},
    ),
    no_tools=_error(
        404,
        message="No endpoints found that support tool use. To learn more about provider routing,"
        " visit: https://openrouter.ai/docs/guides/routing/provider-selection",
        code=404,
    ),
    no_credit=_error(
        402,
        message="This request requires more credits, or fewer max_tokens. You requested up to 32000"
        " tokens, but can only afford 0. To increase, visit https://openrouter.ai/settings/credits"
        " and upgrade to a paid account",
        code=402,
        metadata={"provider_name": None},
    ),
)

DEEPSEEK = Words(
    no_credit=_error(
        402,
        message="Insufficient Balance",
        type="unknown_error",
        param=None,
        code="invalid_request_error",
    )
)

MISTRAL = Words(
    rate_limit=_body(
        429,
        {
            "object": "error",
            "message": "Rate limit exceeded",
            "type": "rate_limited",
            "param": None,
            "code": "1300",
            "raw_status_code": 429,
        },
    ),
    overload=_body(
        429,
        {
            "object": "error",
            "message": "Service tier capacity exceeded for this model.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
    midway=OVERLOADED,
)

MOONSHOT = Words(
    rate_limit=_error(
        429,
        message="Your account org-practice<ak-practice> request reached organization max RPM: 20,"
        " please try again after {s} seconds",
        type="rate_limit_reached_error",
    ),
    overload=_body(
        429,
        {
            "message": "The engine is currently overloaded, please try again later",
            "type": "engine_overloaded_error",
        },
    ),
    no_credit=_error(
        429,
        message="Your account org-practice <ak-practice> is suspended due to insufficient balance,"
        " please recharge your account or check your plan and billing details",
        type="exceeded_current_quota_error",
    ),
    midway=OVERLOADED,
)

THROTTLED = {
    "x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"
}
BEDROCK = Words(
    rate_limit=Refuse(
        429,
        THROTTLED,
        message="Too many requests, please wait before trying again. You have sent too many"
        " requests.  Wait before trying again.",
    ),
    overload=Refuse(503, message="Too many connections, please wait before trying again."),
)

LITELLM_PROXY = Words(
    rate_limit=_error(
        429,
        AFTER,
        message="Rate limit exceeded for api_key: practice. Limit type: requests. Current limit: 1,"
        " Remaining: 0.",
        type="None",
        param="None",
        code="429",
    ),
    overload=_error(
        429,
        message="No deployments available for selected model.",
        type="None",
        param="None",
        code="429",
    ),
    no_credit=_error(
        400,
        message="Budget has been exceeded! Current cost: 26.075, Max budget: 0.25",
        type="budget_exceeded",
        param=None,
        code="400",
    ),
)

# Servers of one's own limit nobody; they are full.
FULL_OLLAMA = Refuse(
    503, message="server busy, please try again.  maximum pending requests exceeded"
)
FULL_SGLANG = _body(
    503,
    {
        "object": "error",
        "message": "The request queue is full.",
        "type": "ServiceUnavailableError",
        "param": None,
        "code": 503,
    },
)
FULL_MIDWAY = _error(503, message="The request queue is full.", code=503)
DEAD_VLLM = _error(
    500,
    message="EngineCore encountered an issue. See stack trace (above) for the root cause.",
    type="InternalServerError",
    param=None,
    code=500,
)
LOADING = _error(503, message="Loading model", type="unavailable_error", code=503)


def _own_server(message: str) -> Refuse:
    """Make a refusal as vLLM and SGLang do."""
    return _body(
        400,
        {
            "object": "error",
            "message": message,
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    )


NO_PARSER = _own_server(
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
)

UNKNOWN_PATH = {"azure": _error(404, code="404", message="Resource not found")}
"""What providers say of a path that is not there, where it is known; of a version, too."""

WORDS: Mapping[str, Words] = {
    "practice": OWN,
    "openai": OPENAI,
    "azure": AZURE,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "groq": GROQ,
    "openrouter": OPENROUTER,
    "deepseek": DEEPSEEK,
    "mistral": MISTRAL,
    "moonshot": MOONSHOT,
    "bedrock": BEDROCK,
    "litellm_proxy": LITELLM_PROXY,
    "ollama": Words(
        FULL_OLLAMA,
        FULL_OLLAMA,
        no_tools=Refuse(400, message="registry.ollama.ai/library/{model} does not support tools"),
        too_long=Refuse(
            400,
            message="the prompt is longer than the context length currently available to the model;"
            " shorten the prompt, adjust the context length in settings, or use a model with a"
            " longer context length",
        ),
    ),
    "lm_studio": Words(
        too_long=_body(
            400,
            {
                "error": "Trying to keep the first {asked} tokens when context the overflows."
                " However, the model is loaded with context length of only {room} tokens, which is"
                " not enough. Try to load the model with a larger context length, or provide a"
                " shorter input"
            },
        )
    ),
    "sglang": Words(
        FULL_SGLANG,
        FULL_SGLANG,
        too_long=_own_server(
            "The input ({asked} tokens) is longer than the model's context length ({room} tokens)."
        ),
        midway=FULL_MIDWAY,
    ),
    "vllm": Words(
        overload=DEAD_VLLM,
        no_tools=NO_PARSER,
        too_long=_own_server(
            "This model's maximum context length is {room} tokens. However, your request has"
            " {asked} input tokens. Please reduce the length of the input messages."
        ),
    ),
    "llama_cpp": Words(
        LOADING,
        LOADING,
        too_long=_error(
            400,
            code=400,
            message="request ({asked} tokens) exceeds the available context size ({room} tokens),"
            " try increasing it",
            type="exceed_context_size_error",
        ),
    ),
}
