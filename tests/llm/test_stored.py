"""Answers that are stored, and taken from their files, through real HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Cut, Hang, ModelServer, Refuse

from openhands_llm_magic import errors
from openhands_llm_magic.llm.session import ask, stream
from openhands_llm_magic.llm.store import FOLDER

if TYPE_CHECKING:
    from fake_clock import FakeClock

pytestmark = pytest.mark.usefixtures("litellm", "set_up")

KEY = "sk-canary-0123456789abcdef"


def files() -> list[Path]:
    return sorted(Path(FOLDER).glob("*"))


def test_the_same_prompt_is_paid_for_once(model_server: ModelServer) -> None:
    model_server.script(Answer(f"Hi {KEY}", usage=(3, 2)), Answer("Another."))

    first, second = (ask("Hello", cache="on") for _ in range(2))

    assert (first.text, first.usage) == (second.text, second.usage)
    assert (model_server.count, len(files())) == (1, 1)
    assert "canary" not in files()[0].read_text()
    assert ask("Hello again", cache="on").text == "Another."
    assert len(files()) == 2


def test_replay_needs_no_key_and_no_server(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.script(Answer("Hi"))
    ask("Hello", cache="on")
    monkeypatch.delenv("LLM_API_KEY")
    monkeypatch.setenv("LLM_MAGIC_CACHE", "replay")

    assert ask("Hello").text == "Hi"
    with pytest.raises(errors.NotStoredError, match="Run the cell once with `--cache`"):
        ask("Something else")
    assert model_server.count == 1


@pytest.mark.parametrize("step", [Refuse(400), Refuse(500), Cut(after_chunks=2)])
def test_only_whole_answers_are_stored(
    model_server: ModelServer, clock: FakeClock, step: Any
) -> None:
    model_server.script(step)
    with pytest.raises(errors.RequestError):
        ask("Hello", cache="on", clock=clock)
    assert files() == []


def test_a_request_that_is_stopped_is_not_stored(model_server: ModelServer) -> None:
    model_server.script(Hang(after_chunks=2))
    events = stream("Hello", cache="on")
    next(events)
    events.close()
    assert files() == []
    assert model_server.received[0].hung_up.wait(timeout=5)


def test_a_folder_that_cannot_be_written_does_not_lose_the_answer(
    model_server: ModelServer,
) -> None:
    """It has been shown by then; one line says so."""
    model_server.script(Answer("Hi"))
    Path(FOLDER).write_text("a file")
    with pytest.raises(errors.StoreError, match="not stored in llm_answers: ") as caught:
        ask("Hello", cache="on")
    assert caught.value.reply.text == "Hi"


def test_a_bad_value_is_refused(model_server: ModelServer) -> None:
    with pytest.raises(errors.SettingError, match="cache takes off, on or replay, not 'maybe'"):
        ask("Hello", cache="maybe")
    assert model_server.count == 0
