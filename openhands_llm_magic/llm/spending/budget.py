"""Limits of what is spent: for this session, and for a day and a month over all kernels.

Before an attempt is sent, what was spent and what other attempts may cost meanwhile is compared
with each limit, together with what this one can cost at most; that much is reserved until it is
over. So neither eight prompts at once nor four kernels pass a limit together. What cannot be known,
such as the cost of an attempt that was stopped, counts as the most that it can have been.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from openhands_llm_magic.config.settings import BUDGETS
from openhands_llm_magic.errors import LedgerError, LibraryError, OverBudgetError, Text
from openhands_llm_magic.llm.events import AttemptEnded
from openhands_llm_magic.llm.explain import LIFT, origin_of, usd
from openhands_llm_magic.llm.limits import seen
from openhands_llm_magic.llm.spending import spans
from openhands_llm_magic.llm.spending.attempt import (
    attempt_of,
    day_of,
    gateways,
    here,
    is_free,
    is_uncharged,
)
from openhands_llm_magic.llm.spending.ledger import Ledger, ledger_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.worker import Emit

NOTED_FROM = 0.8
"""The share of a limit from which on the person is told of it."""

SESSION_LIMIT, DAY_LIMIT, MONTH_LIMIT = BUDGETS
SPENT = {
    SESSION_LIMIT: "{spent} of {limit} was spent in this session",
    DAY_LIMIT: "{spent} of {limit} was spent today",
    MONTH_LIMIT: "{spent} of {limit} was spent this month",
}
"""What was spent of each limit, in words; those but the first are over all kernels."""

HELD = "{spent} of {limit} was spent in this session, or may be by requests on their way"
"""The same of the first while others run, as those of a cell's other models do."""


MOST_NAMED = 3
"""Models that are named where a limit is reached."""

NOT_KEPT = (
    "{problem} Until that is mended, what requests cost is not kept; LLM_MAGIC_LEDGER names another"
    " file, or off."
)
"""What is said of a ledger that cannot be written."""


@dataclass(slots=True)
class _Session:
    """What this session has spent and reserved, and what it has been told.

    Attributes:
        lock: Held by who reads and changes the rest.
        spent_usd: US dollars that were spent, by model.
        reserved_usd: What the attempts that run can cost at most.
        problem: Why the last row could not be written to the ledger, or None.
        told: The problems and the limits that the person has been told of.
    """

    lock: threading.RLock = field(default_factory=threading.RLock)
    spent_usd: Counter[str] = field(default_factory=Counter)
    reserved_usd: float = 0.0
    problem: Text | None = None
    told: set[object] = field(default_factory=set)

    @property
    def counted_usd(self) -> float:
        with self.lock:
            return sum(self.spent_usd.values()) + self.reserved_usd


_session = _Session()


def _after_fork_in_child() -> None:
    """Leave to the parent process what its threads have reserved."""
    _session.reserved_usd = 0.0
    _session.lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_session.lock.acquire,
        after_in_parent=_session.lock.release,
        after_in_child=_after_fork_in_child,
    )


@dataclass(slots=True)
class Booking:
    """An attempt that may be sent, and what is reserved for it until it is over.

    Attributes:
        settings: What it is made with.
        most_usd: US dollars that are reserved for it in this session.
        ledger: Where it is written down, or None.
        reservation: What is reserved for it there, or None.
        is_over: Whether nothing is reserved any more.
    """

    settings: Snapshot
    most_usd: float
    ledger: Ledger | None
    reservation: int | None = None
    is_over: bool = False

    def noting(self, emit: Emit) -> Emit:
        """Return a function that passes events on, and first books the end of the attempt."""

        def note(event: Event) -> None:
            if isinstance(event, AttemptEnded):
                self.ended(event)
            emit(event)

        return note

    def ended(self, attempt: AttemptEnded) -> None:
        """Book what the attempt has come to; a ledger that cannot be written costs no answer.

        Where LiteLLM lacks a package there was no request, and nothing to write down.
        """
        if isinstance(attempt.error, LibraryError):
            self.close()
            return
        if attempt.cost.told_by == "provider" and attempt.cost.usd:
            gateways.add((attempt.host, attempt.model))
        counted_usd = self._counted_usd(attempt)
        with _session.lock:
            _session.spent_usd[attempt.model] += counted_usd  # type: ignore[assignment]  # typeshed has whole numbers alone
            self._release_of_session()
        row = attempt_of(attempt, self.settings, counted_usd=counted_usd, ended_at_s=time.time())
        spans.trace(row)
        seen.note(row)
        if self.ledger is not None:
            with _noting_problem():
                self.ledger.add(row, self.reservation)

    def close(self) -> None:
        """Take back what is still reserved: the attempt has not ended as one does."""
        if self.is_over:
            return
        with _session.lock:
            self._release_of_session()
        if self.ledger is not None and self.reservation is not None:
            with _noting_problem():
                self.ledger.release(self.reservation)

    def _release_of_session(self) -> None:
        self.is_over = True
        _session.reserved_usd -= self.most_usd

    def _counted_usd(self, attempt: AttemptEnded) -> float:
        """Return its cost, or what it can have cost at most where that is not known."""
        if is_free(attempt, self.settings):
            return 0.0
        if attempt.cost.usd is not None:
            return attempt.cost.usd
        return 0.0 if is_uncharged(attempt) else self.most_usd


