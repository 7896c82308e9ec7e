"""Which language is spoken: that of the setting, wherever it is set, or else the system's."""

from __future__ import annotations

import ctypes
import plistlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from traitlets.config import Config

from openhands_llm_magic.config import languages
from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.languages import LANGUAGES, in_force, of_system
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.notebook.language import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IN_FILE = '[openhands_llm_magic]\nlanguage = "{}"\n'


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Forget what the system was said to be set to."""
    yield
    languages._of_platform.cache_clear()


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("en", {}),
        ("ja", {"LANG": "ja_JP.UTF-8"}),
        ("ja", {"LANG": "ja"}),
        ("ja", {"LANG": "JA_JP.utf8@cjknarrow"}),
        ("en", {"LANG": "fr_FR.UTF-8"}),
        ("en", {"LANG": "jam_JM.UTF-8"}),
        ("en", {"LC_MESSAGES": "C", "LANG": "ja_JP.UTF-8"}),
        ("ja", {"LC_MESSAGES": "ja_JP", "LANG": "C"}),
        ("en", {"LC_ALL": "C.UTF-8", "LC_MESSAGES": "ja_JP", "LANG": "ja_JP"}),
        ("ja", {"LC_ALL": "ja_JP", "LC_MESSAGES": "C", "LANG": "C"}),
        ("ja", {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "ja_JP"}),
        ("ja", {"LANG": "en_US.UTF-8", "LANGUAGE": "ja"}),
        ("ja", {"LANG": "en_US.UTF-8", "LANGUAGE": "fr:ja:en"}),
        ("en", {"LANG": "ja_JP.UTF-8", "LANGUAGE": "en_GB:en"}),
        ("ja", {"LANG": "ja_JP.UTF-8", "LANGUAGE": ""}),
        ("en", {"LANG": "C.UTF-8", "LANGUAGE": "ja"}),
        ("en", {"LC_CTYPE": "ja_JP.UTF-8"}),
    ],
)
def test_the_language_of_a_system(name: str, env: dict[str, str]) -> None:
    """As gettext has it: LC_ALL before LC_MESSAGES before LANG, and LANGUAGE unless that is C."""
    assert of_system(env, "linux") == name


@pytest.mark.parametrize(
    ("name", "preferred"),
    [
        ("ja", ["ja-JP", "en-JP"]),
        ("en", ["en-JP", "ja-JP"]),
        ("ja", ["fr-FR", "ja"]),
        ("en", ["de-DE"]),
        ("en", []),
    ],
)
def test_macos_is_asked_where_no_variable_is_set(
    name: str, preferred: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the Dock or an editor starts has no LANG; the order of menus' languages counts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "Library" / "Preferences"
    folder.mkdir(parents=True)
    told = {"AppleLanguages": preferred, "AppleLocale": "fr_FR"}
    (folder / ".GlobalPreferences.plist").write_bytes(plistlib.dumps(told, fmt=plistlib.FMT_BINARY))
    assert of_system({}, "darwin") == name
    assert of_system({"LANG": "ja_JP.UTF-8"}, "darwin") == "ja"


@pytest.mark.parametrize("content", [None, b"", b"bplist00\xff", b"<plist>", b"\x00" * 99])
def test_preferences_of_macos_that_cannot_be_read_are_english(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "Library" / "Preferences" / ".GlobalPreferences.plist"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    assert of_system({}, "darwin") == "en"


@pytest.mark.parametrize(("number", "name"), [(0x0411, "ja"), (0x0409, "en"), (0x040C, "en")])
def test_windows_is_asked_for_the_language_of_its_menus(
    number: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = SimpleNamespace(GetUserDefaultUILanguage=lambda: number)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=system), raising=False)
    assert of_system({}, "win32") == name


def test_a_language_of_a_region_is_found_as_systems_write_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(languages, "LANGUAGES", ("en", "pt_BR", "zh_TW"))
    names = ["pt_BR.UTF-8", "pt-BR", "zh-Hant-TW", "zh_TW.Big5", "pt_PT", "zh-Hans-CN"]
    found = [of_system({"LANG": name}, "linux") for name in names]
    assert found == ["pt_BR", "pt_BR", "zh_TW", "zh_TW", "en", "en"]


def test_the_setting_counts_as_every_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's < the file < the variable < ipython_config.py < the session < a flag."""
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert in_force(load_settings()) == "ja"
    (tmp_path / "config.toml").write_text(IN_FILE.format("en"))
    assert in_force(load_settings()) == "en"
    monkeypatch.setenv("LLM_MAGIC_LANG", "ja")
    assert in_force(load_settings()) == "ja"
    settings = LLMSettings(config=Config({"LLMSettings": {"language": "en"}}))
    assert in_force(settings.snapshot()) == "en"
    settings.set(language="ja")
    assert in_force(settings.snapshot()) == "ja"
    assert in_force(settings.snapshot({"language": "en"})) == "en"
    assert str(settings.snapshot().origin("language")) == "this session"


@pytest.mark.parametrize("set_to", ["fr", "JA", "ja_JP", "en\nja", "none"])
def test_a_language_that_there_is_not_is_told_in_one_line(
    set_to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names where the value comes from. English is spoken meanwhile, whatever the system's."""
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    monkeypatch.setenv("LLM_MAGIC_LANG", set_to)
    settings = load_settings()
    assert in_force(settings) == "en"
    [problem] = settings.problems
    assert problem.line == f"LLM_MAGIC_LANG: language takes en or ja, or none, not {set_to!r}"
    assert len(problem.line.splitlines()) == 1


@pytest.mark.parametrize("set_to", ['"fr"', "5", "[]", '"ja"\nlanguage = "en"'])
def test_so_it_is_in_a_file(set_to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless something that counts more names one that there is; a broken file is no language."""
    (tmp_path / "config.toml").write_text(f"[openhands_llm_magic]\nlanguage = {set_to}\n")
    assert load_settings().problems
    assert in_force(load_settings()) == "en"
    monkeypatch.setenv("LLM_MAGIC_LANG", "ja")
    assert in_force(load_settings()) == "ja"


def test_a_file_that_cannot_be_read_takes_no_language_from_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That it is missing is told in the language of whoever named it."""
    settings = LLMSettings()
    settings.set(language="ja")
    monkeypatch.setenv("LLM_MAGIC_CONFIG", "missing.toml")
    assert spoken(settings) == "ja"
    assert spoken() == "en"
    monkeypatch.setenv("LLM_MAGIC_LANG", "ja")
    assert spoken() == "ja"


def test_there_is_english_and_a_language_for_each_file() -> None:
    assert LANGUAGES[0] == "en"
    assert set(LANGUAGES[1:]) == {file.stem for file in languages.LOCALE.iterdir()}
