"""The settings of an IPython session, and what `%config` shows and does not show."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from traitlets.config.loader import DeferredConfigString

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import ConfigFileError, SettingError

KEY = "sk-canary-0123456789"


def settings_of(**values: Any) -> LLMSettings:
    """Make the settings of a session whose ipython_config.py sets `c.LLMSettings`."""
    return LLMSettings(config=Config({"LLMSettings": values}))


def written(text: str, path: str = "config.toml") -> Path:
    file = Path.cwd() / path
    file.write_text(text)
    return file


def test_a_new_session_has_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_MAGIC_LEDGER")
    assert {name: getattr(LLMSettings(), name) for name in SETTINGS} == {
        name: setting.default for name, setting in SETTINGS.items()
    }


def test_from_the_lowest_to_the_highest(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(num_retries=3)
    written("[llm]\nnum_retries = 1\n")
    monkeypatch.setenv("LLM_NUM_RETRIES", "2")
    settings.set(num_retries=4)
    snapshot = settings.snapshot({"num_retries": "5"})
    assert [(each.value, str(each.origin)) for each in snapshot.found["num_retries"]] == [
        (5, "--num-retries"),
        (4, "this session"),
        (3, "ipython_config"),
        (2, "LLM_NUM_RETRIES"),
        (1, "config.toml line 2"),
        (4, "default"),
    ]
    assert settings.num_retries == 4


def test_files_and_variables_are_read_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LLMSettings()
    assert settings.top_p == 1.0
    written("[llm]\ntop_p = 0.5\n")
    assert settings.top_p == 0.5
    written("[llm]\ntop_p = 0.25\n")
    assert settings.top_p == 0.25
    monkeypatch.setenv("LLM_TOP_P", "0.1")
    assert settings.top_p == 0.1


def test_an_unchanged_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LLMSettings()
    written("[llm]\ntop_p = 0.5\n")
    assert settings.top_p == 0.5
    monkeypatch.delattr("openhands_llm_magic.config.configurable.read_file")
    assert settings.top_p == 0.5


def test_a_group() -> None:
    written('[llm]\nmodel = "a"\n[llm.g]\nmodel = "b"\n')
    settings = LLMSettings()
    assert settings.snapshot(group="g").model == "b"
    settings.set(model="c")
    assert settings.snapshot(group="g").model == "c"


def test_the_group_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    written('[llm]\nmodel = "a"\n[llm.g]\nmodel = "b"\n[llm.h]\nmodel = "c"\n')
    monkeypatch.setenv("LLM_MODEL", "from-here")
    settings = LLMSettings()
    settings.use_group("g")
    assert (settings.group, settings.model, settings.snapshot().group) == ("g", "b", "g")
    assert settings.snapshot(group="h").model == "c"
    assert settings.snapshot(group="llm").model == "from-here"
    for name in (None, "llm"):
        settings.use_group("g")
        settings.use_group(name)
        assert (settings.group, settings.model) == (None, "from-here")


def test_an_unknown_group_changes_nothing() -> None:
    settings = LLMSettings()
    with pytest.raises(SettingError, match=r"no group 'x': no config.toml was found$"):
        settings.use_group("x")
    written('[llm.g]\nmodel = "b"\n[llm."h.1"]\n')
    settings.use_group("g")
    with pytest.raises(SettingError, match=r"no group 'x'; config.toml has: g, h.1$"):
        settings.use_group("x")
    assert (settings.group, settings.model) == ("g", "b")


def test_a_trait_can_be_assigned() -> None:
    settings: Any = LLMSettings()
    settings.num_retries = 6
    assert settings.snapshot().num_retries == 6
    assert str(settings.snapshot().origin("num_retries")) == "this session"


def test_a_trait_can_be_given_at_the_start() -> None:
    assert LLMSettings(num_retries=6).num_retries == 6


def test_an_edit_is_all_or_nothing() -> None:
    settings = LLMSettings()
    for edit in (settings.change, lambda values: settings.set(**values)):
        with pytest.raises(SettingError, match="temperature takes a number from 0 to 2"):
            edit({"model": "x", "temperature": "hot"})
        with pytest.raises(SettingError, match="there is no setting 'temprature'"):
            edit({"model": "x", "temprature": 1})
    assert settings.snapshot().found == LLMSettings().snapshot().found


def test_change_reads_text_and_set_takes_values() -> None:
    settings = LLMSettings()
    settings.change({"num_retries": "6", "drop_params": "no", "timeout": 9})
    assert (settings.num_retries, settings.drop_params, settings.timeout) == (6, False, 9)
    settings.change({"timeout": "none"})
    assert settings.timeout is None
    with pytest.raises(SettingError, match="num_retries takes a whole number"):
        settings.set(num_retries="6")


def test_reset_forgets_them() -> None:
    settings = settings_of(top_p=0.5)
    settings.set(top_p=0.1, num_retries=6, timeout=3)
    settings.reset(["top_p"])
    assert (settings.top_p, settings.num_retries) == (0.5, 6)
    with pytest.raises(SettingError, match="there is no setting 'x'"):
        settings.reset(["num_retries", "x"])
    assert settings.num_retries == 6
    settings.reset()
    assert (settings.num_retries, settings.timeout) == (4, None)


def test_it_names_the_file_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    written("[llm]\ntop_p = 0.5\n")
    other = written("[llm]\ntop_p = 0.25\n", "other.toml")
    settings = LLMSettings()
    settings.use_file("other.toml")
    monkeypatch.chdir("/")
    assert settings.top_p == 0.25
    assert settings.snapshot().config_file == other
    monkeypatch.chdir(other.parent)
    settings.use_file(None)
    assert settings.top_p == 0.5


def test_a_bad_one_changes_nothing() -> None:
    written("[llm]\ntop_p = 0.5\n")
    written("[llm\n", "broken.toml")
    settings = LLMSettings()
    for name in ("broken.toml", "no.toml", "."):
        with pytest.raises(ConfigFileError):
            settings.use_file(name)
    assert settings.top_p == 0.5


def test_one_that_is_gone_is_an_error() -> None:
    file = written("[llm]\ntop_p = 0.5\n", "other.toml")
    settings = LLMSettings()
    settings.use_file(file)
    file.unlink()
    with pytest.raises(ConfigFileError, match=r"^config file: other.toml: No such file"):
        settings.snapshot()


def test_its_values_apply() -> None:
    settings = settings_of(num_retries=6, api_key=KEY)
    assert settings.num_retries == 6
    assert settings.api_key == Secret(KEY)
    assert str(settings.snapshot().origin("num_retries")) == "ipython_config"


def test_a_bad_value_fails_alone() -> None:
    settings = settings_of(num_retries="many", num_retry=3, top_p=0.5)
    assert (settings.num_retries, settings.top_p) == (4, 0.5)
    assert list(map(str, settings.snapshot().problems)) == [
        "ipython_config: num_retries takes a whole number, 0 or more, not 'many'",
        "ipython_config: there is no setting 'num_retry'; did you mean num_retries?",
    ]


def test_a_command_line_gives_text() -> None:
    typed = {"num_retries": DeferredConfigString("6"), "top_p": DeferredConfigString("x")}
    settings = settings_of(**typed)
    assert settings.num_retries == 6
    assert [each.message for each in settings.snapshot().problems] == [
        "top_p takes a number from 0 to 1, not 'x'"
    ]


def test_naming_a_trait_sets_nothing() -> None:
    config = Config()
    assert config.LLMSettings.model
    settings = LLMSettings(config=config)
    assert settings.snapshot().problems == ()


def test_adding_to_a_trait_is_not_ignored_in_silence() -> None:
    config = Config()
    config.LLMSettings.completion_kwargs.update({"seed": 1})
    assert [each.message for each in LLMSettings(config=config).snapshot().problems] == [
        "completion_kwargs takes a Python dictionary, or none"
    ]


def test_a_new_config_keeps_the_edits() -> None:
    settings = settings_of(num_retries=6)
    settings.set(top_p=0.5)
    settings.config = Config({"LLMSettings": {"num_retries": 7}})
    assert (settings.num_retries, settings.top_p) == (7, 0.5)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """An IPython whose ipython_config.py sets a key."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    config = Config({"LLMSettings": {"api_key": f"{KEY}-config"}})
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    yield shell
    InteractiveShell.clear_instance()


