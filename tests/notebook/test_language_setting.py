"""The setting `language` in a session: what cells say, at once, and what is imported for it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import panel_driver
import polib
import pytest
import texts

from openhands_llm_magic.cli import main

if TYPE_CHECKING:
    from kernel import Kernel

JAPANESE = re.compile(r"[\u3041-\u30ff\u4e00-\u9fff]")


@pytest.mark.parametrize(
    "line",
    [
        "%llm",
        "%llm --help retries",
        "%llm --nope Hi",
        "%llm --temperature x Hi",
        "%llm_config -h",
        "%llm_config --show timeout",
        "%llm_config --check",
        "%llm_config --save a b",
        "%llm_usage",
        "%llm_chat",
        "%llm --dry-run --as openhands Hi",
    ],
)
def test_a_session_speaks_its_language_at_once(kernel: Kernel, line: str) -> None:
    """Without a variable; and no longer when the setting is taken back."""
    assert kernel.run("%llm_config language=ja").error is None
    ran = kernel.run(line, "console")
    assert JAPANESE.search(ran.error or ran.stdout)
    kernel.run("%llm_config --reset language")
    ran = kernel.run(line, "console")
    assert not JAPANESE.search(ran.error or ran.stdout)


def test_a_cell_can_speak_another_language(kernel: Kernel) -> None:
    """Its footer, help and errors do; the next cell speaks the session's again."""
    spoken = kernel.run("%llm --language ja --footer on -m practice/echo Hi", "console")
    assert "入力 1 トークン" in spoken.stdout
    error = kernel.run("%llm --language ja -m practice/nope Hi").error
    assert JAPANESE.search(str(error))
    assert "the prompt is empty" in str(kernel.run("%llm").error)
    told = str(kernel.run("%llm --language fr Hi").error)
    assert told.endswith("language takes en or ja, or none, not 'fr'")
    kernel.run("%llm_config language=ja")
    assert "the prompt is empty" in str(kernel.run("%llm --language en").error)


def test_it_is_shown_and_completed_as_other_settings_are(kernel: Kernel) -> None:
    assert kernel.complete("%llm_config lang") == ["language="]
    assert kernel.complete("%llm_config language=") == ["en", "ja"]
    assert kernel.complete("%%llm --language ") == ["en", "ja"]
    kernel.run("%env LLM_MAGIC_LANG=ja")
    shown = kernel.run("%llm_config --show language", "console").stdout
    assert re.search(r"language +ja +LLM_MAGIC_LANG", shown)
    kernel.run("%env LLM_MAGIC_LANG=fr")
    shown = kernel.run("%llm_config --show language", "console").stdout
    assert "! LLM_MAGIC_LANG: language takes en or ja, or none, not 'fr'" in shown
    checked = kernel.run("%llm_config --check").stdout
    assert re.search(r"LLM_MAGIC_LANG +error +language cannot be 'fr'", checked)
    kernel.run("import os\ndel os.environ['LLM_MAGIC_LANG']")


def told_by(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command prints where the config file of the folder asks for Japanese."""
    Path("config.toml").write_text('[openhands_llm_magic]\nlanguage = "ja"\n')
    with contextlib.suppress(SystemExit):  # of help and mistakes
        main(command.split())
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("command", ["check", "usage", "trusted", "trust", "autoload status"])
def test_the_command_speaks_the_language_of_the_file(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert JAPANESE.search(told_by(command, capsys))


@pytest.mark.translations
@pytest.mark.parametrize("option", ["--help", "--nope"])
@pytest.mark.parametrize(
    "command",
    ["", "check", "probe", "trust", "untrust", "trusted", "autoload", "usage", "practice"],
)
def test_its_help_and_what_it_says_of_mistakes_are_in_that_language_alone(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = told_by(f"{command} {option}", capsys)
    assert told.startswith("使い方: ")
    assert not re.search(r"[a-z]+ [a-z]+ [a-z]+", re.sub(r"`[^`]*`", "", told))


LANGUAGE_ALONE = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "openhands_llm_magic")
words = ("openhands_llm_magic.notebook.language", "polib")
before = [name for name in words if name in sys.modules]
shell.run_line_magic("llm_config", "{change}")
shell.run_line_magic("llm_config", "--show language")
print(before, "polib" in sys.modules, "plistlib" in sys.modules, "ctypes.wintypes" in sys.modules)
"""


@pytest.mark.parametrize(("name", "reads"), [("en", False), ("ja", True)])
def test_only_another_language_reads_a_file_of_it(name: str, *, reads: bool) -> None:
    """And loading the extension neither asks for the language nor imports the words."""
    command = [sys.executable, "-c", LANGUAGE_ALONE.format(change=f"language={name}")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert ran.stdout.splitlines()[-1] == f"[] {reads} False False"


def test_an_empty_file_is_filled_for_translators(tmp_path: Path) -> None:
    """As `make translations` does it: with each text, and the head that their tools ask for."""
    (tmp_path / "fr.po").touch()
    texts.renew(tmp_path, texts.places())
    file = polib.pofile(str(tmp_path / "fr.po"), encoding="utf-8")
    assert {entry.msgid for entry in file} == texts.texts()
    assert not file.translated_entries()
    assert file.metadata["Language"] == "fr"
    assert file.metadata["Content-Type"] == "text/plain; charset=UTF-8"


def test_a_file_with_three_texts_makes_a_language(
    tmp_path: Path,
) -> None:
    """The panel offers it, the setting takes it, and what has no translation is English."""
    translated = {"English": "Français", "Model": "Modèle", "Retries": "Nouvelles tentatives"}
    file = polib.POFile()
    file.extend(polib.POEntry(msgid=msgid, msgstr=msgstr) for msgid, msgstr in translated.items())
    file.save(str(tmp_path / "fr.po"))
    started = (
        "import sys\nfrom pathlib import Path\n"
        "import openhands_llm_magic.config.languages as languages\n"
        f"languages.LOCALE = Path({str(tmp_path)!r})\n"
        "languages.LANGUAGES = languages.languages()\n"
        "from openhands_llm_magic.notebook import language\n"
        "from panel_driver import Driver\n"
        "driver = Driver(language='fr')\n"
        "print(driver.panel._languages.options)\n"
        "print(*(label for label in driver.labels if label in ('Modèle', 'API key')))\n"
        "print(languages.of_system({'LANG': 'fr_FR.UTF-8'}))\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(panel_driver.__file__).parent)}
    ran = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", started], env=env, capture_output=True, text=True, check=True
    )
    options, labels, of_system = ran.stdout.splitlines()
    assert options == "(('As the system: English', ''), ('English', 'en'), ('Français', 'fr'))"
    assert (labels, of_system) == ("Modèle API key", "fr")
