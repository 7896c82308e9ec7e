"""Edits that are not in force yet: refused, applied, put back, and settled after saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.draft import Draft
from openhands_llm_magic.config.layers import EDIT, SESSION
from openhands_llm_magic.config.save import save
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    """A draft on a config file that sets the temperature."""
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "openai/m"\ntemperature = 0.5\n')
    return Draft(LLMSettings())


def test_an_edit_shows_in_the_draft_and_nowhere_else(draft: Draft) -> None:
    """Its origin says that it is not in force, and what it would override."""
    draft.edit("temperature", " 0.7 ")
    edited = draft.snapshot()
    assert (edited.temperature, edited.origin("temperature")) == (0.7, EDIT)
    assert edited.overridden("temperature")[0].value == 0.5
    assert draft.settings.snapshot().temperature == 0.5


def test_an_edit_to_what_is_in_force_is_none(draft: Draft) -> None:
    draft.edit("temperature", "0.7")
    draft.edit("temperature", "0.5")
    assert draft.edits == {}
    assert not draft.can_be_put_back("temperature", draft.snapshot())


@pytest.mark.parametrize("text", ["warm", "3", "-1", "nan", "0.1, 0.2"])
def test_a_refused_edit_changes_nothing_and_holds_back_all(draft: Draft, text: str) -> None:
    """Neither it nor the good ones beside it are applied, tested or saved."""
    draft.edit("temperature", "0.7")
    draft.edit("num_retries", "6")
    with pytest.raises(SettingError, match="temperature takes a number from 0 to 2"):
        draft.edit("temperature", text)
    assert "temperature takes" in draft.refused["temperature"]
    assert draft.snapshot().temperature == 0.7
    with pytest.raises(SettingError, match="temperature takes"):
        draft.apply()
    assert draft.settings.snapshot().num_retries == 4
    draft.edit("temperature", "0.9")
    draft.apply()
    in_force = draft.settings.snapshot()
    assert (in_force.temperature, in_force.num_retries) == (0.9, 6)
    assert (dict(draft.edits), dict(draft.refused)) == ({}, {})


def test_an_edit_is_put_back_first_then_what_the_session_set(draft: Draft) -> None:
    draft.edit("temperature", "0.7")
    draft.apply()
    draft.edit("temperature", "0.9")
    draft.put_back("temperature")
    assert (draft.snapshot().temperature, draft.snapshot().origin("temperature")) == (0.7, SESSION)
    assert draft.can_be_put_back("temperature", draft.snapshot())
    draft.put_back("temperature")
    assert str(draft.snapshot().origin("temperature")) == "config.toml line 3"
    assert not draft.can_be_put_back("temperature", draft.snapshot())


def test_what_was_refused_can_be_put_back(draft: Draft) -> None:
    with pytest.raises(SettingError):
        draft.edit("num_retries", "many")
    assert draft.can_be_put_back("num_retries", draft.snapshot())
    draft.put_back("num_retries")
    assert draft.require_valid().num_retries == 4


def test_a_key_is_a_secret_and_can_be_cleared(draft: Draft) -> None:
    """Nothing that prints the draft shows it."""
    draft.edit("api_key", Secret("sk-canary-0123456789"))
    assert draft.snapshot().api_key == Secret("sk-canary-0123456789")
    assert "canary" not in repr(draft.edits) + repr(vars(draft)) + repr(draft.snapshot())
    draft.apply()
    draft.edit("api_key", None)
    assert draft.snapshot().api_key is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("base_url", "http://bob:hunter2@host/v1"),
        ("model", "sk-0123456789abcdefghij"),
        ("completion_kwargs", "{'extra_headers': {'x': 'sk-0123456789abcdefghij'}}"),
    ],
)
def test_a_key_in_an_open_field_is_refused(draft: Draft, name: str, text: str) -> None:
    """The field's text could be saved with the notebook; the line does not repeat it."""
    with pytest.raises(SettingError, match="would be saved with the notebook") as refused:
        draft.edit(name, text)
    assert text not in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("completion_kwargs", "{'extra_headers': {'Authorization': 'Bearer gw-0123456789ab'}}"),
        ("model", "0123456789abcdef0123456789abcdef"),
        ("num_retries", "0123456789abcdef0123456789abcdef"),
        ("base_url", "https://gateway.example/v1?api-key=mine"),
    ],
)
def test_a_key_of_any_shape_is_refused_where_it_is_known(
    draft: Draft, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """By the names around it, or because it is the session's own."""
    monkeypatch.setenv("LLM_API_KEY", "0123456789abcdef0123456789abcdef")
    with pytest.raises(SettingError, match="would be saved with the notebook"):
        draft.edit(name, text)
    assert (dict(draft.edits), dict(draft.refused)) == ({}, {})


def test_a_models_name_is_no_key(draft: Draft) -> None:
    draft.edit("model", "huggingface/hf-internal-testing/tiny")
    assert draft.snapshot().model == "huggingface/hf-internal-testing/tiny"


def test_an_edit_is_kept_while_the_group_is_gone(draft: Draft, tmp_path: Path) -> None:
    """Nothing is lost; it shows again when the group is there or another is chosen."""
    file = tmp_path / "config.toml"
    file.write_text("[llm.quick]\nnum_retries = 1\n")
    draft.settings.use_group("quick")
    file.write_text("[llm]\n")
    draft.edit("num_retries", "9")
    draft.settings.use_group(None)
    assert draft.snapshot().num_retries == 9


def test_a_masked_value_is_not_taken_for_one(draft: Draft) -> None:
    """What a field shows in place of a password is no address."""
    with pytest.raises(SettingError, match="write all of it anew"):
        draft.edit("base_url", "http://**********@host/v1")


def test_what_was_saved_comes_from_the_file(draft: Draft, tmp_path: Path) -> None:
    """Edits and session values that the file has now are forgotten; others stay."""
    draft.edit("temperature", "0.7")
    draft.apply()
    draft.edit("num_retries", "6")
    save(draft.snapshot())
    draft.edit("seed", "1")
    draft.settle()
    snapshot = draft.snapshot()
    assert snapshot.origin("temperature").path == tmp_path / "config.toml"
    assert snapshot.origin("num_retries").path == tmp_path / "config.toml"
    assert dict(draft.edits) == {"seed": 1}


def test_what_a_variable_overrides_stays_edited(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving it did not put it in force."""
    monkeypatch.setenv("LLM_NUM_RETRIES", "9")
    draft.edit("num_retries", "6")
    save(draft.snapshot())
    draft.settle()
    assert dict(draft.edits) == {"num_retries": 6}
    assert draft.settings.snapshot().num_retries == 9
