"""A run's clock, and what other threads can do to it: cancel it, or end the wait that it is in.

Python has no way to break off what a thread is doing. What waits for a time can wait for an event
instead. What waits for a socket returns when the socket is shut down; closing it does not wake the
thread on Linux. LiteLLM and the HTTP clients below it do not give their socket away, least of all
while they connect, but the frames of the thread that waits for it name it. All else (a look-up of
a host's name, an import) cannot be broken off: the thread is left behind, and hung up on as soon as
it has a socket.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    T = TypeVar("T")

AGAIN_S = 0.002
"""Seconds between two looks whether there is a socket to hang up by now."""


class Clock(Protocol):
    """Time as a run sees it; tests pass in one of their own."""

    def now(self) -> float:
        """Return the seconds on a clock that never goes back."""

    def wait(self, wake: threading.Event, duration_s: float) -> None:
        """Wait for so many seconds of the clock, or until `wake` is set."""


class SystemClock:
    """The machine's clock that is never set, and goes on while a laptop sleeps, as servers' do.

    On Linux and macOS `time.monotonic` stops then.
    """

    @staticmethod
    def now() -> float:
        """Return the seconds since the machine was started, or since another moment in the past."""
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        if sys.platform == "darwin":
            return time.clock_gettime(time.CLOCK_MONOTONIC)
        return time.monotonic()

    @staticmethod
    def wait(wake: threading.Event, duration_s: float) -> None:
        """Wait for so many seconds of the clock, or until `wake` is set."""
        wake.wait(duration_s)


SYSTEM_CLOCK = SystemClock()


class Cancelled(Exception):  # noqa: N818 - it is not an error: somebody asked for it
    """The request was cancelled; raised on the thread that runs it."""


class Control:
    """The switches of one run. Its thread asks them; any other thread may set them."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._cancelled = False
        self._retry_now = False
        self._lock = threading.Lock()
        self._thread_id: int | None = None
        """The thread that may wait for a socket now."""
        self._off_socket = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled."""
        return self._cancelled

    @property
    def retrying_now(self) -> bool:
        """Whether `retry_now` has ended the run's current wait."""
        return self._retry_now

    def cancel(self) -> None:
        """End what goes on, soon, and refuse what would come next; the call returns at once."""
        with self._lock:
            was, self._cancelled = self._cancelled, True
            self._wake.set()
        if not was:
            threading.Thread(target=self._hang_up, name="hang up", daemon=True).start()

    def retry_now(self) -> None:
        """Send the request now, if it waits."""
        with self._lock:
            self._retry_now = True
            self._wake.set()

    def begin_wait(self) -> None:
        """Forget a `retry_now` that came too late for the wait before."""
        with self._lock:
            self._retry_now = False
            if not self._cancelled:
                self._wake.clear()

    def check(self) -> None:
        """Return, unless the run was cancelled.

        Raises:
            Cancelled: It was.
        """
        if self._cancelled:
            raise Cancelled

    def sleep(self, clock: Clock, duration_s: float) -> None:
        """Let some seconds pass on a clock, or fewer when somebody ends the wait.

        Raises:
            Cancelled: The run was cancelled.
        """
        clock.wait(self._wake, duration_s)
        self.check()

    def on_socket(self, work: Callable[[], T]) -> T:
        """Do what may wait for a socket, on which `cancel` hangs up meanwhile.

        Raises:
            Cancelled: The run was cancelled before.
        """
        with self._lock:
            self.check()
            self._thread_id = threading.get_ident()
            self._off_socket.clear()
        try:
            return work()
        finally:
            with self._lock:
                self._thread_id = None
            self._off_socket.set()

    def _hang_up(self) -> None:
        """Shut down the socket, and any that comes after it, until the work is over."""
        while True:
            with self._lock:
                if self._thread_id is None:
                    return
                found = _socket_awaited(self._thread_id, Control.on_socket.__code__)
                if found is not None:
                    with contextlib.suppress(OSError):  # it is not connected, or closed by now
                        # Not the method of an SSLSocket, which takes the TLS away from its reader.
                        socket.socket.shutdown(found, socket.SHUT_RDWR)
            self._off_socket.wait(AGAIN_S)


def _socket_awaited(thread_id: int, outermost: CodeType) -> socket.socket | None:
    """Find the socket that a thread uses, in its frames from the innermost one outwards.

    It is `sock` in Python's own `create_connection`, and `self` or `self._sock` in the methods of
    Python's sockets, of httpcore's streams and of the files of `http.client`.
    """
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented, for debuggers
    while frame is not None and frame.f_code is not outermost:
        for name in ("sock", "self"):
            held = frame.f_locals.get(name)
            for found in (held, getattr(held, "__dict__", {}).get("_sock")):
                if isinstance(found, socket.socket):
                    return found
        frame = frame.f_back
    return None
