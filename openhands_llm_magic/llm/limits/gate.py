"""One gate for each endpoint, model and key: all prompts to it, from any thread, pass it in turn.

Three things hold a request back: a limit that the person set (`Limits`), what the server's answers
say is left (`headroom.py`), and what its refusals teach (`pace.py`). A gate has no clock and never
sleeps: whoever waits asks for the seconds, sleeps as it likes, and asks again::

    with gate.turn() as turn:
        while wait_s := turn.wait_s(clock.now()):
            clock.sleep(min(wait_s, 1))
        ...  # send, then tell: turn.accepted, turn.answered or turn.refused
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openhands_llm_magic.llm.limits.cap import Cap
from openhands_llm_magic.llm.limits.headroom import UNITS, Headroom, Unit, left_in
from openhands_llm_magic.llm.limits.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from openhands_llm_magic.llm.events import HeldBy

ASK_EVERY_S = 1.0
LATE_S = 0.25
"""Whoever waits asks once a second; one that is late lets the others go first until it asks."""

CAPPED_BY: dict[Unit, HeldBy] = {
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
}
"""The setting that holds each limit."""

SOON_S = 0.01
"""How soon to ask again when the one in front may go now, and has yet to ask."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that are known from the start; None for one that is not.

    Attributes:
        requests_per_minute: Requests a minute; they go at even distances.
        tokens_per_minute: Tokens a minute, of prompts and answers; a second's worth goes at once.
        burst: Requests that may go at once after a pause, if the server lets them.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst: float = 1


