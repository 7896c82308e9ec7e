"""A `%%llm` cell in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.conftest import OpenNotebook
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
