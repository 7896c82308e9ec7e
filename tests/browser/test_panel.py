"""The settings panel in JupyterLab: keys, keyboard, looks, and a model set up, tested and saved."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from browser.lab import DARK, LIGHT, Notebook
from browser.picture import ELSEWHERE, LANGUAGES, LOADED, SPEAKS, THEMES, hide_active_cell, take
from list_server import ListServer, Told
from model_server import Refuse
from playwright.sync_api import expect

from openhands_llm_magic.config.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from browser.conftest import OpenNotebook
    from model_server import ModelServer
    from playwright.sync_api import Locator, Page

    OpenPanel = Callable[..., Notebook]

LOAD = "%load_ext openhands_llm_magic"
JAPANESE = "import os; os.environ['LLM_MAGIC_LANG'] = 'ja'"
LITELLM = """
from openhands_llm_magic.llm.litellm import loading
loading.load_in_background().join()
"""
"""What a kernel begins with to have loaded LiteLLM, which takes seconds, before anything asks."""

LONG_WAIT = "import os; os.environ['LLM_RETRY_MIN_WAIT'] = '30'"
"""Makes a wait last, however slow the machine is."""

KEY = "sk-canary-0123456789abcdef"
TALL = 3_800
"""CSS pixels of a window that shows the panel whole, with everything open."""


@pytest.fixture
def opened(notebook: OpenNotebook) -> OpenPanel:
    """Opens a notebook with the panel in its last cell."""

    def open_panel(*before: str, **options: Any) -> Notebook:
        made = notebook(*before, LOAD, "%llm_config", **options)
        made.run_all()
        panel(made).get_by_role("button", name="Test", exact=True).or_(
            panel(made).get_by_role("button", name="テスト", exact=True)
        ).wait_for()
        made.wait_for_idle()
        return made

    return open_panel


def panel(notebook: Notebook) -> Locator:
    """Find the panel."""
    return notebook.page.locator(".llm-panel")


def press(notebook: Notebook, name: str) -> None:
    """Press one of its buttons."""
    panel(notebook).get_by_role("button", name=name, exact=True).click()


def choose(notebook: Notebook, provider: str) -> None:
    """Choose a provider, and wait until the panel has its guide and a model of it."""
    entry = PROVIDERS[provider]
    panel(notebook).get_by_label("Provider", exact=True).select_option(label=entry.title)
    panel(notebook).get_by_text(entry.guide).wait_for()
    model = panel(notebook).get_by_label("Model", exact=True)
    expect(model).to_have_value(re.compile(f"^{entry.prefix}"))


def restart(notebook: Notebook) -> None:
    """Restart the kernel, without being asked whether one is sure."""
    notebook.page.evaluate(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    notebook.wait_for_idle()


@pytest.mark.parametrize("save_widget_state", [True, False])
def test_a_typed_key_is_in_no_file(opened: OpenPanel, save_widget_state: bool) -> None:
    """Neither while it is typed nor after: notebook, checkpoint, history and logs are searched."""
    made = opened(save_widget_state=save_widget_state)
    choose(made, "openai")
    field = panel(made).get_by_role("textbox", name="API key", exact=True)
    field.press_sequentially(KEY)
    panel(made).get_by_role("button", name="Show API key").click()
    made.save()
    assert field.input_value() == KEY
    assert made.lab.files_with(KEY) == []
    field.press("Enter")
    assert field.input_value() == ""
    panel(made).get_by_text("set here, not applied yet").wait_for()
    made.save()
    press(made, "Apply to this session")
    panel(made).get_by_text("set, from this session").wait_for()
    made.wait_for_idle()
    made.save()
    assert ("widgets" in made.saved.metadata) == save_widget_state
    assert made.lab.files_with(KEY) == []
    assert KEY not in made.page.content()
    assert made.errors == []


def test_a_model_is_set_up_tested_saved_and_loaded_again(opened: OpenPanel) -> None:
    """With the practice provider; after a restart of the kernel it comes from the file."""
    made = opened()
    choose(made, "practice")
    press(made, "Test")
    panel(made).get_by_text("It works.").wait_for()
    for step in ("Request", "First token", "Answer"):
        assert f"✓\t{step}" in panel(made).inner_text()
    press(made, "Save to config.toml …")
    panel(made).get_by_text('+model = "practice/echo"').wait_for()
    assert not (made.path.parent / "config.toml").exists()
    press(made, "Write the file")
    panel(made).get_by_text("Saved config.toml.").wait_for()
    assert (made.path.parent / "config.toml").read_text() == '[llm]\nmodel = "practice/echo"\n'
    restart(made)
    made.run_all()
    panel(made).get_by_text("from config.toml line 2").wait_for()
    assert panel(made).get_by_label("Model", exact=True).input_value() == "practice/echo"
    assert made.errors == []


def test_waits_are_counted_down_on_request_and_a_test_can_be_stopped(
    opened: OpenPanel, model_server: ModelServer
) -> None:
    """The notebook is free meanwhile: a cell runs during the wait, and has its own output."""
    model_server.script(Refuse(503))
    made = opened(
        LONG_WAIT, f"import os; os.environ['LLM_BASE_URL'] = '{model_server.openai_base}'"
    )
    model = panel(made).get_by_label("Model", exact=True)
    model.fill("hosted_vllm/x")
    model.press("Enter")
    panel(made).get_by_text("Not applied yet: Model").wait_for()
    again = panel(made).get_by_role("button", name="Try again with retries")
    expect(again).to_be_hidden()
    press(made, "Test")
    panel(made).get_by_text("the server failed (503").wait_for()
    again.click()
    waiting = panel(made).get_by_text("Server error (503): retry 1 of 4 in")
    waiting.wait_for()
    before = waiting.inner_text()
    made.run(0)
    made.wait_for_idle()
    assert "503" not in "".join(map(str, made.outputs[:2]))
    made.page.wait_for_function(
        "before => !document.querySelector('.llm-panel').innerText.includes(before)", arg=before
    )
    press(made, "Stop")
    panel(made).get_by_text("stopped before").wait_for()
    assert made.errors == []


def test_the_models_of_a_local_server_are_offered(opened: OpenPanel) -> None:
    """In the field's own list, and in words; the notebook is free meanwhile."""
    models = {"data": [{"id": "qwen3-coder"}, {"id": "gemma"}]}
    with ListServer({"/v1/models": Told(models)}) as server:
        made = opened()
        choose(made, "vllm")
        address = panel(made).get_by_label("Base URL", exact=True)
        address.fill(f"{server.address}/v1")
        address.press("Enter")
        panel(made).get_by_text("has these models: hosted_vllm/qwen3-coder").wait_for()
        model = panel(made).get_by_label("Model", exact=True)
        offered = model.evaluate("input => [...input.list.options].map(each => each.value)")
    assert offered == ["hosted_vllm/qwen3-coder", "hosted_vllm/gemma"]
    model.fill("hosted_vllm/another")
    model.press("Enter")
    panel(made).get_by_text("Not applied yet: Model, Base URL").wait_for()
    assert made.errors == []


