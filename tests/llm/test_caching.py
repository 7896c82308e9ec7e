"""What is marked to be cached, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.ask import stream
from openhands_llm_magic.llm.conversations import Attachment, content_of

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic.llm.conversations import Message, Part

MARK = {"cache_control": {"type": "ephemeral"}}
CLAUDE = "anthropic/claude-sonnet-4-20250514"
LONG = Attachment("book.txt", "text/plain", b"Call me Ishmael. " * 500)
SHORT = Attachment("note.txt", "text/plain", b"Buy milk.")


def marks_in(value: Any) -> int:
    """Count the marks of a request's body."""
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(marks_in, value.values()))
    return sum(map(marks_in, value)) if isinstance(value, list) else 0


def body_of(
    server: ModelServer, clock: FakeClock, model: str, *, marked: bool = True, **more: Any
) -> Any:
    """Send a system prompt, a long and a short file and a question, and give what arrives."""
    from_bytes = conversations.LONG_BYTES if marked else float("inf")
    parts: list[Part] = [LONG, SHORT, "Who tells it?"]
    content = content_of(parts, cached_from_bytes=from_bytes)
    messages: list[Message] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
    ]
    settings = {"model": model, "api_key": "sk-of-the-test"} | more
    provider = more.get("custom_llm_provider") or model.partition("/")[0]
    address = {"base_url": server.base_for(provider)}
    for _ in stream(messages, load_settings(env={}), clock=clock, **settings | address):
        pass
    [received] = server.received
    return received.body


@pytest.mark.usefixtures("litellm")
def test_a_model_that_uses_marks_gets_them(model_server: ModelServer, clock: FakeClock) -> None:
    """On the system prompt and the long file, in the form that Anthropic takes."""
    body = body_of(model_server, clock, CLAUDE)
    assert body["system"] == [{"type": "text", "text": "Be brief."} | MARK]
    book, question = body["messages"][0]["content"]
    assert book["text"].startswith("book.txt:")
    assert book["cache_control"] == MARK["cache_control"]
    assert question["text"].endswith("Who tells it?")
    assert marks_in(body) == 2


@pytest.mark.usefixtures("litellm")
@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("openai/gpt-4o", {}),
        ("openai/claude-behind-a-gateway", {}),
        ("gemini/gemini-2.5-flash", {}),
        ("ollama_chat/llama3", {}),
        (CLAUDE, {"caching_prompt": False}),
        ("claude-3-7-sonnet", {"custom_llm_provider": "openai"}),
    ],
)
def test_others_get_none(
    model_server: ModelServer, clock: FakeClock, model: str, more: dict[str, Any]
) -> None:
    """Even where earlier turns of a chat were marked for another model."""
    body = body_of(model_server, clock, model, **more)
    assert marks_in(body) == 0
    assert "Who tells it?" in str(body)


@pytest.mark.usefixtures("litellm")
def test_a_proxy_passes_them_on(model_server: ModelServer, clock: FakeClock) -> None:
    body = body_of(model_server, clock, f"litellm_proxy/{CLAUDE}")
    assert marks_in(body) == 2


@pytest.mark.usefixtures("litellm")
def test_a_text_alone_stays_one_text(model_server: ModelServer, clock: FakeClock) -> None:
    """Some servers take no list of parts."""
    body = body_of(model_server, clock, "openai/test", marked=False)
    assert isinstance(body["messages"][1]["content"], str)


@given(st.lists(st.lists(st.booleans(), max_size=4), max_size=6), st.booleans())
def test_no_request_has_more_marks_than_are_taken(turns: list[list[bool]], system: bool) -> None:
    """And it is the newest that stay."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}] * system
    for files in turns:
        parts = [{"type": "text", "text": "x"} | (MARK if each else {}) for each in files]
        messages.append({"role": "user", "content": parts})
    settings = load_settings(env={}).with_overrides({"model": CLAUDE})
    made = conversations.marked(messages, settings)
    assert marks_in(made) == min(4, marks_in(messages) + system)
    assert conversations.marked(made, settings) == made
    before = [form for each in messages if each["role"] == "user" for form in each["content"]]
    after = [form for each in made if each["role"] == "user" for form in each["content"]]
    lost = [index for index, form in enumerate(before) if form != after[index]]
    kept = [index for index, form in enumerate(after) if "cache_control" in form]
    assert not lost or not kept or max(lost) < min(kept)
