"""The settings panel, worked without a browser."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import ipywidgets
import pytest
from list_server import ListServer, Told
from model_server import Answer, Refuse
from pairs import in_turn
from panel_driver import PATIENCE_S, Driver

from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.served import Place
from openhands_llm_magic.llm.spending import ledger
from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import Ledger
from openhands_llm_magic.notebook.panel import usage
from openhands_llm_magic.notebook.panel.parts import with_code

if TYPE_CHECKING:
    from pathlib import Path

    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.setting import Setting

KEY = "sk-canary-0123456789abcdef"


def test_every_setting_has_one_field() -> None:
    """In Basic, among the retries, or in Advanced; its control fits its kind."""
    driver = Driver()
    driver.type("Advanced settings", True)
    labels = driver.labels
    for setting in SETTINGS.values():
        assert labels.count(setting.title) == 1, setting.name


def test_each_field_says_what_it_is_for_and_where_its_value_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("[llm]\nretry_max_wait = 20\n")
    monkeypatch.setenv("LLM_RETRY_MAX_WAIT", "40")
    text = Driver().text
    assert SETTINGS["retry_max_wait"].help in text
    assert "from LLM_RETRY_MAX_WAIT; instead of 20 (config.toml line 2)" in text
    assert "num_retries  default" in text


def test_a_choice_of_a_provider_sets_up_its_model_and_asks_for_the_rest() -> None:
    driver = Driver()
    driver.choose("Azure OpenAI")
    assert driver.control("Model").value == "azure/"
    assert {"Base URL", "API version", "API key"} <= set(driver.labels)
    assert PROVIDERS["azure"].guide in driver.text
    assert PROVIDERS["azure"].mistake in driver.text
    assert "has no name after its provider" in driver.text
    driver.choose("Google Vertex AI")
    assert {"Vertex project", "Vertex location"} <= set(driver.labels)
    driver.choose("vLLM on this machine")
    assert driver.control("Base URL").value == "http://localhost:8000/v1"
    driver.choose("OpenAI")
    assert "Base URL" not in driver.labels
    assert driver.panel.draft.snapshot().base_url is None


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_a_chosen_provider_stays_chosen(provider: Provider) -> None:
    """Also where several have the same prefix and the address is still to be written."""
    driver = Driver()
    driver.choose(provider.title)
    assert driver.control("Provider").value == provider.name
    assert with_code(provider.guide) in [
        line
        for each in driver.widgets
        if isinstance(each, ipywidgets.HTML)
        for line in each.value.split("<br>")
    ]


def test_an_empty_field_shows_the_usual_form_of_its_value() -> None:
    driver = Driver()
    driver.choose("Azure OpenAI")
    assert driver.control("API version").placeholder == "2024-10-21"
    assert driver.control("Base URL").placeholder == PROVIDERS["azure"].base_url_form
    driver.type("Advanced settings", True)
    assert driver.control("Deadline (s)").placeholder == "a number, 1 or more, or none"


@pytest.mark.parametrize(
    "setting", [each for each in SETTINGS.values() if each.example], ids=lambda each: each.name
)
def test_an_example_is_a_value_that_the_setting_takes(setting: Setting) -> None:
    assert setting.from_text(setting.example) is not None


def test_the_models_to_choose_from_are_the_providers() -> None:
    """Verified ones first, and of these the newest; another one can be typed."""
    driver = Driver()
    driver.choose("OpenAI")
    offered = driver.control("Model").options
    verified = PROVIDERS["openai"].verified_models
    assert {*offered[: len(verified)]} == {*verified}
    assert driver.control("Model").value == offered[0] == "openai/gpt-6.1-sol"
    assert "openai/gpt-4o" in offered
    told = (
        r"OpenHands lists as verified \(2025-05-07\): openai/o3-mini \(its maker ends it on .*\),"
    )
    assert re.search(told, driver.text)
    assert re.search(r"OpenHands SDK 1.58.2 lists as verified \(2026-10-25\): .+ …", driver.text)
    driver.type("Model", "openai/gpt-99")
    assert driver.panel.draft.snapshot().model == "openai/gpt-99"


MODELS = {"data": [{"id": "qwen3"}, {"id": "gemma"}]}


def test_a_server_on_this_machine_is_asked_for_its_models(clock: FakeClock) -> None:
    """As soon as the settings lead to it; any other name can still be typed."""
    with ListServer({"/v1/models": Told(MODELS)}) as server:
        driver = Driver(clock)
        driver.choose("vLLM on this machine")
        driver.wait()
        driver.type("Base URL", f"{server.address}/v1")
        driver.wait()
        assert driver.control("Model").options == ("hosted_vllm/qwen3", "hosted_vllm/gemma")
        told = f"{server.address}/v1 has these models: hosted_vllm/qwen3, hosted_vllm/gemma"
        assert told in driver.text
        driver.type("Model", "hosted_vllm/other")
        driver.type("Number of retries", "3")
        assert driver.control("Model").options == ("hosted_vllm/qwen3", "hosted_vllm/gemma")
    assert len(server.asked) == 1
    driver.choose("Mistral")
    assert "has these models" not in driver.text
    assert "hosted_vllm/qwen3" not in driver.control("Model").options


def test_a_server_elsewhere_is_asked_when_the_button_is_pressed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be anybody's, and gets the key."""
    monkeypatch.setattr(Place, "is_on_this_machine", False)
    with ListServer({"/v1/models": Told(MODELS)}) as server:
        driver = Driver()
        driver.choose("A server compatible with OpenAI")
        driver.type("Base URL", f"{server.address}/v1")
        driver.key(KEY)
        driver.wait()
        assert server.asked == []
        driver.press("List the server's models")
        driver.wait()
        assert driver.control("Model").options == ("openai/qwen3", "openai/gemma")
        assert server.asked[0][1]["authorization"] == f"Bearer {KEY}"


