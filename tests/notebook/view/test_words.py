"""What stands in the cell during a wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.errors import RateLimitError
from openhands_llm_magic.llm import explain
from openhands_llm_magic.llm.events import Retrying, Throttled, ToolCall
from openhands_llm_magic.llm.explain import THROTTLED_BY
from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook import wording
from openhands_llm_magic.notebook.view import calls

if TYPE_CHECKING:
    from openhands_llm_magic.llm.events import ThrottledBy


def wait(wait_s: float = 20, said: str = "slow down") -> Retrying:
    return Retrying(1, 4, RateLimitError(said, status=429), wait_s, "server")


@pytest.mark.parametrize(
    ("remaining_s", "bar"),
    [(20, "▱" * 10), (15, "▰▰▱▱▱▱▱▱▱▱"), (0.1, "▰" * 9 + "▱"), (0, "▰" * 10)],
)
def test_the_bar_fills_as_the_wait_goes_on(remaining_s: float, bar: str) -> None:
    """It is full only when the wait is over."""
    assert wording.bar(wait(), remaining_s) == bar


@given(st.floats(0, 1e6), st.floats(-1, 1e7))
def test_the_bar_always_has_its_length(wait_s: float, remaining_s: float) -> None:
    assert len(wording.bar(wait(wait_s), remaining_s)) == wording.BAR_WIDTH


def test_the_servers_words_are_one_short_line() -> None:
    assert wording.said_words(wait(said="Slow\n  down.")) == "Slow down."
    long = wording.said_words(wait(said="slow down " * 100))
    assert len(long) == wording.MOST_SAID
    assert long.endswith("…")


@pytest.mark.parametrize(
    ("finish_reason", "note"),
    [
        ("stop", ""),
        ("tool_calls", ""),
        *((reason, wording.CUT_OFF[reason]) for reason in wording.CUT_OFF),
    ],
)
def test_an_answer_that_was_cut_off_says_so(finish_reason: str, note: str) -> None:
    """And it says what was waited for, too."""
    assert wording.note_words(Reply("Hi", finish_reason=finish_reason)) == note
    waited = wording.note_words(Reply("Hi", finish_reason=finish_reason, waits=(wait(),)))
    assert waited == "; ".join(filter(None, [note, "waited 20 s for a rate limit, 1 retry"]))


@pytest.mark.parametrize("by", THROTTLED_BY)
def test_a_hold_says_for_how_long_and_why(by: ThrottledBy) -> None:
    told = wording.throttled_words(Throttled(by, 0, 3.2))
    assert told.startswith("Held back for 4 s, ")
    if by.endswith("_per_minute"):
        assert by in told
    assert wording.throttled_words(Throttled(by, 3.2, 0)) == "asking …"


@pytest.mark.parametrize(("throttled_s", "note"), [(0, ""), (0.9, ""), (4.25, "held back 4.2 s")])
def test_only_a_hold_that_somebody_noticed_is_noted(throttled_s: float, note: str) -> None:
    assert wording.note_words(Reply("Hi", throttled_s=throttled_s)) == note


@pytest.mark.parametrize(
    ("duration_s", "written"),
    [
        (0, "0 s"),
        (6, "6 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (318.6, "5 min 19 s"),
        (7199.7, "120 min 0 s"),
    ],
)
def test_a_duration_above_a_minute_has_minutes(duration_s: float, written: str) -> None:
    assert wording.seconds(duration_s) == written


@pytest.mark.parametrize(
    ("amount_usd", "written"),
    [
        (0.0, "$0.00"),
        (0.0000012, "$0.0000012"),
        (0.00345, "$0.0034"),
        (0.1, "$0.10"),
        (0.994, "$0.99"),
        (12.346, "$12.35"),
        (1000, "$1000.00"),
    ],
)
def test_amounts(amount_usd: float, written: str) -> None:
    assert explain.usd(amount_usd) == written


@pytest.mark.parametrize("name", ["no\nsuch", "no\r\x1b[2Ksuch", "no\u2028such\u202e"])
def test_a_call_is_one_line_whatever_a_model_calls_it(name: str) -> None:
    """Of a function that there is not, a model may write any name, and any of an argument."""
    for call in (ToolCall(name), ToolCall("f", {name: 1}), ToolCall("f", {"a": name})):
        assert len(calls.summary(call).splitlines()) == 1
        assert calls.summary(call).isprintable()
