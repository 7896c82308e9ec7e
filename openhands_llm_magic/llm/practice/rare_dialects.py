"""Dialects that are like no other: Bedrock's Converse, Ollama's older generate, and Responses.

The forms follow the API references of AWS, Ollama and OpenAI.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

from openhands_llm_magic.llm.practice.dialects import Dialect, Ollama, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.llm.practice.wire import Answer, Refuse


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
            message("contentBlockDelta", contentBlockIndex=0, delta={"text": piece})
            for piece in answer.pieces
        )
        finish = message("contentBlockStop", contentBlockIndex=0)
        if answer.finish_reason:
            finish += message("messageStop", stopReason=self.reason(answer))
        if answer.usage:
            finish += message("metadata", usage=self._usage(answer), metrics={"latencyMs": 1})
        return Stream(message("messageStart", role="assistant"), chunks, finish, b"")

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:  # noqa: ARG002 - see above
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": answer.whole}]}},
            "stopReason": self.reason(answer),
            "usage": self._usage(answer),
        }

    def error(self, refuse: Refuse) -> dict[str, Any]:
        return {"message": refuse.message}

    def error_event(self, refuse: Refuse) -> bytes:
        return refuse.body or message("throttlingException", "exception", message=refuse.message)

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


def message(event: str, kind: str = "event", **data: object) -> bytes:
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


class Responses(Dialect):
    """OpenAI's Responses API, the only one that some of its models have."""

    def stream(self, answer: Answer, model: str) -> Stream:
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        chunks = tuple(
            self._event("response.output_text.delta", delta=piece, **place)
            for piece in answer.pieces
        )
        begun = self._response(answer, model, "in_progress")
        opening = self._event("response.created", response=begun)
        ending = "completed" if answer.finish_reason == "stop" else "incomplete"
        last = self._event(f"response.{ending}", response=self._response(answer, model, ending))
        return Stream(opening, chunks, last if answer.finish_reason else b"", b"")

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:
        return self._response(answer, model, "completed")

    def error(self, refuse: Refuse) -> dict[str, Any]:
        error = {"message": refuse.message, "type": "invalid_request_error", "code": refuse.code}
        return {"error": error | {"param": None}}

    def error_event(self, refuse: Refuse) -> bytes:
        return refuse.body or self._event("error", **self.error(refuse))

    def _response(self, answer: Answer, model: str, status: str) -> dict[str, Any]:
        text = {"type": "output_text", "text": answer.whole, "annotations": []}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        reasons = {"length": "max_output_tokens"}
        incomplete = {"reason": reasons.get(answer.finish_reason or "", answer.finish_reason)}
        tokens = dict(zip(("input_tokens", "output_tokens"), answer.usage or (), strict=False))
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": status,
            "model": model,
            "output": [message | {"content": [text]}] if status != "in_progress" else [],
            "incomplete_details": incomplete if status == "incomplete" else None,
            "usage": tokens | {"total_tokens": sum(tokens.values())} if tokens else None,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def _event(self, kind: str, **data: Any) -> bytes:
        told = {"type": kind, "sequence_number": 0} | data
        return f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode()
