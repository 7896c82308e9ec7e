"""The kernel's interrupt (SIGINT), so that it ends a request once and never its clean-up."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Self

from IPython import get_ipython

if TYPE_CHECKING:
    from types import FrameType, TracebackType

UNWINDING_S = 1.0
"""How long a first interrupt may take to arrive at its handler before a second one is heard."""

LEAVING_S = 0.2
"""How long after a stop the cell's own code may take to notice it before an interrupt is heard."""


class Interrupts:
    """Raises `KeyboardInterrupt` for the first interrupt and ignores those during the clean-up.

    A second interrupt within the clean-up would leave a socket open, a partial answer lost or a
    half-updated output. Should the first be swallowed on its way (Python does that within a
    destructor), one that comes `UNWINDING_S` later is heard again.

    Signals arrive on the main thread only; elsewhere this does nothing.

    Args:
        in_kernel: Whether ipykernel runs the cell. It loses its reply to the front end when an
            interrupt arrives between the cell's end and that reply, so after a stop a second
            one is heard only while code of the cell runs, which has caught the `Stopped`;
            ipykernel itself resets the signal afterwards.
    """

    def __init__(self, *, in_kernel: bool) -> None:
        self._in_kernel = in_kernel
        self._raised_at_s: float | None = None
        self._left_at_s: float | None = None
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
        if self._raised_at_s is not None and self._in_kernel:
            self._left_at_s = time.monotonic()
        elif self._on_main_thread:
            signal.signal(signal.SIGINT, self._previous)

    def clean_up(self) -> None:
        """Ignore interrupts from here on."""
        self._cleaning = True

    def _interrupt(self, _signal: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._left_at_s is not None:
            heard = now_s - self._left_at_s >= LEAVING_S and _in_cell(frame)
        else:
            unwinding = self._raised_at_s is not None and now_s - self._raised_at_s < UNWINDING_S
            heard = not self._cleaning and not unwinding
        if heard:
            self._raised_at_s = now_s
            raise KeyboardInterrupt


def _in_cell(frame: FrameType | None) -> bool:
    """Tell whether a frame belongs to code of a cell, or was called by it."""
    cell_globals = get_ipython().user_global_ns
    while frame is not None and frame.f_globals is not cell_globals:
        frame = frame.f_back
    return frame is not None
