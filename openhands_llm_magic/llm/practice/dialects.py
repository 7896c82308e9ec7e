"""How four families of model providers put an answer and a refusal on the wire.

The forms follow each provider's API reference: OpenAI's chat completions, Anthropic's messages,
Gemini's generateContent and Ollama's chat.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.llm.practice.wire import Answer, Call, Refuse


CREATED_S = 1_735_689_600
"""The `created` of every answer: 2025-01-01 UTC, fixed so that answers stay the same."""

SERVER_ERROR = 500
"""From this status on the server is at fault."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed answer in the parts that can be left out to break it."""

    opening: bytes
    chunks: tuple[bytes, ...]
    finish: bytes
    end: bytes


class Dialect(ABC):
    """One family of providers; `model` is the name that the request asked for."""

    stream_type: ClassVar[str] = "text/event-stream"
    reasons: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def stream(self, answer: Answer, model: str) -> Stream:
        """Write a streamed answer."""

    @abstractmethod
    def whole(self, answer: Answer, model: str) -> dict[str, Any]:
        """Return the JSON of an answer that is not streamed."""

    @abstractmethod
    def error(self, refuse: Refuse) -> dict[str, Any]:
        """Return the JSON of an error."""

    def error_event(self, refuse: Refuse) -> bytes:
        """Write an error inside a stream."""
        return refuse.body or _sse(self.error(refuse))

    def reason(self, answer: Answer) -> str | None:
        """Say why the model stopped in the dialect's own word."""
        reason = answer.finish_reason
        return None if reason is None else self.reasons.get(reason, reason)


class _OpenAI(Dialect):
    """Chat completions, also of Azure and of everything compatible."""

    thinking = ("reasoning_content", "reasoning")  # DeepSeek's name, OpenRouter's name
    kinds: ClassVar[Mapping[int, tuple[str, str | None]]] = {
        401: ("invalid_request_error", "invalid_api_key"),
        404: ("invalid_request_error", "model_not_found"),
        429: ("requests", "rate_limit_exceeded"),
    }

    def stream(self, answer: Answer, model: str) -> Stream:

        head = self._head("chat.completion.chunk", answer, model)
        uncounted = {"usage": None} if answer.usage else {}  # until the last chunk

        def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            return _sse(head | uncounted | {"choices": [choice]})

        opening = event({"role": "assistant", "content": ""})
        if answer.reasoning is not None:
            opening += event(dict.fromkeys(self.thinking, answer.reasoning))
        finish = event({}, self.reason(answer)) if answer.finish_reason else b""
        if answer.usage:
            finish += _sse(head | {"choices": [], "usage": self._usage(answer, *answer.usage)})
        chunks = tuple(event({"content": piece}) for piece in answer.pieces)
        for index, call in enumerate(answer.calls):
            first = call.arguments if call.at_once else ""
            begins = {"index": index} | self._call(call, first)
            chunks += (event({"tool_calls": [begins]}),)
            for piece in () if call.at_once else call.pieces:
                goes_on = {"index": index, "function": {"arguments": piece}}
                chunks += (event({"tool_calls": [goes_on]}),)
        return Stream(opening, chunks, finish, b"data: [DONE]\n\n")

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.whole}
        if answer.calls:
            message["tool_calls"] = [self._call(each, each.arguments) for each in answer.calls]
            message["content"] = answer.whole or None
        if answer.reasoning is not None:
            message |= dict.fromkeys(self.thinking, answer.reasoning)
        reason = self.reason(answer)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        usage = {"usage": self._usage(answer, *answer.usage)} if answer.usage else {}
        return self._head("chat.completion", answer, model) | {"choices": [choice]} | usage

    def error(self, refuse: Refuse) -> dict[str, Any]:
        usual = "server_error" if refuse.status >= SERVER_ERROR else "invalid_request_error"
        kind, code = self.kinds.get(refuse.status, (usual, None))
        code = refuse.code or code
        kind = code if code == "insufficient_quota" else kind
        return {"error": {"message": refuse.message, "type": kind, "param": None, "code": code}}

    def _head(self, kind: str, answer: Answer, model: str) -> dict[str, Any]:
        # LiteLLM's groq path fails without service_tier.
        told = {"id": f"chatcmpl-{answer.id}", "object": kind, "created": CREATED_S}
        return told | {"model": model, "service_tier": "default"}

    def _call(self, call: Call, arguments: str) -> dict[str, Any]:
        named = {} if call.id is None else {"id": call.id}
        function = {"name": call.name, "arguments": arguments}
        return named | {"type": "function", "function": function}

    def _usage(self, answer: Answer, prompt: int, completion: int) -> dict[str, Any]:
        counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
        counts |= {"total_tokens": prompt + completion}
        if answer.cached_tokens:
            counts |= {"prompt_tokens_details": {"cached_tokens": answer.cached_tokens}}
        return counts | ({} if answer.cost_usd is None else {"cost": answer.cost_usd})


