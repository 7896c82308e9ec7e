"""Two dialects that are like no other: Bedrock's Converse and Ollama's older generate.

The forms follow AWS' and Ollama's API references.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

from model_server.dialects import Dialect, Ollama, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.steps import Answer, Refuse


class Bedrock(Dialect):
    """Converse; a stream is a series of binary messages ("application/vnd.amazon.eventstream")."""

    stream_type = "application/vnd.amazon.eventstream"
    reasons: ClassVar[Mapping[str, str]] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "content_filter": "content_filtered",
        "tool_calls": "tool_use",
    }

    def stream(self, answer: Answer, model: str) -> Stream:  # noqa: ARG002 - it does not name it
        chunks = tuple(
            _message("contentBlockDelta", contentBlockIndex=0, delta={"text": piece})
            for piece in answer.pieces
        )
        finish = _message("contentBlockStop", contentBlockIndex=0)
        if answer.finish_reason:
            finish += _message("messageStop", stopReason=self.reason(answer))
        if answer.usage:
            finish += _message("metadata", usage=self._usage(answer), metrics={"latencyMs": 1})
        return Stream(_message("messageStart", role="assistant"), chunks, finish, b"")

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:  # noqa: ARG002 - see above
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": answer.whole}]}},
            "stopReason": self.reason(answer),
            "usage": self._usage(answer),
        }

    def error(self, refuse: Refuse) -> dict[str, Any]:
        return {"message": refuse.message}

    def error_event(self, refuse: Refuse) -> bytes:
        return refuse.body or _message("throttlingException", "exception", message=refuse.message)

    def _usage(self, answer: Answer) -> dict[str, int]:
        prompt, completion = answer.usage or (0, 0)
        counts = {"inputTokens": prompt, "outputTokens": completion}
        return counts | {"totalTokens": prompt + completion}


class OllamaGenerate(Ollama):
    """Ollama's generate: a bare text in place of a message."""

    def _head(self, model: str, content: str, **more: str) -> dict[str, Any]:
        chat = super()._head(model, "")
        del chat["message"]
        return chat | {"response": content} | more


def _message(event: str, kind: str = "event", **data: object) -> bytes:
    """Write one message: lengths, headers and payload, each part with its checksum."""
    named = {":message-type": kind, f":{kind}-type": event, ":content-type": "application/json"}
    headers = b"".join(_header(name, value) for name, value in named.items())
    payload = json.dumps(data).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: str, value: str) -> bytes:
    text = 7  # the type of its value
    head = struct.pack(">B", len(name)) + name.encode()
    return head + struct.pack(">BH", text, len(value)) + value.encode()
