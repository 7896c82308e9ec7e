"""How soon an interrupt ends a cell: from the interrupt to the kernel's being idle again."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.table import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.session import Session

TIMES = 20
LIMIT_S = 0.2

WHEN = {
    "busy": ("in a wait for a retry", "retry 1 of 4", 0.05),
    "silent": ("before a silent server's answer", "asking", 0.05),
    "long": ("in a stream of text", "retry works", 0.1),
    "page": ("while 90 kB are rendered", "asking", 0.005),
}
"""For each model: when it is interrupted, the text that tells so, and the steps in seconds in
which the interrupt comes later and later."""


def lines(session: Session) -> Iterator[Line]:
    """Interrupt `TIMES` cells in each state."""
    session.kernel.run("import os; os.environ['LLM_MAGIC_DISPLAY'] = 'live'")
    for model, (state, sign, step_s) in WHEN.items():
        took_s = [
            # Each time as another model, so that none is held back for the one before.
            _stopped_s(session, f"{model}-{number}", sign, number * step_s)
            for number in range(1, TIMES + 1)
        ]
        measured = f"{median(took_s) * 1000:.0f} ms, the longest {max(took_s) * 1000:.0f} ms"
        limit = f"{LIMIT_S * 1000:.0f} ms"
        what = f"an interrupt {state} ends the cell within"
        yield Line(what, measured, limit, met=max(took_s) <= LIMIT_S)


def _stopped_s(session: Session, model: str, sign: str, delay_s: float) -> float:
    """Interrupt a cell some time after its output showed a sign; give the seconds it took then."""
    at_s: list[float] = []

    def interrupt(message: dict[str, Any]) -> None:
        if not at_s and sign in str(message["content"].get("data", "")):
            time.sleep(delay_s)
            at_s.append(time.monotonic())
            session.kernel.interrupt()

    ran = session.kernel.run(
        f"%%llm -m openai/{model} --base-url {session.base_url}\nHi", on_message=interrupt
    )
    assert ran.error is not None
    assert ran.error.startswith("Stopped"), ran.error
    return ran.times_s[-1] - at_s[0]
