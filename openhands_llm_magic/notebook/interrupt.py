"""The kernel's interrupt (SIGINT), so that it ends a request once and breaks nothing.

Python raises `KeyboardInterrupt` wherever the main thread happens to be. While LiteLLM or its HTTP
client changes the state of a connection, that leaves the connection open for ever; within our own
code it loses text. So it is raised where the thread waits, and between two events.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from IPython import get_ipython

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType, TracebackType

    T = TypeVar("T")

AGAIN_S = 0.005
"""After how long it is looked again where the main thread is."""

LATEST_S = 0.1
"""How long it may take to come to such a place before it is interrupted wherever it is."""

HELD_S = 1.0
"""The same for code that must not be interrupted."""

UNWINDING_S = 1.0
"""How long an interrupt may take to arrive at its handler before it is raised again."""

LEAVING_S = 0.2
"""How long after a stop the cell's own code may take to notice it before an interrupt is heard."""


class Interrupts:
    """Raises `KeyboardInterrupt` for the first interrupt and ignores those during the clean-up.

    A second interrupt within the clean-up would leave a socket open, a partial answer lost or a
    half-updated output. Should the first be swallowed on its way, it is raised again
    `UNWINDING_S` later.

    Signals arrive on the main thread only; elsewhere this does nothing.

    Args:
        in_kernel: Whether ipykernel runs the cell. It loses its reply to the front end when an
            interrupt arrives between the cell's end and that reply, so after a stop a second
            one is heard only while code of the cell runs, which has caught the `Stopped`;
            ipykernel itself resets the signal afterwards.
    """

    def __init__(self, *, in_kernel: bool) -> None:
        self._in_kernel = in_kernel
        self._came_at_s: float | None = None
        self._raised_at_s: float | None = None
        self._left_at_s: float | None = None
        self._looked: _Look | None = None
        self._latest_s = LATEST_S
        self._cleaning = False
        self._lock = threading.Lock()  # for whoever sends the signal

    def __enter__(self) -> Self:
        self._on_main_thread = threading.current_thread() is threading.main_thread()
        if self._on_main_thread:
            # First of all: one that were raised below would leave the thread behind.
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
            with self._raising_after(HELD_S):
                self._begin_to_watch()
        return self

    def _begin_to_watch(self) -> None:
        heard, self._told = socket.socketpair()
        self._told.setblocking(False)
        _thread.start_new_thread(self._watch, (heard,))
        told = self._told.fileno()
        self._told_before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        if self._came_at_s is not None:  # before that, so that nobody has heard it
            self._told.send(bytes([signal.SIGINT]))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.clean_up()
        self._looked = None
        if self._on_main_thread:
            signal.set_wakeup_fd(self._told_before)
            self._told.close()  # which ends the thread that watches
        if self._raised_at_s is not None and self._in_kernel:
            self._left_at_s = time.monotonic()
        elif self._on_main_thread:
            signal.signal(signal.SIGINT, self._previous)

    def between(self, events: Iterable[T]) -> Iterator[T]:
        """Pass on events; an interrupt that comes while one is dealt with is raised after it."""
        self.check()
        for event in events:
            with self.held():
                yield event
        self.check()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Raise an interrupt that comes within a block at the block's end."""
        with self._raising_after(HELD_S):
            yield
        self.check()

    def at_once(self) -> contextlib.AbstractContextManager[None]:
        """Raise an interrupt anywhere in a block, which computes something and changes nothing."""
        return self._raising_after(0.0)

    def check(self) -> None:
        """Raise an interrupt that has come and has not arrived."""
        if self._came_at_s is not None and not self._cleaning:
            self._raise()

    def clean_up(self) -> None:
        """Ignore interrupts from here on."""
        with self._lock:
            self._cleaning = True

    @contextlib.contextmanager
    def _raising_after(self, latest_s: float) -> Iterator[None]:
        before, self._latest_s = self._latest_s, latest_s
        try:
            yield
        finally:
            self._latest_s = before

    def _interrupt(self, _signal: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._left_at_s is not None:
            if now_s - self._left_at_s >= LEAVING_S and _in_cell(frame):
                raise KeyboardInterrupt
        elif not self._cleaning:
            if self._came_at_s is None:
                self._came_at_s = now_s
            if self._is_time(now_s - self._came_at_s, frame):
                self._raise()

    def _is_time(self, passed_s: float, frame: FrameType | None) -> bool:
        """Tell whether to raise an interrupt `passed_s` after it came."""
        if self._raised_at_s is not None:
            return time.monotonic() - self._raised_at_s >= UNWINDING_S
        before, self._looked = self._looked, _Look.at(frame)
        latest_s = HELD_S if _in_destructor(frame) else self._latest_s
        waits = latest_s < HELD_S and self._looked.waited_since(before)
        return waits or passed_s >= latest_s

    def _raise(self) -> None:
        self._raised_at_s = time.monotonic()
        raise KeyboardInterrupt

    def _watch(self, heard: socket.socket) -> None:
        """Wait for an interrupt, then send it to the main thread again and again, up to clean-up.

        A signal that comes just before the main thread begins to wait does not wake it: Python has
        noted it, and calls the handler only when the wait is over. The socket hears at once.
        """
        with heard:  # to the end, as each signal is written to it
            while signal.SIGINT not in (numbers := heard.recv(100)):
                if not numbers:
                    return
            while not self._cleaning:
                time.sleep(AGAIN_S)
                with self._lock:
                    if not self._cleaning:
                        interrupt_main_thread()
            while heard.recv(100):
                pass


def interrupt_main_thread() -> None:
    """Do what the kernel's interrupt button does."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class _Look:
    """Where the main thread is, when, and for how long it has computed up to then.

    Attributes:
        frame: The function that it executes; kept, so that no later one has the same identity.
        instruction: The instruction in it.
    """

    frame: FrameType | None
    instruction: int
    at_s: float
    computed_s: float

    @classmethod
    def at(cls, frame: FrameType | None) -> _Look:
        """Look now, on that thread."""
        instruction = frame.f_lasti if frame else 0
        return cls(frame, instruction, time.monotonic(), time.thread_time())

    def waited_since(self, before: _Look | None) -> bool:
        """Tell whether the thread has done nothing but wait, since a look before."""
        if before is None or before.frame is not self.frame:
            return False
        computed_s, passed_s = self.computed_s - before.computed_s, self.at_s - before.at_s
        return before.instruction == self.instruction and computed_s < passed_s / 2


def _in_destructor(frame: FrameType | None) -> bool:
    """Tell whether Python would drop what is raised in a frame."""
    return any(each.f_code.co_name == "__del__" for each in _outwards(frame))


def _in_cell(frame: FrameType | None) -> bool:
    """Tell whether a frame belongs to code of a cell, or was called by it."""
    cell_globals = get_ipython().user_global_ns
    return any(each.f_globals is cell_globals for each in _outwards(frame))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    """Give a frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back