def test_a_server_that_tells_no_models_is_told_in_one_line() -> None:
    driver = Driver()
    driver.choose("vLLM on this machine")
    with ListServer({}) as server:
        driver.type("Base URL", f"{server.address}/v1")
        driver.wait()
        told = f"{server.address}/v1 does not tell its models: it refuses (404: Not Found)."
        assert told in driver.text
    driver.choose("Google Vertex AI")
    assert "List the server's models" not in [each.description for each in driver.buttons]


def test_an_unlisted_provider_can_be_typed() -> None:
    driver = Driver()
    driver.type("Model", "cerebras/llama")
    assert driver.control("Provider").label == "Another provider"
    assert {"Base URL", "Custom provider"} <= set(driver.labels)


def test_a_bad_value_is_refused_at_its_field_and_nothing_is_applied(
    model_server: ModelServer,
) -> None:
    """Test, Apply, Save and Copy all name the field; the text stays to be corrected."""
    driver = Driver()
    driver.type("Number of retries", "many")
    driver.type("First wait (s)", "7")
    assert driver.text.count("Number of retries takes a whole number, 0 or more, not 'many'") == 1
    for button in ("Test", "Apply to this session", "Save to config.toml …", "Copy docker flags"):
        driver.press(button)
        assert "Correct first: Number of retries" in driver.text
    assert driver.control("Number of retries").value == "many"
    assert driver.settings.snapshot().retry_min_wait == 5
    assert model_server.count == 0
    driver.press("Put back Number of retries")
    assert driver.control("Number of retries").value == "4"
    driver.press("Apply to this session")
    assert driver.settings.snapshot().retry_min_wait == 7


def test_what_is_typed_is_not_rewritten_while_it_means_the_same() -> None:
    """The preview follows each keystroke."""
    driver = Driver()
    driver.type("Multiplier", "3.")
    assert driver.control("Multiplier").value == "3."
    assert "5 s, 15 s, 30 s, 30 s: gives up after 80 s" in driver.text


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({}, "5 s, 10 s, 20 s, 30 s: gives up after 65 s"),
        ({"Number of retries": "0"}, "no retry: gives up at the first failure"),
        ({"Number of retries": "20"}, "… (20 retries): gives up after 545 s"),
        ({"Number of retries": "1000000000"}, "more than 1000 retries"),
        ({"Multiplier": "1e308", "Number of retries": "3"}, "5 s, 30 s, 30 s: gives up after 65 s"),
    ],
)
def test_the_schedule_is_previewed(edits: dict[str, str], words: str) -> None:
    driver = Driver()
    for label, value in edits.items():
        driver.type(label, value)
    assert words in driver.text


