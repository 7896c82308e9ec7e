"""One attempt's way through its gate: it waits for its turn, and the gate learns how it went."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import RateLimitError, TransientError
from openhands_llm_magic.llm.events import Accepted, Held, Usage
from openhands_llm_magic.llm.gate import Gate, Limits, Turn, gate_for
from openhands_llm_magic.llm.retry import TICK_S, Clock, RetryNow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.client import Request
    from openhands_llm_magic.llm.events import Event

BYTES_PER_TOKEN = 4
"""What a token takes in UTF-8, roughly, in any language; the answer tells how many they were."""

TOLD_FROM_S = 0.5
"""A shorter hold is not worth a word."""


class Admission:
    """Lets the attempts of one prompt through the gate of its model.

    Args:
        request: What is sent.
        settings: The limits that are set.
        clock: Measures and makes the waits.
        retry_now: Lets an attempt go before its turn.
    """

    def __init__(
        self, request: Request, settings: Snapshot, clock: Clock, retry_now: RetryNow
    ) -> None:
        self._gate = _gate_of(request, settings)
        self._tokens = _tokens_of(request)
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
            RequestError: It failed; a `RateLimitError`, too, if its turn would come too late.
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
            if now_s + wait_s > until_s:
                raise RateLimitError(f"held back by {turn.held_by}", retry_after_s=wait_s)
            if now_s >= tell_at_s and wait_s >= TOLD_FROM_S:
                tell_at_s = now_s + TICK_S
                yield Held(turn.held_by, now_s - began_s, wait_s)
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


def _gate_of(request: Request, settings: Snapshot) -> Gate:
    options = request.options
    limits = Limits(settings.requests_per_minute, settings.tokens_per_minute)
    endpoint, key = str(options.get("base_url", "")), str(options.get("api_key", ""))
    return gate_for(endpoint, request.model, key, limits)


def _tokens_of(request: Request) -> float:
    """Estimate the tokens of the prompt, with those that the answer may take at most, if set."""
    prompt = sum(len(str(message["content"]).encode()) for message in request.messages)
    answer = request.options.get("max_completion_tokens") or request.options.get("max_tokens") or 0
    return prompt / BYTES_PER_TOKEN + float(answer)
