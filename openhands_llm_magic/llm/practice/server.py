"""The practice provider: a model server for trying things out, with no account and no network.

It is a real HTTP server on 127.0.0.1 that speaks as each provider does (`routes.py` says at which
address), and it is not a language model: each of its `MODELS` shows one thing that happens with
real ones, such as a rate limit. One more, `embed`, makes vectors. Below a provider's name any other
model answers, too, as `echo`. The same request always gets the same answer. A model that
fails does so for each conversation (model and messages) anew, and starts again after the answer, so
that a cell that is run twice behaves the same twice; only `metered` goes by the clock.

Any program of this machine, and any page in its browser, can knock at it. Who has not shown the key
gets a refusal and takes up next to nothing: the headers are looked at first, and the body of a
request that they do not allow is thrown away as it arrives.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
import threading
import time
from http.client import responses as REASONS  # noqa: N812 - a table
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

# Not tornado.web: it takes 50 ms to import, and its access log would print into a cell.
from tornado.http1connection import (
    HTTP1Connection,
    HTTP1ConnectionParameters,
    HTTP1ServerConnection,
)
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import add_accept_handler

from openhands_llm_magic.config.providers import is_loopback
from openhands_llm_magic.llm.litellm.clients import ours
from openhands_llm_magic.llm.practice import models
from openhands_llm_magic.llm.practice.responses import Page, Pieces, Responder
from openhands_llm_magic.llm.practice.routes import base_path, keys_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from openhands_llm_magic.llm.practice.wire import Refuse

MAX_HEADER_BYTES = 16_384
"""A client's headers take less than a thousand bytes, and some hundreds more with a long key."""

MAX_BODY_BYTES = 32 * 2**20
"""Room for a prompt with some pictures; a longer one is refused with status 413."""

MAX_BUFFER_BYTES = 2**20
"""What one connection may hold that is not read yet: many times the pieces that tornado reads."""

MAX_CONNECTIONS = 128
"""Connections at once, several times what many prompts at once open; others are closed at once."""

PATIENCE_S = 60
"""Headers, and then a body, have to arrive within this time; nobody waits so long on loopback."""