REPOSITORY = """\
import os, pathlib, tempfile
os.chdir(tempfile.mkdtemp())
os.environ['OPENAI_API_KEY'] = 'sk-of-the-person-0123456789abcdef'
pathlib.Path('config.toml').write_text(
    '[llm]\\nmodel = "openai/x"\\nbase_url = "https://attacker.test/v1"\\n')"""
"""A cloned repository that names a server."""


def test_a_projects_file_is_trusted_by_a_button(opened: OpenPanel) -> None:
    """Until then it says where the key would go, and *Test* sends nothing there."""
    notebook = opened(REPOSITORY)
    asking = panel(notebook).get_by_text("config.toml line 3 leads to attacker.test")
    expect(asking.first).to_be_visible()
    press(notebook, "Test")
    expect(panel(notebook).get_by_text("OPENAI_API_KEY would go there").nth(1)).to_be_visible()
    press(notebook, "Trust this file")
    expect(panel(notebook).get_by_text("Trusted, with https://attacker.test:443.")).to_be_visible()
    expect(panel(notebook).get_by_role("button", name="Trust this file")).to_be_hidden()


def test_its_language_is_chosen_in_it(opened: OpenPanel) -> None:
    """All of it changes in its place, and what was edited stays."""
    made = opened()
    panel(made).get_by_label("Number of retries").fill("7")
    panel(made).get_by_text("Not applied yet: Number of retries").wait_for()
    languages = panel(made).get_by_label("Language", exact=True)
    languages.select_option(label="日本語")
    retries = panel(made).get_by_label("再試行回数")
    expect(retries).to_have_value("7")
    panel(made).get_by_role("button", name="テスト", exact=True).wait_for()
    panel(made).locator(".llm-language select").select_option(label="English")
    expect(panel(made).get_by_label("Number of retries")).to_have_value("7")
    expect(made.page.locator(".llm-panel")).to_have_count(1)
    assert made.errors == []


