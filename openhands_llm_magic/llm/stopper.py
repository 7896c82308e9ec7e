"""Stopping, from another thread, work that blocks.

Python has no way to break off what a thread is doing. What waits for a time can wait for an event
instead. What waits for a socket returns when the socket is shut down; closing it does not wake the
thread on Linux. LiteLLM and the HTTP clients below it do not give their socket away, least of all
while they connect, but the frames of the thread that waits for it name it. All else (a look-up of
a host's name, an import) is done on a thread that is left behind.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.llm.retry import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from openhands_llm_magic.llm.retry import Clock

    T = TypeVar("T")

AGAIN_S = 0.05
"""Seconds between two looks: whether there is a socket now, or whether it was stopped."""


class Stopper:
    """Does what one thread asks for, until another thread calls `stop`. It is a `Clock`, too.

    Args:
        clock: Measures and makes the waits.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread_id: int | None = None
        """The thread that may wait for a socket now."""

    def stop(self) -> None:
        """End what goes on, soon, and refuse what would come next; returns at once."""
        self._stopped.set()
        threading.Thread(target=self._hang_up, name="hang up", daemon=True).start()

    def check(self) -> None:
        """Return, unless it was stopped.

        Raises:
            Stopped: It was.
        """
        if self._stopped.is_set():
            raise Stopped("stopped before the answer was complete.")

    def now(self) -> float:
        """Seconds on the clock."""
        return self._clock.now()

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass, or fewer when it is stopped."""
        if self._clock is SYSTEM_CLOCK:
            self._stopped.wait(duration_s)
        else:  # time passes as the clock will have it, not as an event can be waited for
            self._clock.sleep(duration_s)

    def on_socket(self, work: Callable[[], T]) -> T:
        """Do what may wait for a socket; a stop hangs up.

        Raises:
            Stopped: It was stopped before or meanwhile.
        """
        with self._lock:
            self.check()
            self._thread_id = threading.get_ident()
        try:
            result = work()
        finally:
            with self._lock:
                self._thread_id = None
        self.check()
        return result

    def apart(self, work: Callable[[], object]) -> None:
        """Do what nothing can break off on a thread of its own, which a stop leaves behind.

        Raises:
            Stopped: It was stopped meanwhile.
            Exception: Whatever the work raises.
        """
        raised: list[Exception] = []

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is raised below
                raised.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        while thread.is_alive() and not self._stopped.is_set():
            thread.join(AGAIN_S)
        self.check()
        if raised:
            raise raised.pop()

    def _hang_up(self) -> None:
        """Shut down the socket, and any that comes after it, until the work is over."""
        while True:
            with self._lock:
                if self._thread_id is None:
                    return
                found = _socket_awaited(self._thread_id, Stopper.on_socket.__code__)
                if found is not None:
                    with contextlib.suppress(OSError):  # it is not connected, or closed by now
                        # Not the method of an SSLSocket, which takes the TLS away from its reader.
                        socket.socket.shutdown(found, socket.SHUT_RDWR)
            time.sleep(AGAIN_S)


def _socket_awaited(thread_id: int, outermost: CodeType) -> socket.socket | None:
    """Find the socket that a thread uses, in its innermost frames, as far as a function of ours.

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
