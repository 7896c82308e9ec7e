"""Conversations: what a prompt goes on from, and where its turn is kept."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import Answer, ModelServer

from openhands_llm_magic.llm.conversations import Conversations

if TYPE_CHECKING:
    from kernel import Kernel


@pytest.fixture
def server(kernel: Kernel, model_server: ModelServer) -> ModelServer:
    """The test server, which the session's settings name."""
    kernel.run(f"%llm_config base_url={model_server.openai_base} model=openai/test")
    kernel.run("key = 'sk-of-the-test'\n%llm_config api_key=$key")
    return model_server


def asked(server: ModelServer) -> list[str]:
    """Return the texts of the person's messages in the last request."""
    messages = server.received[-1].body["messages"]
    return [each["content"] for each in messages if each["role"] == "user"]


def test_what_goes_on_from_a_chat_is_recorded_in_it(kernel: Kernel, server: ModelServer) -> None:
    kernel.run("%llm --chat trip One")
    kernel.run("%llm -c Two")
    kernel.run("%llm -c Three")
    assert asked(server) == ["One", "Two", "Three"]
    assert kernel.run("%llm_chat").stdout == "trip  3 turns  Three\n"
    kernel.run("%llm --chat trip Four")
    assert asked(server) == ["One", "Two", "Three", "Four"]
    kernel.run("%llm Alone")
    kernel.run("%llm -c And on")
    assert asked(server) == ["Alone", "And on"]
    assert kernel.run("%llm_chat").stdout == "trip  4 turns  Four\n"


def test_what_has_nothing_to_go_on_from_says_so(kernel: Kernel, server: ModelServer) -> None:
    note = "there was no answer to go on from (-c): this prompt stood alone"
    assert note in kernel.run("%llm -c One").outputs[0]["text/plain"]
    assert note not in kernel.run("%llm -c Two").outputs[0]["text/plain"]
    kernel.run("%llm_chat --forget")
    assert note in kernel.run("%llm -c --dry-run One").outputs[0]["text/plain"]
    assert server.count == 2


THREADS = """
import threading
shell = get_ipython()
def ask(text):
    shell.run_line_magic("llm", f"--chat many {text}")
threads = [threading.Thread(target=ask, args=(text,)) for text in ("one", "two", "three")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_ask_in_one_chat_lose_nothing(kernel: Kernel, server: ModelServer) -> None:
    server.script(*(Answer(f"Answer {number}.") for number in range(3)))
    assert kernel.run(THREADS).error is None
    kernel.run("%llm --chat many last")
    assert sorted(asked(server)[:3]) == ["one", "three", "two"]
    assert asked(server)[3:] == ["last"]


@given(st.permutations(range(5)))
def test_turns_stand_in_the_order_in_which_they_were_asked(order: list[int]) -> None:
    """However their answers come; a prompt goes on from what was there when it was asked."""
    chats = Conversations()
    places = [chats.begin(name="many") for _ in order]
    for number in order:
        chats.add(places[number], f"prompt {number}", f"answer {number}")
    assert [turn.prompt for turn in chats.named["many"]] == [f"prompt {n}" for n in range(5)]
    assert len(chats.begin(goes_on=True).before) == 5


def test_turns_of_many_threads_are_all_kept() -> None:
    chats = Conversations()

    def ask() -> None:
        for _ in range(200):
            chats.add(chats.begin(name="many"), "prompt", "answer")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(chats.named["many"]) == 1600
    numbers = [turn.number for turn in chats.named["many"]]
    assert numbers == sorted(numbers)


def test_a_chat_that_was_forgotten_begins_anew(kernel: Kernel, server: ModelServer) -> None:
    kernel.run("%llm --chat trip One")
    kernel.run("name = 'trip'\n%llm_chat --forget {name}")
    kernel.run("%llm -c Two")
    assert asked(server) == ["Two"]
    assert "There is no conversation yet" in kernel.run("%llm_chat").stdout
