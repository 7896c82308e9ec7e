"""A run on a worker thread: its queue of events, its clock, and the switches that cancel it.

The thread that asks, which in a notebook is the main thread, only reads the queue. It never runs
LiteLLM, so an interrupt cannot land within LiteLLM or its HTTP clients and leave a connection open.

Python has no way to break off what a thread is doing. What waits for a time can wait for an event
instead. What waits for a socket returns when the socket is shut down; closing it does not wake the
thread on Linux. LiteLLM and the HTTP clients below it do not give their socket away, least of all
while they connect, but the frames of the thread that waits for it name it. All else (a look-up of
a host's name, an import) cannot be broken off: the thread is left behind, and hung up on as soon as
it has a socket.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import queue
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from openhands_llm_magic.llm.events import ReasoningDelta, TextDelta, ToolCalled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from types import CodeType
    from typing import Self

    from openhands_llm_magic.llm.events import Event

    Emit = Callable[[Any], None]
    T = TypeVar("T")

PIECES = (TextDelta, ReasoningDelta)
"""The events that bring pieces of text, of which there may be many."""

TICK_S = 1.0
"""The longest time between two `Waiting` events, in seconds."""

BATCH_S = 0.01
"""Seconds in which pieces of text gather before the reader is woken for them."""

POLL_S = 0.05
"""Seconds after which a reader looks again by itself. A signal that comes just before the main
thread begins to wait does not wake it, and on Windows none does."""

TIDY_S = 0.5
"""Seconds that a cancelled run may take to end tidily before its reader leaves it behind."""

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
    """The switches of one run. Its thread asks them; any other thread may set them.

    Args:
        asks_anyway: Whether it is sent also where the server has said that a limit of a day is used
            up, as somebody who tests that wants it.
    """

    def __init__(self, *, asks_anyway: bool = False) -> None:
        self.asks_anyway = asks_anyway
        self._wake = threading.Event()
        self._cancelled = False
        self._retry_now = False
        self._lock = threading.Lock()
        self._thread_id: int | None = None
        """The thread that may wait for a socket now."""
        self._off_socket = threading.Event()
        self._overdue = False

    @property
    def overdue(self) -> bool:
        """Whether work was hung up on because its time was over."""
        return self._overdue

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
        """End the wait that the request is in, so that it is sent now."""
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

    def on_socket(self, work: Callable[[], T], within_s: float = math.inf) -> T:
        """Do what may wait for a socket, on which `cancel` hangs up meanwhile.

        Args:
            work: What is done.
            within_s: The seconds after which it is hung up on; each byte of a server that sends one
                now and then ends the wait of the socket's own timeout.

        Raises:
            Cancelled: The run was cancelled before.
        """
        with self._lock:
            self.check()
            self._thread_id = threading.get_ident()
            self._off_socket.clear()
            self._overdue = False
        timer = threading.Timer(min(within_s, threading.TIMEOUT_MAX), self._end_overdue)
        timer.daemon = True
        if within_s < math.inf:
            timer.start()
        try:
            return work()
        finally:
            timer.cancel()
            with self._lock:
                self._thread_id = None
            self._off_socket.set()

    def _end_overdue(self) -> None:
        with self._lock:
            self._overdue = self._thread_id is not None
        self._hang_up()

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
            for found in (held, _attributes(held).get("_sock")):
                if issubclass(type(found), socket.socket):  # `isinstance` asks the object, too
                    return cast("socket.socket", found)
        frame = frame.f_back
    return None


def _attributes(held: object) -> Mapping[str, object]:
    """Return an object's own attributes, without asking it: it may be half made."""
    try:
        own: Mapping[str, object] = object.__getattribute__(held, "__dict__")
    except AttributeError:
        return {}
    return own


