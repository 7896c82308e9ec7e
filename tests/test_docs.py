"""The pages of docs/ that are made from the code."""

import re
import runpy
from pathlib import Path

import pytest
from faults import FAULTS, Fault
from faults.wordings import WORDINGS
from texts import page_texts, placeholders

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.spending.attempt import COLUMNS
from openhands_llm_magic.notebook.language import texts_in

ROOT = Path(__file__).parents[1]
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))
PROVIDERS: str = GENERATE["providers_page"]()


CATALOGUES = sorted((ROOT / "docs").glob("*.po"))
WRITTEN: dict[Path, str] = GENERATE["written"]()


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_written_from_the_code_is_fresh(path: Path) -> None:
    assert path.read_text("utf-8") == WRITTEN[path], "run `make docs`"


@pytest.mark.translations
@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_every_text_of_the_pages_is_translated_and_no_other(path: Path) -> None:
    """One that is not is in English on the page."""
    assert page_texts().keys() ^ texts_in(path.stem, path.parent).keys() == set()


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_both_sides_have_the_same_placeholders(path: Path) -> None:
    sides = texts_in(path.stem, path.parent).items()
    assert [en for en, other in sides if placeholders(en) != placeholders(other)] == []


def test_the_page_of_the_ledger_has_a_line_for_each_column() -> None:
    page: str = GENERATE["money_page"]()
    assert [each for each in COLUMNS.values() if f"\n| `{each}` | " not in page] == []


def test_it_has_a_row_for_each_wording() -> None:
    """The row tells the class and links the source."""
    for wording in WORDINGS:
        _, _, part = PROVIDERS.partition(f"## {wording.provider}\n")
        begin = f"| {wording.about}{' †' * wording.words_only} | "
        rows = part.partition("\n## ")[0].splitlines()
        [row] = [line for line in rows if line.startswith(begin)]
        cells = re.split(r" (?<!\\)\| ", row.strip("| "))
        assert len(cells) == len(GENERATE["PROVIDER_COLUMNS"]), row
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
