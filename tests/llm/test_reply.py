"""`Reply` is the fold of a request's events."""

from __future__ import annotations

import copy
import json
import pickle
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.errors import ContentFilterError, RateLimitError, ServerError, Stopped
from openhands_llm_magic.llm.events import (
    Done,
    Event,
    Failed,
    Retrying,
    Sending,
    TextDelta,
    Usage,
    Waiting,
)
from openhands_llm_magic.llm.reply import Reply, ReplyBuilder, fold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BUSY = ServerError("busy", status=503)
SENDING = Sending("m")


def retrying(wait_s: float = 5.0, retry: int = 1) -> Retrying:
    return Retrying(retry=retry, of=4, caused_by=BUSY, wait_s=wait_s, set_by="policy")


def waited(retrying: Retrying) -> list[Event]:
    """Return the events of a retry that was waited for to the end, and of the next attempt."""
    return [retrying, Waiting(retrying, retrying.wait_s), Waiting(retrying, 0.0), SENDING]


texts = st.text(max_size=5)
attempts = st.lists(st.lists(texts, max_size=4), min_size=1, max_size=5)
waits_s = st.floats(0, 300)


@st.composite
def requests(draw: st.DrawFn, last: Event) -> tuple[list[list[str]], list[float], list[Event]]:
    """Draw the deltas of each attempt, the waits between them, and all events of the request."""
    deltas = draw(attempts)
    waits = [draw(waits_s) for _ in deltas[1:]]
    events: list[Event] = [SENDING, *map(TextDelta, deltas[0])]
    for retry, (wait_s, texts) in enumerate(zip(waits, deltas[1:], strict=True), start=1):
        events += [*waited(retrying(wait_s, retry)), *map(TextDelta, texts)]
    return deltas, waits, [*events, last]


@given(requests(Done("stop", 0.5)))
def test_an_answer_is_the_text_after_the_last_retry(
    drawn: tuple[list[list[str]], list[float], list[Event]],
) -> None:
    deltas, waits, events = drawn
    reply = fold(events, "m")
    assert reply.text == str(reply) == "".join(deltas[-1])
    assert (reply.model, reply.finish_reason, reply.cost_usd) == ("m", "stop", 0.5)
    assert reply.attempts == len(deltas)
    assert [wait.wait_s for wait in reply.waits] == waits
    assert reply.waited_s == pytest.approx(sum(waits))
    assert reply.error is None


@given(requests(Failed(BUSY)))
def test_a_failure_keeps_the_longest_partial_answer(
    drawn: tuple[list[list[str]], list[float], list[Event]],
) -> None:
    """Of all attempts, the last one too; every wait and attempt counts."""
    deltas, waits, events = drawn
    reply = fold(events)
    partials = ["".join(texts) for texts in deltas]
    assert reply.text in partials
    assert len(reply.text) == max(map(len, partials))
    assert reply.error is BUSY
    assert reply.attempts == len(deltas)
    assert [wait.wait_s for wait in reply.waits] == waits
    assert (reply.finish_reason, reply.cost_usd) == (None, None)


@given(requests(Done("stop")))
def test_a_builder_shows_the_current_attempt_at_any_time(
    drawn: tuple[list[list[str]], list[float], list[Event]],
) -> None:
    """Its text starts again at each retry; reading it changes nothing."""
    builder = ReplyBuilder()
    text = ""
    for event in drawn[-1]:
        builder.add(event)
        match event:
            case TextDelta(more):
                text += more
            case Retrying():
                text = ""
        assert builder.text == text
    assert repr(builder.reply) == repr(fold(drawn[-1]))


def test_the_usage_is_that_of_the_attempt_that_answered() -> None:
    first, last = Usage(7, 100), Usage(7, 5)
    assert fold([first, *waited(retrying()), last, Done("stop")]).usage == last
    assert fold([first, *waited(retrying()), Done("stop")]).usage is None
    assert last.total_tokens == 12


def test_an_unknown_price_stays_unknown() -> None:
    assert fold([TextDelta("a"), Usage(7, 5), Done("stop", None)]).cost_usd is None


def test_nothing_at_all_is_an_empty_reply() -> None:
    assert repr(fold([], "m")) == repr(Reply(model="m"))
    assert not fold([], "m").is_whole


