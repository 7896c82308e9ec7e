"""Dialects that are like no other: Bedrock's Converse, Ollama's older generate, and Responses.

The forms follow the API references of AWS, Ollama and OpenAI.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

from openhands_llm_magic.llm.practice.dialects import DIALECTS, Dialect, Ollama, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.llm.practice.wire import Answer, Call, Refuse


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
        last = 0
        for call in answer.calls:
            ended = message("contentBlockStop", contentBlockIndex=last)
            last += 1
            tool_use = {"toolUseId": call.id, "name": call.name}
            chunks += (
                ended
                + message("contentBlockStart", contentBlockIndex=last, start={"toolUse": tool_use}),
            )
            chunks += tuple(
                message(
                    "contentBlockDelta",
                    contentBlockIndex=last,
                    delta={"toolUse": {"input": piece}},
                )
                for piece in call.pieces
            )
        finish = message("contentBlockStop", contentBlockIndex=last)
        if answer.finish_reason:
            finish += message("messageStop", stopReason=self.reason(answer))
        if answer.usage:
            finish += message("metadata", usage=self._usage(answer), metrics={"latencyMs": 1})
        return Stream(message("messageStart", role="assistant"), chunks, finish, b"")

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:  # noqa: ARG002 - see above
        content: list[dict[str, Any]] = [
            {"toolUse": {"toolUseId": each.id, "name": each.name, "input": each.data or {}}}
            for each in answer.calls
        ]
        if answer.whole or not content:
            content.insert(0, {"text": answer.whole})
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": self.reason(answer),
            "usage": self._usage(answer),
        }

    def error(self, refuse: Refuse) -> dict[str, Any]:
        return {"message": refuse.message}

    def error_event(self, refuse: Refuse) -> bytes:
        return refuse.body or message("throttlingException", "exception", message=refuse.message)

    def _usage(self, answer: Answer) -> dict[str, int]:
        prompt, completion = answer.usage or (0, 0)
        counts = {"inputTokens": prompt - answer.cached_tokens, "outputTokens": completion}
        cached = {"cacheReadInputTokens": answer.cached_tokens} if answer.cached_tokens else {}
        return counts | {"totalTokens": prompt + completion} | cached


class OllamaGenerate(Ollama):
    """Ollama's generate: a bare text in place of a message."""

    def _head(self, model: str, content: str, **more: str) -> dict[str, Any]:
        chat = super()._head(model, "")
        del chat["message"]
        return chat | {"response": content} | more

    def _calling(self, head: dict[str, Any], calls: Sequence[Call]) -> dict[str, Any]:  # noqa: ARG002 - it knows none
        return head


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
        place = {"item_id": f"msg_{answer.id}", "output_index": 0, "content_index": 0}
        chunks = tuple(
            self._event("response.output_text.delta", delta=piece, **place)
            for piece in answer.pieces
        )
        for index, call in enumerate(answer.calls, 1 if answer.whole else 0):
            chunks += self._call_events(call, index)
        begun = self._response(answer, model, "in_progress")
        opening = self._event("response.created", response=begun)
        ending = "completed" if answer.finish_reason in ("stop", "tool_calls") else "incomplete"
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
        message = {"id": f"msg_{answer.id}", "type": "message", "role": "assistant"}
        said = message | {"status": "completed", "content": [text]}
        output = [said] if answer.whole or not answer.calls else []
        output += [self._call(each, each.arguments) for each in answer.calls]
        reasons = {"length": "max_output_tokens"}
        incomplete = {"reason": reasons.get(answer.finish_reason or "", answer.finish_reason)}
        tokens = dict(zip(("input_tokens", "output_tokens"), answer.usage or (), strict=False))
        counted = {
            "total_tokens": sum(tokens.values()),
            "input_tokens_details": {"cached_tokens": answer.cached_tokens},
        }
        return {
            "id": f"resp_{answer.id}",
            "object": "response",
            "created_at": 1,
            "status": status,
            "model": model,
            "output": output if status != "in_progress" else [],
            "incomplete_details": incomplete if status == "incomplete" else None,
            "usage": tokens | counted if tokens else None,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def _call_events(self, call: Call, index: int) -> tuple[bytes, ...]:
        """Write a call: it is there, its arguments come in pieces, it is whole."""
        place = {"item_id": f"fc_{call.id}", "output_index": index}
        begun = {"output_index": index, "item": self._call(call, "", "in_progress")}
        whole = {"output_index": index, "item": self._call(call, call.arguments)}
        done = "response.function_call_arguments.done"
        return (
            self._event("response.output_item.added", **begun),
            *(
                self._event("response.function_call_arguments.delta", delta=piece, **place)
                for piece in call.pieces
            ),
            self._event(done, arguments=call.arguments, **place)
            + self._event("response.output_item.done", **whole),
        )

    def _call(self, call: Call, arguments: str, status: str = "completed") -> dict[str, Any]:
        told = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id}
        return told | {"name": call.name, "arguments": arguments, "status": status}

    def _event(self, kind: str, **data: Any) -> bytes:
        told = {"type": kind, "sequence_number": 0} | data
        return f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode()


ALL: Mapping[str, Dialect] = {
    **DIALECTS,
    "bedrock": Bedrock(),
    "ollama_generate": OllamaGenerate(),
    "responses": Responses(),
}
"""Every dialect by its name."""
