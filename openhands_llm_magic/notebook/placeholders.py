"""`{name}` in a prompt, and in the options of a line: which braces name something, and what.

Of the variables (`{name}`, `{obj.attr}`, `{rows[0]}`, `{price:.2f}`, `{name!r}`, `{_}`), only what
names something in the notebook is replaced. All other braces (JSON, LaTeX, code) reach the model as
they are, and a value that was put in is not looked at again. There are no calls and no underscored
names, so that a prompt runs nothing. Braces that look as if a name were meant are told.
"""

from __future__ import annotations

import builtins
import difflib
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.setting import python_literal
from openhands_llm_magic.errors import Text, UsageError, on_one_line
from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook import values
from openhands_llm_magic.notebook.last_error import title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openhands_llm_magic.llm.conversations import Part

# Python's names may hold more than letters: the vowel signs of Indian scripts are none.
_NAME = r"[A-Za-z\x80-\U0010ffff][\w\x80-\U0010ffff]*+"
_LAST = r"_(?:__?|\d++)?(?!\w)"
"""IPython's names of the last values: `_`, `__`, `___` and `_5`."""
_STEP = rf"\.{_NAME}|\[(?:-?\d+|'[^'\\\n]*'|\"[^\"\\\n]*\")\]"
_PATH = rf"(?P<name>{_NAME}|{_LAST})(?P<steps>(?:{_STEP})*)"
# Of Python's formats those that can be nothing else: `{x:5}` and `{a:b}` are sets and dictionaries
# of code, too.
_FORMAT = (
    r"[^{}\n]?[<>=^][-+ ]?z?#?0?\d*[,_]?(?:\.\d+)?[a-zA-Z%]?"
    r"|[-+]?z?#?0?\d*[,_]?\.\d+[eEfFgG%]?|[-+]?#?0?\d*[,_][a-zA-Z]?"
    r"|[-+]?#?0?\d+[bcdeEfFgGnosxX%]|[-+#][bdeEfFgGnoxX%]|[defgnxX%]|%[^{}\n]*"
)
_FIELD = re.compile(
    rf"\{{(?P<escape>\{{)?{_PATH}(?P<form>(?:![rsa])?(?::(?:{_FORMAT}))?)\}}(?(escape)\}})"
)
_ONE_STEP = re.compile(_STEP)


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with the values of the notebook's variables in it.

    Attributes:
        parts: Its text, with images as attachments between.
        notes: What a person should know: what was cut, could not be put in, or looks meant.
        put_in: The fields that were replaced, without their braces.
        left: The fields that were not, with their braces.
    """

    parts: tuple[Part, ...]
    notes: tuple[Text, ...] = ()
    put_in: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def filled(
    text: str,
    namespace: Mapping[str, object],
    *,
    limit_chars: int,
    unkept: Mapping[str, str] | None = None,
) -> Filled:
    """Put in the values of variables.

    Args:
        text: The text as it was typed. `{{name}}` becomes `{name}`.
        namespace: The notebook's variables.
        limit_chars: What a longer value is cut to.
        unkept: Variables that are out of reach, each with the function that it belongs to.

    Raises:
        UsageError: An image is too large, cannot be saved, or is of a kind that models do not take.
    """
    parts: list[Part] = []
    notes: list[Text] = []
    put_in: list[str] = []
    done: set[int] = set()
    end = 0
    for match in _FIELD.finditer(text):
        one = _Field.of(match)
        if not one.names_one_of(namespace):
            continue
        if match["escape"]:
            parts += [text[end : match.start()], match[0][1:-1]]
        else:
            found = one.part(namespace[one.name], limit_chars)
            notes += found.notes
            if found.part is None:
                continue
            parts += [text[end : match.start()], found.part]
            put_in.append(match[0][1:-1])
        done |= {match.start(), match.start() + 1}
        end = match.end()
    parts.append(text[end:])
    left = [each for each in _MAYBE.finditer(text) if each.start() not in done]
    known = _Known(namespace, unkept or {})
    notes += [note for each in left[:MOST_LEFT] if (note := known.note(each))]
    return Filled(
        tuple(part for part in parts if part != ""),
        tuple(dict.fromkeys(note.masked(on_one_line) for note in notes)),
        tuple(dict.fromkeys(put_in)),
        tuple(dict.fromkeys(each[0] for each in left if _IS_PATH.fullmatch(each["rest"]))),
    )


def whole(text: str, namespace: Mapping[str, object]) -> object:
    """Return the value that a text names as a whole, as "{name}" does, or else the text itself."""
    match = _FIELD.fullmatch(text)
    if match is None or match["escape"] or match["form"]:
        return text
    one = _Field.of(match)
    return one.value(namespace[one.name]) if one.names_one_of(namespace) else text


@dataclass(frozen=True, slots=True)
class _Put:
    """What stands in for a field, or None where it is left as it is; and the notes about it."""

    part: Part | None
    notes: tuple[Text, ...] = ()


_IS_LETTER = re.compile(":.")
_CONVERSIONS: Mapping[str, Callable[[object], str]] = {"!r": repr, "!s": str, "!a": ascii}


@dataclass(frozen=True, slots=True)
class _Field:
    """Braces that name something: a variable's name, what is taken of it, and how it is written."""

    text: str
    name: str
    steps: tuple[str, ...]
    form: str

    @classmethod
    def of(cls, match: re.Match[str]) -> _Field:
        steps = tuple(_ONE_STEP.findall(match["steps"]))
        named = all(_normalized(step[1:]) for step in steps if step[0] == ".")
        name = match["name"] if match["name"][0] == "_" else _normalized(match["name"])
        return cls(match[0], name if named else "", steps, match["form"])

    def names_one_of(self, namespace: Mapping[str, object]) -> bool:
        """Tell whether there is such a variable."""
        return _is_there(self.name, namespace)

    def value(self, value: Any) -> object:
        """Follow the path of attributes and items."""
        for step in self.steps:
            if step[0] == ".":
                value = getattr(value, _normalized(step[1:]))
            else:
                value = value[python_literal(step[1:-1])]
        return value

    def part(self, variable: object, limit_chars: int) -> _Put:
        """Return what stands in for the field."""
        path = self.name + "".join(self.steps)
        try:
            value = self.value(variable)
            # `{a:b}` is a dictionary in code; a number may well be meant with such a format.
            if _IS_LETTER.fullmatch(self.form) and not isinstance(value, int | float):
                return _Put(None)
            image = None if self.form else values.image_of(path, value)
            if image is not None:
                return _Put(image)
            found = self._written(value, limit_chars)
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
            told = "{field} was left as it is ({why})"
            return _Put(None, (Text(told, field=self.text, why=title_of(error)),))
        text, notes = found.text, found.notes
        if len(text) > limit_chars:
            sizes = {"limit": f"{limit_chars:,}", "length": f"{len(text):,}"}
            told = "{field} was cut to {limit} of {length} chars"
            notes = (*notes, Text(told, field=self.text, **sizes))
            cut = "\n… (cut: {limit} of {length} characters)".format_map(sizes)
            text = text[:limit_chars] + cut
        return _Put(text, notes)

    def _written(self, value: object, limit_chars: int) -> values.Written:
        """Write a value, in the format that follows its path as in a Python f-string."""
        if not self.form:
            return values.written(self.text, value, limit_chars=limit_chars)
        value = value.text if isinstance(value, Reply) else value
        conversion, _, spec = self.form.partition(":")
        convert = _CONVERSIONS.get(conversion)
        value = value if convert is None else values.shown(convert, value, limit_chars)
        return values.Written(format(value, spec))


