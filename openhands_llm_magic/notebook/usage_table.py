"""What requests have come to, as tables for a cell, a terminal and the panel."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text, on_one_line
from openhands_llm_magic.llm.explain import origin_of, usd
from openhands_llm_magic.llm.spending import budget, summary
from openhands_llm_magic.notebook.view import table
from openhands_llm_magic.notebook.wording import NOTED_FROM_S, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.spending.ledger import Ledger
    from openhands_llm_magic.llm.spending.summary import Period, Row

MOST_ROWS = 50
"""Rows that are shown at once."""

LONGEST_KEY = 60
"""Characters of a name that are shown."""

DEFAULT_BY = "model"

BY = {
    "model": Text("by model"),
    "day": Text("by day"),
    "notebook": Text("by notebook"),
    "group": Text("by group of settings"),
    "outcome": Text("by outcome"),
    "source": Text("by source"),
}
"""What is said of each way to sum up."""

HEADINGS = {
    "model": Text("model"),
    "day": Text("date"),
    "notebook": Text("notebook"),
    "group": Text("group"),
    "outcome": Text("outcome"),
    "source": Text("source"),
    "period": Text("period"),
}
"""What stands above the keys of the rows."""

NO_KEY = {
    "group": Text("no group"),
    "notebook": Text("not known"),
    "source": Text("this package"),
}
"""What is said of an empty key; of others it is a dash."""

OUTCOMES = {
    "answered": Text("answered"),
    "failed": Text("failed"),
    "stopped": Text("stopped"),
    "lost": Text("lost"),
}
"""What is said of each outcome."""

OF_UNKNOWN_COST = (
    "Of unknown cost are answers for which there is no price, and requests that were stopped or"
    " broke off; limits count the most that each can have cost."
)
UNWRITTEN = "Requests that could not be written to the ledger yet, and are in no sum here: {count}."
BY_LIST = "“About” is by LiteLLM's price list; the provider told no cost."

LIMIT_OF = dict(zip(budget.SPENT, ("session", "today", "month"), strict=True))
"""The period that each limit is of."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A table with its title and the lines below it, in the words of a place.

    Attributes:
        title: What stands above it.
        columns: The cells of each column, by its heading; the first tells what a row is about.
        notes: The lines below it.
    """

    title: str
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def text(self) -> str:
        """All of it as text."""
        rows = [table.as_text(*self._table)] if self.columns else []
        return "\n".join([self.title, *rows, *self.notes])

    @property
    def html(self) -> str:
        """All of it as HTML."""
        rows = table.as_html(*self._table) if self.columns else ""
        below = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<p>{html.escape(self.title)}</p>{rows}{below}"

    @property
    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], str]:
        rows = [*zip(*self.columns.values(), strict=True)]
        return [*self.columns], rows, "l" + "r" * (len(self.columns) - 1)


def summed(found: Sequence[Row], period: Period, by: str, say: Say) -> Shown:
    """Return the table of a period's rows, with their sum."""
    if not found:
        return Shown(nothing_in(period).worded(say))
    title = Text("{period}, {by}", period=period.title, by=BY[by])
    lines = [(key_words(row.key, by, say), row) for row in found[:MOST_ROWS]]
    if rest := found[MOST_ROWS:]:
        lines.append((say("{count} more", count=f"{len(rest):,}"), summary.added(rest)))
    if len(found) > 1:
        lines.append((say("in all"), summary.added(found)))
    keys, rows = zip(*lines, strict=True)
    columns = {HEADINGS[by].worded(say): keys, **_columns(rows, say)}
    return Shown(title.worded(say), columns, _notes(found, say))


def nothing_in(period: Period) -> Text:
    """Return what is said of a period without requests."""
    return Text("The ledger has no request for this period: {period}.", period=period.title)


