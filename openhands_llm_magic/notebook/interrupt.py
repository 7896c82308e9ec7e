"""The kernel's interrupt (SIGINT), so that it ends a request once and never its clean-up."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

UNWINDING_S = 1.0
"""How long a first interrupt may take to arrive at its handler before a second one is heard."""


class Interrupts:
    """Raises `KeyboardInterrupt` for the first interrupt and ignores those during the clean-up.

    A second interrupt within the clean-up would leave a socket open, a partial answer lost or a
    half-updated output. Should the first be swallowed on its way (Python does that within a
    destructor), one that comes `UNWINDING_S` later is heard again.

    Signals arrive on the main thread only; elsewhere this does nothing.

    Args:
        in_kernel: Whether ipykernel runs the cell. It loses its reply to the front end when an
            interrupt arrives between the cell's end and that reply, so after a stop second
            interrupts stay ignored until then; ipykernel itself resets the signal afterwards.
    """

    def __init__(self, *, in_kernel: bool) -> None:
        self._in_kernel = in_kernel
        self._raised_at_s: float | None = None
        self._cleaning = False

    def __enter__(self) -> Self:
        self._on_main_thread = threading.current_thread() is threading.main_thread()
        if self._on_main_thread:
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleaning = False
        stopped = self._raised_at_s is not None
        if self._on_main_thread and not (stopped and self._in_kernel):
            signal.signal(signal.SIGINT, self._previous)

    def clean_up(self) -> None:
        """Ignore interrupts from here on."""
        self._cleaning = True

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        unwinding = self._raised_at_s is not None and now_s - self._raised_at_s < UNWINDING_S
        if not self._cleaning and not unwinding:
            self._raised_at_s = now_s
            raise KeyboardInterrupt
