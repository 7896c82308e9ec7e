"""The settings in force, written as a profile of the current OpenHands."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config import files, trusted
from openhands_llm_magic.config.resolve import Snapshot, load_settings, resolve
from openhands_llm_magic.errors import ConfigFileError, SettingError, UntrustedSettingError
from openhands_llm_magic.llm.openhands import folder, profile

if TYPE_CHECKING:
    from openhands_llm_magic.config.save import Saved

KEY = "sk-canary-in-use-0123456789"
THEIR_KEY = "sk-canary-in-the-file-9876"

GIVEN: dict[str, Any] = {
    "model": "openai/gpt-4o",
    "base_url": "http://127.0.0.1:9/v1",
    "api_key": KEY,
    "temperature": 0.5,
    "max_output_tokens": 100,
}

needs_owners = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of profiles, which is not there yet; the work is in another folder."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return Path.home() / ".openhands" / "profiles"


def settings(**more: Any) -> Snapshot:
    return load_settings(env={}).with_overrides(GIVEN | more)


def put(profiles: Path, fields: object, name: str = "work") -> Path:
    profiles.mkdir(parents=True, exist_ok=True)
    path = profiles / f"{name}.json"
    path.write_text(fields if isinstance(fields, str) else json.dumps(fields), "utf-8")
    return path


def read(saved: Saved) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(saved.path.read_text("utf-8"))
    return fields


def told(saved: Saved) -> str:
    return "\n".join([saved.diff, *saved.notes])


def test_a_new_profile_is_whole_and_its_owner_s_alone_and_holds_no_key(profiles: Path) -> None:
    """The retry policy is always in it, as OpenHands has another one."""
    saved = profile.save(settings(), "work")
    assert saved.path == profiles / "work.json"
    assert stat.S_IMODE(saved.path.stat().st_mode) == files.OWNER_ONLY
    assert stat.S_IMODE(profiles.stat().st_mode) == files.OWNER_ONLY_FOLDER
    assert [*profiles.iterdir()] == [saved.path], "and nothing is left beside it"
    expected = {**GIVEN, "schema_version": 1, "num_retries": 4, "retry_min_wait": 5}
    del expected["api_key"]
    assert read(saved) == {**expected, "retry_max_wait": 30, "retry_multiplier": 2.0}
    assert "the key is not written" in told(saved)
    assert KEY not in told(saved)


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("env", "given", "words"),
    [
        (
            {},
            {"model": "azure/my-deployment"},
            "does not read LLM_API_KEY for a profile: set AZURE_API_KEY or AZURE_OPENAI_API_KEY to",
        ),
        (
            {"AZURE_API_KEY": KEY},
            {"model": "azure/my-deployment", "api_key": None},
            "no key is written: set AZURE_API_KEY where OpenHands runs, too",
        ),
        (
            {},
            {"model": "litellm_proxy/my-model", "api_key": None},
            "there is no key: set LITELLM_PROXY_API_KEY, where the SDK looks for it",
        ),
        ({}, {"model": "ollama_chat/qwen3", "api_key": None}, ""),
    ],
)
def test_it_is_said_where_a_profile_without_a_key_has_one_from(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], given: dict[str, Any], words: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    said = told(profile.save(settings(**given), "work"))
    assert words in said
    assert bool(words) == (" key " in said or " key:" in said)
    assert KEY not in said


def test_the_key_of_a_profile_stays_and_that_is_said(profiles: Path) -> None:
    put(profiles, {**GIVEN, "api_key": THEIR_KEY})
    said = told(profile.save(settings(), "work"))
    assert "the key in use is not written, and the profile keeps the one that it has" in said
    assert "LLM_API_KEY" not in said


@pytest.mark.usefixtures("profiles")
def test_the_key_goes_in_when_that_is_asked_for_and_shows_nowhere() -> None:
    saved = profile.save(settings(), "work", with_key=True)
    assert read(saved)["api_key"] == KEY
    assert saved.key_written
    assert KEY not in told(saved) + repr(saved)
    assert '+  "api_key": "**********"' in saved.diff


def test_what_is_not_ours_stays_and_what_nobody_has_set_goes(profiles: Path) -> None:
    """In the order of the file; a second time nothing is changed."""
    others = {"usage_id": "agent", "litellm_extra_body": {"a": [1]}, "of_a_later_version": True}
    old = {"temperature": 0.1, "top_p": 0.3, **others, "base_url": GIVEN["base_url"]}
    put(profiles, {**old, "model": "openai/gpt-4", "api_key": THEIR_KEY})
    saved = profile.save(settings(), "work.json")
    fields = read(saved)
    assert fields | others == fields
    assert "top_p" not in fields
    assert (fields["temperature"], fields["api_key"]) == (0.5, THEIR_KEY)
    assert list(fields)[:2] == ["temperature", "usage_id"]
    assert THEIR_KEY not in told(saved)
    before = saved.path.stat().st_mtime_ns
    assert profile.save(settings(), "work").diff == ""
    assert saved.path.stat().st_mtime_ns == before


def test_a_profile_that_others_could_read_is_its_owner_s_afterwards(profiles: Path) -> None:
    path = put(profiles, {"model": "openai/gpt-4o", "base_url": GIVEN["base_url"]})
    path.chmod(0o644)
    profile.save(settings(), "work")
    path.chmod(0o644)
    assert profile.save(settings(), "work").diff == ""
    assert stat.S_IMODE(path.stat().st_mode) == files.OWNER_ONLY


@pytest.mark.parametrize(
    "place",
    [
        {"model": "anthropic/claude-sonnet-4-5", "base_url": None},
        {"model": "openai/gpt-4o", "base_url": "https://api.example.com/v1"},
        {"model": "gpt-4o", "base_url": None},
    ],
)
def test_the_key_of_a_profile_is_not_sent_to_another_server(
    profiles: Path, place: dict[str, Any]
) -> None:
    """Nothing is changed, unless the key is replaced, too, or the person says so."""
    path = put(profiles, {**place, "api_key": THEIR_KEY})
    before = path.read_bytes()
    with pytest.raises(ConfigFileError, match=r"work\.json holds a key for") as caught:
        profile.save(settings(), "work")
    assert "would send it to http://127.0.0.1:9/v1" in str(caught.value)
    assert THEIR_KEY not in str(caught.value)
    assert path.read_bytes() == before
    assert read(profile.save(settings(), "work", force=True))["api_key"] == THEIR_KEY
    path.write_bytes(before)
    assert read(profile.save(settings(), "work", with_key=True))["api_key"] == KEY


def test_a_masked_key_is_no_key_to_lose(profiles: Path) -> None:
    put(profiles, {"model": "anthropic/claude-sonnet-4-5", "api_key": "**********"})
    assert read(profile.save(settings(), "work"))["model"] == GIVEN["model"]


HEADERS = {"X-Gateway": "gw-canary-9f8e7d6c5b4a", "X-Team": "research"}
FURTHER = {"completion_kwargs": {"extra_headers": HEADERS, "extra_body": {"tags": ["mine"]}}}


@pytest.mark.usefixtures("profiles")
def test_headers_and_body_go_along_but_for_headers_with_a_key() -> None:
    """Those only with --with-key; what no profile has is named."""
    further = {**FURTHER["completion_kwargs"], "stop": ["x"]}
    saved = profile.save(settings(completion_kwargs=further), "work")
    assert read(saved)["litellm_extra_body"] == {"tags": ["mine"]}
    assert "extra_headers" not in read(saved)
    assert "may hold a key in extra_headers, which only --with-key writes" in told(saved)
    assert "no profile has them: completion_kwargs.stop" in told(saved)
    assert "canary" not in told(saved)
    saved = profile.save(settings(completion_kwargs=further), "work", with_key=True)
    assert read(saved)["extra_headers"] == HEADERS
    assert "canary" not in told(saved)
    assert "research" in saved.diff
    harmless = {"extra_headers": {"anthropic-beta": "context-1m-2025-08-07"}}
    fields = read(profile.save(settings(completion_kwargs=harmless), "other"))
    assert fields["extra_headers"] == harmless["extra_headers"]


def test_headers_of_a_profile_with_a_key_stay_and_go_to_no_other_server(profiles: Path) -> None:
    """As its api_key does."""
    place = {"model": "openai/gpt-4o", "base_url": GIVEN["base_url"]}
    path = put(profiles, {**place, "extra_headers": {"X-Gateway": "their-canary-0a1b2c3d4e"}})
    before = json.loads(path.read_text())["extra_headers"]
    harmless = {"extra_headers": {"X-Team": "other"}}
    for further in ({}, FURTHER, {"completion_kwargs": harmless}):
        saved = profile.save(settings(**further), "work")
        assert read(saved)["extra_headers"] == before
        assert "canary" not in told(saved)
    elsewhere = {"base_url": "http://127.0.0.1:8/v1"}
    with pytest.raises(ConfigFileError, match=r"work\.json holds a key for"):
        profile.save(settings(**elsewhere), "work")
    with pytest.raises(ConfigFileError, match=r"work\.json holds a key for"):
        profile.save(settings(**elsewhere), "work", with_key=True)  # another key, not that one
    fields = read(profile.save(settings(**elsewhere, **FURTHER), "work", with_key=True))
    assert fields["extra_headers"] == HEADERS


def test_headers_and_body_that_nobody_has_set_stay_in_the_file(profiles: Path) -> None:
    body = {"litellm_extra_body": {"a": [1]}}
    put(profiles, {"model": "openai/gpt-4o", "base_url": GIVEN["base_url"], **body})
    assert read(profile.save(settings(), "work")) | body == read(profile.save(settings(), "work"))


def test_no_key_that_a_provider_connection_replaces_goes_along_with_headers(
    profiles: Path,
) -> None:
    """A profile stays linked when its headers change."""
    connect(GIVEN["base_url"], profiles)
    put(profiles, LINKED)
    harmless = {"extra_headers": {"X-Team": "other"}}
    fields = read(profile.save(settings(completion_kwargs=harmless), "work"))
    assert fields["provider_connection_id"] == "shared"
    assert fields["extra_headers"] == harmless["extra_headers"]


def connect(base_url: str | None, profiles: Path) -> None:
    place = profiles.parent / "provider-connections"
    place.mkdir(parents=True, exist_ok=True)
    made = {"id": "shared", "api_key": THEIR_KEY, "base_url": base_url}
    (place / "provider_connections.json").write_text(json.dumps({"connections": [made]}))


LINKED = {"model": "openai/gpt-4o", "provider_connection_id": "shared"}


def test_a_profile_stays_linked_to_a_connection_of_the_same_server(profiles: Path) -> None:
    """The key and the address stay where they are kept."""
    connect(f"{GIVEN['base_url']}/", profiles)
    put(profiles, LINKED)
    fields = read(profile.save(settings(), "work"))
    assert fields["provider_connection_id"] == "shared"
    assert fields["temperature"] == 0.5
    assert fields.keys().isdisjoint({"api_key", "base_url"})


@pytest.mark.parametrize("base_url", ["https://api.example.com/v1", None])
def test_what_a_connection_would_put_aside_is_not_written(
    profiles: Path, base_url: str | None
) -> None:
    connect(base_url, profiles)
    path = put(profiles, LINKED)
    with pytest.raises(ConfigFileError, match="takes its key and address from the connection 'sha"):
        profile.save(settings(), "work")
    assert json.loads(path.read_text()) == LINKED
    fields = read(profile.save(settings(), "work", force=True))
    assert "provider_connection_id" not in fields
    assert fields["base_url"] == GIVEN["base_url"]


def test_a_profile_of_a_subscription_is_not_written_over(profiles: Path) -> None:
    put(profiles, {"model": "gpt-5", "auth_type": "subscription", "subscription_vendor": "openai"})
    with pytest.raises(ConfigFileError, match="takes its key and address from a subscription"):
        profile.save(settings(), "work")
    fields = read(profile.save(settings(), "work", force=True))
    assert fields.keys().isdisjoint(profile.LINKS)


def test_a_link_is_neither_followed_nor_replaced(profiles: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text("{}")
    profiles.mkdir(parents=True)
    for target in (elsewhere, tmp_path / "nowhere"):
        link = profiles / "work.json"
        link.symlink_to(target)
        with pytest.raises(ConfigFileError, match="it is a link"):
            profile.save(settings(), "work", force=True)
        assert link.is_symlink()
        link.unlink()
    assert elsewhere.read_text() == "{}"
    assert not (tmp_path / "nowhere").exists()


@needs_owners
@pytest.mark.parametrize("place", ["work.json", ".", ".."])
def test_what_belongs_to_another_person_is_not_written(profiles: Path, place: str) -> None:
    """Such as a folder that a container has made."""
    put(profiles, {"model": "openai/gpt-4o"})
    os.chown(profiles / place, 12345, 12345)
    with pytest.raises(ConfigFileError, match="belongs to the user 12345"):
        profile.save(settings(), "work", force=True)


@pytest.mark.parametrize("name", ["", ".json", "../x", "a/b", ".x", "-x", "a b", "ü", "x" * 65])
def test_a_name_that_openhands_does_not_take_is_refused(profiles: Path, name: str) -> None:
    with pytest.raises(SettingError, match="no profile can be called"):
        profile.save(settings(), name)
    assert not profiles.exists()


@pytest.mark.parametrize(
    "content", ["{", "[]", "", '{"schema_version": 2}', '\ufeff{"model": "openai/gpt-4o"}']
)
def test_a_file_that_is_no_profile_of_ours_to_change_stays_as_it_is(
    profiles: Path, content: str
) -> None:
    path = put(profiles, content)
    with pytest.raises(ConfigFileError, match=r"work\.json: "):
        profile.save(settings(), "work", force=True)
    assert path.read_text() == content


@pytest.mark.usefixtures("profiles")
def test_what_does_not_go_along_is_said() -> None:
    given = settings(
        deadline=30.0, requests_per_minute=10.0, custom_llm_provider="openai", model="mine",
        completion_kwargs={"stop": ["x"]}, footer="off", modify_params=True,
    )  # fmt: skip
    said = told(profile.save(given, "work"))
    assert "modify_params" not in said, "the SDK always switches it on"
    without = given.with_overrides({"modify_params": False})
    assert "modify_params" in told(profile.save(without, "other"))
    assert "deadline, requests_per_minute" in said
    for name in ("custom_llm_provider", "completion_kwargs"):
        assert name in said
    assert "write openai/ before the model's name" in said
    assert "footer" not in said


@pytest.mark.usefixtures("profiles")
def test_a_model_that_openhands_would_not_ask_is_said() -> None:
    """Those of the practice provider, and one without its provider."""
    assert "practice models" in told(profile.save(settings(model="practice/echo"), "work"))
    assert "names no provider" in told(profile.save(settings(model="qwen"), "other"))


@pytest.mark.usefixtures("profiles")
def test_a_login_in_an_address_goes_no_further_than_a_key() -> None:
    given = settings(base_url="http://me:canary-pass-1@127.0.0.1:9/v1")
    with pytest.raises(SettingError, match="base_url has a user or password"):
        profile.save(given, "work")
    saved = profile.save(given, "work", with_key=True)
    assert "canary-pass" in read(saved)["base_url"]
    assert "canary-pass" not in told(saved)


def test_no_key_goes_into_a_file_that_git_tracks_unless_forced(profiles: Path) -> None:
    """Some keep ~/.openhands in a repository."""
    profile.save(settings(), "work")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=profiles.parent, check=True)  # noqa: S603, S607 - git
    with pytest.raises(ConfigFileError, match="git tracks this file"):
        profile.save(settings(), "work", with_key=True)
    assert "api_key" not in read(profile.save(settings(), "work"))
    assert "api_key" in read(profile.save(settings(), "work", with_key=True, force=True))


PROJECT = '[llm]\nmodel = "openai/gpt-4o"\nbase_url = "{}"\n'


def test_an_address_that_a_project_names_does_not_become_the_person_s(profiles: Path) -> None:
    """Whoever takes the profile later would send a key there; a trusted file may name it."""
    file = Path("config.toml")
    file.write_text(PROJECT.format("https://attacker.example/v1"))
    would_count = r"config\.toml line 3.*would count as yours"
    for env in ({}, {"LLM_API_KEY": KEY}):
        with pytest.raises(UntrustedSettingError, match=would_count):
            profile.save(load_settings(env=env), "work", with_key=True, force=True)
    assert not profiles.exists()
    trusted.trust(file.absolute())
    assert read(profile.save(load_settings(), "work"))["base_url"] == "https://attacker.example/v1"
    file.write_text(PROJECT.format("http://127.0.0.1:8000/v1"))
    assert read(profile.save(load_settings(), "local"))["base_url"] == "http://127.0.0.1:8000/v1"


@pytest.mark.usefixtures("profiles")
def test_what_a_project_must_not_decide_is_not_written() -> None:
    Path("config.toml").write_text('[llm]\nmodel = "openai/x"\napi_version = "os.environ/HOME"\n')
    with pytest.raises(UntrustedSettingError, match="api_version"):
        profile.save(load_settings(), "work")
    further = 'completion_kwargs = {extra_headers = {"X-Team" = "theirs"}}'
    Path("config.toml").write_text(f'[llm.g]\nmodel = "openai/x"\n{further}\n')
    with pytest.raises(UntrustedSettingError, match=r"completion_kwargs\.extra_headers"):
        profile.save(load_settings(group="g"), "work")


def test_what_another_program_writes_meanwhile_is_seen(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again, and stays."""
    put(profiles, {"model": "openai/gpt-4o", "base_url": GIVEN["base_url"]})
    put_whole = files.Draft.put
    changes = iter([{"usage_id": "of another program"}])

    def slow_put(draft: files.Draft, *args: Any, **more: Any) -> bool:
        for change in changes:
            put(profiles, {"model": "openai/gpt-4o", "base_url": GIVEN["base_url"]} | change)
        return put_whole(draft, *args, **more)

    monkeypatch.setattr(files.Draft, "put", slow_put)
    fields = read(profile.save(settings(), "work"))
    assert (fields["usage_id"], fields["temperature"]) == ("of another program", 0.5)


