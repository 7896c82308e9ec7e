"""The pages of docs/ that are made from the code."""

import re
import runpy
from pathlib import Path

import pytest
from faults import FAULTS, Fault
from faults.wordings import WORDINGS, Wording

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.spending.attempt import COLUMNS

GENERATE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "generate.py"))
PROVIDERS: str = GENERATE["providers_page"]()


def test_the_page_of_settings_is_fresh() -> None:
    page: str = GENERATE["settings_page"]()
    assert GENERATE["SETTINGS_PAGE"].read_text("utf-8") == page, "run `make docs`"


def test_the_page_of_faults_is_fresh() -> None:
    page: str = GENERATE["faults_page"]()
    assert GENERATE["FAULTS_PAGE"].read_text("utf-8") == page, "run `make docs`"


def test_the_page_of_providers_is_fresh() -> None:
    page: str = GENERATE["providers_page"]()
    assert GENERATE["PROVIDERS_PAGE"].read_text("utf-8") == page, "run `make docs`"


def test_the_page_of_the_ledger_is_fresh() -> None:
    """It has a line for each column."""
    page: str = GENERATE["money_page"]()
    assert GENERATE["MONEY_PAGE"].read_text("utf-8") == page, "run `make docs`"
    assert [each for each in COLUMNS.values() if f"\n| `{each}` | " not in page] == []


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda each: f"{each.provider}: {each.about}")
def test_it_has_a_row_for_each_wording(wording: Wording) -> None:
    """The row tells the class and links the source."""
    _, _, part = PROVIDERS.partition(f"## {wording.provider}\n")
    begin = f"| {wording.about}{' †' * wording.words_only} | "
    (row,) = (line for line in part.partition("\n## ")[0].splitlines() if line.startswith(begin))
    cells = re.split(r" (?<!\\)\| ", row.strip("| "))
    assert len(cells) == len(GENERATE["PROVIDER_COLUMNS"])
    assert f"`{wording.expected}`" in cells[3]
    assert wording.source in cells[4]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_has_a_row_for_each_fault(fault: Fault) -> None:
    page, _, _ = GENERATE["faults_page"]().partition("\n## Vectors")
    starts = (f"| {fault.name} | ", f"| {fault.name} * | ")
    (row,) = (line for line in page.splitlines() if line.startswith(starts))
    cells = row.strip("| ").split(" | ")
    assert len(cells) == len(GENERATE["FAULT_COLUMNS"])
    assert cells[2] == str(fault.requests)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_has_a_row_for_each_setting(name: str) -> None:
    page: str = GENERATE["settings_page"]()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}`"))
    setting = SETTINGS[name]
    cells = row.strip("| ").split(" | ")
    assert len(cells) == len(GENERATE["COLUMNS"])
    assert {f"`{setting.variable}`", setting.help, setting.use} <= set(cells)
