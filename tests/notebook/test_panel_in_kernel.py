"""The settings panel in a real kernel: opening it, and a test that runs beside the cells."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from kernel import PATIENCE_S
from list_server import ListServer, Told
from model_server import Answer, Refuse

from openhands_llm_magic.notebook.panel.panel import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Front, Kernel, Ran
    from model_server import ModelServer

THE_PANEL = """
import time
import ipywidgets

panel = get_ipython().magics_manager.registry["LLMMagics"]._panel
until_s = time.monotonic() + 20
"""


@pytest.fixture
def buttons(kernel: Kernel) -> dict[str, str]:
    """Each button of the opened panel with its model's id."""
    kernel.run("%llm_config")
    kernel.run(THE_PANEL)
    found = kernel.run(
        "import ipywidgets.widgets.widget as alive\n"
        "for each in alive._instances.values():\n"
        "    if isinstance(each, ipywidgets.Button): print(f'{each.description}={each.model_id}')"
    )
    return dict(line.split("=") for line in found.stdout.splitlines())


@pytest.fixture
def holding(kernel: Kernel, model_server: ModelServer) -> Iterator[threading.Event]:
    """Settings that lead to a server which stops in its answer, until the test is over.

    It gives the event that the answer has begun.
    """
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        begun.set()
        go_on.wait(PATIENCE_S)

    model_server.script(Answer("OK and more", between_chunks=hold))
    kernel.run(f"%llm_config model=openai/m base_url={model_server.openai_base}")
    kernel.run("key = 'sk-canary-' + '0123456789'\n%llm_config api_key=$key")
    yield begun
    go_on.set()


def shown_in_test(kernel: Kernel, words: str) -> Ran:
    """Wait in a cell until the panel's test shows some words; the cell prints whether it did."""
    shown = f"{words!r} in panel.connection._steps.value"
    wait = f"while not {shown} and time.monotonic() < until_s: time.sleep(0.01)"
    return kernel.run(f"{wait}\nprint({shown})")


@pytest.mark.parametrize("front", ["lab", "nobody"])
def test_it_opens_in_a_notebook(kernel: Kernel, front: Front) -> None:
    """Its text never changes, so that a notebook compares equal; opened again, it is the same.

    Where nobody watches there is only the text: a saved widget without its kernel is an error.
    """
    opened = [kernel.run("%llm_config", front).outputs for _ in range(2)]
    assert opened[0] == opened[1]
    *above, bundle = opened[0]
    assert len(above) == (front == "lab")  # what is said when the widget is gone
    assert bundle["text/plain"] == PLAIN
    assert ("application/vnd.jupyter.widget-view+json" in bundle) == (front == "lab")


def test_a_console_gets_the_table_and_a_hint(kernel: Kernel) -> None:
    shown = kernel.run("%llm_config", "console")
    assert shown.outputs == []
    assert "num_retries" in shown.stdout
    assert "In a notebook this is a panel." in shown.stdout


OPEN_WITHOUT_A_KERNEL = """
import sys
from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.notebook.panel.panel import Panel

panel = Panel(LLMSettings())
panel.basic._providers.value = "bedrock"
assert len(panel.field("model").control.options) > 10
print([name for name in sys.modules if name.split(".")[0] in ("litellm", "keyring", "tornado")])
"""


def test_opening_it_imports_neither_litellm_nor_a_keyring() -> None:
    """Nor does the list of models, which is LiteLLM's."""
    command = [sys.executable, "-c", OPEN_WITHOUT_A_KERNEL]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert ran.stdout == "[]\n"


def test_a_later_cell_shows_in_the_panel(kernel: Kernel) -> None:
    kernel.run("%llm_config")
    kernel.run(THE_PANEL)
    kernel.run("%llm_config num_retries=2")
    shown = kernel.run("print(panel.retries._preview.value)").stdout
    assert "5 s, 10 s: gives up after 15 s" in shown


def test_nothing_of_a_test_lands_in_a_cell(
    kernel: Kernel, holding: threading.Event, buttons: dict[str, str]
) -> None:
    """A click comes back at once; a cell that runs meanwhile has its own output alone."""
    clicked = kernel.click(buttons["Test"])
    assert holding.wait(PATIENCE_S)
    meanwhile = kernel.run("print('mine')")
    stopping = kernel.click(buttons["Stop"])
    after = shown_in_test(kernel, "stopped")
    assert (meanwhile.stdout, after.stdout) == ("mine\n", "True\n")
    for ran in (meanwhile, after):
        kinds = {message["header"]["msg_type"] for message in ran.messages}
        assert kinds == {"status", "execute_input", "stream"}
    for ran in (clicked, stopping):
        assert ran.contents("stream", "error", "display_data") == []
    ended = (clicked, meanwhile, stopping, after)
    assert "sk-canary" not in "".join(ran.everything for ran in ended)


def test_nothing_of_a_list_of_models_lands_in_a_cell(
    kernel: Kernel, buttons: dict[str, str]
) -> None:
    """It is asked for on a thread; the field offers it while a cell runs."""
    with ListServer({"/v1/models": Told({"data": [{"id": "qwen3"}]})}) as server:
        kernel.run(f"%llm_config model=hosted_vllm/x base_url={server.address}/v1")
        clicked = kernel.click(buttons["List the server's models"])
        offered = "panel.field('model').control.options == ('hosted_vllm/qwen3',)"
        ran = kernel.run(
            f"while not {offered} and time.monotonic() < until_s: time.sleep(0.01)\n"
            f"print({offered})"
        )
    assert ran.stdout == "True\n"
    assert {message["header"]["msg_type"] for message in ran.messages} == {
        "status", "execute_input", "stream"
    }  # fmt: skip
    assert clicked.contents("stream", "error", "display_data") == []


