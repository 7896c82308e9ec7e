"""How the practice provider sends its answers, over tornado's HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.practice.answers import Chat, chunks

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection

    from openhands_llm_magic.llm.practice.models import Headers, Model


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer about to be sent, or, with `cut`, the first half of it."""

    chat: Chat
    model: Model
    pause_s: float
    cut: bool
    headers: Headers = ()

    @property
    def text(self) -> str:
        """All of it."""
        return self.model.answer(self.chat.prompt)


async def send_json(
    connection: HTTP1Connection,
    body: dict[str, Any],
    *,
    status: int = 200,
    headers: Headers = (),
    cut: bool = False,
) -> None:
    """Send a body whole, or half of it."""
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
    events = list(chunks(answer.chat, answer.text, word_by_word=answer.model.word_by_word))
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
