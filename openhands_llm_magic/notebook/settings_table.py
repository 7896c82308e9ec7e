"""The settings as a table: each value, where it comes from, and what it overrides."""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, masked
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.notebook.view import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Say, Text

SHOWN_LIMIT = 60
"""Characters of a value that are shown."""


class Row(NamedTuple):
    """One setting, in words; a key is masked."""

    setting: str
    value: str
    origin: str
    overrides: str


def headings(say: Say) -> Row:
    """Return the headings of the table."""
    return Row(say("setting"), say("value"), say("from"), say("instead of"))


def rows(snapshot: Snapshot, say: Say, names: Iterable[str] = ()) -> list[Row]:
    """Describe the named settings, or all.

    Raises:
        SettingError: There is no such setting.
    """
    keys = _keys(snapshot)
    found: list[Row] = []
    for name in [setting_named(name).name for name in names] or SETTINGS:
        value = _value(getattr(snapshot, name), keys, say)
        origin = snapshot.origin(name).text.worded(say)
        found.append(Row(name, value, origin, _over(snapshot, name, keys, say)))
    return found


def problems(snapshot: Snapshot) -> list[Text]:
    """Return the mistakes that the settings went on without, a line each; a key is masked."""
    mask = partial(masked, secrets=_keys(snapshot))
    return [problem.line.masked(mask) for problem in snapshot.problems]


def _keys(snapshot: Snapshot) -> list[str]:
    return [key for key in snapshot.secrets() if len(key) >= SHORTEST_REAL_KEY]


def shown(value: object, keys: Sequence[str] = ()) -> str:
    """Write a value on one line, with these keys masked."""
    return shorten(" ".join(masked(str(value), keys).split()), SHOWN_LIMIT)


def _value(value: object, keys: Sequence[str], say: Say) -> str:
    return say("not set") if value is None else shown(value, keys)


def _over(snapshot: Snapshot, name: str, keys: Sequence[str], say: Say) -> str:
    return "; ".join(
        f"{_value(found.value, keys, say)} ({found.origin.text.worded(say)})"
        for found in snapshot.overridden(name)
        if found.origin.kind != "default"
    )


def as_text(found: list[Row], problems: Iterable[object], say: Say) -> str:
    """Write the table as aligned text."""
    written = table.as_text(headings(say), found)
    return "\n".join([written, *(f"! {problem}" for problem in problems)])


def as_html(found: list[Row], problems: Iterable[object], say: Say) -> str:
    """Write the table as HTML, which a notebook styles as its own."""
    notes = "".join(f"<p>{html.escape(f'! {problem}')}</p>" for problem in problems)
    return table.as_html(headings(say), found) + notes
