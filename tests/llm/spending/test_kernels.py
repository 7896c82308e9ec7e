"""Several kernels write to one ledger, also when one is killed; old ledgers go on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from llm.spending.ledgers import attempt, require_sums_of_rows

from openhands_llm_magic.llm.spending import sqlite_file
from openhands_llm_magic.llm.spending.attempt import day_of
from openhands_llm_magic.llm.spending.ledger import MIGRATIONS, Ledger

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = """\
import os, sys
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.events import AttemptEnded, Cost
from openhands_llm_magic.llm.spending import attempt, budget

settings = load_settings()
ended = AttemptEnded(
    1, "answered", model="openai/a", host="api.openai.com", cost=Cost(0.01, "provider"),
    most_usd=0.02,
)
os.write(1, attempt.SESSION.encode() + b"\\n")
for _ in range(int(sys.argv[1])):
    budget.book(settings, ended).ended(ended)
    os.write(1, b".")
sys.exit(bool(budget.notes(settings)))
"""


ATTEMPTS = 1000


def test_no_row_of_a_finished_attempt_is_missing(tmp_path: Path) -> None:
    """One of four is killed by SIGKILL in the middle of its writes."""
    path = tmp_path / "ledger.sqlite3"
    limits = {"LLM_MAGIC_BUDGET_PER_DAY": "900", "LLM_MAGIC_BUDGET_PER_MONTH": "900"}
    env = os.environ | limits | {"LLM_MAGIC_LEDGER": str(path)}
    line = [sys.executable, "-c", KERNEL, str(ATTEMPTS)]
    kernels = [subprocess.Popen(line, stdout=subprocess.PIPE, env=env) for _ in range(4)]  # noqa: S603 - ours
    assert kernels[0].stdout is not None
    begun = kernels[0].stdout.readline() + kernels[0].stdout.read(ATTEMPTS // 3)
    kernels[0].kill()
    told = [begun + kernels[0].communicate()[0]]
    told += [each.communicate(timeout=100)[0] for each in kernels[1:]]
    assert [each.returncode for each in kernels] == [-9, 0, 0, 0]

    ledger = Ledger(path)
    today = day_of(time.time())
    counted_usd = ledger.counted_usd(today[:-2] + "01", today)
    require_sums_of_rows(ledger)
    assert ledger.rows("PRAGMA integrity_check") == [("ok",)]
    assert ledger.rows("SELECT * FROM reservations") == []
    finished = 0
    for session, _, dots in (each.partition(b"\n") for each in told):
        rows = ledger.rows(
            "SELECT count(*) FROM attempts WHERE session = ? AND outcome = 'answered'",
            (session.decode(),),
        )
        finished += rows[0][0]
        assert rows[0][0] - len(dots) in {0, 1}  # it may be killed before it tells
    lost = ledger.rows("SELECT count(*) FROM attempts WHERE outcome = 'lost'")[0][0]
    assert lost <= 1
    assert counted_usd == pytest.approx(0.01 * finished + 0.02 * lost)
    ledger.close()


# From version to version

VERSION_1 = """
CREATE TABLE attempts (id INTEGER PRIMARY KEY, ended_at_s REAL NOT NULL, day TEXT NOT NULL,
    session TEXT NOT NULL, notebook TEXT NOT NULL, llm_group TEXT NOT NULL, source TEXT NOT NULL,
    source_id TEXT, gen_ai_operation_name TEXT NOT NULL, gen_ai_provider_name TEXT NOT NULL,
    gen_ai_request_model TEXT NOT NULL, gen_ai_response_model TEXT, gen_ai_response_id TEXT,
    gen_ai_usage_input_tokens INTEGER, gen_ai_usage_output_tokens INTEGER,
    gen_ai_usage_cache_read_input_tokens INTEGER, gen_ai_usage_cache_creation_input_tokens INTEGER,
    gen_ai_usage_reasoning_output_tokens INTEGER, gen_ai_response_time_to_first_chunk REAL,
    server_address TEXT NOT NULL, http_response_status_code INTEGER, error_type TEXT NOT NULL,
    number INTEGER NOT NULL, outcome TEXT NOT NULL, cost_usd REAL, cost_told_by TEXT NOT NULL,
    price_list TEXT NOT NULL, counted_usd REAL NOT NULL, took_s REAL NOT NULL,
    waited_s REAL NOT NULL, throttled_s REAL NOT NULL);
CREATE INDEX attempts_by_time ON attempts (ended_at_s);
CREATE UNIQUE INDEX attempts_by_source ON attempts (source, source_id)
    WHERE source_id IS NOT NULL;
CREATE TABLE sums (day TEXT NOT NULL, session TEXT NOT NULL, notebook TEXT NOT NULL,
    llm_group TEXT NOT NULL, source TEXT NOT NULL, gen_ai_operation_name TEXT NOT NULL,
    gen_ai_request_model TEXT NOT NULL, server_address TEXT NOT NULL, cost_told_by TEXT NOT NULL,
    outcome TEXT NOT NULL, attempts INTEGER NOT NULL, gen_ai_usage_input_tokens REAL NOT NULL,
    gen_ai_usage_output_tokens REAL NOT NULL, gen_ai_usage_cache_read_input_tokens REAL NOT NULL,
    gen_ai_usage_cache_creation_input_tokens REAL NOT NULL,
    gen_ai_usage_reasoning_output_tokens REAL NOT NULL, cost_usd REAL NOT NULL,
    counted_usd REAL NOT NULL, took_s REAL NOT NULL, waited_s REAL NOT NULL,
    throttled_s REAL NOT NULL, PRIMARY KEY (day, session, notebook, llm_group, source,
    gen_ai_operation_name, gen_ai_request_model, server_address, cost_told_by, outcome))
    WITHOUT ROWID;
