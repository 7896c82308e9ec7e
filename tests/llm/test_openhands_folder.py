"""What the current OpenHands keeps in ~/.openhands, taken as settings of the session.

The files of `openhands_files` are as openhands-sdk 1.58.2 wrote them, agent_settings.json as 1.21.0
did, which the CLI 1.16.0 has, gui_settings.json as openhands-ai 1.11.0, and server_settings.json as
openhands-agent-server 1.58.2 with OH_SECRET_KEY; `make test-openhands` has the real SDK write more.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.check import check_settings
from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.document import LARGEST_FILE
from openhands_llm_magic.config.pending import PendingEdits
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError, SettingError, UsageError
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.openhands import folder

if TYPE_CHECKING:
    from model_server import ModelServer

FILES = Path(__file__).with_name("openhands_files")
PROFILE: dict[str, Any] = json.loads((FILES / "profile.json").read_text("utf-8"))
KEY = PROFILE["api_key"]
CONNECTION_KEY = "sk-connection-canary-1234"

needs_owners = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's ~/.openhands, with the folders of the SDK; the work is in another folder."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    made = Path.home() / ".openhands"
    for name in ("profiles", "provider-connections"):
        (made / name).mkdir(parents=True)
    return made


def put(home: Path, name: str, fields: object) -> Path:
    """Write a profile, as JSON unless it is text."""
    path = home / "profiles" / f"{name}.json"
    path.write_text(fields if isinstance(fields, str) else json.dumps(fields), "utf-8")
    return path


def take(name: str) -> folder.Taken:
    return folder.take(folder.named(name))


def values(taken: folder.Taken) -> dict[str, Any]:
    return {name: found.value for name, found in taken.layer.values.items()}


def refused(name: str) -> str:
    """The one line that a file is refused with, which holds no key."""
    with pytest.raises(SettingError) as caught:
        take(name)
    told = str(caught.value)
    assert "\n" not in told
    assert KEY not in told
    return told


def test_a_profile_becomes_settings_whose_origins_name_file_and_key(home: Path) -> None:
    """Its key is a secret, and the values are those of the file."""
    put(home, "work", PROFILE)
    session = LLMSettings()
    session.take(take("work").layer)
    found = session.snapshot()
    for name in ("model", "base_url", "num_retries", "retry_multiplier", "timeout", "temperature"):
        assert getattr(found, name) == PROFILE[name]
        assert str(found.origin(name)) == f"{name} in ~/.openhands/profiles/work.json"
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == KEY
    assert KEY not in repr(found) + str(found.api_key)


def test_the_settings_of_the_cli_are_taken_from_its_one_file(home: Path) -> None:
    """It is called by its whole name, so that a profile agent_settings is another."""
    (home / folder.CLI_FILE).write_bytes((FILES / folder.CLI_FILE).read_bytes())
    put(home, "agent_settings", {"model": "openai/other"})
    assert [each.name for each in folder.kept()] == [folder.CLI_FILE, "agent_settings"]
    taken = take(folder.CLI_FILE)
    assert values(taken)["max_input_tokens"] == 128_000
    assert values(taken)["api_key"].get_secret_value() == "sk-cli-canary-0123456789"
    assert taken.notes == (), "nothing in it is strange to us"
    assert "condenser" not in values(taken)
    assert values(take("agent_settings"))["model"] == "openai/other"


def test_key_and_address_of_a_connection_count_more_than_those_of_the_profile(home: Path) -> None:
    """So does OpenHands; the origin names the connection."""
    shared = (FILES / "provider_connections.json").read_bytes()
    (home / "provider-connections" / "provider_connections.json").write_bytes(shared)
    put(home, "linked", {**PROFILE, "provider_connection_id": "work"})
    taken = take("linked")
    assert values(taken)["api_key"].get_secret_value() == CONNECTION_KEY
    assert values(taken)["base_url"] == "http://127.0.0.1:1/v1"
    told = str(taken.layer.values["api_key"].origin)
    assert told == (
        "api_key of the connection 'work' in"
        " ~/.openhands/provider-connections/provider_connections.json"
    )


def test_a_connection_that_is_gone_is_told(home: Path) -> None:
    """OpenHands would not load such a profile, unless it has a key of its own."""
    put(home, "gone", {"model": "openai/gpt-4o", "provider_connection_id": "work"})
    assert "names the provider connection 'work'" in refused("gone")
    put(home, "gone", {**PROFILE, "provider_connection_id": "work"})
    assert values(take("gone"))["api_key"].get_secret_value() == KEY


def test_what_a_profile_leaves_open_is_openhands_default_and_no_setting_of_another_place(
    home: Path,
) -> None:
    """Else one place's key would go to another's server."""
    Path("config.toml").write_text('[llm]\nbase_url = "http://elsewhere/v1"\ntemperature = 0.5\n')
    put(home, "bare", {"model": "openai/gpt-4o"})
    session = LLMSettings()
    session.set(api_key="sk-of-this-session-0123", custom_llm_provider="azure")
    session.take(take("bare").layer)
    found = session.snapshot()
    assert (found.base_url, found.api_key, found.custom_llm_provider) == (None, None, None)
    policy = found.num_retries, found.retry_min_wait, found.retry_max_wait, found.retry_multiplier
    assert (*policy, found.timeout) == (5, 8, 64, 8, 300)
    assert found.temperature == SETTINGS["temperature"].default
    assert found.origin("temperature").kind == "default", "nobody has set it, so it is not sent"
    [told] = [str(each) for each in take("bare").notes if "defaults" in each]
    assert "num_retries = 5" in told
    assert "timeout = 300" in told


def test_another_profile_leaves_nothing_of_the_one_before(home: Path) -> None:
    put(home, "one", {**PROFILE, "max_output_tokens": 100})
    put(home, "two", {"model": "gemini/gemini-2.5-pro"})
    session = LLMSettings()
    session.take(take("one").layer)
    session.take(take("two").layer)
    found = session.snapshot()
    assert (found.base_url, found.api_key, found.max_output_tokens) == (None, None, None)
    session.reset()
    assert found.found.keys() == session.snapshot().found.keys()
    assert session.snapshot() == LLMSettings().snapshot()


def test_what_was_taken_can_be_put_back_in_the_panel(home: Path) -> None:
    put(home, "work", PROFILE)
    session = LLMSettings()
    session.take(take("work").layer)
    pending = PendingEdits(session)
    assert pending.can_be_put_back("num_retries")
    pending.put_back("num_retries")
    assert session.snapshot().num_retries == SETTINGS["num_retries"].default


def test_a_short_name_of_ours_is_none_in_a_profile(home: Path) -> None:
    """OpenHands knows no short names, and a key would go to another provider."""
    put(home, "work", {"model": "fast", "api_key": KEY})
    session = LLMSettings()
    session.set(aliases={"fast": "anthropic/claude-sonnet-4-5"})
    session.take(take("work").layer)
    assert session.snapshot().model == "fast"


@pytest.mark.parametrize(
    ("unset", "name", "value"), [(None, "timeout", None), (None, "reasoning_effort", "")]
)
def test_what_is_unset_on_purpose_stays_unset(
    home: Path, unset: None, name: str, value: object
) -> None:
    """Where null and nothing are two things to OpenHands."""
    put(home, "work", {"model": "anthropic/claude-opus-4-7", name: unset})
    assert values(take("work"))[name] == value


def test_what_has_no_counterpart_is_named_where_it_is_not_the_default(home: Path) -> None:
    put(home, "work", PROFILE)
    assert not [each for each in take("work").notes if "counterpart" in each]
    more = {"aws_session_token": "s3cr3t-canary-9876", "api_mode": "chat"}
    put(home, "work", {**PROFILE, **more, "brand_new": 1, "aws_role_name": None})
    [told] = [str(each) for each in take("work").notes if "counterpart" in each]
    assert told.endswith("do not count: api_mode, aws_session_token, brand_new")
    assert "canary" not in told


def test_an_address_that_names_a_variable_is_found_in_words_that_are_not_of_toml(
    home: Path,
) -> None:
    put(home, "work", {**PROFILE, "base_url": "${BASE_URL}"})
    session = LLMSettings()
    session.take(take("work").layer)
    [found] = [each for each in check_settings(session.snapshot()) if each.is_problem]
    assert "base_url is the name of a variable" in found.message
    assert str(found.fix) == "Nothing is put in for it there: set the value itself"


def test_the_idle_time_that_openhands_makes_of_the_timeout_is_not_worth_a_word(home: Path) -> None:
    put(home, "work", {**PROFILE, "timeout": 100, "stream_idle_timeout": 100})
    assert take("work").notes == ()
    put(home, "work", {**PROFILE, "timeout": 100, "stream_idle_timeout": 50})
    assert "stream_idle_timeout" in str(take("work").notes)


FURTHER = {
    "extra_headers": {"X-Gateway": "gw-canary-9f8e7d6c5b4a", "X-Team": "research"},
    "litellm_extra_body": {"tags": ["mine"]},
}


def test_headers_and_body_of_a_profile_are_further_arguments_whose_keys_do_not_show(
    home: Path,
) -> None:
    """A gateway may take its key in a header of any name."""
    put(home, "work", {**PROFILE, **FURTHER})
    session = LLMSettings()
    taken = take("work")
    session.take(taken.layer)
    found = session.snapshot()
    assert found.completion_kwargs == {
        "extra_headers": FURTHER["extra_headers"],
        "extra_body": FURTHER["litellm_extra_body"],
    }
    assert str(found.origin("completion_kwargs")) == (
        "extra_headers, litellm_extra_body in ~/.openhands/profiles/work.json"
    )
    assert "completion_kwargs" in taken.shown
    assert taken.notes == ()
    assert "gw-canary" not in f"{found.completion_kwargs} {found!r}"
    assert "research" in str(found.completion_kwargs)
    assert "gw-canary-9f8e7d6c5b4a" in found.secrets()


def test_headers_and_body_of_a_profile_reach_the_server(
    home: Path, model_server: ModelServer
) -> None:
    """As OpenHands sends them."""
    put(home, "work", {**PROFILE, **FURTHER, "base_url": model_server.openai_base})
    session = LLMSettings()
    session.take(take("work").layer)
    ask("Hello", settings=session.snapshot())
    [request] = model_server.received
    assert request.headers["x-gateway"] == "gw-canary-9f8e7d6c5b4a"
    assert request.body["tags"] == ["mine"]


@pytest.mark.parametrize("empty", [None, {}])
def test_no_headers_are_no_further_arguments(home: Path, empty: object) -> None:
    put(home, "work", {**PROFILE, "extra_headers": empty, "litellm_extra_body": empty})
    assert values(take("work"))["completion_kwargs"] is None


GUI_KEY = "sk-gui-canary-0123456789"


def put_gui(home: Path, content: str | dict[str, Any]) -> None:
    text = (FILES / content).read_text("utf-8") if isinstance(content, str) else json.dumps(content)
    (home / folder.GUI_FILE).write_text(text, "utf-8")


def test_the_model_of_the_gui_and_its_profiles_are_taken_from_its_one_file(home: Path) -> None:
    """The profile in use is that model, and is not named twice."""
    put_gui(home, "gui_settings.json")
    assert [each.name for each in folder.kept()] == ["settings.json", "settings.json/cloud"]
    taken = take("settings.json")
    assert values(taken)["base_url"] == "http://127.0.0.1:3/v1"
    assert values(taken)["api_key"].get_secret_value() == GUI_KEY
    assert values(taken)["completion_kwargs"]["extra_body"] == {"tags": ["mine"]}
    assert str(taken.layer.values["model"].origin) == "model in ~/.openhands/settings.json"
    assert taken.notes == (), "nothing in it is strange to us"
    taken = take("settings.json/cloud")
    assert values(taken)["model"] == "anthropic/claude-sonnet-4-5"
    assert values(taken)["modify_params"] is False
    assert str(taken.layer.values["model"].origin) == "model of cloud in ~/.openhands/settings.json"


def test_an_encrypted_key_of_the_server_is_said_to_be_that(home: Path) -> None:
    put_gui(home, "server_settings.json")
    taken = take("settings.json")
    assert values(taken)["model"] == "openai/gpt-4o"
    assert values(taken)["api_key"] is None
    assert "api_key is encrypted there with OH_SECRET_KEY" in str(taken.notes[0])


def test_the_file_of_an_earlier_gui_is_taken_and_told_to_be_one(home: Path) -> None:
    """The GUI of today starts with a model of its own and without a key over it."""
    earlier = {"llm_model": "openai/gpt-4o", "llm_api_key": GUI_KEY, "llm_base_url": "", "agent": 1}
    put_gui(home, earlier)
    [each] = folder.kept()
    assert str(folder.described(each)) == "settings.json  openai/gpt-4o"
    taken = take("settings.json")
    assert values(taken)["api_key"].get_secret_value() == GUI_KEY
    assert values(taken)["base_url"] in (None, "")
    assert str(taken.layer.values["api_key"].origin) == "llm_api_key in ~/.openhands/settings.json"
    assert str(taken.notes[0]).startswith("an earlier OpenHands wrote it")


def test_a_profile_called_settings_is_another_than_the_gui_s(home: Path) -> None:
    put_gui(home, "gui_settings.json")
    put(home, "settings", {"model": "openai/other"})
    assert values(take("settings"))["model"] == "openai/other"
    assert values(take("settings.json"))["model"] == "openai/gpt-4o"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"language": "en"}, 'it has no "agent_settings.llm"'),
        ({"agent_settings": {"agent_kind": "acp"}}, 'it has no "agent_settings.llm"'),
        ({"agent_settings": {"llm": {"api_key": GUI_KEY}}}, "it names no model"),
        ({"schema_version": 7}, "a newer OpenHands wrote it (schema_version 7; 6 is known)"),
        ({"agent_settings": {"schema_version": 10}}, "(schema_version 10; 9 is known)"),
        ({"llm_model": None, "llm_api_key": GUI_KEY}, "it names no model"),
        ({"llm_profiles": 1}, 'it has no "agent_settings.llm"'),
        ({"llm_profiles": {"profiles": []}}, 'it has no "agent_settings.llm"'),
    ],
)
def test_a_file_of_the_gui_without_a_model_is_told(
    home: Path, content: dict[str, Any], told: str
) -> None:
    put_gui(home, content)
    line = refused("settings.json")
    assert told in line
    assert GUI_KEY not in line
    assert [str(folder.described(each)) for each in folder.kept()]


def test_names_in_the_gui_s_file_that_it_would_not_take_are_not_listed(home: Path) -> None:
    """One that looks like a key does not show."""
    names = "a\nb", "", "a/b", "x" * 65, "ok", "sk-name-canary-0123456789"
    put_gui(home, {"llm_profiles": {"profiles": {key: {} for key in names}, "active": 1}})
    _, good, hidden = folder.kept()
    assert good.name == "settings.json/ok"
    assert "canary" not in str(folder.described(hidden))
    assert "it names no model" in refused("settings.json/ok")
    with pytest.raises(UsageError) as caught:
        folder.named("settings.json/other")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["", " ", "**********", "gAAAAABm-an-encrypted-canary-0123456789", "${CANARY_KEY}", "%CANARY%"],
)
def test_what_is_no_key_is_not_taken_for_one(home: Path, key: str) -> None:
    """An encrypted one is said to be that, and so is the name of a variable."""
    put(home, "work", {**PROFILE, "api_key": key})
    taken = take("work")
    assert values(taken)["api_key"] is None
    told = " ".join(taken.notes)
    assert ("OH_SECRET_KEY" in told) == key.startswith("gAAAAA")
    assert ("names a variable there" in told) == ("CANARY" in key)
    assert "there is no key in it" in told
    assert "canary" not in told


BAD = {
    "cut": ('{"model": "openai/gpt-4o", "api_k', "it is no JSON from line 1 on"),
    "empty": ("", "it is empty"),
    "list": ("[]", "it holds no JSON object"),
    "bom": ('\ufeff{"model": "x/y"}', "byte order mark"),
    "deep": ("[" * 100_000, "its JSON is not one that OpenHands writes"),
    "deep within": (f'{{"model": "x/y", "a": {"[" * 60}{"]" * 60}}}', "its JSON is not one"),
    "half a letter": ('{"model": "x/\\ud800"}', "its JSON is not one"),
    "half a name": ('{"model": "x/y", "\\udfff": 1}', "its JSON is not one"),
    "long number": (f'{{"model": "x/y", "seed": {"9" * 5000}}}', "its JSON is not one"),
    "newer": ({**PROFILE, "schema_version": 2}, "a newer OpenHands wrote it (schema_version 2;"),
    "odd version": ({**PROFILE, "schema_version": "x"}, "a newer OpenHands wrote it"),
    "no model": ({"api_key": KEY}, "it names no model"),
    "subscription": ({**PROFILE, "auth_type": "subscription"}, "signs in with a subscription"),
    "bad number": ({**PROFILE, "num_retries": "many"}, "num_retries takes a whole number"),
    "bad key": ({**PROFILE, "api_key": {"value": KEY}}, "api_key takes text"),
    "bad model": ({**PROFILE, "model": [KEY]}, "model takes text that is not empty"),
    "not finite": ({**PROFILE, "temperature": float("inf")}, "temperature takes a number"),
    "headers": ({**PROFILE, "extra_headers": ["a"]}, "it takes a JSON object"),
    "header": ({**PROFILE, "extra_headers": {"a": KEY, "b": 1}}, "it takes a JSON object of texts"),
    "body": ({**PROFILE, "litellm_extra_body": KEY}, "it takes a JSON object"),
    "no time": ({**PROFILE, "timeout": 0}, "timeout takes a whole number"),
    "too large": (" " * (LARGEST_FILE + 1), "it is larger than 1 MB"),
}


@pytest.mark.parametrize("content", BAD)
def test_a_bad_file_is_one_line_and_nothing_is_changed(home: Path, content: str) -> None:
    fields, told = BAD[content]
    put(home, "bad", fields)
    line = refused("bad")
    assert told in line
    assert "~/.openhands/profiles/bad.json" in line
    assert folder.described(folder.named("bad")), "a list names it, too"


def test_a_file_that_is_none_is_told(home: Path) -> None:
    os.mkfifo(home / "profiles" / "pipe.json")
    (home / "profiles" / "folder.json").mkdir()
    (home / "profiles" / "latin.json").write_bytes(b'{"model": "\xff"}')
    (home / "profiles" / "away.json").symlink_to("nowhere")
    (home / folder.CLI_FILE).write_text("{}")
    assert "it is not a regular file" in refused("pipe")
    assert "it is a folder" in refused("folder")
    assert "it is not UTF-8 text" in refused("latin")
    assert "No such file" in refused("away")
    assert 'it has no "llm"' in refused(folder.CLI_FILE)


@needs_owners
def test_a_file_of_another_person_is_not_used(home: Path) -> None:
    os.chown(put(home, "work", PROFILE), 12345, 12345)
    assert "it belongs to the user 12345" in refused("work")


@pytest.mark.parametrize(
    ("connections", "told"),
    [
        ('{"connections": 1}', "which ~/.openhands/provider-connections/"),
        ('{"connections": [1, null]}', "which ~/.openhands/provider-connections/"),
        ('{"schema_version": 7}', "provider_connections.json: a newer OpenHands wrote it"),
        ("{", "provider_connections.json: it is no JSON"),
    ],
)
def test_a_bad_file_of_connections_is_told(home: Path, connections: str, told: str) -> None:
    path = home / "provider-connections" / "provider_connections.json"
    path.write_text(connections)
    put(home, "work", {"model": "openai/gpt-4o", "provider_connection_id": "work"})
    assert told in refused("work")


def test_a_name_that_is_none_is_told_with_those_there_are(home: Path) -> None:
    with pytest.raises(UsageError, match=r"there is none in ~/\.openhands/profiles"):
        folder.named("work")
    put(home, "work", PROFILE)
    for name in ("wrok", "../../etc/passwd", "", ".hidden"):
        with pytest.raises(UsageError, match="work"):
            folder.named(name)
    assert folder.named("work.json") == folder.named("work")


def test_files_that_openhands_would_not_list_are_not_listed(home: Path) -> None:
    for name in (".hidden", "-x", "a b", "x" * 65):
        put(home, name, PROFILE)
    (home / "profiles" / ".profiles.lock").touch()
    assert folder.kept() == []


def test_each_part_has_a_folder_of_its_own_by_a_variable(home: Path, tmp_path: Path) -> None:
    """The CLI's variable is another than the SDK's; a relative path could lead into a project."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "profiles").mkdir(parents=True)
    put(elsewhere, "mine", PROFILE)
    put(home, "usual", PROFILE)
    for each in (elsewhere, home):
        (each / folder.CLI_FILE).write_text("{}")
        (each / folder.GUI_FILE).write_text("{}")

    def found(**env: str) -> list[Path]:
        return [each.path for each in folder.kept(env)]

    def paths(place: Path, name: str) -> list[Path]:
        return [place / folder.CLI_FILE, place / folder.GUI_FILE, place / "profiles" / name]

    usual, other = paths(home, "usual.json"), paths(elsewhere, "mine.json")
    assert found() == usual
    assert found(OH_PERSISTENCE_DIR=str(elsewhere)) == [usual[0], *other[1:]]
    assert found(OPENHANDS_PERSISTENCE_DIR=str(elsewhere)) == [other[0], *usual[1:]]
    for variable in ("OH_PERSISTENCE_DIR", "OPENHANDS_PERSISTENCE_DIR"):
        with pytest.raises(SettingError, match=f"{variable} is not a whole path"):
            found(**{variable: "elsewhere"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    fields=st.dictionaries(
        st.sampled_from([*PROFILE, "provider_connection_id", *FURTHER]) | st.text(),
        json_values,
        max_size=8,
    )
)
def test_any_json_is_settings_or_one_line(
    fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is in it, and none of it is a traceback or shows the key."""
    path = tmp_path_factory.mktemp("any") / "any.json"
    path.write_text(json.dumps({"model": "openai/gpt-4o", "api_key": KEY, **fields}), "utf-8")
    each = folder.Kept("any", path)
    try:
        taken = folder.take(each, {"OH_PERSISTENCE_DIR": str(path.parent)})
    except LLMMagicError as error:
        told = str(error)
    else:
        session = LLMSettings()
        session.take(taken.layer)
        told = "\n".join([repr(session.snapshot()), *taken.notes])
        assert taken.layer.problems == ()
    assert KEY not in told
    assert len(told.splitlines()) <= 4


def test_a_profile_without_anything_set_leaves_the_defaults_alone(home: Path) -> None:
    """Nothing is read before somebody asks for it."""
    put(home, "work", PROFILE)
    assert load_settings().origin("model").kind == "default"


def test_a_prompt_goes_with_key_and_address_of_the_profile(
    home: Path, model_server: ModelServer
) -> None:
    """Neither of those of the project's file and the environment."""
    Path("config.toml").write_text('[llm]\nbase_url = "http://127.0.0.1:9/v1"\nseed = 3\n')
    put(home, "work", {**PROFILE, "base_url": model_server.openai_base, "temperature": None})
    session = LLMSettings()
    session.take(take("work").layer)
    ask("Hello", settings=session.snapshot())
    [request] = model_server.received
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["model"] == "gpt-4o"
    assert request.body.keys().isdisjoint({"temperature", "seed"})