def book(settings: Snapshot, begin: AttemptEnded) -> Booking:
    """Reserve what an attempt can cost, within all limits that are set.

    Args:
        settings: What it is made with.
        begin: What is known of it before it is sent: the model, the host, the most it can cost.

    Raises:
        OverBudgetError: It could pass a limit; nothing is reserved.
    """
    most_usd = 0.0 if is_free(begin, settings) else begin.most_usd
    ledger = ledger_of(settings)
    limits = _limits(settings)
    booking = Booking(settings, most_usd or 0.0, ledger)
    if not limits or most_usd == 0:  # what costs nothing passes no limit
        with _session.lock:
            _session.reserved_usd += booking.most_usd
        return booking
    if most_usd is None:
        raise OverBudgetError(_no_price(settings, begin, next(iter(limits))))
    periods = {name: limit for name, limit in limits.items() if name != SESSION_LIMIT}
    with _session.lock, _exclusively(ledger, settings, next(iter(periods), None)):
        for name, limit_usd in limits.items():
            spent_usd = _spent_usd(name, ledger)
            if spent_usd + most_usd > limit_usd:
                raise OverBudgetError(_over(settings, name, limit_usd, spent_usd, begin))
        if periods and ledger is not None:
            booking.reservation = ledger.reserve(most_usd, begin.model, here.notebook)
        _session.reserved_usd += most_usd
    return booking


def require_room(settings: Snapshot, all_of: Sequence[AttemptEnded]) -> None:
    """Refuse what together could pass a limit, before any of it is sent; nothing is reserved.

    Args:
        settings: They have the limits.
        all_of: What is known of it: the model, the host, the most that all requests there can cost.

    Raises:
        OverBudgetError: It could pass a limit, or that is not known.
    """
    limits, charged = _limits(settings), [each for each in all_of if not is_free(each, settings)]
    most_usd = sum(each.most_usd or 0 for each in charged)
    for each in charged if limits else ():
        if each.most_usd is None:
            raise OverBudgetError(_no_price(settings, each, next(iter(limits))))
    ledger = ledger_of(settings)
    for name, limit_usd in limits.items() if most_usd else ():
        with _exclusively(ledger, settings, None if name == SESSION_LIMIT else name):
            spent_usd = _spent_usd(name, ledger)
        if spent_usd + most_usd > limit_usd:
            together = replace(charged[0], most_usd=most_usd)
            raise OverBudgetError(
                _over(settings, name, limit_usd, spent_usd, together, is_all=True)
            )


@contextlib.contextmanager
def _exclusively(ledger: Ledger | None, settings: Snapshot, name: str | None) -> Iterator[None]:
    """Let no other kernel reserve meanwhile, where a limit over all kernels is set.

    Raises:
        OverBudgetError: The ledger cannot be used, so that the limit cannot hold.
    """
    if name is None:
        yield
        return
    if ledger is None:
        off = Text("the ledger is off ({place}).", place=origin_of(settings, "ledger"))
        raise OverBudgetError(_cannot_hold(settings, name, off))
    try:
        with ledger.exclusively():
            yield
    except LedgerError as error:
        raise OverBudgetError(_cannot_hold(settings, name, error.text)) from None


def notes(settings: Snapshot) -> tuple[Text, ...]:
    """Return what is to be told with an answer, once: a limit that is near, a ledger that fails."""
    found: dict[object, Text] = {}
    with _session.lock:
        if _session.problem is not None:
            found[_session.problem] = Text(NOT_KEPT, problem=_session.problem)
        for name, limit_usd in _limits(settings).items():
            with contextlib.suppress(LedgerError):
                spent_usd = _spent_usd(name, ledger_of(settings))
                if spent_usd >= NOTED_FROM * limit_usd:
                    found[name, limit_usd] = _near(settings, name, limit_usd, spent_usd)
        new = [text for told, text in found.items() if told not in _session.told]
        _session.told.update(found)
    return tuple(new)


