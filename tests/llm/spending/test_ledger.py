"""What is written to the ledger is there, whoever else writes and whatever becomes of the disk."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm.spending.ledgers import attempt, count_of, require_sums_of_rows

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import LedgerError
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.spending import ledger as ledger_module
from openhands_llm_magic.llm.spending import sqlite_file
from openhands_llm_magic.llm.spending.attempt import SESSION, day_of
from openhands_llm_magic.llm.spending.ledger import DAY_S, Ledger, ledger_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TODAY = day_of(time.time())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "data" / "ledger.sqlite3")
    yield made
    made.close()


def run(script: str, *arguments: object) -> str:
    """Run a script in a process of its own, and return what it prints."""
    line = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    found = os.pathsep.join(sys.path)  # pytest puts the folder of the tests there
    env = {**os.environ, "PYTHONPATH": found}
    ended = subprocess.run(line, capture_output=True, text=True, timeout=40, check=False, env=env)  # noqa: S603 - ours
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


# Who else writes


def test_a_new_ledger_is_opened_by_many_at_once(tmp_path: Path) -> None:
    """SQLite itself refuses one of them at once while another switches to the write-ahead log."""
    for number in range(5):
        at_once = threading.Barrier(12)
        failed: list[Exception] = []
        ledgers = [Ledger(tmp_path / f"{number}.sqlite3") for _ in range(12)]

        def add(
            to: Ledger, at_once: threading.Barrier = at_once, failed: list[Exception] = failed
        ) -> None:
            at_once.wait()
            try:
                to.add(attempt())
            except LedgerError as error:
                failed.append(error)

        threads = [threading.Thread(target=add, args=(each,)) for each in ledgers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert count_of(ledgers[0]) == len(ledgers)
        for each in ledgers:
            each.close()


def test_a_second_ledger_object_does_not_end_the_locks_of_the_first(tmp_path: Path) -> None:
    """To close any descriptor of a file ends all locks that a process has on it."""
    path = tmp_path / "ledger.sqlite3"
    first, second = Ledger(path), Ledger(path)
    first.add(attempt())
    with first.exclusively():
        second.rows("SELECT 1")  # opens it
        locked = run(
            "import sqlite3, sys\n"
            "try: sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN EXCLUSIVE')\n"
            "except sqlite3.OperationalError as error: print(error)",
            path,
        )
    assert locked == "database is locked"
    for each in (first, second):
        each.close()


FORKED = """\
import os, signal, sys, threading
from llm.spending.ledgers import attempt, count_of, require_sums_of_rows
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.events import AttemptEnded
from openhands_llm_magic.llm.spending import budget, ledger

os.environ["LLM_MAGIC_LEDGER"] = sys.argv[1]
settings = load_settings()
ended = AttemptEnded(1, "answered", model="openai/a")
over = threading.Event()

def write():
    while not over.is_set():
        budget.book(settings, ended).ended(ended)
        written.append(1)

