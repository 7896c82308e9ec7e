"""How a line of a magic is split into words and options, also one that a phone has typed.

A phone, and many a text on a page, has “ ” in the place of quotes and — in the place of --. An
input method has full-width blanks, which IPython takes for a part of a magic's name.
"""

# ruff: noqa: RUF001 - these quotes look like others, which is why they are typed
from __future__ import annotations

import difflib
import re
import shlex
from typing import TYPE_CHECKING

from openhands_llm_magic.config.width import BLANK, narrow
from openhands_llm_magic.errors import Text, UsageError, reason_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterable, Mapping

# Other languages have „ “ and « ».
_CURLY = r"[“”„‟«][^“”„‟»]*+[“”„‟»]|[‘‚‛][^‘’‚‛]*+’"
_QUOTED = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
_WORD = re.compile(rf"""\s*((?:{_QUOTED}|{_CURLY}|[^\s"'“”„‟«‘‚‛])+|\S+)""")
_BLANK_OR_QUOTES = re.compile(rf"{_QUOTED}|(?P<curly>{_CURLY})|(?P<blank>{BLANK})")
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
"""A hyphen, and what is typed or printed in its place."""

_LONG_FLAG = re.compile(rf"[{DASHES}]+(?P<name>[a-z][a-z-]+)(?P<rest>=.*)?", re.DOTALL)
_SHORT_FLAG = re.compile(rf"[{DASHES}](?P<name>[a-z])")


_MAGIC = re.compile(
    rf"(?P<before>[ \t]*(?:\w+[ \t]*=[ \t]*)?)(?P<magic>[%％]{{1,2}}\w+)(?P<blanks>[ \t{BLANK}]*)"
)
_LONG_QUOTE = re.compile("\"{3}|'{3}")


def narrow_magics(names: Collection[str]) -> Callable[[list[str]], list[str]]:
    """Make the function by which IPython reads the magics of these names with full-width blanks.

    It changes the name of a magic and the blanks behind it, and nothing in the body of a cell magic
    or in a text of several lines.
    """

    def narrow_line(line: str) -> str:
        found = _MAGIC.match(line)
        if found is None or narrow(found["magic"]).lstrip("%") not in names:
            return line
        return found["before"] + narrow(found["magic"] + found["blanks"]) + line[found.end() :]

    def narrow_lines(lines: list[str]) -> list[str]:
        if lines and narrow(lines[0][:2]) == "%%":
            return [narrow_line(lines[0]), *lines[1:]]
        read, in_text = [], False
        for line in lines:
            read.append(line if in_text else narrow_line(line))
            in_text ^= len(_LONG_QUOTE.findall(line)) % 2 == 1
        return read

    return narrow_lines


def split(line: str, options: Mapping[str, argparse.Action]) -> tuple[list[str], str]:
    """Split the options off a line; what follows them is the prompt and stays as it was typed.

    Args:
        line: The line.
        options: What each flag does.
    """
    words: list[str] = []
    end = 0
    while match := _WORD.match(line, end):
        word = plain(match[1], options)
        if not word.startswith("-"):
            break
        end = match.end()
        if word == "--":
            break
        action = options.get(word)
        if action is not None and action.nargs != 0 and (value := _WORD.match(line, end)):
            end = value.end()
            words.append(f"{action.option_strings[-1]}={_unquoted(value[1])}")
        else:
            words.append(_unquoted(word))
    return words, line[end:].strip()


def plain(word: str, options: Mapping[str, object]) -> str:
    """Return a word with the dashes of a flag, if it is a flag but for its dashes.

    A phone makes — of --; a prompt may begin with a dash, too.
    """
    if word[0] == "-" and word[:3].isascii():
        return word
    if short := _SHORT_FLAG.fullmatch(word):
        flag = "-" + short["name"]
        return flag if flag in options else word
    long = _LONG_FLAG.fullmatch(word)
    if long is None:
        return word
    flag = "--" + long["name"]
    meant = flag in options or difflib.get_close_matches(flag, options, n=1, cutoff=0.8)
    return flag + (long["rest"] or "") if meant else word


def words(line: str, options: Iterable[str] = ()) -> list[str]:
    """Split a line into words as a shell does, with the dashes and quotes of a phone, too.

    Args:
        line: The line.
        options: The flags that there are.

    Raises:
        UsageError: A quotation is not closed.
    """
    try:
        found = shlex.split(_straight(line))
    except ValueError as error:
        told = "{why}: check the quotes."
        raise UsageError(Text(told, why=reason_of(error))) from None
    return [plain(word, dict.fromkeys(options)) if word else word for word in found]


def _unquoted(word: str) -> str:
    """Take the quotes off a word as a shell would."""
    try:
        return "".join(shlex.split(_straight(word)))
    except ValueError:
        return word


def _straight(text: str) -> str:
    """Put a shell's quotes and blanks in the place of curly and full-width ones."""
    return _BLANK_OR_QUOTES.sub(_straightened, text)


def _straightened(found: re.Match[str]) -> str:
    if found["blank"]:
        return " "
    return shlex.quote(found[0][1:-1]) if found["curly"] else found[0]