def test_what_openhands_would_wait_is_said_where_it_differs() -> None:
    driver = Driver()
    assert "It would do: 5 s, 5 s, 8 s: gives up after 18 s" in driver.text
    driver.type("Number of retries", "0")
    assert "It would do" not in driver.text


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            "hosted_vllm/m",
            "three times: 0.5 s, 1 s, 2 s, 0.5 s, 1 s, 4 s, 0.5 s, 1 s: gives up after 10.5 s.",
        ),
        ("anthropic/m", ""),
    ],
)
def test_the_preview_knows_the_path_of_openhands_0_41(model: str, told: str) -> None:
    """OpenAI's client makes retries of its own below those of OpenHands."""
    driver = Driver()
    driver.type("Model", model)
    for label, value in {
        "Number of retries": "3",
        "First wait (s)": "1",
        "Longest wait (s)": "4",
    }.items():
        driver.type(label, value)
    assert "It would do: 2 s, 4 s: gives up after 6 s" in driver.text
    more = "OpenHands 0.41 waits as long between its attempts, and 4.5 s more within them"
    assert (more in driver.text) == bool(told)
    assert told in driver.text


def test_the_search_finds_by_name_variable_and_help() -> None:
    driver = Driver()
    driver.type("Advanced settings", True)
    for searched, found in {
        "LLM_SEED": "Seed",
        "repeat answers": "Seed",
        "tokeni": "Tokenizer",
    }.items():
        driver.type("Search", searched)
        assert found in driver.labels
        assert "Temperature" not in driver.labels
    driver.type("Search", "zebra")
    assert "No other setting has this" in driver.text


def test_a_key_never_shows_and_is_in_no_state(at_server: Driver) -> None:
    """Neither before it is applied nor after."""
    for _ in range(2):
        assert "edited, not applied yet" in at_server.text or "this session" in at_server.text
        state = json.dumps(ipywidgets.Widget.get_manager_state(), default=str)
        assert "canary" not in state + repr(at_server.widgets) + at_server.text
        at_server.press("Apply to this session")
    assert at_server.settings.snapshot().api_key == Secret(KEY)
    assert "set, from this session" in at_server.text
    at_server.press("Clear API key")
    at_server.press("Apply to this session")
    assert at_server.settings.snapshot().api_key is None


def test_a_key_in_the_wrong_field_is_taken_out_of_it(at_server: Driver) -> None:
    """What stands in a plain field can be saved with the notebook."""
    at_server.type("Model", KEY)
    assert at_server.control("Model").value == "openai/gpt-4o"
    assert "looks like a key" in at_server.text


def test_the_providers_own_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    driver = Driver()
    driver.choose("OpenAI")
    assert "not set; OPENAI_API_KEY is set and is used" in driver.text


def test_a_test_is_told_step_by_step(at_server: Driver, model_server: ModelServer) -> None:
    """It sends one request under the settings shown, which are not yet in force."""
    model_server.script(Answer("OK.", usage=(7, 2)))
    at_server.test()
    assert "It works. · Answer: OK. · 9 tokens · local" in at_server.text
    for title in ("Key", "Address", "Request", "First token", "Answer"):
        assert title in at_server.text
    [received] = model_server.received
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert "canary" not in at_server.text
    assert at_server.settings.snapshot().api_key is None


def test_a_test_gives_its_verdict_at_once(
    at_server: Driver, model_server: ModelServer, clock: FakeClock
) -> None:
    """A rate limit's names the wait; what may pass is marked, and offers another attempt."""
    model_server.script(Refuse(429, headers={"retry-after": "20"}, message="Slow down."))
    at_server.test()
    assert "the server limits the rate (429: Slow down). It asks to wait 20 s" in at_server.text
    assert (model_server.count, clock.sleeps_s) == (1, [])
    [steps] = [each for each in at_server.widgets if "llm-steps" in each._dom_classes]
    assert "llm-passing" in steps.value
    model_server.script(Refuse(401))
    at_server.type("Number of retries", "0")
    at_server.test("Try again with retries")
    assert "llm-passing" not in steps.value


def test_a_test_counts_down_waits_and_says_what_to_change(
    at_server: Driver, model_server: ModelServer, clock: FakeClock
) -> None:
    seen: list[str] = []
    [steps] = [each for each in at_server.widgets if "llm-steps" in each._dom_classes]
    steps.observe(lambda change: seen.append(change["new"]), "value")
    model_server.script(Refuse(429, headers={"retry-after": "3"}), Refuse(401))
    at_server.test("Try again with retries")
    for second in (3, 2, 1):
        words = f"Rate limit (429): retry 1 of 4 in {second} s, as the server asks"
        assert any(words in text for text in seen)
    assert sum(clock.sleeps_s) == 3
    assert "the provider refused the key (401" in at_server.text
    assert "Set another API key" in at_server.text
    assert "or in the field API key" in at_server.text
    assert model_server.count == 2


