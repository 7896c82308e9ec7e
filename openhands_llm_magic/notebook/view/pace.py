"""How often an answer that is still arriving is shown, and how much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openhands_llm_magic.llm.retry import Clock

GIVEN = 40_000
"""Bytes that the updates of every answer may take, however short it is."""

SHARE = 1.4
"""Bytes that they may take beyond that for each byte of the answer."""

SLOW_PER_S = 400
"""Bytes per second: an answer that arrives more slowly may take as much as if it did not."""

SPENT_IN_S = 8.0
"""Seconds in which they would spend what is left, were there no more to come."""

SHORTEST_S, LONGEST_S = 0.2, 2.0
"""Seconds between two updates."""

WHOLE = 6_000
"""Characters of an answer up to which all of it is shown, if that can be done in time."""

TAIL = 2_000
"""Characters of a longer one that are shown at most: its end."""

LEAST = 100
"""Characters that are shown at least."""

ENVELOPE = 600
"""Bytes of an update beside its data, about: two headers, a signature, the output's id."""

_FRAME = ENVELOPE + 100
"""Bytes of an update beside what grows with the text."""


class Pace:
    """A budget for the live updates of one answer, in bytes as they are sent, headers and all.

    Each update is sent whole and rendered anew by the browser. So they may take `GIVEN` bytes, and
    `SHARE` for each byte that has arrived: 2.2 times an answer of 50 kB, less of a longer one, more
    of a short one. What is left of that is spent at a rate of so much in `SPENT_IN_S`, and never
    faster than `GIVEN`. The rate decides how much is shown, and how soon the next update comes: the
    whole answer while that can be done every `LONGEST_S`, and then its end.

    Below `SLOW_PER_S` the updates may take more than 2.2 times the answer: the text moves on every
    two seconds all the same, as people read along.

    Args:
        clock: Tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = self._next_s = clock.now()
        self._sent = 0
        self._per_character = 1.0

    @property
    def left_s(self) -> float:
        """Seconds until the next update; it is time if none are left."""
        return self._next_s - self._clock.now()

    def pause(self, duration_s: float) -> None:
        """Let the next update come so much later than now."""
        self._next_s = self._clock.now() + duration_s

    def room(self, length: int, size: int) -> int:
        """Tell how many characters from its end to show of an answer.

        Args:
            length: The characters that have arrived.
            size: Their bytes.
        """
        affordable = (self._bytes_per_s(size) * LONGEST_S - _FRAME) / self._per_character
        if length <= min(WHOLE, affordable):
            return length
        return min(length, TAIL, max(LEAST, round(affordable)))

    def spend(self, data: int, characters: int, size: int) -> None:
        """Note that an update was sent.

        Args:
            data: The bytes of its data.
            characters: The characters that it showed.
            size: The bytes of the answer so far.
        """
        cost = ENVELOPE + data
        self._sent += cost
        self._per_character = max(1.0, (cost - _FRAME) / max(1, characters))
        self.pause(min(max(SHORTEST_S, cost / self._bytes_per_s(size)), LONGEST_S))

    def _bytes_per_s(self, size: int) -> float:
        arrived = max(size, SLOW_PER_S * (self._clock.now() - self._began_s))
        left = GIVEN + SHARE * arrived - self._sent
        return max(1.0, min(left, GIVEN) / SPENT_IN_S)
