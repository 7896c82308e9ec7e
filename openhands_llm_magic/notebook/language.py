"""The words for a notebook, in the person's language.

The texts are in English in the code, which is the words for a script. What a notebook says in other
words is here; `locale/` has the texts of each other language, in the files that translators work
with.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.resolve import LANGUAGE_VARIABLE
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCALE = Path(__file__).with_name("locale")

LANGUAGES = ("en", *sorted(path.stem for path in LOCALE.glob("*.po")))

CELLS: Mapping[str, str] = {
    explain.GIVE_KEY: "give one with `%llm_config api_key`",
    explain.OR_GIVE_KEY: "or with `%llm_config api_key`",
    explain.TRY_PRACTICE: "try `-m practice/echo`",
    explain.GIVE_EMBEDDING_KEY: "give one with `--api-key $NAME`",
    explain.TRY_PRACTICE_VECTORS: "try `-m practice/embed`",
    explain.KEPT_IN: "`_`",
    explain.STORE_IT: "Run the cell once with `--cache`",
    explain.THE_SCHEMA: "--schema {name}",
    explain.EMPTY_PROMPT: "the prompt is empty: write it below `%%llm` or after `%llm`.",
    explain.NO_EMBEDDING_MODEL: (
        "embedding_model is not set: write `-m openai/text-embedding-3-small`, or"
        " `-m practice/embed`, which needs no account."
    ),
    explain.REQUEST_REFUSED: (
        "the request was refused {said}. `%llm_config` shows the settings it was made with, such as"
        " model ({model_from})."
    ),
}
"""What is said in a cell in place of the words for a script."""


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

        A text without a translation, or with one that names other values, stays English.
        """
        english = self._place.get(english, english)
        text = self._texts.get(english, english)
        try:
            return text.format_map(values) if values else text
        except (KeyError, IndexError, ValueError, AttributeError):
            return english.format_map(values)


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """Return the finished translations into a language, by the English texts."""
    if language == "en":
        return {}
    import polib  # noqa: PLC0415 - English needs it not

    entries = polib.pofile(str(LOCALE / f"{language}.po"), encoding="utf-8")
    return {entry.msgid: entry.msgstr for entry in entries if entry.translated()}


def preferred(env: Mapping[str, str] = os.environ) -> str:
    """Name the language that a person prefers, by LLM_MAGIC_LANG or else by the locale.

    Raises:
        UsageError: LLM_MAGIC_LANG names another than those in `LANGUAGES`.
    """
    if chosen := env.get(LANGUAGE_VARIABLE):
        if chosen not in LANGUAGES:
            raise UsageError(f"{LANGUAGE_VARIABLE} takes {' or '.join(LANGUAGES)}, not {chosen!r}.")
        return chosen
    # The first that is set counts, as for gettext.
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((env[name] for name in names if env.get(name)), "")
    language = locale[:2].lower()
    return language if language in LANGUAGES else "en"


def cell_words() -> Language:
    """Return the words for what a cell shows: English where LLM_MAGIC_LANG names no language."""
    try:
        return Language(preferred(), CELLS)
    except UsageError:  # it is told where a language is asked for, which is the panel
        return Language("en", CELLS)