written, children = [], []
threads = [threading.Thread(target=write) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        budget.book(settings, ended).ended(ended)
        os._exit(0 if budget.notes(settings) == () else 1)
    children.append(child)
statuses = {os.waitpid(child, 0)[1] for child in children}
over.set()
for thread in threads:
    thread.join()
require_sums_of_rows(ledger.ledger_of(settings))
missing = len(written) + len(children) - count_of(ledger.ledger_of(settings))
print(statuses, missing, len(written) > 20)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_was_forked_in_the_middle_of_writes_writes(tmp_path: Path) -> None:
    """It has none of its parent's threads, which may hold locks, and none of SQLite's locks."""
    assert run(FORKED, tmp_path / "ledger.sqlite3") == "{0} 0 True"


def test_a_ledger_that_another_process_holds_delays_one_prompt_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is written later, once for all."""
    monkeypatch.setattr(ledger_module, "BUSY_S", 0.3)
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.add(attempt())
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    took_s = []
    for _ in range(3):
        began_s = time.perf_counter()
        with pytest.raises(LedgerError, match="database is locked"):
            ledger.add(attempt())
        took_s.append(time.perf_counter() - began_s)
    assert took_s[0] > 0.25
    assert max(took_s[1:]) < 0.25
    other.execute("ROLLBACK")
    other.close()
    ledger.add(attempt())
    assert count_of(ledger) == 5
    assert ledger.rows("PRAGMA busy_timeout") == [(300,)]
    ledger.close()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_what_is_interrupted_in_its_middle_is_not_written(
    ledger: Ledger, failure: type[BaseException]
) -> None:
    """And nothing stays locked."""
    with pytest.raises(failure), ledger.exclusively():  # noqa: PT012 - it is about the block
        ledger.reserve(1, "openai/a", "")
        raise failure
    assert ledger.rows("SELECT * FROM reservations") == []
    other = Ledger(ledger.path)
    other.add(attempt())
    other.close()


# What is at its place


def folder(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    other = path.with_name("other.sqlite3")
    other.write_bytes(b"")
    path.symlink_to(other)


def dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE history (line TEXT)")
    connection.close()


def corrupt(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)


def text(path: Path) -> None:
    path.write_text("Dear diary, " * 99)


def truncated(path: Path) -> None:
    whole = Ledger(path)
    whole.add(attempt())
    whole.close()
    os.truncate(path, 6000)


def newer(path: Path) -> None:
    whole = Ledger(path)
    whole.add(attempt())
    whole.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


UNUSABLE: dict[Callable[[Path], None], str] = {
    folder: "it is a folder",
    link: "it is a link; name the file itself",
    dangling_link: "it is a link; name the file itself",
    pipe: "it is not a regular file",
    of_another_program: "it is a file of another program",
    corrupt: "file is not a database",
    text: "file is not a database",
    truncated: "database disk image is malformed",
    newer: "a newer version of this package has written it",
}


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


@pytest.mark.usefixtures("set_up", "model_server")
@pytest.mark.parametrize("make", UNUSABLE, ids=lambda make: make.__name__)
def test_what_is_no_ledger_is_left_as_it_is_and_the_prompt_works(
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One note tells what is wrong with which file."""
    path = tmp_path / "kept" / "there"
    path.parent.mkdir()
    make(path)
    before = bytes_in(path.parent)
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(path))
    notes = [ask("Hello").notes for _ in range(2)]
    assert [len(each) for each in notes] == [1, 0]
    assert notes[0][0].startswith(f"the ledger kept/there cannot be used: {UNUSABLE[make]}")
    assert bytes_in(path.parent) == before


