"""Answers side by side in a notebook, and one after the other in a terminal."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import pytest
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.errors import BrokenAnswerError, RateLimitError, RequestError, Stopped
from openhands_llm_magic.llm.events import (
    Accepted,
    AttemptEnded,
    Done,
    Event,
    Failed,
    ReasoningDelta,
    Retrying,
    Sending,
    TextDelta,
    Usage,
    Waiting,
)
from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
from openhands_llm_magic.llm.worker import Control
from openhands_llm_magic.notebook import wording
from openhands_llm_magic.notebook.buttons import Clicks, Waits
from openhands_llm_magic.notebook.view import columns, display, outputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openhands_llm_magic.notebook.view.columns import ColumnsView
    from openhands_llm_magic.notebook.view.display import FrontEnd

TITLES = ("openai/a", "openai/b", "openai/c")
LIMITED = Retrying(1, 4, RateLimitError("Slow down.", status=429), 3.0, "server")
BROKEN = Retrying(1, 4, BrokenAnswerError("Gone."), 0.0, "policy")
NO_KEY = RequestError("there is no API key.")


class Screen:
    """The outputs of a cell.

    Attributes:
        states: The HTML that stood in it after each message.
        outputs: What stands in it now.
    """

    def __init__(self) -> None:
        self.states: list[str] = []
        self.outputs: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], **_: object) -> Any:
        """Show an output as IPython does, and give its handle."""
        number = len(self.outputs)
        self.outputs.append({})

        class Handle:
            @staticmethod
            def update(bundle: dict[str, str], **_: object) -> None:
                self.outputs[number] = bundle
                self.states.append("".join(each.get("text/html", "") for each in self.outputs))

        Handle.update(bundle)
        return Handle


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setattr(outputs, "display", made.display)
    monkeypatch.setattr(display, "publish", made.display)
    return made


class Asking:
    """Shows the events of three models in one view, by a clock."""

    def __init__(self, where: FrontEnd) -> None:
        self.clock = FakeClock()
        waits = Waits(Clicks(None), Control(), self.clock)
        self.view: ColumnsView = columns.view_on(where, TITLES, self.clock, waits)
        self.builders = [ReplyBuilder(title, has_footer=True) for title in TITLES]

    def see(self, number: int, *events: Event) -> None:
        """Show events of a model, a second after what came before."""
        self.clock.sleep(1)
        for event in events:
            self.builders[number].add(event)
            self.view.update(number, event, self.builders[number])
        self.view.tick()

    def end(self, number: int, *events: Event) -> None:
        """Show its last events, and what has come of it."""
        self.see(number, *events)
        self.view.end(number, self.builders[number].reply)
        self.clock.sleep(1)
        self.view.tick()


def answered(took_s: float = 2.0) -> list[Event]:
    """Return the end of an answer."""
    return [Usage(10, 5), AttemptEnded(1, "answered", took_s=took_s), Done("stop", 0.001)]


def text_of(shown: str) -> str:
    """Take the words out of HTML."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", shown)).split())


def column(shown: str, title: str) -> str:
    """Return the words of one column."""
    found = re.search(rf'aria-label="{title}".*?(?=<div role="group"|$)', shown, re.DOTALL)
    assert found is not None
    return text_of(f"<{found[0]}")


