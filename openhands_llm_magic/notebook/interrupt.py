"""The kernel's interrupt (SIGINT), which is a flag while a request of ours runs.

Nothing is raised in our own code, so nothing of an answer, an output or a connection is lost half
way: the main thread reads events, sees the flag, cancels the run and ends the cell. Only the
person's own code (what `str` of a variable does, a validator) is interrupted as Python does it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

from IPython import get_ipython

from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.llm.events import Failed
from openhands_llm_magic.llm.worker import TIDY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

    from openhands_llm_magic.llm.worker import Run
    from openhands_llm_magic.notebook.view.display import View

HURRIED_S = 0.1
"""Seconds that a second interrupt leaves the run for its tidy end, which gives back the text that
it holds: a person who presses twice at once means no more than once."""

LEAVING_S = 0.2
"""How long after a stop the cell's own code may take to notice it before an interrupt is heard."""


class Interrupts:
    """Counts interrupts in place of raising them. Signals arrive on the main thread only.

    Args:
        in_kernel: Whether ipykernel runs the cell. It loses its reply to the front end when an
            interrupt arrives between the cell's end and that reply, so after a stop a second
            one is heard only while code of the cell runs, which has caught the `Stopped`;
            ipykernel itself resets the signal afterwards.

    Attributes:
        count: How many have come.
    """

    def __init__(self, *, in_kernel: bool) -> None:
        self.count = 0
        self._in_kernel = in_kernel
        self._left_at_s: float | None = None
        self._raises = False
        self._wake: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._on_main_thread = threading.current_thread() is threading.main_thread()
        if self._on_main_thread:
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        self._raises = False
        self._left_at_s = time.monotonic()
        if self._on_main_thread and not (self.count and self._in_kernel):
            signal.signal(signal.SIGINT, self._previous)

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Raise `KeyboardInterrupt` in a block, which runs code of the person's.

        Raises:
            KeyboardInterrupt: An interrupt came in the block, or before it.
        """
        self._raises = True
        try:
            if self.count:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def watch(self, run: Run, show: Callable[[Any], None], view: View) -> None:
        """Show the events of a run to its end; the first interrupt cancels it.

        A second one hardly waits for its tidy end. What is shown last is `Failed`, where the run
        was left behind.

        Args:
            run: The run.
            show: Takes each event.
            view: Told that time passes.
        """
        cancelled_at_s: float | None = None
        self._wake = run.wake
        try:
            while not run.ended:
                if self.count or run.control.cancelled:  # the latter by a button
                    if cancelled_at_s is None:
                        cancelled_at_s = time.monotonic()
                        run.control.cancel()
                    patience_s = HURRIED_S if self.count > 1 else TIDY_S
                    if time.monotonic() - cancelled_at_s > patience_s:
                        break
                for event in run.take():
                    show(event)
                view.tick()
        finally:
            self._wake = None
            if not run.ended:  # it is left behind, or a view has failed
                run.control.cancel()
        if not run.ended:
            show(Failed(Stopped("stopped.")))

    def _interrupt(self, _signal: int, frame: FrameType | None) -> None:
        if self._left_at_s is not None:
            if time.monotonic() - self._left_at_s >= LEAVING_S and _in_cell(frame):
                raise KeyboardInterrupt
            return
        self.count += 1
        if self._raises:
            raise KeyboardInterrupt
        if self._wake is not None:
            self._wake()


def _in_cell(frame: FrameType | None) -> bool:
    """Tell whether a frame belongs to code of a cell, or was called by it."""
    cell_globals = get_ipython().user_global_ns
    while frame is not None:
        if frame.f_globals is cell_globals:
            return True
        frame = frame.f_back
    return False
