"""What a notebook shows in JupyterLab that was saved and is opened again, or shown elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server import Answer, ModelServer, Refuse
from playwright.sync_api import expect

if TYPE_CHECKING:
    from browser.conftest import OpenNotebook

LOAD = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"


def test_a_notebook_saved_in_a_wait_shows_its_words_when_opened_again(
    notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """And no "Error displaying widget", whether widgets' state is saved or not."""
    model_server.script(Refuse(429, {"retry-after": "30"}, message="Slow down."), Answer())
    prompt = f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key\nHi"
    opened = notebook(LOAD, prompt)
    opened.run_all()
    opened.output(1).get_by_text("Rate limit (429)").wait_for()
    opened.output(1).get_by_role("button", name="Stop").wait_for()
    opened.save()
    opened.command("notebook:interrupt-kernel")
    opened.wait_for_idle()

    opened.reload(new_kernel=True)

    expect(opened.output(1)).to_contain_text("Rate limit (429)")
    expect(opened.output(1)).not_to_contain_text("Error displaying widget")


def test_the_panel_of_a_saved_notebook_says_how_to_open_it(notebook: OpenNotebook) -> None:
    """While it is there, that is not said; when its kernel is gone, nothing else is."""
    opened = notebook(LOAD, "%llm_config")
    opened.run_all()
    opened.output(1).locator(".llm-panel").wait_for()
    opened.wait_for_idle()
    hint = opened.output(1).get_by_text("Run this cell again to open the panel.")
    expect(hint).to_be_hidden()
    opened.save()

    opened.reload(new_kernel=True)

    expect(hint).to_be_visible()
    expect(opened.output(1).get_by_text("Error displaying widget")).to_be_hidden()


def test_an_output_widget_shows_the_answer(
    notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """Where updates of an output are dropped; also of a function that a slider calls."""
    model_server.script(lambda _: Answer("Hello *there*."))
    ask = f"%llm -m openai/test --base-url {model_server.openai_base} --api-key $key Hi"
    opened = notebook(
        f"{LOAD}\nimport ipywidgets as w",
        f"out = w.Output()\ndisplay(out)\nwith out:\n    {ask}",
        f"def ask(x):\n    {ask}\nw.interact(ask, x=3);",
        f"said = w.Output()\n@said.capture()\ndef ask():\n    {ask}\nask()\nsaid",
    )
    opened.run_all()
    opened.wait_for_idle()
    for cell in (1, 2, 3):
        expect(opened.output(cell).locator("em")).to_have_text("there")
        expect(opened.output(cell)).not_to_contain_text("asking")


def test_an_error_has_no_empty_output_above_it(
    notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """It begins where the output of another cell that fails does."""
    model_server.script(Refuse(401))
    ask = f"%llm -m openai/test --base-url {model_server.openai_base} --api-key $key Hi"
    opened = notebook(LOAD, ask, "raise ValueError")
    for cell in (0, 1, 2):
        opened.run(cell)
        opened.wait_for_idle()

    def above(cell: int) -> float:
        shown = opened.output(cell)
        error = shown.locator(".jp-OutputArea-output pre").last
        top: float = error.bounding_box()["y"] - shown.bounding_box()["y"]
        return top

    assert abs(above(1) - above(2)) < 3
