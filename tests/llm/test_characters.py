"""Characters that a server sends in halves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import Answer, Raw
from sending import DIALECTS, send

from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.conversations import Characters, whole
from openhands_llm_magic.llm.reply import fold

if TYPE_CHECKING:
    from model_server import ModelServer

units = st.lists(st.sampled_from(["a", "\ud83d", "\ude00", "é", "😀", "\ufeff", ""]))
"""Pieces of texts as JSON can write them."""


@given(units)
def test_a_text_in_pieces_becomes_what_it_is_in_one(pieces: list[str]) -> None:
    characters = Characters()
    joined = "".join(map(characters.feed, pieces)) + characters.flush()
    assert joined == whole("".join(pieces))
    assert joined.encode().decode() == joined


@given(st.text())
def test_whole_characters_stay(text: str) -> None:
    assert whole(text) == text
    halved: str = json.loads(json.dumps(list(text)))  # each in ASCII
    assert whole("".join(halved)) == text


def test_halves_are_joined_and_one_alone_is_lost() -> None:
    assert whole("a\ud83d\ude00b\ud83d \ude00") == "a😀b\ufffd \ufffd"


@pytest.mark.usefixtures("litellm")
@pytest.mark.parametrize("provider", DIALECTS)
def test_a_character_in_two_pieces_of_an_answer(model_server: ModelServer, provider: str) -> None:
    answer = Answer(chunks=("Hi \ud83d", "\ude00 there\ud83d", " and \ude00 there\ud83d"))
    text = fold(send(model_server, answer, provider)).text
    assert text == "Hi 😀 there\ufffd and \ufffd there\ufffd"


@pytest.mark.usefixtures("litellm", "set_up")
def test_half_a_character_in_a_prompt_can_be_sent(model_server: ModelServer) -> None:
    assert ask("Hi \ud83d there \ud83d\ude00").text
    assert model_server.received[0].body["messages"][0]["content"] == "Hi \ufffd there 😀"


@pytest.mark.usefixtures("litellm")
def test_an_answer_at_once_may_arrive_in_pieces_that_end_anywhere(
    model_server: ModelServer,
) -> None:
    """As a long one does from a server that does not stream."""
    text = "日本語の答え" * 50_000
    said = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    model_server.script(Raw(json.dumps(said, ensure_ascii=False).encode(), "application/json"))
    reply = ask(
        "Hello", model="openai/a", base_url=model_server.base_for("openai"), api_key="sk-0123456789"
    )
    assert (len(reply.text), reply.text.count("\ufffd")) == (len(text), 0)
