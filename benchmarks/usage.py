"""How long `%llm_usage` takes over a million requests."""

from __future__ import annotations

import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.table import Line, at_most
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.spending import summary
from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import Ledger
from openhands_llm_magic.notebook import usage_table
from openhands_llm_magic.notebook.language import Language

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUESTS = 1_000_000
DAYS = 400
"""As many as a ledger keeps unless it is told otherwise."""

SESSIONS_A_DAY = 20
MODELS = 6
TIMES = 7
AT_ONCE = 50_000


def lines() -> Iterator[Line]:
    """Measure the median of what is read and made into tables, with and without options."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        kept = Ledger(path)
        now_s = time.time()
        attempts = _attempts(now_s)
        while some := [*islice(attempts, AT_ONCE)]:
            kept.add_all(some)
        kept.close()
        settings = load_settings(env={"LLM_MAGIC_LEDGER": str(path)})
        in_use, say = summary.ledger_in_use(settings), Language("en")
        what = f"%llm_usage over {REQUESTS:,} requests of {DAYS} days takes"

        def overview() -> None:
            in_use.close()  # the first look opens it
            for shown in usage_table.overview(settings, in_use, now_s, say):
                assert shown.html

        yield at_most(what, _median_s(overview), 0.5, "s")
        for by in ("model", "day", "notebook"):

            def everything(by: str = by) -> None:
                period = summary.everything()
                found = summary.rows(in_use, period, by)
                assert sum(row.attempts for row in found) == REQUESTS
                assert usage_table.summed(found, period, by, say).html

            yield at_most(f"%llm_usage --all --by {by} takes", _median_s(everything), 0.5, "s")
        in_use.close()


def _attempts(now_s: float) -> Iterator[Attempt]:
    """Make requests of some notebooks each day, with what can differ between two of them."""
    for number in range(REQUESTS):
        day_number = number * DAYS // REQUESTS
        ended_at_s = now_s - (DAYS - 1 - day_number) * 86_400
        session = f"{day_number}-{number % SESSIONS_A_DAY}"
        outcome = "answered" if number % 10 else "failed"
        yield Attempt(
            ended_at_s=ended_at_s,
            day=day_of(ended_at_s),
            session=session,
            notebook=f"/home/person/project/notebook-{number % SESSIONS_A_DAY}.ipynb",
            model=f"openai/model-{number % MODELS}",
            host="api.openai.com",
            input_tokens=1_000,
            output_tokens=100,
            outcome=outcome,
            cost_usd=0.001 if outcome == "answered" else None,
            cost_told_by="price list" if outcome == "answered" else "unknown",
        )


def _median_s(run: Callable[[], None]) -> float:
    took_s = []
    for _ in range(TIMES):
        began_s = time.perf_counter()
        run()
        took_s.append(time.perf_counter() - began_s)
    return median(took_s)
