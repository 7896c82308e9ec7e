"""The practice provider: a model server for trying things out, with no account and no network.

It is a real HTTP server on 127.0.0.1 that speaks OpenAI's chat-completions protocol, and it is not
a language model: each of its `MODELS` shows one thing that happens with real ones, such as a rate
limit. One more, `embed`, makes vectors. The same request always gets the same answer. A model that
fails does so for each conversation (model and messages) anew, and starts again after the answer, so
that a cell that is run twice behaves the same twice; only `metered` goes by the clock.

Any program of this machine, and any page in its browser, can knock at it. Who has not shown the key
gets a refusal and takes up next to nothing: the headers are looked at first, and the body of a
request that they do not allow is thrown away as it arrives.
"""

from __future__ import annotations

import asyncio
import atexit
import hmac
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
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
from openhands_llm_magic.llm.practice import answers, models
from openhands_llm_magic.llm.practice.agent import Agent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

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


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer about to be sent, or, with `cut`, the first half of it."""

    chat: answers.Chat
    model: models.Model
    pause_s: float
    cut: bool
    headers: models.Headers = ()

    @property
    def text(self) -> str:
        """The text of the whole answer."""
        if isinstance(self.model.calls, Agent):
            text = self.model.calls.text(self.chat.request)
            if text is not None:
                return text
        return self.model.answer(self.chat.prompt, self.chat.results)


async def send_json(
    connection: HTTP1Connection,
    body: dict[str, Any],
    *,
    status: int = 200,
    headers: models.Headers = (),
    cut: bool = False,
) -> None:
    """Send the body of a response: all of it, or half of it and then hang up."""
    data = json.dumps(body).encode()
    head = {"Content-Type": "application/json", "Content-Length": str(len(data)), **dict(headers)}
    await _send_head(connection, status, head)
    if cut:
        await connection.write(data[: len(data) // 2])
        connection.close()
    else:
        await connection.write(data)
        connection.finish()


async def send_stream(connection: HTTP1Connection, answer: Answer) -> None:
    """Send server-sent events, each flushed; without a length, tornado sends them chunked."""
    model = answer.model
    events = list(
        answers.chunks(answer.chat, answer.text, word_by_word=model.word_by_word, how=model.calls)
    )
    if answer.cut:
        events = events[: len(events) // 2]
    head = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    await _send_head(connection, 200, head | dict(answer.headers))
    for event in events:
        await connection.write(f"data: {json.dumps(event)}\n\n".encode())
        await asyncio.sleep(answer.pause_s)
    if answer.cut:
        connection.close()  # no last chunk of length 0: the client can tell that this is no end
    else:
        await connection.write(b"data: [DONE]\n\n")
        connection.finish()


async def _send_head(connection: HTTP1Connection, status: int, headers: dict[str, str]) -> None:
    connection.stream.set_nodelay(True)  # a small piece is sent now, not with the next one
    start_line = ResponseStartLine("HTTP/1.1", status, HTTPStatus(status).phrase)
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
        check: Callable[[HTTPHeaders], models.Refusal | None],
        answer: Callable[[RequestStartLine, models.Refusal | bytes], asyncio.Task[None]],
    ) -> None:
        self._check = check
        self._answer = answer
        self._body = bytearray()

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Look at the headers before any of the body is read; one that is too long never is."""
        self._start_line = cast("RequestStartLine", start_line)
        self._refusal = self._check(headers)
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
        self._pause_s = pause_s
        self._now = now
        self._parameters = HTTP1ConnectionParameters(
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
            header_timeout=patience_s,
            body_timeout=patience_s,
        )
        self._connections: set[HTTP1ServerConnection] = set()
        self._failures: dict[str, int] = {}
        self._prompt_before = ""
        self._takes_at_s: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """The URL for the setting `base_url`."""
        return f"http://{HOST}:{self.port}/v1"

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

        def answer(start_line: RequestStartLine, got: models.Refusal | bytes) -> asyncio.Task[None]:
            response = self._decide(start_line, got) if isinstance(got, bytes) else got
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

    async def _respond(
        self, response: Answer | models.Refusal | dict[str, Any], connection: HTTP1Connection
    ) -> None:
        try:
            match response:
                case models.Refusal(status, headers=headers):
                    await send_json(connection, response.body, status=status, headers=headers)
                case Answer(chat=answers.Chat(stream=True)):
                    await send_stream(connection, response)
                case Answer(chat, text=text):
                    await asyncio.sleep(response.pause_s * len(text.split()))
                    body = answers.completion(chat, text, response.model.calls)
                    await send_json(connection, body, headers=response.headers, cut=response.cut)
                case body:
                    await send_json(connection, body)
        except StreamClosedError:
            pass  # the client went away: nobody is left to be told

    def _refusal(self, headers: HTTPHeaders) -> models.Refusal | None:
        """Return what is wrong with a request by its headers, or None."""
        if not _is_for_this_machine(headers.get_list("Host")):
            return models.BAD_HOST
        if not hmac.compare_digest(
            headers.get("Authorization", "").encode(), f"Bearer {self.key}".encode()
        ):
            return models.BAD_KEY
        length = headers.get("Content-Length", "")
        is_too_large = length.isdecimal() and int(length) > MAX_BODY_BYTES
        return models.TOO_LARGE if is_too_large else None

    def _decide(
        self, start_line: RequestStartLine, body: bytes
    ) -> Answer | models.Refusal | dict[str, Any]:
        """Return what to send to who has the key."""
        match start_line.method, start_line.path.partition("?")[0]:
            case "GET", "/v1/models":
                return answers.model_list()
            case "POST", "/v1/chat/completions":
                chat = answers.read_chat(body)
                return chat if isinstance(chat, models.Refusal) else self._reply(chat)
            case "POST", "/v1/embeddings":
                return answers.embedded(body)
            case method, path:
                return answers.unknown_path(method, path)

    def _reply(self, chat: answers.Chat) -> Answer | models.Refusal:
        """Return what the model does with a request: it answers, refuses, or breaks off."""
        if (model := models.MODELS.get(chat.model)) is None:
            return answers.unknown_model(chat.model)
        if model.fault == models.NO_TOOLS:
            return models.NO_TOOLS if chat.has_tools else Answer(chat, model, 0, cut=False)
        if isinstance(model.calls, Agent):
            if why := model.calls.refusal(chat.request):
                return models.Refusal(400, why, "invalid_request_error")
            chat = self._remembered(chat, model.calls)
        fault, headers = self._next_fault(chat, model), self._headers(model)
        if isinstance(headers, models.Refusal):
            return headers
        if isinstance(fault, models.Refusal):
            return fault
        pause_s = self._pause_s if model.word_by_word else 0
        return Answer(chat, model, pause_s, cut=isinstance(fault, models.Cut), headers=headers)

    def _remembered(self, chat: answers.Chat, agent: Agent) -> answers.Chat:
        """Return a request as an agent reads it; the prompt before it is in its cache."""
        read = replace(chat, prompt_tokens=agent.read(chat.prompt_tokens))
        before, self._prompt_before = self._prompt_before, chat.digest
        if before == chat.digest and agent.caches(chat.prompt_tokens):
            return replace(read, cached_tokens=read.prompt_tokens)
        return read

    def _next_fault(
        self, chat: answers.Chat, model: models.Model
    ) -> models.Refusal | models.Cut | None:
        """Return what befalls a conversation this time in place of an answer, or None; count it."""
        failures = self._failures.pop(chat.digest, 0)
        if failures >= model.fault_count:
            return None
        self._failures[chat.digest] = failures + 1
        return model.fault

    def _headers(self, model: models.Model) -> models.Headers | models.Refusal:
        """Return what the answer of a metered model tells, or the refusal if it is too early."""
        now_s = self._now()
        if not model.every_s or (early_s := self._takes_at_s.get(model.name, 0) - now_s) <= 0:
            self._takes_at_s[model.name] = now_s + model.every_s
            return models.metered(model)
        return models.too_early(early_s)


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


class _Shared:
    """The server of the whole process, and the lock held while it starts."""

    lock = threading.Lock()
    server: PracticeServer | None = None


def running() -> PracticeServer:
    """Return the process's own practice server, started if it is not running.

    It ends with the process. A forked child gets its own.

    Raises:
        OSError: No port could be opened.
    """
    with _Shared.lock:
        if _Shared.server is None or not _Shared.server.alive:
            server = PracticeServer()
            server.start()
            atexit.register(server.stop)
            _Shared.server = server
        return _Shared.server


def _unlock_in_child() -> None:
    """Replace the lock: the thread that held it is not in the child."""
    _Shared.lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_unlock_in_child)
