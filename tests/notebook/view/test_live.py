"""The live area of an answer that is still arriving: how it is cut, and what a kernel sends."""

from __future__ import annotations

import html
import json
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, ModelServer

from openhands_llm_magic.notebook.view.live import live_html

if TYPE_CHECKING:
    from kernel import Kernel, Ran

PATIENCE_S = 10

PARTS = 5
SENTENCE = "A request that fails for a *passing* reason is sent again after a `wait`. "


def part(number: int) -> str:
    """10 kB of Markdown whose last words tell them from the others."""
    text = f"## Part {number}\n\n" + (SENTENCE * 5 + "\n\n") * 27
    return f"{text[:9_900]}\n\nThis ends part {number}.\n\n"


def text_of(shown: str) -> str:
    return re.sub("<[^>]*>", "", shown)


def ask(
    kernel: Kernel, server: ModelServer, chunks: list[str], options: str = ""
) -> tuple[Ran, list[str]]:
    """Stream an answer, each chunk when the one before is shown; give those that never were."""
    seen = [threading.Event() for _ in chunks]
    late: list[str] = []

    def wait_until_shown(sent: int) -> None:
        if not seen[sent - 1].wait(PATIENCE_S):
            late.append(chunks[sent - 1])

    def look(message: dict[str, Any]) -> None:
        if message["header"]["msg_type"] == "update_display_data":
            shown = text_of(message["content"]["data"].get("text/html", ""))
            for chunk, event in zip(chunks, seen, strict=True):
                if shown.split()[-2:] == chunk.split()[-2:]:
                    event.set()

    server.script(Answer(chunks=tuple(chunks), between_chunks=wait_until_shown))
    kernel.run("key = 'sk-of-the-test'")
    line = f"%%llm -m openai/test --base-url {server.openai_base} --api-key $key {options}"
    return kernel.run(f"{line}\nHello", on_message=look), late


def test_a_long_answer_is_shown_as_it_arrives(kernel: Kernel, model_server: ModelServer) -> None:
    """Each piece is shown before the next is sent, for at most 2.2 times its bytes; then all."""
    chunks = [part(number) for number in range(1, PARTS + 1)]
    ran, late = ask(kernel, model_server, chunks)

    assert late == []
    (final,) = ran.outputs
    assert final["text/plain"].strip() == "".join(chunks).strip()
    assert text_of(final["text/html"]).count("This ends part") == PARTS
    assert "kB above" not in final["text/html"]
    shown = [m for m in ran.messages if m["header"]["msg_type"] == "update_display_data"][:-1]
    assert "… 9.9 kB above …" not in str(shown[0])
    assert re.search(r"… 4\d\.\d kB above …", str(shown[-1]))
    parts = ("header", "parent_header", "metadata", "content")
    sent = sum(len(json.dumps(m[p], default=str)) for m in shown for p in parts)
    assert sent <= 2.2 * len("".join(chunks))


def test_a_short_answer_is_shown_whole(kernel: Kernel, model_server: ModelServer) -> None:
    chunks = ["Here it begins. ", f"{SENTENCE * 5} It goes on. ", "It nears its ", "very end."]
    ran, late = ask(kernel, model_server, chunks)

    assert late == []
    shown = [each for each in ran.updates if "asking" not in each]
    assert len(shown) > len(chunks)
    assert all("Here it begins." in each for each in shown)
    assert len(ran.outputs) == 1


@pytest.mark.parametrize("room", range(20, 200, 20))
def test_the_end_of_an_answer_begins_where_something_begins(room: int) -> None:
    """With a paragraph if there is one nearby, else with a line, else with a word."""
    words = [f"word{number}" for number in range(270)]
    text = "\n\n".join(" ".join(words[at : at + 9]) for at in range(0, 270, 9))
    told, first, *rest = live_html_words(text, room)

    start = text.index(first)
    assert [first, *rest] == text[start:].split()
    assert len(text) - room <= start <= len(text) - room / 2 + 2
    assert float(told) == pytest.approx(start / 1000, abs=0.06)
    if "\n\n" in text[-room : -room // 2]:
        assert text[start - 2 : start] == "\n\n"


def live_html_words(text: str, room: int) -> list[str]:
    """Give how many kilobytes are above the end that is shown, and the words of that."""
    _, kilobytes, _, _, _, *words = text_of(live_html(text, room).replace("<", " <")).split()
    return [kilobytes, *words]


CODE = "\n".join(f"line_{number} = [{number}]" for number in range(100))


@pytest.mark.parametrize(
    ("before", "in_code"),
    [
        ("```python\n", True),
        ("1. Do this:\n\n   ```python\n", True),
        ("~~~\n", True),
        ("````markdown\n```python\n```\n", True),
        ("```\na\n```\n\n", False),
        ("~~~\n```\n~~~\n\n", False),
        ("Say `a` and ```b```.\n\n", False),
    ],
)
def test_a_cut_in_a_code_block_leaves_code(before: str, *, in_code: bool) -> None:
    """What is code in the whole answer is code in its end, and nothing else is."""
    shown = live_html(f"{before}{CODE}", 500)
    assert ("<pre>" in shown) is in_code


def test_code_has_no_colours_yet() -> None:
    """They would make the updates four times as long."""
    assert "<span" not in live_html(f"```python\n{CODE}\n```", 10_000)


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_what_is_no_markdown_is_shown_as_it_stands(
    kernel: Kernel, model_server: ModelServer, form: str
) -> None:
    """Its lines keep their ends and its stars their places."""
    chunks = ["# A *starred* word\n    <b> and more", "\n- of text", " and its end."]
    ran, late = ask(kernel, model_server, chunks, f"-f {form}")

    assert late == []
    arriving = [each for each in ran.updates if "*starred*" in each]
    assert html.escape(f"{chunks[0]}{chunks[1]}") in arriving[-2]


def test_the_end_of_a_text_is_shown_as_it_stands() -> None:
    shown = live_html(f"```\n{CODE}", 500, is_markdown=False)
    assert re.search(r"kB above .*<pre>line_\d", shown, re.DOTALL)


def test_half_a_character_is_no_harm() -> None:
    """A chunk may end within a surrogate pair."""
    assert "kB above" in live_html("one two three \ud83d" * 10, 50)