class _Anthropic(Dialect):
    """Messages."""

    reasons: ClassVar[Mapping[str, str]] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "content_filter": "refusal",
        "tool_calls": "tool_use",
    }
    kinds: ClassVar[Mapping[int, str]] = {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }

    def stream(self, answer: Answer, model: str) -> Stream:
        head = self.whole(answer, model) | {"content": [], "stop_reason": None}
        opening = self._event("message_start", message=head)
        blocks = self._blocks(answer)
        for index, block in enumerate(blocks):
            kind = block["type"]
            empty: dict[str, Any] = {"type": kind, kind: ""}
            opening += self._event("content_block_start", index=index, content_block=empty)
            if kind == "thinking":
                opening += self._delta(index, kind, block[kind])
                signed = {"type": "signature_delta", "signature": block["signature"]}
                opening += self._event("content_block_delta", index=index, delta=signed)
                opening += self._event("content_block_stop", index=index)
        last = len(blocks) - 1
        chunks = tuple(self._delta(last, "text", piece) for piece in answer.pieces)
        is_open = bool(blocks) and blocks[-1]["type"] == "text"
        for call in answer.calls:
            ended = self._event("content_block_stop", index=last) if is_open else b""
            is_open, last = True, last + 1
            empty = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            begun = self._event("content_block_start", index=last, content_block=empty)
            chunks += (ended + begun,)
            for piece in call.pieces:
                delta = {"type": "input_json_delta", "partial_json": piece}
                chunks += (self._event("content_block_delta", index=last, delta=delta),)
        finish = b""
        if answer.finish_reason:
            end = {"stop_reason": self.reason(answer), "stop_sequence": None}
            usage = {"output_tokens": answer.usage[1]} if answer.usage else {}
            finish = self._event("content_block_stop", index=last)
            finish += self._event("message_delta", delta=end, usage=usage)
        return Stream(opening, chunks, finish, self._event("message_stop"))

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:
        usage = dict(zip(("input_tokens", "output_tokens"), answer.usage or (), strict=False))
        if answer.cached_tokens:
            usage["input_tokens"] -= answer.cached_tokens  # which are counted apart
            usage["cache_read_input_tokens"] = answer.cached_tokens
        calls = [
            {"type": "tool_use", "id": each.id, "name": each.name, "input": each.data or {}}
            for each in answer.calls
        ]
        return {
            "id": f"msg_{answer.id}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [*self._blocks(answer), *calls],
            "stop_reason": self.reason(answer),
            "stop_sequence": None,
            "usage": usage,
        }

    def error(self, refuse: Refuse) -> dict[str, Any]:
        usual = "api_error" if refuse.status >= SERVER_ERROR else "invalid_request_error"
        kind = refuse.code or self.kinds.get(refuse.status, usual)
        return {"type": "error", "error": {"type": kind, "message": refuse.message}}

    def error_event(self, refuse: Refuse) -> bytes:
        return refuse.body or _sse(self.error(refuse), name="error")

    def _blocks(self, answer: Answer) -> list[dict[str, str]]:
        blocks = []
        if answer.reasoning is not None:
            thought = {"type": "thinking", "thinking": answer.reasoning, "signature": "c2ln"}
            blocks.append(thought)
        if answer.whole or not answer.calls:
            blocks.append({"type": "text", "text": answer.whole})
        return blocks

    def _delta(self, index: int, kind: str, text: str) -> bytes:
        delta = {"type": f"{kind}_delta", kind: text}
        return self._event("content_block_delta", index=index, delta=delta)

    def _event(self, kind: str, **data: object) -> bytes:
        return _sse({"type": kind} | data, name=kind)


