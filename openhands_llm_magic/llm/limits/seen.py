"""For how long a server has been seen to refuse requests: in this session, and on recent days."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import LedgerError
from openhands_llm_magic.llm.prepare import host_of
from openhands_llm_magic.llm.spending.attempt import COLUMNS, Attempt
from openhands_llm_magic.llm.spending.ledger import DAY_S, REFUSED, ledger_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openhands_llm_magic.config.resolve import Snapshot

RECENT_DAYS = 7
"""What was seen longer ago says little of today's limits."""

LONGEST_S = 600.0
"""A longer wait than this is not to be outlasted by retries: nothing would happen for as long."""

SHORTEST_S = 1.0
"""A shorter one says nothing: any retry outlasts it."""

MOST_REMEMBERED = 500
MOST_READ = 10_000

LIMITED = frozenset({"RateLimitError", "ServerError"})
"""The errors of a server that limits the rate or is busy, which a later request may not meet."""

OF_A_DAY = "DailyLimitError"


@dataclass(frozen=True, slots=True)
class Seen:
    """The longest that was seen of each kind, in seconds; None where there was none.

    Attributes:
        asked_s: What the server asked to wait, or what the limit counts that it named.
        passed_s: What passed from a first refusal until a request was answered.
        refused_s: What passed from a first refusal until one that was the last.
        is_closed: Whether it has also told of a limit that no retry outlasts, such as one of a day.
    """

    asked_s: float | None = None
    passed_s: float | None = None
    refused_s: float | None = None
    is_closed: bool = False

    @property
    def longest_s(self) -> float | None:
        """The longest of them, or None where nothing was seen that retries can outlast."""
        known = [each for each in (self.asked_s, self.passed_s, self.refused_s) if each is not None]
        return max(known, default=None)


def seen_in(attempts: Iterable[Attempt]) -> Seen:
    """Return what attempts tell together."""
    found = Seen()
    for each in attempts:
        if each.error_type == OF_A_DAY or (each.asked_s or 0) > LONGEST_S:
            found = replace(found, is_closed=True)
        elif each.outcome == "answered":
            asked_s = _longer(found.asked_s, each.asked_s)
            found = replace(
                found, asked_s=asked_s, passed_s=_longer(found.passed_s, each.refused_s)
            )
        elif each.error_type in LIMITED:
            asked_s = _longer(found.asked_s, each.asked_s)
            refused_s = _longer(found.refused_s, each.refused_s)
            found = replace(found, asked_s=asked_s, refused_s=refused_s)
    return found


def _longer(one_s: float | None, other_s: float | None) -> float | None:
    """Return the longer of two waits that retries can outlast, if there is one."""
    known = [each for each in (one_s, other_s) if each and SHORTEST_S <= each <= LONGEST_S]
    return max(known, default=None)


_session: deque[Attempt] = deque(maxlen=MOST_REMEMBERED)
_lock = threading.Lock()


def note(attempt: Attempt) -> None:
    """Remember an attempt, if it tells how long the server refuses."""
    told = (attempt.asked_s, attempt.refused_s)
    if attempt.error_type == OF_A_DAY or told != (None, None):
        with _lock:
            _session.append(attempt)


def forget() -> None:
    """Forget what was seen in this session."""
    with _lock:
        _session.clear()


def in_session(settings: Snapshot) -> list[Attempt]:
    """Return those attempts of this session at the settings' server and model."""
    host = _host(settings)
    with _lock:
        return [each for each in _session if (each.model, each.host) == (settings.model, host)]


def on_recent_days(settings: Snapshot, now_s: float | None = None) -> list[Attempt]:
    """Return those that the ledger has of recent days, of all sessions.

    Args:
        settings: They name the ledger, the server and the model.
        now_s: The time in seconds since 1970, or None for now.
    """
    ledger = ledger_of(settings)
    if ledger is None or not ledger.path.exists():  # to look at it makes none
        return []
    names = ("ended_at_s", "day", "outcome", "error_type", "asked_s", "refused_s")
    query = (
        f"SELECT {', '.join(COLUMNS[name] for name in names)} FROM attempts"  # noqa: S608 - names of ours
        f" WHERE {REFUSED} AND ended_at_s > ? AND {COLUMNS['model']} = ? AND {COLUMNS['host']} = ?"
        " ORDER BY ended_at_s DESC LIMIT ?"
    )
    since_s = (time.time() if now_s is None else now_s) - RECENT_DAYS * DAY_S
    rows: list[tuple[object, ...]] = []
    with contextlib.suppress(LedgerError):  # whoever asks for what was spent is told of it
        rows = ledger.rows(query, (since_s, settings.model, _host(settings), MOST_READ))
    return [Attempt(**dict(zip(names, row, strict=True))) for row in rows]  # type: ignore[arg-type]


def seen(settings: Snapshot) -> Seen:
    """Return what is known of the settings' server and model."""
    return seen_in([*in_session(settings), *on_recent_days(settings)])


def _host(settings: Snapshot) -> str:
    return host_of(settings.model, settings.base_url, settings.custom_llm_provider)
