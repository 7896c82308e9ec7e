"""Faults of an answer that begins, or should, and does not arrive whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from model_server import Cut, Hang, Raw, Refuse
from model_server.steps import Answer

from faults.fault import Fault
from openhands_llm_magic import errors
from openhands_llm_magic.llm.practice.dialects import DIALECTS as WIRE

if TYPE_CHECKING:
    from faults.fault import Dialect

PARTIAL = "Hello from "
"""What arrives of the server's usual answer before it breaks off."""

LOST = "no complete answer came (the connection was lost in its middle); gave up after 4 retries."
ENDED = "no complete answer came (the answer ended before the model had finished it); gave up"
UNREADABLE = "no complete answer came (a part of the answer could not be read); gave up"
SAID = "no complete answer came (The model refused); gave up after 4 retries."
TOO_LONG = (
    "Input does not fit in context length. The input has 31430 tokens, but the context length only"
    " supports 30000 tokens."
)
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}


def in_each(answer: Answer, old: bytes = b"", new: bytes = b"") -> dict[Dialect, Raw]:
    """Write an answer in each dialect, with some of its bytes replaced once."""
    raws: dict[Dialect, Raw] = {}
    for dialect in ("openai", "anthropic", "gemini", "ollama"):
        wire = WIRE[dialect]
        stream = wire.stream(answer, "a-model")
        body = b"".join([stream.opening, *stream.chunks, stream.finish, stream.end])
        raws[dialect] = Raw(body.replace(old, new, 1), wire.stream_type)
    return raws


def event(told: object, named: str = "") -> Raw:
    """Write one event in place of an answer, in OpenAI's dialect."""
    return Raw(f"{named}data: {json.dumps(told)}\n\n".encode(), "text/event-stream")


def not_streamed(answer: Answer) -> Raw:
    """Write an answer in OpenAI's dialect as if nobody had asked for a stream."""
    return Raw(json.dumps(WIRE["openai"].whole(answer, "a-model")).encode(), "application/json")


ERROR_EVENTS = (
    Fault(
        name="an error event first: a rate limit",
        steps=Refuse(429, after_chunks=0),
        dialects=("openai", "anthropic", "gemini"),
        error=errors.RateLimitError,
        shown="still rate limited (The model refused); gave up after 4 retries.",
    ),
    Fault(
        name="an error event first: the server failed",
        steps=Refuse(500, after_chunks=0),
        error=errors.ServerError,
        shown="the server failed (The model refused); gave up after 4 retries.",
    ),
    Fault(
        name="an error event first: want of credit",
        steps=Refuse(429, code="insufficient_quota", after_chunks=0),
        dialects=("openai",),
        error=errors.QuotaError,
        shown="the account has no credit left (The model refused).",
    ),
    Fault(
        name="an error event first: want of credit, as a number",
        steps=event({"error": {"code": 402, "message": "Insufficient credits"}}),
        dialects=("openai",),
        error=errors.QuotaError,
        shown="the account has no credit left (Insufficient credits).",
        decisive=True,
    ),
    Fault(
        name="an error event first: want of credit, as text",
        steps=event({"error": {"code": "402", "message": "Insufficient credits"}}),
        dialects=("openai",),
        error=errors.QuotaError,
        shown="the account has no credit left (Insufficient credits).",
    ),
    Fault(
        name="an error event first: a prompt that is too long",
        steps=Refuse(400, code="context_length_exceeded", after_chunks=0),
        dialects=("openai",),
        error=errors.ContextLengthError,
        shown="the prompt is longer than {model} takes (The model refused).",
    ),
    Fault(
        name="an error event first: a prompt that is too long, by words",
        steps=Refuse(400, message="prompt is too long: 208310 tokens > 200000", after_chunks=0),
        error=errors.ContextLengthError,
        shown="the prompt is longer than {model} takes (prompt is too long: 208310 tokens > 200000",
    ),
    Fault(
        name="an event named error: a prompt that is too long",
        steps=event(
            {"error": {"message": TOO_LONG}, "message": TOO_LONG},
            named="event: error\n",
        ),
        dialects=("openai",),
        error=errors.ContextLengthError,
        shown=f"the prompt is longer than {{model}} takes ({TOO_LONG.rstrip('.')}).",
        decisive=True,
    ),
    Fault(
        name="an error event in mid-stream by want of credit",
        steps=Refuse(402, code="insufficient_quota", after_chunks=2),
        dialects=("openai",),
        error=errors.QuotaError,
        shown="the account has no credit left (The model refused).",
        text=PARTIAL,
    ),
    Fault(
        name="an error event in mid-stream",
        steps=Refuse(500, after_chunks=2),
        error=errors.BrokenAnswerError,
        shown=SAID,
        text=PARTIAL,
    ),
    Fault(
        name="an error event in mid-stream that names a wait",
        steps=Refuse(429, details=(RETRY_INFO,), after_chunks=2),
        dialects=("gemini",),
        error=errors.BrokenAnswerError,
        shown=SAID,
        server_wait_s=37,
        text=PARTIAL,
    ),
    Fault(
        name="an error event in mid-stream by the content filter",
        steps=Refuse(400, code="content_filter", after_chunks=2),
        dialects=("openai",),
        error=errors.ContentFilterError,
        shown="the provider's content filter withheld the answer (The model refused).",
        text=PARTIAL,
    ),
)

