"""A `%%llm` cell in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.conftest import OpenNotebook
    from model_server import ModelServer
    from playwright.sync_api import Page


def test_markdown_is_rendered_when_it_runs_and_when_it_is_opened_again(
    notebook: OpenNotebook, axe: Callable[[Page, str], list[str]]
) -> None:
    opened = notebook("%load_ext openhands_llm_magic", "%%llm -m practice/markdown\nShow me.")
    opened.run_all()
    opened.wait_for_idle()
    opened.save()
    heading = opened.output(1).get_by_role("heading", name="A sample of Markdown")
    bold = opened.output(1).locator("strong")

    assert opened.trusted
    assert (heading.is_visible(), bold.inner_text()) == (True, "bold")
    assert axe(opened.page, ".jp-Notebook .jp-Cell-outputArea") == []

    opened.reload()
    heading.wait_for()

    assert opened.trusted
    assert bold.inner_text() == "bold"
    assert opened.errors == []


def test_amounts_of_money_are_no_formulas(notebook: OpenNotebook) -> None:
    """Two dollars in a cell of a table, or in a line below it, stay as they are."""
    set_up = "%load_ext openhands_llm_magic\n%llm_config model=openai/gpt-4o"
    opened = notebook(set_up, "%llm_usage --estimate", "%%llm -m practice/markdown\nShow me.")
    opened.run_all()
    opened.wait_for_idle()
    opened.output(2).locator("mjx-container").first.wait_for()
    assert opened.output(1).inner_text().count("$") > 1
    assert opened.output(1).locator("mjx-container").count() == 0


def test_code_goes_into_a_new_cell_that_does_not_run(
    notebook: OpenNotebook, model_server: ModelServer
) -> None:
    model_server.script(Answer(chunks=("```python\nopen('ran', 'w').close()\n```",)))
    load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
    at = f"-m openai/test --base-url {model_server.openai_base} --api-key $key"
    opened = notebook(load, f"%%llm -f code {at}\nWrite it.", "'the end'")
    opened.run_all()
    opened.wait_for_idle()
    opened.save()
    cells = opened.saved.cells

    assert [cell.source for cell in cells[2:]] == ["open('ran', 'w').close()", "'the end'"]
    assert [cell.execution_count for cell in cells] == [1, 2, None, 3]
    assert not (opened.path.parent / "ran").exists()
    assert opened.errors == []
