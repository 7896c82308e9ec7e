"""Faults of a request that gets no answer: refusals, and servers that are not there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from model_server import Cut, Hang, Raw, Refuse

from faults.fault import UNREACHABLE, Fault
from openhands_llm_magic import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = "Mon, 23 Nov 2026 12:00:00 GMT"
SEVEN_SECONDS_LATER = "Mon, 23 Nov 2026 12:00:07 GMT"
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
LIMITED = "still rate limited (429: The model refused); gave up after 4 retries."

DAILY = {"@type": "type.googleapis.com/google.rpc.QuotaFailure"} | {
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]
}
NO_KEY_OF_GOOGLE = {"@type": "type.googleapis.com/google.rpc.ErrorInfo"} | {
    "reason": "API_KEY_INVALID"
}
IN_SEVEN_HOURS_MS = (1795435200 + 7 * 3600) * 1000
"""Counted from `NOW`, in milliseconds since 1970."""

OF_THE_PROXY = (
    "litellm.AuthenticationError: AuthenticationError: OpenAIException - Incorrect API key"
    " provided: sk-... Received Model Group=gpt-4"
)


def refuse(status: int, error: object, headers: Mapping[str, str] | None = None) -> Refuse:
    """Refuse with a body of one's own."""
    return Refuse(status, headers or {}, body=json.dumps({"error": error}).encode())


PERMANENT = (
    Fault(
        name="400",
        steps=Refuse(400),
        error=errors.BadRequestError,
        shown="the request was refused (400: The model refused).",
    ),
    Fault(
        name="400 for a prompt that is too long",
        steps=Refuse(400, code="context_length_exceeded"),
        dialects=("openai",),
        error=errors.ContextLengthError,
        shown="the prompt is longer than {model} takes (400: The model refused).",
    ),
    Fault(
        name="400 by the content filter",
        steps=Refuse(400, code="content_filter"),
        dialects=("openai",),
        error=errors.ContentFilterError,
        shown="the provider's content filter withheld the answer (400: The model refused).",
    ),
    Fault(
        name="401",
        steps=Refuse(401),
        error=errors.AuthenticationError,
        shown="the provider refused the key (401: The model refused). Set another api_key (now ",
        decisive=True,
    ),
    Fault(
        name="402",
        steps=Refuse(402),
        error=errors.QuotaError,
        shown="the account has no credit left (402: The model refused).",
    ),
    Fault(
        name="403",
        steps=Refuse(403),
        error=errors.AuthenticationError,
        shown="the provider refused the key (403: The model refused).",
    ),
    Fault(
        name="404",
        steps=Refuse(404),
        error=errors.ModelNotFoundError,
        shown="the model {model} is not known (404: The model refused). Set model (now ",
    ),
    Fault(
        name="413",
        steps=Refuse(413),
        error=errors.RequestTooLargeError,
        shown="the request is larger than may be sent at once (413: The model refused). Shorten",
    ),
    Fault(
        name="422",
        steps=Refuse(422),
        error=errors.BadRequestError,
        shown="the request was refused (422: The model refused).",
    ),
    Fault(
        name="429 for want of credit",
        steps=Refuse(429, code="insufficient_quota", message="You exceeded your quota."),
        dialects=("openai",),
        error=errors.QuotaError,
        shown="the account has no credit left (429: You exceeded your quota).",
        decisive=True,
    ),
    Fault(
        name="429 with a Retry-After beyond retry_after_limit",
        steps=Refuse(429, {"retry-after": "301"}),
        error=errors.RateLimitError,
        shown="still rate limited (429: The model refused); the server asks to wait 301 s, longer"
        " than 300 s.",
        server_wait_s=301,
    ),
)

REDIRECTS = (
    Fault(
        name="a redirect that leads nowhere",
        steps=Raw(b"", "text/plain", 301),
        error=errors.AddressError,
        shown="no model answers at {base_url}",
        names="base_url (now {base_url}, from ",
    ),
    Fault(
        name="a redirect that is none",
        steps=Raw(b"", "text/plain", 304),
        error=errors.AddressError,
        shown="no model answers at {base_url}",
        names="base_url (now {base_url}, from ",
    ),
)

