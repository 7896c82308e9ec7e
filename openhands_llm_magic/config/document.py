"""A config file: its text, its data, and the line of each of its keys."""

from __future__ import annotations

import re
import stat
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.layers import Origin, Problem
from openhands_llm_magic.errors import ConfigFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
        raise ConfigFileError(f"{named_by or 'config file'}: {self.problem}")


def read_file(path: Path) -> Document:
    """Read and parse a config file; a mistake in the file becomes the document's `problem`."""
    try:
        text = _read_text(path)
    except UnicodeDecodeError:
        return _unreadable(path, "it is not UTF-8 text")
    except OSError as error:
        return _unreadable(path, error.strerror or type(error).__name__)
    return parse(path, text)


def parse(path: Path, text: str) -> Document:
    """Parse the text of a config file; a mistake in it becomes the document's `problem`."""
    if text.startswith(BOM):
        return _unreadable(path, "it begins with a byte order mark (BOM)", 1, text)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return _unreadable(path, "it is nested too deeply", text=text)
    except ValueError as error:  # not only TOMLDecodeError: a number may be too long for int()
        message = str(error)
        at = _ERROR_LINE.search(message)
        line = int(at[1]) if at and at[1] else None
        why = f"it is not valid TOML: {_ERROR_LINE.sub('', message)}"
        return _unreadable(path, why, line, text)
    return Document(path, text, data, _lines(text))


def _unreadable(path: Path, why: str, line: int | None = None, text: str = "") -> Document:
    return Document(path, text, problem=Problem(why, Origin("file", path=path, line=line)))


def _read_text(path: Path) -> str:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise OSError(0, "it is a folder")
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise OSError(0, "it is not a regular file")
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(0, f"it is larger than {LARGEST_FILE // 1_000_000} MB")
    return content.decode()


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
        if match is None:  # a blank line or a comment
            continue
        names = _split(match["table"] or match["key"])
        if match["table"]:
            table = names
        else:
            names = table + names
        lines.setdefault(names, number)
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
