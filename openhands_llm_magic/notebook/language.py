"""The person's language: which it is, and texts said in it, in the words of the place they are for.

The texts are in English in the code, in the words for a script. What a notebook says in other words
is in `CELLS`; `locale/` has the texts of each other language, in the files that translators work
with.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from typing import TYPE_CHECKING

from openhands_llm_magic.config import save, trust
from openhands_llm_magic.config.languages import ENGLISH, LANGUAGES, LOCALE, in_force, of_cell
from openhands_llm_magic.config.layers import env_layer
from openhands_llm_magic.config.resolve import load_settings, resolve
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError, Text
from openhands_llm_magic.llm import explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import TextIO

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.errors import Say


OF_SYSTEM: Mapping[str, str] = {
    "No such file or directory": "there is no such file or folder",
    "Permission denied": "you may not read or write it",
    "Is a directory": "it is a folder",
    "Not a directory": "a folder on its path is a file",
    "File exists": "there is such a file already",
    "File name too long": "its name is too long",
    "Read-only file system": "its disk cannot be written to",
    "No space left on device": "there is no space left on its disk",
    "No closing quotation": "a quotation is not closed",
    "No escaped character": "nothing follows the last backslash",
}
"""What is said in place of the words of the operating system, and of Python."""

CELLS: Mapping[str, str] = {
    **OF_SYSTEM,
    explain.GIVE_KEY: "give one with `%llm_config api_key`",
    explain.OR_GIVE_KEY: "or with `%llm_config api_key`",
    explain.TRY_PRACTICE: "try `-m practice/echo`",
    explain.LIST_MODELS: "`%llm_models --server` lists them all",
    explain.GIVE_EMBEDDING_KEY: "give one with `--api-key $NAME`",
    explain.TRY_PRACTICE_VECTORS: "try `-m practice/embed`",
    explain.KEPT_IN: "`_`",
    explain.LIFT: "`--over-budget` lets this one pass",
    explain.MORE_ROUNDS: "`--max-rounds` allows more",
    explain.WITHOUT_TOOLS: "leave out `-t`",
    explain.STORE_IT: "Run the cell once with `--cache`",
    trust.TRUST_IT: "If you trust that file, run `%llm_config --trust {path}`",
    explain.THE_SCHEMA: "--schema {name}",
    explain.OUTLASTS: "`%llm_config {command}` would outlast it: they give up after {waits}.",
    explain.EMPTY_PROMPT: "the prompt is empty: write it below `%%llm` or after `%llm`.",
    explain.NO_EMBEDDING_MODEL: (
        "embedding_model is not set: write `-m openai/text-embedding-3-small`, or"
        " `-m practice/embed`, which needs no account."
    ),
    explain.REQUEST_REFUSED: (
        "the request was refused {said}. `%llm_config` shows the settings it was made with, such as"
        " model ({model_from})."
    ),
    explain.NOT_SENT: (
        "nothing was sent, as LiteLLM makes no request of this {said}. `%llm_config` shows the"
        " settings it is made of, such as model ({model_from})."
    ),
    explain.SETTING_REFUSED: (
        "the request was refused {said}. Set {named} to another value, or leave it out with"
        " `%llm_config NAME=none`."
    ),
    save.FORCE: "add `--force`",
    save.FORCE_PROFILE: "add `--force`",
    save.KEY_INTO_PROFILE: "add `--with-key` to write the key in use",
    save.WRITE_PROFILE: "Write a profile for it with `%llm_config --to-openhands NAME`",
}
"""What is said in a cell in place of the words for a script."""

PANELS: Mapping[str, str] = {
    **OF_SYSTEM,
    explain.GIVE_KEY: "write it into the field API key",
    explain.OR_GIVE_KEY: "or in the field API key",
    explain.TRY_PRACTICE: "choose the provider Practice",
    explain.LIST_MODELS: "the button List the server's models shows them all",
    explain.LIFT: "empty the field of the limit",
    save.FORCE: "write it with `%llm_config --save --with-key --force`",
    save.FORCE_PROFILE: "use `%llm_config --to-openhands NAME --force`",
    save.KEY_INTO_PROFILE: "use `%llm_config --to-openhands NAME --with-key`",
    trust.TRUST_IT: "If you trust {path}, press the button Trust this file",
}
"""What is said in the settings panel in place of the words for a script."""

_FIELDS = re.compile(rf"\b(?:{'|'.join(name for name in SETTINGS if '_' in name)})\b")
"""The names of settings that cannot be taken for ordinary words."""


class Language:
    """Says texts in one language.

    Args:
        name: A name in `LANGUAGES`.
        place: The words of the place where they are shown, by those for a script.
    """

    def __init__(self, name: str, place: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._place = place or {}
        self._texts = texts_in(name)

    def __call__(self, english: str, /, **values: object) -> str:
        """Translate a text, and put values in the place of the names in its braces.

        A value that is a `Text` is translated, too. A text without a translation, or with one that
        names other values, stays English.
        """
        values = {
            name: each.worded(self) if isinstance(each, Text) else each
            for name, each in values.items()
        }
        english = self._place.get(english, english)
        text = self._texts.get(english, english)
        try:
            return self._filled(text, values)
        except (KeyError, IndexError, ValueError, AttributeError):
            return self._filled(english, values)

    def _filled(self, template: str, values: Mapping[str, object]) -> str:
        return _spaced(template, values).format_map(values) if values else template


_JAPANESE = r"[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]"

_BLANK_AFTER = re.compile(rf"({{(\w+)}}) (?={_JAPANESE})")

_BLANK_BEFORE = re.compile(rf"(?<={_JAPANESE}) ({{(\w+)}})")

_ENDS_JAPANESE = re.compile(rf"{_JAPANESE}\Z")

_BEGINS_JAPANESE = re.compile(_JAPANESE)


def _spaced(template: str, values: Mapping[str, object]) -> str:
    """Leave out the blanks between Japanese and a value that is Japanese itself, such as a title.

    Translations have them for names in Latin letters.
    """

    def after(found: re.Match[str]) -> str:
        return found[1] if _ENDS_JAPANESE.search(str(values[found[2]])) else found[0]

    def before(found: re.Match[str]) -> str:
        return found[1] if _BEGINS_JAPANESE.match(str(values[found[2]])) else found[0]

    return _BLANK_BEFORE.sub(before, _BLANK_AFTER.sub(after, template))


class PanelLanguage(Language):
    """Says errors in the panel's words: settings are called by the titles of their fields.

    Args:
        name: A name in `LANGUAGES`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, PANELS)

    def _filled(self, template: str, values: Mapping[str, object]) -> str:
        if not values:  # they may be a server's own words
            return template
        named = {name: self._title(str(values[name])) for name in values if name == "limit_name"}
        titled = _FIELDS.sub(lambda found: self._title(found[0]), template)
        return super()._filled(titled, {**values, **named})

    def _title(self, setting: str) -> str:
        title = SETTINGS[setting].title
        return self._texts.get(title, title)


