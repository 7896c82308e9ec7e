"""The forms in which an answer is shown, and the data that some of them hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import FormatError, UsageError
from openhands_llm_magic.llm.content import fenced
from openhands_llm_magic.llm.structured import Schema, code_in, json_in
from openhands_llm_magic.notebook import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


MATH_MARKS = (("$$", "$$"), ("\\[", "\\]"), ("$", "$"), ("\\(", "\\)"))
"""What models put around a formula."""


def _json(text: str) -> str:
    """Show JSON indented and coloured; an answer that is none, as it is."""
    try:
        value = json_in(text)
    except FormatError:
        return sanitize.to_html(text)
    block = fenced(json.dumps(value, indent=2, ensure_ascii=False))
    return sanitize.to_html(block.replace("\n", "json\n", 1))


def _math(text: str) -> str:
    """Show an answer that is a formula, with or without the marks around it."""
    formula = code_in(text).strip()
    for opening, closing in MATH_MARKS:
        if formula.startswith(opening):
            formula = formula.removeprefix(opening).removesuffix(closing).strip()
            break
    return sanitize.to_html(f"$$\n{formula}\n$$")


def _html(text: str) -> str:
    return sanitize.html_to_html(code_in(text))


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
    """Give the schema in a variable, if one is named.

    Raises:
        UsageError: There is no such variable, or no schema in it.
    """
    if name is None:
        return None
    if name not in variables:
        raise UsageError(f"--schema {name}: there is no variable {name}.")
    return Schema.of(name, variables[name])


def data_of(text: str, form: str, schema: Schema | None = None) -> Any:
    """Give what an answer is in its format: JSON's value, the code, or None.

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
