"""A tiny prompt that shows whether settings work, told in steps and stopped at any moment."""

from __future__ import annotations

import math
import os
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from openhands_llm_magic import errors
from openhands_llm_magic.config import trust
from openhands_llm_magic.config.providers import PROVIDERS, goes_by_proxy, provider_of, server_of
from openhands_llm_magic.config.schedule import our_wait_s
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm import events
from openhands_llm_magic.llm.astray import found_by_check
from openhands_llm_magic.llm.explain import (
    NO_SUCH_NAME,
    THROTTLED_BY,
    explained,
    facts,
    origin_of,
)
from openhands_llm_magic.llm.prepare import host_of, prepare
from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
from openhands_llm_magic.llm.run import run
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Cancelled, Control, Run

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.worker import Clock

PROMPT = "Answer with the one word OK."

SET_UP = "with LiteLLM's set-up"
"""What is said of the first request, as the import of LiteLLM is not all that it takes once."""

SET_UP_FROM_S = 0.5
"""Seconds of a request from which on this is said: a notebook does most of it while it loads."""

StepName = Literal["key", "address", "litellm", "request", "first_token", "answer"]

HELD_AT_MOST_S = 5.0
"""Seconds for which a test without retries lets itself be held back by a limit."""

VERDICTS: Mapping[type[errors.RequestError], str] = {
    errors.RateLimitError: "the server limits the rate {said}. {then}",
    errors.ServerError: "the server failed {said}. {then}",
    errors.NoAnswerInTimeError: (
        "no answer came in time {said}. Raise timeout ({timeout_from}), or test again later."
    ),
    errors.ConnectionFailedError: (
        "{server} could not be reached {said}. Check that it runs, and base_url ({base_url_from})."
    ),
    errors.BrokenAnswerError: "no complete answer came {said}. {then}",
}
"""What a test without retries says of a passing fault. The names in braces are those of `facts`,
and `then`, which says what a prompt would do."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a test begins ("running"), is over, or is not taken ("skipped").

    Attributes:
        name: key (which is used), address (its name is looked up), litellm (it is imported),
            request (until the server accepts it), first_token (until the first text) or answer
            (until its end). The last three begin again with each retry.
        state: How far it is.
        took_s: Seconds that it took; 0 while it is running.
        detail: Where the key comes from ("LLM_API_KEY"), the name of the host, or what else the
            time of a request holds; else "".
    """

    name: StepName
    state: Literal["running", "done", "failed", "skipped"]
    took_s: float = 0.0
    detail: str = ""