CREATE TRIGGER sum_up AFTER INSERT ON attempts BEGIN
    INSERT INTO sums (day, session, notebook, llm_group, source, gen_ai_operation_name,
    gen_ai_request_model, server_address, cost_told_by, outcome, attempts,
    gen_ai_usage_input_tokens, gen_ai_usage_output_tokens, gen_ai_usage_cache_read_input_tokens,
    gen_ai_usage_cache_creation_input_tokens, gen_ai_usage_reasoning_output_tokens, cost_usd,
    counted_usd, took_s, waited_s, throttled_s) VALUES (new.day, new.session, new.notebook,
    new.llm_group, new.source, new.gen_ai_operation_name, new.gen_ai_request_model,
    new.server_address, new.cost_told_by, new.outcome, 1, ifnull(new.gen_ai_usage_input_tokens,
    0), ifnull(new.gen_ai_usage_output_tokens, 0),
    ifnull(new.gen_ai_usage_cache_read_input_tokens, 0),
    ifnull(new.gen_ai_usage_cache_creation_input_tokens, 0),
    ifnull(new.gen_ai_usage_reasoning_output_tokens, 0), ifnull(new.cost_usd, 0),
    ifnull(new.counted_usd, 0), ifnull(new.took_s, 0), ifnull(new.waited_s, 0),
    ifnull(new.throttled_s, 0)) ON CONFLICT DO UPDATE SET attempts = attempts + 1,
    gen_ai_usage_input_tokens = gen_ai_usage_input_tokens + excluded.gen_ai_usage_input_tokens,
    gen_ai_usage_output_tokens = gen_ai_usage_output_tokens +
    excluded.gen_ai_usage_output_tokens, gen_ai_usage_cache_read_input_tokens =
    gen_ai_usage_cache_read_input_tokens + excluded.gen_ai_usage_cache_read_input_tokens,
    gen_ai_usage_cache_creation_input_tokens = gen_ai_usage_cache_creation_input_tokens +
    excluded.gen_ai_usage_cache_creation_input_tokens, gen_ai_usage_reasoning_output_tokens =
    gen_ai_usage_reasoning_output_tokens + excluded.gen_ai_usage_reasoning_output_tokens,
    cost_usd = cost_usd + excluded.cost_usd, counted_usd = counted_usd + excluded.counted_usd,
    took_s = took_s + excluded.took_s, waited_s = waited_s + excluded.waited_s, throttled_s =
    throttled_s + excluded.throttled_s;
END;
CREATE TABLE reservations (id INTEGER PRIMARY KEY, session TEXT NOT NULL, machine TEXT NOT NULL,
    pid INTEGER NOT NULL, began_at_s REAL NOT NULL, notebook TEXT NOT NULL, model TEXT NOT NULL,
    most_usd REAL NOT NULL);
INSERT INTO attempts VALUES (1, 1796083200.5, '2026-12-01', '5e55', 'n.ipynb', '', '', NULL, 'chat',
    'openai', 'openai/gpt-4o', 'gpt-4o-2024', 'id-1', 7, 5, 0, 0, 0, 0.5, 'api.openai.com', 200, '',
    1, 'answered', 0.25, 'provider', '', 0.25, 1.5, 0.0, 0.0);
PRAGMA application_id = 1280068900;
PRAGMA user_version = 1;
"""
"""A ledger as version 1 made it. It stays as it is here, whatever becomes of the ledger."""

VERSION_2 = """
ALTER TABLE attempts ADD COLUMN added TEXT NOT NULL DEFAULT 'new';
UPDATE attempts SET added = 'old';
"""


def written(path: Path, script: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def shape(path: Path) -> set[tuple[str, ...]]:
    """The columns of all tables: their names, types and whether they may be empty."""
    connection = sqlite3.connect(path)
    query = (
        "SELECT tables.name, columns.* FROM sqlite_master AS tables"
        " JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
    )
    found = {*connection.execute(query)}
    connection.close()
    return found


def test_version_1_is_what_is_written_here(tmp_path: Path) -> None:
    """Whoever changes a column adds a migration, and leaves those before it alone."""
    new = tmp_path / "new.sqlite3"
    sqlite_file.opened(new, MIGRATIONS[:1], 5).close()
    assert shape(new) == shape(written(tmp_path / "old.sqlite3", VERSION_1))


def test_an_older_ledger_goes_on(tmp_path: Path) -> None:
    """Its rows are there, and whatever is new in the next version."""
    path = written(tmp_path / "ledger.sqlite3", VERSION_1)
    for _ in range(2):
        connection = sqlite_file.opened(path, (MIGRATIONS[0], VERSION_2), 5)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        kept = connection.execute("SELECT counted_usd, added FROM attempts").fetchall()
        assert kept == [(0.25, "old")]
        connection.close()
    with pytest.raises(OSError, match="a newer version of this package has written it"):
        sqlite_file.opened(path, MIGRATIONS[:1], 5)


def test_a_migration_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    """An older version of this package can go on with it."""
    path = written(tmp_path / "ledger.sqlite3", VERSION_1)
    before = shape(path)
    fails = f"{VERSION_2}\nDROP TABLE nowhere;"
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        sqlite_file.opened(path, (MIGRATIONS[0], fails), 5)
    assert shape(path) == before
    ledger = Ledger(path)
    ledger.add(attempt(day="2026-12-02", counted_usd=0.5))
    assert ledger.counted_usd("2026-12-01", "2026-12-31") == 0.75
    require_sums_of_rows(ledger)
    ledger.close()
