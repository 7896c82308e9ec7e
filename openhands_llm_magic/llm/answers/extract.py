"""What stands in a model's text: code blocks, JSON, and data that fits a schema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from openhands_llm_magic.config.setting import python_tree, shorten
from openhands_llm_magic.errors import FormatError, Text, UsageError
from openhands_llm_magic.llm.conversations import whole
from openhands_llm_magic.llm.explain import KEPT_IN, THE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_QUOTED = 80
"""Characters of an answer that an error quotes."""

PYTHON = ("python", "python3", "py", "py3", "ipython", "ipython3")
"""What models call the language of a notebook's cells."""


class _Block(NamedTuple):
    """A code block of Markdown: its language in lower case, or "", and the code."""

    language: str
    content: str


def _blocks_in(text: str) -> list[_Block]:
    """Find the code blocks of an answer that are not empty, also those within lists."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - it takes 15 ms to import

    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    blocks = []
    for token in tokens:
        if token.type == "fence" and token.content.strip():
            words = token.info.lower().split()
            blocks.append(_Block(words[0] if words else "", token.content.rstrip("\n")))
    return blocks


def unfenced(text: str) -> str:
    """Return what stands in the code blocks of an answer, or all of it if there are no blocks."""
    return "\n".join(block.content for block in _blocks_in(text)) or text.strip()


def code_in(text: str, number: int | None = None) -> str:
    """Return the code of an answer, for a cell.

    That is Python, if any block is; else all blocks of the first one's language, or an answer
    without blocks that is Python as a whole.

    Args:
        text: The answer.
        number: Which block is wanted alone, whatever its language, counted from 1.

    Raises:
        FormatError: There is no code, or no such block.
    """
    blocks = _blocks_in(text)
    if number is not None and not 1 <= number <= len(blocks):
        told = (
            "the answer has {count} code blocks, and no block {number}. Its text is in {kept_in}."
        )
        text = Text(told, count=len(blocks), number=number, kept_in=Text(KEPT_IN))
        raise FormatError(text, problem=f"it has no code block {number}")
    chosen = _for_a_cell(blocks) if number is None else [blocks[number - 1]]
    if chosen:
        return "\n\n".join(block.content for block in chosen)
    if text.strip() and _is_python(text):
        return text.strip()
    raise _missing("code", text)


def _for_a_cell(blocks: Sequence[_Block]) -> list[_Block]:
    """Choose the blocks that can stand in one cell, in order."""
    python = [block for block in blocks if block.language in PYTHON]
    return python or [block for block in blocks if block.language == blocks[0].language]


def blocks_left_out(text: str) -> list[str]:
    """Name the code blocks that `code_in` leaves out, as in "2 (bash)"."""
    blocks = _blocks_in(text)
    chosen = _for_a_cell(blocks)
    return [
        f"{number} ({block.language})" if block.language else str(number)
        for number, block in enumerate(blocks, 1)
        if not any(block is each for each in chosen)
    ]


def _is_python(text: str) -> bool:
    """Tell whether a text is Python; lines of IPython's magics and shell commands may be in it."""
    lines = (line for line in text.strip().splitlines() if not line.startswith(("%", "!")))
    try:
        python_tree("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a NUL; nested too deeply
        return False
    return True


def json_in(text: str) -> Any:
    """Return the JSON of an answer, also when it stands in a code block, or after a sentence.

    Raises:
        FormatError: There is no JSON.
    """
    for candidate in _candidates(text):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):  # nested too deeply
            continue
    raise _missing("JSON", text)


def _candidates(text: str) -> Iterator[str]:
    yield text
    yield from (block.content for block in _blocks_in(text))
    begins = [text.find(mark) for mark in "{[" if mark in text]
    end = max(text.rfind(mark) for mark in "}]")
    if begins and end > min(begins):
        found = text[min(begins) : end + 1]
        # A footnote's "[1]" is no answer.
        if found.startswith("{") or 2 * len(found) >= len(text.strip()):
            yield found


def _missing(what: str, text: str) -> FormatError:
    said = repr(shorten(" ".join(text.split()), MOST_QUOTED))
    told = "the answer is no {what}: {said}. Its text is in {kept_in}; ask for {what} alone."
    text = Text(told, what=what, said=said, kept_in=Text(KEPT_IN))
    return FormatError(text, problem=f"it is no {what}")


