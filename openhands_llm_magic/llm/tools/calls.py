"""Calls of functions: what a model asks for, read and held to the function, and what comes of it.

A prompt runs on a worker thread, and functions are the person's own code, which runs where the
person's code does: on the thread that reads the events. So the worker tells of a `Call`, and waits
until the reader has run or refused it.
"""

from __future__ import annotations

import inspect
import json
import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.secret import throughout
from openhands_llm_magic.llm.conversations import whole
from openhands_llm_magic.llm.tools.declared import MisfitError, RemoteError
from openhands_llm_magic.llm.worker import POLL_S, Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openhands_llm_magic.llm.events import ToolCall
    from openhands_llm_magic.llm.tools.declared import Tool
    from openhands_llm_magic.llm.worker import Clock, Control

LONGEST_SECRET = 10_000
"""Characters beyond the limit of a result in which a key is looked for before it is cut."""

INTERRUPTED = "interrupted"
"""What is wrong with a call that the person has interrupted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as a model has written it.

    Attributes:
        name: The function's name.
        arguments: Its arguments, which should be a JSON object.
        id: What the provider calls it, or "".
        told: What else the provider wants back with it, such as a signature.
    """

    name: str
    arguments: str = ""
    id: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)


def arguments_in(text: str) -> dict[str, Any]:
    """Read the arguments of a call; no text stands for none.

    Some servers write an empty object first, some a JSON text that holds the object, and some line
    ends within texts.

    Raises:
        MisfitError: They are no JSON object.
    """
    text = text.strip()
    read = json.JSONDecoder(strict=False).raw_decode
    value: Any = {}
    try:
        while text:
            if value not in ({}, None):
                raise MisfitError(f"after the JSON object of the arguments stands {text[:40]!r}")
            value, end = read(text)
            text = text[end:].strip()
            if isinstance(value, str):
                value, text = {}, value.strip() + text
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise MisfitError(f"the arguments are no JSON ({why}): {text[-60:]!r}") from None
    if value is not None and not isinstance(value, dict):
        raise MisfitError(f"the arguments are no JSON object, but {json.dumps(value)[:40]}")
    return value or {}


def tool_named(name: str, tools: Sequence[Tool]) -> Tool | None:
    """Find the function of a name, as models write it: `functions.NAME`, `NAME<|channel|>`."""
    bare = re.split(r"[.:]", name.partition("<|")[0].strip())[-1]
    return next((each for each in tools for said in (name, bare) if each.name == said), None)


def as_text(value: object) -> str:
    """Write what a function has returned: a text as it is, JSON where it can be, else its `str`."""
    text = as_json(value)
    return str(value) if text is None else text


def as_json(value: object) -> str | None:
    """Write a value as JSON, and a text as it is; return None where it is neither."""
    if isinstance(value, str):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None


class Call:
    """A call that is waited for; whoever reads the events runs or refuses it.

    Args:
        asked: What the model has asked for.
        tool: The function.
        arguments: Those of JSON, as `asked` has them.
        clock: Measures how long it takes.

    Attributes:
        tool: The function.
        asked: What the model has asked for.
    """

    def __init__(self, asked: ToolCall, tool: Tool, clock: Clock) -> None:
        self.asked = asked
        self.tool = tool
        self._positional, self._named = tool.fitted(asked.arguments)
        self._clock = clock
        self._done: ToolCall | None = None
        self._is_done = threading.Event()

    def run(self, write: Callable[[object], str] = as_text) -> None:
        """Call the function on this thread; what it raises is the result. Once is enough.

        Args:
            write: Writes what it returns for the model.

        Raises:
            KeyboardInterrupt: The person has interrupted it, which ends the prompt.
        """
        if self._is_done.is_set():
            return
        began_s = self._clock.now()
        try:
            value = self.tool.function(*self._positional, **self._named)
            if inspect.iscoroutine(value):
                value.close()
                self._end("", began_s, "it is an async function, which only ask_async can run")
                return
            result, problem = write(value), ""
        except KeyboardInterrupt:
            self._end("", began_s, INTERRUPTED)
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the person's code raises
            result, problem = "", _said(error)
        self._end(result, began_s, problem)

    async def run_async(self, write: Callable[[object], str] = as_text) -> None:
        """Call the function, and wait for what it does in an event loop."""
        function = self.tool.in_loop
        if function is None:
            self.run(write)
        if function is None or self._is_done.is_set():
            return
        began_s = self._clock.now()
        try:
            value = await function(*self._positional, **self._named)
            result, problem = write(value), ""
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the person's code raises
            result, problem = "", _said(error)
        self._end(result, began_s, problem)

    def refuse(self, why: str) -> None:
        """Do not run it, and tell the model why."""
        if not self._is_done.is_set():
            self._done = replace(self.asked, problem=why)
            self._is_done.set()

    def wait(self, control: Control) -> ToolCall:
        """Wait until it was run or refused, and return what came of it.

        Raises:
            Cancelled: The run was cancelled before.
        """
        while not self._is_done.wait(POLL_S):
            control.check()
        if self._done is None:
            raise Cancelled
        return self._done

    def _end(self, result: str, began_s: float, problem: str) -> None:
        took_s = self._clock.now() - began_s
        self._done = replace(self.asked, result=result, problem=problem, took_s=took_s)
        self._is_done.set()


def _said(error: BaseException) -> str:
    if isinstance(error, RemoteError):
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - its `__str__` is the person's own
        return type(error).__name__


def shown_to_model(call: ToolCall, redact: Callable[[str], str], limit_chars: int) -> ToolCall:
    """Return a call with its result as it is sent: keys masked, and cut at a limit."""

    def fit(text: str) -> str:
        shown = redact(whole(text[: limit_chars + LONGEST_SECRET]))
        if len(text) <= limit_chars:
            return shown
        count, of = f"{limit_chars:,}", f"{len(text):,}"
        return f"{shown[:limit_chars]}\n(cut: the first {count} of {of} characters)"

    return replace(call, result=fit(call.result), problem=fit(call.problem))


def masked(asked: Asked, redact: Callable[[str], str]) -> Asked:
    """Return a call without the keys that a model may write into it."""
    arguments = redact(asked.arguments)
    try:
        parsed = arguments_in(asked.arguments)
    except MisfitError:
        pass
    else:
        hidden = throughout(parsed, redact)
        arguments = asked.arguments if hidden == parsed else json.dumps(hidden, ensure_ascii=False)
    return replace(asked, name=redact(asked.name), arguments=arguments)
