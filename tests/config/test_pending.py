"""Edits that are not in force yet: refused, applied, put back, and settled after saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.layers import EDIT, SESSION
from openhands_llm_magic.config.pending import PendingEdits
from openhands_llm_magic.config.save import save
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pending(tmp_path: Path) -> PendingEdits:
    """Edits on a config file that sets the temperature."""
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "openai/m"\ntemperature = 0.5\n')
    return PendingEdits(LLMSettings())


def test_an_edit_shows_among_the_edits_and_nowhere_else(pending: PendingEdits) -> None:
    """Its origin says that it is not in force, and what it would override."""
    pending.edit("temperature", " 0.7 ")
    edited = pending.snapshot()
    assert (edited.temperature, edited.origin("temperature")) == (0.7, EDIT)
    assert edited.overridden("temperature")[0].value == 0.5
    assert pending.settings.snapshot().temperature == 0.5


def test_an_edit_to_what_is_in_force_is_none(pending: PendingEdits) -> None:
    pending.edit("temperature", "0.7")
    pending.edit("temperature", "0.5")
    assert pending.edits == {}
    assert not pending.can_be_put_back("temperature")


@pytest.mark.parametrize("text", ["warm", "3", "-1", "nan", "0.1, 0.2"])
def test_a_refused_edit_changes_nothing_and_holds_back_all(
    pending: PendingEdits, text: str
) -> None:
    """Neither it nor the good ones beside it are applied, tested or saved."""
    pending.edit("temperature", "0.7")
    pending.edit("num_retries", "6")
    with pytest.raises(SettingError, match="temperature takes a number from 0 to 2"):
        pending.edit("temperature", text)
    assert "temperature takes" in pending.refused["temperature"]
    assert pending.snapshot().temperature == 0.7
    with pytest.raises(SettingError, match="temperature takes"):
        pending.apply()
    assert pending.settings.snapshot().num_retries == 4
    pending.edit("temperature", "0.9")
    pending.apply()
    in_force = pending.settings.snapshot()
    assert (in_force.temperature, in_force.num_retries) == (0.9, 6)
    assert (dict(pending.edits), dict(pending.refused)) == ({}, {})


def test_an_edit_is_put_back_first_then_what_the_session_set(pending: PendingEdits) -> None:
    pending.edit("temperature", "0.7")
    pending.apply()
    pending.edit("temperature", "0.9")
    pending.put_back("temperature")
    assert (pending.snapshot().temperature, pending.snapshot().origin("temperature")) == (
        0.7,
        SESSION,
    )
    assert pending.can_be_put_back("temperature")
    pending.put_back("temperature")
    assert str(pending.snapshot().origin("temperature")) == "config.toml line 3"
    assert not pending.can_be_put_back("temperature")


def test_what_was_refused_can_be_put_back(pending: PendingEdits) -> None:
    with pytest.raises(SettingError):
        pending.edit("num_retries", "many")
    assert pending.can_be_put_back("num_retries")
    pending.put_back("num_retries")
    assert pending.require_valid().num_retries == 4


def test_what_a_line_sets_is_no_longer_edited(pending: PendingEdits) -> None:
    """The model takes with it where it is; other edits stay, and so does a key that was typed."""
    pending.edit("model", "ollama_chat/qwen3")
    pending.edit("base_url", "http://localhost:11434")
    pending.edit("api_key", Secret("sk-0123456789"))
    pending.edit("num_retries", "6")
    assert pending.forget_overtaken() == set()
    pending.settings.change({"model": "openai/gpt-4o"})
    assert pending.forget_overtaken() == {"model"}
    assert [*pending.edits] == ["api_key", "num_retries"]
    assert pending.snapshot().model == "openai/gpt-4o"
    pending.edit("model", "openai/o3")
    assert pending.forget_overtaken() == set(), "it is edited anew"
    pending.settings.change({"model": "openai/gpt-4o"})
    pending.forget_overtaken()
    assert "model" not in pending.edits, "the line says it again"


def test_what_was_refused_goes_where_a_line_sets_it(pending: PendingEdits) -> None:
    with pytest.raises(SettingError):
        pending.edit("temperature", "warm")
    pending.settings.set(temperature=0.9)
    pending.forget_overtaken()
    assert pending.refused == {}


def test_an_edit_that_has_come_into_force_elsewhere_is_none(
    pending: PendingEdits, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending.edit("temperature", "0.7")
    monkeypatch.setenv("LLM_TEMPERATURE", "0.7")
    assert pending.forget_overtaken() == set()
    assert pending.edits == {}


def test_a_key_is_a_secret_and_can_be_cleared(pending: PendingEdits) -> None:
    """Nothing that prints the edits shows it."""
    pending.edit("api_key", Secret("sk-canary-0123456789"))
    assert pending.snapshot().api_key == Secret("sk-canary-0123456789")
    assert "canary" not in repr(pending.edits) + repr(vars(pending)) + repr(pending.snapshot())
    pending.apply()
    pending.edit("api_key", None)
    assert pending.snapshot().api_key is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("base_url", "http://bob:hunter2@host/v1"),
        ("model", "sk-0123456789abcdefghij"),
        ("completion_kwargs", "{'extra_headers': {'x': 'sk-0123456789abcdefghij'}}"),
    ],
)
def test_a_key_in_an_open_field_is_refused(pending: PendingEdits, name: str, text: str) -> None:
    """The field's text could be saved with the notebook; the line does not repeat it."""
    with pytest.raises(SettingError, match="would be saved with the notebook") as refused:
        pending.edit(name, text)
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
    pending: PendingEdits, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """By the names around it, or because it is the session's own."""
    monkeypatch.setenv("LLM_API_KEY", "0123456789abcdef0123456789abcdef")
    with pytest.raises(SettingError, match="would be saved with the notebook"):
        pending.edit(name, text)
    assert (dict(pending.edits), dict(pending.refused)) == ({}, {})


