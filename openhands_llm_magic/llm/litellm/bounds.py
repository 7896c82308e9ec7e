"""What is taken from a server: from the address that was asked alone, and no more than is sane.

Whatever LiteLLM sends a request with, it ends in httpx's `HTTPTransport`, or in that of a module
that has its place, and its answer comes out of there. `taken` stands in between, on threads of
ours alone, so that one rule holds for all providers, for prompts, vectors and tests.
"""

from __future__ import annotations

import functools
import re
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from openhands_llm_magic import errors
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.refusals import one_line
from openhands_llm_magic.llm.worker import Control

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

MOST_BYTES = 200_000_000
"""Bytes of an answer. The longest that models write, a million tokens, takes 100 MB where each
token comes as an event of its own, and a thousand vectors of 4,096 numbers take as much."""

MOST_LINE_BYTES = 50_000_000
"""Bytes of a stream in which no line ends. A line is in memory several times while it is read; the
longest that is sane holds a whole answer."""

MOST_BLANK_BYTES = 1_000_000
"""Bytes of a stream's lines that say nothing, such as comments, one after another. A sign of life
each second takes as much in half a day; a million empty lines take seconds to read."""

MOST_ERROR_BYTES = 16_000
"""Bytes of a refusal that are read; the rest is left. Where a server quotes all of the request, the
reason comes first. LiteLLM searches the text several times with many patterns, which takes 20 µs a
character, and for some texts four times as long where there is twice as much (its pattern of JWTs:
25 s for 50 kB)."""

MOST_UNPACKED_BYTES = 65_536
"""Bytes that a compressed piece is unpacked into at a time: as many as one that is not has."""

SILENCE_S = 600.0
"""Seconds without a byte after which a connection is given up where no `timeout` says otherwise:
as long as OpenAI's own client waits."""

LONGEST_ADDRESS = 100
"""Characters of another server's address that are shown."""

OK_STATUSES = range(200, 300)

_LINES = re.compile("event-stream|ndjson")
"""What a stream of lines calls itself. Bedrock's is of binary messages, of 24 MB at most."""

_TOO_MANY_HEADERS = re.compile("buffer too long", re.IGNORECASE)
"""h11's words for headers, a chunk's head or trailers of more than 100 kB."""


def taken(
    http: Any, handle: Callable[[httpx.Request], httpx.Response], request: httpx.Request
) -> httpx.Response:
    """Send a request, and return its response, of which no more is read than is sane.

    Args:
        http: The module that sends it: httpx, or one with the same names, such as httpx2.
        handle: Sends an `httpx.Request` once, and returns its `httpx.Response`.
        request: The request. It asks for an answer without compression.

    Raises:
        RedirectError: The server leads on to another one.
        OversizedError: There was more than is read; reading the response raises it, too.
    """
    request.headers["Accept-Encoding"] = "identity"
    control = Control()
    try:
        response = control.on_socket(lambda: handle(request), _headers_within_s(request))
    except http.TransportError as error:
        if control.overdue:
            raise http.ReadTimeout("the headers did not come in time", request=request) from None
        if _TOO_MANY_HEADERS.search(str(error)):
            raise errors.OversizedError("the headers of its answer do not end") from None
        raise
    try:
        _require_same_origin(response, httpx.URL(str(request.url)))
        _bind(http, response)
    except errors.RequestError:
        response.close()
        raise
    return response


def _headers_within_s(request: httpx.Request) -> float:
    """Return the seconds in which all of the headers have to come.

    httpx counts a timeout anew with each byte.
    """
    timeouts = request.extensions.setdefault("timeout", {})
    if timeouts.get("read") is None:
        timeouts["read"] = SILENCE_S
    return sum(timeouts.get(part) or SILENCE_S for part in ("connect", "write", "read"))


def _require_same_origin(response: httpx.Response, asked: httpx.URL) -> None:
    """Return, unless a response leads on to another scheme, host or port.

    httpx takes `Authorization` out of a request to another host, and nothing else: neither
    `x-api-key`, `x-goog-api-key` and `api-key` nor the prompt.
    """
    if not response.has_redirect_location:
        return
    to = target_of(response, asked)
    if to is None or _origin(to) != _origin(asked):
        told = Text("it leads on to {address}", address=shown(to))
        raise errors.RedirectError(told, status=response.status_code)


