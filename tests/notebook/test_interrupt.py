"""`Interrupts` on the main thread: when an interrupt is raised, and when it is not."""

from __future__ import annotations

import _thread
import signal
import threading
import time

import pytest

from openhands_llm_magic.notebook import interrupt
from openhands_llm_magic.notebook.interrupt import Interrupts

HANG_S = 30


def press() -> None:
    """Interrupt this thread."""
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interrupts() -> Interrupts:
    """Those of a terminal, which take back what they change."""
    return Interrupts(in_kernel=False)


def test_it_is_raised_between_two_events(interrupts: Interrupts) -> None:
    """The event that is dealt with is dealt with to its end, and the next one is not asked for."""
    done = []

    def deal() -> None:
        for event in interrupts.between(iter("abc")):
            if event == "b":
                press()
            done.append(event)

    with interrupts, pytest.raises(KeyboardInterrupt):
        deal()
    assert done == ["a", "b"]


def test_no_event_is_asked_for_after_it(interrupts: Interrupts) -> None:
    """One that comes before the first event is raised before it."""
    events = iter("abc")
    with interrupts:
        press()
        with pytest.raises(KeyboardInterrupt):
            list(interrupts.between(events))
    assert next(events) == "a"


def test_a_block_holds_it_back(interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while it waits."""
    monkeypatch.setattr(interrupt, "HELD_S", HANG_S)
    done = []

    def deal() -> None:
        with interrupts.held():
            press()
            threading.Event().wait(10 * interrupt.AGAIN_S)
            done.append("waited")

    with interrupts, pytest.raises(KeyboardInterrupt):
        deal()
    assert done == ["waited"]


def test_it_ends_a_wait(interrupts: Interrupts) -> None:
    """A press that was not raised at once is raised where the thread comes to wait."""
    with interrupts:
        press()
        with pytest.raises(KeyboardInterrupt):
            threading.Event().wait(HANG_S)


def test_it_breaks_off_what_may_be_done_over(interrupts: Interrupts) -> None:
    """It is raised there at once."""
    with interrupts, pytest.raises(KeyboardInterrupt), interrupts.at_once():
        press()


def test_one_that_was_swallowed_is_raised_again(
    interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to press again."""
    monkeypatch.setattr(interrupt, "UNWINDING_S", 0.01)
    with interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            press()
        with pytest.raises(KeyboardInterrupt):
            threading.Event().wait(HANG_S)


def test_it_is_not_raised_in_a_destructor(interrupts: Interrupts) -> None:
    """Python would drop it there."""

    class Pressed:
        def __del__(self) -> None:
            press()

    with interrupts:
        with interrupts.at_once():
            Pressed()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_it_disturbs_no_clean_up(interrupts: Interrupts) -> None:
    """From the clean-up on, presses are ignored."""
    with interrupts:
        interrupts.clean_up()
        press()
        interrupts.check()
        assert interrupts._came_at_s is None


def test_one_that_comes_as_it_begins_is_kept(
    interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves no thread behind: it is raised within the block, which ends as ever."""
    set_wakeup_fd = signal.set_wakeup_fd

    def interrupted(number: int, **options: bool) -> int:
        monkeypatch.undo()
        press()
        return set_wakeup_fd(number, **options)

    threads = _thread._count()
    monkeypatch.setattr(signal, "set_wakeup_fd", interrupted)
    with interrupts, pytest.raises(KeyboardInterrupt):
        threading.Event().wait(HANG_S)
    until_s = time.monotonic() + HANG_S
    while _thread._count() > threads:
        assert time.monotonic() < until_s


def test_all_is_as_it_was_afterwards(interrupts: Interrupts) -> None:
    """Python's own handler is back, and is not called for a press of before."""
    before = signal.getsignal(signal.SIGINT)
    with interrupts:
        press()
    threading.Event().wait(10 * interrupt.AGAIN_S)
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
