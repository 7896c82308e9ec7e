"""The files of the real SDK: it loads those that we write, and we take those that it writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Refuse
from openhands.cases import CHOSEN, KEY, MESSAGES, NOT_ON_THE_WIRE, POLICY

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings, resolve
from openhands_llm_magic.config.schedule import openhands_waits_s
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.litellm.preview import preview
from openhands_llm_magic.llm.openhands import folder, json_file, profile
from openhands_llm_magic.llm.openhands.differences import REFUSE, SENDS_CACHE_KEY, SENDS_EFFORT
from openhands_llm_magic.llm.openhands.sdk import SDK
from openhands_llm_magic.llm.openhands.sent import as_sent_by
from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from pathlib import Path

    from openhands.real import OpenHands

HEADERS = {"X-Gateway": "gw-canary-9f8e7d6c5b4a", "X-Team": "research"}

LATE_S = 2
"""Seconds that a busy machine may add to a wait."""


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of OpenHands' profiles."""
    monkeypatch.setenv(folder.SDK_VARIABLE, str(tmp_path / "openhands"))
    return tmp_path / "openhands" / "profiles"


def settings(**given: Any) -> Any:
    return load_settings(env={}).with_overrides({"model": "openai/gpt-4o", **given})


def test_the_sdk_asks_the_practice_server_with_a_profile_and_waits_as_the_panel_says(
    sdk: OpenHands,
) -> None:
    """The server refuses the prompt twice, and then answers it."""
    with PracticeServer() as server:
        place = {"base_url": server.base_url, "api_key": server.key}
        written = settings(**place, **{**POLICY, "model": "openai/rate-limited"})
        saved = profile.save(written, "practice", with_key=True)
        began_s = time.monotonic()
        outcome = sdk.load(saved.path, MESSAGES)
        took_s = time.monotonic() - began_s
    assert outcome.error is None
    planned_s = sum(openhands_waits_s(written))
    assert planned_s == 3
    assert planned_s <= took_s < 8 + 8, "which the SDK would wait by its own defaults"


def test_the_sdk_retries_as_often_and_as_late_as_the_panel_says(sdk: OpenHands) -> None:
    """With the key of the file; then it gives up."""
    written = settings(**POLICY, base_url=sdk.server.openai_base, api_key=KEY)
    saved = profile.save(written, "limited", with_key=True)
    outcome = sdk.load(saved.path, MESSAGES, Refuse(429))
    planned_s = [*openhands_waits_s(written)]
    assert len(outcome.requests) == written.num_retries
    for waited_s, wait_s in zip(outcome.waits_s, planned_s, strict=True):
        assert wait_s - 0.1 <= waited_s <= wait_s + LATE_S
    assert {each.headers["authorization"] for each in outcome.requests} == {f"Bearer {KEY}"}


def test_what_the_sdk_has_written_is_taken_and_written_back(sdk: OpenHands, profiles: Path) -> None:
    """It sends the same before and after."""
    place = {"model": "openai/gpt-4o", "base_url": sdk.server.openai_base, "api_key": KEY}
    path = profiles / "theirs.json"
    further = {"extra_headers": HEADERS, "litellm_extra_body": {"tags": ["mine"]}}
    sdk.keep(path, {**place, **CHOSEN, **further, "num_retries": 1})
    before = sdk.load(path, MESSAGES, Answer())
    taken = folder.take(folder.named("theirs"))
    found = resolve([taken.layer])
    for name, value in (CHOSEN | {"num_retries": 1}).items():
        assert getattr(found, name) == value
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == KEY
    assert taken.notes == ()
    profile.save(found, "theirs")
    after = sdk.load(path, MESSAGES, Answer())
    assert (before.error, after.error) == (None, None)
    [first], [second] = before.requests, after.requests
    assert (first.path, first.body) == (second.path, second.body)
    assert first.headers["authorization"] == second.headers["authorization"] == f"Bearer {KEY}"
    assert first.headers["x-gateway"] == second.headers["x-gateway"] == HEADERS["X-Gateway"]
    assert first.body["tags"] == ["mine"]
    shown = preview(as_sent_by(SDK, MESSAGES, found).prepared, "chat")
    assert dict(shown.body) == second.body
    assert shown.headers["X-Team"] == second.headers["x-team"] == "research"
    assert HEADERS["X-Gateway"] not in str(shown)


