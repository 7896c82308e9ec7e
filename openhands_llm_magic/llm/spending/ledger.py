"""The ledger: one row for each HTTP request, in an SQLite file in the user's data folder.

Several kernels write to it at once (a write-ahead log lets them), and a row that was written is
there, whatever becomes of the process. Sums by day are kept beside the rows by a trigger, so that
neither a budget nor `%llm_usage` reads a million rows. A ledger that cannot be written costs no
answer: the person is told once, and the rows come into it when it can be written again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections import deque
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.trusted import data_folder
from openhands_llm_magic.errors import LedgerError, Text, reason_of
from openhands_llm_magic.llm.spending.attempt import (
    COLUMNS,
    LOST,
    SESSION,
    Attempt,
    day_of,
    storable,
    values_of,
)
from openhands_llm_magic.llm.spending.sqlite_file import FAILURES, is_busy, opened

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from openhands_llm_magic.config.resolve import Snapshot

FILE_NAME = "ledger.sqlite3"
OFF = "off"

BUSY_S = 5.0
"""Seconds to wait for another kernel's write, which takes thousandths of one."""

STUCK_S = 0.05
"""Seconds to wait after that was in vain: a process that was stopped in the middle of a write holds
up no further prompt."""

DAY_S = 86400
"""Seconds of a day, and the longest that an attempt takes."""

MOST_LATE = 10_000
"""Rows that wait at most for a ledger that cannot be written."""

SUMMED = (
    "gen_ai_usage_input_tokens", "gen_ai_usage_output_tokens",
    "gen_ai_usage_cache_read_input_tokens", "gen_ai_usage_cache_creation_input_tokens",
    "gen_ai_usage_reasoning_output_tokens", "cost_usd", "counted_usd", "took_s", "waited_s",
    "throttled_s",
)  # fmt: skip
"""The columns that are summed up by day."""

KEYS = (
    "day", "session", "notebook", "llm_group", "source", "gen_ai_operation_name",
    "gen_ai_request_model", "server_address", "cost_told_by", "outcome",
)  # fmt: skip
"""The columns by which the sums are kept apart."""

_TYPES = {"str": "TEXT NOT NULL", "str | None": "TEXT", "int": "INTEGER NOT NULL"}
_TYPES |= {"int | None": "INTEGER", "float": "REAL NOT NULL", "float | None": "REAL"}


def _schema() -> str:
    columns = ", ".join(
        f"{COLUMNS[each.name]} {_TYPES[str(each.type)]}"
        for each in fields(Attempt)
        if "since" not in each.metadata
    )
    kept = ", ".join(f"{name} TEXT NOT NULL" for name in KEYS)
    sums = ", ".join(f"{name} REAL NOT NULL" for name in SUMMED)
    new = ", ".join(f"new.{name}" for name in KEYS)
    added = ", ".join(f"ifnull(new.{name}, 0)" for name in SUMMED)
    more = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMMED)
    keys = ", ".join(KEYS)
    return f"""
        CREATE TABLE attempts (id INTEGER PRIMARY KEY, {columns});
        CREATE INDEX attempts_by_time ON attempts (ended_at_s);
        CREATE UNIQUE INDEX attempts_by_source ON attempts (source, source_id)
            WHERE source_id IS NOT NULL;
        CREATE TABLE sums ({kept}, attempts INTEGER NOT NULL, {sums}, PRIMARY KEY ({keys}))
            WITHOUT ROWID;
        CREATE TRIGGER sum_up AFTER INSERT ON attempts BEGIN
            INSERT INTO sums ({keys}, attempts, {", ".join(SUMMED)})
            VALUES ({new}, 1, {added})
            ON CONFLICT DO UPDATE SET attempts = attempts + 1, {more};
        END;
        CREATE TABLE reservations (id INTEGER PRIMARY KEY, session TEXT NOT NULL,
            machine TEXT NOT NULL, pid INTEGER NOT NULL, began_at_s REAL NOT NULL,
            notebook TEXT NOT NULL, model TEXT NOT NULL, most_usd REAL NOT NULL);
    """  # noqa: S608 - names of ours


REFUSED = "(asked_s IS NOT NULL OR refused_s IS NOT NULL OR error_type = 'DailyLimitError')"
"""Which rows tell how long a server refuses; there is an index of them alone."""

MIGRATIONS: tuple[str, ...] = (
    _schema(),
    f"""
        ALTER TABLE attempts ADD COLUMN asked_s REAL;
        ALTER TABLE attempts ADD COLUMN refused_s REAL;
        CREATE INDEX attempts_refused ON attempts (ended_at_s) WHERE {REFUSED};
    """,
)
"""What makes a ledger of each version into one of the next, from an empty file on. How many of them
were done is what `PRAGMA user_version` says."""


