"""Tab on a `%%llm` line in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from browser.conftest import OpenNotebook


def test_tab_offers_flags_and_then_their_values(notebook: OpenNotebook) -> None:
    opened = notebook("%load_ext openhands_llm_magic", "%%llm --")
    opened.run(0)
    opened.wait_for_idle()
    opened.cell(1).locator(".cm-content").click()
    keyboard = opened.page.keyboard
    keyboard.press("Control+End")

    keyboard.press("Tab")
    offered = opened.page.locator(".jp-Completer-item")
    offered.first.wait_for()
    texts = offered.locator(".jp-Completer-match").all_inner_texts()
    assert {"--model", "--format", "--chat"} <= set(texts)
    assert all(text.startswith("--") for text in texts)
    assert "--temperature" not in texts  # the ten that people use first, until a letter is typed

    keyboard.type("form")
    keyboard.press("Enter")
    keyboard.type(" ma")
    keyboard.press("Tab")
    offered.first.wait_for()
    assert offered.locator(".jp-Completer-match").all_inner_texts() == ["markdown", "math"]
    keyboard.press("Enter")

    assert opened.cell(1).locator(".cm-line").inner_text() == "%%llm --format markdown"
    assert opened.errors == []
