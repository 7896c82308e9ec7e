"""Asking a model: settings and a prompt in, events or a `Reply` out."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.config.secret import Redactor, throughout
from openhands_llm_magic.llm.attempts import Attempts, secrets_of
from openhands_llm_magic.llm.caching import prepared
from openhands_llm_magic.llm.characters import whole
from openhands_llm_magic.llm.correction import corrected
from openhands_llm_magic.llm.events import (
    Correcting,
    Done,
    Event,
    ReasoningDelta,
    TextDelta,
)
from openhands_llm_magic.llm.explain import explained, misfit_explained
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.litellm.send import missing_key_variables, send
from openhands_llm_magic.llm.prepare import request_from
from openhands_llm_magic.llm.reply import Reply, fold
from openhands_llm_magic.llm.retry import (
    SYSTEM_CLOCK,
    Clock,
    RetryNow,
)
from openhands_llm_magic.llm.stored import stored
from openhands_llm_magic.llm.structured import Schema

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from openhands_llm_magic.llm.content import Content
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.request import Request


def ask(
    prompt: str,
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
    schema: Any = None,
    clock: Clock = SYSTEM_CLOCK,
    **overrides: Any,
) -> Reply:
    """Ask a model and wait for the whole answer.

    Args:
        prompt: What to ask.
        settings: What to ask with; by default what `load_settings` finds.
        system: Instructions that come before the prompt.
        schema: What the answer is held to, a pydantic class or a JSON schema; the reply's `data` is
            then an instance of the class, or what the JSON says. An answer that does not fit is
            sent back once, with what is wrong.
        clock: Measures and makes the waits between retries.
        overrides: Settings for this request alone, by name.

    Raises:
        RequestError: There is no complete answer; its `reply` holds what came.
        FormatError: The answer does not fit the schema; its `reply` holds it.
        SettingError: An override is bad.
        UsageError: The prompt is empty, or the schema is none.
    """
    settings = (settings or load_settings()).with_overrides(overrides)
    form = None if schema is None else Schema.of("schema", schema)
    messages = conversation(prompt, system=system)
    events = stream(messages, settings, schema=form, clock=clock)
    reply = fold(events, settings.model, messages)
    if form is not None and reply.is_whole:
        reply = _read(reply, form, settings)
    if reply.error is not None:
        reply.error.reply = reply
        raise reply.error
    return reply


def _read(reply: Reply, schema: Schema, settings: Snapshot) -> Reply:
    try:
        return replace(reply, data=schema.read(reply.text))
    except errors.FormatError as error:
        misfit = misfit_explained(error, reply.finish_reason, settings)
        misfit.reply = reply
        raise misfit from None


def conversation(
    prompt: Content, *, system: str | None = None, before: Sequence[Message] = ()
) -> list[Message]:
    """Make the messages of a prompt.

    Args:
        prompt: Its content: a text, or parts in OpenAI's form.
        system: Instructions that come before all else.
        before: What was said before.

    Raises:
        UsageError: The prompt is empty.
    """
    if isinstance(prompt, str) and not prompt.strip():
        raise errors.UsageError("the prompt is empty: write it below `%%llm` or after `%llm`.")
    first = [{"role": "system", "content": system}] if system else []
    return [*first, *before, {"role": "user", "content": prompt}]


def stream(  # noqa: PLR0913 - all but the first two are named
    prompt: str | Sequence[Message],
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
    schema: Schema | None = None,
    clock: Clock = SYSTEM_CLOCK,
    retry_now: RetryNow | None = None,
    **overrides: Any,
) -> Generator[Event]:
    """Ask a model and yield the events of the request as they happen, `Done` or `Failed` last.

    Nothing is sent before the first event is asked for. Closing the generator closes the
    connection. A list of messages, as `conversation` makes them, can stand for the prompt;
    `retry_now` lets another thread end a wait. The other arguments, and what bad ones raise, are
    those of `ask`.
    """
    settings = (settings or load_settings()).with_overrides(overrides)
    messages = conversation(prompt, system=system) if isinstance(prompt, str) else prompt
    request = request_for(messages, settings, schema)
    sender = _Sender(request, settings, clock, retry_now or RetryNow())
    events = sender.events(request.messages)
    if schema is not None:
        mask = sender.redactor.redact
        events = corrected(events, sender.again, request.messages, schema, mask)
    return _redacted(events, sender.redactor)


def request_for(
    messages: Sequence[Message], settings: Snapshot, schema: Schema | None = None
) -> Request:
    """Make the request that asks a conversation.

    Raises:
        SettingError: completion_kwargs holds what it cannot.
    """
    response_format = None
    if schema is not None and abilities_of(settings.model).takes_schema:
        response_format = schema.response_format
    elif schema is not None:
        messages = schema.told(messages)
    messages = throughout(list(messages), whole)
    return request_from(settings, prepared(messages, settings), response_format)


def stop(events: Generator[Event]) -> Iterator[Event]:
    """Stop a request between two of its events and yield the text that it still held back.

    Text that could be the beginning of a key is held back until more of it has come.
    """
    with contextlib.suppress(KeyboardInterrupt, StopIteration), contextlib.closing(events):
        yield events.throw(KeyboardInterrupt)


class _Sender:
    """Sends conversations, each a request of its own under the retry policy and one deadline.

    Args:
        request: What is sent but for its messages.
        settings: What it was made from.
        clock: Measures and makes the waits.
        retry_now: Ends a wait early.

    Attributes:
        redactor: Masks the keys that a request may be sent with.
    """

    def __init__(
        self, request: Request, settings: Snapshot, clock: Clock, retry_now: RetryNow
    ) -> None:
        self._request = request
        self._settings = settings
        self._clock = clock
        self._retry_now = retry_now
        self._secrets = secrets_of(settings, request.options)
        self._began_s: float | None = None
        self.redactor = Redactor(self._secrets)

    def events(self, messages: Sequence[Message]) -> Generator[Event]:
        """Give the events of one conversation, or of its stored answer."""
        request = replace(self._request, messages=prepared(messages, self._settings))
        return stored(self._explained(request), request, self._settings, self._secrets)

    def again(self, messages: Sequence[Message]) -> Generator[Event] | None:
        """Give the events of a further conversation, unless the deadline has passed by now."""
        deadline_s = self._settings.deadline
        if deadline_s is None or self._began_s is None:  # a stored answer takes no time
            return self.events(messages)
        in_time = self._clock.now() < self._began_s + deadline_s
        return self.events(messages) if in_time else None

    def _explained(self, request: Request) -> Generator[Event]:
        """Run a request under the retry policy; a failure is explained to the person."""

        def explain(error: errors.RequestError, retries: int) -> errors.RequestError:
            keyless = "api_key" not in request.options
            missing = missing_key_variables(request.model) if keyless else ()
            return explained(error, self._settings, retries=retries, missing_variables=missing)

        if self._began_s is None:
            self._began_s = self._clock.now()
        attempts = Attempts(
            self._settings, self.redactor, self._clock, self._retry_now, self._began_s
        )
        yield from attempts.events(request, send, explain)


def _redacted(events: Generator[Event], redactor: Redactor) -> Generator[Event]:
    """Mask known keys in the answer, whatever pieces they come in."""
    held = redactor.stream()
    kind: type[TextDelta | ReasoningDelta] = TextDelta
    try:
        with contextlib.closing(events):
            for event in events:
                if not isinstance(event, kind) and (text := held.flush()):
                    yield kind(text)
                match event:
                    case TextDelta(text) | ReasoningDelta(text):
                        kind = type(event)
                        if text := held.feed(text):
                            yield kind(text)
                    case Correcting(problem):
                        yield replace(event, problem=redactor.redact(problem))
                    case Done(raw=raw):
                        yield replace(event, raw=throughout(raw, redactor.redact))
                    case _:
                        yield event
    except KeyboardInterrupt:
        if text := held.flush():
            yield kind(text)
        raise
