"""The lines of a streamed body come through with their JSON whole, or the answer is broken."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import LITELLM_MODELS, Answer, ModelServer, Raw
from sending import failure, request_to, send

from openhands_llm_magic import errors
from openhands_llm_magic.llm.events import TextDelta, Usage
from openhands_llm_magic.llm.litellm import send as litellm_send
from openhands_llm_magic.llm.litellm.cost import usage_from
from openhands_llm_magic.llm.litellm.stream import NO_DATA, whole_lines
from openhands_llm_magic.llm.practice.dialects import DIALECTS as WIRE

SEPARATORS = "\u2028\u2029\x85"
"""Ends of lines to `str.splitlines`, and so to httpx, that JSON allows in a text."""

texts = st.text(st.sampled_from(f"a \"'\\{{}}[]:,\n{SEPARATORS}\N{GRINNING FACE}"), max_size=9)
objects = st.dictionaries(st.sampled_from("abc"), texts, min_size=1)
each_provider = pytest.mark.parametrize("provider", LITELLM_MODELS)
each_prefix = pytest.mark.parametrize("prefix", ["data: ", "data:", ""])


@each_prefix
@given(sent=st.lists(objects, max_size=4))
def test_every_object_arrives(prefix: str, sent: list[dict[str, str]]) -> None:
    """As it was sent, but that one separator may stand for another."""
    body = "".join(f"{prefix}{json.dumps(one, ensure_ascii=False)}\n\n" for one in sent)
    came = [data for _, data in whole_lines(body.splitlines()) if data is not NO_DATA]

    def alike(data: object) -> str:
        return re.sub(r"\\u2029|\\x85|\\u0085", r"\\u2028", json.dumps(data))

    assert [alike(data) for data in came] == [alike(one) for one in sent]


@each_prefix
@given(sent=st.lists(objects, min_size=1, max_size=4), data=st.data())
def test_a_cut_object_does_not_pass(
    prefix: str, sent: list[dict[str, str]], data: st.DataObject
) -> None:
    """Wherever it is cut, in the first line or the last."""
    lines = [json.dumps(one) for one in sent]
    cut = data.draw(st.integers(0, len(lines) - 1))
    lines[cut] = lines[cut][: data.draw(st.integers(2, len(lines[cut]) - 1))]
    with pytest.raises(ValueError, match=r"line 1 column"):
        list(whole_lines(f"{prefix}{line}" for line in lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["event: ping", ": comment", "", "data: [DONE]", "data: keep-alive", "data:"],
        ["[{", '  "candidates": [', '    {"x": 1}', "  ]", "}", "]"],
        ["<h1>", "Welcome", "</h1>"],
        [b'data: {"a', {"a": 1}, '{"a": 1}\n{"a"', None],
    ],
)
def test_what_is_no_object_on_a_line_passes(lines: list[object]) -> None:
    assert list(whole_lines(lines)) == [(line, NO_DATA) for line in lines]


def streamed(provider: str, text: str, old: bytes, new: bytes) -> Raw:
    """Write an answer as a provider streams it, with some of its bytes replaced."""
    dialects = {"anthropic": "anthropic", "gemini": "gemini", "ollama_chat": "ollama"}
    wire = WIRE[dialects.get(provider, "openai")]
    stream = wire.stream(Answer(text), "a-model")
    body = b"".join([stream.opening, *stream.chunks, stream.finish, stream.end])
    assert old in body
    return Raw(body.replace(old, new), wire.stream_type)


@pytest.mark.usefixtures("litellm")
@each_provider
def test_separators_in_an_answer_are_not_lost(model_server: ModelServer, provider: str) -> None:
    """LiteLLM would drop the rest of the line."""
    escaped = json.dumps(SEPARATORS).strip('"').encode()
    raw = streamed(provider, f"one{SEPARATORS}two three", escaped, SEPARATORS.encode())
    events = send(model_server, raw, provider)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert re.fullmatch(f"one[{SEPARATORS}]{{3}}two three", text)


@pytest.mark.usefixtures("litellm")
@each_provider
def test_a_hole_in_an_answer_is_no_success(model_server: ModelServer, provider: str) -> None:
    """LiteLLM drops a chunk that it cannot read and goes on, on most paths."""
    raw = streamed(provider, "one two three", b'"two "', b'"two ')
    error = failure(model_server, raw, provider)
    assert type(error) is errors.BrokenAnswerError
    assert str(error) == "a part of the answer could not be read"


CHOICE = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}
CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "choices": [CHOICE]}


odd_parts = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # LiteLLM's own


@odd_parts
@pytest.mark.usefixtures("litellm")
@pytest.mark.parametrize(
    ("provider", "event"),
    [
        ("gemini", {"candidates": 5}),
        ("gemini", {"candidates": [{"content": 5}]}),
        ("gemini", {"candidates": [{"content": {"parts": 5}}]}),
        ("openai", CHUNK | {"choices": 5}),
        ("openai", CHUNK | {"usage": {"prompt_tokens": 1, "completion_tokens": "many"}}),
        ("anthropic", {"type": "content_block_delta", "index": 0, "delta": 5}),
        ("anthropic", {"type": "message_start", "message": 5}),
    ],
)
def test_a_part_of_another_type_is_one_that_cannot_be_read(
    model_server: ModelServer, provider: str, event: dict[str, object]
) -> None:
    """It is not told in Python's words, nor ends the prompt with an error of Python's."""
    raw = Raw(f"data: {json.dumps(event)}\n\n".encode(), "text/event-stream")
    error = failure(model_server, raw, provider)
    assert type(error) is errors.BrokenAnswerError
    assert str(error) == "a part of the answer could not be read"


@odd_parts
@pytest.mark.usefixtures("litellm")
@pytest.mark.parametrize("more", [{"model": 5}, {"model": ["m"]}, {"usage": 5}])
def test_what_an_answer_tells_of_itself_may_be_anything(
    model_server: ModelServer, more: dict[str, object]
) -> None:
    """The answer has been paid for."""
    raw = Raw(f"data: {json.dumps(CHUNK | more)}\n\n".encode(), "text/event-stream")
    model_server.script(raw)
    request = request_to(model_server)
    response = litellm_send.send(request, lambda _event: None)
    assert response.error is None
    assert response.model is None or isinstance(response.model, str)


@pytest.mark.parametrize("odd", ["many", None, -5, [1], {}, float("inf"), float("nan")])
def test_a_count_that_cannot_be_one_is_none(odd: object) -> None:
    counted = {"prompt_tokens": 3, "completion_tokens": odd, "cache_creation_input_tokens": odd}
    details = {"completion_tokens_details": {"reasoning_tokens": odd}}
    assert usage_from(counted | details) == Usage(3, 0)
