"""The settings as a table: each value, where it comes from, and what it overrides."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, NamedTuple

from openhands_llm_magic.config.settings import SETTINGS, setting_named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openhands_llm_magic.config.resolve import Snapshot

SHOWN_LIMIT = 60
"""Characters of a value that are shown."""


class Row(NamedTuple):
    """One setting, in words; a key is masked."""

    setting: str
    value: str
    origin: str
    overrides: str


HEADINGS = Row("setting", "value", "from", "instead of")


def rows(snapshot: Snapshot, names: Iterable[str] = ()) -> list[Row]:
    """Describe the named settings, or all.

    Raises:
        SettingError: There is no such setting.
    """
    return [
        Row(name, shown(getattr(snapshot, name)), str(snapshot.origin(name)), _over(snapshot, name))
        for name in [setting_named(name).name for name in names] or SETTINGS
    ]


def shown(value: object) -> str:
    """Write a value on one line."""
    text = "not set" if value is None else " ".join(str(value).split())
    return text if len(text) <= SHOWN_LIMIT else text[: SHOWN_LIMIT - 1] + "…"


def _over(snapshot: Snapshot, name: str) -> str:
    return "; ".join(
        f"{shown(found.value)} ({found.origin})"
        for found in snapshot.overridden(name)
        if found.origin.kind != "default"
    )


def as_text(table: list[Row], problems: Iterable[object] = ()) -> str:
    """Write the table as aligned text."""
    all_rows = [HEADINGS, *table]
    widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in all_rows
    )
    return "\n".join([*lines, *(f"! {problem}" for problem in problems)])


def as_html(table: list[Row], problems: Iterable[object] = ()) -> str:
    """Write the table as HTML, which a notebook styles as its own."""
    head = "".join(f"<th>{cell}</th>" for cell in HEADINGS)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in table
    )
    notes = "".join(f"<p>{html.escape(f'! {problem}')}</p>" for problem in problems)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