def test_a_test_keeps_within_the_limit_that_is_set(at_server: Driver, clock: FakeClock) -> None:
    """And says why it waits."""
    seen: list[str] = []
    [steps] = [each for each in at_server.widgets if "llm-steps" in each._dom_classes]
    steps.observe(lambda change: seen.append(change["new"]), "value")
    at_server.type("Advanced settings", True)
    at_server.type("Requests a minute", "30")
    at_server.test()
    at_server.test()
    held = "Held back for {} s, to keep within requests_per_minute"
    for second in (3, 2):
        assert any(held.format(second) in text for text in seen)
    assert sum(clock.sleeps_s) == pytest.approx(2, rel=0.03)
    assert "It works." in at_server.text


def test_what_was_said_of_other_settings_is_taken_away(at_server: Driver, tmp_path: Path) -> None:
    """A result, a message and a question belong to the settings as they were shown then."""
    at_server.test()
    at_server.press("Apply to this session")
    assert "It works." in at_server.text
    assert "These settings are in force in this session." in at_server.text
    at_server.type("Number of retries", "2")
    assert "It works." not in at_server.text
    assert "These settings are in force" not in at_server.text
    at_server.press("Save to config.toml …")
    at_server.type("Number of retries", "3")
    assert "This would change" not in at_server.text
    assert not (tmp_path / "config.toml").exists()


def test_a_key_is_kept_in_the_keyring_and_taken_from_it(
    passwords: dict[tuple[str, str], str],
) -> None:
    """Each provider has its own."""
    driver = Driver()
    driver.choose("Mistral")
    driver.press("Keep the key in the keyring")
    assert "There is no API key to keep." in driver.text
    driver.press("Take the key from the keyring")
    assert "the keyring has no key for mistral" in driver.text
    driver.key(KEY)
    driver.press("Keep the key in the keyring")
    assert passwords == {("openhands-llm-magic", "mistral"): KEY}
    later = Driver()
    later.choose("Mistral")
    later.press("Take the key from the keyring")
    assert later.panel.draft.snapshot().api_key == Secret(KEY)
    assert KEY not in later.text


def test_another_provider_is_named_by_its_model() -> None:
    """There is nothing to set up; the line says what to write."""
    driver = Driver()
    driver.choose("Another provider")
    assert "as in cerebras/llama3.1-8b" in driver.text
    assert driver.control("Provider").value == "anthropic"


@pytest.mark.parametrize(
    ("after", "before"),
    in_turn(PROVIDERS, ["openai", "openai_compatible", "azure", "practice"]),
)
def test_a_prompt_goes_to_the_provider_that_is_shown(after: str, before: str) -> None:
    """Or nowhere, until the address is given that tells it apart."""
    driver = Driver()
    driver.choose(PROVIDERS[before].title)
    driver.choose(PROVIDERS[after].title)
    settings = driver.panel.draft.snapshot()
    shown = driver.control("Provider").value
    assert shown == after
    led_to = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    if led_to is not PROVIDERS[after]:
        assert "Write the base URL: without it, prompts and the key go to OpenAI." in driver.text
        for button in ("Test", "Apply to this session", "Copy docker flags"):
            driver.press(button)
        assert driver.settings.snapshot().origin("model").kind == "default"
        driver.type("Base URL", "https://gateway.example/v1")
        driver.press("Apply to this session")
        assert driver.settings.snapshot().base_url == "https://gateway.example/v1"
        assert driver.control("Provider").value == after


def test_what_was_typed_for_one_provider_does_not_go_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither its key nor the fields that are no longer shown; of other keys it is said."""
    driver = Driver()
    driver.choose("Azure OpenAI")
    driver.type("API version", "2024-06-01")
    driver.key(KEY)
    driver.choose("Mistral")
    settings = driver.panel.draft.snapshot()
    assert (settings.api_key, settings.api_version) == (None, None)
    assert "The key that was typed for Azure OpenAI was taken away." in driver.text
    monkeypatch.setenv("LLM_API_KEY", KEY)
    driver.choose("Groq")
    assert "The API key is still the one from LLM_API_KEY. Is it a key of Groq?" in driver.text


def test_what_leads_elsewhere_is_shown_as_that(tmp_path: Path) -> None:
    """A choice ends where an address, a provider's name or a group says otherwise."""
    (tmp_path / "config.toml").write_text(
        '[llm.local]\nmodel = "openai/m"\nbase_url = "http://localhost:30000/v1"\n'
    )
    driver = Driver()
    driver.choose("OpenAI")
    driver.panel.field("custom_llm_provider").control.value = "mistral"
    assert driver.control("Provider").value == "mistral"
    driver.panel.field("custom_llm_provider").control.value = ""
    for name in ("model", "custom_llm_provider"):
        driver.panel.draft.put_back(name)
    driver.type("Group", "local")
    assert driver.control("Provider").value == "sglang"