def test_a_models_name_is_no_key(pending: PendingEdits) -> None:
    pending.edit("model", "huggingface/hf-internal-testing/tiny")
    assert pending.snapshot().model == "huggingface/hf-internal-testing/tiny"


def test_an_edit_is_kept_while_the_group_is_gone(pending: PendingEdits, tmp_path: Path) -> None:
    """Nothing is lost; it shows again when the group is there or another is chosen."""
    file = tmp_path / "config.toml"
    file.write_text("[llm.quick]\nnum_retries = 1\n")
    pending.settings.use_group("quick")
    file.write_text("[llm]\n")
    pending.edit("num_retries", "9")
    pending.settings.use_group(None)
    assert pending.snapshot().num_retries == 9


def test_a_masked_value_is_not_taken_for_one(pending: PendingEdits) -> None:
    """What a field shows in place of a password is no address."""
    with pytest.raises(SettingError, match="write all of it anew"):
        pending.edit("base_url", "http://**********@host/v1")


def test_what_was_saved_comes_from_the_file(pending: PendingEdits, tmp_path: Path) -> None:
    """Edits and session values that the file has now are forgotten; others stay."""
    pending.edit("temperature", "0.7")
    pending.apply()
    pending.edit("num_retries", "6")
    save(pending.snapshot())
    pending.edit("seed", "1")
    pending.settle()
    snapshot = pending.snapshot()
    assert snapshot.origin("temperature").path == tmp_path / "config.toml"
    assert snapshot.origin("num_retries").path == tmp_path / "config.toml"
    assert dict(pending.edits) == {"seed": 1}


def test_what_a_variable_overrides_stays_edited(
    pending: PendingEdits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving it did not put it in force."""
    monkeypatch.setenv("LLM_NUM_RETRIES", "9")
    pending.edit("num_retries", "6")
    save(pending.snapshot())
    pending.settle()
    assert dict(pending.edits) == {"num_retries": 6}
    assert pending.settings.snapshot().num_retries == 9


def test_a_short_name_of_a_model_can_be_put_back(pending: PendingEdits) -> None:
    """Its origin is the session, told in more words."""
    pending.settings.set(aliases={"fast": "openai/gpt-4o-mini"}, model="fast")
    assert pending.snapshot().model == "openai/gpt-4o-mini"
    assert pending.can_be_put_back("model")
    pending.put_back("model")
    assert not pending.can_be_put_back("model")
