"""Answers that arrive and have no text, and some that look like faults and are none."""

from __future__ import annotations

import json
from typing import Any

from model_server import Answer, Cut, Raw

from faults.fault import Fault
from faults.streams import in_each
from openhands_llm_magic import errors

EMPTY = "no complete answer came (the model sent an empty answer); gave up after 4 retries."
FILTERED = (
    "the provider's content filter withheld the answer (it ended with content_filter). Ask in"
)
USED_UP = "Raise max_output_tokens (now not set, from "
BIG = "x" * 20_000_000


def chunks(*deltas: dict[str, Any], **last: Any) -> Raw:
    """Write a stream of OpenAI's dialect, of which `last` is in the last choice."""
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": delta}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}} | last] if last else [])
    lines = [json.dumps(head | {"choices": choice}) for choice in choices]
    body = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
    return Raw(body.encode(), "text/event-stream")


def gemini(**response: Any) -> Raw:
    """Write a stream of one response in Gemini's dialect."""
    usage = {"usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}}
    return Raw(f"data: {json.dumps(response | usage)}\n\n".encode(), "text/event-stream")


EMPTY_ANSWERS = (
    Fault(
        name="an empty answer",
        steps=Answer(""),
        error=errors.BrokenAnswerError,
        shown=EMPTY,
        decisive=True,
    ),
    Fault(
        name="only [DONE]",
        steps=Cut(how="done_only"),
        dialects=("openai", "anthropic"),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (the ",
    ),
    Fault(
        name="empty choices",
        steps={"openai": chunks(), "gemini": gemini(candidates=[])},
        dialects=("openai", "gemini"),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (the answer ended before the model had finished it); gave",
    ),
    Fault(
        name="null content",
        steps=chunks({"role": "assistant", "content": None}, finish_reason="stop"),
        dialects=("openai",),
        error=errors.BrokenAnswerError,
        shown=EMPTY,
    ),
)

WITHOUT_TEXT = (
    Fault(
        name="content_filter without text",
        steps=Answer("", finish_reason="content_filter"),
        dialects=("openai", "anthropic", "gemini"),
        error=errors.ContentFilterError,
        shown=FILTERED,
        finish_reason="content_filter",
    ),
    Fault(
        name="a prompt that is blocked",
        steps=gemini(promptFeedback={"blockReason": "SAFETY"}),
        dialects=("gemini",),
        error=errors.ContentFilterError,
        shown="the provider's content filter withheld the answer (the prompt was blocked).",
        finish_reason="content_filter",
    ),
    Fault(
        name="length after reasoning only",
        steps=Answer("", reasoning="Hm.", finish_reason="length"),
        error=errors.OutputLimitError,
        shown=f"the answer has no text (all of its 5 tokens went into reasoning). {USED_UP}",
        finish_reason="length",
    ),
    Fault(
        name="length without text or reasoning",
        steps=Answer("", finish_reason="length"),
        error=errors.OutputLimitError,
        shown=f"the answer has no text (all of its 5 tokens were used up before it). {USED_UP}",
        finish_reason="length",
    ),
    Fault(
        name="stop after reasoning only",
        steps=Answer("", reasoning="Hm."),
        error=errors.NoTextError,
        shown="the answer has no text (the model stopped after its reasoning).",
        finish_reason="stop",
    ),
    Fault(
        name="a tool call only",
        steps=chunks(
            {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            finish_reason="tool_calls",
        ),
        dialects=("openai",),
        error=errors.NoTextError,
        shown="the answer has no text (the model asked for a tool, and there is none here).",
        finish_reason="tool_calls",
    ),
)

BROKEN_OFF = (
    Fault(
        name="insufficient_system_resource after some text",
        steps=Answer("The first ", finish_reason="insufficient_system_resource"),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (it ended with insufficient_system_resource); gave up after",
        text="The first ",
        finish_reason="insufficient_system_resource",
        decisive=True,
    ),
    Fault(
        name="a finish reason that is not known",
        steps=Answer("The first ", finish_reason="a_new_reason"),
        error=errors.FinishReasonError,
        shown="the answer may not be whole (it ended with a_new_reason). What came of it is in",
        text="The first ",
        finish_reason="a_new_reason",
        decisive=True,
    ),
)

WITH_TEXT = (
    Fault(
        name="the model's context is full after some text",
        steps=Answer("The first ", finish_reason="model_context_window_exceeded"),
        error=None,
        text="The first ",
        finish_reason="context",
        decisive=True,
    ),
    Fault(
        name="content_filter after some text",
        steps=Answer("The first ", finish_reason="content_filter"),
        dialects=("openai", "anthropic", "gemini"),
        error=None,
        text="The first ",
        finish_reason="content_filter",
    ),
    Fault(
        name="length after some text",
        steps=Answer("The first ", finish_reason="length"),
        error=None,
        text="The first ",
        finish_reason="length",
    ),
    Fault(
        name="100 equal chunks",
        steps=Answer(chunks=("same ",) * 100),
        error=None,
        text="same " * 100,
        finish_reason="stop",
    ),
    Fault(
        name="a chunk of 20 MB",
        steps=Answer(chunks=(BIG,)),
        error=None,
        text=BIG,
        finish_reason="stop",
    ),
    Fault(
        name="a wrong content type",
        steps=Answer("Hello", content_type="text/html"),
        error=None,
        text="Hello",
        finish_reason="stop",
    ),
    Fault(
        name="a line separator (U+2028) in a chunk",
        steps=in_each(Answer("one\u2028two"), rb"\u2028", "\u2028".encode()),
        error=None,
        text="one\u2028two",
        finish_reason="stop",
    ),
)

FAULTS = (*EMPTY_ANSWERS, *WITHOUT_TEXT, *BROKEN_OFF, *WITH_TEXT)
