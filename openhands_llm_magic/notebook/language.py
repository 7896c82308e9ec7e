"""The language of the settings panel: its texts are in English in the code, and translated here."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.sources import LANGUAGE_VARIABLE
from openhands_llm_magic.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLES: Mapping[str, Path | None] = {"en": None, "ja": Path(__file__).with_name("japanese.toml")}
"""Each language with the table of its texts by the English ones."""


class Language:
    """Says the panel's texts in one language.

    Args:
        name: A name in `TABLES`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        table = TABLES[name]
        self._texts: dict[str, str] = tomllib.loads(table.read_text("utf-8")) if table else {}

    def __call__(self, english: str, **values: object) -> str:
        """Translate a text, and put values in the place of the names in its braces.

        A text that the table does not have stays English.
        """
        text = self._texts.get(english, english)
        return text.format_map(values) if values else text


def preferred(env: Mapping[str, str] = os.environ) -> str:
    """Name the language that a person prefers, by LLM_MAGIC_LANG or else by the locale.

    Raises:
        UsageError: LLM_MAGIC_LANG names another than those in `TABLES`.
    """
    if chosen := env.get(LANGUAGE_VARIABLE):
        if chosen not in TABLES:
            raise UsageError(f"{LANGUAGE_VARIABLE} takes {' or '.join(TABLES)}, not {chosen!r}.")
        return chosen
    # The first that is set counts, as for gettext.
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((env[name] for name in names if env.get(name)), "")
    return "ja" if locale.lower().startswith("ja") else "en"
