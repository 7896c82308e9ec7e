"""What requests have cost is summed up as it was written down, and nothing unknown as nothing."""

from __future__ import annotations

import csv
import io
import sqlite3
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import LedgerError, SettingError, UsageError
from openhands_llm_magic.llm.spending import export, ledger, summary
from openhands_llm_magic.llm.spending.attempt import SESSION, Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON_S = 1_796_040_000.0
"""2026-11-30 12:00 in UTC."""


def attempt(**columns: Any) -> Attempt:
    """Make a row of the ledger."""
    at_s = columns.get("ended_at_s", NOON_S)
    return Attempt(**{"ended_at_s": at_s, "day": day_of(at_s), "model": "openai/gpt-4o", **columns})


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger without a row."""
    made = Ledger(tmp_path / "ledger.sqlite3")
    made.add_all([])
    yield made
    made.close()


def test_what_is_not_known_is_counted_and_is_not_nothing(kept: Ledger) -> None:
    """Each kind of cost stays apart; one that broke off has a cost, and a refused one has none."""
    kept.add_all(
        [
            attempt(cost_usd=1.0, cost_told_by="provider", counted_usd=1.0),
            attempt(cost_usd=0.5, cost_told_by="by hand", counted_usd=0.5),
            attempt(cost_usd=0.25, cost_told_by="price list", counted_usd=0.25),
            attempt(counted_usd=0.125),
            attempt(outcome="stopped", counted_usd=0.125),
            attempt(outcome="lost", counted_usd=0.125),
            attempt(outcome="failed", status=200, counted_usd=0.125),
            attempt(
                outcome="failed",
                status=429,
                cost_told_by="not charged",
                waited_s=2.0,
                throttled_s=1.0,
            ),
            attempt(cost_told_by="local", input_tokens=3, output_tokens=4),
        ]
    )
    row = summary.total(kept, summary.everything())
    assert (row.attempts, row.answered, row.failed, row.stopped, row.lost) == (9, 5, 2, 1, 1)
    assert (row.exact_usd, row.listed_usd, row.cost_usd) == (1.5, 0.25, 1.75)
    assert (row.exact, row.listed, row.local, row.unknown) == (2, 1, 1, 4)
    assert (row.counted_usd, row.waited_s) == (2.25, 3.0)
    assert (row.input_tokens, row.output_tokens) == (3, 4)


@pytest.mark.parametrize("outcome", ["answered", "failed", "stopped"])
def test_a_cost_of_which_nothing_is_known_is_none(kept: Ledger, outcome: str) -> None:
    """It is in no record as 0."""
    kept.add(attempt(outcome=outcome))
    [row] = summary.rows(kept, summary.everything(), "model")
    assert row.cost_usd is None
    assert export.records([row], "model")[0]["cost_usd"] is None
    [line] = csv.DictReader(io.StringIO(export.as_csv([row], "model")))
    assert line["cost_usd"] == ""


def test_a_price_of_nothing_is_known(kept: Ledger) -> None:
    kept.add(attempt(cost_usd=0.0, cost_told_by="provider"))
    assert summary.total(kept, summary.everything()).cost_usd == 0.0


attempts = st.builds(
    attempt,
    ended_at_s=st.floats(NOON_S - 5e6, NOON_S),
    session=st.sampled_from([SESSION, "another"]),
    model=st.sampled_from(["a", "b", "", "<i>|\n"]),
    notebook=st.sampled_from(["", "x.ipynb"]),
    llm_group=st.sampled_from(["", "fast"]),
    outcome=st.sampled_from(["answered", "failed", "stopped", "lost"]),
    input_tokens=st.none() | st.integers(0, 10**12),
    output_tokens=st.none() | st.integers(0, 10**12),
    cached_tokens=st.none() | st.integers(0, 10**12),
)


@given(st.lists(attempts, max_size=12), st.sampled_from([*summary.BY]))
def test_the_parts_are_the_whole(made: list[Attempt], by: str) -> None:
    """By whatever it is summed up, no request and no token is lost or counted twice."""
    with TemporaryDirectory() as folder:
        kept = Ledger(Path(folder) / "ledger.sqlite3")
        try:
            kept.add_all(made)
            found = summary.rows(kept, summary.everything(), by)
            total = summary.total(kept, summary.everything())
        finally:
            kept.close()
    assert summary.added(found) == total
    assert total.attempts == len(made)
    assert total.input_tokens == sum(each.input_tokens or 0 for each in made)
    assert total.output_tokens == sum(each.output_tokens or 0 for each in made)
    assert total.unknown == len(made)
    assert len({row.key for row in found}) == len(found)


def test_the_dearest_comes_first_and_days_in_order(kept: Ledger) -> None:
    kept.add_all(
        [
            attempt(model="cheap", cost_usd=0.1, cost_told_by="provider"),
            attempt(model="often", ended_at_s=NOON_S - 2e5),
            attempt(model="often", ended_at_s=NOON_S - 1e5),
            attempt(model="dear", cost_usd=9.0, cost_told_by="provider"),
        ]
    )
    by_model = summary.rows(kept, summary.everything(), "model")
    assert [row.key for row in by_model] == ["dear", "cheap", "often"]
    by_day = summary.rows(kept, summary.everything(), "day")
    assert [row.key for row in by_day] == ["2026-11-28", "2026-11-29", "2026-11-30"]


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be where a day begins at 15:00 in UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_a_day_begins_at_midnight_where_the_person_is(kept: Ledger) -> None:
    """A second before and at it; the last two days hold both, and the month from its first on."""
    midnight_s = 1_796_050_800.0  # 2026-12-01 00:00 in Tokyo, 2026-11-30 15:00 in UTC
    kept.add_all([attempt(ended_at_s=midnight_s - 1), attempt(ended_at_s=midnight_s)])

    def count(period: summary.Period) -> int:
        return summary.total(kept, period).attempts

    assert count(summary.today(midnight_s)) == 1
    assert count(summary.today(midnight_s - 1)) == 1
    assert count(summary.this_month(midnight_s)) == 1
    assert count(summary.this_month(midnight_s - 1)) == 1
    assert count(summary.last_days(1, midnight_s)) == 1
    assert count(summary.last_days(2, midnight_s)) == 2
    assert count(summary.last_days(summary.MOST_DAYS, midnight_s)) == 2


def test_a_session_is_this_process_alone(kept: Ledger) -> None:
    kept.add_all([attempt(), attempt(session="another kernel")])
    assert summary.total(kept, summary.this_session()).attempts == 1


def test_what_has_not_been_written_yet_is_nothing_and_stays_so(tmp_path: Path) -> None:
    """To look makes no file and no folder."""
    kept = Ledger(tmp_path / "folder" / "ledger.sqlite3")
    assert summary.total(kept, summary.everything()) == summary.Row()
    assert summary.rows(kept, summary.everything(), "model") == []
    assert [*tmp_path.iterdir()] == []


def test_a_ledger_that_is_off_is_told_with_the_setting() -> None:
    settings = load_settings(env={"LLM_MAGIC_LEDGER": "off"})
    with pytest.raises(SettingError) as caught:
        summary.ledger_in_use(settings)
    assert "ledger (now off, from LLM_MAGIC_LEDGER)" in str(caught.value)
    assert caught.value.setting == "ledger"


def corrupt(path: Path) -> sqlite3.Connection | None:
    path.write_bytes(b"no database, but this text, again and again. " * 99)
    return None


def newer(path: Path) -> sqlite3.Connection | None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    return None


def without_tables(path: Path) -> sqlite3.Connection | None:
    kept = Ledger(path)
    kept.add_all([])
    kept.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE sums")
    connection.close()
    return None


def locked(path: Path) -> sqlite3.Connection | None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def folder(path: Path) -> sqlite3.Connection | None:
    path.mkdir()
    return None


@pytest.mark.parametrize("spoil", [corrupt, newer, without_tables, locked, folder])
def test_a_ledger_that_cannot_be_read_is_told_in_one_line(
    spoil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which file it is, and why."""
    monkeypatch.setattr(ledger, "BUSY_S", 0.05)
    path = tmp_path / "ledger.sqlite3"
    held = spoil(path)
    kept = Ledger(path)
    with pytest.raises(LedgerError, match=r"^the ledger ledger\.sqlite3 cannot be used: .+\.$"):
        summary.total(kept, summary.everything())
    kept.close()
    if held is not None:
        held.close()


