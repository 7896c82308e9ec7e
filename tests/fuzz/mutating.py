"""Strategies that change what real files, answers and servers hold, and what always must hold."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st

from openhands_llm_magic.errors import LLMMagicError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

KEY = "sk-canary-0123456789abcdef"
"""The key of the settings. It may stand in any input, and in no line for a person."""

ODD_TEXTS = (
    "",
    "\0",
    "\r",
    "\n",
    "\u2028",
    "\x85",
    "\ufeff",
    "\u202e",
    "\N{GRINNING FACE}",
    "e\N{COMBINING ACUTE ACCENT}",
    "\ud800",
    '"',
    "'",
    "\\",
    "{",
    "}",
    "[" * 2_000,
    "{" * 2_000,
    "9" * 5_000,
    "1e999",
    "-1",
    "NaN",
    KEY,
)
"""What programs stumble over."""

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, 1e308, float("inf"), float("nan")),
    *([], {}, [None], [[]], {"": None}, {"error": None}, [{"error": {"message": KEY}}]),
    *ODD_TEXTS,
)


@st.composite
def mutated(
    draw: st.DrawFn, seeds: Sequence[str], pieces: Sequence[str] = (), most: int = 5
) -> str:
    """Return one of some texts in which some places hold something else.

    Args:
        draw: Hypothesis' own.
        seeds: The texts.
        pieces: What else may stand there, beside odd texts and parts of the other seeds.
        most: How many places at most.
    """
    text = _one_of(seeds, draw)
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        new = draw(st.sampled_from((*pieces, *ODD_TEXTS)) | st.text(max_size=8) | part_of(seeds))
        text = text[:start] + new + text[end:]
    return text


@st.composite
def part_of(draw: st.DrawFn, seeds: Sequence[str]) -> str:
    """Return a part of one of some texts."""
    text = _one_of(seeds, draw)
    start = draw(st.integers(0, len(text)))
    return text[start : start + draw(st.integers(0, 60))]


@st.composite
def mutated_json(draw: st.DrawFn, seeds: Sequence[Any], most: int = 4) -> Any:
    """Return one of some values of JSON in which some parts are other values, missing or moved."""
    within = [copy.deepcopy(_one_of(seeds, draw))]
    for _ in range(draw(st.integers(0, most))):
        places = list(_places(within))
        holder, key = _one_of(places, draw)
        match draw(st.sampled_from(["replace", "odd", "drop", "list", "text", "move"])):
            case "drop" if holder is not within:
                del holder[key]
            case "list":
                holder[key] = [holder[key]]
            case "text":
                holder[key] = json.dumps(holder[key])
            case "move":
                other, name = _one_of(places, draw)
                holder[key] = copy.deepcopy(other[name])
            case _:
                odd = draw(st.sampled_from(ODD_VALUES) | st.text(max_size=8))
                holder[key] = copy.deepcopy(odd)  # it may be changed next
    return within[0]


def _one_of(seeds: Sequence[T], draw: st.DrawFn) -> T:
    """Return one; `sampled_from` would write all of them down, which takes longer than the test."""
    return seeds[draw(st.integers(0, len(seeds) - 1))]


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where each value stands within a list or a dictionary."""
    for key, value in enumerate(holder) if isinstance(holder, list) else list(holder.items()):
        yield holder, key
        if isinstance(value, list | dict):
            yield from _places(value)


def as_bytes(text: str) -> bytes:
    """Return a text as a file or a server has it, also where it is no UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def told(line: object) -> None:
    """Require of what a person is told that it is one line without the key.

    A key that nobody has given as one is known by how it begins, and not behind another letter:
    many a word ends in "sk-".
    """
    text = str(line)
    assert len(text.splitlines()) <= 1, f"not one line: {text!r}"
    assert not re.search(rf"(?<![^\W_]){KEY}", text)


@contextlib.contextmanager
def only_our_errors() -> Iterator[None]:
    """Let an error of ours pass that is one line without the key, and no other."""
    try:
        yield
    except LLMMagicError as error:
        told(error)