def test_a_bad_value_is_refused_at_its_field(opened: OpenPanel) -> None:
    made = opened()
    wait = panel(made).get_by_label("First wait (s)")
    wait.fill("soon")
    panel(made).get_by_text("retry_min_wait takes a whole number").wait_for()
    wait.fill("7")
    panel(made).get_by_text("7 s, 14 s, 28 s, 30 s: gives up after 79 s").wait_for()
    assert made.errors == []


ARROW = """() => {
    const style = getComputedStyle(document.querySelector(".llm-panel select"));
    return style.backgroundImage.includes(style.color);
}"""
"""Whether the arrow of a list can be read as well as its text."""

FOCUSED = """() => {
    const element = document.activeElement;
    if (!element.closest(".llm-panel")) return null;
    const style = getComputedStyle(element);
    const label = element.labels?.[0]?.innerText || element.innerText || "";
    return [label.trim(), style.outlineStyle !== "none" || style.boxShadow !== "none"];
}"""


def tab_to(page: Page, label: str, key: str = "Tab") -> None:
    """Press Tab until a control has the focus; each on the way shows that it has it."""
    for _ in range(40):
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        assert focused is None or focused[1], f"no visible focus: {focused[0]}"
        if focused and focused[0] == label:
            return
    raise AssertionError(f"the keyboard does not reach {label}")


def test_all_of_it_works_by_keyboard(opened: OpenPanel) -> None:
    """From the provider to the saved file, without a pointer."""
    made = opened()
    page = made.page
    tab_to(page, "API key")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    panel(made).get_by_text("set here, not applied yet").wait_for()
    tab_to(page, "Provider", "Shift+Tab")
    page.keyboard.type("Practice")
    model = panel(made).get_by_label("Model", exact=True)
    expect(model).to_have_value("practice/echo")
    made.wait_for_idle()  # what else the choice changes is sent after the model
    tab_to(page, "Model")
    page.keyboard.press("Control+A")
    page.keyboard.type("practice/busy")
    made.wait_for_idle()
    expect(model).to_have_value("practice/busy")
    tab_to(page, "Test")
    page.keyboard.press("Enter")
    panel(made).get_by_text("the server failed (503").wait_for()
    tab_to(page, "Try again with retries")
    page.keyboard.press("Enter")
    panel(made).get_by_text("It works.").wait_for()
    tab_to(page, "Stop", "Shift+Tab")
    tab_to(page, "Number of retries")
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    tab_to(page, "Advanced settings")
    page.keyboard.press("Space")
    panel(made).get_by_label("Temperature").wait_for()
    tab_to(page, "Search")
    page.keyboard.type("seed")
    panel(made).get_by_label("Temperature").wait_for(state="detached")
    tab_to(page, "Seed")
    page.keyboard.type("9")
    tab_to(page, "Save to config.toml …")
    page.keyboard.press("Enter")
    panel(made).get_by_text("+seed = 9").wait_for()
    tab_to(page, "Write the file")
    page.keyboard.press("Enter")
    panel(made).get_by_text("Saved config.toml.").wait_for()
    saved = (made.path.parent / "config.toml").read_text()
    written = {'model = "practice/busy"', "num_retries = 2", "seed = 9"}
    assert written <= set(saved.splitlines())
    made.save()
    cells = [cell.cell_type for cell in made.saved.cells]
    assert cells == ["code"] * 2, "a letter reached the notebook's shortcuts"
    assert made.errors == []


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_axe_finds_nothing_serious(
    opened: OpenPanel, axe: Callable[[Page, str], list[str]], theme: str
) -> None:
    """With all of it open, and errors, a diff, a warning and a finished test in sight."""
    made = opened(theme=theme, height=TALL)
    choose(made, "practice")
    press(made, "Test")
    panel(made).get_by_text("It works.").wait_for()
    choose(made, "azure")
    press(made, "Save to config.toml …")
    panel(made).get_by_text("This would change in config.toml:").wait_for()
    press(made, "Advanced settings")
    panel(made).get_by_label("Temperature").fill("9")
    panel(made).get_by_label("Seed").click()
    panel(made).get_by_text("Temperature takes a number from 0 to 2").wait_for()
    assert axe(made.page, ".llm-panel") == []


