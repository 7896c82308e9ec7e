"""One connection of a `ModelServer`: reads requests, logs them and plays their steps."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from model_server.steps import Answer, Cut, Hang, Raw, Refuse, Step
from openhands_llm_magic.llm.practice import embeddings
from openhands_llm_magic.llm.practice.rare_dialects import ALL as DIALECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.server import HTTPServer
    from openhands_llm_magic.llm.practice.dialects import Stream

OF_VECTORS: Mapping[str, str] = {
    "/embeddings": "openai",
    ":batchEmbedContents": "gemini",
    "/api/embed": "ollama",
    "/invoke": "bedrock",
}
"""The end of a path that asks for vectors, and the dialect there."""

EMBEDDING_TOKENS = 7

ENDPOINTS = {
    **OF_VECTORS,
    "/chat/completions": "openai",
    "/v1/messages": "anthropic",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
    "/api/chat": "ollama",
    "/api/generate": "ollama_generate",
    "/responses": "responses",
    "/converse": "bedrock",
    "/converse-stream": "bedrock",
}
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived.

    Attributes:
        at_s: When, on `time.monotonic`.
        path: With its query.
        headers: By lower-case name.
        body: The parsed JSON, or None for an empty body.
        dialect: "openai", "anthropic", "gemini", "ollama", "ollama_generate", "bedrock",
            "responses", or "" when it asks no model.
        hung_up: Set when the client closes the connection before the end of the answer.
    """

    at_s: float
    path: str
    headers: Mapping[str, str]
    body: Any
    dialect: str
    hung_up: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def streams(self) -> bool:
        """Whether the request asks for a stream; Ollama streams unless told not to."""
        match self.dialect:
            case _ if _asks_for_vectors(self.path):
                return False
            case "gemini":
                return ":streamGenerateContent" in self.path
            case "bedrock":
                return self.path.endswith("-stream")
            case dialect:
                return bool(self.body.get("stream", dialect.startswith("ollama")))

    @property
    def model(self) -> str:
        """The model asked for; Gemini and Bedrock have it in the path."""
        part = -2 if self.dialect == "bedrock" else -1
        named = self.path.split("/")[part].split(":")[0]
        return str(self.body.get("model", named))