def overview(
    settings: Snapshot, ledger: Ledger, now_s: float, say: Say, *, session: bool = True
) -> list[Shown]:
    """Return what the session, the day and the month have come to, and the models of the first.

    Args:
        settings: They name the limits.
        ledger: What is read.
        now_s: The moment, in seconds since 1970.
        say: The words of the place where it is shown.
        session: Whether this process is a session, which may have asked for something.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    periods = {"today": summary.today(now_s), "month": summary.this_month(now_s)}
    if session:
        periods = {"session": summary.this_session(), **periods}
    totals = {name: summary.total(ledger, period) for name, period in periods.items()}
    columns = {
        HEADINGS["period"].worded(say): [each.title.worded(say) for each in periods.values()],
        **_columns(totals.values(), say),
    }
    spent = budget.spent_of_limits(settings)
    limits = {LIMIT_OF[name]: name for name in spent if LIMIT_OF[name] in periods}
    if limits:
        columns[say("spent of the limit")] = [
            _limit_words(*spent[limits[name]], say) if name in limits else "" for name in periods
        ]
    notes = [f"{name}: {origin_of(settings, name).worded(say)}" for name in limits.values()]
    first = next((periods[name] for name, row in totals.items() if row.attempts), None)
    if first is None:
        notes.append(nothing_in(periods["month"]).worded(say))
    if count := ledger.unwritten:  # a sum without them is no sum of what was spent
        notes.append(say(UNWRITTEN, count=f"{count:,}"))
    made = [Shown(say("What requests have cost"), columns, notes)]
    if first is not None:
        made.append(summed(summary.rows(ledger, first, "model"), first, "model", say))
    return made


def _columns(rows: Iterable[Row], say: Say) -> dict[str, Sequence[str]]:
    """Return the columns of rows by their headings; one in which nothing stands is left out."""
    rows = [*rows]
    columns: dict[str, Sequence[str]] = {
        say("requests"): [f"{row.attempts:,}" for row in rows],
        **_column(say("failed"), [row.failed for row in rows]),
        **_column(say("stopped"), [row.stopped + row.lost for row in rows]),
        say("tokens in"): [_tokens_words(row, row.input_tokens, say) for row in rows],
        **_column(say("cached"), [row.cached_tokens for row in rows]),
        say("tokens out"): [_tokens_words(row, row.output_tokens, say) for row in rows],
        **_column(say("reasoning"), [row.reasoning_tokens for row in rows]),
    }
    if any(row.waited_s >= NOTED_FROM_S for row in rows):
        columns[say("waited")] = [seconds(row.waited_s, say) for row in rows]
    columns[say("cost")] = [cost_words(row, say) for row in rows]
    return columns


def _tokens_words(row: Row, count: int, say: Say) -> str:
    """Write a number of tokens; an answer takes some, so that none at all were not counted."""
    is_counted = row.input_tokens or row.output_tokens or not row.answered
    return f"{count:,}" if is_counted else say("not counted")


def _column(heading: str, counts: Sequence[int]) -> dict[str, list[str]]:
    return {heading: [f"{count:,}" for count in counts]} if any(counts) else {}


def key_words(key: str, by: str, say: Say) -> str:
    """Write what a row is about, on one line; of a path the end tells more than the beginning."""
    if not key:
        return NO_KEY[by].worded(say) if by in NO_KEY else "-"
    if by == "outcome" and key in OUTCOMES:
        return OUTCOMES[key].worded(say)
    if by == "notebook":
        path = shown_path(Path(key))
        return path if len(path) <= LONGEST_KEY else f"…{path[1 - LONGEST_KEY :]}"
    return shorten(on_one_line(key), LONGEST_KEY)


def cost_words(row: Row, say: Say) -> str:
    """Write what requests have cost, as "about $1.23 and 4 of unknown cost".

    What is not known is never told as nothing, and a server on this machine tells no price. What
    was refused, or never sent, has cost nothing.
    """
    said = []
    if row.cost_usd is not None:
        amount = usd(row.cost_usd)
        said.append(say("about {usd}", usd=amount) if row.listed else amount)
    if row.unknown:
        said.append(say("{count} of unknown cost", count=f"{row.unknown:,}"))
    if not said:
        return say("local") if row.local else usd(0)
    return say(" and ").join(said)


def _limit_words(spent_usd: float, limit_usd: float, say: Say) -> str:
    share = f"{100 * spent_usd / limit_usd:,.0f}"
    told = "{spent} of {limit} ({share} %)"
    return say(told, spent=usd(spent_usd), limit=usd(limit_usd), share=share)


def _notes(rows: Sequence[Row], say: Say) -> list[str]:
    """Say what the words for costs stand for, where they occur."""
    notes = []
    if any(row.listed for row in rows):
        notes.append(say(BY_LIST))
    if any(row.unknown for row in rows):
        notes.append(say(OF_UNKNOWN_COST))
    return notes