class Ledger:
    """One ledger file, and this process's connection to it.

    Attributes:
        path: The file.
        keep_days: The days after which a row is deleted, or None for never.
    """

    def __init__(self, path: Path, keep_days: float | None = None) -> None:
        self.path = path
        self.keep_days = keep_days
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._is_broken = False
        self._busy_s = BUSY_S
        self._forgot: object = None
        self._late: deque[tuple[int | None, Attempt | None]] = deque(maxlen=MOST_LATE)

    def add(self, attempt: Attempt, reservation: int | None = None) -> None:
        """Write the row of an attempt, in place of what was reserved for it.

        Raises:
            LedgerError: It cannot be written; it is with the next that can be.
        """
        self._settle(reservation, attempt)

    def release(self, reservation: int) -> None:
        """Take back what was reserved for an attempt that was not made.

        Raises:
            LedgerError: It cannot be written; it is with the next that can be.
        """
        self._settle(reservation, None)

    def _settle(self, reservation: int | None, attempt: Attempt | None) -> None:
        with self._lock:
            self._late.append((reservation, attempt))
            with self._writing() as connection:
                ended = [(each,) for each, _ in self._late if each is not None]
                connection.executemany("DELETE FROM reservations WHERE id = ?", ended)
                _insert(connection, [each for _, each in self._late if each is not None])
            self._late.clear()

    @property
    def unwritten(self) -> int:
        """How many rows of this process could not be written yet."""
        with self._lock:
            return sum(attempt is not None for _, attempt in self._late)

    def add_all(self, attempts: Sequence[Attempt]) -> int:
        """Write rows, without those that have come from their source before; return how many.

        Raises:
            LedgerError: They cannot be written.
        """
        with self._writing() as connection:
            return _insert(connection, attempts)

    def reserve(self, most_usd: float, model: str, notebook: str) -> int:
        """Keep what an attempt can cost at most, until its row is written or it is released.

        Raises:
            LedgerError: It cannot be written.
        """
        number = secrets.randbits(62)  # a number of another's is never taken again
        by = (SESSION, socket.gethostname(), os.getpid(), time.time())
        values = (number, *by, storable(notebook), storable(model), most_usd)
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO reservations (id, session, machine, pid, began_at_s, notebook, model,"
                " most_usd) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        return number

    def counted_usd(self, first_day: str, last_day: str) -> float:
        """Return what budgets count for some days, with what is reserved by all kernels.

        Args:
            first_day: The first of them, as "2026-11-29".
            last_day: The last of them. A clock that was wrong may have made rows of later ones.

        Raises:
            LedgerError: It cannot be read.
        """
        spent = "SELECT ifnull(sum(counted_usd), 0) FROM sums WHERE day BETWEEN ? AND ?"
        with self._writing() as connection:
            _settle_lost(connection)
            (spent_usd,) = connection.execute(spent, (first_day, last_day)).fetchone()
            reserved = "SELECT ifnull(sum(most_usd), 0) FROM reservations"
            (reserved_usd,) = connection.execute(reserved).fetchone()
        return float(spent_usd + reserved_usd)

    def counted_by_model(self, first_day: str, last_day: str) -> list[tuple[str, float]]:
        """Return what budgets count for each model of some days, the dearest first.

        Raises:
            LedgerError: It cannot be read.
        """
        query = (
            "SELECT gen_ai_request_model, sum(counted_usd) FROM sums WHERE day BETWEEN ? AND ?"
            " GROUP BY 1 ORDER BY 2 DESC"
        )
        return [(model, usd) for model, usd in self.rows(query, (first_day, last_day))]

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let no other thread or kernel write meanwhile: compare and reserve in one step.

        Raises:
            LedgerError: It cannot be written.
        """
        with self._writing():
            yield

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds.

        Raises:
            LedgerError: It cannot be read.
        """
        with self._lock, self._failing_in_words():
            return self._connected().execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection; it opens again at the next use."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._is_broken = None, False

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Let no thread open a connection meanwhile."""
        with self._lock:
            self.close()
            yield

    def forget_late(self) -> None:
        """Leave what could not be written yet to the parent process."""
        self._late.clear()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._failing_in_words():
            connection = self._connected()
            if connection.in_transaction:  # within `exclusively`
                yield connection
                return
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._forget_old(connection)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with contextlib.suppress(*FAILURES):
                        connection.execute("ROLLBACK")
                raise
            self._wait_at_most(BUSY_S)

    @contextlib.contextmanager
    def _failing_in_words(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            self._is_broken = not is_busy(error)
            if not self._is_broken:
                self._wait_at_most(STUCK_S)
            why = reason_of(error)
            told = "the ledger {path} cannot be used: {why}."
            raise LedgerError(Text(told, path=shown_path(self.path), why=why)) from None

    def _wait_at_most(self, busy_s: float) -> None:
        """Say how long the next writes wait for another's."""
        if busy_s != self._busy_s and self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {busy_s * 1000:.0f}")
        self._busy_s = busy_s

    def _connected(self) -> sqlite3.Connection:
        """Return the connection, a new one where the file is no longer the one that it was."""
        connection = self._connection
        if connection is not None and connection.in_transaction:
            return connection
        if connection is None or self._is_broken or self._file != _file_at(self.path):
            self.close()
            connection = self._connection = opened(self.path, MIGRATIONS, self._busy_s)
            self._file = _file_at(self.path)
        return connection

    def _forget_old(self, connection: sqlite3.Connection) -> None:
        """Delete the rows and sums of days that are too long ago, once a day."""
        now_s = time.time()
        if self.keep_days is None or self._forgot == (day_of(now_s), self.keep_days):
            return
        since_s = now_s - self.keep_days * DAY_S
        first_day = day_of(since_s)
        # The index finds them by the time; two days are more than time zones are apart.
        delete = "DELETE FROM attempts WHERE ended_at_s < ? AND day < ?"
        if connection.execute("SELECT 1 FROM sums WHERE day < ? LIMIT 1", (first_day,)).fetchone():
            connection.execute(delete, (since_s + 2 * DAY_S, first_day))
            connection.execute("DELETE FROM sums WHERE day < ?", (first_day,))
        self._forgot = (day_of(now_s), self.keep_days)


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at a path from others, or None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


_INSERT = f"""
    INSERT INTO attempts ({", ".join(COLUMNS.values())}) VALUES ({", ".join("?" * len(COLUMNS))})
    ON CONFLICT (source, source_id) WHERE source_id IS NOT NULL DO NOTHING
"""  # noqa: S608 - names of ours


def _insert(connection: sqlite3.Connection, attempts: Sequence[Attempt]) -> int:
    return max(0, connection.executemany(_INSERT, map(values_of, attempts)).rowcount)


def _settle_lost(connection: sqlite3.Connection) -> None:
    """Count what processes that are gone have reserved, since it may have been spent."""
    found = connection.execute(
        "SELECT id, session, machine, pid, began_at_s, notebook, model, most_usd FROM reservations"
    ).fetchall()
    for number, session, machine, pid, began_at_s, notebook, model, most_usd in found:
        if not _is_lost(session, machine, pid, began_at_s):
            continue
        lost = Attempt(
            ended_at_s=began_at_s,
            day=day_of(began_at_s),
            session=session,
            notebook=notebook,
            model=model,
            outcome=LOST,
            counted_usd=most_usd,
        )
        connection.execute("DELETE FROM reservations WHERE id = ?", (number,))
        _insert(connection, [lost])


def _is_lost(session: str, machine: str, pid: int, began_at_s: float) -> bool:
    """Return whether what was reserved is nobody's any more.

    Of a process of another machine only the time tells; and containers give numbers of processes
    again and again.
    """
    if abs(time.time() - began_at_s) > DAY_S:
        return True
    if machine != socket.gethostname():
        return False
    return session != SESSION if pid == os.getpid() else not _runs(pid)


def _runs(pid: int) -> bool:
    """Return whether a process of this machine is there."""
    if os.name == "nt":  # a signal 0 would end it there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


_ledgers: dict[Path, Ledger] = {}
_ledgers_lock = threading.Lock()


def ledger_of(settings: Snapshot) -> Ledger | None:
    """Return the ledger that settings name, or None where it is off."""
    named = settings.ledger
    if named is not None and named.strip().lower() == OFF:
        return None
    path = absolute(named) if named else data_folder() / FILE_NAME
    with _ledgers_lock:
        ledger = _ledgers.setdefault(path, Ledger(path))
    ledger.keep_days = settings.ledger_days
    return ledger


def close_all() -> None:
    """Close the connections of this process; each opens again at its next use."""
    with _ledgers_lock:
        for ledger in _ledgers.values():
            ledger.close()
        _ledgers.clear()


_fork = contextlib.ExitStack()
"""What is held while the process forks: SQLite takes a parent's locks for those of its child."""


def _before_fork() -> None:
    _fork.enter_context(_ledgers_lock)
    for ledger in _ledgers.values():
        _fork.enter_context(ledger.closed())


def _after_fork_in_child() -> None:
    for ledger in _ledgers.values():
        ledger.forget_late()
    _fork.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_fork.close, after_in_child=_after_fork_in_child
    )