WORDED = (
    Fault(
        name="400 for want of credit",
        steps=Refuse(400, message="Your credit balance is too low to access the Anthropic API."),
        error=errors.QuotaError,
        shown="the account has no credit left (400: Your credit balance is too low to access",
    ),
    Fault(
        name="400 for a wrong key, at Google",
        steps=Refuse(400, message="API key not valid.", details=(NO_KEY_OF_GOOGLE,)),
        dialects=("gemini",),
        error=errors.AuthenticationError,
        shown="the provider refused the key (400: API key not valid). Set another api_key (now ",
    ),
    Fault(
        name="400 for a wrong key, at a LiteLLM Proxy without a database",
        steps=Refuse(400, code="no_db_connection", message="No connected db."),
        dialects=("openai",),
        error=errors.AuthenticationError,
        shown="the provider refused the key (400: No connected db). Set another api_key (now ",
    ),
    Fault(
        name="400 of a provider behind a gateway, in its words",
        steps=refuse(
            400,
            {
                "message": "Provider returned error",
                "metadata": {"raw": '{"message": "the reason"}', "provider_name": "P"},
            },
        ),
        error=errors.BadRequestError,
        shown="the request was refused (400, P: the reason).",
    ),
    Fault(
        name="401 for the key of a LiteLLM Proxy",
        steps=Refuse(401, message=OF_THE_PROXY),
        dialects=("openai",),
        error=errors.AuthenticationError,
        shown="OpenAI refused the key of the gateway in between (401, OpenAI: Incorrect API key",
    ),
    Fault(
        name="402 for an answer that is too long for the credit",
        steps=Refuse(
            402,
            message="This request requires more credits, or fewer max_tokens. You requested up to"
            " 65536 tokens, but can only afford 10114.",
        ),
        error=errors.QuotaError,
        shown="the account's credit does not cover the request (402: This request requires more",
    ),
    Fault(
        name="403 for what the prompt says",
        steps=refuse(
            403,
            {"code": 403, "message": "Input was flagged", "metadata": {"reasons": ["violence"]}},
        ),
        error=errors.ContentFilterError,
        shown="the provider's content filter withheld the answer (403: Input was flagged). Ask in",
    ),
    Fault(
        name="403 with a page of a firewall",
        steps=Raw(b"<html><title>Blocked</title><p>Go away</p>", "text/html", 403),
        error=errors.ProxyError,
        shown="a proxy or a firewall on the way refused the request (403: Blocked). Check ",
    ),
    Fault(
        name="404 for a wrong path",
        steps=refuse(404, "Not found"),
        error=errors.AddressError,
        shown="no model answers at {base_url}/",
    ),
    Fault(
        name="404 for a wrong path, as text",
        steps=Raw(b"404 page not found", "text/plain", 404),
        error=errors.AddressError,
        shown="no model answers at {base_url}/",
    ),
    Fault(
        name="429 for one request above the limit of a minute",
        steps=Refuse(
            429,
            message="Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested"
            " 36278. The input or output tokens must be reduced in order to run successfully.",
        ),
        error=errors.RequestTooLargeError,
        shown="the request is larger than may be sent at once (429: Request too large for gpt-4o",
    ),
    Fault(
        name="500 for a text that is larger than llama.cpp's batch",
        steps=Refuse(
            500,
            message="input (767 tokens) is too large to process. increase the physical batch size"
            " (current batch size: 512)",
        ),
        error=errors.ContextLengthError,
        shown="the prompt is longer than {model} takes (500: input (767 tokens) is too large",
    ),
    Fault(
        name="500 for a broken call in the history, of llama.cpp",
        steps=Refuse(
            500, message="Failed to parse tool call arguments as JSON: parse error at line 1"
        ),
        error=errors.BadRequestError,
        shown="the request was refused (500: Failed to parse tool call arguments as JSON",
    ),
    Fault(
        name="503 for want of a model",
        steps=Refuse(503, message="No models are currently loaded."),
        error=errors.ModelNotFoundError,
        shown="the model {model} is not known (503: No models are currently loaded).",
    ),
)