def test_a_probe_names_a_cure_and_a_button_sets_it(opened: OpenPanel, images: Path) -> None:
    """The estimate comes first, nothing is sent before it is agreed to, and the page is free."""
    made = opened(width=1_000, height=TALL)
    choose(made, "practice")
    model = panel(made).get_by_label("Model", exact=True)
    model.fill("practice/agent-writes")
    model.press("Enter")
    panel(made).get_by_text("Not applied yet: Model").wait_for()
    press(made, "Probe the model …")
    panel(made).get_by_text("up to 11 requests and about").wait_for()
    press(made, "Send them")
    panel(made).get_by_text("OpenHands SDK 1.58: it will do with a setting").wait_for()
    panel(made).get_by_text("its call came as text, unread").wait_for()
    (images / "panel-probe.png").write_bytes(made.picture(-1))
    press(made, "Use this")
    panel(made).get_by_text("Native tool calls is set here, not applied yet.").wait_for()
    panel(made).get_by_text("Not applied yet: Model, Native tool calls").wait_for()
    expect(panel(made).get_by_role("button", name="Use this")).to_be_hidden()
    press(made, "Advanced settings")
    tools = panel(made).get_by_label("Native tool calls")
    expect(tools).to_have_value("no")
    assert made.errors == []


def test_advice_on_retries_is_drawn_and_set(
    opened: OpenPanel,
    images: Path,
    model_server: ModelServer,
    axe: Callable[[Page, str], list[str]],
) -> None:
    """A test that meets a limit of a minute is enough to know better retries."""
    model_server.script(Refuse(429, {"retry-after": "60"}))
    made = opened(
        f"import os; os.environ['LLM_BASE_URL'] = '{model_server.openai_base}'",
        width=1_000,
        height=TALL,
    )
    model = panel(made).get_by_label("Model", exact=True)
    model.fill("hosted_vllm/x")
    model.press("Enter")
    panel(made).get_by_text("Not applied yet: Model").wait_for()
    press(made, "Test")
    panel(made).get_by_text("The server asks for 60 s: this package gives up").wait_for()
    expect(panel(made).locator(".llm-track")).to_have_count(6)
    (images / "panel-advice.png").write_bytes(made.picture(-1))
    assert axe(made.page, ".llm-panel") == []
    press(made, "Use this")
    expect(panel(made).get_by_label("Number of retries")).to_have_value("8")
    expect(panel(made).get_by_role("button", name="Use this")).to_be_hidden()
    panel(made).get_by_text("Not applied yet: Model, Number of retries").wait_for()
    assert made.errors == []