with_settings = pytest.mark.usefixtures("settings")


@pytest.fixture
def settings(shell: InteractiveShell) -> LLMSettings:
    """The settings of that IPython."""
    settings = LLMSettings(parent=shell)
    shell.configurables.append(settings)
    return settings


def shown(shell: Any, capsys: Any, line: str) -> str:
    result = shell.run_line_magic("config", line)
    text: str = capsys.readouterr().out
    return text + ("" if result is None else repr(result))


@with_settings
def test_it_shows_the_values_in_force(shell: Any, capsys: Any) -> None:
    written("[llm]\nnum_retries = 9\n")
    assert shown(shell, capsys, "LLMSettings.num_retries") == "9"
    text = shown(shell, capsys, "LLMSettings")
    assert "LLMSettings.num_retries=<Int>\n" in text
    assert "Current: 9\n" in text
    assert all(setting.help[:40] in text for setting in SETTINGS.values())


def test_it_sets_a_value(shell: Any, settings: Any, capsys: Any) -> None:
    shown(shell, capsys, "LLMSettings.num_retries = 6")
    assert shown(shell, capsys, "LLMSettings.num_retries") == "6"
    shown(shell, capsys, "LLMSettings.timeout = None")
    assert str(settings.snapshot().origin("num_retries")) == "this session"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("num_retries = 'many'", "num_retries takes a whole number, 0 or more, not 'many'"),
        ("num_retry = 3", "there is no setting 'num_retry'; did you mean num_retries?"),
        (f"api_key = ['{KEY}']", "api_key takes text, or none"),
    ],
)
def test_a_bad_value_is_one_logged_line(
    shell: Any, settings: Any, caplog: Any, line: str, message: str
) -> None:
    before = settings.snapshot().found
    with caplog.at_level(logging.ERROR):
        shell.run_line_magic("config", f"LLMSettings.{line}")
    assert [record.getMessage() for record in caplog.records] == [message]
    assert settings.snapshot().found == before
    assert KEY not in repr([each.config for each in shell.configurables])