class Handler(BaseHTTPRequestHandler):
    """Plays one step for each request of a connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HTTPServer

    def do_GET(self) -> None:
        """Answer what is no question to a model, such as a list of models."""
        self.do_POST()

    def do_POST(self) -> None:
        """Log the request and play its step."""
        at_s = time.monotonic()
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client left in the middle of its request
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        dialect = _dialect(self.path)
        received = Received(at_s, self.path, headers, json.loads(body or b"null"), dialect)
        try:
            if dialect:
                self._play(self.server.owner.next_step(received), received)
            else:
                self.server.owner.asides.append(received)
                self._aside()
        except ConnectionError:
            self.close_connection = True
            if not self.server.owner.stopping:
                received.hung_up.set()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _aside(self) -> None:
        if urlsplit(self.path).path.endswith("/api/show"):
            self._send(200, b'{"model_info": {}, "capabilities": ["completion"]}')
        else:
            self._send(404, b'{"error": {"message": "Not found.", "code": "not_found"}}')

    def _play(self, step: Step, received: Received) -> None:
        dialect = DIALECTS[received.dialect]
        match step:
            case Answer() if received.streams:
                stream = self._begin(step, received)
                self._end(stream.finish + stream.end)
            case Answer():
                kind = step.content_type or "application/json"
                self._send(200, _whole(step, received), step.headers, kind)
            case Refuse(after_chunks=int(count)) if received.streams:
                self._begin(step.of, received, count)
                self._end(dialect.error_event(step))
            case Refuse():
                body = json.dumps(dialect.error(step)).encode() if step.body is None else step.body
                self._send(step.status, body, step.headers)
            case Cut():
                self._cut(step, received)
            case Raw():
                self._send(step.status, step.body, step.headers, step.content_type)
            case Hang():
                if received.streams and step.after_chunks:
                    self._begin(step.of, received, step.after_chunks)
                self._await_hang_up()

    def _cut(self, step: Cut, received: Received) -> None:
        count = 2 if step.after_chunks is None else step.after_chunks
        match step.how:
            case "empty":
                self._send(200, b"", content_type=DIALECTS[received.dialect].stream_type)
            case "done_only":
                end = _stream(step.of, received).end if received.streams else b""
                self._send(200, end, content_type=DIALECTS[received.dialect].stream_type)
            case "no_finish":
                answer = replace(step.of, finish_reason=None)
                if received.streams:
                    answer = replace(answer, chunks=step.of.pieces[:count], usage=None)
                self._play(answer, received)
            case "reset":
                if received.streams and step.after_chunks:
                    self._begin(step.of, received, step.after_chunks)
                self._reset()
            case "abort" | "close":
                if received.streams:
                    self._begin(step.of, received, count, chunked=step.how == "abort")
                else:
                    body = _whole(step.of, received)
                    length = {"Content-Length": str(len(body))} if step.how == "abort" else {}
                    self._head(200, step.of.headers, "application/json", length)
                    self._write(body[: len(body) // 2])
                self.close_connection = True

    def _send(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] = NO_HEADERS,
        content_type: str = "application/json",
    ) -> None:
        self._head(status, headers, content_type, {"Content-Length": str(len(body))})
        self._write(body)

    def _head(
        self, status: int, headers: Mapping[str, str], content_type: str, framing: Mapping[str, str]
    ) -> None:
        """Write the status line and the headers; `framing` says where the body ends."""
        # A Date of the step's own replaces the server's.
        dated = "date" in map(str.lower, headers)
        (self.send_response_only if dated else self.send_response)(status)
        for name, value in {"Content-Type": content_type, **headers, **framing}.items():
            self.send_header(name, value)
        if self.close_connection or not framing:
            self.send_header("Connection", "close")
        self.end_headers()

    def _begin(
        self, answer: Answer, received: Received, count: int | None = None, *, chunked: bool = True
    ) -> Stream:
        """Stream an answer's first `count` chunks (None: all), without its end."""
        stream = _stream(answer, received)
        kind = answer.content_type or DIALECTS[received.dialect].stream_type
        framing = {"Transfer-Encoding": "chunked"} if chunked else {}
        self._head(200, answer.headers, kind, framing)
        write = self._chunk if chunked else self._write
        write(stream.opening)
        for sent, chunk in enumerate(stream.chunks[:count], start=1):
            write(chunk)
            if answer.between_chunks is not None:
                answer.between_chunks(sent)
        return stream

    def _end(self, last: bytes) -> None:
        self._chunk(last)
        self._write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        if data:  # an empty chunk would end the body
            self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def _write(self, data: bytes) -> None:
        """Write, unless the client hung up: the first write after that would seem to succeed."""
        with suppress(BlockingIOError):
            if not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                raise ConnectionAbortedError
        self.wfile.write(data)

    def _await_hang_up(self) -> None:
        self.connection.recv(1)
        raise ConnectionAbortedError

    def _reset(self) -> None:
        """Close with a reset: no lingering, and no orderly shutdown before it."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.rfile.close()  # it holds the socket open
        self.connection.close()


def _dialect(path: str) -> str:
    """Name the dialect of a request to a model, or "" when the path is none."""
    for end, dialect in ENDPOINTS.items():
        if urlsplit(path).path.endswith(end):
            return dialect
    return ""


def _asks_for_vectors(path: str) -> bool:
    return urlsplit(path).path.endswith(tuple(OF_VECTORS))


def _stream(answer: Answer, received: Received) -> Stream:
    options = received.body.get("stream_options") or {}
    told = "/mistral/" in received.path or options.get("include_usage")
    if received.dialect == "openai" and not told:  # Mistral counts unasked
        answer = replace(answer, usage=None)
    return DIALECTS[received.dialect].stream(answer, received.model)


def _whole(answer: Answer, received: Received) -> bytes:
    dialect, model = received.dialect, received.model
    if _asks_for_vectors(received.path):
        count = len(embeddings.texts_in(dialect, received.body) or [""])
        vectors = [[index + 0.5, -0.5] for index in range(count)]
        told = embeddings.written(dialect, model, vectors, EMBEDDING_TOKENS)
        if "data" in told:
            told["data"].reverse()  # the order of the list is not what counts
        return json.dumps(told).encode()
    return json.dumps(DIALECTS[dialect].whole(answer, model)).encode()