def test_a_file_that_changed_since_is_not_overwritten(at_server: Driver, tmp_path: Path) -> None:
    """What is written is what was shown."""
    file = tmp_path / "config.toml"
    file.write_text("[llm]\n")
    at_server.press("Save to config.toml …")
    file.write_text('[llm]\nmodel = "openai/y"\n')
    at_server.press("Write the file")
    assert "The file has changed meanwhile." in at_server.text
    assert '-model = "openai/y"' in at_server.text
    assert file.read_text() == '[llm]\nmodel = "openai/y"\n'
    at_server.press("Write the file")
    assert 'model = "openai/gpt-4o"' in file.read_text()


def test_a_new_group_says_that_the_variables_key_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_API_KEY", KEY)
    driver = Driver()
    driver.type("New group", "mine")
    driver.press("Duplicate")
    driver.press("Write the file")
    assert "The group has no key: it takes none from the environment." in driver.text


def test_a_created_group_has_the_files_values(tmp_path: Path) -> None:
    """Not those of the session or of variables."""
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "openai/a"\n')
    driver = Driver()
    driver.settings.change({"model": "openai/b"})
    driver.type("New group", "mine")
    driver.press("Create")
    assert "openai/b" not in driver.text.split("This would change")[1]


def test_a_refused_field_shows_also_when_the_rest_is_folded() -> None:
    driver = Driver()
    driver.type("Advanced settings", True)
    driver.type("Temperature", "9")
    driver.type("Advanced settings", False)
    assert "Temperature" in driver.labels
    driver.press("Put back Temperature")
    assert "Temperature" not in driver.labels


def test_what_is_not_applied_yet_is_listed() -> None:
    driver = Driver()
    driver.type("Number of retries", "\N{FULLWIDTH DIGIT THREE}")  # of input methods
    assert "Not applied yet: Number of retries" in driver.text
    driver.press("Apply to this session")
    assert "Not applied yet" not in driver.text
    assert driver.settings.snapshot().num_retries == 3


def test_a_model_that_a_line_sets_takes_the_place_of_the_one_that_was_chosen() -> None:
    """Nothing is left of the provider that was chosen before, as the test would be of that one."""
    driver = Driver()
    driver.choose("A server compatible with OpenAI")
    driver.type("Base URL", "http://localhost:1/v1")
    driver.settings.change({"model": "openai/gpt-4o"})
    driver.panel.refresh()
    assert driver.control("Provider").label == "OpenAI"
    assert driver.control("Model").value == "openai/gpt-4o"
    assert "Not applied yet" not in driver.text
    assert "edited, not applied yet" not in driver.text


def test_a_number_of_hundreds_of_digits_is_no_error() -> None:
    driver = Driver()
    driver.type("First wait (s)", "1" + "0" * 400)
    assert "30 s, 30 s, 30 s, 30 s: gives up after 120 s" in driver.text


