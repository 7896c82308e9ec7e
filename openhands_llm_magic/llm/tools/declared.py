"""Functions as a model is told of them: a name, a description, a JSON schema of the arguments.

All of it is read from the function itself: its signature, its type hints and its docstring. Of a
tool of an MCP server, the server tells it (`mcp.py`).
"""

from __future__ import annotations

import inspect
import re
import types
import typing
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, overload

from openhands_llm_magic.errors import Text, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    F = typing.TypeVar("F", bound=Callable[..., Any])

MOST_ROUNDS = 10
"""How often a prompt's model may ask for functions, unless something else is said."""

MARK = "_llm_tool"
"""The attribute of a function in which `@tool` keeps what it was given."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
"""Characters that providers refuse in the name of a function."""

LONGEST_NAME = 64
"""Characters that OpenAI takes of one."""


class MisfitError(Exception):
    """Arguments do not fit a function; the text says where, for the model."""


class RemoteError(Exception):
    """A tool of a server has failed; the text is what the model is told."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask for.

    Attributes:
        name: What the model calls it.
        description: What it does, as the model is told.
        schema: The JSON schema of its arguments.
        function: The function.
        secrets: What must not show of what it returns, beside the keys of the request.
    """

    name: str
    description: str
    schema: Mapping[str, Any] = field(repr=False)
    function: Callable[..., Any] = field(repr=False)
    _model: Any = field(default=None, repr=False, compare=False)
    _positional: tuple[str, ...] = field(default=(), repr=False, compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(cls, function: Any, name: str | None = None) -> Tool:
        """Make a tool of a function.

        Args:
            function: Any callable with a signature.
            name: What the person calls it, where that is not its own name.

        Raises:
            UsageError: It is no function, or one of its parameters cannot be described.
        """
        if isinstance(function, cls):
            return function
        named = getattr(function, "func", function)  # of a `functools.partial`
        own = name or str(getattr(named, "__name__", type(function).__name__))
        if isinstance(function, str) and name is None:  # which is not quoted: it may be a key
            told = (
                "a text is no function that a model could ask for; of an MCP server, {example}"
                " gives the tools."
            )
            raise UsageError(Text(told, example="mcp_tools(NAME)"))
        if not callable(function):
            told = "{name} is no function that a model could ask for: it is of the type {kind}."
            raise UsageError(Text(told, name=own, kind=type(function).__name__))
        given_name, given_description = getattr(function, MARK, (None, None))
        told_of = _told_in(_docstring(function))
        try:
            parameters = _parameters(function)
            model, schema = _modelled(own, parameters, told_of.parameters)
        except Exception as error:  # noqa: BLE001 - whatever a type hint of the person's own raises
            why = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
            why = why or type(error).__name__
            told = "a model cannot be told what {name} takes: {why}."
            raise UsageError(Text(told, name=own, why=why)) from None
        return cls(
            fit_name(given_name or own),
            given_description or told_of.summary,
            schema,
            function,
            model,
            tuple(each.name for each in parameters if each.kind is each.POSITIONAL_ONLY),
        )

    @property
    def is_async(self) -> bool:
        """Whether calling it gives something to be awaited."""
        call = getattr(self.function, "__call__", None)  # noqa: B004 - of an object with one
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(call)

    @property
    def in_loop(self) -> Callable[..., Any] | None:
        """What an event loop can wait for in place of the function, or None."""
        if self.is_async:
            return self.function
        waits: Callable[..., Any] | None = getattr(self.function, "in_loop", None)
        return waits if self._model is None else None

    @property
    def declaration(self) -> dict[str, Any]:
        """How the model is told of it, in OpenAI's form."""
        function = {"name": self.name, "parameters": dict(self.schema)}
        if self.description:
            function["description"] = self.description
        return {"type": "function", "function": function}

    def fitted(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Turn arguments of JSON into those of the function, by its type hints.

        Raises:
            MisfitError: They do not fit.
        """
        if self._model is None:  # of a server, which reads them itself
            return [], dict(arguments)
        import pydantic  # noqa: PLC0415 - it takes 40 ms to import

        try:
            read = self._model.model_validate(dict(arguments))
        except pydantic.ValidationError as error:
            wrong = [
                f"{'.'.join(map(str, each['loc'])) or 'the arguments'}: {each['msg']}"
                for each in error.errors(include_url=False)[:MOST_MISFITS]
            ]
            raise MisfitError("; ".join(wrong)) from None
        except Exception as error:  # noqa: BLE001 - from a validator of the person's own
            raise MisfitError(f"{type(error).__name__}: {error}") from None
        # What was not given is left to the function's own default.
        given = {
            info.alias: getattr(read, name)
            for name, info in type(read).model_fields.items()
            if name in read.model_fields_set
        }
        positional = [given.pop(name) for name in self._positional if name in given]
        return positional, given


MOST_MISFITS = 3
"""How many misfits of one call a model is told of."""


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(*, name: str | None = None, description: str | None = None) -> Callable[[F], F]: ...


def tool(
    function: Any = None, /, *, name: str | None = None, description: str | None = None
) -> Any:
    """Say how models are told of a function; it stays the function that it is.

    Args:
        function: The function, where the decorator stands without arguments.
        name: What models call it; by default its own name.
        description: What it does; by default the first paragraph of its docstring.
    """

    def marked(function: F) -> F:
        setattr(function, MARK, (name, description))
        return function

    return marked if function is None else marked(function)


def tools_of(functions: Sequence[Any]) -> tuple[Tool, ...]:
    """Make tools of functions, or of one that is given without a list around it.

    Raises:
        UsageError: One of them is no function, or two of them have the same name.
    """
    is_one = callable(functions) or isinstance(functions, str | Tool)
    made = tuple(map(Tool.of, [functions] if is_one else functions))
    names = [each.name for each in made]
    if doubled := [name for name in names if names.count(name) > 1]:
        told = "two functions are called {name} there: give one another name, @tool(name=...)."
        raise UsageError(Text(told, name=doubled[0]))
    return made


def fit_name(name: str) -> str:
    """Return a name as providers take it: one that begins with a letter, without odd characters."""
    fit = _NO_NAME.sub("_", name)[:LONGEST_NAME]
    if not fit.strip("_-"):
        return "function"
    return fit if fit[0].isalpha() or fit[0] == "_" else f"_{fit}"[:LONGEST_NAME]


def _docstring(function: Any) -> str:
    """Return what a function says of itself; of a class no other's, of an object its call's."""
    if inspect.isclass(function):
        return inspect.cleandoc(vars(function).get("__doc__") or "")
    if not inspect.isroutine(function):
        function = getattr(function, "func", None) or type(function).__call__
    return inspect.getdoc(function) or ""


def _parameters(function: Any) -> list[inspect.Parameter]:
    """Return the parameters that a model can give, each with its type hint."""
    signature = inspect.signature(function)
    hinted = function
    while not inspect.isroutine(hinted) and hasattr(hinted, "func"):  # `functools.partial`
        hinted = hinted.func
    if inspect.isclass(hinted):
        hinted = hinted.__init__
    elif not inspect.isroutine(hinted):
        hinted = hinted.__call__
    hints = typing.get_type_hints(inspect.unwrap(hinted), include_extras=True)
    named = [
        each
        for each in signature.parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    return [each.replace(annotation=hints.get(each.name, Any)) for each in named]


def _modelled(
    name: str, parameters: Sequence[inspect.Parameter], told: Mapping[str, str]
) -> tuple[Any, dict[str, Any]]:
    """Make the pydantic class of a function's arguments, and its JSON schema.

    The fields have names of ours, and the parameters' as aliases: pydantic refuses some names.
    """
    import pydantic  # noqa: PLC0415 - it takes 40 ms to import
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415 - the same

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's own
            return False  # a title would say the name once more, at the price of its tokens

    fields: dict[str, Any] = {}
    for number, each in enumerate(parameters):
        default = ... if each.default is each.empty else each.default
        described = _in_annotation(each.annotation) or told.get(each.name)
        about = pydantic.Field(default, alias=each.name, description=described)
        fields[f"argument_{number}"] = (each.annotation, about)
    config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a default that is no JSON, which is left out
        model = pydantic.create_model(name, __config__=config, **fields)
        schema = model.model_json_schema(schema_generator=Untitled)
    schema.pop("title", None)
    schema.setdefault("properties", {})  # some servers want it of a function without parameters
    return model, schema


def _in_annotation(annotation: Any) -> str | None:
    """Return the text in `Annotated[..., "text"]`."""
    if typing.get_origin(annotation) is not Annotated:
        return None
    return next((each for each in annotation.__metadata__ if isinstance(each, str)), None)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a docstring tells: of the function, and of its parameters by their names."""

    summary: str
    parameters: Mapping[str, str]


_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?):?\s*$"
)
_GOOGLE = re.compile(r" {2,8}+\*{0,2}(\w++) *+(?:\([^)]*+\) *+)?+: ++(\S.*)")
_SPHINX = re.compile(r":param ++([^:]*\w) *+: *+(\S.*)")


def _told_in(docstring: str) -> _Told:
    """Read a docstring in Google's or Sphinx's form; what stands before its sections is told."""
    lines = docstring.splitlines()
    is_section = (bool(_SECTION.match(each) or each.startswith(":")) for each in lines)
    end = next((number for number, found in enumerate(is_section) if found), len(lines))
    found: dict[str, str] = {}
    last = ""
    for line in lines[end:]:
        if match := _GOOGLE.match(line) or _SPHINX.match(line):
            last = match[1].split()[-1]  # its type may stand before it
            found[last] = match[2].strip()
        elif last and line.startswith("    ") and line.strip():
            found[last] += f" {line.strip()}"
        else:
            last = ""
    return _Told("\n".join(lines[:end]).strip(), types.MappingProxyType(found))
