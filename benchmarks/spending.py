"""What the ledger of what was spent costs a prompt, with a million rows in it."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

from benchmarks.table import Line, at_most
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.events import AttemptEnded, Cost, Usage
from openhands_llm_magic.llm.spending import budget, ledger
from openhands_llm_magic.llm.spending.attempt import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openhands_llm_magic.config.resolve import Snapshot

ROWS = 1_000_000

DAYS = 390
"""The rows are of so many days, each with four sessions that ask five models."""

TIMES = 500

LIMITS = {"max_budget_per_task": 1e6, "budget_per_day": 1e6, "budget_per_month": 1e6}


def lines() -> Iterator[Line]:
    """Measure the median of what is done before an attempt, after it and beside its answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        _fill(path)
        with patch.dict(os.environ, {"LLM_MAGIC_LEDGER": str(path)}):
            settings = load_settings()
            plain_ms = _a_prompt_ms(settings)
            limited_ms = _a_prompt_ms(settings.with_overrides(LIMITS))
        ledger.close_all()
    rows = f"the ledger, with {ROWS:,} rows in it,"
    yield at_most(f"{rows} takes of a prompt", plain_ms, 1, "ms")
    yield at_most(f"{rows} and limits of a day and a month take of a prompt", limited_ms, 1, "ms")


def _a_prompt_ms(settings: Snapshot) -> float:
    ended = AttemptEnded(
        1,
        "answered",
        model="openai/gpt-4o",
        host="api.openai.com",
        usage=Usage(700, 500),
        cost=Cost(0.01, "provider"),
        most_usd=0.02,
    )
    took_s = []
    for _ in range(TIMES):
        began_s = time.perf_counter()
        budget.book(settings, ended).ended(ended)
        budget.notes(settings)
        took_s.append(time.perf_counter() - began_s)
    return median(took_s) * 1000


def _fill(path: Path) -> None:
    """Write the rows."""
    written = ledger.Ledger(path)
    today, now_s = date.today(), time.time()  # noqa: DTZ011 - as the ledger has it
    for age in range(DAYS):
        day = str(today - timedelta(age))
        written.add_all(
            [
                Attempt(
                    ended_at_s=now_s - age * ledger.DAY_S,
                    day=day,
                    session=f"{age}-{number % 4}",
                    model=f"openai/model-{number % 5}",
                    input_tokens=700,
                    output_tokens=500,
                    cost_usd=0.01,
                    cost_told_by="provider",
                    counted_usd=0.01,
                )
                for number in range(ROWS // DAYS + 1)
            ]
        )
    written.close()
