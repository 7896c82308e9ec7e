"""The pages of docs/ that are made from the code."""

import runpy
from pathlib import Path

import pytest

from openhands_llm_magic.config.settings import SETTINGS

GENERATE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "generate.py"))


def test_the_page_of_settings_is_fresh() -> None:
    page: str = GENERATE["settings_page"]()
    assert GENERATE["SETTINGS_PAGE"].read_text("utf-8") == page, "run `make docs`"


@pytest.mark.parametrize("name", SETTINGS)
def test_it_has_a_row_for_each_setting(name: str) -> None:
    page: str = GENERATE["settings_page"]()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}`"))
    setting = SETTINGS[name]
    cells = row.strip("| ").split(" | ")
    assert len(cells) == len(GENERATE["COLUMNS"])
    assert {f"`{setting.variable}`", setting.help, setting.use} <= set(cells)
