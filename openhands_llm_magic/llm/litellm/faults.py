"""What went wrong with one HTTP request, told from the exception that LiteLLM raised.

LiteLLM renames errors and makes up statuses: a refused connection becomes status 500, a 401 whose
body mentions a rate limit becomes 429. The innermost HTTP response is what the server said, so
that is what counts here; LiteLLM's own status is used only where there is no such response.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import goes_by_proxy, server_of
from openhands_llm_magic.llm import refusals
from openhands_llm_magic.llm.explain import NO_SERVER, NO_SUCH_NAME
from openhands_llm_magic.llm.litellm.stream import plain
from openhands_llm_magic.llm.meaning import meaning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openhands_llm_magic.config.providers import Server
    from openhands_llm_magic.llm.refusals import Refusal

UNREADABLE = ("ValueError", "AttributeError", "KeyError", "TypeError")
"""What LiteLLM raises when a part of an answer is not what it should be. JSON and characters that
cannot be read, and numbers of thousands of digits, are a `ValueError`, as are pydantic's own."""

_NO_ADDRESS = "base_url is no http:// or https:// address"
NO_HTTPS = "base_url says https, and the server speaks plain http"
_NO_HEADER = "a character in the key does not fit into HTTP headers"
NOT_HTTP = {
    "UnsupportedProtocol": _NO_ADDRESS,
    "InvalidURL": _NO_ADDRESS,
    "LocalProtocolError": _NO_HEADER,
    "UnicodeEncodeError": _NO_HEADER,
}
"""Exceptions of httpx and Python for settings that no HTTP request can be made of."""

NO_SOCKS = "a SOCKS proxy is set, and its package is missing: `pip install httpx[socks]`."

LONGEST_BODY = 50_000
"""Characters of an error within an answer that are looked at."""

