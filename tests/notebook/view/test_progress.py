"""What a request is doing, as the cell says it by the second."""

from __future__ import annotations

import pytest
from fake_clock import FakeClock

from openhands_llm_magic.errors import RateLimitError
from openhands_llm_magic.llm.events import (
    Accepted,
    Event,
    Loading,
    ReasoningDelta,
    Retrying,
    Sending,
    TextDelta,
    Throttled,
    Waiting,
)
from openhands_llm_magic.llm.reply import ReplyBuilder
from openhands_llm_magic.notebook.view.display import TerminalView
from openhands_llm_magic.notebook.wording import Progress

STEPS = [
    (Loading(), "loading LiteLLM"),
    (Sending("openai/test", "api.example.org"), "connecting to api.example.org"),
    (Sending("openai/test", ""), "connecting to openai/test"),
    (Accepted(), "waiting for the first token"),
]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def progress(clock: FakeClock) -> Progress:
    return Progress("test", clock)


def see(progress: Progress, *events: Event) -> None:
    builder = ReplyBuilder("test")
    for event in events:
        builder.add(event)
        progress.see(event, builder)


@pytest.mark.parametrize(("event", "what"), STEPS)
def test_each_step_counts_its_seconds(
    progress: Progress, clock: FakeClock, event: Event, what: str
) -> None:
    """From the first second on; a step that takes a moment is not shown at all."""
    clock.sleep(2)
    assert progress.words == "asking test … 2 s"
    see(progress, event)
    assert progress.words == "asking test … 2 s"
    clock.sleep(0.5)
    assert progress.words == f"{what} …"
    clock.sleep(0.5)
    assert progress.words == f"{what} … 1 s"
    clock.sleep(11)
    assert progress.words == f"{what} … 12 s"


def test_text_needs_no_words_unless_it_stays_away(progress: Progress, clock: FakeClock) -> None:
    see(progress, TextDelta("one"))
    clock.sleep(1.9)
    assert progress.words == ""
    clock.sleep(3.2)
    assert progress.words == "… nothing for 5 s"
    see(progress, TextDelta("two"))
    assert progress.words == ""


def test_thoughts_are_counted(progress: Progress, clock: FakeClock) -> None:
    see(progress, ReasoningDelta("one two "), ReasoningDelta("three"))
    clock.sleep(1)
    assert progress.words == "thinking … 3 words"


def test_waits_are_counted_down_by_their_events(progress: Progress, clock: FakeClock) -> None:
    """With the server's own words, until the next attempt begins."""
    retrying = Retrying(1, 4, RateLimitError("Slow down.", status=429), 20, "server")
    see(progress, retrying, Waiting(retrying, 20))
    assert progress.words.startswith("Rate limit (429): retry 1 of 4 in 20 s, as the server asks")
    assert progress.said == "Slow down."
    see(progress, Waiting(retrying, 0))
    assert "asking again" in progress.words
    see(progress, Throttled("pace", 0, 7))
    assert progress.words.startswith("Held back for 7 s")
    see(progress, Throttled("pace", 7, 0))
    clock.sleep(0.5)
    assert (progress.words, progress.said) == ("asking test …", "")


def test_a_terminal_counts_in_one_line(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And writes over no text."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    view, builder = TerminalView("test", clock), ReplyBuilder("test")
    view.update(Sending("test", "example.org"), builder)
    clock.sleep(2)
    view.tick()
    view.update(TextDelta("one"), builder)
    clock.sleep(5)
    view.tick()
    view.update(TextDelta(" two"), builder)

    written = capsys.readouterr().out
    assert written.startswith("\rconnecting to example.org … 2 s\r")
    assert written.endswith("\rone two")
    assert "\n" not in written
