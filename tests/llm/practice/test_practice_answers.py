"""What the practice provider reads and says, without a server."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openhands_llm_magic.llm.practice.answers import UNREADABLE, Chat, answer_to, pieces, read_chat
from openhands_llm_magic.llm.practice.schemas import fitting
from openhands_llm_magic.llm.practice.wire import Refuse

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=4,
)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {"model": st.just("echo"), "messages": st.lists(st.dictionaries(st.text(), json_values))},
        optional={"stream": json_values, "stream_options": json_values},
    )
)
def test_any_json_is_read_or_refused(request: Any) -> None:
    result = read_chat(json.dumps(request).encode())
    assert isinstance(result, Refuse) == (not request["messages"])


@given(st.text(), st.booleans())
def test_pieces_make_up_the_text(text: str, word_by_word: bool) -> None:
    assert "".join(pieces(text, word_by_word=word_by_word)) == text


def test_long_repetitions_give_no_run_of_equal_pieces() -> None:
    """LiteLLM fails on 100 equal chunks in a row."""
    found = list(pieces("a " * 1000))
    assert all(piece != after for piece, after in pairwise(found))


def test_an_answer_is_cut_off_at_the_limit_of_its_tokens() -> None:
    """A word is a token here; white space stays."""
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    chat = read_chat(json.dumps(body).encode())
    assert isinstance(chat, Chat)
    answer = answer_to(chat, "One  two three", word_by_word=True, how=None)
    assert (answer.whole, answer.finish_reason) == ("One  two", "length")


SCHEMAS: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 5},
    {"type": "integer", "maximum": -3},
    {"type": "number", "exclusiveMinimum": 2, "maximum": 3},
    {"type": "string", "minLength": 20},
    {"type": "string", "maxLength": 3},
    {"type": ["string", "null"]},
    {"enum": ["red", "blue"]},
    {"const": 7},
    {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    {"type": "array", "items": {"type": "number"}, "minItems": 2},
    {"allOf": [{"type": "object"}, {"required": ["a"]}, {"properties": {"a": {"type": "null"}}}]},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"b": {}}}}},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_value_fits_a_schema(schema: dict[str, Any]) -> None:
    import jsonschema  # noqa: PLC0415 - a second, which each process of the tests would take

    jsonschema.validate(fitting(schema), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"$ref": "#/nowhere"},
        {"type": "string", "minLength": "x"},
        {"enum": 5},
    ],
)
def test_a_schema_that_no_answer_fits_is_refused(schema: dict[str, Any]) -> None:
    """As a request of another form, whatever goes wrong."""
    with pytest.raises(UNREADABLE):
        fitting(schema)
