"""Asking a model: settings and a prompt in, events or a `Reply` out."""

from __future__ import annotations

import contextlib
import math
import os
import re
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.config.secret import Redactor, logins_in
from openhands_llm_magic.llm import client
from openhands_llm_magic.llm.admission import Admission
from openhands_llm_magic.llm.events import Event, Failed, ReasoningDelta, Retrying, TextDelta
from openhands_llm_magic.llm.explain import explained
from openhands_llm_magic.llm.reply import Reply, fold
from openhands_llm_magic.llm.request import request_from
from openhands_llm_magic.llm.retry import (
    SYSTEM_CLOCK,
    Clock,
    RetryNow,
    RetryPolicy,
    with_retries,
)
from openhands_llm_magic.llm.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from openhands_llm_magic.llm.content import Content
    from openhands_llm_magic.llm.conversations import Message

_KEY_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")


def ask(
    prompt: str,
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    **overrides: Any,
) -> Reply:
    """Ask a model and wait for the whole answer.

    Args:
        prompt: What to ask.
        settings: What to ask with; by default what `load_settings` finds.
        system: Instructions that come before the prompt.
        clock: Measures and makes the waits between retries.
        overrides: Settings for this request alone, by name.

    Raises:
        RequestError: There is no complete answer; its `reply` holds what came.
        SettingError: An override is bad.
        UsageError: The prompt is empty.
    """
    settings = (settings or load_settings()).with_overrides(overrides)
    messages = conversation(prompt, system=system)
    reply = fold(stream(messages, settings, clock=clock), settings.model, messages)
    if reply.error is not None:
        reply.error.reply = reply
        raise reply.error
    return reply


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


def stream(
    prompt: str | Sequence[Message],
    settings: Snapshot | None = None,
    *,
    system: str | None = None,
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
    request = request_from(settings, messages)
    keys = [*settings.secrets(), *_environment_keys(), request.options.get("api_key", "")]
    logins = logins_in(settings.base_url or "")
    redactor = Redactor([*keys, *(key.strip() for key in keys), *logins])
    events = _redacted(
        _explained(request, settings, redactor, clock, retry_now or RetryNow()), redactor
    )
    match settings.cache:
        case "off":
            return events
        case "on" | "replay":
            stored = Stored(request, settings, [*keys, *logins])
            return stored.events(events, replay=settings.cache == "replay")
    raise errors.SettingError(
        f"cache takes off, on or replay, not {settings.cache!r} (from {settings.origin('cache')})"
    )


def stop(events: Generator[Event]) -> Iterator[Event]:
    """Stop a request between two of its events and yield the text that it still held back.

    Text that could be the beginning of a key is held back until more of it has come.
    """
    with contextlib.suppress(KeyboardInterrupt, StopIteration), contextlib.closing(events):
        yield events.throw(KeyboardInterrupt)


def _explained(
    request: client.Request,
    settings: Snapshot,
    redactor: Redactor,
    clock: Clock,
    retry_now: RetryNow,
) -> Generator[Event]:
    """Run the request under the retry policy; a failure is explained to the person."""
    policy = RetryPolicy.from_settings(settings)
    admission = Admission(request, _key_of(request), settings, clock, retry_now)
    ends_at_s = math.inf if policy.deadline_s is None else clock.now() + policy.deadline_s
    retries = 0

    def send() -> Generator[Event]:
        return client.send(request.within(ends_at_s - clock.now()))

    def attempt() -> Iterator[Event]:
        client.load()  # ahead of the turn: the server counts the request when it comes
        try:
            yield from admission.attempt(send, ends_at_s, policy.wait_before_s(retries + 1))
        except errors.RequestError as error:
            fault = error
        else:
            return
        raise fault.reworded(redactor.redact(str(fault)))  # some servers echo the key they refuse

    for event in with_retries(attempt, policy, clock, retry_now):
        match event:
            case Retrying(retry=retries):
                yield event
            case Failed(error):
                keyless = "api_key" not in request.options
                missing = client.missing_key_variables(request.model) if keyless else ()
                told = explained(error, settings, retries=retries, missing_variables=missing)
                yield Failed(told.reworded(redactor.redact(str(told))))
            case _:
                yield event


def _redacted(events: Generator[Event], redactor: Redactor) -> Generator[Event]:
    """Mask known keys in the answer, whatever pieces they come in."""
    held = redactor.stream()
    kind: type[TextDelta | ReasoningDelta] = TextDelta
    try:
        with contextlib.closing(events):
            for event in events:
                if not isinstance(event, kind) and (text := held.flush()):
                    yield kind(text)
                if isinstance(event, TextDelta | ReasoningDelta):
                    kind = type(event)
                    if text := held.feed(event.text):
                        yield kind(text)
                else:
                    yield event
    except KeyboardInterrupt:
        if text := held.flush():
            yield kind(text)
        raise


def _key_of(request: client.Request) -> str:
    """Return what tells accounts apart: the key, or all that a provider could take for it."""
    return request.options.get("api_key") or "\n".join(_environment_keys())


def _environment_keys() -> list[str]:
    """Return the keys that providers' own variables hold, so that they can be masked."""
    return [value for name, value in os.environ.items() if _KEY_NAME.search(name)]
