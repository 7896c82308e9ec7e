"""The variables of the notebook in a prompt: `{name}`, `{obj.attr}`, `{rows[0]}`.

Only what names something in the notebook is replaced. All other braces (JSON, LaTeX, code) reach
the model as they are, and a value that was put in is not looked at again. There are no calls and
no underscored names, so that a prompt runs nothing.
"""

from __future__ import annotations

import ast
import re
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook import images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.llm.content import Part

_STEP = r"\.[^\W_]\w*|\[(?:-?\d+|'[^'\\\n]*'|\"[^\"\\\n]*\")\]"
_PATH = rf"(?P<name>[^\W\d_]\w*)(?P<steps>(?:{_STEP})*)"
_FIELD = re.compile(rf"\{{(?P<escape>\{{)?{_PATH}\}}(?(escape)\}})")
_ONE_STEP = re.compile(_STEP)

MOST_ROWS = 20
MOST_COLUMNS = 20
"""Of a table, so much is shown."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt with the values of the notebook's variables in it.

    Attributes:
        parts: Its text, with images as attachments between.
        notes: What a person should know: what was cut, or could not be put in.
    """

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()


def filled(text: str, namespace: Mapping[str, object], *, limit_chars: int) -> Filled:
    """Put in the values of variables.

    Args:
        text: The prompt as it was typed. `{{name}}` becomes `{name}`.
        namespace: The notebook's variables.
        limit_chars: What a longer value is cut to.
    """
    parts: list[Part] = []
    notes: list[str] = []
    end = 0
    for match in _FIELD.finditer(text):
        if match["name"] not in namespace:
            continue
        part, note = _part(match, namespace, limit_chars)
        parts += [text[end : match.start()], part]
        notes += [note] if note else []
        end = match.end()
    parts.append(text[end:])
    return Filled(tuple(part for part in parts if part != ""), tuple(notes))


def _part(
    match: re.Match[str], namespace: Mapping[str, object], limit_chars: int
) -> tuple[Part, str]:
    """Give what stands in for a field, and a note about it."""
    path = match["name"] + match["steps"]
    if match["escape"]:
        return f"{{{path}}}", ""
    try:
        value = _value(namespace[match["name"]], match["steps"])
        image = images.image_of(path, value)
        text = "" if image else as_text(value)
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        return match[0], f"{match[0]} was left as it is ({type(error).__name__}: {error})"
    if image:
        return image, ""
    if len(text) <= limit_chars:
        return text, ""
    cut = f"\n… (cut: {limit_chars:,} of {len(text):,} characters)"
    return text[:limit_chars] + cut, f"{match[0]} was cut to {limit_chars:,} of {len(text):,} chars"


def _value(value: Any, steps: str) -> object:
    """Follow a path of attributes and items."""
    for step in _ONE_STEP.findall(steps):
        value = getattr(value, step[1:]) if step[0] == "." else value[ast.literal_eval(step[1:-1])]
    return value


def as_text(value: object) -> str:
    """Write a value as a model reads it best."""
    if isinstance(value, Reply):
        return value.text
    if isinstance(value, BaseException):
        return "".join(traceback.format_exception(value))
    if _is_table(value):
        return _table(value)
    return str(value)


def _is_table(value: Any) -> bool:
    """Tell whether a value is a DataFrame, of pandas or polars; neither is imported for that."""
    kind = type(value)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] in {
        "pandas",
        "polars",
    }


def _table(table: Any) -> str:
    """Write the beginning of a DataFrame as a Markdown table, with its shape."""
    rows, columns = table.shape
    names = [str(name) for name in table.columns][:MOST_COLUMNS]
    shown = table.head(MOST_ROWS)
    found = shown.itertuples(index=False) if hasattr(shown, "itertuples") else shown.iter_rows()
    lines = [names, ["---"] * len(names), *(list(row)[:MOST_COLUMNS] for row in found)]
    body = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    whole = rows <= MOST_ROWS and columns <= MOST_COLUMNS
    part = "" if whole else f"; the first {min(rows, MOST_ROWS)} and {len(names)} of them above"
    return f"{body}\n\n({rows:,} rows and {columns:,} columns{part})"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