def spent_of_limits(settings: Snapshot) -> dict[str, tuple[float, float]]:
    """Return for each limit that is set, by its name, what counts for it, and the limit itself.

    Both are US dollars.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ledger = ledger_of(settings)
    limits = _limits(settings)
    return {name: (_spent_usd(name, ledger), limit_usd) for name, limit_usd in limits.items()}


def forget() -> None:
    """Forget what this session has spent."""
    with _session.lock:
        _session.spent_usd.clear()
        _session.told.clear()
        gateways.clear()
        _session.problem, _session.reserved_usd = None, 0.0


@contextlib.contextmanager
def _noting_problem() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        with _session.lock:
            _session.problem = error.text


def _limits(settings: Snapshot) -> dict[str, float]:
    """Return the limits that are set; 0 stands for no limit, as in OpenHands' own template."""
    return {name: limit for name in SPENT if (limit := getattr(settings, name))}


def _spent_usd(name: str, ledger: Ledger | None) -> float:
    """Return what counts for a limit, with what is reserved.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if name == SESSION_LIMIT or ledger is None:
        return _session.counted_usd
    return ledger.counted_usd(*_days_of(name))


def _days_of(name: str) -> tuple[str, str]:
    """Return the first and the last day that a limit over all kernels is of."""
    today = day_of(time.time())
    month = today[:-2]
    return (today, today) if name == DAY_LIMIT else (f"{month}01", f"{month}31")


def _cannot_hold(settings: Snapshot, name: str, why: Text) -> Text:
    told = "not sent: {limit} ({place}) cannot hold, as {why} Mend that, or {lift}."
    place, lift = origin_of(settings, name), Text(LIFT)
    return Text(told, limit=name, place=place, why=why, lift=lift)


def _no_price(settings: Snapshot, begin: AttemptEnded, limit: str) -> Text:
    told = (
        "not sent: {limit} ({place}) cannot hold, as it is not known what {model} can cost"
        " at most. Set input_cost_per_token, output_cost_per_token and max_output_tokens; or else"
        " {lift}."
    )
    if begin.operation == "embeddings":  # nobody can set their price
        told = (
            "not sent: {limit} ({place}) cannot hold, as LiteLLM's list has no price for"
            " {model}. Take another model for vectors, or {lift}."
        )
    place, lift = origin_of(settings, limit), Text(LIFT)
    return Text(told, limit=limit, place=place, model=begin.model, lift=lift)


def _over(  # noqa: PLR0913 - all of them are told
    settings: Snapshot,
    name: str,
    limit_usd: float,
    spent_usd: float,
    begin: AttemptEnded,
    *,
    is_all: bool = False,
) -> Text:
    told = (
        "not sent: {spent}{on}, and this prompt can cost up to {most}. Set a lower"
        " max_output_tokens, or a higher {limit} ({place}), or {lift}."
    )
    if is_all:
        told = (
            "nothing was sent: {spent}{on}, and all of these requests can cost up to {most}. Set a"
            " lower max_output_tokens, or a higher {limit} ({place}), or {lift}."
        )
    if begin.operation == "embeddings":  # they have no answer
        told = (
            "not sent: {spent}{on}, and these texts can cost up to {most}. Set a higher"
            " {limit} ({place}), or {lift}."
        )
    return Text(
        told,
        spent=_spent(name, spent_usd, limit_usd),
        on=_on(name, ledger_of(settings)),
        most=usd(begin.most_usd or 0),
        limit=name,
        place=origin_of(settings, name),
        lift=Text(LIFT),
    )


def _spent(name: str, spent_usd: float, limit_usd: float) -> Text:
    """Say what counts for a limit."""
    is_held = name == SESSION_LIMIT and _session.reserved_usd > 0
    told = HELD if is_held else SPENT[name]
    return Text(told, spent=usd(spent_usd), limit=usd(limit_usd))


def _on(name: str, ledger: Ledger | None) -> Text | str:
    """Say on which models most was spent of what counts for a limit."""
    spent: Sequence[tuple[str, float]] = _session.spent_usd.most_common()
    if name != SESSION_LIMIT:
        spent = ledger.counted_by_model(*_days_of(name)) if ledger is not None else ()
    dearest = [f"{model} {usd(cost_usd)}" for model, cost_usd in spent[:MOST_NAMED] if cost_usd]
    return Text(" ({models})", models=", ".join(dearest)) if dearest else ""


def _near(settings: Snapshot, name: str, limit_usd: float, spent_usd: float) -> Text:
    told = "{spent} ({limit}, {place})"
    return Text(
        told,
        spent=_spent(name, spent_usd, limit_usd),
        limit=name,
        place=settings.origin(name).text,
    )
