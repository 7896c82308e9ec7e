"""The attempts of one request: through its gate, under the retry policy, with keys masked."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from openhands_llm_magic.config.secret import logins_in
from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.events import Event, Failed, Retrying
from openhands_llm_magic.llm.limits.admission import Admission
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.retry import RetryPolicy, with_retries

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from typing import Any

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.secret import Redactor
    from openhands_llm_magic.llm.request import EmbeddingRequest, Request
    from openhands_llm_magic.llm.retry import Clock, RetryNow

    R = TypeVar("R", Request, EmbeddingRequest)

_KEY_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")


@dataclass(frozen=True, slots=True)
class Attempts:
    """How requests are made, whatever they ask for.

    Attributes:
        settings: The retry policy and the limits.
        redactor: Masks the keys in what servers say.
        clock: Measures and makes the waits.
        retry_now: Ends a wait early.
        began_s: When the prompt began that the deadline is counted from; None means with the
            request.
    """

    settings: Snapshot
    redactor: Redactor
    clock: Clock
    retry_now: RetryNow
    began_s: float | None = None

    def events(
        self,
        request: R,
        send: Callable[[R], Generator[Event]],
        explain: Callable[[RequestError, int], RequestError],
    ) -> Generator[Event]:
        """Make a request until it succeeds or is given up; `Failed` then comes last.

        Args:
            request: What is sent.
            send: Makes one attempt; raises a `RequestError`.
            explain: Words the last failure for the person, after so many retries.
        """
        policy, clock = RetryPolicy.from_settings(self.settings), self.clock
        account = account_of(request.options)
        admission = Admission(request, account, self.settings, clock, self.retry_now)
        began_s = clock.now() if self.began_s is None else self.began_s
        ends_at_s = math.inf if policy.deadline_s is None else began_s + policy.deadline_s
        retries = 0

        def send_once() -> Generator[Event]:
            return send(request.within(ends_at_s - clock.now()))

        def attempt() -> Iterator[Event]:
            load()  # ahead of the turn: the server counts the request when it comes
            pause_s = policy.wait_before_s(retries + 1)
            yield from self._keyless(admission.attempt(send_once, ends_at_s, pause_s))

        for event in with_retries(attempt, policy, clock, self.retry_now, began_s):
            match event:
                case Retrying(retry=retries):
                    yield event
                case Failed(error):
                    yield Failed(self._masked(explain(error, retries)))
                case _:
                    yield event

    def _keyless(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass on the events of an attempt; some servers echo the key they refuse."""
        try:
            yield from events
        except RequestError as error:
            fault = error
        else:
            return
        raise self._masked(fault)

    def _masked(self, error: RequestError) -> RequestError:
        return error.reworded(self.redactor.redact(str(error)))


def account_of(options: Mapping[str, Any]) -> str:
    """Return what tells accounts apart: the key, or all that a provider could take for it."""
    return options.get("api_key") or "\n".join(_environment_keys())


def secrets_of(settings: Snapshot, options: Mapping[str, Any] | None = None) -> list[str]:
    """Return all that must not show of what a request is sent with.

    Args:
        settings: What it is made from.
        options: Those of the request, which may hold a key that the settings do not.
    """
    keys = [*settings.secrets(), *_environment_keys(), (options or {}).get("api_key", "")]
    logins = logins_in(f"{settings.base_url} {settings.embedding_base_url}")
    return [*keys, *map(str.strip, keys), *logins]


def _environment_keys() -> list[str]:
    """Return the keys that providers' own variables hold."""
    return [value for name, value in os.environ.items() if _KEY_NAME.search(name)]
