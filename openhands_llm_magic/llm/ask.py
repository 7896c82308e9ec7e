"""Asking a model from Python: settings and a prompt in, a `Reply` or events out."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.errors import FormatError, Text, UsageError
from openhands_llm_magic.llm.answers.extract import Schema
from openhands_llm_magic.llm.events import ToolCalled
from openhands_llm_magic.llm.explain import misfit_explained
from openhands_llm_magic.llm.prepare import prepare
from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
from openhands_llm_magic.llm.run import run
from openhands_llm_magic.llm.tools.declared import MOST_ROUNDS, tools_of
from openhands_llm_magic.llm.worker import POLL_S, SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.prepare import Prepared
    from openhands_llm_magic.llm.worker import Control


def ask(  # noqa: PLR0913 - all but the first two are named
    prompt: str | Sequence[Message],
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
    schema: Any = None,
    tools: Sequence[Any] = (),
    max_rounds: int = MOST_ROUNDS,
    clock: Clock = SYSTEM_CLOCK,
    **overrides: Any,
) -> Reply:
    """Ask a model and wait for the whole answer.

    Args:
        prompt: What to ask: a text, or messages in OpenAI's form.
        settings: What to ask with; by default what `load_settings` finds.
        system: Instructions that come before a text.
        schema: What the answer is held to, a pydantic class or a JSON schema; the reply's `data` is
            then an instance of the class, or what the JSON says. An answer that does not fit is
            sent back once, with what is wrong.
        tools: Functions that the model may ask for, and what `mcp_tools` returns; they are called
            on this thread, with what it gives as arguments, and what they return is sent to it.
            Their type hints and docstrings tell it what they take. The calls are in the reply's
            `tool_calls`.
        max_rounds: How often the model may ask for functions before it answers.
        clock: Measures and makes the waits between retries.
        overrides: Settings for this request alone, by name.

    Raises:
        RequestError: There is no complete answer; its `reply` holds what came.
        FormatError: The answer does not fit the schema; its `reply` holds it.
        SettingError: An override is bad.
        UsageError: The prompt is empty, the schema is not one, or a tool is no function that a
            model can be told of.
    """
    tools = _sync(tools)
    prepared = _prepared(
        prompt,
        settings,
        overrides,
        system=system,
        schema=schema,
        tools=tools,
        max_rounds=max_rounds,
    )
    builder = _builder(prepared)
    for event in run(prepared, clock):
        builder.add(event)
    return _read(builder.reply, prepared)


async def ask_async(  # noqa: PLR0913 - all but the first two are named
    prompt: str | Sequence[Message],
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
    schema: Any = None,
    tools: Sequence[Any] = (),
    max_rounds: int = MOST_ROUNDS,
    clock: Clock = SYSTEM_CLOCK,
    **overrides: Any,
) -> Reply:
    """Ask a model, and let other tasks of the event loop go on meanwhile.

    The arguments, and what bad ones raise, are those of `ask`. Cancelling the task cancels the
    request.
    """
    prepared = _prepared(
        prompt,
        settings,
        overrides,
        system=system,
        schema=schema,
        tools=tools,
        max_rounds=max_rounds,
    )
    builder = _builder(prepared)
    async for event in _events_async(prepared, clock, None):
        builder.add(event)
    return _read(builder.reply, prepared)


def stream(  # noqa: PLR0913 - all but the first two are named
    prompt: str | Sequence[Message],
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
    schema: Any = None,
    tools: Sequence[Any] = (),
    max_rounds: int = MOST_ROUNDS,
    clock: Clock = SYSTEM_CLOCK,
    control: Control | None = None,
    **overrides: Any,
) -> Generator[Event]:
    """Ask a model and yield the events of the request as they happen, `Done` or `Failed` last.

    Nothing is sent before the first event is asked for. Closing the generator cancels the request;
    so does `control`, from another thread, which can also end a wait. The other arguments, and what
    bad ones raise, are those of `ask`.
    """
    tools = _sync(tools)
    prepared = _prepared(
        prompt,
        settings,
        overrides,
        system=system,
        schema=schema,
        tools=tools,
        max_rounds=max_rounds,
    )
    return iter(run(prepared, clock, control))


def stream_async(  # noqa: PLR0913 - all but the first two are named
    prompt: str | Sequence[Message],
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
    schema: Any = None,
    tools: Sequence[Any] = (),
    max_rounds: int = MOST_ROUNDS,
    clock: Clock = SYSTEM_CLOCK,
    control: Control | None = None,
    **overrides: Any,
) -> AsyncGenerator[Event]:
    """Ask a model and yield the events of the request, `Done` or `Failed` last, in an event loop.

    The arguments, and what bad ones raise, are those of `stream`. Cancelling the task that reads
    cancels the request.
    """
    prepared = _prepared(
        prompt,
        settings,
        overrides,
        system=system,
        schema=schema,
        tools=tools,
        max_rounds=max_rounds,
    )
    return _events_async(prepared, clock, control)


async def _events_async(
    prepared: Prepared, clock: Clock, control: Control | None
) -> AsyncGenerator[Event]:
    loop, something = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(something.set)

    running = run(prepared, clock, control)
    try:
        running.start(wake)
        while not running.ended:
            # A piece of text, or the end of a run that failed, need not wake: look by ourselves.
            look = loop.call_later(POLL_S, something.set)
            await something.wait()
            look.cancel()
            something.clear()
            for event in running.take(0):
                yield event
                if isinstance(event, ToolCalled):
                    await event.call.run_async()
    finally:
        if not running.ended:
            running.control.cancel()


def _prepared(  # noqa: PLR0913 - those of `ask`
    prompt: str | Sequence[Message],
    settings: Snapshot | None,
    overrides: dict[str, Any],
    *,
    system: str | None,
    schema: Any,
    tools: Sequence[Any],
    max_rounds: int,
) -> Prepared:
    """Prepare what the arguments of `ask` say."""
    settings = (settings or load_settings()).with_overrides(overrides)
    held_to = None if schema is None else Schema.of("schema", schema)
    called = tools_of(tools)
    return prepare(
        prompt, settings, system=system, schema=held_to, tools=called, max_rounds=max_rounds
    )


def _sync(tools: Sequence[Any]) -> Sequence[Any]:
    """Return functions, none of which needs an event loop.

    Raises:
        UsageError: One does.
    """
    for each in tools_of(tools):
        if each.is_async:
            told = "{name} is an async function, which only ask_async and stream_async can run."
            raise UsageError(Text(told, name=each.name))
    return tools


def _builder(prepared: Prepared) -> ReplyBuilder:
    return ReplyBuilder(prepared.settings.model, prepared.request.messages)


def _read(reply: Reply, prepared: Prepared) -> Reply:
    """Return a whole answer, its data read where there is a schema.

    Raises:
        RequestError: There is no whole answer.
        FormatError: The answer does not fit the schema.
    """
    if prepared.schema is not None and reply.is_whole:
        try:
            reply = replace(reply, data=prepared.schema.read(reply.text))
        except FormatError as error:
            misfit = misfit_explained(error, reply.finish_reason, prepared.settings)
            misfit.reply = reply
            raise misfit from None
    if reply.error is not None:
        reply.error.reply = reply
        raise reply.error
    return reply
