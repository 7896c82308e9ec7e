"""Answers that are data: JSON in a model's text, and the schema that it is held to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)(?:^\1|\Z)", re.MULTILINE | re.DOTALL)
MOST_QUOTED = 80
"""Characters of an answer that an error quotes."""


def code_in(text: str) -> str:
    """Give the code of an answer: what stands in its code blocks, or all of it if it has none."""
    blocks = [match[2] for match in _FENCE.finditer(text)]
    return "\n".join(block.rstrip("\n") for block in blocks) if blocks else text.strip()


def json_in(text: str) -> Any:
    """Give the JSON of an answer, also when it stands in a code block, or after a sentence.

    Raises:
        FormatError: There is none.
    """
    for candidate in _candidates(text):
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    said = " ".join(text.split())
    said = said if len(said) <= MOST_QUOTED else said[:MOST_QUOTED] + "…"
    raise FormatError(f"the answer is no JSON: {said!r}. Its text is in `_`; ask for JSON alone.")


def _candidates(text: str) -> Iterator[str]:
    yield text
    yield from (match[2] for match in _FENCE.finditer(text))
    begins = [text.find(mark) for mark in "{[" if mark in text]
    ends = [text.rfind(mark) for mark in "}]"]
    if begins and max(ends) > min(begins):
        yield text[min(begins) : max(ends) + 1]


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
        """Make one of what a variable holds.

        Raises:
            UsageError: It is neither a pydantic class nor a JSON schema.
        """
        if isinstance(value, dict) and value:
            return cls(str(value.get("title") or name), value)
        made = getattr(value, "model_json_schema", None)
        if isinstance(value, type) and callable(made):
            return cls(value.__name__, made(), value)
        raise UsageError(
            f"--schema {name}: it takes a pydantic class or a JSON schema (a dictionary), not"
            f" {type(value).__name__}."
        )

    @property
    def response_format(self) -> dict[str, Any]:
        """The keyword of a request that asks for it."""
        schema = {"name": re.sub(r"\W", "_", self.name)[:64], "schema": dict(self.form)}
        return {"type": "json_schema", "json_schema": schema}

    @property
    def instruction(self) -> str:
        """The words that ask for it, for models that take no such keyword."""
        form = json.dumps(self.form, ensure_ascii=False)
        return f"Answer with JSON alone, without a code block, that fits this JSON schema:\n{form}"

    def read(self, text: str) -> Any:
        """Give an answer's data: an instance of the class, or what the JSON says.

        Raises:
            FormatError: The answer is no JSON, or does not fit.
        """
        value = json_in(text)
        problem = self._misfit(value) if self.model is None else None
        if problem is None and self.model is not None:
            import pydantic  # noqa: PLC0415 - it takes 40 ms to import

            try:
                return self.model.model_validate(value)
            except pydantic.ValidationError as error:
                [first, *_] = error.errors()
                where = ".".join(map(str, first["loc"]))
                problem = f"{where or 'the answer'}: {first['msg']}"
        if problem is not None:
            raise FormatError(
                f"the answer does not fit {self.name}: {problem}. Its text is in `_`."
            )
        return value

    def _misfit(self, value: object) -> str | None:
        """Say where a value does not fit the JSON schema."""
        import jsonschema  # noqa: PLC0415 - it takes 60 ms to import

        kind = jsonschema.validators.validator_for(self.form)
        try:
            kind.check_schema(self.form)
        except jsonschema.SchemaError as error:
            raise UsageError(f"--schema {self.name} is no JSON schema: {error.message}.") from None
        found = jsonschema.exceptions.best_match(kind(self.form).iter_errors(value))
        return None if found is None else f"{found.json_path}: {found.message}"
