"""A file of JSON as OpenHands writes it, read, or refused in one line."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import files
from openhands_llm_magic.config.document import BOM, LARGEST_FILE, shown_path
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import ConfigFileError, Text, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEWEST_SCHEMA = 1
"""The `schema_version` of a profile that SDK 1.58.2 writes; it refuses a newer one."""

DEEPEST = 50
"""Levels of lists and objects within each other; OpenHands writes a handful."""

_HALF_LETTER = re.compile(r"[\ud800-\udfff]")  # JSON can name one, and no file or terminal takes it


def content_of(path: Path, env: Mapping[str, str]) -> bytes:
    """Return the content of a file of OpenHands.

    Raises:
        ConfigFileError: It cannot be read, is another person's, or is far too large.
    """
    try:
        return files.read(path, LARGEST_FILE, env)
    except OSError as error:
        raise ConfigFileError(
            Text("{file}: {why}", file=shown_path(path), why=reason_of(error))
        ) from None


def parsed(content: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON object that a file of OpenHands holds.

    Raises:
        ConfigFileError: It holds none.
    """
    text = ""
    try:
        text = content.decode()
        data = json.loads(text)
    except UnicodeDecodeError:
        why = Text("it is not UTF-8 text")
    except json.JSONDecodeError as error:
        why = Text("it is no JSON from line {line} on", line=error.lineno)
        if text.startswith(BOM):
            why = Text("it begins with a byte order mark (BOM)")
        elif not text.strip():
            why = Text("it is empty")
    except (ValueError, RecursionError):  # a number of thousands of digits; a thousand brackets
        why = Text("its JSON is not one that OpenHands writes")
    else:
        if isinstance(data, dict) and _is_plain(data):
            return data
        why = Text("it holds no JSON object")
        if isinstance(data, dict):
            why = Text("its JSON is not one that OpenHands writes")
    raise ConfigFileError(Text("{file}: {why}", file=shown_path(path), why=why))


def _is_plain(data: dict[str, Any]) -> bool:
    """Return whether data can be walked through, shown and written: no depths, no half letters."""
    level: list[Any] = [data]
    for _ in range(DEEPEST):
        inner = (
            [*each, *each.values()] if isinstance(each, dict) else each
            for each in level
            if isinstance(each, dict | list)
        )
        level = list(chain.from_iterable(inner))
        if any(isinstance(each, str) and _HALF_LETTER.search(each) for each in level):
            return False
        if not level:
            return True
    return False


def require_known_schema(data: Mapping[str, Any], path: Path, newest: int = NEWEST_SCHEMA) -> None:
    """Refuse a file that a newer OpenHands has written.

    Raises:
        ConfigFileError: It is one.
    """
    version = data.get("schema_version") or 0
    if not isinstance(version, int) or version > newest:
        told = "{file}: a newer OpenHands wrote it (schema_version {version}; {known} is known)"
        shown = shorten(repr(version))
        raise ConfigFileError(Text(told, file=shown_path(path), version=shown, known=newest))
