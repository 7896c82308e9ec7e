"""What a model is told of a function, and the arguments that it is called with."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic import tool
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.tools.calls import arguments_in, tool_named
from openhands_llm_magic.llm.tools.declared import MisfitError, Tool, tools_of


class Place(pydantic.BaseModel):
    name: str


@dataclass
class Span:
    first: int
    last: int


def google(city: str, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather.

    Of one city.

    Args:
        city: Its name,
            as people write it.
        unit (str): Of the degrees.

    Returns:
        A sentence.
    """
    return f"{city} {unit}"


def sphinx(city, days=1):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Tell the weather.

    :param str city: Its name.
    :param days: How many.
    :returns: A sentence.
    """
    return city, days


def described(function: Any) -> tuple[str, dict[str, Any]]:
    made = Tool.of(function)
    properties: dict[str, Any] = made.schema["properties"]
    return made.description, {name: each.get("description") for name, each in properties.items()}


def test_docstrings_describe_functions_and_parameters() -> None:
    names = {"city": "Its name, as people write it.", "unit": "Of the degrees."}
    assert described(google) == ("Tell the weather.\n\nOf one city.", names)
    assert described(sphinx) == ("Tell the weather.", {"city": "Its name.", "days": "How many."})


def test_type_hints_become_the_schema() -> None:
    def function(
        place: Place,
        span: Span,
        kind: Literal["a", "b"],
        count: Annotated[int, "How many."] = 3,
        limit: Annotated[float, pydantic.Field(gt=0, description="Above 0.")] = 1.0,
    ) -> None:
        """Do it."""

    schema = Tool.of(function).schema
    assert schema["required"] == ["place", "span", "kind"]
    assert schema["properties"]["kind"]["enum"] == ["a", "b"]
    assert schema["properties"]["count"] == {
        "type": "integer",
        "default": 3,
        "description": "How many.",
    }
    assert schema["properties"]["limit"]["exclusiveMinimum"] == 0
    arguments = {"place": {"name": "Uji"}, "span": {"first": 1, "last": "2"}, "kind": "a"}
    assert Tool.of(function).fitted(arguments) == (
        [],
        {"place": Place(name="Uji"), "span": Span(1, 2), "kind": "a"},
    )
    with pytest.raises(MisfitError, match="place: Field required; span: Field required"):
        Tool.of(function).fitted({})
    with pytest.raises(MisfitError, match="limit: Input should be greater than 0"):
        Tool.of(function).fitted(arguments | {"limit": 0})
    with pytest.raises(MisfitError, match="town: Extra inputs are not permitted"):
        Tool.of(function).fitted(arguments | {"town": 0})


def test_parameters_may_have_any_name() -> None:
    """Also those that pydantic has for itself, and a `title`, which other schemas lose."""

    def function(title: str, model_config: int, schema: int, copy: int, _x: int) -> None: ...

    made = Tool.of(function)
    given_: dict[str, Any] = {"title": "t", "model_config": 1, "schema": 2, "copy": 3, "_x": 4}
    assert list(made.schema["properties"]) == list(given_)
    assert made.fitted(given_) == ([], given_)


def test_positional_parameters_and_rests() -> None:
    def function(a: int, /, b: int, *rest: int, c: int = 0, **more: int) -> None: ...

    assert list(Tool.of(function).schema["properties"]) == ["a", "b", "c"]
    assert Tool.of(function).fitted({"a": 1, "b": 2}) == ([1], {"b": 2})


class Greeter:
    """Greets."""

    def greet(self, name: str) -> str:
        """Greet somebody."""
        return f"Hello {name}"

    def __call__(self, name: str) -> str:
        """Greet somebody at once."""
        return self.greet(name)


@pytest.mark.parametrize(
    ("function", "name", "description"),
    [
        (Greeter().greet, "greet", "Greet somebody."),
        (Greeter(), "Greeter", "Greet somebody at once."),
        (functools.partial(Greeter().greet), "greet", "Greet somebody."),
        (lambda name: name, "_lambda_", ""),
        (Place, "Place", ""),
    ],
)
def test_whatever_can_be_called(function: Any, name: str, description: str) -> None:
    made = Tool.of(function)
    assert (made.name, made.description) == (name, description)
    assert list(made.schema["properties"]) == ["name"]
    assert made.schema["additionalProperties"] is False


def test_the_decorator_names_and_describes() -> None:
    """And leaves the function as it is."""

    @tool(name="wetter", description="Sagt das Wetter.")
    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    @tool
    def plain() -> int:
        """Return one."""
        return 1

    assert weather("Kyoto") == "Kyoto"
    assert Tool.of(weather).declaration["function"]["name"] == "wetter"
    assert Tool.of(weather).description == "Sagt das Wetter."
    assert (Tool.of(plain).name, Tool.of(plain).description) == ("plain", "Return one.")


def test_names_are_such_as_providers_take() -> None:
    namespace: dict[str, Any] = {}
    exec("def 天気(都市: str): ...", namespace)  # noqa: S102 - a name that this code should not have
    made = Tool.of(namespace["天気"])
    assert made.name == "function"
    assert made.fitted({"都市": "Uji"}) == ([], {"都市": "Uji"})
    assert Tool.of(google, "my.weather").name == "my_weather"
    assert Tool.of(google, "2nd").name == "_2nd"
    assert len(Tool.of(google, "n" * 99).name) == 64


class Frame: ...


def wants_frame(frame: Frame) -> None: ...


def wants_nothing_known(what: Nothing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (wants_frame, "cannot be told what wants_frame takes: Unable to generate"),
        (wants_nothing_known, "cannot be told what wants_nothing_known takes: name 'Nothing'"),
        (dict, "cannot be told what dict takes"),
        ("weather", "a text is no function"),
        (None, "NoneType is no function"),
    ],
)
def test_what_cannot_be_told_of_is_refused_in_one_line(function: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        Tool.of(function)
    assert len(str(caught.value).splitlines()) == 1


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.dictionaries(st.text(), JSON), st.sampled_from(["", "{}", " {} \n", "null"]))
def test_arguments_come_back_as_they_were_written(arguments: dict[str, Any], before: str) -> None:
    text = before + pydantic.RootModel[Any](arguments).model_dump_json()
    assert arguments_in(text) == arguments


@given(st.text())
def test_no_text_of_a_model_is_more_than_a_misfit(text: str) -> None:
    with contextlib.suppress(MisfitError):
        assert isinstance(arguments_in(text), dict)
    assert tool_named(text, tools_of([google])) is None or "google" in text


def test_an_object_nested_too_deeply_is_a_misfit() -> None:
    with pytest.raises(MisfitError, match="no JSON"):
        arguments_in('{"a":' * 100_000)