def target_of(response: httpx.Response, asked: httpx.URL) -> httpx.URL | None:
    """Return the address that a redirect leads on to, or None where it is none.

    httpx would read one without a host, such as "http:///path", as of the same host and another
    port.
    """
    try:
        url = httpx.URL(response.headers["Location"])
        if url.scheme and not url.host:
            return None
        return asked.join(url)
    except (httpx.InvalidURL, ValueError):
        return None


def shown(url: httpx.URL | None) -> str:
    """Return the origin of an address; what else is in it may be anything, such as the key."""
    if url is None:
        return "?"
    return one_line(f"{url.scheme}://{url.netloc.decode('ascii')}")[:LONGEST_ADDRESS]


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _bind(http: Any, response: httpx.Response) -> None:
    """Let a response be read within bounds, and unpacked here where it is compressed after all."""
    stream: Any = response.stream
    body: Iterable[bytes] = stream
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        body = _unpacked(http, body, coding)
        del response.headers["Content-Encoding"]
    if response.status_code in OK_STATUSES:
        in_lines = bool(_LINES.search(response.headers.get("Content-Type", "")))
        pieces = _within_bounds(body, in_lines=in_lines)
    else:
        pieces = _beginning(body)
    response.stream = _stream_class(http)(pieces, stream)


@functools.cache
def _stream_class(http: Any) -> Any:
    return type("BoundStream", (_Stream, http.SyncByteStream), {})


class _Stream:
    """Pieces of a body, and the stream that they are made of, which holds the connection."""

    def __init__(self, pieces: Generator[bytes], source: Any) -> None:
        self._pieces = pieces
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        finally:  # not left to the collector, which can come while httpcore holds its lock
            self.close()

    def close(self) -> None:
        with suppress(ValueError):  # it is being read
            self._pieces.close()
        self._source.close()


def _within_bounds(pieces: Iterable[bytes], *, in_lines: bool) -> Generator[bytes]:
    """Pass on an answer.

    Raises:
        OversizedError: There is more of it than is read, or one line of it has no end.
    """
    taken_bytes = line_bytes = blank_bytes = 0
    for piece in pieces:
        taken_bytes += len(piece)
        if taken_bytes > MOST_BYTES:
            told = Text("it is longer than {limit} MB", limit=_mb(MOST_BYTES))
            raise errors.OversizedError(told)
        if in_lines:
            if b"\n" not in piece:
                line_bytes += len(piece)
            else:
                line_bytes = 0
                blank_bytes = 0 if b"{" in piece else blank_bytes + len(piece)
            if line_bytes > MOST_LINE_BYTES:
                told = Text("a line of it is longer than {limit} MB", limit=_mb(MOST_LINE_BYTES))
                raise errors.OversizedError(told)
            if blank_bytes > MOST_BLANK_BYTES:
                told = Text("{limit} MB of it say nothing", limit=_mb(MOST_BLANK_BYTES))
                raise errors.OversizedError(told)
        yield piece


def _mb(count: int) -> str:
    return f"{count / 1_000_000:g}"


def _beginning(pieces: Iterable[bytes]) -> Generator[bytes]:
    """Pass on the beginning of a refusal, up to a space: half a key would not be masked."""
    left_bytes = MOST_ERROR_BYTES
    for piece in pieces:
        if len(piece) > left_bytes:
            yield piece[:left_bytes].rpartition(b" ")[0]
            return
        left_bytes -= len(piece)
        yield piece


def _unpacked(http: Any, pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """Unpack a body that is compressed although nobody asked for it, as some servers do.

    httpx unpacks each piece as a whole, 64 kB into 64 MB.

    Raises:
        OversizedError: It is compressed in a way that cannot be unpacked a little at a time.
        DecodingError: It is not what it says.
    """
    if coding not in ("gzip", "x-gzip", "deflate"):
        told = Text("it is compressed ({coding}), which nobody asked for", coding=one_line(coding))
        raise errors.OversizedError(told)
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # of either kind, by its header
    try:
        for packed in pieces:
            rest = packed
            while rest and not unpack.eof:
                if piece := unpack.decompress(rest, MOST_UNPACKED_BYTES):
                    yield piece
                rest = unpack.unconsumed_tail
    except zlib.error as error:
        raise http.DecodingError(str(error)) from None
