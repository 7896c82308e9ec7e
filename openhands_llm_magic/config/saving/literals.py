"""Values as TOML text, in the forms that OpenHands' own TOML library reads back.

That library, `toml` 0.10.2, misreads some valid TOML; each rule here avoids one such case.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """Write a value.

    Raises:
        ValueError: TOML has no such value, or OpenHands' TOML library would misread it; the text
            says why.
    """
    if isinstance(value, dict):
        return _dictionary(value)
    if isinstance(value, list):
        return _list(value)
    return _scalar(value, _ESCAPES)


def header(names: Iterable[str]) -> str:
    """Write the header of a table: `[llm."gpt-4.1"]` for llm and gpt-4.1.

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
    """Write what is in dictionaries and lists: "d" or "l" in `inside` for each, outermost first."""
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
