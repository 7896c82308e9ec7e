"""Rows for a ledger, and what must hold of one."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import KEYS, SUMMED

if TYPE_CHECKING:
    from openhands_llm_magic.llm.spending.ledger import Ledger


def attempt(**values: Any) -> Attempt:
    """Make a row of today."""
    now_s = values.pop("ended_at_s", time.time())
    return Attempt(**{"ended_at_s": now_s, "day": day_of(now_s), "model": "openai/a", **values})


def count_of(ledger: Ledger) -> int:
    """Count the rows."""
    return int(ledger.rows("SELECT count(*) FROM attempts")[0][0])


def require_sums_of_rows(ledger: Ledger) -> None:
    """Fail where the sums by day are not those of the rows."""
    keys, summed = ", ".join(KEYS), ", ".join(f"ifnull(sum({each}), 0)" for each in SUMMED)
    made = ledger.rows(f"SELECT {keys}, count(*), {summed} FROM attempts GROUP BY {keys}")  # noqa: S608 - names of ours
    names = ", ".join(SUMMED)
    kept = ledger.rows(f"SELECT {keys}, attempts, {names} FROM sums ORDER BY {keys}")  # noqa: S608 - see above
    assert [row[: len(KEYS) + 1] for row in made] == [row[: len(KEYS) + 1] for row in kept]
    for one, other in zip(made, kept, strict=True):
        for a, b in zip(one[len(KEYS) :], other[len(KEYS) :], strict=True):
            assert math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
