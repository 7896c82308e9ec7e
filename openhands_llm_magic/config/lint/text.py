"""The lines of a config file that do not parse, each explained to a person.

A line that does not parse is blanked and the rest is read again, so that one check finds all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import BOM, Document, Origin, Problem, full_width, parse
from openhands_llm_magic.config.lint.finding import WHAT_IS_NOT_SET, Finding, write
from openhands_llm_magic.config.width import BLANK, narrow, narrow_unquoted, unquoted_wide_mark
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable

CONSEQUENCE = Text("OpenHands would take nothing from the file")
ANYTHING = Text("Write [table] or key = value here, with text in quotes")

MOST_FINDINGS = 20
FARTHEST = 200
"""The number of lines that are searched for the beginning of a statement."""

_ASSIGNMENT = re.compile(r"\s*(?P<key>[\w.-]+|\"[\w. -]+\"|'[\w. -]+')\s*=\s*(?P<value>[^#]*)")
_HEADER = re.compile(r"\s*(\[[\w.\"' -]+\])", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class BadStatement:
    """A statement that does not parse; its value is never shown, as it may be a key.

    Attributes:
        lines: The lines of the file.
        number: The line that the statement begins in, counted from 1.
        message: What is wrong, with the words of tomllib.
        ends: The line that tomllib found the mistake in, or None for the end of the file.
    """

    lines: list[str]
    number: int
    message: Text
    ends: int | None

    @property
    def line(self) -> str:
        """The text of the line that the statement begins in."""
        return self.lines[self.number - 1]

    @property
    def in_one_line(self) -> bool:
        """Whether the statement is all in one line."""
        if self.ends is None:
            return not "".join(self.lines[self.number :]).strip()
        return self.ends == self.number

    @property
    def key(self) -> str:
        """The key that the line sets, or ""."""
        match = _ASSIGNMENT.match(self.line)
        return match["key"] if match else ""

    @property
    def value(self) -> str:
        """The value that the line sets the key to, as it is written."""
        match = _ASSIGNMENT.match(self.line)
        return match["value"].strip() if match else ""


def mended(document: Document) -> tuple[Document, list[Finding]]:
    """Return a config file without the lines that do not parse, and a finding for each of them."""
    findings: list[Finding] = []
    while (problem := document.problem) and document.text and len(findings) < MOST_FINDINGS:
        if document.text.startswith(BOM):
            origin = Origin("file", path=document.path, line=1)
            fix = Text('Save it as "UTF-8", not as "UTF-8 with BOM"')
            message = Text("the file begins with a byte order mark (BOM)")
            findings.append(Finding(origin, message, fix, CONSEQUENCE))
            document = parse(document.path, document.text.removeprefix(BOM))
            continue
        bad = _bad_statement(document, problem)
        if wide := _first_wide_line(bad):
            findings.append(_full_width(document, bad.lines, wide))
            bad.lines[wide - 1] = narrow_unquoted(bad.lines[wide - 1])
            document = parse(document.path, "\n".join(bad.lines))
            continue
        message, fix = next(
            (words for rule in RULES if (words := rule(bad))), (bad.message, ANYTHING)
        )
        origin = Origin("file", path=document.path, line=bad.number)
        findings.append(Finding(origin, message, fix, CONSEQUENCE))
        if not (bad.key and bad.in_one_line):
            break  # leaving out a header, or half of a value, would change the rest
        bad.lines[bad.number - 1] = ""
        document = parse(document.path, "\n".join(bad.lines))
    return document, findings


def _bad_statement(document: Document, problem: Problem) -> BadStatement:
    """Return the statement of a problem; tomllib tells at best in which line it ends."""
    lines = document.text.split("\n")
    last = problem.origin.line or len(lines)
    for before in range(last - 1, max(-1, last - FARTHEST), -1):
        if parse(document.path, "\n".join([*lines[:before], ""])).problem is None:
            return BadStatement(lines, before + 1, problem.message, problem.origin.line)
    return BadStatement(lines, last, problem.message, problem.origin.line)


def _first_wide_line(bad: BadStatement) -> int | None:
    """Return the number of the statement's line with a full-width character, or None."""
    numbers = (bad.number, bad.ends or bad.number)
    return next((each for each in numbers if unquoted_wide_mark(bad.lines[each - 1])), None)