class Gate:
    """Lets requests go in the order in which they came, none before its time.

    Use its turns; what is below is theirs, under the lock.

    Attributes:
        lock: Held while anything below is used.
        line: The turns that wait, the first one first.
        pace: What the server's refusals teach.
        caps: The limits that the person set.
        headroom: What the server says is left.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        # The collector may end a turn that was left behind while this very thread has the lock.
        self.lock = threading.RLock()
        self.line: list[Turn] = []
        self.pace = Pace()
        self.caps: dict[Unit, Cap] = {unit: Cap() for unit in UNITS}
        self.headroom: dict[Unit, Headroom] = {unit: Headroom() for unit in UNITS}
        self.limit(limits or Limits())

    def limit(self, limits: Limits) -> None:
        """Keep to these limits from now on."""
        tokens = limits.tokens_per_minute
        with self.lock:
            self.caps["requests"].limit(limits.requests_per_minute, limits.burst)
            self.caps["tokens"].limit(tokens, (tokens or 0) / 60)

    def turn(self, tokens: float = 0) -> Turn:
        """Give a turn to a request that will use about so many tokens."""
        return Turn(self, tokens)

    def until_free_s(self, turn: Turn, ahead: list[Turn], now_s: float) -> tuple[float, HeldBy]:
        """Give the seconds until a turn may go, after those ahead of it, and what holds it."""
        paced: HeldBy = "pause" if self.pace.closed_s(now_s) else "pace"
        waits: list[tuple[float, HeldBy]] = [(self.pace.wait_s(now_s, len(ahead)), paced)]
        for unit, amount in turn.amounts.items():
            before = sum(other.amounts[unit] for other in ahead)
            waits += [
                (self.caps[unit].wait_s(now_s, amount, before), CAPPED_BY[unit]),
                (self.headroom[unit].wait_s(now_s, amount + before), "headroom"),
            ]
        return max(waits)


class Turn:
    """One request's way through its gate, from the line to its end.

    Use it in a `with` statement: leaving that, however it happens, gives back what the turn holds.
    Each `now_s` is in seconds of one monotonic clock.

    Attributes:
        amounts: What it takes of each limit.
        asks_at_s: When it will ask again at the latest.
        sent_s: When it was let through, or None.
        held_by: What it last waited for.
    """

    def __init__(self, gate: Gate, tokens: float) -> None:
        self.amounts: dict[Unit, float] = {"requests": 1.0, "tokens": tokens}
        self.asks_at_s = 0.0
        self.sent_s: float | None = None
        self.held_by: HeldBy = "pace"
        self._gate = gate
        self._fate_known = False

    def wait_s(self, now_s: float) -> float:
        """Give the seconds until it is worth asking again; 0: go now.

        The first call takes a place in the line. Ask again after that long, and at least once a
        second: the wait gets shorter when the server turns out to take more than was thought.
        """
        if self.sent_s is not None:
            return 0.0
        gate = self._gate
        with gate.lock:
            if self not in gate.line:
                gate.line.append(self)
            before = gate.line[: gate.line.index(self)]
            ahead = [turn for turn in before if now_s <= turn.asks_at_s + LATE_S]
            wait_s, self.held_by = gate.until_free_s(self, ahead, now_s)
            if ahead or wait_s > 0:
                wait_s = max(wait_s, SOON_S)
                self.asks_at_s = now_s + min(wait_s, ASK_EVERY_S)
                return wait_s
            self._go(now_s)
            return 0.0

    def go(self, now_s: float) -> None:
        """Go now, whatever the gate would say: a person wants it."""
        with self._gate.lock:
            if self.sent_s is None:
                self._go(now_s)

    def _go(self, now_s: float) -> None:
        gate = self._gate
        if self in gate.line:
            gate.line.remove(self)
        self.sent_s = now_s
        gate.pace.sent(now_s)
        for unit, amount in self.amounts.items():
            gate.caps[unit].take(amount)
            gate.headroom[unit].sent(now_s, amount)

    def accepted(self, now_s: float, headers: Mapping[str, str] | None = None) -> None:
        """Tell that the server answers, with the headers of its response."""
        if self.sent_s is None:
            return
        with self._gate.lock:
            self._gate.pace.accepted(self.sent_s)
            self._end()
            for unit, headroom in self._gate.headroom.items():
                if left := left_in(headers or {}, unit):
                    headroom.told(self.sent_s, now_s, left)

    def answered(self, tokens: float) -> None:
        """Tell how many tokens were really used, by the prompt and the answer."""
        with self._gate.lock:
            self._gate.caps["tokens"].take(tokens - self.amounts["tokens"])

    def refused(
        self, now_s: float, retry_after_s: float | None = None, longest_pause_s: float = math.inf
    ) -> None:
        """Tell that the server refused for its limit (429), with the wait that it named.

        Everybody waits with it.

        Args:
            now_s: When the refusal came.
            retry_after_s: The wait that the server named, in seconds, or None.
            longest_pause_s: The longest pause to make if it named none: after that long the
                retry policy asks again.
        """
        if self.sent_s is None:
            return
        with self._gate.lock:
            self._gate.pace.refused(self.sent_s, now_s, retry_after_s, longest_pause_s)
            self._end()
            self._gate.caps["tokens"].take(-self.amounts["tokens"])

    def overloaded(self, now_s: float, retry_after_s: float) -> None:
        """Tell that the server asked to wait for another reason than a limit (503).

        Everybody waits with it, but it teaches nothing about a limit.
        """
        with self._gate.lock:
            self._gate.pace.hold(now_s, retry_after_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Leave the line, or end a request whose fate is not known.

        It counts for a limit of requests, as the server may have counted it, and used no tokens.
        """
        gate = self._gate
        with gate.lock:
            if self in gate.line:
                gate.line.remove(self)
            elif self.sent_s is not None and not self._fate_known:
                gate.pace.withdrawn(self.sent_s)
                self._end()
                gate.caps["tokens"].take(-self.amounts["tokens"])

    def _end(self) -> None:
        self._fate_known = True
        if self.sent_s is not None:
            for unit, amount in self.amounts.items():
                self._gate.headroom[unit].ended(self.sent_s, amount)


_gates: dict[tuple[str, str, int], Gate] = {}
_gates_lock = threading.Lock()


def gate_for(endpoint: str, model: str, key: str, limits: Limits | None = None) -> Gate:
    """Give the gate that all requests share that go to one limit, with the newest limits.

    Servers count by endpoint and model, and by key: who changes to another account need not wait
    for the first one's. The key is not kept.
    """
    with _gates_lock:
        gate = _gates.setdefault((endpoint, model, hash(key)), Gate())
    gate.limit(limits or Limits())
    return gate


def forget() -> None:
    """Forget all gates, and with them what they have learned."""
    with _gates_lock:
        _gates.clear()