def test_headers_and_body_that_we_write_are_sent_by_the_sdk(sdk: OpenHands) -> None:
    further = {"extra_headers": HEADERS, "extra_body": {"tags": ["mine"]}}
    written = settings(
        base_url=sdk.server.openai_base, api_key=KEY, num_retries=1, completion_kwargs=further
    )
    saved = profile.save(written, "further", with_key=True)
    outcome = sdk.load(saved.path, MESSAGES, Answer())
    assert outcome.error is None
    [request] = outcome.requests
    assert request.headers["x-gateway"] == HEADERS["X-Gateway"]
    assert request.body["tags"] == ["mine"]


def test_a_connection_of_the_sdk_counts_for_both(sdk: OpenHands, profiles: Path) -> None:
    """A profile that stays linked is loaded with the connection's key."""
    path = profiles / "linked.json"
    shared = {"id": "shared", "display_name": "Shared", "api_key": KEY}
    shared["base_url"] = sdk.server.openai_base
    linked = {"model": "openai/gpt-4o", "provider_connection_id": "shared", "num_retries": 1}
    sdk.keep(path, linked, shared)
    found = resolve([folder.take(folder.named("linked")).layer])
    assert found.base_url == sdk.server.openai_base
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == KEY
    profile.save(found.with_overrides({"max_output_tokens": 77}), "linked")
    outcome = sdk.load(path, MESSAGES, Answer())
    assert outcome.error is None
    assert outcome.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert outcome.requests[0].body["max_completion_tokens"] == 77


def test_what_we_say_of_its_fields_and_names_is_so(sdk: OpenHands) -> None:
    """Each field is a setting here or is named as one that is not."""
    told = sdk.describe()
    ours = {each.name for each in folder.SETTINGS_IN_PROFILES}
    others = {**folder.WITHOUT_COUNTERPART, "extra_headers": None, "litellm_extra_body": {}}
    assert told["defaults"].keys() == ours | others.keys() | {"usage_id"}
    assert {name: told["defaults"][name] for name in others} == others
    differing = {
        name: told["defaults"][name]
        for name in ours
        if told["defaults"][name] not in (None, SETTINGS[name].default)
    }
    kept = {"native_tool_calling", "log_completions_folder", "model"}
    known = {name: value for name, value in SDK.defaults.items() if value is not None}
    assert {name: value for name, value in differing.items() if name not in kept} == {
        name: value for name, value in known.items() if value != SETTINGS[name].default
    }
    assert told["schema"] == json_file.NEWEST_SCHEMA
    assert told["name"] == f"^{folder.PROFILE_NAME.pattern}$"


def test_what_we_say_that_it_sends_to_a_server_of_one_s_own_is_so(sdk: OpenHands) -> None:
    """To each provider of the catalogue, and to those that the rules name."""
    prefixes = {each.prefix.rstrip("/") for each in PROVIDERS.values()} - NOT_ON_THE_WIRE - {""}
    prefixes |= SENDS_CACHE_KEY | {each.instead.rstrip("/") for each in REFUSE.values()}
    told = sdk.describe([f"{prefix}/mine" for prefix in sorted(prefixes)])["sent"]
    sent = {name.partition("/")[0]: each for name, each in told.items()}
    assert {name for name, each in sent.items() if each["prompt_cache_key"]} == SENDS_CACHE_KEY
    efforts = {name for name in SENDS_CACHE_KEY if sent[name]["reasoning_effort"]}
    assert efforts == SENDS_EFFORT
