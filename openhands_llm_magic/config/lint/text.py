"""What keeps a config file from being parsed, line by line, in words for a person.

A line that does not parse is blanked and the rest is read again, so that one check finds all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import BOM, Document, parse
from openhands_llm_magic.config.layers import Origin, Problem
from openhands_llm_magic.config.lint.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

CONSEQUENCE = "OpenHands would take nothing from the file"

MOST_FINDINGS = 20
FARTHEST = 200
"""Lines that are searched for the beginning of a statement."""

_ASSIGNMENT = re.compile(r"\s*(?P<key>[\w.-]+|\"[\w. -]+\"|'[\w. -]+')\s*=\s*(?P<value>[^#]*)")
_HEADER = re.compile(r"\s*(\[[\w.\"' -]+\])", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """A statement that does not parse; its values are for rules to look at, never to show.

    Attributes:
        lines: The lines of the file.
        number: The line that the statement begins in, counted from 1.
        message: What tomllib says.
        ends: The line that it found the mistake in, or None for the end of the file.
    """

    lines: list[str]
    number: int
    message: str
    ends: int | None

    @property
    def line(self) -> str:
        """The line itself."""
        return self.lines[self.number - 1]

    @property
    def in_one_line(self) -> bool:
        """Whether it ends in the line that it begins in."""
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
        """What it is set to, as written."""
        match = _ASSIGNMENT.match(self.line)
        return match["value"].strip() if match else ""


def mended(document: Document) -> tuple[Document, list[Finding]]:
    """Leave out what does not parse of a file's text, and tell each such thing."""
    findings: list[Finding] = []
    while (problem := document.problem) and document.text and len(findings) < MOST_FINDINGS:
        if document.text.startswith(BOM):
            findings.append(_bom(document))
            document = parse(document.path, document.text.removeprefix(BOM))
            continue
        fault = _fault(document, problem)
        message, fix = next(words for rule in RULES if (words := rule(fault)))
        origin = Origin("file", path=document.path, line=fault.number)
        findings.append(Finding(origin, message, fix, CONSEQUENCE))
        if not (fault.key and fault.in_one_line):
            break  # leaving out a header, or half of a value, would change the rest
        fault.lines[fault.number - 1] = ""
        document = parse(document.path, "\n".join(fault.lines))
    return document, findings


def _bom(document: Document) -> Finding:
    return Finding(
        Origin("file", path=document.path, line=1),
        "the file begins with a byte order mark (BOM)",
        'Save it as "UTF-8", not as "UTF-8 with BOM"',
        CONSEQUENCE,
    )


def _fault(document: Document, problem: Problem) -> Fault:
    """Find where the statement begins; tomllib tells at best where it ends."""
    lines = document.text.split("\n")
    last = problem.origin.line or len(lines)
    for before in range(last - 1, max(-1, last - FARTHEST), -1):
        if parse(document.path, "\n".join([*lines[:before], ""])).problem is None:
            return Fault(lines, before + 1, problem.message, problem.origin.line)
    return Fault(lines, last, problem.message, problem.origin.line)


Words = tuple[str, str]


def _none(fault: Fault) -> Words | None:
    if fault.value.lower() not in ("none", "null", "nil"):
        return None
    return f"{fault.key} is {fault.value}, which TOML does not have", (
        "Remove the line: what is not set is none"
    )


def _capital(fault: Fault) -> Words | None:
    if fault.value.lower() not in ("true", "false"):
        return None
    lower = fault.value.lower()
    return f"{fault.key} is {fault.value}, which TOML writes as {lower}", (
        f"Write {fault.key} = {lower}"
    )


def _key_twice(fault: Fault) -> Words | None:
    if "Cannot overwrite a value" not in fault.message or not fault.key:
        return None
    same = re.compile(rf"\s*{re.escape(fault.key)}\s*=")
    above = (n for n in range(fault.number - 1, 0, -1) if same.match(fault.lines[n - 1]))
    first = next(above, None)
    where = f"line {first} sets it" if first else "it is set above"
    return f"duplicate key {fault.key}: {where}, too", "Keep one of the two"


def _table_twice(fault: Fault) -> Words | None:
    header = _HEADER.match(fault.line)
    if "Cannot declare" not in fault.message or not header:
        return None
    return f"the table {header[1]} is there twice", "Write all its keys under the first one"


def _curly_quotes(fault: Fault) -> Words | None:
    if not fault.value.startswith(("“", "”", "„", "‘", "’", "«")):  # noqa: RUF001 - these
        return None
    return (
        f"{fault.key} is in typographic quotes",
        f'Write {fault.key} = "...", with straight quotes',
    )


def _no_value(fault: Fault) -> Words | None:
    if fault.value or not fault.key:
        return None
    return f"{fault.key} has no value", "Write one after the =, or remove the line"


def _open_quote(fault: Fault) -> Words | None:
    quote = fault.value[:1]
    if not quote or quote not in "\"'" or fault.line.count(quote) % 2 == 0:
        return None
    return f"the text of {fault.key} has a quote at one end only", (
        f"Write {fault.key} = {quote}...{quote}, on one line"
    )


def _open_bracket(fault: Fault) -> Words | None:
    is_open = fault.ends is None or "Unclosed" in fault.message
    if not (is_open and fault.value) or fault.value[0] not in "[{":
        return None
    close = {"[": "]", "{": "}"}[fault.value[0]]
    return f"what {fault.key} is set to is not complete", (
        f"Close it with {close}, with text in quotes and commas in between"
    )


def _no_quotes(fault: Fault) -> Words | None:
    if "Invalid value" not in fault.message or fault.value[:1] in ('"', "'"):
        return None
    return f"the value of {fault.key} is neither a number nor true, false or text in quotes", (
        f'Write {fault.key} = "...", with quotes around text'
    )


def _anything(fault: Fault) -> Words:
    return fault.message, "Write [table] or key = value here, with text in quotes"


RULES: tuple[Callable[[Fault], Words | None], ...] = (
    _key_twice,
    _table_twice,
    _none,
    _capital,
    _curly_quotes,
    _no_value,
    _open_quote,
    _open_bracket,
    _no_quotes,
    _anything,
)
"""Each says what is wrong and what to write, or None; the first that knows counts."""
