"""The practice provider: a model server for trying things out, with no account and no network.

It is a real HTTP server on 127.0.0.1 that speaks OpenAI's chat-completions protocol, and it is not
a language model: each of its `MODELS` shows one thing that happens with real ones, such as a rate
limit. One more, `embed`, makes vectors. The same request always gets the same answer. A model that
fails does so for each conversation (model and messages) anew, and starts again after the answer, so
that a cell that is run twice behaves the same twice; only `metered` goes by the clock.
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
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, cast

from openhands_llm_magic.llm.litellm.clients import ours
from openhands_llm_magic.llm.practice import answers, models

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.http1connection import HTTP1Connection
    from tornado.httputil import HTTPServerRequest


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
        return self.model.answer(self.chat.prompt)


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
    events = list(answers.chunks(answer.chat, answer.text, word_by_word=answer.model.word_by_word))
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
    from tornado.httputil import HTTPHeaders, ResponseStartLine  # noqa: PLC0415 - as in `practice`

    connection.stream.set_nodelay(True)  # a small piece is sent now, not with the next one
    start_line = ResponseStartLine("HTTP/1.1", status, HTTPStatus(status).phrase)
    await connection.write_headers(start_line, HTTPHeaders(headers))


HOST = "127.0.0.1"


class PracticeServer:
    """A practice provider on its own thread, from `start` to `stop`; also a context manager.

    Args:
        port: The port to listen on; 0 takes a free one.
        key: The API key that requests must bring; None makes a random one.
        pause_s: Seconds between two words of the model `slow`.
        now: Gives the seconds by which `metered` goes.

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
    ) -> None:
        self.port = port
        self.key = key or secrets.token_urlsafe()
        self._pause_s = pause_s
        self._now = now
        self._failures: dict[str, int] = {}
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
        # Not tornado.web: it takes 50 ms to import, and its access log would print into a cell.
        from tornado.httpserver import HTTPServer  # noqa: PLC0415 - only a started server needs it

        server = HTTPServer(self._accept)
        server.add_socket(listener)
        await self._stopping.wait()
        server.stop()
        await server.close_all_connections()

    def _accept(self, request: HTTPServerRequest) -> None:
        """Answer a request in a task that ends when the client goes away."""
        connection = cast("HTTP1Connection", request.connection)
        task = asyncio.get_running_loop().create_task(self._respond(request, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def cancel() -> None:
            task.cancel()

        connection.set_close_callback(cancel)

    async def _respond(self, request: HTTPServerRequest, connection: HTTP1Connection) -> None:
        from tornado.iostream import StreamClosedError  # noqa: PLC0415 - as in `_serve`

        response = self._decide(request)
        try:
            match response:
                case models.Refusal(status, headers=headers):
                    await send_json(connection, response.body, status=status, headers=headers)
                case Answer(chat=answers.Chat(stream=True)):
                    await send_stream(connection, response)
                case Answer(chat, text=text):
                    await asyncio.sleep(response.pause_s * len(text.split()))
                    body = answers.completion(chat, text)
                    await send_json(connection, body, headers=response.headers, cut=response.cut)
                case body:
                    await send_json(connection, body)
        except StreamClosedError:
            pass  # the client went away: nobody is left to be told

    def _decide(self, request: HTTPServerRequest) -> Answer | models.Refusal | dict[str, Any]:
        """Return what to send."""
        sent = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(sent, f"Bearer {self.key}".encode()):
            return models.BAD_KEY
        match request.method, request.path:
            case "GET", "/v1/models":
                return answers.model_list()
            case "POST", "/v1/chat/completions":
                chat = answers.read_chat(request.body)
                return chat if isinstance(chat, models.Refusal) else self._reply(chat)
            case "POST", "/v1/embeddings":
                return answers.embedded(request.body)
            case method, path:
                return answers.unknown_path(str(method), path)

    def _reply(self, chat: answers.Chat) -> Answer | models.Refusal:
        """Return what the model does with a request: it answers, refuses, or breaks off."""
        if (model := models.MODELS.get(chat.model)) is None:
            return answers.unknown_model(chat.model)
        fault, headers = self._next_fault(chat, model), self._headers(model)
        if isinstance(headers, models.Refusal):
            return headers
        if isinstance(fault, models.Refusal):
            return fault
        pause_s = self._pause_s if model.word_by_word else 0
        return Answer(chat, model, pause_s, cut=isinstance(fault, models.Cut), headers=headers)

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