def test_an_edit_during_a_test_ends_it(at_server: Driver, model_server: ModelServer) -> None:
    """What comes of it would be about other settings."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        begun.set()
        go_on.wait(PATIENCE_S)

    model_server.script(Answer("OK and more", between_chunks=hold))
    at_server.press("Test")
    assert begun.wait(PATIENCE_S)
    at_server.type("Number of retries", "3")
    go_on.set()
    at_server.wait()
    assert "It works." not in at_server.text
    assert "First token" not in at_server.text


def test_closing_takes_every_widget_away() -> None:
    alive = ipywidgets.widgets.widget._instances
    before = set(alive)
    driver = Driver()
    driver.type("Advanced settings", True)
    driver.panel.close()
    assert driver.panel.closed
    assert set(alive) - before == set()


def test_its_language_is_chosen_in_it(
    monkeypatch: pytest.MonkeyPatch, at_server: Driver, model_server: ModelServer
) -> None:
    """All of it is Japanese then, waits and errors too; what was edited stays."""
    monkeypatch.setenv("LLM_MAGIC_LANG", "en")
    alive = ipywidgets.widgets.widget._instances
    box, count = at_server.panel.box, len(alive)
    at_server.type("Number of retries", "3")
    at_server.type("Language", "ja")
    assert at_server.panel.box is box
    assert len(alive) == count
    assert at_server.control("モデル").value == "openai/gpt-4o"
    assert at_server.control("再試行回数").value == "3"
    assert "set here, not applied yet" not in at_server.text
    seen: list[str] = []
    [steps] = [each for each in at_server.widgets if "llm-steps" in each._dom_classes]
    steps.observe(lambda change: seen.append(change["new"]), "value")
    model_server.script(Refuse(429, headers={"retry-after": "1"}), Refuse(401))
    at_server.panel.connection.start(retries=True)
    at_server.wait()
    assert any("レート制限 (429): 1 秒後に再試行" in text for text in seen)
    assert "プロバイダーがキーを拒否しました" in at_server.text
    assert at_server.settings.language == "ja"  # what cells say of waits and errors, too
    assert os.environ["LLM_MAGIC_LANG"] == "en"
    at_server.type("言語 (Language)", "en")  # for who cannot read it
    assert "Number of retries" in at_server.labels


@pytest.mark.translations
def test_what_the_check_finds_is_said_in_its_language(
    monkeypatch: pytest.MonkeyPatch, at_server: Driver
) -> None:
    """What is wrong, and what OpenHands sends unasked."""
    monkeypatch.setenv("LLM_MAGIC_LANG", "en")
    at_server.type("Model", "x1")
    assert "the model 'x1' names no provider" in at_server.text
    assert "which nobody set" in at_server.text
    at_server.type("Language", "ja")
    assert "モデル 'x1' にプロバイダーがありません" in at_server.text
    assert "設定されていない" in at_server.text
    assert "names no provider" not in at_server.text
    assert "nobody set" not in at_server.text


def test_a_provider_stays_chosen_in_another_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a key that was typed for it would go to another that shares its prefix."""
    monkeypatch.setenv("LLM_MAGIC_LANG", "en")
    driver = Driver()
    driver.choose("SGLang on this machine")
    driver.type("Base URL", "")
    driver.key(KEY)
    driver.type("Language", "ja")
    assert driver.control("プロバイダー").value == "sglang"
    driver.press("このセッションに適用")
    assert driver.settings.snapshot().api_key is None


def test_a_pasted_document_is_no_key() -> None:
    driver = Driver()
    driver.key("x" * 20_000)
    assert "This is too long for a key." in driver.text
    assert driver.panel.draft.snapshot().api_key is None


def test_saving_shows_the_change_first(at_server: Driver, tmp_path: Path) -> None:
    """The key is not in it unless it is ticked, and never in what is shown."""
    file = tmp_path / "config.toml"
    file.write_text("# mine\n[llm]\ntemperature = 0.5\n")
    at_server.press("Save to config.toml …")
    assert '+model = "openai/gpt-4o"' in at_server.text
    assert "api_key" not in at_server.text.split("This would change")[1]
    assert file.read_text() == "# mine\n[llm]\ntemperature = 0.5\n"
    at_server.press("Cancel")
    at_server.press("Save to config.toml …")
    at_server.press("Write the file")
    assert "Saved config.toml." in at_server.text
    saved = file.read_text()
    assert saved.startswith("# mine\n[llm]\ntemperature = 0.5\n")
    assert KEY not in saved
    assert dict(at_server.panel.draft.edits).keys() == {"api_key"}


def test_what_changes_nothing_cannot_be_written(at_server: Driver) -> None:
    def opened() -> bool:
        at_server.press("Save to config.toml …")
        [button] = [each for each in at_server.buttons if each.description == "Write the file"]
        return not button.disabled

    assert opened()
    at_server.press("Write the file")
    assert not opened()
    assert "Nothing would change in config.toml." in at_server.text
    at_server.type("Write the key, too: as plain text, which you alone can read", True)
    [button] = [each for each in at_server.buttons if each.description == "Write the file"]
    assert not button.disabled


def test_commands_in_a_text_are_shown_as_code() -> None:
    driver = Driver()
    driver.choose("Ollama")
    guide = "Pull the model with <code>ollama pull</code>, and write"
    read = [each.value for each in driver.widgets if isinstance(each, ipywidgets.HTML)]
    assert any(guide in each for each in read)
    assert with_code("`<b>` & `") == "<code>&lt;b&gt;</code> &amp; `"