def _full_width(document: Document, lines: list[str], number: int) -> Finding:
    mark = unquoted_wide_mark(lines[number - 1])
    right = Text("an ordinary blank") if mark == BLANK else narrow(mark)
    fix = Text("Write {right} instead, with the input method off", right=right)
    origin = Origin("file", path=document.path, line=number)
    return Finding(origin, full_width(mark), fix, CONSEQUENCE)


Words = tuple[Text, Text]


def _none(bad: BadStatement) -> Words | None:
    if bad.value.lower() not in ("none", "null", "nil"):
        return None
    told = "{name} is {value}, which TOML does not have"
    return Text(told, name=bad.key, value=bad.value), WHAT_IS_NOT_SET


def _capital(bad: BadStatement) -> Words | None:
    if bad.value.lower() not in ("true", "false"):
        return None
    lower = bad.value.lower()
    told = "{name} is {value}, which TOML writes as {right}"
    message = Text(told, name=bad.key, value=bad.value, right=lower)
    return message, write(f"{bad.key} = {lower}")


def _key_twice(bad: BadStatement) -> Words | None:
    if "Cannot overwrite a value" not in bad.message or not bad.key:
        return None
    same = re.compile(rf"\s*{re.escape(bad.key)}\s*=")
    above = (n for n in range(bad.number - 1, 0, -1) if same.match(bad.lines[n - 1]))
    first = next(above, None)
    told = "duplicate key {key}: line {line} sets it, too"
    if first is None:
        told = "duplicate key {key}: it is set above, too"
    return Text(told, key=bad.key, line=first), Text("Keep one of the two")


def _table_twice(bad: BadStatement) -> Words | None:
    header = _HEADER.match(bad.line)
    if "Cannot declare" not in bad.message or not header:
        return None
    message = Text("the table {header} is there twice", header=header[1])
    return message, Text("Write all its keys under the first one")


def _curly_quotes(bad: BadStatement) -> Words | None:
    if not bad.value.startswith(("“", "”", "„", "‘", "’", "«")):  # noqa: RUF001 - these
        return None
    fix = Text('Write {name} = "...", with straight quotes', name=bad.key)
    return Text("{name} is in typographic quotes", name=bad.key), fix


def _no_value(bad: BadStatement) -> Words | None:
    if bad.value or not bad.key:
        return None
    fix = Text("Write one after the =, or remove the line")
    return Text("{name} has no value", name=bad.key), fix


def _open_quote(bad: BadStatement) -> Words | None:
    quote = bad.value[:1]
    if not quote or quote not in "\"'" or bad.line.count(quote) % 2 == 0:
        return None
    message = Text("the text of {name} has a quote at one end only", name=bad.key)
    return message, Text("Write {form}, on one line", form=f"{bad.key} = {quote}...{quote}")


def _open_bracket(bad: BadStatement) -> Words | None:
    is_open = bad.ends is None or "Unclosed" in bad.message
    if not (is_open and bad.value) or bad.value[0] not in "[{":
        return None
    close = {"[": "]", "{": "}"}[bad.value[0]]
    fix = Text("Close it with {mark}, with text in quotes and commas in between", mark=close)
    return Text("what {name} is set to is not complete", name=bad.key), fix


def _no_quotes(bad: BadStatement) -> Words | None:
    if "Invalid value" not in bad.message or bad.value[:1] in ('"', "'"):
        return None
    told = "the value of {name} is neither a number nor true, false or text in quotes"
    fix = Text('Write {name} = "...", with quotes around text', name=bad.key)
    return Text(told, name=bad.key), fix


RULES: tuple[Callable[[BadStatement], Words | None], ...] = (
    _key_twice,
    _table_twice,
    _none,
    _capital,
    _curly_quotes,
    _no_value,
    _open_quote,
    _open_bracket,
    _no_quotes,
)
"""Each rule returns what is wrong and what to write, or None; the first that knows counts."""
