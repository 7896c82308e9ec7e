"""A DataFrame or Series, of pandas or polars, as a Markdown table; neither is imported for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.notebook.prompt.images import kinds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FRAMES = {"pandas.DataFrame", "polars.DataFrame"}
SERIES = {"pandas.Series", "polars.Series"}

MOST_ROWS = 20
MOST_COLUMNS = 20
MOST_CELL_CHARS = 200
"""Of a table, so much is shown."""


def as_markdown(value: Any) -> str | None:
    """Write the beginning of a table in Markdown, its shape first; None for what is not a table."""
    kinds = kinds_of(value)
    if kinds & SERIES:
        return as_markdown(value.to_frame())
    if not kinds & FRAMES:
        return None
    rows, columns = value.shape
    whole = _count(rows, columns)
    shown = _count(min(rows, MOST_ROWS), min(columns, MOST_COLUMNS))
    shape = f"({whole})" if shown == whole else f"({whole}, of which the first {shown})"
    headings, found = _of_pandas(value) if "pandas.DataFrame" in kinds else _of_polars(value)
    lines: list[Sequence[object]] = [headings, ["---"] * len(headings), *found] if headings else []
    table = ("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    return "\n".join([shape, "", *table]).rstrip("\n")


def _of_pandas(table: Any) -> tuple[list[object], Iterable[Sequence[object]]]:
    """Return the headings and the rows, with the index unless it only counts the rows."""
    index = table.index
    shown = table.iloc[:MOST_ROWS, :MOST_COLUMNS]
    rows = shown.itertuples(index=False, name=None)
    counts = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
    if counts and index.name is None:
        return list(shown.columns), rows
    names = ["" if name is None else name for name in index.names]
    labels = shown.index if index.nlevels > 1 else ((label,) for label in shown.index)
    rows_with_labels = [(*label, *row) for label, row in zip(labels, rows, strict=True)]
    return [*names, *shown.columns], rows_with_labels


def _of_polars(table: Any) -> tuple[list[object], Iterable[Sequence[object]]]:
    rows = (row[:MOST_COLUMNS] for row in table.head(MOST_ROWS).iter_rows())
    return table.columns[:MOST_COLUMNS], rows


def _count(rows: int, columns: int) -> str:
    row, column = "row" if rows == 1 else "rows", "column" if columns == 1 else "columns"
    return f"{rows:,} {row} and {columns:,} {column}"


def _cell(value: object) -> str:
    text = shorten(str(value), MOST_CELL_CHARS)
    return " ".join(text.splitlines()).replace("|", "\\|")
