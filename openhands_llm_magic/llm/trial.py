"""A tiny prompt that shows whether settings work, told in steps and stopped at any moment."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from openhands_llm_magic import errors
from openhands_llm_magic.config.provider import addresses_in
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm import session
from openhands_llm_magic.llm.events import (
    Accepted,
    Done,
    Event,
    Failed,
    Held,
    Retrying,
    TextDelta,
    Waiting,
)
from openhands_llm_magic.llm.explain import explained
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
from openhands_llm_magic.llm.retry import SYSTEM_CLOCK
from openhands_llm_magic.llm.stopper import Stopper

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from openhands_llm_magic.config.provider import Provider
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.retry import Clock

PROMPT = "Answer with the one word OK."

REGIONAL = frozenset({"bedrock", "vertex_ai"})
"""Providers with a server for each region, so that the catalogue's address is one of many."""

StepName = Literal["key", "address", "litellm", "request", "first_token", "answer"]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a trial begins ("running"), is over, or is not taken ("skipped").

    Attributes:
        name: key (which is used), address (its name is looked up), litellm (it is imported),
            request (until the server accepts it), first_token (until the first text) or answer
            (until its end). The last three begin again with each retry.
        state: How far it is.
        took_s: Seconds that it took; 0 while it is running.
        detail: Where the key comes from ("LLM_API_KEY"), or the name of the host; else "".
    """

    name: StepName
    state: Literal["running", "done", "failed", "skipped"]
    took_s: float = 0.0
    detail: str = ""


class Trial:
    """One test of settings.

    Args:
        settings: What the prompt is sent with, the retry policy included.
        clock: Measures the steps, and makes the waits between retries.
    """

    def __init__(self, settings: Snapshot, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        named = settings.custom_llm_provider
        self._provider = provider_of(settings.model, settings.base_url, named)
        self._stopper = Stopper(clock)
        self._builder = ReplyBuilder(settings.model)
        self._step = Step("key", "skipped")
        self._began_at_s = 0.0

    @property
    def reply(self) -> Reply:
        """What came of the prompt, as far as it is known."""
        return self._builder.reply

    def stop(self) -> None:
        """End `run`, from another thread; it then soon yields `Failed` with `Stopped`.

        A request is hung up on. Nothing happens when the trial is over.
        """
        self._stopper.stop()

    def run(self) -> Generator[Step | Event]:
        """Make the test, once, and yield its steps and the events of its request.

        The last item is `Done` or `Failed`. Nothing is printed or logged.
        """
        try:
            with contextlib.closing(self._items()) as items:
                self._stopper.check()
                for item in items:
                    if not isinstance(item, Step):
                        self._builder.add(item)
                    yield item
                    if isinstance(item, Done | Failed):
                        return
                    self._stopper.check()
        except errors.RequestError as error:
            failed = Failed(error.alone())
        if self._step.state == "running":
            yield self._end("failed")
        self._builder.add(failed)
        yield failed

    def _items(self) -> Generator[Step | Event]:
        yield from self._key()
        yield from self._address()
        yield from self._litellm()
        yield from self._request()

    def _begin(self, name: StepName, detail: str = "") -> Step:
        self._step = Step(name, "running", detail=detail)
        self._began_at_s = self._stopper.now()
        return self._step

    def _end(self, state: Literal["done", "failed"] = "done") -> Step:
        """Give the running step as over."""
        took_s = self._stopper.now() - self._began_at_s
        self._step = replace(self._step, state=state, took_s=took_s)
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
        try:
            self._stopper.apart(partial(socket.getaddrinfo, host, None))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no name can be like this"
            raise self._told(errors.ConnectionFailedError(f"{host}: {reason}")) from None
        yield self._end()

    def _litellm(self) -> Iterator[Step]:
        if _is_imported("litellm"):
            yield Step("litellm", "skipped")
            return
        yield self._begin("litellm")
        try:
            self._stopper.apart(load)
        except ImportError as error:
            raise errors.UnsendableError(
                f"LiteLLM cannot be imported ({error}). Install it again: `pip install litellm`."
            ) from None
        yield self._end()

    def _request(self) -> Iterator[Step | Event]:
        yield self._begin("request")
        try:
            events = session.stream(PROMPT, self._settings, clock=self._stopper)
        except (errors.SettingError, OSError) as error:  # OSError: of the practice provider
            words = masked(str(error), self._settings.secrets())
            raise errors.UnsendableError(words) from None
        with contextlib.closing(events):
            while event := self._stopper.on_socket(partial(next, events, None)):
                yield from self._around(event)

    def _around(self, event: Event) -> Iterator[Step | Event]:
        """Give an event and the steps that it begins and ends."""
        match event:
            case Accepted():
                yield self._end()
            case TextDelta() if self._step.name == "first_token":
                yield self._end()
                yield self._begin("answer")
            case Done():
                yield self._end()
            case Retrying() | Failed():
                yield self._end("failed")
        yield event
        match event:
            case Accepted():
                yield self._begin("first_token")
            case Waiting(remaining_s=0) | Held(remaining_s=0):
                yield self._begin("request")

    def _told(
        self, error: errors.RequestError, missing_variables: Sequence[str] = ()
    ) -> errors.RequestError:
        """Explain a failure that came before the request as one of the request is explained."""
        told = explained(error, self._settings, missing_variables=missing_variables)
        return told.reworded(masked(str(told), self._settings.secrets()))


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
    """Name the server, or give None where its name is not known or not looked up here."""
    if provider == PROVIDERS["practice"]:
        return None
    try:
        parts = urlsplit(settings.base_url or _own_address(provider))
        host, _ = parts.hostname, parts.port  # both raise for what is no address
    except ValueError:
        return None
    return host if host and not _goes_by_proxy(parts.scheme, host) else None


def _own_address(provider: Provider | None) -> str:
    """Give the address at which LiteLLM finds a provider by itself, or "" if it is not known."""
    if provider is None or provider.name in REGIONAL or "base_url" in provider.asks_for:
        return ""
    return "" if addresses_in(os.environ, provider.prefix) else provider.base_url_form


def _goes_by_proxy(scheme: str, host: str) -> bool:
    """Tell whether HTTP clients leave a host, and the look-up of its name, to a proxy."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - it takes 20 ms to import

    return not {scheme, "all"}.isdisjoint(getproxies()) and not proxy_bypass(host)


def _is_imported(name: str) -> bool:
    """Tell whether a module is there, and not in the middle of its import on another thread."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec is not None and not getattr(spec, "_initializing", False)