_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED\]?(?: certificate verify failed)?:? ?([^(]*)")
_NO_TLS = re.compile(
    r"WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG"
    r"|RECORD_LAYER_FAILURE|HTTPS_PROXY_REQUEST"
)
"""OpenSSL's names of what does not pass."""

_REFUSED_BY_PROXY = re.compile(r"4\d\d\b")
"""A proxy's status stands first in httpx's words; a 502 of it may pass."""

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
    if bounded := _bounded(chain, response):
        return bounded
    refusal = refusals.read(
        told or _told_in(chain, response),
        status=None if response is None else response.status_code,
        headers=None if response is None else plain(response.headers),
    )
    words = refusal.words or _words_of(exc, response)
    if response is not None:
        return _error(_kind(exc, refusal), replace(refusal, words=words), response)
    unreached = _unreached(chain, words)
    if stage == "sending":
        # When LiteLLM gave up by itself, nothing was sent, and asking again is vain.
        return unreached or _unsent(chain, words)
    if told is None and is_unreadable(exc):
        return errors.BrokenAnswerError("a part of the answer could not be read")
    if unreached is not None:
        return _broken_off(unreached, stage)
    return _within_answer(stage, replace(refusal, words=words), _kind(exc, refusal))


def refused(stage: Stage, told: object) -> errors.RequestError | None:
    """Return the error that came, with status 200, in place of an answer or of its rest.

    Args:
        stage: How far the request got.
        told: The JSON of an event, or the text of a whole body. Where there is no error in it, None
            is returned.
    """
    refusal = refusals.read(told)
    if refusal.is_page:
        page = errors.Text("a page for people came: {title}", title=refusal.words)
        return errors.AddressError(page if refusal.words else errors.Text("a page for people came"))
    kind = meaning(refusal)
    is_nowhere = refusal.is_text and kind is errors.AddressError
    return _within_answer(stage, refusal, kind) if refusal.is_told or is_nowhere else None


def _within_answer(
    stage: Stage, refusal: Refusal, kind: type[errors.RequestError]
) -> errors.RequestError:
    """Return the error that a server sent after it had accepted the request."""
    if stage == "answering" and issubclass(kind, errors.TransientError):
        kind = kind if kind is errors.DailyLimitError else errors.BrokenAnswerError
    return _error(kind, refusal)


def is_unreadable(exc: Exception) -> bool:
    """Tell whether LiteLLM could not read what the server sent."""
    return has_cause(exc, *UNREADABLE)


def has_cause(exc: Exception, *names: str) -> bool:
    """Tell whether an exception, or one that caused it, is of a class of one of these names."""
    return any(_class_named(cause, *names) for cause in _chain(exc))


def _error(
    kind: type[errors.RequestError], refusal: Refusal, response: Any | None = None
) -> errors.RequestError:
    """Return the error of a refusal, with what it says beside its words."""
    status = None if response is None else response.status_code
    error = kind(errors.quoted(refusal.words), status=status, retry_after_s=refusal.retry_after_s)
    error.named, error.given_by = refusal.settings, refusal.given_by
    if isinstance(error, errors.DailyLimitError):
        error.period = refusal.period or error.period
    if isinstance(error, errors.AddressError) and response is not None:
        error.url = str(response.request.url.copy_with(query=None, userinfo=b""))
    return error


KNOWN_TO_LITELLM = {
    "ContextWindowExceededError": errors.ContextLengthError,
    "ContentPolicyViolationError": errors.ContentFilterError,
}
"""What LiteLLM knows by codes and words that it does not always pass on."""


def _kind(exc: Exception, refusal: Refusal) -> type[errors.RequestError]:
    """Return the class of a refusal, or LiteLLM's where the refusal says little."""
    kind = meaning(refusal)
    if kind not in (errors.BadRequestError, errors.ServerError) or refusal.codes:
        return kind
    return next((each for name, each in KNOWN_TO_LITELLM.items() if _class_named(exc, name)), kind)


def _bounded(chain: list[BaseException], response: Any | None) -> errors.RequestError | None:
    """Return the error of what met one of our bounds (`bounds.py`), httpx's or Python's, or None.

    A refusal counts, however deep its JSON is nested.
    """
    own = next((each for each in chain if isinstance(each, errors.RequestError)), None)
    if own is not None or response is not None:
        return own
    if any(_class_named(each, "TooManyRedirects") for each in chain):
        return errors.RedirectError("it leads on to itself, again and again")
    if any(_class_named(each, "RecursionError") for each in chain):
        return errors.OversizedError("its JSON is nested without end")
    return None


def _broken_off(unreached: errors.RequestError, stage: Stage) -> errors.RequestError:
    """Return the error of an answer whose connection fell silent or was lost."""
    if not isinstance(unreached, errors.TransientError):
        return unreached
    silent = isinstance(unreached, errors.NoAnswerInTimeError)
    if silent and stage == "accepted":
        return unreached
    if silent:
        return errors.BrokenAnswerError("no more of the answer came in time")
    if stage == "accepted":
        return errors.BrokenAnswerError("the connection was lost before the answer began")
    return errors.BrokenAnswerError("the connection was lost in its middle")


def _unsent(chain: list[BaseException], words: str) -> errors.RequestError:
    """Return the error of a request that LiteLLM did not send."""
    missing = next((each for each in chain if _class_named(each, "ImportError")), None)
    if missing is None:
        return errors.BadRequestError(errors.quoted(words)).unsent()
    needed = errors.LibraryError(
        errors.Text(
            "LiteLLM needs something for this that is not installed ({words}).",
            words=refusals.one_line(str(missing)),
        )
    )
    needed.named = ("model",)  # another provider's would need none of it
    return needed


def _unreached(chain: list[BaseException], words: str) -> errors.RequestError | None:
    """Return the error of a request that met no server, such as a timeout, or None for others.

    The cause decides, however LiteLLM and its clients word it: a certificate, a scheme or the
    refusal of a proxy stays as it is; a lost connection passes.
    """
    lasting = (fault for exc in chain if (fault := _lasting(exc)))
    return next(lasting, None) or _passing(chain, words)


def _lasting(exc: BaseException) -> errors.RequestError | None:
    """Return the error of a cause that asking again does not change, or None for another."""
    if words := next((NOT_HTTP[name] for name in NOT_HTTP if _class_named(exc, name)), None):
        return _unsendable(words)
    if "socksio" in str(exc) and _class_named(exc, "ImportError"):
        return errors.LibraryError(errors.Text(NO_SOCKS))
    if _class_named(exc, "ProxyError") and _REFUSED_BY_PROXY.match(str(exc)):
        return errors.ProxyError(errors.quoted(refusals.one_line(str(exc))))
    if certificate := _CERTIFICATE.search(str(exc)):
        words = refusals.one_line(certificate[1])
        told = errors.quoted(words) if words else errors.Text("not trusted")
        return errors.CertificateError(told)
    if _NO_TLS.search(str(exc)):
        return _unsendable(NO_HTTPS)
    return None


def _unsendable(words: str) -> errors.RequestError:
    """Return the error of a request that cannot be made; it names the address where that is why."""
    error = errors.UnsendableError(errors.Text(words))
    error.named = () if words == _NO_HEADER else ("base_url",)
    return error


def _passing(chain: list[BaseException], words: str) -> errors.RequestError | None:
    """Return the error of a timeout or a lost connection, or None for another."""
    found: errors.RequestError | None = None
    for exc in chain:
        if _class_named(exc, "TimeoutException", "APITimeoutError", "Timeout"):
            found = errors.NoAnswerInTimeError(errors.quoted(words))
        elif _class_named(exc, "TransportError", "ConnectionError", "gaierror"):
            found = errors.ConnectionFailedError(_unconnected(chain, _first_cause(chain) or words))
        if found is not None:
            found.was_sent = not any(_class_named(each, *UNCONNECTED) for each in chain)
            break
    return found


UNCONNECTED = ("ConnectError", "ConnectTimeout", "gaierror", "ConnectionRefusedError")
"""What there was where a connection was never made, in httpx's words and Python's."""


def _unconnected(chain: list[BaseException], words: str) -> errors.Text:
    """Say where nothing answers, with the words of the operating system.

    Where a proxy is on the way, those words may be about that.
    """
    server = next((found for exc in chain if (found := _asked(exc))), None)
    if server is not None and not goes_by_proxy(server.scheme, server.host):
        if any(_class_named(exc, "gaierror") for exc in chain):
            return errors.Text(NO_SUCH_NAME, host=server.host, reason=errors.quoted(words))
        if any(_class_named(exc, "ConnectionRefusedError") for exc in chain):
            place = f"{server.host}:{server.port}"
            return errors.Text(NO_SERVER, place=place, reason=errors.quoted(words))
    return errors.quoted(words)


def _asked(exc: BaseException) -> Server | None:
    """Return the server that a request of httpx went to, as far as its exception tells."""
    with contextlib.suppress(AttributeError, RuntimeError):  # it tells of no request
        if _class_named(exc, "TransportError"):
            return server_of(str(exc.request.url))  # type: ignore[attr-defined]
    return None


def _first_cause(chain: list[BaseException]) -> str:
    """Return what the operating system said of a connection, or ""."""
    cause = next((each for each in reversed(chain) if _class_named(each, "TransportError")), None)
    return refusals.one_line(str(cause)) if cause else ""


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


def _told_in(chain: list[BaseException], response: Any | None) -> object:
    """Return the body of a refusal: the response's, or what the exceptions have kept of it."""
    if response is not None and (body := body_of(response)):
        return body
    kept = [getattr(exc, "body", None) for exc in chain]
    kept += [_cut(str(exc)) for exc in chain if "{" in str(exc)]
    return next(filter(None, kept), "")


def body_of(response: Any) -> str:
    """Return the text of a response, not more of it than is looked at, or ""."""
    with contextlib.suppress(Exception):  # closed before it was read, or not decodable
        return _cut(response.text)
    return ""


def _cut(text: str) -> str:
    """Cut a body that is too long, at a space: half a key would not be masked."""
    return text if len(text) <= LONGEST_BODY else text[:LONGEST_BODY].rpartition(" ")[0]


def _words_of(exc: BaseException, response: Any | None) -> str:
    """Return LiteLLM's words, or the status's, for a refusal without words of the server.

    LiteLLM's and its clients' wordings of a refusal differ from version to version, so they are
    used only where there was no answer.
    """
    if response is not None:
        return refusals.one_line(response.reason_phrase)
    words = _LITELLM_PREFIX.sub("", _LITELLM_SUFFIX.split(_cut(str(exc)), maxsplit=1)[0])
    return refusals.one_line(words)