@with_settings
def test_other_objects_can_still_be_configured(shell: Any) -> None:
    shell.run_line_magic("config", "InteractiveShell.ast_node_interactivity = 'all'")
    assert shell.ast_node_interactivity == "all"


def test_no_key_shows_anywhere(shell: Any, settings: Any, capsys: Any) -> None:
    """From ipython_config.py, and twice from `%config`, whose Config others merge first."""
    for line in (f"LLMSettings.api_key = '{KEY}-one'", f"LLMSettings.api_key = '{KEY}-two'"):
        shell.run_line_magic("config", line)
    assert settings.snapshot().secrets() == (f"{KEY}-two", f"{KEY}-config")
    assert shown(shell, capsys, "LLMSettings.api_key") == "**********"
    assert "Current: **********" in shown(shell, capsys, "LLMSettings")
    options = f"LLMSettings.completion_kwargs = {{'api_key': '{KEY}-three'}}"
    shell.run_line_magic("config", options)
    assert settings.completion_kwargs == {"api_key": f"{KEY}-three"}
    assert shown(shell, capsys, "LLMSettings.completion_kwargs") == "{'api_key': **********}"
    configs = [shell.config, settings.config, *(each.config for each in shell.configurables)]
    assert KEY not in repr(configs)
    assert KEY not in repr([settings.trait_values(), vars(settings)])
