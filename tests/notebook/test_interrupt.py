"""`Interrupts` on the main thread: an interrupt is a flag, and cancels a run."""

from __future__ import annotations

import gc
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from openhands_llm_magic.errors import Stopped
from openhands_llm_magic.llm.events import Failed, TextDelta
from openhands_llm_magic.llm.worker import Control, Run
from openhands_llm_magic.notebook import asking
from openhands_llm_magic.notebook.asking import FULL_COLLECTIONS, Interrupts
from openhands_llm_magic.notebook.view.display import FinalView

if TYPE_CHECKING:
    from collections.abc import Callable

HANG_S = 30


def press() -> None:
    """Interrupt this thread."""
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interrupts() -> Interrupts:
    """Those of a terminal, which take back what they change."""
    return Interrupts(in_kernel=False)


def never_ending(control: Control, *, hears: bool = True) -> Run:
    """Begin a run that says "begun", and ends only when it is cancelled, if it hears that."""

    def job(emit: Callable[[Any], None]) -> None:
        emit(TextDelta("begun"))
        while not (hears and control.cancelled):
            time.sleep(0.001)
            if over.is_set():
                return
        emit(TextDelta("held back"))
        emit(Failed(Stopped("by the run")))

    over = threading.Event()
    threading.Timer(HANG_S, over.set).daemon = True
    return Run(job, control)


def watched(interrupts: Interrupts, run: Run, presses: int = 1) -> list[Any]:
    """Watch a run, and interrupt it so many times at its first event."""
    shown: list[Any] = []

    def show(event: object) -> None:
        shown.append(event)
        if len(shown) == 1:
            for _ in range(presses):
                press()

    with interrupts:
        interrupts.watch(run, show, FinalView())
    return shown


def test_an_interrupt_cancels_the_run_which_ends_tidily(interrupts: Interrupts) -> None:
    """The event that is dealt with is dealt with to its end, and none that comes is lost."""
    shown = watched(interrupts, never_ending(Control()))
    assert [event.text for event in shown[:-1]] == ["begun", "held back"]
    assert str(shown[-1].error) == "by the run"


def test_a_run_that_does_not_hear_is_left_behind(
    interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "TIDY_S", 0.1)
    begun, failed = watched(interrupts, never_ending(Control(), hears=False))
    assert begun.text == "begun"
    assert isinstance(failed.error, Stopped)


def test_a_second_interrupt_does_not_wait_for_the_tidy_end(
    interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "TIDY_S", HANG_S)
    began_s = time.monotonic()
    shown = watched(interrupts, never_ending(Control(), hears=False), presses=2)
    assert isinstance(shown[-1].error, Stopped)
    assert time.monotonic() - began_s < HANG_S / 2


def test_one_that_came_before_cancels_the_run_at_once(interrupts: Interrupts) -> None:
    shown: list[Any] = []
    with interrupts:
        press()
        interrupts.watch(never_ending(Control()), shown.append, FinalView())
    assert isinstance(shown[-1].error, Stopped)


def test_the_persons_own_code_is_interrupted_as_python_does_it(interrupts: Interrupts) -> None:
    """At once, and by one that came before, too."""
    with interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.raised():
            press()
        with pytest.raises(KeyboardInterrupt), interrupts.raised():
            pytest.fail("it was not raised")


def test_nothing_is_raised_in_our_own_code(interrupts: Interrupts) -> None:
    with interrupts:
        press()
        press()
    assert interrupts.count == 2


def test_a_mistake_of_ours_is_raised_to_whoever_watches(interrupts: Interrupts) -> None:
    def job(_emit: object) -> None:
        raise ZeroDivisionError

    with interrupts, pytest.raises(ZeroDivisionError):
        interrupts.watch(Run(job), lambda _event: None, FinalView())


def test_all_is_as_it_was_afterwards(interrupts: Interrupts) -> None:
    """Python's own handler is back."""
    before = signal.getsignal(signal.SIGINT)
    with interrupts:
        press()
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_is_left_alone() -> None:
    """Signals arrive on the main thread only."""
    seen = []

    def run() -> None:
        with Interrupts(in_kernel=False):
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("persons", [None, (5, 5, 5)], ids=["as it was", "set meanwhile"])
def test_full_collections_of_garbage_wait(persons: tuple[int, int, int] | None) -> None:
    """With LiteLLM loaded one takes 0.25 s; what the person sets meanwhile stays."""
    before = gc.get_threshold()
    try:
        with Interrupts(in_kernel=False):
            assert gc.get_threshold() == (*before[:2], FULL_COLLECTIONS)
            if persons:
                gc.set_threshold(*persons)
        assert gc.get_threshold() == (persons or before)
    finally:
        gc.set_threshold(*before)
