"""Several runs at once: their events are read together, and one switch is for all."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from openhands_llm_magic.llm.events import TextDelta
from openhands_llm_magic.llm.worker import OfRun, Over, Run, Runs

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 10


def taken(runs: Runs) -> list[OfRun]:
    """Take all events to the end."""
    found: list[OfRun] = []
    until_s = time.monotonic() + PATIENCE_S
    while not runs.ended and time.monotonic() < until_s:
        found += runs.take()
    return found


def saying(*texts: str, first: Callable[[], object] = lambda: None) -> Run:
    """Return a run that says some texts."""

    def job(emit: Callable[[Any], None]) -> None:
        first()
        for text in texts:
            emit(TextDelta(text))

    return Run(job)


def test_each_event_has_the_number_of_its_run() -> None:
    """In order within a run, and an end of each that comes once, after all of its events."""
    found = taken(Runs([saying("a", "b"), saying(), saying("c")]))
    by_run = [[each.event for each in found if each.number == number] for number in range(3)]
    texts = ["".join(it.text for it in events if isinstance(it, TextDelta)) for events in by_run]
    assert texts == ["ab", "", "c"]
    assert [events[-1] for events in by_run] == [Over()] * 3
    assert sum(isinstance(each.event, Over) for each in found) == 3


def test_they_run_at_once() -> None:
    meet = threading.Barrier(8, timeout=PATIENCE_S)
    runs = Runs([saying("met", first=meet.wait) for _ in range(8)])
    assert sum(isinstance(each.event, TextDelta) for each in taken(runs)) == 8


def test_one_switch_cancels_all() -> None:
    runs: list[Run] = []

    def waiting(number: int) -> Callable[[Any], None]:
        def job(emit: Callable[[Any], None]) -> None:
            while not runs[number].control.cancelled:
                time.sleep(0.001)
            emit(TextDelta("heard"))

        return job

    runs += [Run(waiting(number)) for number in range(3)]
    together = Runs(runs)
    assert together.take(0.01) == []
    assert not together.control.cancelled
    together.control.cancel()
    assert together.control.cancelled
    assert sum(isinstance(each.event, TextDelta) for each in taken(together)) == 3


def test_waking_it_ends_a_look_at_once() -> None:
    stop = threading.Event()
    runs = Runs([saying(first=lambda: stop.wait(PATIENCE_S))])
    threading.Timer(0.05, runs.wake).start()
    began_s = time.monotonic()
    assert runs.take(PATIENCE_S) == []
    assert time.monotonic() - began_s < PATIENCE_S / 2
    stop.set()
    taken(runs)


def test_a_mistake_of_ours_is_raised() -> None:
    def job(_emit: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        taken(Runs([Run(job), saying("a")]))
