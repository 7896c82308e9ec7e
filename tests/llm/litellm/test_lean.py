"""What is left out of LiteLLM's streams is missed by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer
from sending import request_to, send_once

from openhands_llm_magic.llm.litellm import stream as lean
from openhands_llm_magic.llm.litellm.loading import load

if TYPE_CHECKING:
    from model_server import ModelServer

pytestmark = pytest.mark.usefixtures("litellm")


@pytest.mark.parametrize("kind", [None, "success_callback", "callbacks"])
def test_the_users_log_gets_the_whole_answer(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    """LiteLLM keeps the answer to log it for a user who has callbacks, and else does not."""
    streams: list[Any] = []
    drop_logging = lean.drop_logging

    def noop(*_: object) -> None:
        """Log nothing."""

    def note(stream: Any, *, keep_answer: bool) -> None:
        streams.append(stream)
        drop_logging(stream, keep_answer=keep_answer)

    monkeypatch.setattr("openhands_llm_magic.llm.litellm.send.drop_logging", note)
    for name in ("success_callback", "callbacks"):
        monkeypatch.setattr(load(), name, [noop] if name == kind else [])
    model_server.script(Answer(chunks=("All ", "of ", "it."), usage=(11, 3)))
    list(send_once(request_to(model_server)))
    kept = [choice.delta.content for chunk in streams[0].chunks for choice in chunk.choices]
    assert "".join(filter(None, kept)) == ("All of it." if kind else "")


def test_only_plain_text_is_shortened() -> None:
    """A chunk that also ends the answer, counts tokens or is no text passes as it is."""
    litellm = load()

    def chunk(content: str | None = "Hi", finish_reason: str | None = None, **changes: Any) -> Any:
        delta = litellm.types.utils.Delta(content=content)
        choice = litellm.types.utils.StreamingChoices(delta=delta, finish_reason=finish_reason)
        return litellm.ModelResponseStream(choices=[choice], **changes)

    others = [
        chunk(finish_reason="stop"),
        chunk(content=None),
        chunk(content=""),
        chunk(usage=litellm.Usage(prompt_tokens=1, completion_tokens=1)),
        {"text": "Hi"},
        b"data: {}",
    ]
    short, *rest = lean.short_form([chunk(), *others])
    assert short["text"] == "Hi"
    assert all(after is before for after, before in zip(rest, others, strict=True))
