"""What went wrong with one HTTP request, told from the exception that LiteLLM raised.

LiteLLM renames errors and makes up statuses: a refused connection becomes status 500, a 401 whose
body mentions a rate limit becomes 429. The innermost HTTP response is what the server said, so
that is what counts here; LiteLLM's own status is used only where there is no such response.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from openhands_llm_magic import errors
from openhands_llm_magic.llm.limits.limiter import number_in, since_1970_s
from openhands_llm_magic.llm.litellm.stream import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STATUSES = {
    401: errors.AuthenticationError,
    402: errors.QuotaError,
    403: errors.AuthenticationError,
    404: errors.ModelNotFoundError,
    408: errors.NoAnswerInTimeError,
    429: errors.RateLimitError,
    **dict.fromkeys([500, 502, 503, 504, *range(520, 530)], errors.ServerError),
}
"""What an HTTP status means; any other is a `BadRequestError`. The class tells whether another
attempt is worth while."""

CODES = {
    errors.QuotaError: frozenset({"insufficient_quota", "billing_hard_limit_reached"}),
    errors.ContentFilterError: frozenset({"content_filter", "content_policy_violation"}),
    errors.BadRequestError: frozenset({"invalid_prompt"}),
}
"""Codes that tell more than the status, and would come again. Gemini words its rate limits like
OpenAI's billing errors, so the code decides and never the text."""

LIMIT_CODES = frozenset({"rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED", "429"})
"""Codes of a rate limit that is told in place of an answer, where there is no status."""

UNREADABLE = ("JSONDecodeError", "UnicodeDecodeError", "AttributeError", "KeyError")
"""What LiteLLM raises when a part of an answer is not what it should be."""

NOT_AN_ADDRESS = ("UnsupportedProtocol", "InvalidURL")
NOT_A_HEADER = ("LocalProtocolError", "UnicodeEncodeError")
"""Exceptions of httpx and Python for settings that no HTTP request can be made of."""

_TOO_LONG = re.compile(
    r"prompt is too long|maximum context length|exceeds the maximum number of tokens", re.IGNORECASE
)
"""How Anthropic, OpenRouter and Gemini say it: they have no code for it."""

LONGEST_BODY = 100_000
"""Characters of an error's body that are looked at."""

_MARKUP = re.compile(r"<(?:(?:script|style)\b[^<]*|[!/]?[a-z-][^<>]*>)", re.IGNORECASE)
"""The tags of a page, with the scripts and styles in it."""

_LITELLM_SUFFIX = re.compile(
    r"\nTraceback| for url '|\.? (?:Error_str: |Original exception: |Handle with `litellm\.)"
)
_LITELLM_PREFIX = re.compile(
    r"^(?:(?:litellm\.)?(?:\w+(?:Error|Exception)|Timeout(?: Error)?)(?: - |: | ))+"
)


Stage = Literal["sending", "accepted", "answering"]
"""How far a request got: perhaps not to the server, accepted by it, or partly answered."""


def fault_from(
    exc: Exception, stage: Stage, told: Mapping[str, Any] | None = None
) -> errors.RequestError:
    """Return the error that an exception of LiteLLM means.

    Args:
        exc: What LiteLLM raised.
        stage: How far the request got. Once a part of the answer has arrived, every fault is a
            broken answer and worth another attempt, but for those that would come again.
        told: The body of an error that was seen in place of a part of the answer.
    """
    chain = list(_chain(exc))
    response = _response(chain)
    sent = _text_of(response)
    body = _error_object(told) or _body(chain, sent)
    words = _words(exc, response, sent, body)
    headers = {} if response is None else plain(response.headers)
    retry_after_s = _retry_after_s(headers, body)
    if response is not None:
        status = response.status_code
        kind = _kind(exc, status, body)
        return kind(words, status=status, retry_after_s=retry_after_s)
    unreached = _unreached(chain, words)
    if stage == "sending":
        # When LiteLLM gave up by itself, nothing was sent, and asking again is vain.
        return unreached or errors.BadRequestError(words)
    if told is None and is_unreadable(exc):
        return errors.BrokenAnswerError("a part of the answer could not be read")
    if unreached is not None:
        return _broken_off(unreached, stage)
    return _within_answer(stage, body)(words, retry_after_s=retry_after_s)


def is_unreadable(exc: Exception) -> bool:
    """Tell whether LiteLLM could not read what the server sent."""
    return any(_class_named(cause, *UNREADABLE) for cause in _chain(exc))


def _broken_off(unreached: errors.RequestError, stage: Stage) -> errors.RequestError:
    """Return the error of an answer whose connection fell silent or was lost."""
    silent = isinstance(unreached, errors.NoAnswerInTimeError)
    if silent and stage == "accepted":
        return unreached
    if silent:
        return errors.BrokenAnswerError("no more of the answer came in time")
    if stage == "accepted":
        return errors.BrokenAnswerError("the connection was lost before the answer began")
    return errors.BrokenAnswerError("the connection was lost in its middle")


def _within_answer(stage: Stage, body: Mapping[str, Any]) -> type[errors.RequestError]:
    """Return the error class for an error that the server sent in place of a chunk.

    LiteLLM makes up its status, so only the server's own codes count.
    """
    if kind := _kind_by_code(body):
        return kind
    if stage == "answering":
        return errors.BrokenAnswerError
    return errors.RateLimitError if _codes(body) & LIMIT_CODES else errors.ServerError


