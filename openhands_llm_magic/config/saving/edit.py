"""Keys of a config file set and removed, with everything else left as it was.

tomlkit edits only the lines of the table in question, up to its last key: as it would edit the
whole file, a new key would land below the comment that announces the next table, and tables whose
parts are in several places would be moved.
"""

from __future__ import annotations

import tomllib
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import parse
from openhands_llm_magic.config.layers import shown_path
from openhands_llm_magic.config.saving import literals
from openhands_llm_magic.errors import ConfigFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.document import Document

    Names = tuple[str, ...]
    Changes = Mapping[Names, Mapping[str, str | None]]
    """New values, as TOML text, by the names of table and key; None removes a key."""


def edit(document: Document, changes: Changes) -> Document:
    """Change a config file, but not on disk; a table that is missing is added.

    Args:
        document: The file as it is.
        changes: What to set and to remove.

    Raises:
        ConfigFileError: The file is laid out so that it cannot be edited.
        ValueError: A new table has a name that OpenHands would misread.
    """
    text = document.text
    has_crlf = 0 < text.count("\n") == text.count("\r\n")
    if has_crlf:
        text = text.replace("\r\n", "\n")
    rows = text.removesuffix("\n").split("\n") if text else []
    layout = _Layout(document, rows)
    edits: list[tuple[int, int, list[str]]] = []
    for names, values in changes.items():
        found = layout.find(names)
        if found is None:
            at = layout.place_for(names)
            keys = [f"{key} = {value}" for key, value in values.items()]
            edits.append((at, at, [literals.header(names), *keys]))
        elif values:
            start, end = found
            edits.append((start, end, _edited(document, rows[start:end], names, values)))
    text = "".join(f"{row}\r\n" if has_crlf else f"{row}\n" for row in _spliced(rows, edits))
    edited = parse(document.path, text)
    if edited.data != _expected(document, changes):
        raise _cannot_edit(document)
    return edited


class _Layout:
    """Which rows of a file, counted from 0, belong to which table."""

    def __init__(self, document: Document, rows: list[str]) -> None:
        self._rows = rows
        self._lines = document.lines
        self._headers = {
            number for number in self._lines.values() if rows[number - 1].lstrip().startswith("[")
        }

    def find(self, names: Names) -> tuple[int, int] | None:
        """Find the rows that a table is written in, or None if it has to be added."""
        own = self._lines.get(names)
        if own is None:
            inside = [at for key, at in self._lines.items() if key[: len(names)] == names]
            own = min(inside, default=None)
            # A table that is there only by the headers of its sub-tables gets its own.
            if own is None or own in self._headers:
                return None
        start = max((each for each in self._headers if each <= own), default=1)
        return start - 1, self._end(start)

    def place_for(self, names: Names) -> int:
        """Find the row to add a table at: below the tables of the same family, or at the end."""
        family = [at for key, at in self._lines.items() if key[0] == names[0]]
        family = [at for at in family if at in self._headers]
        end = self._end(max(family)) if family else len(self._rows)
        while end and not self._rows[end - 1].strip():
            end -= 1
        return end

    def _end(self, start: int) -> int:
        """Find the row behind a table's last key; comments further down belong to what follows."""
        following = min((at for at in self._headers if at > start), default=len(self._rows) + 1)
        last = max(at for at in self._lines.values() if start <= at < following)
        end = following - 1
        while end > last and self._rows[end - 1].lstrip()[:1] in ("", "#"):
            end -= 1
        return end


def _spliced(rows: list[str], edits: list[tuple[int, int, list[str]]]) -> list[str]:
    """Put new rows in the place of old ones; those that replace nothing get blank rows around."""
    spliced: list[str] = []
    done = 0
    for start, end, new in sorted(edits, key=lambda each: each[:2]):
        spliced += rows[done:start]
        if start == end and spliced and spliced[-1].strip():
            spliced.append("")
        spliced += new
        if start == end and start < len(rows) and rows[start].strip():
            spliced.append("")
        done = end
    return spliced + rows[done:]


def _edited(
    document: Document, rows: list[str], names: Names, values: Mapping[str, str | None]
) -> list[str]:
    import tomlkit  # noqa: PLC0415 - costs 6 ms, and only saving needs it
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - see above

    try:
        piece = tomlkit.parse("".join(f"{row}\n" for row in rows))
        table: Any = piece
        for name in names:
            table = table[name]
        for key, value in values.items():
            if value is None:
                del table[key]
            else:
                table[key] = tomlkit.value(value)
    except (TOMLKitError, RecursionError):
        raise _cannot_edit(document) from None
    return piece.as_string().removesuffix("\n").split("\n")


def _expected(document: Document, changes: Changes) -> dict[str, Any]:
    data = deepcopy(dict(document.data))
    for names, values in changes.items():
        table = data
        for name in names:
            table = table.setdefault(name, {})
        for key, value in values.items():
            if value is None:
                del table[key]
            else:
                table.update(tomllib.loads(f"{key} = {value}"))
    return data


def _cannot_edit(document: Document) -> ConfigFileError:
    return ConfigFileError(
        f"{shown_path(document.path)}: this file is laid out so that it cannot be edited safely,"
        " and nothing was changed; begin each of its tables with a [header]"
    )
