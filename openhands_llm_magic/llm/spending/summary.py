"""What requests have come to in a period: in all, by model, day, notebook, group or outcome.

The ledger's sums by day are read, not its rows, so that a million requests take no second. What a
cost is worth stays apart all the way: what the provider told or a person set, what is from a price
list, and how many requests there are of which nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import SettingError, Text
from openhands_llm_magic.llm.explain import origin_of
from openhands_llm_magic.llm.spending.attempt import LOST, SESSION, day_of
from openhands_llm_magic.llm.spending.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.spending.ledger import Ledger

BY = {
    "model": "gen_ai_request_model",
    "day": "day",
    "notebook": "notebook",
    "group": "llm_group",
    "outcome": "outcome",
    "source": "source",
}
"""What requests can be summed up by, and the column of the ledger for each."""

MOST_DAYS = 36_500
"""Days that a period has at most; there is a date that long ago."""

_EXACT = "cost_told_by IN ('provider', 'by hand')"
_UNPRICED = "cost_told_by IN ('unknown', 'local', 'not charged')"

_SUMS = {
    "attempts": "sum(attempts)",
    **{
        outcome: f"sum(CASE outcome WHEN '{outcome}' THEN attempts ELSE 0 END)"
        for outcome in ("answered", "failed", "stopped", LOST)
    },
    "input_tokens": "sum(gen_ai_usage_input_tokens)",
    "cached_tokens": "sum(gen_ai_usage_cache_read_input_tokens)",
    "output_tokens": "sum(gen_ai_usage_output_tokens)",
    "reasoning_tokens": "sum(gen_ai_usage_reasoning_output_tokens)",
    "exact_usd": f"total(CASE WHEN {_EXACT} THEN cost_usd END)",
    "listed_usd": f"total(CASE WHEN NOT ({_EXACT} OR {_UNPRICED}) THEN cost_usd END)",
    "exact": f"sum(CASE WHEN {_EXACT} THEN attempts ELSE 0 END)",
    "listed": f"sum(CASE WHEN {_EXACT} OR {_UNPRICED} THEN 0 ELSE attempts END)",
    "local": "sum(CASE cost_told_by WHEN 'local' THEN attempts ELSE 0 END)",
    "unknown": "sum(CASE cost_told_by WHEN 'unknown' THEN attempts ELSE 0 END)",
    "counted_usd": "sum(counted_usd)",
    "waited_s": "sum(waited_s + throttled_s)",
}
"""What gives each field of a `Row`, but its key."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which requests are summed up.

    Attributes:
        title: What it is called.
        first_day: Its first day, as "2026-11-29".
        last_day: Its last day. A clock that was wrong may have made rows of later ones.
        session: The process whose requests they are, or "" for all.
    """

    title: Text
    first_day: str = "0000"
    last_day: str = "9999"
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the HTTP requests that have something in common have come to.

    Attributes:
        key: What they have in common: the name of a model, a day, ...
        attempts: How many there are; the next four tell how they ended.
        lost: Those whose process ended before they did.
        input_tokens: Those of the prompts, cached ones included.
        output_tokens: Those of the answers, reasoning included.
        exact_usd: What those have cost whose cost the provider told or a person's price gives.
        listed_usd: What those have cost whose cost is from a price list, and only about right.
        exact: How many have an exact cost.
        listed: How many have one of a list.
        local: How many a server on this machine has answered that tells no price.
        unknown: How many have, or may have, a cost that nobody knows: those that were answered,
            broke off, were stopped or lost. A refused one costs nothing.
        counted_usd: What limits count, which is the most that a cost which is not known can be.
        waited_s: Seconds of waits, for retries and to keep within limits of rates.
    """

    key: str = ""
    attempts: int = 0
    answered: int = 0
    failed: int = 0
    stopped: int = 0
    lost: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    exact_usd: float = 0.0
    listed_usd: float = 0.0
    exact: int = 0
    listed: int = 0
    local: int = 0
    unknown: int = 0
    counted_usd: float = 0.0
    waited_s: float = 0.0

    @property
    def cost_usd(self) -> float | None:
        """What is known of the cost, or None where nothing is."""
        return self.exact_usd + self.listed_usd if self.exact or self.listed else None


_COUNTS = [each.name for each in fields(Row) if each.type == "int"]


def this_session() -> Period:
    """Return what this process has asked for."""
    return Period(Text("this session"), session=SESSION)


def today(now_s: float) -> Period:
    """Return the day of a moment, where the person is."""
    return last_days(1, now_s)


def this_month(now_s: float) -> Period:
    """Return the calendar month of a moment."""
    month = day_of(now_s)[:-2]
    return Period(Text("this month"), f"{month}01", f"{month}31")


def last_days(days: int, now_s: float) -> Period:
    """Return that many days, the one of the moment included; at most `MOST_DAYS`."""
    last = date.fromisoformat(day_of(now_s))
    first = last - timedelta(days=days - 1)
    title = Text("today") if days == 1 else Text("the last {days} days", days=f"{days:,}")
    return Period(title, first.isoformat(), last.isoformat())


def everything() -> Period:
    """Return all that is in the ledger."""
    return Period(Text("all that is in the ledger"))


def ledger_in_use(settings: Snapshot) -> Ledger:
    """Return the ledger that settings name.

    Raises:
        SettingError: It is off.
    """
    ledger = ledger_of(settings)
    if ledger is None:
        told = (
            "nothing is kept of what requests cost: ledger ({place}). Set it to none for the usual"
            " place, or to a file."
        )
        text = Text(told, place=origin_of(settings, "ledger"))
        raise SettingError(text, setting="ledger", origin=settings.origin("ledger").text)
    return ledger


def rows(ledger: Ledger, period: Period, by: str) -> list[Row]:
    """Return what a period has come to by one of `BY`: days in order, else the dearest first.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    order = "1" if by == "day" else "total(cost_usd) DESC, sum(attempts) DESC, 1"
    return _read(ledger, period, BY[by], order)


def total(ledger: Ledger, period: Period) -> Row:
    """Return what a period has come to in all.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    return next(iter(_read(ledger, period, "''", "1")), Row())


def added(some: Sequence[Row]) -> Row:
    """Return the sum of rows, without a key."""
    return Row(**{name: sum(getattr(row, name) for row in some) for name in _SUMS})


def _read(ledger: Ledger, period: Period, key: str, order: str) -> list[Row]:
    if not _is_there(ledger):  # to look at it makes none
        return []
    query = (
        f"SELECT {key}, {', '.join(_SUMS.values())} FROM sums"  # noqa: S608 - names of ours
        f" WHERE day BETWEEN ? AND ? AND ? IN ('', session) GROUP BY 1 ORDER BY {order}"
    )
    found = ledger.rows(query, (period.first_day, period.last_day, period.session))
    return [_row(dict(zip(("key", *_SUMS), values, strict=True))) for values in found]


def _row(values: dict[str, Any]) -> Row:
    whole = {name: int(values[name]) for name in _COUNTS}
    return Row(**{**values, **whole})


def _is_there(ledger: Ledger) -> bool:
    try:
        ledger.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # the ledger says why it cannot be read
    return True
