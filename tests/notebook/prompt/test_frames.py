"""How a table of the notebook is written in a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from openhands_llm_magic.notebook.placeholders import filled
from openhands_llm_magic.notebook.values import MOST_ROWS, written

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = pd.DataFrame({"name": ["Ada", "Bob"], "n": [1, 2]})


class GeoDataFrame(pd.DataFrame):  # type: ignore[misc]
    """Stands for any class that builds on pandas'."""


class PolarsFrame:
    """Has what polars' DataFrame has, of which no more is used."""

    shape = (2, 2)
    columns = ("name", "n")

    def head(self, rows: int) -> PolarsFrame:
        assert rows == MOST_ROWS
        return self

    def iter_rows(self) -> Iterator[tuple[object, ...]]:
        return iter([("Ada", 1), ("Bob", 2)])


PolarsFrame.__module__, PolarsFrame.__name__ = "polars.dataframe.frame", "DataFrame"

PLAIN = """\
(2 rows and 2 columns)

| name | n |
| --- | --- |
| Ada | 1 |
| Bob | 2 |"""


@pytest.mark.parametrize("make", [lambda: TABLE, lambda: GeoDataFrame(TABLE), PolarsFrame])
def test_a_table_is_markdown_with_its_shape_first(make: type) -> None:
    assert written("t", make()).text == PLAIN
    assert filled("{t}", {"t": make()}, limit_chars=1000).parts == (PLAIN,)


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        (TABLE.set_index("name"), ["| name | n |", "| Ada | 1 |", "| Bob | 2 |"]),
        (TABLE.iloc[1:], ["|  | name | n |", "| 1 | Bob | 2 |"]),
        (TABLE.rename_axis("row"), ["| row | name | n |", "| 0 | Ada | 1 |", "| 1 | Bob | 2 |"]),
        (
            TABLE.assign(x=0.5).set_index(["n", "name"]).iloc[:1],
            ["| n | name | x |", "| 1 | Ada | 0.5 |"],
        ),
        (TABLE.set_index("name")["n"], ["| name | n |", "| Ada | 1 |", "| Bob | 2 |"]),
    ],
)
def test_an_index_that_says_something_goes_in(table: object, lines: list[str]) -> None:
    rows = written("t", table).text.splitlines()
    assert [rows[2], *rows[4:]] == lines


def test_an_empty_table_says_its_columns() -> None:
    empty = written("t", TABLE.iloc[:0]).text
    assert empty == "(0 rows and 2 columns)\n\n| name | n |\n| --- | --- |"
    assert written("t", pd.DataFrame()).text == "(0 rows and 0 columns)"


def test_a_large_table_is_cut_and_says_so() -> None:
    large = pd.DataFrame({f"c{number}": range(1000) for number in range(30)})
    rows = written("t", large).text.splitlines()
    assert rows[0] == "(1,000 rows and 30 columns, of which the first 20 rows and 20 columns)"
    assert rows[2].endswith("| c19 |")
    assert rows[-1].startswith("| 19 |")
    (note,) = filled("See {t}.", {"t": large}, limit_chars=100_000).notes
    assert note == "{t}: the first 20 rows and 20 columns of 1,000 rows and 30 columns"


def test_a_cell_stays_a_cell() -> None:
    """On one line, its bars escaped, and not too long for others to fit."""
    table = pd.DataFrame({"a|b": ["x|y\nz", "long" * 1000]})
    short, long = written("t", table).text.splitlines()[4:]
    assert short == "| x\\|y z |"
    assert long == "| " + ("long" * 50)[:-1] + "… |"
    assert written("t", table).notes == ("t: cells were cut to 200 characters",)
    cut = filled("{t}", {"t": table}, limit_chars=30).parts[0]
    assert str(cut).startswith("(2 rows and 1 column)")