def test_a_preview_writes_nothing(profiles: Path) -> None:
    planned = profile.preview(settings(), "work")
    assert not profiles.exists()
    assert planned == profile.save(settings(), "work")


@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "num_retries": st.integers(1, 99),
            "retry_min_wait": st.integers(0, 99),
            "retry_max_wait": st.integers(0, 999),
            "retry_multiplier": st.floats(0, 99),
            "timeout": st.none() | st.integers(1, 999),
            "temperature": st.floats(0, 2),
            "top_k": st.none() | st.floats(0, 99),
            "max_output_tokens": st.none() | st.integers(1, 9999),
            "reasoning_effort": st.sampled_from(["", "low", "high", "xhigh"]),
            "drop_params": st.booleans(),
            "native_tool_calling": st.booleans(),
            "custom_tokenizer": st.none() | st.text(min_size=1),
            "completion_kwargs": st.fixed_dictionaries(
                {},
                optional={
                    "extra_headers": st.dictionaries(st.text(), st.text(), min_size=1),
                    "extra_body": st.dictionaries(st.text(), st.text() | st.none(), min_size=1),
                },
            ).map(lambda given: given or None),
        },
    )
)
def test_what_is_written_and_taken_again_is_the_same(
    values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All that a profile can hold, also what is unset on purpose."""
    env = {folder.SDK_VARIABLE: str(tmp_path_factory.mktemp("openhands"))}
    given = settings(**values)
    profile.save(given, "again", with_key=True, env=env)
    taken = folder.take(folder.named("again", env), env)
    back = resolve([taken.layer])
    for name in GIVEN | values:
        assert getattr(back, name) == getattr(given, name), name