def test_in_a_container_the_address_that_docker_needs_is_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openhands_llm_magic.config.check._runs_in_docker", lambda: True)
    driver = Driver()
    driver.choose("vLLM on this machine")
    [guide] = [
        each.value
        for each in driver.widgets
        if isinstance(each, ipywidgets.HTML) and "OpenHands in docker needs" in each.value
    ]
    assert 'class="llm-warning">base_url' not in guide


def test_a_ticked_key_is_saved_and_not_shown(at_server: Driver, tmp_path: Path) -> None:
    at_server.press("Save to config.toml …")
    at_server.type("Write the key, too: as plain text, which you alone can read", True)
    assert "+api_key = " in at_server.text
    assert "canary" not in at_server.text
    at_server.press("Write the file")
    file = tmp_path / "config.toml"
    assert KEY in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    at_server.press("Save to config.toml …")
    assert "Nothing would change in config.toml." in at_server.text


@pytest.mark.parametrize(
    ("button", "text", "place"),
    [
        ("Copy profile", '"model": "openai/gpt-4o"', "~/.openhands/profiles/NAME.json"),
        ("Copy shell exports", "export LLM_MODEL=openai/gpt-4o", "LLM.load_from_env()"),
        ("Copy docker flags", "-e LLM_MODEL=openai/gpt-4o", "OpenHands 0.41"),
    ],
)
def test_what_openhands_takes_can_be_copied(
    at_server: Driver, button: str, text: str, place: str
) -> None:
    """With the whole retry policy, and what is to be done with it."""
    at_server.press(button)
    copied = at_server.control("To copy").value
    assert text in copied
    assert "retry_max_wait" in copied.lower()
    assert KEY not in copied
    assert place in at_server.text.split("To copy")[-1]


def test_the_forms_of_the_current_openhands_come_first() -> None:
    """Each group names its versions."""
    driver = Driver()
    current, earlier = driver.text.split("For the current OpenHands (CLI 1.16.0, SDK 1.58.2):")
    assert "For OpenHands 0.41 and this notebook, which read config.toml:" in earlier
    assert "OpenHands 0.41 and this notebook" not in current
    names = [each.description for each in driver.buttons]
    forms = ["Copy profile", "Copy shell exports", "Save to config.toml …", "Copy docker flags"]
    assert [name for name in names if name in forms] == forms


def test_it_tells_what_openhands_would_send_that_nobody_set(at_server: Driver) -> None:
    assert "OpenHands 0.41 sends temperature = 0.0, top_p = 1.0," in at_server.text


def test_groups_are_chosen_created_and_duplicated(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[llm]\nmodel = "openai/a"\n\n[llm.quick]\nmodel = "openai/b"\n')
    driver = Driver()
    driver.type("Group", "quick")
    assert driver.settings.group == "quick"
    assert driver.control("Model").value == "openai/b"
    driver.type("Number of retries", "1")
    driver.type("New group", "quicker")
    driver.press("Duplicate")
    assert "+[llm.quicker]" in driver.text
    driver.press("Write the file")
    assert driver.settings.group == "quicker"
    assert '[llm.quicker]\nmodel = "openai/b"\nnum_retries = 1\n' in file.read_text()
    driver.type("New group", "plain")
    driver.press("Create")
    driver.press("Write the file")
    assert driver.settings.group == "plain"
    assert driver.control("Model").value == "openai/a"
    assert "[llm.plain]\n" in file.read_text()
    assert driver.settings.groups == ("quick", "quicker", "plain")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "write the name of the new group first"),
        ("llm", "there is a group llm already"),
        ("quick", "there is a group quick already"),
        ("model", "this is a setting of [llm]"),
    ],
)
def test_a_group_that_cannot_be_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "config.toml").write_text("[llm.quick]\nnum_retries = 1\n")
    driver = Driver()
    driver.type("New group", name)
    driver.press("Create")
    assert words in driver.text


def test_a_change_elsewhere_shows_after_a_refresh(tmp_path: Path) -> None:
    """A file that breaks meanwhile is told, and what was edited stays."""
    driver = Driver()
    driver.type("Number of retries", "9")
    driver.settings.change({"temperature": "0.5"})
    (tmp_path / "config.toml").write_text("[llm]\nnum_retriez = 3\nretry_max_wait = 99\n")
    driver.panel.refresh()
    assert driver.control("Longest wait (s)").value == "99"
    assert driver.control("Number of retries").value == "9"
    assert "num_retriez" in driver.text


