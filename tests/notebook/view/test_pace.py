"""How often an answer that is still arriving is shown, and how much of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.notebook.view.live import live_html
from openhands_llm_magic.notebook.view.pace import (
    ENVELOPE,
    GIVEN,
    LEAST,
    LONGEST_S,
    SHARE,
    SHORTEST_S,
    SLOW_PER_S,
    SPENT_IN_S,
    TAIL,
    WHOLE,
    Pace,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PARAGRAPH = """\
## How a retry works

A request that fails for a *passing* reason is sent again after a wait, and each wait is longer
than the one before it. The server may name a wait itself: then **that** one counts.

1. the server refuses with status 429 and `Retry-After: 7`
2. the same request is sent again, at most `num_retries` times

```python
def wait_before(retry: int) -> float:
    return min(30, 5 * 2 ** (retry - 1))
```

"""
ANSWER = (PARAGRAPH * 150)[:50_000]

ONE_MORE = 1_300
"""Bytes of an update that is made although nothing is left for it."""

ROUNDING = 1e-9


@dataclass
class Streamed:
    """What was shown of an answer.

    Attributes:
        size: The bytes, and characters, that have arrived.
        took_s: How long it took them.
        at_s: When each update came.
        bytes: How many it took.
        lengths: How many characters had arrived.
        characters: How many of them it showed.
    """

    size: int = 0
    took_s: float = 0.0
    at_s: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)


def stream(
    chunks: Iterable[tuple[float, int]], data: Callable[[int, int], int]
) -> Iterable[Streamed]:
    """Let chunks arrive, each some seconds after the last; give what was shown after each.

    Args:
        chunks: The seconds, and the characters.
        data: Tells the bytes of an update from the characters that have arrived, and those shown.
    """
    clock = FakeClock()
    pace, streamed = Pace(clock), Streamed()
    for after_s, characters in chunks:
        clock.sleep(after_s)
        streamed.size += characters
        streamed.took_s = clock.now()
        if pace.left_s <= 0:
            room = pace.room(streamed.size, streamed.size)
            cost = data(streamed.size, room)
            pace.spend(cost, room, streamed.size)
            fastest_s = min(LONGEST_S, (cost + ENVELOPE) * SPENT_IN_S / GIVEN)
            assert max(SHORTEST_S, fastest_s) - ROUNDING <= pace.left_s <= LONGEST_S + ROUNDING
            streamed.at_s.append(clock.now())
            streamed.bytes.append(cost + ENVELOPE)
            streamed.lengths.append(streamed.size)
            streamed.characters.append(room)
        yield streamed


def at_pace(per_s: float, size: int, chunk: int = 5) -> list[tuple[float, int]]:
    return [(chunk / per_s, chunk)] * (size // chunk)


def rendered(length: int, room: int) -> int:
    html = live_html(ANSWER[:length], room)
    return len(json.dumps({"text/html": html, "text/plain": ""}, ensure_ascii=False).encode())


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 3_000)), max_size=300),
    st.floats(1, 4),
)
def test_the_budget_is_kept(chunks: list[tuple[float, int]], expansion: float) -> None:
    """However the text arrives, and whatever becomes of it as HTML, after every update."""
    for shown in stream(chunks, lambda _, room: 100 + round(expansion * room)):
        arrived = max(shown.size, SLOW_PER_S * shown.took_s)
        assert sum(shown.bytes) <= GIVEN + SHARE * arrived + ONE_MORE


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 3_000)), min_size=1, max_size=100))
def test_there_is_always_something_to_see(chunks: list[tuple[float, int]]) -> None:
    """All of the text or its end, however much it costs."""
    *_, shown = stream(chunks, lambda _, room: 40 * room)
    for length, characters in zip(shown.lengths, shown.characters, strict=True):
        assert characters == length <= WHOLE or LEAST <= characters <= min(TAIL, length)


@pytest.mark.parametrize("per_s", [SLOW_PER_S, 500, 1_000, 4_000, 10_000, 50_000])
def test_a_long_answer_costs_little_at_any_pace(per_s: float) -> None:
    """50 kB of Markdown: at most 2.2 times as much for the updates, headers and all."""
    *_, shown = stream(at_pace(per_s, len(ANSWER)), rendered)
    assert sum(shown.bytes) <= 2.2 * len(ANSWER)


def test_an_answer_that_becomes_much_html_costs_no_more() -> None:
    """Such as mathematics: less of it is shown, and no update takes much of the budget."""
    *_, shown = stream(at_pace(1_000, 50_000), lambda _, room: 100 + 12 * room)
    assert sum(shown.bytes) <= 2.2 * shown.size
    assert max(shown.bytes) <= GIVEN / 4


@pytest.mark.parametrize("per_s", [20, 100, SLOW_PER_S, 1_000, 10_000])
def test_text_moves_on(per_s: float) -> None:
    """There is an update every two seconds, and more often at first."""
    *_, shown = stream(at_pace(per_s, min(len(ANSWER), round(60 * per_s))), rendered)
    chunk_s = 5 / per_s
    gaps = [b - a for a, b in zip(shown.at_s, shown.at_s[1:], strict=False)]
    assert max(gaps) <= LONGEST_S + chunk_s + ROUNDING
    assert sum(gaps[:5]) <= 5 * (0.6 + chunk_s)


@pytest.mark.parametrize("per_s", [100, 500, 1_000, 5_000])
def test_a_short_answer_is_shown_whole(per_s: float) -> None:
    """Its first 1,500 characters are all there at every update."""
    *_, shown = stream(at_pace(per_s, 1_500), rendered)
    assert shown.characters == sorted(shown.characters)


def test_a_pause_puts_off_the_next_update() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    assert pace.left_s <= 0
    pace.pause(1.0)
    clock.sleep(0.9)
    assert pace.left_s == pytest.approx(0.1)
