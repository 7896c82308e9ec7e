"""The forms in which an answer is shown, and the data that some of them hold."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import FormatError, UsageError
from openhands_llm_magic.llm.answers.extract import Schema, code_in, json_in, unfenced
from openhands_llm_magic.llm.conversations import fenced
from openhands_llm_magic.notebook.view import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


FORMULA = re.compile(r"\$\$(.*)\$\$|\\\[(.*)\\\]|\$(.*)\$|\\\((.*)\\\)", re.DOTALL)
"""A formula with what models put around it."""

MARK = re.compile(r"(?<!\\)(?:\$|\\[\[(])")
"""What tells that there is a formula within a text; a line of an array may end in \\\\[4pt]."""


def _json(text: str) -> str:
    """Show JSON indented and coloured; an answer that is not JSON, as it is."""
    try:
        value = json_in(text)
    except FormatError:
        return sanitize.to_html(text)
    block = fenced(json.dumps(value, indent=2, ensure_ascii=False))
    return sanitize.to_html(block.replace("\n", "json\n", 1))


def _math(text: str) -> str:
    """Show an answer that is a formula, with or without marks around it, or a text with some."""
    formula = unfenced(text)
    marked = FORMULA.fullmatch(formula)
    if marked is not None:
        formula = "".join(marked.groups("")).strip()
    if MARK.search(formula):
        return sanitize.to_html(text)
    return sanitize.to_html(f"$$\n{formula}\n$$")


def _html(text: str) -> str:
    return sanitize.html_to_html(unfenced(text))


FORMATS: dict[str, Callable[[str], str]] = {
    "markdown": sanitize.to_html,
    "text": sanitize.plain_to_html,
    "json": _json,
    "code": sanitize.to_html,
    "html": _html,
    "math": _math,
}
"""For each value of `--format`, what renders an answer's text as HTML that is safe to show."""


def schema_named(name: str | None, variables: Mapping[str, object]) -> Schema | None:
    """Return the schema in a variable, if one is named.

    Raises:
        UsageError: There is no such variable, or no schema in it.
    """
    if name is None:
        return None
    if name not in variables:
        raise UsageError(f"--schema {name}: there is no variable {name}.")
    return Schema.of(name, variables[name])


def data_of(text: str, form: str, schema: Schema | None = None) -> Any:
    """Return what an answer is in its format: JSON's value, the code, or None.

    Raises:
        FormatError: It was to be JSON, or to fit a schema, and does not.
    """
    if schema is not None:
        return schema.read(text)
    match form:
        case "json":
            return json_in(text)
        case "code":
            return code_in(text)
    return None
