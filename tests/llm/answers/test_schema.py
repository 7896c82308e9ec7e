"""Schemas that answers are held to."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - pydantic reads it
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from openhands_llm_magic.errors import FormatError, UsageError
from openhands_llm_magic.llm.answers.extract import Schema

if TYPE_CHECKING:
    from model_server import ModelServer


class City(pydantic.BaseModel):
    name: str
    people: int


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_an_answer_becomes_an_instance_of_its_class() -> None:
    schema = Schema.of("City", City)
    assert schema.read('```json\n{"name": "Kyoto", "people": 1}\n```') == City(
        name="Kyoto", people=1
    )
    with pytest.raises(FormatError, match=r"does not fit City: people: Field required\."):
        schema.read('{"name": "Kyoto"}')


def test_an_answer_is_held_to_a_json_schema() -> None:
    schema = Schema.of("form", SCHEMA)
    assert schema.read('{"n": 1}') == {"n": 1}
    with pytest.raises(FormatError, match=r"does not fit form: \$\.n: 'x' is not of type"):
        schema.read('{"n": "x"}')


def test_how_it_is_asked_for() -> None:
    asked = Schema.of("City", City).response_format
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["name"] == "City"
    assert set(asked["json_schema"]["schema"]["properties"]) == {"name", "people"}
    told = Schema.of("City", City).told([{"role": "user", "content": "Where?"}])
    assert [each["role"] for each in told] == ["system", "user"]
    assert '"people"' in told[0]["content"]


@pytest.mark.parametrize("value", [1, {}, "City", int, None, City(name="x", people=1)])
def test_what_is_no_schema_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="argument it: it takes"):
        Schema.of("it", value)


def test_a_dictionary_that_is_no_schema_is_refused() -> None:
    with pytest.raises(UsageError, match="is no JSON schema"):
        Schema.of("it", {"type": "nonsense"})


@pytest.mark.parametrize(
    "form",
    [
        {"default": {1, 2}},
        {"default": float("nan")},
        {"title": "\ud83d"},
        {("a", "b"): 1},
    ],
)
def test_a_schema_that_json_cannot_write_is_refused(form: Any) -> None:
    with pytest.raises(UsageError, match=r"argument it (cannot be written as|is no) JSON"):
        Schema.of("it", form)


def test_a_schema_of_itself_loses_no_answer() -> None:
    """It is the schema that is at fault: there is no problem that a model could be told."""
    with pytest.raises(FormatError, match="no answer can be held to the schema: Recursion") as told:
        Schema.of("it", {"$ref": "#"}).read("{}")
    assert told.value.problem == ""
    assert len(str(told.value).splitlines()) == 1


def test_the_name_that_is_sent_is_ascii() -> None:
    asked = Schema.of("都市", SCHEMA | {"title": "Città 1"}).response_format
    assert asked["json_schema"]["name"] == "Citt__1"


def test_nothing_is_loaded_that_a_schema_refers_to(model_server: ModelServer) -> None:
    schema = Schema.of("it", {"$ref": f"{model_server.openai_base}/schema.json"})
    with pytest.raises(FormatError, match="which is not in it"):
        schema.read("{}")
    assert model_server.count == 0


def test_a_validator_that_breaks_loses_no_answer() -> None:
    class Picky(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def _look_up(cls, n: int) -> object:
            known: dict[int, int] = {}
            return known[n]

    with pytest.raises(FormatError, match="does not fit Picky: KeyError: 1"):
        Schema.of("Picky", Picky).read('{"n": 1}')


def test_a_class_without_a_json_schema_is_refused() -> None:
    class Odd(pydantic.BaseModel):
        call: Callable[[], int]

    with pytest.raises(UsageError, match="argument Odd: Cannot generate a JsonSchema"):
        Schema.of("Odd", Odd)
