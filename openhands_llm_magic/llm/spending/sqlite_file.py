"""How an SQLite file of ours is opened: by several processes at once, and never one of others.

What is not a file of our own making is left as it is. A new version of this package brings the
tables of an older one to its own form.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config import files
from openhands_llm_magic.errors import Text

try:
    import sqlite3
except ImportError:  # a Python that was built where SQLite's headers were not
    sqlite3 = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APPLICATION_ID = 0x4C4C4D24
"""What `PRAGMA application_id` says of a file of ours: "LLM$"."""

AGAIN_S = 0.005
"""Seconds between two tries of what SQLite does not wait for."""

NETWORKED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gfs2", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs",
}  # fmt: skip
"""File systems whose files several machines write, while a write-ahead log's index is in memory."""

FAILURES = (OSError, ValueError) if sqlite3 is None else (sqlite3.Error, OSError, ValueError)
"""What comes of a file that cannot be used; a ValueError of a path that there cannot be."""


def is_busy(error: Exception) -> bool:
    """Return whether another process has the ledger for itself, which passes."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def opened(path: Path, migrations: Sequence[str], busy_s: float) -> sqlite3.Connection:
    """Open a file, make it if need be, and bring it to the version of now.

    Args:
        path: The file.
        migrations: What makes one of each version into one of the next, from an empty one on. How
            many of them were done is what `PRAGMA user_version` says.
        busy_s: Seconds to wait for another process.

    Raises:
        sqlite3.Error: SQLite cannot use it.
        OSError: There can be no such file, or it is not ours.
        ValueError: There can be no such path.
    """
    if sqlite3 is None:
        raise OSError(0, Text("this Python has no sqlite3"))
    _make_file(path)
    connection = sqlite3.connect(
        path, timeout=busy_s, isolation_level=None, check_same_thread=False
    )
    try:
        _require_ours(connection, len(migrations))
        if _use_journal(connection, journal_mode(path), busy_s) == "wal":
            connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    """Make a file that only its owner can read, or see that the one that is there will do.

    One that is there is not opened: to close it would end SQLite's locks on it.

    Raises:
        OSError: There can be no such file.
    """
    if "~" in path.parts:
        raise OSError(0, Text("there is no home folder"))
    path.parent.mkdir(mode=files.OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # what SQLite puts beside it has its bits
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, files.OWNER_ONLY))
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise OSError(0, Text("it is a link; name the file itself"))
    if stat.S_ISDIR(mode):
        raise OSError(0, Text("it is a folder"))
    if not stat.S_ISREG(mode):
        raise OSError(0, Text("it is not a regular file"))
    if owner := files.owner_of_other(path):
        raise OSError(0, Text("it belongs to {owner}", owner=owner))


def _require_ours(connection: sqlite3.Connection, newest: int) -> int:
    """Return the version of a file; 0 for a new one.

    Raises:
        OSError: It is another program's, or of a version that is not known yet.
    """
    # Tables first: whoever makes them meanwhile makes all of this at once.
    is_new = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID and not is_new:
        raise OSError(0, Text("it is a file of another program"))
    if version > newest:
        raise OSError(0, Text("a newer version of this package has written it"))
    return int(version)


def journal_mode(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return "delete" for a file that several machines may write, and else "wal".

    A write-ahead log is for the processes of one machine: it would be corrupted.

    Args:
        path: The file.
        mounts: What is mounted where; there is no such list but on Linux.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return "wal"
    real = Path(os.path.realpath(path))
    found, kind = Path(os.sep), ""
    for line in lines:
        _, at, each, *_ = line.split(" ")
        folder = Path(at.replace("\\040", " "))
        if real.is_relative_to(folder) and folder.is_relative_to(found):
            found, kind = folder, each
    return "delete" if kind in NETWORKED else "wal"


def _use_journal(connection: sqlite3.Connection, mode: str, busy_s: float) -> str:
    """Switch to a mode of the journal, and return the one that the file system lets there be.

    While another process switches, SQLite refuses at once, whatever the timeout is.
    """
    ends_s = time.monotonic() + busy_s
    while True:
        try:
            (used,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > ends_s:
                raise
            time.sleep(AGAIN_S)
        else:
            return str(used)


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring a file to the newest version in one step, from whichever it has."""
    if _require_ours(connection, len(migrations)) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _require_ours(connection, len(migrations))  # another may have been faster
        for script in migrations[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
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
