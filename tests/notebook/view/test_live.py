"""An answer in a live notebook: what a kernel sends while it arrives."""

from __future__ import annotations

import html
import json
import re
import threading
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from fake_clock import FakeClock
from model_server import Answer, ModelServer

from openhands_llm_magic.errors import BrokenAnswerError
from openhands_llm_magic.llm.events import (
    Correcting,
    Done,
    Event,
    Failed,
    ReasoningDelta,
    Retrying,
    TextDelta,
    Waiting,
)
from openhands_llm_magic.llm.reply import ReplyBuilder
from openhands_llm_magic.llm.worker import Control
from openhands_llm_magic.notebook.buttons import Clicks, Waits
from openhands_llm_magic.notebook.view import display, outputs
from openhands_llm_magic.notebook.wording import again_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kernel import Kernel, Ran

PATIENCE_S = 10
TICK_S = 0.05

SENTENCE = "A request that fails for a *passing* reason is sent again after a `wait`. "
SECTION = f"## How it works\n\n{SENTENCE * 3}\n\n```python\nx = [1]\n```\n\n- one\n- two\n\n"
BROKEN = Retrying(1, 4, BrokenAnswerError("Gone."), 1.0, "policy")


def text_of(shown: str) -> str:
    """Take the words out of HTML."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", shown)).split())


@dataclass
class Cell:
    """The outputs of a cell whose view gets its events by a clock.

    Attributes:
        outputs: What stands in it, in order.
        sent: When each message came, of which output, with how many bytes.
        texts: What stood in it after each of them, as HTML without tags.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    outputs: list[dict[str, str]] = field(default_factory=list)
    sent: list[tuple[float, int, int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def display(self, bundle: dict[str, str], **_: object) -> Any:
        """Show an output as IPython does, and give its handle."""
        number = len(self.outputs)
        self.outputs.append({})

        class Handle:
            @staticmethod
            def update(bundle: dict[str, str], **_: object) -> None:
                self.outputs[number] = bundle
                size = len(json.dumps(bundle).encode()) + outputs.ENVELOPE
                self.sent.append((self.clock.now(), number, size))
                self.texts.append(text_of("".join(each["text/html"] for each in self.outputs)))

        Handle.update(bundle)
        return Handle

    def ask(self, events: Iterable[tuple[float, Event]], form: str = "markdown") -> ReplyBuilder:
        """Show events, each some seconds after the one before."""
        waits = Waits(Clicks(None), Control(), self.clock)
        view = display.view_on("live", "test", self.clock, waits, form)
        builder = ReplyBuilder("test", format=form)
        for after_s, event in events:
            until_s = self.clock.now() + after_s
            while self.clock.now() + TICK_S < until_s:
                self.clock.sleep(TICK_S)
                view.tick()
            self.clock.sleep(until_s - self.clock.now())
            builder.add(event)
            view.update(event, builder)
        view.render(builder.reply)
        view.finish()
        return builder

    @property
    def plain(self) -> str:
        """The text/plain of all outputs."""
        return "".join(each["text/plain"] for each in self.outputs)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell that is watched."""
    cell = Cell()
    monkeypatch.setattr(outputs, "display", cell.display)
    return cell


def spaced(*events: Event) -> list[tuple[float, Event]]:
    """Let each event come some time after the one before."""
    return [(0.3, event) for event in events]


def arriving(text: str, *, per_s: float, piece: int = 40) -> list[tuple[float, Event]]:
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    return [(piece / per_s, TextDelta(each)) for each in pieces]


@pytest.mark.parametrize("per_s", [300, 4_000, 50_000])
def test_nothing_that_was_shown_goes_away(cell: Cell, per_s: float) -> None:
    """Each state begins with the one before; when an output is left, it is sent once more."""
    text = SECTION * 100
    cell.ask([*arriving(text, per_s=per_s), (0.1, Done("stop"))])

    states: list[tuple[float, str]] = []
    before = ""
    for (at_s, _, _), shown in zip(cell.sent, cell.texts, strict=True):
        if "How it works" in shown:
            if states and states[-1][0] != at_s:
                before = states[-1][1]
            elif states:  # of the messages of one moment, the last counts
                states.pop()
            state = shown.replace(" ", "")
            states.append((at_s, state))
            assert len(state) >= len(before) - 20
    for (_, before), (_, after) in pairwise(states):
        # What is not complete yet is read in another way, such as a fence or a star.
        assert after.startswith(before[:-20])
    numbers = [number for _, number, _ in cell.sent]
    newest = list(accumulate(numbers, max))
    again = [number for number, last in zip(numbers, newest, strict=True) if number < last]
    assert again == sorted(set(again))
    assert cell.plain == text.rstrip()
    assert len(cell.outputs) < 15


@pytest.mark.parametrize("per_s", [100, 500, 4_000])
def test_text_comes_at_least_four_times_a_second(cell: Cell, per_s: float) -> None:
    cell.ask([*arriving(SECTION * 100, per_s=per_s, piece=20), (0.0, Done("stop"))])

    at_s = sorted({at_s for at_s, _, _ in cell.sent})
    gaps_s = [after - before for before, after in pairwise(at_s)]
    assert max(gaps_s[1:]) <= max(0.25, 20 / per_s) + 1e-6


@pytest.mark.parametrize("per_s", [500, 4_000, 50_000])
def test_updates_take_at_most_100_kb_a_second(cell: Cell, per_s: float) -> None:
    """Beyond what the last ones take, which come at once."""
    cell.ask([*arriving(SECTION * 200, per_s=per_s, piece=20), (0.0, Done("stop"))])

    took_s = cell.sent[-1][0] - cell.sent[0][0]
    sizes = [size for _, _, size in cell.sent]
    assert sum(sizes) <= outputs.MOST_PER_S * (took_s + outputs.AHEAD_S) + 3 * max(sizes)


def test_text_that_comes_too_soon_is_shown_by_a_tick(cell: Cell) -> None:
    events: list[tuple[float, Event]] = [
        (0.0, TextDelta("one ")),
        (0.01, TextDelta("two")),
        (0.4, Done("stop")),
    ]
    cell.ask(events)
    assert cell.texts == ["asking test …", "one", "one two"]


def test_silence_within_an_answer_is_told(cell: Cell) -> None:
    cell.ask([(0.0, TextDelta("one")), (3.5, TextDelta(" two")), (0.0, Done("stop"))])
    told = ["one … nothing for 2 s", "one … nothing for 3 s"]
    assert [text for text in cell.texts if "nothing" in text] == told
    assert text_of(cell.outputs[0]["text/html"]) == "one two"


def test_an_attempt_that_breaks_off_stays_and_the_next_begins_below(cell: Cell) -> None:
    """The text of the answer is saved alone; the other is there to read, paler."""
    broken = SECTION * 30
    cell.ask(
        [
            *arriving(broken, per_s=2_000),
            (0.1, BROKEN),
            (0.0, Waiting(BROKEN, 1.0)),
            (1.0, Waiting(BROKEN, 0.0)),
            *arriving("The answer.", per_s=2_000),
            (0.1, Done("stop")),
        ]
    )
    shown = "".join(each["text/html"] for each in cell.outputs)
    assert shown.count("How it works") == 30
    assert shown.index("How it works") < shown.index(again_words()) < shown.index("The answer.")
    assert shown.count('<div style="opacity') == len(cell.outputs)
    assert cell.plain.startswith("The answer.\n\nwaited 1 s")
    lengths = [len(text) for text in cell.texts if "retry" not in text and "nothing" not in text]
    assert lengths == sorted(lengths)


def test_an_answer_that_did_not_fit_stays_above_the_next(cell: Cell) -> None:
    events: list[Event] = [
        TextDelta("Seven."),
        Correcting("it is no JSON"),
        TextDelta('{"n": 7}'),
        Done("stop"),
    ]
    cell.ask([(1.0, event) for event in events], form="json")
    (output,) = cell.outputs
    assert text_of(output["text/html"]).startswith("Seven. (the answer did not fit (it is no JSON)")
    assert output["text/plain"].startswith('{"n": 7}\n\nasked once more')


def test_the_longest_attempt_is_the_answer_when_none_is_complete(cell: Cell) -> None:
    """It is not paler than the last one in the end, and its text is what is saved."""
    error = BrokenAnswerError("Gone.")
    events: list[Event] = [
        TextDelta("A long one."),
        BROKEN,
        Waiting(BROKEN, 0.0),
        TextDelta("Short"),
    ]
    builder = cell.ask([(0.3, event) for event in [*events, Failed(error)]])
    assert builder.reply.text == "A long one."
    assert cell.plain.startswith("A long one.")
    assert "Short" not in cell.plain
    rendered = cell.outputs[0]["text/html"]
    (paler,) = re.findall(r'<div style="opacity[^>]*>(.*?)</div></div>', rendered, re.DOTALL)
    assert text_of(paler) == "Short"


def test_reasoning_stands_above_from_the_moment_the_text_begins(cell: Cell) -> None:
    """In an output that is left alone, so that it stays as somebody unfolds it."""
    thoughts: list[tuple[float, Event]] = [(0.6, ReasoningDelta("Let me *think*."))] * 3
    cell.ask([*thoughts, *arriving(SECTION, per_s=300), (0.0, Done("stop"))])
    assert cell.texts[1] == "thinking … 3 words"
    assert cell.outputs[0]["text/html"].startswith("<details><summary>Reasoning</summary>")
    first_text = next(n for n, (_, number, _) in enumerate(cell.sent) if number == 1)
    assert [number for _, number, _ in cell.sent[first_text:]].count(0) == 1
    assert cell.plain == SECTION.rstrip()


def test_an_address_that_comes_late_makes_a_link(cell: Cell) -> None:
    """In the part that names it, which is sent once more."""
    text = f"See [the page][p].\n\n{SECTION * 40}[p]: https://example.org\n"
    cell.ask([*arriving(text, per_s=4_000), (0.0, Done("stop"))])
    assert '<a href="https://example.org"' in cell.outputs[0]["text/html"]
    assert [number for _, number, _ in cell.sent].count(0) > 1
    assert cell.plain == text.rstrip()


def test_text_of_a_stop_is_shown_too(cell: Cell) -> None:
    """What the runner still had when it was stopped comes with the reply alone."""
    waits = Waits(Clicks(None), Control(), cell.clock)
    view = display.view_on("live", "test", cell.clock, waits)
    builder = ReplyBuilder("test")
    builder.add(TextDelta("one "))
    view.update(TextDelta("one "), builder)
    builder.add(TextDelta("two"))
    view.render(builder.reply)
    view.finish()
    assert cell.plain == "one two"


def test_half_a_character_is_no_harm(cell: Cell) -> None:
    """A chunk may end within a surrogate pair, or between the two characters of a line's end."""
    events: list[Event] = [
        TextDelta("a \ud83d"),
        TextDelta("\ude00 b\r"),
        TextDelta("\nc"),
        Done("stop"),
    ]
    cell.ask([(0.3, event) for event in events])
    assert cell.plain == "a \U0001f600 b\nc"


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
        if message["header"]["msg_type"] in {"display_data", "update_display_data"}:
            shown = text_of(message["content"]["data"].get("text/html", ""))
            for chunk, event in zip(chunks, seen, strict=True):
                if shown.split()[-2:] == chunk.split()[-2:]:
                    event.set()

    server.script(Answer(chunks=tuple(chunks), between_chunks=wait_until_shown))
    kernel.run("key = 'sk-of-the-tesq'")  # no chunk ends as a form of the key begins
    line = f"%%llm -m openai/test --base-url {server.openai_base} --api-key $key {options}"
    return kernel.run(f"{line}\nHello", on_message=look), late


def test_each_piece_is_shown_before_the_next_is_sent(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """Of a long answer, too, of which all outputs but the last stay as they are."""
    chunks = [f"{SECTION * 12}This ends part {number}.\n\n" for number in range(5)]
    ran, late = ask(kernel, model_server, chunks)

    assert late == []
    assert 1 < len(ran.outputs) < 8
    assert "".join(each["text/plain"] for each in ran.outputs) == "".join(chunks).rstrip()
    assert sum(text_of(each["text/html"]).count("This ends part") for each in ran.outputs) == 5


def test_a_short_answer_is_one_output(kernel: Kernel, model_server: ModelServer) -> None:
    chunks = ["Here it begins. ", f"{SENTENCE * 5} It goes on. ", "It nears its ", "very end."]
    ran, late = ask(kernel, model_server, chunks)

    assert late == []
    began = ["Here it begins." in each for each in ran.updates]
    shown = began[began.index(True) :]
    assert len(shown) >= len(chunks)
    assert all(shown)
    assert len(ran.outputs) == 1


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_what_is_no_markdown_is_shown_as_it_stands(
    kernel: Kernel, model_server: ModelServer, form: str
) -> None:
    """Its lines keep their ends and its stars their places."""
    chunks = ["# A *starred* word\n    <b> and more", "\n- of text", " and its end."]
    ran, late = ask(kernel, model_server, chunks, f"-f {form}")

    assert late == []
    arriving = [each for each in ran.updates if "*starred*" in each]
    assert html.escape(f"{chunks[0]}{chunks[1]}") in arriving[1]