@pytest.mark.parametrize("language", ["en", "ja"])
def test_nothing_scrolls_sideways_at_600_pixels(opened: OpenPanel, language: str) -> None:
    before = [JAPANESE] if language == "ja" else []
    made = opened(*before, width=600, height=TALL)
    advanced = "Advanced settings" if language == "en" else "詳細設定"
    press(made, advanced)
    made.wait_for_idle()
    widths = made.page.evaluate(
        """() => [".llm-panel", ".jp-OutputArea"].map(each => {
            const all = [...document.querySelectorAll(each)];
            return Math.max(...all.map(one => one.scrollWidth - one.clientWidth));
        })"""
    )
    assert widths == [0, 0]
    beyond = made.page.evaluate(
        """() => {
            const panel = document.querySelector(".llm-panel");
            const edge = panel.getBoundingClientRect().right;
            return [...panel.querySelectorAll("input, select, textarea, button, .widget-html")]
                .filter(one => one.getBoundingClientRect().right > edge + 1)
                .map(one => one.outerHTML);
        }"""
    )
    assert beyond == []


@pytest.mark.parametrize("language", ["en", "ja"])
def test_labels_are_whole_and_a_fields_buttons_level(opened: OpenPanel, language: str) -> None:
    """And no tooltip is "null"."""
    before = [JAPANESE] if language == "ja" else []
    made = opened("%env LLM_MODEL=bedrock/x", *before, height=TALL)
    key = panel(made).locator(".llm-secret-input").first
    key.fill(KEY)
    key.press("Enter")
    press(made, "Advanced settings" if language == "en" else "詳細設定")
    panel(made).get_by_text("seed", exact=True).wait_for()
    cut = panel(made).evaluate(
        """panel => [...panel.querySelectorAll("label")]
            .filter(one => one.scrollWidth > one.clientWidth + 1)
            .map(one => one.innerText)"""
    )
    tops = panel(made).evaluate(
        """panel => [...panel.querySelector(".llm-field:has(.llm-secret)")
            .querySelectorAll("input, button")]
            .filter(one => one.offsetParent)
            .map(one => Math.round(one.getBoundingClientRect().top))"""
    )
    assert cut == []
    assert len(set(tops)) == 1 < len(tops)
    expect(panel(made).locator("[title=null]")).to_have_count(0)


def test_where_the_keys_field_cannot_load_the_panel_says_so(notebook: OpenNotebook) -> None:
    """And the rest of it works."""
    made = notebook(LOAD, "%llm_config")
    made.page.route("**/anywidget/**", lambda route: route.abort())
    made.reload()
    made.run_all()
    told = (
        panel(made)
        .get_by_text("Run %llm_config api_key in a cell")
        .or_(panel(made).get_by_text("Run `%llm_config api_key` in a cell"))
    )
    told.wait_for()
    choose(made, "practice")
    press(made, "Test")
    panel(made).get_by_text("It works.").wait_for()


@pytest.mark.parametrize(("language", "below"), [("en", "Number of retries"), ("ja", "再試行回数")])
def test_the_panel_is_pictured(
    notebook: OpenNotebook, images: Path, language: str, below: str
) -> None:
    """At home in both themes. What is below the schedule of retries would be too small to read."""
    begin = SPEAKS.format(language) + LOADED + LITELLM
    made = notebook("%llm_config", ELSEWHERE, startup=begin, height=2_000)
    made.run_all()
    providers = panel(made).locator("select").nth(2)  # after the language and the groups
    providers.select_option(index=list(PROVIDERS).index("practice"))
    panel(made).locator(".llm-edited").first.wait_for()
    panel(made).locator(".llm-trial button").first.click()
    panel(made).locator(".llm-good").wait_for()
    made.page.evaluate("() => document.activeElement.blur()")
    made.select(1)
    hide_active_cell(made)
    area = made.area(0, 0)
    area["height"] = panel(made).get_by_label(below).bounding_box()["y"] - 4 - area["y"]
    for theme, suffix in THEMES.items():
        made.theme = theme
        take(made, area).save(images / f"panel{LANGUAGES[language]}{suffix}.png")
        background = made.page.evaluate(
            "() => getComputedStyle(document.querySelector('.llm-panel input')).backgroundColor"
        )
        assert (background == "rgb(255, 255, 255)") == (theme == LIGHT)
        assert made.page.evaluate(ARROW)
    assert made.errors == []