@pytest.mark.parametrize(
    ("seen", "waited_s"), [([], 0.0), ([10.0], 0.0), ([10.0, 9.0, 8.0, 7.0], 3.0)]
)
def test_a_stop_in_a_wait(seen: Sequence[float], waited_s: float) -> None:
    """The wait counts for as long as it lasted, and the attempt that never was does not count."""
    first, second = retrying(5), retrying(10, retry=2)
    stopped = Stopped("stopped")
    waiting = [Waiting(second, remaining_s) for remaining_s in seen]
    reply = fold([SENDING, TextDelta("part"), *waited(first), second, *waiting, Failed(stopped)])
    assert reply.attempts == 2
    assert [wait.wait_s for wait in reply.waits] == [5.0, waited_s]
    assert reply.waits[1].caused_by is second.caused_by
    assert (reply.text, reply.error) == ("part", stopped)


def test_a_stop_after_a_wait_counts_the_attempt_that_was_running() -> None:
    reply = fold([SENDING, *waited(retrying(5)), Failed(Stopped("stopped"))])
    assert (reply.attempts, reply.waited_s) == (2, 5.0)


def test_a_last_refusal_after_a_wait_counts_as_an_attempt() -> None:
    """It comes right after the wait, with no text in between."""
    reply = fold([SENDING, *waited(retrying(5)), Failed(RateLimitError("slow down", status=429))])
    assert (reply.attempts, reply.waited_s) == (2, 5.0)


def test_an_answer_without_text_has_its_reason_and_its_cost() -> None:
    """Also when the error is put in other words; an earlier attempt's text is kept."""
    error = ContentFilterError("withheld", finish_reason="content_filter", cost_usd=0.5)
    told = error.reworded("It was withheld.")
    reply = fold([TextDelta("Hi"), *waited(retrying()), Usage(7, 5), Failed(told)])
    assert (reply.text, reply.error, reply.usage) == ("Hi", told, Usage(7, 5))
    assert (reply.finish_reason, reply.cost_usd) == ("content_filter", 0.5)


def test_a_stop_after_the_end_changes_nothing_else() -> None:
    """As when the answer is being shown."""
    ended: list[Event] = [TextDelta("Hi"), Usage(7, 5), Done("stop", 0.5)]
    reply, stopped = fold(ended), Stopped("stopped")
    assert repr(fold([*ended, Failed(stopped)])) == repr(replace(reply, error=stopped))


def test_a_reply_is_a_text(tmp_path: Path) -> None:
    """Wherever one goes: what only looks like a text does not go into a join, a file or a match."""
    reply = Reply("Hello there", "m", Usage(7, 5), finish_reason="stop")
    assert "a" + reply + "b" == "aHello thereb"
    assert f"{reply:.5}|{reply:>12}|{reply}" == "Hello| Hello there|Hello there"
    assert "%s %.5s" % (reply, reply) == "Hello there Hello"  # noqa: UP031 - it is asked here
    assert ", ".join(Reply(each) for each in "abc") == "a, b, c"
    assert re.findall(r"\w+", reply) == reply.split() == ["Hello", "there"]
    assert json.dumps({"it": reply}) == '{"it": "Hello there"}'
    assert (len(reply), reply[:5], "there" in reply, reply.upper()) == (
        *(11, "Hello", True),
        "HELLO THERE",
    )
    assert reply == "Hello there" == str(reply)
    assert hash(reply) == hash("Hello there")
    assert sorted([Reply("b"), Reply("a")]) == ["a", "b"]
    assert type(str(reply)) is type(reply + "") is str
    (tmp_path / "it").write_text(reply)
    assert (tmp_path / "it").read_text() == reply
    assert Reply("{x}!").format(x=1) == "1!"


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],  # noqa: S301 - our own
)
def test_a_copy_of_a_reply_has_all_of_it(again: Callable[[Reply], Reply]) -> None:
    reply = Reply("Hello", "m", Usage(7, 5), messages=({"role": "user"},), finish_reason="stop")
    assert repr(again(reply)) == repr(reply)
    assert again(reply).messages == reply.messages
    assert again(reply) == "Hello"


def test_a_column_of_replies_is_one_of_texts() -> None:
    column = pd.Series([Reply("Hello"), Reply(""), Reply("日本")])
    assert list(column.str.len()) == [5, 0, 2]
    assert list(pd.DataFrame({"it": column}).it.str.upper()) == ["HELLO", "", "日本"]