CUTS = (
    Fault(
        name="a stream cut in the middle",
        steps=Cut(how="abort"),
        error=errors.BrokenAnswerError,
        shown=LOST,
        text=PARTIAL,
        decisive=True,
    ),
    Fault(
        name="a stream cut before its first chunk",
        steps=Cut(how="abort", after_chunks=0),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (the connection was lost before the answer began); gave up",
    ),
    Fault(
        name="a stream that ends with its connection, too early",
        steps=Cut(how="close"),
        error=errors.BrokenAnswerError,
        shown=ENDED,
        text=PARTIAL,
    ),
    Fault(
        name="a stream without a finish_reason",
        steps=Cut(how="no_finish"),
        error=errors.BrokenAnswerError,
        shown=ENDED,
        text=PARTIAL,
        decisive=True,
    ),
    Fault(
        name="silence in mid-stream until the timeout",
        steps=Hang(after_chunks=2),
        dialects=("openai",),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (no more of the answer came in time); gave up",
        text=PARTIAL,
        settings={"timeout": 1},
        takes_seconds=True,
    ),
)

UNREADABLE_BODIES = (
    Fault(
        name="a chunk of malformed JSON",
        steps=in_each(Answer("one two three"), b'"two "', b'"two '),
        error=errors.BrokenAnswerError,
        shown=UNREADABLE,
        text="one ",
    ),
    Fault(
        name="a number of thousands of digits",
        steps=in_each(Answer("one two three"), b'"two "', b'"two ", "n": ' + b"9" * 5000),
        error=errors.BrokenAnswerError,
        shown=UNREADABLE,
        text="one ",
        decisive=True,
    ),
    Fault(
        name="a body that is no stream: a web page",
        steps=Raw(b"<h1>Welcome</h1>", "text/html"),
        error=errors.AddressError,
        shown="no model answers at {base_url} (a page for people came: Welcome). Check",
    ),
    Fault(
        name="an error in place of a stream: a wrong path",
        steps=Raw(
            b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}',
            "application/json; charset=utf-8",
        ),
        dialects=("openai",),
        error=errors.AddressError,
        shown="no model answers at {base_url} (Unexpected endpoint or method. (POST",
        decisive=True,
    ),
    Fault(
        name="an answer that is not streamed",
        steps=not_streamed(Answer()),
        dialects=("openai",),
        error=None,
        text=Answer().text,
        finish_reason="stop",
    ),
    Fault(
        name="an empty body",
        steps=Cut(how="empty"),
        error=errors.BrokenAnswerError,
        shown="no complete answer came (the model sent an empty answer); gave up",
    ),
)

FAULTS = (*ERROR_EVENTS, *CUTS, *UNREADABLE_BODIES)
