"""Faults of a request that gets no answer: refusals, and servers that are not there."""

from __future__ import annotations

from model_server import Cut, Hang, Raw, Refuse

from faults.fault import UNREACHABLE, Fault
from openhands_llm_magic import errors

NOW = "Mon, 23 Nov 2026 12:00:00 GMT"
SEVEN_SECONDS_LATER = "Mon, 23 Nov 2026 12:00:07 GMT"
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
LIMITED = "still rate limited (429: The model refused); gave up after 4 retries."

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
        error=errors.BadRequestError,
        shown="the request was refused (413: The model refused).",
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

RATE_LIMITS = (
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

FAULTS = (*PERMANENT, *RATE_LIMITS, *TRANSIENT)
