"""What requests have come to, as records for a table of data and as a CSV file."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from openhands_llm_magic.config import files
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text, UsageError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openhands_llm_magic.llm.spending.summary import Row

COLUMNS = (
    "attempts", "answered", "failed", "stopped", "lost", "input_tokens", "cached_tokens",
    "output_tokens", "reasoning_tokens", "cost_usd", "listed_usd", "unknown", "local",
    "counted_usd", "waited_s",
)  # fmt: skip
"""The attributes of a `Row` that are handed over, in this order, after what it is about."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet takes for a formula."""


def records(rows: Iterable[Row], by: str) -> list[dict[str, object]]:
    """Return each row by the names of its columns; a cost of which nothing is known is None."""
    return [{by: row.key, **{name: getattr(row, name) for name in COLUMNS}} for row in rows]


def as_csv(rows: Iterable[Row], by: str) -> str:
    """Write rows as CSV; no text in it is a formula for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((by, *COLUMNS))
    for record in records(rows, by):
        key, *others = record.values()
        writer.writerow((_harmless(str(key)), *others))
    return text.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_csv(name: str, rows: Sequence[Row], by: str, *, over: bool = False) -> Text:
    """Write rows to a CSV file, whole or not at all, and return what was done.

    Args:
        name: The file, in a folder that exists.
        rows: What is written.
        by: What the rows are about.
        over: Whether it may take the place of a file.

    Raises:
        UsageError: It cannot be written, or there is such a file and `over` is false.
    """
    path = shorten(name)
    try:
        files.write_new(absolute(name), as_csv(rows, by), over=over)
    except FileExistsError:
        told = "{path}: there is such a file already. Name a new one, or add --force."
        raise UsageError(Text(told, path=path)) from None
    except (OSError, ValueError) as error:  # a NUL in it
        told = "{path}: {why}. Name a new file, in a folder that exists."
        raise UsageError(Text(told, path=path, why=reason_of(error))) from None
    return Text("{path} is written; its rows: {count}.", path=path, count=f"{len(rows):,}")
