"""Texts that stand where a value was meant: placeholders, and values with marks around them."""

from __future__ import annotations

import re
from enum import Enum, auto

from openhands_llm_magic.errors import Text

QUOTES = "\"'`“”„‘’«»"  # noqa: RUF001 - these
"""Characters that stand around a text, and belong to no model, key or address."""

# What `str.strip` leaves: the marks that come along when a text is copied from a page.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"

# A file for docker's --env-file has comments in lines of their own alone.
_COMMENT = re.compile(r"(?<![ \t])[ \t]+#.*\Z", re.DOTALL)

_NAME = r"[A-Za-z_]\w*"

# Some program replaces each of these; TOML, Python and OpenHands do not.
_REFERENCE = re.compile(
    rf"\$\{{{_NAME}\b|(?:^|/)\${_NAME}"  # ${X}, ${X:-y}, $X, http://$X/v1
    r"|\$\(|\$\{\{|<%|%>|^`"  # $(command), ${{ secrets.X }}, `command`
    rf"|^%{_NAME}%$|^!{_NAME}!$"  # %X% and !X! of Windows
    r"|\{\{[^{]*\}\}"  # {{X}}
    rf"|^\{{{_NAME}\}}$"  # {X}
    rf"|^\$?(?:[\w ]*(?i:env)(?i:[_ ]?var(?:iable)?)?|secrets?|vault|var)[:.][ /]*{_NAME}"  # env:X
    rf"|^(?:env|ENV|getenv|config)\s*[\[(]|^!\s*(?:env|ENV)\b|^ENC\["  # ENV["X"], env(X), !env X
    r"|\bos\.(?:environ|getenv)\b|\bprocess\.env\b|\bSys\.getenv\b"
    r"|^(?:op|vault|awssm|gcpsm|secretref|keyring)://|^arn:aws:secretsmanager:",
    re.ASCII,
)
# OPENAI_API_KEY: the name of the variable in place of its value.
_VARIABLE_NAME = re.compile(
    r"(?=\w+\Z)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:KEY|TOKEN|SECRET)(?:_\w+)?", re.ASCII
)

# <your key>, [your key], sk-..., xxx, sk-xxxxxxxx, ****
_GAP = re.compile(
    r"<[^<>]+>|^\[[^\[\]]*\]$|\.{3}|…|x{5,}|\*{3,}|^(?:[a-z0-9]{2,7}[-_])*[x*•._?-]{3,}$",
    re.IGNORECASE,
)
# In a name or an address: openai/MODEL_NAME, https://YOUR_SERVER/v1, http://{host}:8000.
_GAP_IN_NAME = re.compile(
    r"\{[\w -]+\}|(?<![A-Za-z0-9_])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*"
    r"_(?:DEPLOYMENT|ENDPOINT|HERE|HOST|ID|MODEL|NAME|PORT|RESOURCE|SERVER|URL)(?![A-Za-z0-9_])"
)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)

# In a text of words, each of these says that it is not the value.
_TELLING = frozenset({
    "changeme", "fixme", "placeholder", "redacted", "replaceme", "tbd", "todo", "your", "yours",
})  # fmt: skip
_REQUESTS = frozenset({"add", "change", "enter", "fill", "insert", "my", "paste", "put", "replace"})
_WANTED = frozenset({"apikey", "here", "it", "key", "me", "secret", "this", "token", "value"})

_LONGEST_PLACEHOLDER = 200
"""Characters; a longer text is a value."""


class Placeholder(Enum):
    """What kind of text stands in for a value."""

    REFERENCE = auto()
    TO_FILL_IN = auto()


TOML_EXPANDS_NOTHING = Text("TOML expands nothing: write the value itself")


def stands_in(name: str, kind: Placeholder) -> Text:
    """Say that a placeholder stands where a value was meant."""
    if kind is Placeholder.REFERENCE:
        return Text("{name} is the name of a variable, in place of a value", name=name)
    return Text("{name} is a text to be filled in, in place of a value", name=name)


def placeholder_in(text: str, *, is_secret: bool = False) -> Placeholder | None:
    """Return the kind of placeholder that a text is or holds, or None if it is a value.

    Args:
        text: The text of a setting.
        is_secret: Whether the setting is a key, which is never the name of a variable.
    """
    plain = unwrapped(text)
    if len(plain) > _LONGEST_PLACEHOLDER:
        return None
    if _REFERENCE.search(plain):
        return Placeholder.REFERENCE
    if _is_to_fill_in(plain, is_secret=is_secret):
        return Placeholder.TO_FILL_IN
    return Placeholder.REFERENCE if is_secret and _VARIABLE_NAME.fullmatch(plain) else None


def _is_to_fill_in(text: str, *, is_secret: bool) -> bool:
    words = [word.lower() for word in _WORD.findall(text)]
    if _GAP.search(text) or not _TELLING.isdisjoint(words):
        return True
    if not is_secret:
        return _GAP_IN_NAME.search(text) is not None
    if not words:
        return False
    is_request = words[0] in _REQUESTS and words[-1] in _WANTED
    return is_request or (words[-1] == "here" and len(words) > 1)


def unwrapped(text: str) -> str:
    """Return a text without the quotes, blanks, comment and invisible marks around it."""
    before = None
    text = _COMMENT.sub("", text)
    while before != text:
        before, text = text, text.strip().strip(_INVISIBLE + QUOTES)
    return text


class Wrapping(Enum):
    """What stands around a text."""

    COMMENT = auto()
    BLANKS = auto()
    QUOTES = auto()
    INVISIBLE = auto()


def wrapping_of(text: str) -> Wrapping | None:
    """Return what stands around a text, or None if nothing does."""
    if text == unwrapped(text):
        return None
    if _COMMENT.search(text):
        return Wrapping.COMMENT
    if text.strip() == unwrapped(text):
        return Wrapping.BLANKS
    return Wrapping.QUOTES if any(mark in QUOTES for mark in text) else Wrapping.INVISIBLE


COUNTED = {
    Wrapping.COMMENT: "the comment after {name} counts as part of it",
    Wrapping.BLANKS: "the blanks or line breaks around {name} count as part of it",
    Wrapping.QUOTES: "the quotes around {name} count as part of it",
    Wrapping.INVISIBLE: "the invisible characters around {name} count as part of it",
}

WITHOUT_IT = {
    Wrapping.COMMENT: "Write it without the comment",
    Wrapping.BLANKS: "Write it without blanks or line breaks",
    Wrapping.QUOTES: "Write it without quotes",
    Wrapping.INVISIBLE: "Write it without invisible characters",
}