def _is_there(name: str, namespace: Mapping[str, object]) -> bool:
    """Tell whether there is a variable of this name; `_` is "" until there is a last value."""
    value = namespace.get(name)
    return name in namespace and not (name == "_" and type(value) is str and not value)


def _normalized(name: str) -> str:
    """Return a name as Python knows it, or "" if it is not one or begins with an underscore."""
    name = unicodedata.normalize("NFKC", name)
    return name if name.isidentifier() and not name.startswith("_") else ""


# After a letter, a backslash or another brace they belong to LaTeX, code or a shell.
_MAYBE = re.compile(rf"(?<![\w$\\}}^{{])\{{(?P<name>{_NAME}|{_LAST})(?P<rest>[^{{}}\n]*+)\}}")
_IS_PATH = re.compile(rf"(?:{_STEP})*(?:![rsa])?(?::[^\s:]*)?")
_IS_EXPRESSION = re.compile(r"[.\[(=!]|\s*[-+*/%|&<>]|:(?:\d+|[a-z])$")
_IDENTIFIER = re.compile(rf"{_NAME}")

MOST_LEFT = 50
"""Braces of a text that are compared with the names of variables; code has hundreds."""

SHORTEST_NEAR = 3
"""Letters of a name that is taken for a misspelt one."""

ALIKE = 0.74
"""How alike two names are, from 0 to 1, of which one may be meant by the other: two letters that
changed places in a name of four are."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What braces can be meant to name: variables, and those out of reach with their functions."""

    namespace: Mapping[str, object]
    unkept: Mapping[str, str]

    def note(self, match: re.Match[str]) -> Text | None:
        """Tell why braces were left that look as if something was to be put in."""
        field, name, rest = match[0], match["name"], match["rest"]
        if self._computes(name, rest, field):
            told = "{field} was left as it is: names, items, attributes and formats are put in"
            return Text(told, field=field)
        if _is_there(name, self.namespace) or not _IS_PATH.fullmatch(rest):
            return None
        return self._unknown(field, name)

    def _computes(self, name: str, rest: str, field: str) -> bool:
        """Tell whether braces hold an expression with a variable, of which none is computed."""
        if name in self.namespace and name[0] != "_":
            return bool(_IS_EXPRESSION.match(rest)) and not _FIELD.fullmatch(field)
        return rest.startswith("(") and any(
            each in self.namespace for each in _IDENTIFIER.findall(rest)
        )

    def _unknown(self, field: str, name: str) -> Text | None:
        """Tell what may be meant by a name that no variable has."""
        if name[0] == "_":
            return Text("{field} was left as it is: there is no last value", field=field)
        if name == "Err":  # of Jupyter AI
            told = "{field} was left as it is: `%llm_error` asks about an error"
            return Text(told, field=field)
        if name in self.unkept:
            told = (
                "{field} was left as it is: {name} is a variable of {function}, and Python keeps it"
                " for the function inside only if that uses it"
            )
            return Text(told, field=field, name=name, function=self.unkept[name])
        if near := self._near(name):
            told = "{field} was left as it is; did you mean {near}?"
            return Text(told, field=field, near=f"{{{near}}}")
        return None

    def _near(self, name: str) -> str:
        """Return the variable whose name is most like this one, or ""."""
        if len(name) < SHORTEST_NEAR or hasattr(builtins, name):
            return ""
        by_letters = {
            each.lower(): each for each in (*self.namespace, *self.unkept) if each[0] != "_"
        }
        close = difflib.get_close_matches(name.lower(), by_letters, n=1, cutoff=ALIKE)
        return by_letters[close[0]] if close else ""