NAMES = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a,b", 'a "quoted" name', "line\nbreak", "日本"]


def test_no_text_of_a_csv_file_is_a_formula() -> None:
    """A spreadsheet would run it; a name is read back as it was but for the quote before it."""
    text = export.as_csv([summary.Row(key=name, attempts=1) for name in NAMES], "model")
    [heading, *lines] = csv.reader(io.StringIO(text))
    assert heading == ["model", *export.COLUMNS]
    assert [line[0].removeprefix("'") for line in lines] == NAMES
    assert [line for line in lines if line[0].startswith(("=", "+", "-", "@", "\t"))] == []


def test_a_file_is_written_once_unless_it_may_be_written_over(tmp_path: Path) -> None:
    row = summary.Row(key="a", attempts=1)
    told = export.write_csv("usage.csv", [row], "model")
    assert told == "usage.csv is written; its rows: 1."
    before = (tmp_path / "usage.csv").read_text("utf-8")
    assert before.startswith("model,attempts,")
    assert (tmp_path / "usage.csv").stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="there is such a file already"):
        export.write_csv("usage.csv", [], "model")
    assert (tmp_path / "usage.csv").read_text("utf-8") == before
    export.write_csv("usage.csv", [], "day", over=True)
    assert (tmp_path / "usage.csv").read_text("utf-8").startswith("day,")
    assert [path.name for path in tmp_path.iterdir()] == ["usage.csv"]


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no-folder/usage.csv", "No such file"),
        (".", "it is a folder"),
        ("", "it is a folder"),
        ("/dev/null", "file"),
        ("nul\0.csv", "null"),
        ("x" * 1_000_000, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_in_one_line(
    name: str, why: str, over: bool, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        export.write_csv(name, [], "model", over=over)
    assert len(str(caught.value)) < 400
    assert [*tmp_path.iterdir()] == []
