"""Where an answer is shown: the outputs of a cell, updated as often as a browser bears."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from IPython.display import display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.display import DisplayHandle

    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.buttons import Waits
    from openhands_llm_magic.notebook.wording import Bundle

SHORTEST_S = 0.2
"""Seconds between two updates."""

MOST_PER_S = 100_000
"""Bytes that the updates take in a second, headers and all; large ones come less often for it."""

AHEAD_S = 0.5
"""Seconds by which they may be ahead of that, as when a part ends."""

ENVELOPE = 600
"""Bytes of an update beside its data, about: two headers, a signature, the output's id."""


class Place(Protocol):
    """Where an answer is shown, as the bundles of one or more outputs.

    Attributes:
        is_one: Whether all of them are shown again whenever one has changed.
    """

    is_one: bool

    @property
    def is_due(self) -> bool:
        """Whether it is time to show something again."""

    def see(self, event: Event) -> None:
        """Take in an event: a wait may have a button."""

    def tick(self) -> None:
        """Do what is due by the clock."""

    def hurry(self) -> None:
        """Let it be time to show something again."""

    def beside(self, said: str) -> str:
        """Add to a server's words how to end a wait."""

    def marked(self, html: str) -> str:
        """Mark the element below which the buttons stand."""

    def show(self, bundles: Sequence[Bundle]) -> None:
        """Show the outputs as they are now, of which there are never fewer than before."""

    def close(self) -> None:
        """Leave nothing of the buttons."""


class Outputs:
    """The outputs of a cell, with its buttons; they are updated as often as a browser bears.

    Args:
        clock: What the time between two updates goes by.
        waits: Has the buttons of the waits.
    """

    is_one = False

    def __init__(self, clock: Clock, waits: Waits) -> None:
        self._clock = clock
        self._waits = waits
        self._shown: list[tuple[DisplayHandle, Bundle]] = []
        self._next_s = self._paid_s = clock.now()
        self.see, self.beside, self.close = waits.see, waits.words_beside, waits.close
        self.tick = waits.tick

    @property
    def is_due(self) -> bool:
        """Whether it is time for another update."""
        return self._clock.now() >= self._next_s

    def hurry(self) -> None:
        """Let it be time for another update."""
        self._next_s = self._clock.now()

    def marked(self, html: str) -> str:
        """Put HTML into the element by which the buttons find the cell, where there are some."""
        return f'<div class="{self._waits.marker}">{html}</div>' if self._waits.marker else html

    def show(self, bundles: Sequence[Bundle]) -> None:
        """Show the outputs as they are now, those that are new first.

        So text that moves into a new one is there all the time.
        """
        known = len(self._shown)
        size = 0
        for bundle in bundles[known:]:
            self._shown.append((display(bundle, raw=True, display_id=True), bundle))
            size += _size(bundle)
        for number, bundle in enumerate(bundles[:known]):
            handle, before = self._shown[number]
            if bundle != before:
                handle.update(bundle, raw=True)
                self._shown[number] = handle, bundle
                size += _size(bundle)
        self._spend(size)

    def _spend(self, size: int) -> None:
        """Put the next update off by the time that the browser needs for so many bytes."""
        if size:
            now_s = self._clock.now()
            self._paid_s = max(now_s, self._paid_s) + size / MOST_PER_S
            self._next_s = max(now_s + SHORTEST_S, self._paid_s - AHEAD_S)


def _size(bundle: Bundle) -> int:
    """Return how many bytes are sent for an output, about."""
    return ENVELOPE + len(json.dumps(bundle, ensure_ascii=False).encode())
