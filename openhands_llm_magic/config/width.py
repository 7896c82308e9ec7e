"""Characters of input methods that stand where ASCII is meant, such as a full-width digit."""

# ruff: noqa: RUF001 - these characters look like others, which is why they are typed
from __future__ import annotations

import re

BLANK = "\u3000"

_WIDE = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {BLANK: " "}
_KANA_MODE = {
    "「": "[",
    "」": "]",
    "。": ".",
    "、": ",",
    "・": "/",
    "ー": "-",
    "〜": "~",
    "￥": "\\",
}
"""What a key gives in an input method's kana mode, by the key."""

_NARROW = str.maketrans(_WIDE | _KANA_MODE | {"−": "-"})
_MARK = re.compile(f"[{re.escape(''.join(map(chr, _NARROW)))}]")
_QUOTED_OR_COMMENT = re.compile(r""""(?:\\.|[^"\\])*"|'[^']*'|#.*""")


def narrow(text: str) -> str:
    """Return the ASCII that a text with full-width characters stands for.

    A text with other characters beside them, such as a name in Japanese, is returned as it is.
    """
    meant = text.translate(_NARROW)
    return meant if meant.isascii() else text


def wide_mark(text: str) -> str:
    """Return the first character of a text that `narrow` would replace, or ""."""
    return "" if narrow(text) == text else _MARK.findall(text)[0]


def unquoted_wide_mark(line: str) -> str:
    """Return the first full-width character of a line of TOML outside of texts and comments."""
    found = _MARK.search(_QUOTED_OR_COMMENT.sub("", line))
    return found[0] if found else ""


def narrow_unquoted(line: str) -> str:
    """Return a line of TOML whose quoted texts and comment alone may hold full-width characters."""
    kept, end = [], 0
    for found in _QUOTED_OR_COMMENT.finditer(line):
        kept += [line[end : found.start()].translate(_NARROW), found[0]]
        end = found.end()
    return "".join([*kept, line[end:].translate(_NARROW)])
