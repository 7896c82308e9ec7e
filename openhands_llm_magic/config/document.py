"""A config file: its text, its data with the line of each key, and the text with other values.

tomlkit edits only the lines of the table in question, up to its last key. If it edited the whole
file, a new key would land below the comment that announces the next table, and tables whose parts
are in several places would be moved. Values are written in forms that OpenHands' own TOML library
reads back: `toml` 0.10.2 misreads some valid TOML, and each rule for a value avoids one such case.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config import files
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.width import BLANK, unquoted_wide_mark
from openhands_llm_magic.errors import ConfigFileError, Text, on_one_line, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Names = tuple[str, ...]
    Changes = Mapping[Names, Mapping[str, str | None]]
    """New values, as TOML text, by the names of table and key; None removes a key."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that a value comes from; `str(origin)` reads well in a sentence.

    Attributes:
        kind: The kind of layer that sets the value.
        name: The words for the place: a variable, a flag, "this session".
        path: The config file, when `kind` is "file".
        line: The line in the file, counted from 1, or None when it is not known.
    """

    kind: Literal[
        "default", "file", "environment", "ipython_config", "session", "openhands", "edit",
        "argument", "flag",
    ]  # fmt: skip
    name: str = ""
    path: Path | None = None
    line: int | None = None

    @property
    def text(self) -> Text:
        """The words for the place, in a form that can be said in other words."""
        if self.path is None:
            return self.name if isinstance(self.name, Text) else Text(self.name)
        path = shown_path(self.path)
        return Text("{file} line {line}", file=path, line=self.line) if self.line else Text(path)

    def __str__(self) -> str:
        return on_one_line(self.text)


def shown_path(path: Path) -> str:
    """Return a path as a person writes it: from the working directory, or with ~ for home."""
    # No working directory (deleted) and no home are no reason to fail over a message.
    for base, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        try:
            return _on_one_line(prefix + path.relative_to(base()).as_posix())
        except (ValueError, OSError, RuntimeError):
            continue
    return _on_one_line(str(path))


def _on_one_line(text: str) -> str:
    """Return a text with an escape for each character that would not show, such as a line end."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in one value, which was left out; it never holds a secret.

    Attributes:
        message: What is wrong, for a person.
        origin: Where the value comes from.
        facts: The attributes of the `SettingError` behind the mistake, by their names.
    """

    message: Text
    origin: Origin
    facts: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def text(self) -> Text:
        """What is wrong, in a form that can be said in other words, as errors have it."""
        return self.message

    @property
    def line(self) -> Text:
        """Where it is, and what is wrong, in one line."""
        told = Text("{origin}: {problem}", origin=self.origin.text, problem=self.message)
        return told.masked(on_one_line)

    def __str__(self) -> str:
        return self.line


LARGEST_FILE = 1_000_000
"""Bytes; a file that is larger is not read, as it cannot be a config file."""

BOM = "\ufeff"
"""The byte order mark that some editors put before the text, and TOML does not allow."""

_ERROR_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed config file.

    Attributes:
        path: The file.
        text: The file's text, with the keys in it; "" when the file is not text.
        data: The parsed tables; empty when the file cannot be read.
        lines: The line of each table and key by its names, such as ("llm", "model").
        problem: Why the file cannot be read, or None.
    """

    path: Path
    text: str = field(default="", repr=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    problem: Problem | None = None

    def origin(self, *names: str) -> Origin:
        """Return the place of a key, or the place nearest to it: within it, or else around it."""
        while names not in self.lines and names:
            inside = (path for path in self.lines if path[: len(names)] == names)
            names = next(inside, names[:-1])
        return Origin("file", path=self.path, line=self.lines.get(names))

    def has_header(self, *names: str) -> bool:
        """Return whether a `[header]` makes the table of these names, or one within it."""
        rows = self.text.split("\n")
        return any(
            rows[line - 1].lstrip().startswith("[")
            for path, line in self.lines.items()
            if path[: len(names)] == names
        )

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, which is another one as soon as anything in the file is."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def table(self, name: str) -> Mapping[str, Any]:
        """Return a top-level table, which is empty if the file does not have it."""
        table = self.data.get(name)
        return table if isinstance(table, dict) else {}

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the `[llm.NAME]` groups."""
        return tuple(key for key, value in self.table("llm").items() if isinstance(value, dict))

    def require_readable(self, named_by: str = "") -> Document:
        """Return the document itself if its file could be read.

        Args:
            named_by: The variable that names the file, for the error's text.

        Raises:
            ConfigFileError: The file could not be read.
        """
        if self.problem is None:
            return self
        if named_by:
            told = "{variable}: {problem}"
            raise ConfigFileError(Text(told, variable=named_by, problem=self.problem.line))
        raise ConfigFileError(Text("config file: {problem}", problem=self.problem.line))


def read_file(path: Path) -> Document:
    """Read and parse a config file; a mistake in the file becomes the document's `problem`."""
    try:
        text = files.read(path, LARGEST_FILE).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return _unreadable(path, Text("it is not UTF-8 text; save it as UTF-8"), line)
    except OSError as error:
        return _unreadable(path, reason_of(error))
    return parse(path, text)


def parse(path: Path, text: str) -> Document:
    """Parse the text of a config file; a mistake in it becomes the document's `problem`."""
    if text.startswith(BOM):
        return _unreadable(path, Text("it begins with a byte order mark (BOM)"), 1, text)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return _unreadable(path, Text("it is nested too deeply"), text=text)
    except ValueError as error:  # not only TOMLDecodeError: a number may be too long for int()
        message = str(error)
        at = _ERROR_LINE.search(message)
        line = int(at[1]) if at and at[1] else None
        reason: str = _ERROR_LINE.sub("", message)
        row = text.split("\n")[line - 1] if line else ""
        if mark := unquoted_wide_mark(row):
            reason = full_width(mark)
        return _unreadable(path, Text("it is not valid TOML: {reason}", reason=reason), line, text)
    return Document(path, text, data, _lines(text))


def full_width(mark: str) -> Text:
    """Say that a line has a full-width character where TOML has one of ASCII."""
    if mark == BLANK:
        return Text("there is a full-width blank (U+3000) in the line")
    return Text("there is a full-width {mark} in the line", mark=mark)


def _unreadable(path: Path, why: Text, line: int | None = None, text: str = "") -> Document:
    return Document(path, text, problem=Problem(why, Origin("file", path=path, line=line)))


# The tokens of valid TOML that decide where a statement begins: strings, comments, brackets.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""+'
    r"|'''.*?'''+"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|#[^\n]*|[\[{]|[\]}]|\n",
    re.DOTALL,
)
_NAME = r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|[\w-]+)"""
_NAMES = rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*"
_STATEMENT = re.compile(rf"[ \t]*(?:\[\[?[ \t]*(?P<table>{_NAMES})|(?P<key>{_NAMES})[ \t]*=)")


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each table and key of valid TOML, which tomllib does not tell."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, start in _statements(text):
        match = _STATEMENT.match(text, start)
        if match and match["table"]:
            table = _split(match["table"])
            lines.setdefault(table, number)
        elif match:
            lines.setdefault(table + _split(match["key"]), number)
    return lines


def _statements(text: str) -> list[tuple[int, int]]:
    """Return number and position of each line that does not begin within a string or a list."""
    starts = [(1, 0)]
    number = 1
    depth = 0
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece == "\n":
            number += 1
            if depth == 0:
                starts.append((number, match.end()))
        elif piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        else:
            number += piece.count("\n")
    return starts


def _split(names: str) -> tuple[str, ...]:
    """Return the parts of a dotted name, as TOML reads it."""
    value: Any = tomllib.loads(f"{names} = 0")
    parts: list[str] = []
    while isinstance(value, dict):
        ((name, value),) = value.items()
        parts.append(name)
    return tuple(parts)


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
    """Return the data that the edited text must hold, to be compared with what it does hold."""
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
    told = (
        "{path}: this file is laid out so that it cannot be edited safely, and nothing was changed;"
        " begin each of its tables with a [header]"
    )
    return ConfigFileError(Text(told, path=shown_path(document.path)))


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


def _misread(why: Text) -> ValueError:
    return ValueError(Text("OpenHands' TOML library would misread it: {why}", why=why))


def literal(value: object, inside: str = "") -> str:
    """Return a value as TOML text.

    Args:
        value: The value.
        inside: "d" for each dictionary and "l" for each list around it, the outermost first.

    Raises:
        ValueError: TOML has no such value, or OpenHands' TOML library would misread it; the
            error's text says which.
    """
    if isinstance(value, dict):
        return _dictionary(value, inside)
    if isinstance(value, list):
        return _list(value, inside)
    if inside and isinstance(value, str) and "\\" in value:
        raise _misread(Text("a backslash in a list or a dictionary"))
    return _scalar(value, _NESTED_ESCAPES if inside else _ESCAPES)


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
        raise _misread(Text("{name} should be letters, digits, - and _", name=repr(name)))
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
            kind = "none" if value is None else type(value).__name__
            raise ValueError(Text("TOML has no {kind}", kind=kind))


def _text(value: str, escapes: dict[int, str]) -> str:
    if _UNWRITABLE.search(value):
        raise ValueError(Text("it holds a control character"))
    quoted = f'"{value.translate(escapes)}"'
    # toml takes two quotes after the opening one for the beginning of """, also escaped ones.
    return f'""{quoted}""' if value == '"' or value.startswith('""') else quoted


def _dictionary(value: dict[str, Any], inside: str) -> str:
    pairs = (
        f"{_name(name, _NESTED_NAME)} = {literal(each, inside + 'd')}"
        for name, each in value.items()
    )
    return "{" + ", ".join(pairs) + "}"


def _list(value: list[Any], inside: str) -> str:
    kinds = {dict if isinstance(each, dict) else type(each) for each in value}
    if len(kinds) > 1 or "l" in inside or (dict in kinds and inside not in ("", "d")):
        raise _misread(Text("a list of different things, or a list too deep inside"))
    return f"[{', '.join(literal(each, inside + 'l') for each in value)}]"
