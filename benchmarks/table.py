"""A line of the table: what was measured, against its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement.

    Attributes:
        what: What was measured.
        measured: The figure, with its unit.
        limit: What it may be at most, with its unit, or "" where there is no limit.
        met: Whether it is.
    """

    what: str
    measured: str
    limit: str = ""
    met: bool = True


def at_most(what: str, value: float, limit: float, unit: str, *, note: str = "") -> Line:
    """Compare a value with its limit; `note` says more about the value."""
    measured = f"{value:.2g} {unit}" + (f" ({note})" if note else "")
    return Line(what, measured, f"{limit:g} {unit}", met=value <= limit)


def markdown(lines: Iterable[Line]) -> str:
    """Write a table."""
    rows = ["| What | Measured | At most | |", "|---|---|---|---|"]
    rows += [
        f"| {line.what} | {line.measured} | {line.limit} | {_verdict(line)} |" for line in lines
    ]
    return "\n".join(rows)


def _verdict(line: Line) -> str:
    if not line.limit:
        return ""
    return "met" if line.met else "**not met**"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cell(text: str, value: float, goal: float, where: str = "") -> str:
    """Write a value, bold if it is above its goal, and then where that is."""
    return text if value <= goal else f"**{text}**{where}"