class Run:
    """A job on a worker thread, whose events come out of one queue.

    The thread starts with the first `take`. Close the run, or use it in a `with` statement: that
    cancels what still goes on.

    Args:
        job: What the thread does; it is called with the function that takes its events.
        control: The switches that the job asks.
    """

    def __init__(self, job: Callable[[Emit], None], control: Control | None = None) -> None:
        self.control = control or Control()
        self._job = job
        self._events: deque[Any] = deque()
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wake: Callable[[], None] = lambda: self._woken.put(None)
        self._woke_s = 0.0
        self._thread: threading.Thread | None = None
        self._over = False
        self._crash: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether the job is over and all of its events were taken."""
        return self._over and not self._events and self._crash is None

    def start(self, wake: Callable[[], None] | None = None) -> None:
        """Start the thread, unless it was started before.

        Args:
            wake: Called, on any thread, when there is something to take; by default `take` wakes
                up by itself.
        """
        if self._thread is None:
            self._wake = wake or self._wake
            # ipykernel knows by the context which cell an output belongs to.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(
                target=run, args=(self._work,), name="openhands-llm-magic", daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Let `take` return now; a signal handler may call this."""
        self._wake()

    def take(self, timeout_s: float = POLL_S) -> list[Any]:
        """Wait for events, and return all that have come, pieces of text joined.

        Args:
            timeout_s: How long to wait for the first; 0 does not wait.

        Raises:
            Exception: The job failed in a way that no event tells: a mistake in our own code.
        """
        self.start()
        if timeout_s > 0 and not self._over:
            with contextlib.suppress(queue.Empty):
                self._woken.get(timeout=timeout_s)
        while not self._woken.empty():
            with contextlib.suppress(queue.Empty):
                self._woken.get_nowait()
        taken: list[Any] = []
        while self._events:
            event = self._events.popleft()
            if taken and type(event) is type(taken[-1]) and isinstance(event, PIECES):
                event = type(event)(taken.pop().text + event.text)
            taken.append(event)
        if not taken and self._crash is not None:
            crash, self._crash = self._crash, None
            raise crash
        return taken

    def close(self) -> None:
        """Cancel what still goes on, and wait a little until it has ended tidily."""
        if self._thread is None:
            self._over = True
        elif not self._over:
            self.control.cancel()
            self._thread.join(TIDY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Generator[Any]:
        """Yield the events as they come; leaving off cancels the run.

        A function that the model asks for is called here, unless whoever takes the event has run
        or refused it.
        """
        with self:
            while not self.ended:
                for event in self.take():
                    yield event
                    if isinstance(event, ToolCalled):
                        event.call.run()

    def _work(self) -> None:
        try:
            self._job(self._put)
        except BaseException as crash:  # noqa: BLE001 - it is raised where the events are taken
            self._crash = crash
        finally:
            self._over = True
            self._wake()

    def _put(self, event: Event) -> None:
        self._events.append(event)
        now_s = time.monotonic()
        if not isinstance(event, PIECES) or now_s - self._woke_s >= BATCH_S:
            self._woke_s = now_s
            self._wake()


@dataclass(frozen=True, slots=True)
class OfRun:
    """An event of one of several runs, with the run's number."""

    number: int
    event: Any


@dataclass(frozen=True, slots=True)
class Over:
    """One of several runs is over, and all of its events were taken."""


class Controls:
    """The switches of several runs, switched together."""

    def __init__(self, each: Sequence[Control]) -> None:
        self._each = each

    @property
    def cancelled(self) -> bool:
        """Whether all of them were cancelled."""
        return all(control.cancelled for control in self._each)

    def cancel(self) -> None:
        """Cancel all of them; the call returns at once."""
        for control in self._each:
            control.cancel()

    def retry_now(self) -> None:
        """End the waits of those that wait."""
        for control in self._each:
            control.retry_now()


class Runs:
    """Several runs at once, each on its own thread, whose events are read together.

    It is read as a `Run` is. It gives the events of the runs as `OfRun`, the last of each `Over`.

    Args:
        each: The runs; none of them was started.
    """

    def __init__(self, each: Sequence[Run]) -> None:
        self._each = each
        self.control = Controls([run.control for run in each])
        # Not an event: a signal handler may put into this queue whatever its reader is doing.
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._over: set[int] = set()

    @property
    def ended(self) -> bool:
        """Whether all of them are over and their events were taken."""
        return len(self._over) == len(self._each)

    def wake(self) -> None:
        """Let `take` return now; a signal handler may call this."""
        self._woken.put(None)

    def take(self, timeout_s: float = POLL_S) -> list[OfRun]:
        """Wait for events of any of them, and return all that have come.

        Args:
            timeout_s: How long to wait for the first.

        Raises:
            Exception: A job failed in a way that no event tells: a mistake in our own code.
        """
        for run in self._each:
            run.start(self.wake)
        with contextlib.suppress(queue.Empty):
            self._woken.get(timeout=timeout_s)
        while not self._woken.empty():
            with contextlib.suppress(queue.Empty):
                self._woken.get_nowait()
        taken: list[OfRun] = []
        for number, run in enumerate(self._each):
            taken += [OfRun(number, event) for event in run.take(timeout_s=0)]
            if run.ended and number not in self._over:
                self._over.add(number)
                taken.append(OfRun(number, Over()))
        return taken