def test_a_password_in_an_address_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_BASE_URL", "http://bob:hunter2@localhost:8000/v1")
    monkeypatch.setenv("LLM_MODEL", "hosted_vllm/x")
    driver = Driver()
    assert driver.control("Base URL").value == "http://**********@localhost:8000/v1"
    assert "hunter2" not in json.dumps(ipywidgets.Widget.get_manager_state(), default=str)
    driver.type("Base URL", "http://**********@localhost:9000/v1")
    assert "write all of it anew" in driver.text


def test_a_projects_file_is_trusted_with_a_button(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The panel says, before anything is sent, which file would lead a key where, or start what."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    driver = Driver()
    assert "Trust this file" not in [each.description for each in driver.buttons]
    lines = '[llm]\nmodel = "openai/x"\nbase_url = "https://attacker.test/v1"\n'
    lines += '[openhands_llm_magic.mcp.it]\ncommand = "npx"\nargs = ["it"]\n'
    (tmp_path / "config.toml").write_text(lines)
    driver.panel.refresh()
    assert "config.toml line 3 leads to attacker.test, and OPENAI_API_KEY would go" in driver.text
    assert "If you trust config.toml, press the button Trust this file." in driver.text
    assert "It may start npx it." in driver.text

    driver.press("Trust this file")

    assert "Trusted, with https://attacker.test:443." in driver.text
    assert "leads to" not in driver.text
    assert "Trust this file" not in [each.description for each in driver.buttons]
    assert KEY not in driver.text


def test_what_was_spent_is_read_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a thread, also where the ledger cannot be read, or is off; in the panel's language."""
    path = tmp_path / "ledger.sqlite3"
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(path))
    driver = Driver()
    assert "What requests have cost" not in driver.text

    driver.press("Show what was spent")
    driver.wait()
    assert "The ledger has no request for this period: this month." in driver.text

    kept = Ledger(path)
    kept.add(attempt_made_now(model="<b>openai/gpt-4o</b>"))
    kept.close()
    driver.press("Show what was spent")
    driver.wait()
    assert "1 of unknown cost" in driver.text
    assert "<b>openai/gpt-4o</b>" in driver.text

    monkeypatch.setenv("LLM_MAGIC_LEDGER", "off")
    driver.press("Show what was spent")
    driver.wait()
    assert "nothing is kept of what requests cost" in driver.text
    assert "1 of unknown cost" not in driver.text


def attempt_made_now(**columns: str) -> Attempt:
    return Attempt(ended_at_s=time.time(), day=day_of(time.time()), **columns)  # type: ignore[arg-type]  # texts alone


def test_a_ledger_that_is_locked_does_not_hold_up_the_panel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else works meanwhile, and what was asked for comes when it can be read."""
    path = tmp_path / "ledger.sqlite3"
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(path))
    monkeypatch.setattr(ledger, "BUSY_S", PATIENCE_S)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    driver = Driver()
    driver.press("Show what was spent")
    driver.type("Number of retries", "9")
    assert driver.control("Number of retries").value == "9"
    assert any(each.name == usage.THREAD for each in threading.enumerate())
    assert "The ledger has no request" not in driver.text
    holder.close()
    driver.wait()
    assert "The ledger has no request for this period: this month." in driver.text


@pytest.mark.parametrize(
    ("title", "typed", "meant"),
    [
        ("LiteLLM Proxy", "my-model", "litellm_proxy/my-model"),
        ("Azure OpenAI", "deployment", "azure/deployment"),
        ("LM Studio", "qwen/qwen3-coder", "lm_studio/qwen/qwen3-coder"),
        ("vLLM on this machine", "my-model", "hosted_vllm/my-model"),
        ("OpenRouter", "deepseek-chat", "openrouter/deepseek/deepseek-chat"),
    ],
)
def test_a_model_without_its_prefix_keeps_the_chosen_provider(
    title: str, typed: str, meant: str
) -> None:
    """The prefix to write is that provider's, and the whole name is offered."""
    driver = Driver()
    driver.choose(title)
    driver.type("Model", typed)
    assert driver.control("Provider").label == title
    assert f"Write {meant}: without" in driver.text
    assert f"the model '{typed}' names no provider" not in driver.text
    assert meant in driver.control("Model").options
    driver.type("Model", meant)
    assert "names no provider" not in driver.text
    driver.type("Model", "cerebras/llama3.1-8b")
    assert driver.control("Provider").label == "Another provider"