@pytest.mark.parametrize("place", ["a\0b", "\ud800", "file/ledger", "x" * 300])
def test_where_there_can_be_no_file_a_line_says_so(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be used: "):
        Ledger(tmp_path / place).add(attempt())


def test_without_a_home_nothing_is_put_into_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python knows no home of a container's unknown user."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("LLM_MAGIC_LEDGER")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    ledger = ledger_of(load_settings())
    assert ledger is not None
    with pytest.raises(LedgerError, match="there is no home folder"):
        ledger.add(attempt())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no owners")
def test_a_file_of_another_person_is_not_used(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.add(attempt())
    ledger.close()
    if os.geteuid() == 0:
        os.chown(ledger.path, 54321, 54321)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(LedgerError, match="it belongs to"):
        ledger.add(attempt())


def test_only_its_owner_can_read_it(ledger: Ledger) -> None:
    """Also what SQLite puts beside it."""
    before = os.umask(0)
    try:
        ledger.add(attempt())
    finally:
        os.umask(before)
    made = [ledger.path.parent, *ledger.path.parent.iterdir()]
    assert len(made) == 4
    assert {each.stat().st_mode & 0o077 for each in made} == {0}


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
@pytest.mark.parametrize("lose", ["file", "folder"])
def test_a_file_that_is_lost_while_it_is_open_is_made_anew(ledger: Ledger, lose: str) -> None:
    """All kernels write to the file that is there, and none to what was deleted."""
    for _ in range(3):
        ledger.add(attempt())
    if lose == "file":
        ledger.path.unlink()
    else:
        shutil.rmtree(ledger.path.parent)
    others = Ledger(ledger.path)
    others.add(attempt())
    ledger.add(attempt())
    others.add(attempt())
    assert count_of(others) == count_of(ledger) == 3
    assert others.rows("PRAGMA integrity_check") == [("ok",)]
    others.close()


def test_a_file_system_without_shared_memory_has_a_journal(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's way to lock by files of their own has no write-ahead log."""
    connect = sqlite3.connect

    def connect_without(path: Path, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(f"file:{path}?vfs=unix-dotfile", uri=True, **options)
        return made

    monkeypatch.setattr(sqlite3, "connect", connect_without)
    ledger.add(attempt())
    assert ledger.rows("PRAGMA journal_mode") == [("delete",)]
    assert ledger.rows("PRAGMA synchronous") == [(2,)]
    assert count_of(ledger) == 1


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/homes /home nfs4 rw 0 0
/dev/vdb /home/local\\040disk xfs rw 0 0
//office/share /mnt/share cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/var/ledger", "wal"),
        ("/home/ann/.local/share/ledger", "delete"),
        ("/home/local disk/ledger", "wal"),
        ("/mnt/share/ledger", "delete"),
        ("/mnt/shared/ledger", "wal"),
    ],
)
def test_where_several_machines_write_there_is_no_write_ahead_log(
    path: str, mode: str, tmp_path: Path
) -> None:
    """They do not share the memory that its index is in, which would corrupt the file."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert sqlite_file.journal_mode(Path(path), mounts) == mode
    assert sqlite_file.journal_mode(Path(path), tmp_path / "none") == "wal"


def test_python_without_sqlite_asks_and_says_so(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was built from source where SQLite's headers are missing has no sqlite3."""
    monkeypatch.setattr(sqlite_file, "sqlite3", None)
    with pytest.raises(LedgerError, match="this Python has no sqlite3"):
        ledger.add(attempt())
    assert "budget" in run(
        "import sys; sys.modules['sqlite3'] = None\n"
        "from openhands_llm_magic.llm.spending import budget; print(budget.__name__)"
    )


# What the disk does

FULL = """\
import resource, sys
from pathlib import Path
from llm.spending.ledgers import attempt, count_of, require_sums_of_rows
from openhands_llm_magic.errors import LedgerError
from openhands_llm_magic.llm.spending.ledger import Ledger

ledger, made = Ledger(Path(sys.argv[1])), 0
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
failed = []
while len(failed) < 3:
    made += 1
    try:
        ledger.add(attempt())
    except LedgerError as error:
        failed.append(str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
made += 1
ledger.add(attempt())
require_sums_of_rows(ledger)
print(made - count_of(ledger), ledger.rows("PRAGMA integrity_check")[0][0], *{*failed}, sep="|")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of a process")
def test_a_full_disk_loses_no_row_once_there_is_room(tmp_path: Path) -> None:
    """Nothing is half written meanwhile."""
    missing, integrity, why = run(FULL, tmp_path / "ledger.sqlite3").split("|")
    assert (missing, integrity) == ("0", "ok")
    assert "cannot be used: " in why


READ_ONLY = """\
import os, sys
from pathlib import Path
from llm.spending.ledgers import attempt, count_of
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.events import AttemptEnded
from openhands_llm_magic.llm.spending import budget

if os.geteuid() == 0:  # to root all is writable
    os.setgroups([])
    os.setgid(54321)
    os.setuid(54321)
os.environ["LLM_MAGIC_LEDGER"] = sys.argv[1]
settings = load_settings()
for _ in range(2):
    begin = AttemptEnded(1, "answered", model="openai/a", host="api.openai.com", most_usd=0.1)
    budget.book(settings, begin).ended(begin)
    print(*budget.notes(settings))
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="it has other rights")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_that_cannot_be_written_is_told_of_once(*, is_there: bool) -> None:
    """Whether a ledger is in it or not; the file of another is readable for all here."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        if is_there:
            ledger = Ledger(path)
            ledger.add(attempt())
            ledger.close()
            path.chmod(0o444)
        Path(folder).chmod(0o555)
        lines = run(READ_ONLY, path).splitlines()
        Path(folder).chmod(0o755)
    assert len(lines) == 1
    assert f"the ledger {path} cannot be used: " in lines[0]
    assert "LLM_MAGIC_LEDGER names another file, or off." in lines[0]


# What is in a row


ANY_NUMBER = st.one_of(st.floats(), st.integers(), st.none())
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT, ANY_NUMBER, st.floats(), st.integers())
def test_whatever_a_server_tells_makes_a_row(
    told: str, tokens: Any, usd: float, status: int
) -> None:
    """Numbers that SQLite has not got, halves of characters, a name without end."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite3")
        row = attempt(
            model=told,
            notebook=told,
            model_answered=told * 99,
            response_id=told,
            input_tokens=tokens,
            status=status,
            cost_usd=usd,
            counted_usd=usd,
            took_s=usd,
        )
        ledger.add(row)
        ledger.reserve(0.5, told, told)
        [(answered, cost_usd)] = ledger.rows("SELECT gen_ai_response_model, cost_usd FROM attempts")
        assert len(answered) <= 500
        assert cost_usd is None or cost_usd == usd
        assert ledger.rows("SELECT attempts FROM sums") == [(1,)]
        ledger.close()


def test_what_comes_from_a_source_comes_once(ledger: Ledger) -> None:
    rows = [attempt(source="openhands", source_id=str(number)) for number in (1, 2, 2)]
    assert ledger.add_all(rows) == 2
    assert ledger.add_all([*rows, attempt(source="openhands", source_id="3")]) == 1
    assert ledger.add_all([]) == 0
    assert ledger.add_all([attempt(), attempt()]) == 2
    assert count_of(ledger) == 5
    require_sums_of_rows(ledger)