class ConnectionTest:
    """One test of settings, which sends one request and gives its verdict at once.

    Args:
        settings: The settings.
        clock: Measures and makes the waits.
        retries: Whether passing faults and limits are waited out under the retry policy, as they
            are for a prompt.
    """

    def __init__(
        self, settings: Snapshot, clock: Clock = SYSTEM_CLOCK, *, retries: bool = False
    ) -> None:
        self._settings = settings
        self._retries = retries
        self._fault: errors.RequestError | None = None  # of the attempt, in the server's words
        named = settings.custom_llm_provider
        self._provider = provider_of(settings.model, settings.base_url, named)
        self._clock = clock
        self._control = Control(asks_anyway=True)
        self._builder = ReplyBuilder(settings.model)
        self._step = Step("key", "skipped")
        self._began_at_s = 0.0

    @property
    def reply(self) -> Reply:
        """The reply to the test's prompt, as far as it is known."""
        return self._builder.reply

    def stop(self) -> None:
        """End `run`, from another thread; it then soon yields `Failed` with `Stopped`.

        A request is hung up on. Nothing happens when the test is over.
        """
        self._control.cancel()

    def run(self) -> Generator[Step | events.Event]:
        """Make the test, once, and yield its steps and the events of its request.

        The last item is `Done` or `Failed`. Nothing is printed or logged.
        """
        try:
            self._control.check()
            for item in self._items():
                if not isinstance(item, Step):
                    self._builder.add(item)
                yield item
                if isinstance(item, events.Done | events.Failed):
                    return
                self._control.check()
        except errors.RequestError as error:
            failed = events.Failed(error.alone())
        except Cancelled:
            failed = events.Failed(errors.Stopped("stopped before the answer was complete."))
        if self._step.state == "running":
            yield self._end("failed")
        self._builder.add(failed)
        yield failed

    def _items(self) -> Iterator[Step | events.Event]:
        self._require_trusted()
        yield from self._key()
        yield from self._address()
        yield from self._request()

    def _require_trusted(self) -> None:
        """Look up not even the name of a server that would be sent nothing.

        Raises:
            RequestError: It is not trusted, or the config file that names it is not.
        """
        try:
            prepared = prepare(PROMPT, self._settings)
        except errors.UntrustedSettingError as error:
            raise errors.UnsendableError(error.text.masked(self._mask)) from None
        except (errors.SettingError, OSError):  # `_request` tells it
            return
        trust.require_trusted(self._settings, self._settings.model, prepared.request.options)

    def _begin(self, name: StepName, detail: str = "") -> Step:
        self._step = Step(name, "running", detail=detail)
        self._began_at_s = self._clock.now()
        return self._step

    def _end(self, state: Literal["done", "failed"] = "done") -> Step:
        """Return the step that runs as one that is over."""
        took_s = self._clock.now() - self._began_at_s
        quick = self._step.detail == SET_UP and took_s < SET_UP_FROM_S
        detail = "" if quick else self._step.detail
        self._step = replace(self._step, state=state, took_s=took_s, detail=detail)
        return self._step

    def _key(self) -> Iterator[Step]:
        """Tell where the key comes from, as far as it can be known without a request."""
        asked, found = _keys(self._settings, self._provider)
        if found:
            yield Step("key", "done", detail=", ".join(found))
        # A gateway can take another header, of completion_kwargs, for a key.
        elif self._provider is None or "api_key" not in asked or self._settings.completion_kwargs:
            yield Step("key", "skipped")
        else:
            yield self._begin("key")
            no_key = errors.AuthenticationError("no key")
            raise self._told(no_key, self._provider.key_variables)

    def _address(self) -> Iterator[Step]:
        """Look up the name of the server, unless a proxy does that."""
        host = _host(self._settings, self._provider)
        if host is None:
            yield Step("address", "skipped")
            return
        yield self._begin("address", host)
        failed: list[Exception] = []

        def look_up(_emit: object) -> None:
            try:
                socket.getaddrinfo(host, None)
            except (OSError, UnicodeError) as error:
                failed.append(error)

        # Nothing can break off a look-up: a stop leaves its thread behind.
        looking = Run(look_up, self._control)
        while not looking.ended:
            looking.take()
            self._control.check()
        for error in failed:
            reason = getattr(error, "strerror", None) or Text("a name cannot be like this")
            told = Text(NO_SUCH_NAME, host=host, reason=reason)
            raise self._told(errors.ConnectionFailedError(told))
        yield self._end()

    def _request(self) -> Iterator[Step | events.Event]:
        once: Mapping[str, object] = {} if self._retries else {"num_retries": 0}
        try:
            prepared = prepare(PROMPT, self._settings.with_overrides(once))
        except (errors.SettingError, OSError) as error:  # OSError: of the practice provider
            yield self._begin("request")
            text = error.text if isinstance(error, errors.SettingError) else Text(str(error))
            raise errors.UnsendableError(text.masked(self._mask)) from None
        with run(prepared, self._clock, self._control) as running:
            while not running.ended:
                for event in running.take():
                    yield from self._around(self._judged(event))
                self._control.check()

    def _judged(self, event: events.Event) -> events.Event:
        """Return an event of the request, or the verdict in place of a failure.

        Raises:
            Cancelled: The test was stopped, which is told in words of its own.
            ThrottledError: The request is held back for long, and the verdict is to come at once.
        """
        match event:
            case events.Failed(errors.Stopped()):
                raise Cancelled
            case events.AttemptEnded(error=errors.TransientError() as fault):
                self._fault = fault
            case events.Failed(errors.TransientError() as error) if not self._retries:
                return events.Failed(self._verdict(error))
            case events.Throttled(remaining_s=left_s) if left_s > HELD_AT_MOST_S:
                if not self._retries:
                    told = (
                        "not sent: it would be held back for {seconds} s, {why}. Test again then."
                    )
                    why = Text(THROTTLED_BY[event.by])
                    raise errors.ThrottledError(Text(told, seconds=math.ceil(left_s), why=why))
        return event

    def _verdict(self, error: errors.TransientError) -> errors.RequestError:
        """Word a passing fault: what is wrong, and what a prompt would do about it."""
        if self._fault is None or type(self._fault) not in VERDICTS:
            return error
        if found_by_check(self._fault, self._settings):
            return self._told(self._fault)
        known = facts(self._fault, self._settings, 0) | {"then": self._what_a_prompt_does(error)}
        return error.reworded(Text(VERDICTS[type(self._fault)], **known).masked(self._mask))

    def _what_a_prompt_does(self, error: errors.TransientError) -> Text:
        settings, asked_s = self._settings, error.retry_after_s
        wait_s = our_wait_s(settings, 1) if asked_s is None else asked_s
        known = {
            "seconds": f"{wait_s:g}",
            "limit_from": origin_of(settings, "retry_after_limit"),
            "num_retries_from": origin_of(settings, "num_retries"),
        }
        if asked_s is not None and asked_s > settings.retry_after_limit:
            told = (
                "It asks to wait {seconds} s, longer than retry_after_limit ({limit_from}), so a"
                " prompt gives up."
            )
        elif asked_s is not None and settings.num_retries:
            told = "It asks to wait {seconds} s: a prompt waits as long, and is sent again."
        elif asked_s is not None:
            told = (
                "It asks to wait {seconds} s; a prompt gives up, by num_retries"
                " ({num_retries_from})."
            )
        elif settings.num_retries:
            told = "It names no wait: a prompt is sent again after {seconds} s."
        else:
            told = "It names no wait; a prompt gives up, by num_retries ({num_retries_from})."
        return Text(told, **known)

    def _around(self, event: events.Event) -> Iterator[Step | events.Event]:
        """Yield an event of the request, and around it the steps that it ends and begins."""
        match event:
            case events.Sending() if self._step.name == "litellm":
                yield self._end()
                yield self._begin("request", SET_UP)
            case events.Sending() if self._step.name in ("key", "address"):
                yield Step("litellm", "skipped")
                yield self._begin("request")
            case events.Sending():  # once more
                yield self._begin("request")
            case events.Accepted():
                yield self._end()
            case events.TextDelta() if self._step.name == "first_token":
                yield self._end()
                yield self._begin("answer")
            case events.Done():
                yield self._end()
            case events.Retrying() | events.Failed() if self._step.state == "running":
                yield self._end("failed")
        yield event
        match event:
            case events.Loading():
                yield self._begin("litellm")
            case events.Accepted():
                yield self._begin("first_token")

    def _told(
        self, error: errors.RequestError, missing_variables: Sequence[str] = ()
    ) -> errors.RequestError:
        """Explain a failure that came before the request as one of the request is explained."""
        told = explained(error, self._settings, missing_variables=missing_variables)
        return told.reworded(told.text.masked(self._mask))

    def _mask(self, words: str) -> str:
        return masked(words, self._settings.secrets())


def _keys(settings: Snapshot, provider: Provider | None) -> tuple[list[str], list[str]]:
    """Name the secret settings that a provider asks for, and where each comes from.

    The second list is empty unless all of them are there.
    """
    if provider == PROVIDERS["practice"]:  # it has a key of its own
        return [], []
    asked = (
        [name for name in provider.asks_for if SETTINGS[name].kind == "secret"] if provider else []
    )
    found = [_origin(settings, name, provider) for name in asked or ["api_key"]]
    return asked, list(dict.fromkeys(found)) if all(found) else []


def _origin(settings: Snapshot, name: str, provider: Provider | None) -> str:
    """Name the origin of a secret setting, or else the variable that stands in for it, or ""."""
    if getattr(settings, name):
        return str(settings.origin(name))
    return provider.stand_in(name, os.environ) if provider else ""


def _host(settings: Snapshot, provider: Provider | None) -> str | None:
    """Name the server, or return None where its name is not known or not looked up here."""
    if provider == PROVIDERS["practice"]:
        return None
    host = host_of(settings.model, settings.base_url, settings.custom_llm_provider)
    server = server_of(settings.base_url or "")
    scheme = server.scheme if server else "https"
    return host if host and not goes_by_proxy(scheme, host) else None
