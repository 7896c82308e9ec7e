"""The settings as a table: each value, where it comes from, and what it overrides."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, NamedTuple

from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, masked
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.notebook.view import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    keys = _keys(snapshot)
    found: list[Row] = []
    for name in [setting_named(name).name for name in names] or SETTINGS:
        value, origin = shown(getattr(snapshot, name), keys), str(snapshot.origin(name))
        found.append(Row(name, value, origin, _over(snapshot, name, keys)))
    return found


def problems(snapshot: Snapshot) -> list[str]:
    """Write the mistakes that the settings went on without; a key is masked."""
    keys = _keys(snapshot)
    return [masked(str(problem), keys) for problem in snapshot.problems]


def _keys(snapshot: Snapshot) -> list[str]:
    return [key for key in snapshot.secrets() if len(key) >= SHORTEST_REAL_KEY]


def shown(value: object, keys: Sequence[str] = ()) -> str:
    """Write a value on one line, with these keys masked."""
    text = "not set" if value is None else " ".join(masked(str(value), keys).split())
    return shorten(text, SHOWN_LIMIT)


def _over(snapshot: Snapshot, name: str, keys: Sequence[str]) -> str:
    return "; ".join(
        f"{shown(found.value, keys)} ({found.origin})"
        for found in snapshot.overridden(name)
        if found.origin.kind != "default"
    )


def as_text(found: list[Row], problems: Iterable[object] = ()) -> str:
    """Write the table as aligned text."""
    return "\n".join([table.as_text(HEADINGS, found), *(f"! {problem}" for problem in problems)])


def as_html(found: list[Row], problems: Iterable[object] = ()) -> str:
    """Write the table as HTML, which a notebook styles as its own."""
    notes = "".join(f"<p>{html.escape(f'! {problem}')}</p>" for problem in problems)
    return table.as_html(HEADINGS, found) + notes