# Days


def test_a_day_counts_what_was_spent_on_it(ledger: Ledger) -> None:
    """Neither what a clock that was wrong has put into the future, nor other days of the month."""
    for day, usd in {"2026-10-31": 1, "2026-11-01": 2, "2026-11-30": 4, "2031-01-01": 8}.items():
        ledger.add(attempt(day=day, counted_usd=usd))
    ledger.reserve(16, "openai/a", "")
    assert ledger.counted_usd("2026-11-30", "2026-11-30") == 4 + 16
    assert ledger.counted_usd("2026-11-01", "2026-11-31") == 2 + 4 + 16


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="a process has one time zone")
def test_a_day_begins_where_the_person_is(monkeypatch: pytest.MonkeyPatch) -> None:
    at_s = 1_796_083_200.0  # midnight of 2026-12-01 in London
    days = []
    for zone in ("UTC0", "JST-9", "PST8"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        days.append(day_of(at_s))
    monkeypatch.undo()
    time.tzset()
    assert days == ["2026-12-01", "2026-12-01", "2026-11-30"]


@given(
    st.lists(st.floats(0, 30), max_size=20),
    st.floats(1, 30),
)
def test_what_is_older_than_a_setting_goes(ages_days: list[float], keep_days: float) -> None:
    """Whole days go, so that the sums stay those of the rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        now_s = time.time()
        old = Ledger(path)
        old.add_all([attempt(ended_at_s=now_s - age * DAY_S) for age in ages_days])
        old.close()
        ledger = Ledger(path, keep_days)
        ledger.add(attempt(ended_at_s=now_s))
        assert count_of(ledger) >= 1 + sum(age <= keep_days for age in ages_days)
        assert count_of(ledger) <= 1 + sum(age <= keep_days + 1.05 for age in ages_days)
        require_sums_of_rows(ledger)
        ledger.close()


def test_days_to_keep_can_be_changed_in_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    settings = load_settings()
    ledger = ledger_of(settings)
    assert ledger is not None
    ledger.add(attempt(ended_at_s=time.time() - 10 * DAY_S))
    assert count_of(ledger) == 1
    assert ledger_of(settings.with_overrides({"ledger_days": 5})) is ledger
    ledger.add(attempt())
    assert count_of(ledger) == 1


# What was reserved


@pytest.mark.parametrize(
    ("session", "machine", "pid", "age_s", "is_lost"),
    [
        (SESSION, "here", os.getpid(), 0, False),
        ("another", "here", os.getpid(), 0, True),  # a container began again
        ("another", "here", os.getppid(), 0, False),
        ("another", "here", 0x3FFFFFFF, 0, True),
        ("another", "there", 0x3FFFFFFF, 0, False),
        ("another", "there", os.getpid(), 2 * DAY_S, True),
        ("another", "there", os.getpid(), -2 * DAY_S, True),  # a clock was wrong
    ],
    ids=["its own", "begun again", "runs", "gone", "elsewhere", "long ago", "in the future"],
)
def test_what_a_process_that_is_gone_has_reserved_counts_on_its_day(  # noqa: PLR0913, PLR0917
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    session: str,
    machine: str,
    pid: int,
    age_s: float,
    *,
    is_lost: bool,
) -> None:
    """It may have been spent; a row says so, and it is reserved no longer."""
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    monkeypatch.setattr(ledger_module, "SESSION", session)
    with monkeypatch.context() as other:
        other.setattr(os, "getpid", lambda: pid)
        other.setattr(time, "time", partial(float, time.time() - age_s))
        ledger.reserve(0.5, "openai/a", "n.ipynb")
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    monkeypatch.setattr(ledger_module, "SESSION", SESSION)
    counted_usd = ledger.counted_usd(TODAY, TODAY)
    assert counted_usd == (0 if is_lost and age_s else 0.5)
    lost = ledger.rows("SELECT outcome, counted_usd, notebook, cost_usd FROM attempts")
    assert lost == ([("lost", 0.5, "n.ipynb", None)] if is_lost else [])
    assert len(ledger.rows("SELECT * FROM reservations")) == (0 if is_lost else 1)


def test_the_number_of_what_was_reserved_is_nobody_elses(ledger: Ledger) -> None:
    """One that was settled for its process must not end another's."""
    numbers = []
    for _ in range(20):
        numbers.append(ledger.reserve(1, "openai/a", ""))
        ledger.release(numbers[-1])
    assert len({*numbers}) == 20