_NO_NAME = re.compile(r"\W", re.ASCII)
"""Characters that OpenAI refuses in the name of a schema."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What an answer is held to.

    Attributes:
        name: What it is called.
        form: Its JSON schema.
        model: The pydantic class that it comes from, or None.
    """

    name: str
    form: Mapping[str, Any]
    model: Any = None

    @classmethod
    def of(cls, name: str, value: Any) -> Schema:
        """Make a schema of what a variable holds.

        Raises:
            UsageError: It is neither a pydantic class nor a JSON schema.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, dict) and value:
            return cls(str(value.get("title") or name), _checked(name, value))
        made = getattr(value, "model_json_schema", None)
        if isinstance(value, type) and callable(made):
            try:
                form = made()
            except Exception as error:  # noqa: BLE001 - the class is the user's own
                raise _unfit_schema("{schema}: {why}.", name, _first_line(error)) from None
            return cls(value.__name__, _writable(name, form), value)
        told = "{schema}: it takes a pydantic class or a JSON schema (a dictionary), not {why}."
        raise _unfit_schema(told, name, type(value).__name__)

    @property
    def response_format(self) -> dict[str, Any]:
        """The value of the keyword `response_format`, which asks a model for such an answer."""
        schema = {"name": _NO_NAME.sub("_", self.name)[:64], "schema": dict(self.form)}
        return {"type": "json_schema", "json_schema": schema}

    def told(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return messages that ask for it in words, for models that take no such keyword."""
        form = json.dumps(self.form, ensure_ascii=False)
        words = f"Answer with JSON alone, without a code block, that fits this JSON schema:\n{form}"
        system = [f"{each['content']}\n\n" for each in messages if each["role"] == "system"]
        others = [dict(each) for each in messages if each["role"] != "system"]
        return [{"role": "system", "content": "".join([*system, words])}, *others]

    def read(self, text: str) -> Any:
        """Return an answer's data: an instance of the class, or what the JSON says.

        Raises:
            FormatError: The answer is no JSON, or does not fit. Without a `problem` it is the
                schema that is at fault, and no other answer would fit.
        """
        misfit, data = self._held(json_in(text))
        if problem := whole(misfit):
            told = "the answer does not fit {name}: {problem}. Its text is in {kept_in}."
            text = Text(told, name=self.name, problem=problem, kept_in=Text(KEPT_IN))
            raise FormatError(text, problem=problem)
        return data

    def _held(self, value: object) -> tuple[str, Any]:
        """Hold a value to the schema; return where it does not fit, or "", and what it becomes."""
        if self.model is None:
            return _misfit(self.form, value), value
        import pydantic  # noqa: PLC0415 - it takes 40 ms to import

        try:
            return "", self.model.model_validate(value)
        except pydantic.ValidationError as error:
            [first, *_] = error.errors()
            where = ".".join(map(str, first["loc"]))
            return f"{where or 'the answer'}: {first['msg']}", None
        except Exception as error:  # noqa: BLE001 - from a validator of the user's own
            return f"{type(error).__name__}: {_first_line(error)}", None


def _checked(name: str, form: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is no JSON schema before anything is asked."""
    import jsonschema  # noqa: PLC0415 - it takes 60 ms to import

    try:
        jsonschema.validators.validator_for(form).check_schema(form)
    except Exception as error:  # noqa: BLE001 - a dictionary can hold anything
        why = _first_line(error)
        raise _unfit_schema("{schema} is no JSON schema: {why}.", name, why) from None
    return _writable(name, form)


def _writable(name: str, form: dict[str, Any]) -> dict[str, Any]:
    """Refuse a schema that cannot be sent."""
    try:
        json.dumps(form, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        why = _first_line(error)
        raise _unfit_schema("{schema} cannot be written as JSON: {why}.", name, why) from None
    return form


def _misfit(form: Mapping[str, Any], value: object) -> str:
    """Return where a value does not fit a JSON schema, or "" if it fits; nothing is downloaded.

    Raises:
        FormatError: The schema is at fault.
    """
    import jsonschema  # noqa: PLC0415 - it takes 60 ms to import
    import referencing  # noqa: PLC0415 - jsonschema has imported it

    kind = jsonschema.validators.validator_for(form)
    try:
        errors = kind(form, registry=referencing.Registry()).iter_errors(value)
        found = jsonschema.exceptions.best_match(errors)
    except Exception as error:  # noqa: BLE001 - such as RecursionError, of a schema that is its own
        problem = f"{type(error).__name__}: {_first_line(error)}"
        if isinstance(error, referencing.exceptions.Unresolvable):
            problem = f"it refers to {error.ref}, which is not in it"
        told = "no answer can be held to the schema: {problem}. What came is in {kept_in}."
        raise FormatError(Text(told, problem=problem, kept_in=Text(KEPT_IN))) from None
    return "" if found is None else f"{found.json_path}: {found.message}"


def _unfit_schema(template: str, name: str, why: str) -> UsageError:
    return UsageError(Text(template, schema=Text(THE_SCHEMA, name=name), why=why))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
