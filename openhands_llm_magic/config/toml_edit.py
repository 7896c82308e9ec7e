"""The text of a config file, edited: keys are set and removed, everything else stays as it was.

tomlkit edits only the lines of the table in question, up to its last key. If it edited the whole
file, a new key would land below the comment that announces the next table, and tables whose parts
are in several places would be moved.

Values are written in forms that OpenHands' own TOML library reads back. That library, `toml`
0.10.2, misreads some valid TOML; each rule for a value avoids one such case.
"""

from __future__ import annotations

import math
import re
import tomllib
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import parse
from openhands_llm_magic.config.layers import shown_path
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import ConfigFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openhands_llm_magic.config.document import Document

    Names = tuple[str, ...]
    Changes = Mapping[Names, Mapping[str, str | None]]
    """New values, as TOML text, by the names of table and key; None removes a key."""


def edit(document: Document, changes: Changes) -> Document:
    """Return a config file with changes in it; a table that is missing is added.

    Args:
        document: The file as it is; nothing on the disk is changed.
        changes: The keys to set and to remove.

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
            edits.append((at, at, [header(names), *keys]))
        elif values:
            start, end = found
            edits.append((start, end, _edited(document, rows[start:end], names, values)))
    text = "".join(f"{row}\r\n" if has_crlf else f"{row}\n" for row in _spliced(rows, edits))
    edited = parse(document.path, text)
    if edited.data != _expected(document, changes):
        raise _cannot_edit(document)
    return edited


class _Layout:
    """The rows of a file, counted from 0, and which of them belong to which table."""

    def __init__(self, document: Document, rows: list[str]) -> None:
        self._rows = rows
        self._lines = document.lines
        self._headers = {
            number for number in self._lines.values() if rows[number - 1].lstrip().startswith("[")
        }

    def find(self, names: Names) -> tuple[int, int] | None:
        """Return the first row of a table and the row behind it, or None if it has to be added."""
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
        """Return the row to add a table at: below its sister tables, or at the end of the file."""
        family = [at for key, at in self._lines.items() if key[0] == names[0]]
        family = [at for at in family if at in self._headers]
        end = self._end(max(family)) if family else len(self._rows)
        while end and not self._rows[end - 1].strip():
            end -= 1
        return end

    def _end(self, start: int) -> int:
        """Return the row behind a table's last key; comments further down belong to the next."""
        following = min((at for at in self._headers if at > start), default=len(self._rows) + 1)
        last = max(at for at in self._lines.values() if start <= at < following)
        end = following - 1
        while end > last and self._rows[end - 1].lstrip()[:1] in ("", "#"):
            end -= 1
        return end


def _spliced(rows: list[str], edits: list[tuple[int, int, list[str]]]) -> list[str]:
    """Return rows with edits in their places; an added table gets blank rows around it."""
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
    """Return the rows of one table with its keys set and removed."""
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
    """Return the data that the edited text must parse to."""
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


# Values as TOML text.

_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_GROUP_NAME = re.compile(r"[\w.:/@+-]+")
_NESTED_NAME = re.compile(r"[\w:/@$+ -]+")
_ESCAPES = str.maketrans(
    {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
)
# toml splits what is nested at commas and apostrophes inside strings.
_NESTED_ESCAPES = {**_ESCAPES, ord(","): "\\u002c", ord("'"): "\\u0027"}
# TOML has only \uXXXX for these, after which toml misreads a backslash; UTF-8 has no surrogates.
_UNWRITABLE = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f\ud800-\udfff]")

_MISREAD = "OpenHands' TOML library would misread it"


def literal(value: object) -> str:
    """Return a value as TOML text.

    Raises:
        ValueError: TOML has no such value, or OpenHands' TOML library would misread it; the
            error's text says which.
    """
    if isinstance(value, dict):
        return _dictionary(value)
    if isinstance(value, list):
        return _list(value)
    return _scalar(value, _ESCAPES)


def header(names: Iterable[str]) -> str:
    """Return the header of a table, such as `[llm."gpt-4.1"]` for "llm" and "gpt-4.1".

    Raises:
        ValueError: OpenHands' TOML library would misread a name.
    """
    return f"[{'.'.join(_name(name, _GROUP_NAME) for name in names)}]"


def _name(name: str, allowed: re.Pattern[str]) -> str:
    if _BARE_NAME.fullmatch(name):
        return name
    if name != name.strip() or not allowed.fullmatch(name):
        raise ValueError(f"{_MISREAD}: {name!r} should be letters, digits, - and _")
    return f'"{name}"'


def _scalar(value: object, escapes: dict[int, str]) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case str():
            return _text(value, escapes)
        case Secret():
            return _text(value.get_secret_value(), escapes)
        case _:
            raise ValueError(f"TOML has no {'none' if value is None else type(value).__name__}")


def _text(value: str, escapes: dict[int, str]) -> str:
    if _UNWRITABLE.search(value):
        raise ValueError("it holds a control character")
    quoted = f'"{value.translate(escapes)}"'
    # toml takes two quotes after the opening one for the beginning of """, also escaped ones.
    return f'""{quoted}""' if value == '"' or value.startswith('""') else quoted


def _nested(value: object, inside: str) -> str:
    """Return TOML text for a value inside of dictionaries and lists.

    Args:
        value: The value.
        inside: "d" for each dictionary and "l" for each list around it, the outermost first.
    """
    if isinstance(value, dict):
        return _dictionary(value, inside)
    if isinstance(value, list):
        return _list(value, inside)
    if isinstance(value, str) and "\\" in value:
        raise ValueError(f"{_MISREAD}: a backslash in a list or a dictionary")
    return _scalar(value, _NESTED_ESCAPES)


def _dictionary(value: dict[str, Any], inside: str = "") -> str:
    pairs = (
        f"{_name(name, _NESTED_NAME)} = {_nested(each, inside + 'd')}"
        for name, each in value.items()
    )
    return "{" + ", ".join(pairs) + "}"


def _list(value: list[Any], inside: str = "") -> str:
    kinds = {dict if isinstance(each, dict) else type(each) for each in value}
    if len(kinds) > 1 or "l" in inside or (dict in kinds and inside not in ("", "d")):
        raise ValueError(f"{_MISREAD}: a list of different things, or a list too deep inside")
    return f"[{', '.join(_nested(each, inside + 'l') for each in value)}]"