def _kind(exc: Exception, status: int, body: Mapping[str, Any]) -> type[errors.RequestError]:
    """Return the error class for a status and an error body."""
    if (
        _class_named(exc, "ContextWindowExceededError")
        or body.get("code") == "context_length_exceeded"
        or (status == 400 and _TOO_LONG.search(str(body.get("message"))))  # noqa: PLR2004 - HTTP
    ):
        return errors.ContextLengthError
    return _kind_by_code(body) or STATUSES.get(status, errors.BadRequestError)


def _kind_by_code(body: Mapping[str, Any]) -> type[errors.RequestError] | None:
    return next((kind for kind, known in CODES.items() if _codes(body) & known), None)


def _codes(body: Mapping[str, Any]) -> set[str]:
    """Return the names of an error: OpenAI's code and type, Gemini's code and status."""
    return {str(body.get(name)) for name in ("code", "type", "status")}


def _unreached(chain: list[BaseException], words: str) -> errors.RequestError | None:
    """Return the error of a request that met no server, such as a timeout, or None for others."""
    for exc in chain:
        if _class_named(exc, *NOT_AN_ADDRESS):
            return errors.UnsendableError("base_url is no http:// or https:// address")
        if _class_named(exc, *NOT_A_HEADER):
            return errors.UnsendableError("a character in the key does not fit into HTTP headers")
    for exc in chain:
        if _class_named(exc, "TimeoutException", "APITimeoutError", "Timeout"):
            return errors.NoAnswerInTimeError(words)
        if _class_named(exc, "TransportError", "ConnectionError", "gaierror"):
            return errors.ConnectionFailedError(words)
    return None


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that caused it, the outermost first."""
    found = [exc]
    for current in found:  # which grows meanwhile
        yield current
        original = getattr(current, "original_exception", None)
        for cause in (original, current.__cause__, current.__context__):
            if isinstance(cause, BaseException) and all(cause is not each for each in found):
                found.append(cause)


def _class_named(exc: BaseException, *names: str) -> bool:
    """Tell whether an exception is of a class of one of these names, from whatever library."""
    return any(cls.__name__ in names for cls in type(exc).__mro__)


def _response(chain: list[BaseException]) -> Any | None:
    """Return the HTTP response that the server really sent; LiteLLM makes others up."""
    real = [exc for exc in chain if _class_named(exc, "HTTPStatusError")]
    return getattr(real[-1], "response", None) if real else None


def _text_of(response: Any | None) -> str:
    """Return the body of the server's own response, or "" where there is none to read."""
    text = ""
    if response is not None:
        with contextlib.suppress(Exception):  # closed before it was read, or not decodable
            text = str(response.text)
    if len(text) > LONGEST_BODY:  # cut at a space: half a key would not be masked
        text = text[:LONGEST_BODY].rpartition(" ")[0]
    return text


def _body(chain: list[BaseException], sent: str) -> dict[str, Any]:
    """Return the `error` object of the server's answer, or what comes nearest."""
    bodies = [getattr(exc, "body", None) for exc in chain]
    texts = [said[said.find("{") : said.rfind("}") + 1] for said in (sent, *map(str, chain))]
    found = [sent, *bodies, *texts]
    if _response(chain) is None:  # an error in place of a chunk may be a bare text
        found += [{"message": body} for body in bodies if _is_text(body)]
    return next((error for each in found if (error := _error_object(each))), {})


def _error_object(text: object) -> dict[str, Any]:
    """Read an error body: `{"error": {...}}`, `{"error": "..."}`, a list of one, or bare."""
    if isinstance(text, str | bytes):
        try:
            text = json.loads(text)
        except ValueError:
            return {}
    if isinstance(text, list) and text:
        text = text[0]
    if not isinstance(text, dict):
        return {}
    error = text.get("error", text)
    return error if isinstance(error, dict) else {"message": str(error)}


def _words(exc: BaseException, response: Any | None, sent: str, body: Mapping[str, Any]) -> str:
    """Return the server's own words on one line.

    They stand in the error object, or are the whole body: a proxy in front of the server sends a
    page. LiteLLM's and its clients' wordings of a refusal differ from version to version, so they
    are used only where there was no answer.
    """
    words = next((said for name in ("message", "detail") if _is_text(said := body.get(name))), None)
    if words is None and response is not None:
        words = _MARKUP.sub(" ", sent).strip() or response.reason_phrase
    elif words is None:
        words = _LITELLM_PREFIX.sub("", _LITELLM_SUFFIX.split(str(exc), maxsplit=1)[0])
    # Some characters would steer a terminal, or turn the line around.
    return "".join(filter(str.isprintable, " ".join(words.split())))


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _retry_after_s(headers: Mapping[str, str], body: Mapping[str, Any]) -> float | None:
    """Return the wait that the server names, in seconds, or None.

    It may stand in `retry-after-ms`, in `Retry-After` as seconds or as a date (RFC 9110, 10.2.3),
    or in Gemini's error body as `RetryInfo.retryDelay`.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after")
    seconds = _number(asked)
    if seconds is not None:
        return seconds
    if asked:
        then_s = since_1970_s(asked)
        now_s = since_1970_s(headers.get("date")) or time.time()  # by the server's own clock
        return None if then_s is None else max(0.0, then_s - now_s)
    details = body.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and "retryDelay" in detail:
            return _number(str(detail["retryDelay"]).removesuffix("s"))
    return None


def _number(text: str | None) -> float | None:
    """Read a header that is a number of seconds, 0 or more, or return None."""
    number = number_in(text)
    return number if number is not None and 0 <= number < math.inf else None