RATE_LIMITS = (
    Fault(
        name="429 for the requests of a day, which open again tomorrow",
        steps=refuse(
            429,
            {
                "code": 429,
                "message": "Rate limit exceeded: free-models-per-day.",
                "metadata": {
                    "headers": {
                        "X-RateLimit-Remaining": "0",
                        "X-RateLimit-Reset": str(IN_SEVEN_HOURS_MS),
                    }
                },
            },
            {"date": NOW},
        ),
        error=errors.DailyLimitError,
        shown="the limit of the day is used up (429: Rate limit exceeded: free-models-per-day); it"
        " opens again at ",
        server_wait_s=7 * 3600,
    ),
    Fault(
        name="429 for the requests of a day, which open again in seconds",
        steps=Refuse(
            429,
            message="Rate limit reached on requests per day (RPD): Limit 10000, Used 10000,"
            " Requested 1. Please try again in 8.64s.",
        ),
        error=errors.DailyLimitError,
        shown="the limit of the day is used up (429: Rate limit reached on requests per day (RPD)",
        server_wait_s=8.64,
    ),
    Fault(
        name="429 for the tokens of a day, without a time",
        steps=Refuse(429, message="Too many tokens per day, please wait before trying again."),
        error=errors.DailyLimitError,
        shown="the limit of the day is used up (429: Too many tokens per day, please wait before"
        " trying again); the server does not say when it opens again. Ask then, or set",
    ),
    Fault(
        name="429 for the requests of a day, with the RetryInfo of a minute",
        steps=Refuse(429, details=(DAILY, RETRY_INFO)),
        dialects=("gemini",),
        error=errors.DailyLimitError,
        shown="the limit of the day is used up (429: The model refused); it opens again at ",
        server_wait_s=20 * 3600,
    ),
    Fault(
        name="402 while other requests are under way",
        steps=refuse(
            402,
            {
                "code": 402,
                "message": "This request would exceed your available credits.",
                "metadata": {"limit_source": "openrouter_in_flight_budget"},
            },
            {"retry-after": "7"},
        ),
        dialects=("openai",),
        error=errors.RateLimitError,
        shown="still rate limited (402: This request would exceed your available credits); gave up",
        server_wait_s=7,
    ),
    Fault(
        name="429 that names no wait",
        steps=Refuse(429),
        error=errors.RateLimitError,
        shown=LIMITED,
        decisive=True,
    ),
    Fault(
        name="429 with Retry-After in seconds",
        steps=Refuse(429, {"retry-after": "7"}),
        error=errors.RateLimitError,
        shown=LIMITED,
        server_wait_s=7,
        decisive=True,
    ),
    Fault(
        name="429 with Retry-After as a date",
        steps=Refuse(429, {"date": NOW, "retry-after": SEVEN_SECONDS_LATER}),
        error=errors.RateLimitError,
        shown=LIMITED,
        server_wait_s=7,
    ),
    Fault(
        name="429 with Retry-After that is no wait",
        steps=Refuse(429, {"retry-after": "soon"}),
        dialects=("openai",),
        error=errors.RateLimitError,
        shown=LIMITED,
    ),
    Fault(
        name="429 with retry-after-ms",
        steps=Refuse(429, {"retry-after-ms": "1500"}),
        dialects=("openai",),
        error=errors.RateLimitError,
        shown=LIMITED,
        server_wait_s=1.5,
    ),
    Fault(
        name="429 with llm_provider-retry-after, of a LiteLLM Proxy",
        steps=Refuse(429, {"llm_provider-retry-after": "60"}),
        dialects=("openai",),
        error=errors.RateLimitError,
        shown=LIMITED,
        server_wait_s=60,
    ),
    Fault(
        name="429 with RetryInfo in the body",
        steps=Refuse(429, details=(RETRY_INFO,)),
        dialects=("gemini",),
        error=errors.RateLimitError,
        shown=LIMITED,
        server_wait_s=37,
    ),
)

TRANSIENT = (
    Fault(
        name="408",
        steps=Refuse(408),
        error=errors.NoAnswerInTimeError,
        shown="no answer came in time (408: The model refused); gave up after 4 retries.",
    ),
    *(
        Fault(
            name=str(status),
            steps=Refuse(status),
            error=errors.ServerError,
            shown=f"the server failed ({status}: The model refused); gave up after 4 retries.",
            decisive=status == 500,
        )
        for status in (500, 502, 503, 504, 529)
    ),
    Fault(
        name="400 for JSON that the model made badly",
        steps=Refuse(400, code="json_validate_failed", message="Failed to generate JSON."),
        dialects=("openai",),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (400: Failed to generate JSON); gave up after 4 retries.",
    ),
    Fault(
        name="500 for a call that the model made badly, of llama.cpp",
        steps=Refuse(
            500,
            message="The model produced output that does not match the expected peg-native format",
        ),
        dialects=("openai",),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (500: The model produced output that does not match",
    ),
    Fault(
        name="503 with Retry-After",
        steps=Refuse(503, {"retry-after": "7"}),
        error=errors.ServerError,
        shown="the server failed (503: The model refused); gave up after 4 retries.",
        server_wait_s=7,
    ),
    Fault(
        name="502 with a page of HTML",
        steps=Raw(b"<h1>Bad gateway</h1>", "text/html", 502),
        error=errors.ServerError,
        shown="the server failed (502: ",
    ),
    Fault(
        name="a refused connection",
        steps=UNREACHABLE,
        error=errors.ConnectionFailedError,
        shown="{base_url} could not be reached (",
    ),
    Fault(
        name="a reset before the answer",
        steps=Cut(how="reset"),
        error=errors.ConnectionFailedError,
        shown="{base_url} could not be reached (",
    ),
    Fault(
        name="silence until the timeout",
        steps=Hang(),
        error=errors.NoAnswerInTimeError,
        shown="no answer came in time (",
        settings={"timeout": 1},
        takes_seconds=True,
    ),
)

FAULTS = (*PERMANENT, *REDIRECTS, *WORDED, *RATE_LIMITS, *TRANSIENT)