async def send_page(connection: HTTP1Connection, page: Page) -> None:
    """Send a response: all of it, or half of it and then hang up."""
    await asyncio.sleep(page.pause_s)
    data = page.body
    head = {"Content-Type": "application/json", "Content-Length": str(len(data)), **page.headers}
    await _send_head(connection, page.status, head)
    if page.cut:
        await connection.write(data[: len(data) // 2])
        connection.close()
    else:
        await connection.write(data)
        connection.finish()


async def send_pieces(connection: HTTP1Connection, pieces: Pieces) -> None:
    """Send a stream, each piece flushed; without a length, tornado sends them chunked."""
    stream = pieces.stream
    await _send_head(connection, 200, {"Cache-Control": "no-cache", **pieces.headers})
    middle = stream.chunks[: len(stream.chunks) // 2] if pieces.cut else stream.chunks
    for piece in (stream.opening, *middle):
        await connection.write(piece)
        await asyncio.sleep(pieces.pause_s)
    if pieces.cut and not pieces.error:
        connection.close()  # no last chunk of length 0: the client can tell that this is no end
    else:
        await connection.write(pieces.error or stream.finish + stream.end)
        connection.finish()


async def _send_head(connection: HTTP1Connection, status: int, headers: dict[str, str]) -> None:
    connection.stream.set_nodelay(True)  # a small piece is sent now, not with the next one
    start_line = ResponseStartLine("HTTP/1.1", status, REASONS.get(status, "Refused"))
    await connection.write_headers(start_line, HTTPHeaders(headers))


HOST = "127.0.0.1"


class _Incoming(HTTPMessageDelegate):
    """One request as it arrives; its body is kept only where its headers allow it.

    Args:
        check: Says what is wrong with a request by its headers, or None.
        answer: Answers the request, once it is there, with the refusal or by its body.
    """

    def __init__(
        self,
        check: Callable[[RequestStartLine, HTTPHeaders], Refuse | None],
        answer: Callable[[RequestStartLine, Refuse | bytes], asyncio.Task[None]],
    ) -> None:
        self._check = check
        self._answer = answer
        self._body = bytearray()

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Look at the headers before any of the body is read; one that is too long never is."""
        self._start_line = cast("RequestStartLine", start_line)
        self._refusal = self._check(self._start_line, headers)
        is_too_large = self._refusal == models.TOO_LARGE
        return self._answer(self._start_line, models.TOO_LARGE) if is_too_large else None

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, or throw it away."""
        if self._refusal is None:
            self._body += chunk

    def finish(self) -> None:
        """Answer the request, all of which is there."""
        self._answer(self._start_line, self._refusal or bytes(self._body))


class PracticeServer(HTTPServerConnectionDelegate):
    """A practice provider on its own thread, from `start` to `stop`; also a context manager.

    Args:
        port: The port to listen on; 0 takes a free one.
        key: The API key that requests must bring; None makes a random one.
        pause_s: Seconds between two words of the model `slow`.
        now: Gives the seconds by which `metered` goes.
        patience_s: Seconds within which the headers and then the body of a request have to arrive.

    Attributes:
        port: The port, known once the server is started.
        key: The API key.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        key: str | None = None,
        pause_s: float = 0.25,
        now: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.port = port
        self.key = key or secrets.token_urlsafe()
        self._responder = Responder(pause_s, now)
        self._parameters = HTTP1ConnectionParameters(
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
            header_timeout=patience_s,
            body_timeout=patience_s,
        )
        self._connections: set[HTTP1ServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """The URL for the setting `base_url`."""
        return f"http://{HOST}:{self.port}/v1"

    def base_url_for(self, provider: str, acts_as: str = "", *, with_key: bool = False) -> str:
        """Return the URL that stands in for a provider's own.

        Args:
            provider: The provider's name in the catalogue.
            acts_as: The practice model that each model acts as there; "" for what its name says.
            with_key: Whether the key is in it, for a client that sends none.
        """
        key = self.key if with_key else ""
        return f"http://{HOST}:{self.port}{base_path(provider, acts_as, key)}"

    @property
    def alive(self) -> bool:
        """Whether it answers; False in a forked child, where no other thread lives on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Listen, and answer on a daemon thread; nothing happens when it runs already.

        Raises:
            OSError: The port is taken, or not allowed.
        """
        if self.alive:
            return
        # Bound on this thread, whose caller gets the error; connections wait to be accepted.
        listener = socket.create_server((HOST, self.port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        with ours():  # it logs which kind of loop it is
            self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and end the thread; nothing happens when it is not running."""
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        stop_accepting = add_accept_handler(listener, self._connect)
        await self._stopping.wait()
        stop_accepting()
        listener.close()
        for connection in [*self._connections]:
            await connection.close()

    def _connect(self, connected: socket.socket, _address: object) -> None:
        """Read the requests of a connection, unless there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            connected.close()
            return
        stream = IOStream(connected, max_buffer_size=MAX_BUFFER_BYTES)
        connection = HTTP1ServerConnection(stream, self._parameters)
        self._connections.add(connection)
        connection.start_serving(self)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection that is closed."""
        self._connections.discard(cast("HTTP1ServerConnection", server_conn))

    def start_request(self, server_conn: object, request_conn: object) -> HTTPMessageDelegate:  # noqa: ARG002 - tornado's
        """Take a request that begins; it is answered in a task that ends when the client leaves."""
        connection = cast("HTTP1Connection", request_conn)

        def answer(start_line: RequestStartLine, got: Refuse | bytes) -> asyncio.Task[None]:
            response = self._responder.respond(start_line.method, start_line.path, got)
            return self._start(connection, self._respond(response, connection))

        return _Incoming(self._refusal, answer)

    def _start(
        self, connection: HTTP1Connection, response: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(response)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def cancel() -> None:
            task.cancel()

        connection.set_close_callback(cancel)
        return task

    async def _respond(self, response: Page | Pieces, connection: HTTP1Connection) -> None:
        try:
            if isinstance(response, Page):
                await send_page(connection, response)
            else:
                await send_pieces(connection, response)
        except StreamClosedError:
            pass  # the client went away: nobody is left to be told

    def _refusal(self, start_line: RequestStartLine, headers: HTTPHeaders) -> Refuse | None:
        """Return what is wrong with a request by its headers, or None."""
        if not _is_for_this_machine(headers.get_list("Host")):
            return models.BAD_HOST
        shown = keys_in(headers, start_line.path)
        if not any(hmac.compare_digest(each.encode(), self.key.encode()) for each in shown):
            return models.BAD_KEY
        length = headers.get("Content-Length", "")
        is_too_large = length.isdecimal() and int(length) > MAX_BODY_BYTES
        return models.TOO_LARGE if is_too_large else None


def _is_for_this_machine(hosts: list[str]) -> bool:
    """Return whether a request names this machine as its host, once, on whatever port.

    A page of another site whose name was made to lead here ("DNS rebinding") names that site: the
    browser takes the answers for the site's own, and the page may read them.
    """
    try:
        name = urlsplit(f"//{hosts[0]}").hostname if len(hosts) == 1 else None
    except ValueError:  # a broken IPv6 address
        return False
    return bool(name) and name not in UNSPECIFIED and is_loopback(str(name))


UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - nothing is bound to them
"""Addresses that lead to this machine, too; no client of ours uses them, and pages have."""
