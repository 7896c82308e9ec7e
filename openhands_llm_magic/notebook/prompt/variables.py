"""The variables of the notebook in a prompt: `{name}`, `{obj.attr}`, `{rows[0]}`.

Only what names something in the notebook is replaced. All other braces (JSON, LaTeX, code) reach
the model as they are, and a value that was put in is not looked at again. There are no calls and
no underscored names, so that a prompt runs nothing.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.events import Reply
from openhands_llm_magic.notebook.last_error import title_of, traceback_of
from openhands_llm_magic.notebook.prompt import frames, images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.llm.conversations import Part

# Python's names may hold more than letters: the vowel signs of Indian scripts are none.
_NAME = r"[A-Za-z\x80-\U0010ffff][\w\x80-\U0010ffff]*"
_STEP = rf"\.{_NAME}|\[(?:-?\d+|'[^'\\\n]*'|\"[^\"\\\n]*\")\]"
_PATH = rf"(?P<name>{_NAME})(?P<steps>(?:{_STEP})*)"
_FIELD = re.compile(rf"\{{(?P<escape>\{{)?{_PATH}\}}(?(escape)\}})")
_ONE_STEP = re.compile(_STEP)


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

    Raises:
        UsageError: An image is too large, cannot be saved, or is of a kind that models do not take.
    """
    parts: list[Part] = []
    notes: list[str] = []
    end = 0
    for match in _FIELD.finditer(text):
        steps = _ONE_STEP.findall(match["steps"])
        name = _normalized(match["name"])
        named = all(_normalized(step[1:]) for step in steps if step[0] == ".")
        if name not in namespace or not named:
            continue
        part, note = _part(match, namespace[name], steps, limit_chars)
        parts += [text[end : match.start()], part]
        notes += [note] if note else []
        end = match.end()
    parts.append(text[end:])
    return Filled(tuple(part for part in parts if part != ""), tuple(notes))


def _normalized(name: str) -> str:
    """Return a name as Python knows it, or "" if it is not one or begins with an underscore."""
    name = unicodedata.normalize("NFKC", name)
    return name if name.isidentifier() and not name.startswith("_") else ""


def _part(
    match: re.Match[str], value: object, steps: Sequence[str], limit_chars: int
) -> tuple[Part, str]:
    """Return what stands in for a field, and a note about it."""
    path = match["name"] + match["steps"]
    if match["escape"]:
        return f"{{{path}}}", ""
    try:
        value = _value(value, steps)
        image = images.image_of(path, value)
        text = "" if image else as_text(value)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        return match[0], f"{match[0]} was left as it is ({title_of(error)})"
    if image:
        return image, ""
    if len(text) <= limit_chars:
        return text, ""
    cut = f"\n… (cut: {limit_chars:,} of {len(text):,} characters)"
    return text[:limit_chars] + cut, f"{match[0]} was cut to {limit_chars:,} of {len(text):,} chars"


def _value(value: Any, steps: Sequence[str]) -> object:
    """Follow a path of attributes and items."""
    for step in steps:
        if step[0] == ".":
            value = getattr(value, _normalized(step[1:]))
        else:
            value = value[ast.literal_eval(step[1:-1])]
    return value


def as_text(value: object) -> str:
    """Write a value as a model reads it best."""
    if isinstance(value, Reply):
        return value.text
    if isinstance(value, BaseException):
        return traceback_of(value, get_ipython())
    table = frames.as_markdown(value)
    return str(value) if table is None else table
