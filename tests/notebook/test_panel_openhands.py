"""The panel's hand-over to the current OpenHands, and from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from panel_driver import Driver

from openhands_llm_magic.config import check
from openhands_llm_magic.llm.practice import stand_in
from openhands_llm_magic.notebook.panel import handover

KEY = "sk-canary-0123456789abcdef"
THEIR_KEY = "sk-canary-of-the-profile-98765"
WITH_KEY = "Write the key, too: as plain text, which you alone can read"
PROFILE = {"model": "openai/gpt-4o", "api_key": THEIR_KEY, "num_retries": 7, "stream": True}


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """OpenHands' folder of profiles; the work is in another folder."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    made = Path.home() / ".openhands" / "profiles"
    made.mkdir(parents=True)
    return made


def put(profiles: Path, name: str, fields: object) -> Path:
    path = profiles / f"{name}.json"
    path.write_text(json.dumps(fields))
    return path


def test_nothing_is_offered_where_openhands_has_nothing() -> None:
    driver = Driver()
    assert "What OpenHands has" not in driver.labels
    assert "Profile" in driver.labels


def test_a_profile_is_taken_whole_and_its_key_is_not_shown(profiles: Path) -> None:
    """No edit of another place is mixed with it; what does not count is named."""
    put(profiles, "work", PROFILE)
    driver = Driver()
    driver.choose("A server compatible with OpenAI")
    driver.type("Base URL", "http://127.0.0.1:9/v1")
    driver.key(KEY)
    driver.press("Take it into this session")
    assert "~/.openhands/profiles/work.json is in use in this session." in driver.text
    assert "do not count: stream." in driver.text
    found = driver.settings.snapshot()
    assert (found.model, found.base_url, found.num_retries) == ("openai/gpt-4o", None, 7)
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == THEIR_KEY
    assert not driver.panel.draft.edits
    assert driver.control("Number of retries").value == "7"
    assert "num_retries in ~/.openhands/profiles/work.json" in driver.text
    state = json.dumps([each.get_state() for each in driver.widgets], default=str)
    assert "canary" not in state


def test_files_that_come_later_are_offered_and_a_bad_one_is_a_line(profiles: Path) -> None:
    driver = Driver()
    put(profiles, "first", PROFILE)
    (profiles / "second.json").write_text("{")
    driver.type("Number of retries", "3")
    assert driver.control("What OpenHands has").options == ("first", "second")
    driver.type("What OpenHands has", "second")
    driver.press("Take it into this session")
    assert "~/.openhands/profiles/second.json: it is no JSON from line 1 on" in driver.text
    assert driver.settings.changed == set()


def test_a_profile_is_written_after_its_change_was_shown(profiles: Path) -> None:
    """As config.toml is: the key only if it is ticked, and never to be seen."""
    driver = Driver()
    driver.choose("OpenAI")
    driver.key(KEY)
    driver.press("Save as a profile …")
    assert "write the name of the profile first" in driver.text
    driver.type("Profile", "mine")
    driver.press("Save as a profile …")
    assert "This would change in ~/.openhands/profiles/mine.json:" in driver.text
    assert "the key is not written" in driver.text
    assert not [*profiles.iterdir()]
    driver.press("Write the file")
    path = profiles / "mine.json"
    assert "Saved ~/.openhands/profiles/mine.json." in driver.text
    assert KEY not in path.read_text()
    driver.press("Save as a profile …")
    driver.type(WITH_KEY, True)
    driver.press("Write the file")
    assert json.loads(path.read_text())["api_key"] == KEY
    assert "canary" not in driver.text
    assert driver.panel.draft.edits.keys() >= {"api_key"}, "nothing was applied by that"


def test_what_would_send_a_profile_s_key_elsewhere_is_refused_in_the_panel_s_words(
    profiles: Path,
) -> None:
    path = put(profiles, "work", PROFILE)
    before = path.read_text()
    driver = Driver()
    driver.choose("Anthropic")
    driver.type("Profile", "work")
    driver.press("Save as a profile …")
    assert "holds a key for openai, and would send it to anthropic" in driver.text
    assert "%llm_config --to-openhands NAME --force" in driver.text
    assert "pass force" not in driver.text
    assert path.read_text() == before


def test_the_hand_over_of_the_current_openhands_comes_first() -> None:
    names = [each.description for each in Driver().buttons]
    forms = ["Save as a profile …", *handover.CURRENT.values(), "Save to config.toml …"]
    assert [name for name in names if name in forms] == forms


def test_the_panel_says_that_the_practice_server_stands_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In docker, too, where the check would have its address written otherwise."""
    monkeypatch.setattr(check, "_runs_in_docker", lambda: True)
    driver = Driver()
    driver.type("Model", "azure/my-deployment")
    driver.type("Base URL", "http://127.0.0.1:9")
    driver.press("Apply to this session")
    assert "host.docker.internal" in driver.text
    assert "answers in place of" not in driver.text
    settings = driver.settings
    settings.set(**stand_in.in_place_of(settings.snapshot(), "azure"))
    driver.panel.refresh()
    assert "The practice server on this machine answers in place of Azure OpenAI" in driver.text
    assert "host.docker.internal" not in driver.text
    settings.reset(stand_in.left_over(settings.snapshot()))
    driver.panel.refresh()
    assert "answers in place of" not in driver.text


@pytest.mark.parametrize("press", ["Copy shell exports", "Copy profile", "Save as a profile …"])
def test_the_practice_servers_address_is_not_handed_over(profiles: Path, press: str) -> None:
    """The panel says so beside what it hands over."""
    del profiles
    driver = Driver()
    settings = driver.settings
    settings.set(model="openai/my-model")
    settings.set(**stand_in.in_place_of(settings.snapshot(), "sglang"))
    driver.panel.refresh()
    driver.type("Profile", "mine")
    driver.press(press)
    assert "left out, as the practice server ends with this kernel" in driver.text
    copied = driver.control("To copy").value if "To copy" in driver.labels else ""
    handed = f"{driver.text}{copied}"
    assert "http://localhost:30000/v1" in handed
    assert WITH_KEY not in driver.labels
