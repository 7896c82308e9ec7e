"""How long Tab takes on a line of ours, from the question to the kernel's answer."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.table import Line, at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.session import Session

ROUNDS = 50

QUESTIONS = ("%%llm --", "%%llm -m ", "%%llm -m openai/", "%%llm -f ", "%%llm -a ", "%llm_config ")


def lines(session: Session) -> Iterator[Line]:
    """Ask in turn, and take the slowest question's median; the very first time counts apart."""
    first_ms = max(_ms(session, question) for question in QUESTIONS)
    medians_ms = [median(_ms(session, question) for _ in range(ROUNDS)) for question in QUESTIONS]
    note = f"{first_ms:.0f} ms the first time"
    yield at_most("Tab on a line of ours is answered within", max(medians_ms), 20, "ms", note=note)


def _ms(session: Session, question: str) -> float:
    began_s = time.perf_counter()
    assert session.kernel.complete(question)
    return (time.perf_counter() - began_s) * 1000