def test_each_column_has_what_came_of_its_model(screen: Screen) -> None:
    """Text as it comes, a wait with its seconds, a footer as soon as its model has ended."""
    asking = Asking("live")
    asking.see(0, Sending("openai/a"), Accepted(), TextDelta("Some *text*, "))
    asking.see(1, Sending("openai/b"), LIMITED, Waiting(LIMITED, 3.0))
    asking.see(0, TextDelta("and more."))
    asking.end(0, *answered())
    state = screen.states[-1]
    assert column(state, "openai/a") == (
        "openai/a Some text , and more. openai/a · 10 tokens in, 5 out · $0.001 · 2 s"
    )
    assert "Rate limit (429): retry 1 of 4 in 3 s" in column(state, "openai/b")
    assert column(state, "openai/c").startswith("openai/c asking openai/c … ")
    assert text_of(state).endswith("Stop it with the interrupt button.")

    asking.end(1, Sending("openai/b"), Failed(NO_KEY))
    asking.end(2, Failed(Stopped("stopped.")))
    asking.view.finish()
    state = screen.states[-1]
    assert column(state, "openai/b") == (
        "openai/b waited 3 s for a rate limit, 1 retry No answer: there is no API key."
    )
    assert column(state, "openai/c") == "openai/c No answer: stopped."
    assert "interrupt button" not in state
    assert len(screen.outputs) == 1


def test_text_that_was_shown_stays_in_its_column(screen: Screen) -> None:
    """Also that of an attempt that broke off, and what the model thought."""
    asking = Asking("live")
    asking.see(0, Sending("openai/a"), ReasoningDelta("Well."), TextDelta("Begun, "))
    asking.see(1, Sending("openai/b"), TextDelta("other text"))
    asking.see(0, BROKEN)
    asking.see(0, Sending("openai/a"), TextDelta("begun again"))
    asking.end(0, *answered())
    told = column(screen.states[-1], "openai/a")
    assert "Reasoning Well. Begun, (the answer broke off; asking again) begun again" in told
    assert all("Begun," in state for state in screen.states if "other text" in state)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.text("ab *`#\n-|", min_size=1, max_size=60)), max_size=40
    )
)
def test_no_word_of_any_column_goes_away(pieces: Sequence[tuple[int, str]]) -> None:
    """However the answers come; and each column ends as the answer alone would."""
    with pytest.MonkeyPatch.context() as patch:
        screen = Screen()
        patch.setattr(outputs, "display", screen.display)
        asking = Asking("live")
        for number, text in pieces:
            asking.see(number, TextDelta(text))
        for number in range(3):
            asking.end(number, Done("stop"))
        asking.view.finish()
        final = screen.states[-1]
        for before, after in zip(screen.states, screen.states[1:], strict=False):
            assert _letters(before) <= _letters(after)
        for builder in asking.builders:
            assert display.answer_html(builder.reply) in final
        assert len(screen.outputs) == 1


def _letters(shown: str) -> int:
    """Count the letters of answers, of which there are no others in what is tested."""
    return len(re.findall("[ab]", text_of(re.sub(r"<p class[^>]*>.*?</p>", "", shown))))


def test_a_long_answer_stays_one_output(screen: Screen) -> None:
    """JupyterLab shows 50 outputs of a cell, and answers in parts would not stand in a column."""
    asking = Asking("live")
    for number in range(300):
        asking.see(number % 3, TextDelta(f"Paragraph {number}. {'word ' * 80}\n\n"))
    for number in range(3):
        asking.end(number, Done("stop"))
    asking.view.finish()
    assert len(screen.outputs) == 1
    for title, builder in zip(TITLES, asking.builders, strict=True):
        whole = text_of(display.answer_html(builder.reply))
        assert column(screen.states[-1], title) == f"{title} {whole} {footer(builder)}"


def footer(builder: ReplyBuilder) -> str:
    """Return the line below an answer."""
    return wording.footer_words(builder.reply)


def test_what_is_far_apart_is_updated_less_often(screen: Screen) -> None:
    """A browser gets no more bytes a second than of one answer."""
    asking = Asking("live")
    asking.see(0, TextDelta("word " * 100_000))
    count = len(screen.states)
    for _ in range(3):
        asking.see(1, TextDelta("and "))
    assert len(screen.states) <= count + 1


