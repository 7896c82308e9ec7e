"""The ledger: one row for each HTTP request, in an SQLite file in the user's data folder.

Several kernels write to it at once (a write-ahead log lets them), and a row that was written is
there, whatever becomes of the process. Sums by day are kept beside the rows by a trigger, so that
neither a budget nor `%llm_usage` reads a million rows. A ledger that cannot be written costs no
answer: the person is told once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import files
from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.trusted import data_folder
from openhands_llm_magic.errors import LedgerError, Text, reason_of
from openhands_llm_magic.llm.spending.attempt import COLUMNS, LOST, SESSION, Attempt, day_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from openhands_llm_magic.config.resolve import Snapshot

FILE_NAME = "ledger.sqlite3"
OFF = "off"

VERSION = 1
"""What `PRAGMA user_version` says of a ledger as it is written now; see `_MIGRATIONS`."""

BUSY_S = 5.0
"""Seconds to wait for another kernel's write, which takes thousandths of one."""

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
        f"{COLUMNS[each.name]} {_TYPES[str(each.type)]}" for each in fields(Attempt)
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


_MIGRATIONS: tuple[str, ...] = (_schema(),)
"""What makes a ledger of each version into one of the next, from an empty file on."""


class Ledger:
    """One ledger file, and this process's connection to it.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, keep_days: float | None = None) -> None:
        self.path = path
        self._keep_days = keep_days
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    def add(self, attempt: Attempt, reservation: int | None = None) -> None:
        """Write the row of an attempt, in place of what was reserved for it.

        Raises:
            LedgerError: It cannot be written.
        """
        with self._writing() as connection:
            if reservation is not None:
                connection.execute("DELETE FROM reservations WHERE id = ?", (reservation,))
            _insert(connection, [attempt])

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
        with self._writing() as connection:
            of_this = (SESSION, socket.gethostname(), os.getpid(), time.time(), notebook, model)
            names = "session, machine, pid, began_at_s, notebook, model, most_usd"
            added = connection.execute(
                f"INSERT INTO reservations ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names of ours
                (*of_this, most_usd),
            )
            return int(added.lastrowid or 0)

    def release(self, reservation: int) -> None:
        """Take back what was reserved for an attempt that was not made.

        Raises:
            LedgerError: It cannot be written.
        """
        with self._writing() as connection:
            connection.execute("DELETE FROM reservations WHERE id = ?", (reservation,))

    def counted_usd(self, since_day: str) -> float:
        """Return what budgets count since a day, with what is reserved by all kernels.

        Args:
            since_day: The first day, as "2026-11-29".

        Raises:
            LedgerError: It cannot be read.
        """
        spent = "SELECT ifnull(sum(counted_usd), 0) FROM sums WHERE day >= ?"
        with self._writing() as connection:
            _settle_lost(connection)
            (spent_usd,) = connection.execute(spent, (since_day,)).fetchone()
            reserved = "SELECT ifnull(sum(most_usd), 0) FROM reservations"
            (reserved_usd,) = connection.execute(reserved).fetchone()
        return float(spent_usd + reserved_usd)

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
        with self._failing_in_words(), self._lock:
            return self._connected().execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection; it opens again at the next use."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._failing_in_words(), self._lock:
            connection = self._connected()
            if connection.in_transaction:  # within `exclusively`
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _failing_in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            told = "the ledger {path} cannot be used: {why}."
            raise LedgerError(Text(told, path=shown_path(self.path), why=why)) from None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():  # the latter after a fork
            if self._connection is not None:
                _inherited.append(self._connection)
            self._connection = _opened(self.path, self._keep_days)
            self._pid = os.getpid()
        return self._connection


def _opened(path: Path, keep_days: float | None) -> sqlite3.Connection:
    """Open a ledger, make it if need be, and bring it to the version of now."""
    path.parent.mkdir(mode=files.OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(path, flags, files.OWNER_ONLY))  # what SQLite puts beside it has its bits
    if owner := files.owner_of_other(path):
        raise OSError(0, Text("it belongs to {owner}", owner=owner))
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection)
        if keep_days is not None:
            _forget_before(connection, time.time() - keep_days * 86400)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise OSError(0, Text("a newer version of this package has written it"))
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()  # another was faster
        for script in _MIGRATIONS[version:VERSION]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """Split a script; `executescript` would end the transaction."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _forget_before(connection: sqlite3.Connection, at_s: float) -> None:
    """Delete the rows of what was over before a moment, and the sums of whole days before it."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM attempts WHERE ended_at_s < ?", (at_s,))
    connection.execute("DELETE FROM sums WHERE day < ?", (day_of(at_s),))
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, attempts: Sequence[Attempt]) -> int:
    marks = ", ".join("?" * len(COLUMNS))
    names = ", ".join(COLUMNS.values())
    insert = f"INSERT OR IGNORE INTO attempts ({names}) VALUES ({marks})"  # noqa: S608 - names of ours
    before = connection.total_changes
    connection.executemany(insert, map(astuple, attempts))
    return (connection.total_changes - before) // 2  # each row with its sum


def _settle_lost(connection: sqlite3.Connection) -> None:
    """Count what processes that are gone have reserved, since it may have been spent."""
    found = connection.execute(
        "SELECT id, session, machine, pid, began_at_s, notebook, model, most_usd FROM reservations"
    ).fetchall()
    for number, session, machine, pid, began_at_s, notebook, model, most_usd in found:
        if session == SESSION or machine != socket.gethostname() or _runs(pid):
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


_inherited: list[sqlite3.Connection] = []
"""Connections from before a fork, which this process must not close: SQLite forbids it."""

_ledgers: dict[tuple[Path, float | None], Ledger] = {}
_ledgers_lock = threading.Lock()


def ledger_of(settings: Snapshot) -> Ledger | None:
    """Return the ledger that settings name, or None where it is off."""
    named = settings.ledger
    if named is not None and named.strip().lower() == OFF:
        return None
    path = absolute(named) if named else data_folder() / FILE_NAME
    with _ledgers_lock:
        return _ledgers.setdefault((path, settings.ledger_days), Ledger(path, settings.ledger_days))


def close_all() -> None:
    """Close the connections of this process; each opens again at its next use."""
    with _ledgers_lock:
        for ledger in _ledgers.values():
            ledger.close()
        _ledgers.clear()
