"""The buttons of a wait in JupyterLab, where the kernel hears a click while it runs a cell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, ModelServer, Refuse
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.conftest import OpenNotebook
    from browser.lab import Notebook
    from playwright.sync_api import Locator, Page

WAIT_S = 30

AT_ONCE_S = 5
"""Far below the wait."""


@pytest.fixture
def waiting(notebook: OpenNotebook, model_server: ModelServer) -> Callable[..., Notebook]:
    """Opens a notebook whose second cell waits, and saves the state of widgets."""
    model_server.script(Refuse(429, {"retry-after": str(WAIT_S)}, message="Slow down."), Answer())

    def open_waiting(before: str = "null") -> Notebook:
        load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
        prompt = f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key\nHi"
        opened = notebook(load, prompt, save_widget_state=True)
        opened.page.evaluate(before)
        opened.run(0)
        opened.wait_for_idle()
        opened.run(1)
        opened.output(1).get_by_text("Rate limit (429)").wait_for()
        return opened

    return open_waiting


def button(opened: Notebook, name: str) -> Locator:
    return opened.output(1).get_by_role("button", name=name)


def what_is_left(opened: Notebook) -> Any:
    """Save the notebook; give the outputs of the cell that waited, when no widget is left."""
    opened.wait_for_idle()
    opened.save()
    saved = opened.saved
    widgets = saved.metadata.get("widgets", {})
    assert all(state["state"] == {} for state in widgets.values())
    assert "widget-view" not in str(saved)
    assert opened.errors == []
    return saved.cells[1].outputs


def test_retry_now(waiting: Callable[..., Notebook], model_server: ModelServer) -> None:
    opened = waiting()
    button(opened, "Retry now").wait_for()
    expect(opened.output(1)).not_to_contain_text("interrupt button")  # with the next second

    began_s = time.monotonic()
    button(opened, "Retry now").click()
    opened.output(1).get_by_text("Hello from the model.").wait_for()

    assert time.monotonic() - began_s < AT_ONCE_S
    (output,) = what_is_left(opened)
    assert output.data["text/plain"].startswith("Hello from the model.")
    assert opened.page.locator(".llm-wait").count() == 0
    assert model_server.count == 2


def test_stop_from_the_keyboard(waiting: Callable[..., Notebook]) -> None:
    """The countdown leaves the focus on the button, and the notebook its keys."""
    opened = waiting()
    stop = button(opened, "Stop")
    stop.focus()
    counted = opened.output(1).get_by_text("retry 1 of 4")
    before = counted.inner_text()
    expect(counted).not_to_have_text(before)
    expect(stop).to_be_focused()

    began_s = time.monotonic()
    opened.page.keyboard.press("Enter")
    opened.wait_for_idle()

    assert time.monotonic() - began_s < AT_ONCE_S
    shown, error = what_is_left(opened)
    assert error.ename == "Stopped"
    assert "retry 1 of 4" not in str(shown)
    assert opened.outputs[1].strip().splitlines()[-1].startswith("Stopped: ")


def test_a_notebook_that_is_saved_meanwhile_keeps_its_words(
    waiting: Callable[..., Notebook],
) -> None:
    """Opened again, it has no place for a widget that is gone."""
    opened = waiting()
    button(opened, "Stop").wait_for()
    opened.save()

    assert "widget-view" not in str(opened.saved.cells)
    assert "Rate limit (429)" in opened.saved.cells[1].outputs[0].data["text/plain"]
    button(opened, "Stop").click()
    opened.wait_for_idle()


def boxes(*elements: Locator) -> list[Any]:
    """Return where elements are; one that is just being drawn anew is nowhere."""
    while not all(found := [each.bounding_box() for each in elements]):
        pass
    return found


def test_while_text_comes_stop_takes_no_room(
    notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """It stands beside the text: nothing jumps when it comes, nor when it goes."""
    answer = Answer(chunks=("word ",) * 300, between_chunks=lambda _: time.sleep(0.05))
    model_server.script(answer)
    load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
    prompt = f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key\nHi"
    opened = notebook(load, prompt)
    opened.run_all()
    opened.output(1).get_by_text("word word").wait_for()
    button(opened, "Stop").wait_for()
    text, stop = opened.output(1).locator("p").first, button(opened, "Stop")
    beside, area, words = boxes(stop, opened.output(1), text)
    assert beside["x"] + beside["width"] <= words["x"]
    assert beside["y"] + beside["height"] <= area["y"] + area["height"] + 1

    stop.click()

    shown, error = what_is_left(opened)
    assert error.ename == "Stopped"
    assert shown.data["text/plain"].startswith("word word")


def test_everybody_can_use_them(
    waiting: Callable[..., Notebook], axe: Callable[[Page, str], list[str]]
) -> None:
    opened = waiting()
    button(opened, "Stop").wait_for()

    assert axe(opened.page, ".llm-wait") == []
    button(opened, "Stop").click()
    opened.wait_for_idle()


def test_without_a_way_past_the_cell_the_wait_is_plain(waiting: Callable[..., Notebook]) -> None:
    """A setting of JupyterLab; with other front ends it is always so."""
    opened = waiting("() => { jupyterapp.serviceManager.kernels.commsOverSubshells = 'disabled'; }")
    opened.output(1).get_by_text(f"in {WAIT_S - 7} s").wait_for()
    assert opened.output(1).get_by_role("button").count() == 0
    assert "Stop it with the interrupt button." in opened.outputs[1]

    opened.command("notebook:interrupt-kernel")

    shown, error = what_is_left(opened)
    assert (shown.output_type, error.ename) == ("display_data", "Stopped")
