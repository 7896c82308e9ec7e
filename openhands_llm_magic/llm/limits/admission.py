"""One attempt's way through its gate: it waits for its turn, and the gate learns how it went."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import HeldBackError, RateLimitError, TransientError
from openhands_llm_magic.llm.events import Accepted, Held, Usage
from openhands_llm_magic.llm.explain import HELD_BY
from openhands_llm_magic.llm.limits.gate import Limits, Turn, gate_for
from openhands_llm_magic.llm.retry import TICK_S, Clock, RetryNow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.request import EmbeddingRequest, Request


class Admission:
    """Lets the attempts of one request through the gate of its model.

    Args:
        request: What is sent.
        key: Tells the accounts at its address apart.
        settings: The limits that are set.
        clock: Measures and makes the waits.
        retry_now: Lets an attempt go before its turn.
    """

    def __init__(
        self,
        request: Request | EmbeddingRequest,
        key: str,
        settings: Snapshot,
        clock: Clock,
        retry_now: RetryNow,
    ) -> None:
        limits = Limits(settings.requests_per_minute, settings.tokens_per_minute)
        address = str(request.options.get("base_url", ""))
        self._gate = gate_for(address, request.model, key, limits)
        self._tokens = request.tokens
        self._longest_s = settings.retry_after_limit
        self._clock = clock
        self._retry_now = retry_now

    def attempt(
        self,
        send: Callable[[], Generator[Event]],
        until_s: float = math.inf,
        pause_s: float = math.inf,
    ) -> Iterator[Event]:
        """Make one attempt when its turn has come; yields its events, `Held` ones first.

        Args:
            send: Makes it.
            until_s: When it must have been sent, on the clock.
            pause_s: The wait of the retry policy, should this attempt fail.

        Raises:
            RequestError: It failed, or its turn would come too late (`HeldBackError`).
        """
        with self._gate.turn(self._tokens) as turn:
            yield from self._held(turn, until_s)
            try:
                with contextlib.closing(send()) as events:
                    for event in events:
                        self._learn(turn, event)
                        yield event
            except TransientError as error:
                self._learn_of(turn, error, pause_s)
                raise

    def _held(self, turn: Turn, until_s: float) -> Iterator[Held]:
        """Wait for the turn."""
        began_s = now_s = self._clock.now()
        tell_at_s = began_s
        while wait_s := turn.wait_s(now_s):
            if self._retry_now.asked:
                turn.go(now_s)
                break
            if now_s >= tell_at_s:
                tell_at_s = now_s + TICK_S
                yield Held(turn.held_by, now_s - began_s, wait_s)
            if now_s + wait_s > until_s:
                raise HeldBackError(f"its turn comes in {wait_s:.0f} s, {HELD_BY[turn.held_by]}")
            self._retry_now.sleep(self._clock, min(wait_s, TICK_S))
            now_s = self._clock.now()
        if now_s > began_s:
            yield Held(turn.held_by, now_s - began_s, 0.0)

    def _learn(self, turn: Turn, event: Event) -> None:
        match event:
            case Accepted(headers):
                turn.accepted(self._clock.now(), headers)
            case Usage():
                turn.answered(event.total_tokens)

    def _learn_of(self, turn: Turn, error: TransientError, pause_s: float) -> None:
        """Let the others wait, too, unless the prompt fails because the wait is too long.

        Then whoever asks again asks in earnest.
        """
        asked_s = error.retry_after_s
        if asked_s is not None and asked_s > self._longest_s:
            return
        if isinstance(error, RateLimitError):
            turn.refused(self._clock.now(), asked_s, pause_s)
        elif asked_s is not None:
            turn.overloaded(self._clock.now(), asked_s)