@cache
def texts_in(language: str, folder: Path | None = None) -> Mapping[str, str]:
    """Return the finished translations into a language, by the English texts.

    Args:
        language: A name in `LANGUAGES`.
        folder: Where its file is, if not where the package's are.
    """
    if language == ENGLISH:
        return {}
    import polib  # noqa: PLC0415 - English needs it not

    entries = polib.pofile(str((folder or LOCALE) / f"{language}.po"), encoding="utf-8")
    return {entry.msgid: entry.msgstr for entry in entries if entry.translated()}


def language_names() -> list[tuple[str, str]]:
    """Return each language's name in that language, and its name in `LANGUAGES`."""
    return [(own_name(name), name) for name in LANGUAGES]


def own_name(name: str) -> str:
    """Return a language's name, or its code where its file has no translation of "English"."""
    say = Language(name)
    told = say("English")
    return name if told == "English" and name != ENGLISH else told


def cell_words() -> Language:
    """Return the words for what a cell shows, in the language of the cell or the session."""
    return Language(of_cell.get() or spoken(_session()), CELLS)


def script_words() -> Language:
    """Return the words for what a command prints, in the language of the settings."""
    return Language(spoken(), {**OF_SYSTEM, explain.LIFT: CELLS[explain.LIFT]})


def spoken(session: LLMSettings | None = None) -> str:
    """Name the language of a session's settings, or of those that Python reads without one.

    Where the config file is what cannot be read, the others count.
    """
    try:
        return in_force(session.snapshot() if session else load_settings())
    except LLMMagicError:
        beside = session.beside_file() if session else resolve([env_layer(os.environ)])
        return in_force(beside)


def _session() -> LLMSettings | None:
    """Return the settings of the IPython session around, where the extension is loaded in it."""
    ipython = sys.modules.get("IPython")
    if ipython is None or (shell := ipython.get_ipython()) is None:
        return None
    from openhands_llm_magic.config.configurable import LLMSettings  # noqa: PLC0415 - for a session alone

    return next((each for each in shell.configurables if isinstance(each, LLMSettings)), None)


def print_texts(*lines: str, file: TextIO | None = None) -> None:
    """Print lines of a magic: texts in the person's language, other words as they are."""
    for line in worded(lines, cell_words()):
        print(line, file=file)


def worded(lines: Iterable[str], say: Say) -> list[str]:
    """Return lines in other words, where they are texts."""
    return [each.worded(say) if isinstance(each, Text) else each for each in lines]