class _Gemini(Dialect):
    """Google's generateContent and streamGenerateContent with `alt=sse`."""

    reasons: ClassVar[Mapping[str, str]] = {
        "stop": "STOP",
        "length": "MAX_TOKENS",
        "content_filter": "SAFETY",
        "tool_calls": "STOP",
    }
    kinds: ClassVar[Mapping[int, str]] = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }

    def stream(self, answer: Answer, model: str) -> Stream:
        thoughts = self._thoughts(answer)
        opening = _sse(self._response(thoughts, model)) if thoughts else b""
        parts = [*({"text": piece} for piece in answer.pieces), *self._calls(answer)]
        so_far = self._usage(replace(answer, usage=answer.usage and (answer.usage[0], 0)))
        chunks = tuple(_sse(self._response([part], model) | so_far) for part in parts)
        finish = b""
        if answer.finish_reason:
            last = self._response([{"text": ""}], model)
            last["candidates"][0]["finishReason"] = self.reason(answer)
            finish = _sse(last | self._usage(answer))
        return Stream(opening, chunks, finish, b"")

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:
        text = [{"text": answer.whole}] if answer.whole or not answer.calls else []
        parts = [*self._thoughts(answer), *text, *self._calls(answer)]
        response = self._response(parts, model)
        if answer.finish_reason:
            response["candidates"][0]["finishReason"] = self.reason(answer)
        return response | self._usage(answer)

    def error(self, refuse: Refuse) -> dict[str, Any]:
        error: dict[str, Any] = {
            "code": refuse.status,
            "message": refuse.message,
            "status": refuse.code or self.kinds.get(refuse.status, "UNKNOWN"),
        }
        return {"error": error | ({"details": refuse.details} if refuse.details else {})}

    def _response(self, parts: list[dict[str, Any]], model: str) -> dict[str, Any]:
        content = {"role": "model", "parts": parts}
        return {"candidates": [{"index": 0, "content": content}], "modelVersion": model}

    def reason(self, answer: Answer) -> str | None:
        """Say why the model stopped: it sends no call that is no JSON, and says so."""
        is_broken = any(each.data is None for each in answer.calls)
        return "MALFORMED_FUNCTION_CALL" if is_broken else super().reason(answer)

    def _calls(self, answer: Answer) -> list[dict[str, Any]]:
        """Return its calls, which have no names of their own."""
        return [
            {"functionCall": {"name": each.name, "args": each.data}}
            for each in answer.calls
            if each.data is not None
        ]

    def _thoughts(self, answer: Answer) -> list[dict[str, Any]]:
        reasoning = answer.reasoning
        return [] if reasoning is None else [{"text": reasoning, "thought": True}]

    def _usage(self, answer: Answer) -> dict[str, Any]:
        if answer.usage is None:
            return {}
        prompt, candidates = answer.usage
        counts = {"promptTokenCount": prompt, "candidatesTokenCount": candidates}
        counts |= {"totalTokenCount": prompt + candidates}
        cached = {"cachedContentTokenCount": answer.cached_tokens} if answer.cached_tokens else {}
        return {"usageMetadata": counts | cached}


class Ollama(Dialect):
    """Ollama's chat: one line of JSON for each piece; there is no end mark."""

    stream_type = "application/x-ndjson"

    def stream(self, answer: Answer, model: str) -> Stream:
        opening = b""
        if answer.reasoning is not None:
            opening = self._line(self._head(model, "", thinking=answer.reasoning))
        chunks = tuple(self._line(self._head(model, piece)) for piece in answer.pieces)
        for call in answer.calls:
            chunks += (self._line(self._calling(self._head(model, ""), [call])),)
        last = self._head(model, "") | self._finish(answer)
        return Stream(opening, chunks, self._line(last) if answer.finish_reason else b"", b"")

    def whole(self, answer: Answer, model: str) -> dict[str, Any]:
        thinking = {} if answer.reasoning is None else {"thinking": answer.reasoning}
        head = self._head(model, answer.whole, **thinking)
        return self._calling(head, answer.calls) | self._finish(answer)

    def error(self, refuse: Refuse) -> dict[str, Any]:
        return {"error": refuse.message}

    def error_event(self, refuse: Refuse) -> bytes:
        return refuse.body or self._line(self.error(refuse))

    def _head(self, model: str, content: str, **more: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": content} | more
        when = "2026-01-01T00:00:00Z"
        return {"model": model, "created_at": when, "message": message, "done": False}

    def _calling(self, head: dict[str, Any], calls: Sequence[Call]) -> dict[str, Any]:
        """Add calls; the arguments are JSON, or else Ollama itself would have failed."""
        functions = [{"name": each.name, "arguments": each.data or {}} for each in calls]
        if functions:
            head["message"]["tool_calls"] = [{"function": each} for each in functions]
        return head

    def _finish(self, answer: Answer) -> dict[str, Any]:
        usage = dict(zip(("prompt_eval_count", "eval_count"), answer.usage or (), strict=False))
        reason = "stop" if answer.calls else self.reason(answer)
        return ({"done": True, "done_reason": reason} if reason else {}) | usage

    def _line(self, data: dict[str, Any]) -> bytes:
        return json.dumps(data).encode() + b"\n"


DIALECTS: Mapping[str, Dialect] = {
    "openai": _OpenAI(),
    "anthropic": _Anthropic(),
    "gemini": _Gemini(),
    "ollama": Ollama(),
}


def _sse(data: dict[str, Any], *, name: str | None = None) -> bytes:
    event = f"event: {name}\n" if name else ""
    return f"{event}data: {json.dumps(data)}\n\n".encode()