def test_nobody_watches_gets_one_output(screen: Screen) -> None:
    """Its text is Markdown, of which the seconds are left out, as nbval compares it."""
    asking = Asking("final")
    asking.see(0, Sending("openai/a"), TextDelta("Some *text*."))
    asking.end(0, *answered())
    asking.end(1, TextDelta("Half of"), Failed(NO_KEY))
    asking.end(2, Failed(NO_KEY))
    assert screen.outputs == []
    asking.view.finish()
    (output,) = screen.outputs
    assert output["text/plain"] == (
        "## openai/a\n\nSome *text*.\n\nopenai/a · 10 tokens in, 5 out · $0.001\n\n"
        "## openai/b\n\nHalf of\n\nNot complete: there is no API key.\n\n"
        "## openai/c\n\nNo answer: there is no API key."
    )


def test_nothing_in_a_title_or_an_error_is_html(screen: Screen) -> None:
    waits = Waits(Clicks(None), Control(), FakeClock())
    view = columns.view_on("live", ['a"><script>'], FakeClock(), waits)
    view.end(0, Reply(error=RequestError("<img onerror=1>")))
    view.finish()
    assert "<script>" not in screen.states[-1]
    assert "<img" not in screen.states[-1]


def overwritten(written: str) -> str:
    """Return what stands in a terminal once each line is written over."""
    lines = []
    for line in written.split("\n"):
        standing = ""
        for piece in line.split("\r"):
            standing = piece + standing[len(piece) :]
        lines.append(standing.rstrip())
    return "\n".join(lines)


def in_a_terminal(
    capsys: pytest.CaptureFixture[str], steps: Iterable[tuple[int, list[Event]]]
) -> str:
    """Show events in a terminal, and give what was written."""
    asking = Asking("terminal")
    for number, events in steps:
        ends = any(isinstance(event, Done | Failed) for event in events)
        (asking.end if ends else asking.see)(number, *events)
    asking.view.finish()
    return overwritten(capsys.readouterr().out)


def test_a_terminal_shows_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    """No line is of two models; the next is the first that has begun to answer."""
    written = in_a_terminal(
        capsys,
        [
            (0, [Sending("openai/a"), LIMITED, Waiting(LIMITED, 3.0)]),
            (2, [Sending("openai/c"), TextDelta("The third, ")]),
            (1, [Sending("openai/b"), TextDelta("The second.")]),
            (0, [Sending("openai/a"), TextDelta("The first.\n")]),
            (2, [TextDelta("in two pieces."), *answered()]),
            (1, answered()),
            (0, [Failed(NO_KEY)]),
        ],
    )
    assert written == (
        "Rate limit (429): retry 1 of 4 in 3 s, as the server asks (Slow down.)\n"
        * 0
        + "## openai/c\n\nThe third, in two pieces.\n"
        "(openai/c · 10 tokens in, 5 out · $0.001 · 2 s)\n\n"
        "## openai/a\n\nThe first.\n"
        "(waited 3 s for a rate limit, 1 retry)\n(Not complete: there is no API key.)\n\n"
        "## openai/b\n\nThe second.\n"
        "(openai/b · 10 tokens in, 5 out · $0.001 · 2 s)\n"
    )


@given(
    st.lists(st.tuples(st.integers(0, 2), st.text("ab ", min_size=1, max_size=9)), max_size=30),
    st.permutations(range(3)),
)
def test_a_terminal_leaves_nothing_out(
    pieces: Sequence[tuple[int, str]], order: Sequence[int]
) -> None:
    """Each answer stands in it once, whole, below its model, whenever each has come and ended."""
    texts = ["", "", ""]
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr(columns._Turn, "_out", written.append)
        asking = Asking("terminal")
        for number, text in pieces:
            texts[number] += text
            asking.see(number, TextDelta(text))
        for number in order:
            asking.end(number, TextDelta("."), Failed(NO_KEY))
        asking.view.finish()
    shown = "".join(written)
    for title, text in zip(TITLES, texts, strict=True):
        below = f"## {title}\n\n{text}.\n(Not complete: there is no API key.)\n"
        assert shown.count(below) == 1
    assert shown.count("##") == 3
