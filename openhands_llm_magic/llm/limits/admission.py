"""One request's way through its gate: it waits for its turn, and the gate learns how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic.errors import HeldBackError, RateLimitError, Text
from openhands_llm_magic.llm.events import Held
from openhands_llm_magic.llm.explain import HELD_BY
from openhands_llm_magic.llm.limits.gate import Limits, Turn, gate_for
from openhands_llm_magic.llm.retry import TICK_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import TransientError
    from openhands_llm_magic.llm.control import Control
    from openhands_llm_magic.llm.request import EmbeddingRequest, Request
    from openhands_llm_magic.llm.retry import Clock


class Admission:
    """Lets the attempts of one request through the gate of its model.

    Args:
        request: What is sent.
        account: Tells the accounts at its address apart.
        settings: The limits that are set.
        clock: Measures and makes the waits.
        control: Cancels the run, or lets an attempt go before its turn.
    """

    def __init__(
        self,
        request: Request | EmbeddingRequest,
        account: str,
        settings: Snapshot,
        clock: Clock,
        control: Control,
    ) -> None:
        limits = Limits(settings.requests_per_minute, settings.tokens_per_minute)
        address = str(request.options.get("base_url", ""))
        self._gate = gate_for(address, request.model, account, limits)
        self._tokens = request.tokens
        self._longest_s = settings.retry_after_limit
        self._clock = clock
        self._control = control

    def turn(self) -> Turn:
        """Return the turn of one attempt, to be used in a `with` statement."""
        return self._gate.turn(self._tokens)

    def wait(self, turn: Turn, until_s: float) -> Iterator[Held]:
        """Wait for a turn, and tell so about once a second.

        Args:
            turn: The turn.
            until_s: When the attempt must have been sent, on the clock.

        Raises:
            Cancelled: The run was cancelled meanwhile.
            HeldBackError: The turn would come too late.
        """
        began_s = now_s = self._clock.now()
        tell_at_s = began_s
        while wait_s := turn.wait_s(now_s):
            if self._control.retrying_now:
                turn.go(now_s)
                break
            if now_s >= tell_at_s:
                tell_at_s = now_s + TICK_S
                yield Held(turn.held_by, now_s - began_s, wait_s)
            if now_s + wait_s > until_s:
                told = "its turn comes in {seconds} s, {why}"
                why = Text(HELD_BY[turn.held_by])
                raise HeldBackError(Text(told, seconds=f"{wait_s:.0f}", why=why))
            self._control.sleep(self._clock, min(wait_s, TICK_S))
            now_s = self._clock.now()
        if now_s > began_s:
            yield Held(turn.held_by, now_s - began_s, 0.0)

    def learn(self, turn: Turn, error: TransientError, pause_s: float) -> None:
        """Let the others wait, too, unless the prompt fails because the wait is too long.

        Then whoever asks again asks in earnest.

        Args:
            turn: The turn of the attempt.
            error: What it failed with.
            pause_s: The wait of the retry policy after this failure, in seconds.
        """
        asked_s = error.retry_after_s
        if asked_s is not None and asked_s > self._longest_s:
            return
        if isinstance(error, RateLimitError):
            turn.refused(self._clock.now(), asked_s, pause_s)
        elif asked_s is not None:
            turn.overloaded(self._clock.now(), asked_s)
