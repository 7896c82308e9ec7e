"""Layers become a snapshot: the highest wins, and what it hides stays known."""

import copy
import pickle
import time
from pathlib import Path

import pytest

from openhands_llm_magic.config.layers import Layer
from openhands_llm_magic.config.resolve import Snapshot, load_settings, resolve
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import ConfigFileError, NotPickledError, SettingError

KEY = "sk-canary-0123456789"


def written(text: str, path: str = "config.toml") -> Path:
    file = Path.cwd() / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_nothing_set_gives_the_defaults() -> None:
    settings = load_settings(env={})
    assert settings.model == "claude-sonnet-4-20250514"
    assert str(settings.origin("model")) == "default"
    assert settings.overridden("model") == ()
    assert settings.config_file is None


def test_each_layer_hides_the_ones_below() -> None:
    written("[llm]\ntemperature = 0.2\n[llm.g]\ntemperature = 0.3\n")
    env = {"LLM_TEMPERATURE": "0.7"}
    settings = load_settings(env=env)
    assert settings.temperature == 0.7
    assert str(settings.origin("temperature")) == "LLM_TEMPERATURE"
    hidden = settings.overridden("temperature")
    assert [(found.value, str(found.origin)) for found in hidden] == [
        (0.2, "config.toml line 2"),
        (0.0, "default"),
    ]
    group = load_settings(env=env, group="g")
    assert group.temperature == 0.3
    assert [found.value for found in group.overridden("temperature")] == [0.2, 0.0]


def test_it_cannot_be_changed() -> None:
    settings = resolve([])
    with pytest.raises(AttributeError):
        settings.problems = ()  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        settings.num_retries = 6  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.found["num_retries"] = ()  # type: ignore[index]


def test_an_unknown_name_is_refused() -> None:
    settings = resolve([])
    assert not hasattr(settings, "num_retry")
    with pytest.raises(SettingError, match="did you mean num_retries"):
        settings.origin("num_retry")
    assert {"num_retries", "origin"} <= set(dir(settings))


def test_overrides_go_on_top() -> None:
    below = resolve([])
    above = below.with_overrides({"num_retries": 6})
    assert (below.num_retries, above.num_retries) == (4, 6)
    assert str(above.origin("num_retries")) == "the argument num_retries"
    assert [found.value for found in above.overridden("num_retries")] == [4]


def test_flags_are_text_and_may_be_absent() -> None:
    flags = {"num_retries": "6", "timeout": "none", "top_p": None}
    settings = resolve([]).with_overrides(flags, "flag")
    assert (settings.num_retries, settings.timeout, settings.top_p) == (6, None, 1.0)
    assert str(settings.origin("num_retries")) == "--num-retries"


def test_bad_overrides_are_refused() -> None:
    settings = resolve([])
    with pytest.raises(SettingError, match=r"from 0 to 2, not 'hot' \(from --temperature\)$"):
        settings.with_overrides({"temperature": "hot"}, "flag")
    with pytest.raises(SettingError, match=r"^temperature takes a number .*not 'hot'$"):
        settings.with_overrides({"temperature": "hot"})
    with pytest.raises(SettingError, match="there is no setting 'temprature'"):
        settings.with_overrides({"temprature": 1})


def test_every_key_is_known_to_the_redactor() -> None:
    written(f'[llm]\napi_key = "{KEY}-file"\n')
    settings = load_settings(env={"LLM_API_KEY": KEY}).with_overrides({"api_key": None})
    assert settings.api_key is None
    assert settings.secrets() == (KEY, f"{KEY}-file")


def test_it_never_shows_a_key() -> None:
    settings = load_settings(env={"LLM_API_KEY": KEY, "LLM_TIMEOUT": "1"})
    assert settings.api_key == Secret(KEY)
    assert "api_key=**********, " in repr(settings)
    for shown in (str(settings), repr(settings.found), f"{settings}"):
        assert KEY not in shown


def test_one_that_was_found_may_be_broken() -> None:
    written("[llm\n")
    settings = load_settings(env={"LLM_MODEL": "x"})
    assert settings.model == "x"
    assert [str(each)[:19] for each in settings.problems] == ["config.toml line 1:"]


def test_one_that_was_named_must_be_read() -> None:
    broken = written("[llm\n", "broken.toml")
    with pytest.raises(ConfigFileError, match=r"^config file: broken.toml line 1: it is not"):
        load_settings(broken, env={})
    with pytest.raises(ConfigFileError, match=r"^config file: no.toml: No such file"):
        load_settings("no.toml", env={})
    with pytest.raises(ConfigFileError, match=r"^LLM_MAGIC_CONFIG: no.toml: No such file"):
        load_settings(env={"LLM_MAGIC_CONFIG": "no.toml"})