def test_a_click_while_a_cell_runs_does_no_harm(kernel: Kernel, buttons: dict[str, str]) -> None:
    """Whenever the kernel lets it through, it has its effect, and none on the cell's output."""
    kernel.run("panel.field('num_retries').control.value = '3'")
    clicks: list[str] = []

    def click(message: dict[str, Any]) -> None:
        if message["header"]["msg_type"] == "stream" and not clicks:
            clicks.append(kernel.send_click(buttons["Apply to this session"]))

    ran = kernel.run(
        "import time; print('begun', flush=True); time.sleep(0.3); print('ended')",
        on_message=click,
    )
    assert (ran.stdout, ran.error) == ("begun\nended\n", None)
    in_force = kernel.run(
        "get_ipython().magics_manager.registry['LLMMagics']._settings.num_retries"
    )
    assert in_force.outputs[0]["text/plain"] == "3"


def type_key(kernel: Kernel) -> None:
    """Type a key into the panel's field and press Set there."""
    field = kernel.run("print(panel.field('api_key').control.model_id)").stdout.strip()
    content = {"type": "secret", "value": "sk-canary-0123456789abcdef"}
    kernel.send_to_widget(field, {"method": "custom", "content": content})


def test_a_cell_that_fails_says_what_waits_in_the_panel(
    kernel: Kernel, model_server: ModelServer, buttons: dict[str, str]
) -> None:
    """A key that was set there is named in place of the advice to set one; then it works."""
    model_server.script(Answer("Hello"))
    kernel.run(f"%llm_config model=openai/m base_url={model_server.openai_base}")
    type_key(kernel)
    failed = kernel.run("%%llm\nHi")
    assert failed.error == (
        "MissingKeyError: the API key that was set in the panel is not in force yet: press “Apply"
        " to this session” there."
    )
    kernel.click(buttons["Apply to this session"])
    ran = kernel.run("%%llm\nHi")
    assert (ran.error, model_server.count) == (None, 1)
    model_server.script(Refuse(401))
    kernel.run("panel.field('num_retries').control.value = '3'")
    failed = kernel.run("%%llm\nHi")
    assert str(failed.error).endswith(
        " Not applied yet in the panel: Number of retries. Press “Apply to this session” there if"
        " they are meant."
    )
    kernel.click(buttons["Apply to this session"])  # the panel outlives the test


def test_a_click_does_not_overtake_what_was_typed_before_it(
    kernel: Kernel, buttons: dict[str, str]
) -> None:
    """Both are taken in order and past a running cell, whatever thread last used which widget."""
    field = kernel.run("print(panel.field('num_retries').control.model_id)").stdout.strip()
    subshell = kernel.new_subshell()
    sent: list[str] = []

    def type_and_click(message: dict[str, Any]) -> None:
        if message["header"]["msg_type"] == "stream" and not sent:
            typed = {"method": "update", "state": {"value": "3"}, "buffer_paths": []}
            sent.append(kernel.send_to_widget(field, typed, subshell))
            sent.append(kernel.send_click(buttons["Apply to this session"], subshell))

    ran = kernel.run(
        "settings = get_ipython().magics_manager.registry['LLMMagics']._settings\n"
        "print('begun', flush=True)\n"
        "while settings.num_retries != 3 and time.monotonic() < until_s: time.sleep(0.01)\n"
        "print(settings.num_retries)",
        on_message=type_and_click,
    )
    assert (ran.stdout, ran.error) == ("begun\n3\n", None)


def test_it_speaks_the_language_of_the_session(kernel: Kernel) -> None:
    """The one that was chosen in it, also in cells, or that a cell or a variable sets."""
    kernel.run("%env LLM_MAGIC_LANG=en\n%llm_config")
    kernel.run(f"{THE_PANEL}\npanel._languages.value = 'ja'")
    assert "プロンプトが空です" in str(kernel.run("%llm").error)
    kernel.run("%llm_config --reset language")
    assert kernel.run("print(panel.language)").stdout == "en\n"
    kernel.run("%llm_config language=ja")
    assert kernel.run("print(panel.language, panel._languages.value)").stdout == "ja ja\n"
    kernel.run("%llm_config language=none")
    kernel.run("%env LLM_MAGIC_LANG=ja")
    told = kernel.run("print(panel.language, panel._languages.label)").stdout
    assert told == "en As the system: English\n"
    kernel.run("%env LLM_MAGIC_LANG=")
    kernel.run("%llm_config --reset language")


def test_a_panel_that_was_closed_opens_anew(kernel: Kernel) -> None:
    """The user's own `close_all` takes every widget away."""
    kernel.run("%llm_config")
    kernel.run("import ipywidgets; ipywidgets.Widget.close_all()")
    assert kernel.run("%llm_config num_retries=3").error is None
    kernel.run("%llm_config")
    shown = kernel.run(f"{THE_PANEL}\nprint(panel.field('num_retries').control.value)")
    assert shown.stdout == "3\n"
