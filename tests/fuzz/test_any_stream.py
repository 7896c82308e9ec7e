"""Whatever a server streams, over HTTP: an answer, or one line; what came whole comes out whole."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from fuzz.mutating import KEY, as_bytes, mutated, mutated_json
from fuzz.roads import asked
from hypothesis import given
from hypothesis import strategies as st
from model_server import Answer, Cut, ModelServer, Raw
from sending import DIALECTS

from openhands_llm_magic.llm.practice.dialects import DIALECTS as WIRE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("litellm")

DIALECT_OF = {"ollama_chat": "ollama"}
ANSWERS = (
    Answer("Hello.", reasoning="Hm."),
    Answer("Hello.", usage=None),
    Answer(chunks=("a", f" {KEY[:9]}", KEY[9:], " b \u2028"), finish_reason="length"),
    Answer(chunks=(), finish_reason="content_filter", usage=None),
)
PIECES = (
    *("\n", "\r\n", "\n\n", "data: ", "data:", "data: [DONE]\n\n", "event: error\n", ": ping\n"),
    *('"finish_reason": "stop"', '"content": "x"', "retry: 1\n", "id: 1\n", "null", "}", '{"a'),
    *('"usage": {"completion_tokens": -1}', '{"error": {"message": "overloaded"}}', "\\u2028"),
)


def lines_of(provider: str, answer: Answer) -> list[str]:
    """Return the lines of an answer as a provider streams it."""
    wire = WIRE[DIALECT_OF.get(provider, provider)]
    parts = wire.stream(answer, "a-model")
    body = b"".join([parts.opening, *parts.chunks, parts.finish, parts.end])
    return body.decode().splitlines(keepends=True)


def split(line: str) -> tuple[str, Any]:
    """Return what stands before the JSON of a line, and the JSON; None where there is none."""
    prefix, brace, rest = line.partition("{")
    return (prefix, json.loads(brace + rest)) if brace else (line, None)


@st.composite
def bodies(draw: st.DrawFn, provider: str) -> bytes:
    """Return what a provider may stream, with other JSON in its events, or with other bytes."""
    seeds = [lines_of(provider, answer) for answer in ANSWERS]
    if draw(st.integers(0, 3)) == 0:
        return as_bytes(draw(mutated(["".join(lines) for lines in seeds], PIECES)))
    prefixes, events = zip(*map(split, draw(st.sampled_from(seeds))), strict=True)
    told = [event for event in events if event is not None]
    changed = iter(draw(mutated_json([told], most=3).filter(lambda it: isinstance(it, list))))
    written = [
        prefix if event is None else prefix + json.dumps(next(changed, None)) + "\n"
        for prefix, event in zip(prefixes, events, strict=True)
    ]
    return as_bytes("".join(written))


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """One server for all examples."""
    with ModelServer() as running:
        yield running


OF_PYTHON = re.compile(r"object is not|NoneType|of type '|validation error|Traceback|unhashable")
"""Words of Python's own errors, which tell a person nothing."""
CONTENT_TYPES = st.sampled_from(["text/event-stream", "application/json", "text/plain", "x"])
EACH = st.sampled_from(DIALECTS).flatmap(lambda name: st.tuples(st.just(name), bodies(name)))


@given(EACH, st.booleans(), CONTENT_TYPES)
def test_any_stream(
    server: ModelServer, sent: tuple[str, bytes], right: bool, content_type: str
) -> None:
    provider, body = sent
    usual = WIRE[DIALECT_OF.get(provider, provider)].stream_type
    reply = asked(server, Raw(body, usual if right else content_type), provider)
    assert not OF_PYTHON.search(str(reply.error or "")), str(reply.error)
    assert isinstance(reply.text, str)
    assert reply.cost_usd is None or reply.cost_usd >= 0


TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('{}"\\\r\n'), max_size=9)
SEPARATOR = re.compile("[\u2028\u2029\x85]")
"""Ends of lines to httpx, one of which may stand for another."""


def alike(text: str) -> str:
    return SEPARATOR.sub("\u2028", text)


@given(st.lists(TEXT, min_size=1, max_size=6), st.sampled_from(DIALECTS))
def test_any_pieces_arrive_as_they_were_sent(
    server: ModelServer, pieces: list[str], provider: str
) -> None:
    reply = asked(server, Answer(chunks=("x", *pieces)), provider)
    assert reply.error is None
    assert alike(reply.text) == alike("x" + "".join(pieces))


@given(st.integers(0, len(KEY)), st.integers(0, len(KEY)), st.sampled_from(DIALECTS), TEXT)
def test_a_key_in_any_pieces_does_not_show(
    server: ModelServer, one: int, other: int, provider: str, around: str
) -> None:
    """Also where the answer breaks off behind it."""
    first, last = sorted((one, other))
    chunks = (f"{around}{KEY[:first]}", KEY[first:last], f"{KEY[last:]}{around}", "end")
    reply = asked(server, Answer(chunks=chunks), provider)
    assert "**********" in reply.text
    asked(server, Cut(after_chunks=3, of=Answer(chunks=chunks)), provider)