def test_an_argument_goes_before_the_variable() -> None:
    written("[llm]\ntop_p = 0.5\n", "one.toml")
    settings = load_settings("one.toml", env={"LLM_MAGIC_CONFIG": "no.toml"})
    assert settings.top_p == 0.5
    assert settings.config_file == Path.cwd() / "one.toml"


def test_home_is_understood() -> None:
    written("[llm]\ntop_p = 0.5\n", "home/one.toml")
    assert load_settings("~/one.toml", env={}).top_p == 0.5


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(SettingError, match=r"no group 'a': no config.toml was found"):
        load_settings(env={}, group="a")
    written("[llm.b]\n[llm.c]\n")
    with pytest.raises(SettingError, match=r"no group 'a'; config.toml has: b, c"):
        load_settings(env={}, group="a")


def test_a_snapshot_knows_its_group() -> None:
    """As in OpenHands, "llm" names the settings of `[llm]` itself."""
    written("[llm]\ntop_p = 0.1\n[llm.b]\ntop_p = 0.2\n")
    assert [load_settings(env={}, group=name).group for name in ("b", "llm", None)] == [
        "b",
        None,
        None,
    ]
    assert load_settings(env={}, group="llm").top_p == 0.1


def test_a_group_takes_the_budget_from_the_environment() -> None:
    """The budget is none of the settings of a model, so the rule for groups is not for it."""
    written("[core]\nmax_budget_per_task = 2\n[llm.b]\n")
    env = {"MAX_BUDGET_PER_TASK": "7"}
    assert load_settings(env=env, group="b").max_budget_per_task == 7.0
    assert load_settings(env={}, group="b").max_budget_per_task == 2.0


def test_what_is_in_a_dictionary_cannot_be_changed() -> None:
    """Neither through what was given nor through what is read, as LiteLLM may do."""
    given = {"extra_body": {"a": [1]}}
    settings = resolve([]).with_overrides({"completion_kwargs": given})
    given["extra_body"]["a"].append(2)
    assert settings.completion_kwargs is not None
    settings.completion_kwargs["extra_body"]["a"].append(3)
    assert settings.completion_kwargs == {"extra_body": {"a": [1]}}


def test_keys_in_a_dictionary_are_masked_and_known_to_the_redactor() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "X-Title": "shown"}
    options = {"api_key": KEY, "extra_headers": headers, "max_tokens": 9}
    settings = resolve([]).with_overrides({"completion_kwargs": options})
    assert str(settings.completion_kwargs) == (
        "{'api_key': **********, 'extra_headers': "
        "{'Authorization': **********, 'X-Title': 'shown'}, 'max_tokens': 9}"
    )
    assert settings.completion_kwargs == options
    assert settings.secrets() == (KEY, f"Bearer {KEY}")
    assert KEY not in repr(settings) + repr(settings.found)


def test_a_copy_is_the_snapshot_itself_and_a_pickle_is_refused() -> None:
    """It never changes; a pickle would hold its keys readably."""
    settings = load_settings(env={"LLM_API_KEY": KEY})
    assert copy.copy(settings) is settings
    assert copy.deepcopy([settings])[0] is settings
    with pytest.raises(NotPickledError, match=r"^a Snapshot is not pickled, as its keys could"):
        pickle.dumps(settings)


def test_a_password_in_an_address_does_not_show() -> None:
    settings = resolve([]).with_overrides({"base_url": "http://bob:hunter2secret@host"})
    assert "base_url='http://**********@host'" in repr(settings)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MODEL", "from-here")
    assert load_settings().model == "from-here"


def test_reading_a_config_is_fast() -> None:
    """The bound is the issue's, on the processor's time; it takes about 1 ms."""
    lines = [f'text_{n} = "{n}"\n[llm.group{n}]\ntop_p = 0.5\n' for n in range(20)]
    written("[llm]\nnum_retries = 6\n" + "".join(lines))

    def taken_ms() -> float:
        start = time.process_time()
        load_settings(env={"LLM_MODEL": "x"}, group="group3")
        return (time.process_time() - start) * 1000

    assert min(taken_ms() for _ in range(9)) < 5


def test_layers_are_empty_unless_filled() -> None:
    assert isinstance(resolve([Layer("x")]), Snapshot)


def test_without_a_working_folder_there_are_settings_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program can delete it at any time."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load_settings(env={"LLM_MODEL": "openai/m"}).model == "openai/m"
