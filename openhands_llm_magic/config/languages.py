"""Which languages there are, and which is spoken: the one that is set, or else the system's."""

from __future__ import annotations

import os
import re
import sys
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openhands_llm_magic.config.resolve import Snapshot

ENGLISH = "en"

LOCALE = Path(__file__).parents[1] / "notebook" / "locale"
"""The folder that has a file of translations for each other language."""


def languages() -> tuple[str, ...]:
    """Name the languages that there are, English first."""
    return (ENGLISH, *sorted(path.stem for path in LOCALE.glob("*.po")))


LANGUAGES = languages()
"""They are read once: a file that is put there later counts in the next session."""

of_cell: ContextVar[str] = ContextVar("of_cell", default="")
"""The language of the cell that runs, which a flag of it may have set; "" asks the session."""


def in_force(settings: Snapshot) -> str:
    """Return the language that settings ask for, a name in `LANGUAGES`.

    Where a language was asked for that there is not, it is English and not the system's: whoever
    asked for French on a Japanese machine may not read Japanese.
    """
    if settings.language:
        return settings.language
    if any(problem.facts.get("setting") == "language" for problem in settings.problems):
        return ENGLISH
    return of_system()


def of_system(env: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Return the language of the person's system, or English where this package has it not.

    Variables count as for gettext. Where none is set, as for what the Dock or an editor has started
    on macOS, and mostly on Windows, the system's own list of languages does.
    """
    # The first that is set counts.
    named = next((env[each] for each in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(each)), "")
    if named:
        languages = [] if _is_none(named) else env.get("LANGUAGE", "").split(":")
        return _first_known([*filter(None, languages)] or [named])
    return _first_known(_of_platform(platform, os.path.expanduser("~")))  # noqa: PTH111 - Path raises where there is no home


def _is_none(name: str) -> bool:
    """Return whether a locale stands for no language, so that LANGUAGE is not asked, either."""
    return name.partition(".")[0] in ("C", "POSIX")


def _first_known(names: Iterable[str]) -> str:
    """Return the first language that there is of those that locales like "ja_JP.UTF-8" name."""
    known = {each.lower(): each for each in LANGUAGES}
    for name in names:
        parts = re.split(r"[-_]", re.split(r"[.@]", name.lower())[0])
        # "zh-Hant-TW" is "zh_TW" where there is no closer one.
        for each in ("_".join(parts), f"{parts[0]}_{parts[-1]}", parts[0]):
            if each in known:
                return known[each]
    return ENGLISH


@cache
def _of_platform(platform: str, home: str) -> list[str]:
    """Name the languages that a person has chosen in the system's own settings, the first first."""
    if platform == "darwin":
        return _of_macos(Path(home))
    return [_of_windows()] if platform == "win32" else []


def _of_macos(home: Path) -> list[str]:
    import plistlib  # noqa: PLC0415 - rarely needed

    # AppleLocale is the region's: its language need not be that of menus, and it may be missing.
    try:
        preferences = plistlib.loads(
            (home / "Library/Preferences/.GlobalPreferences.plist").read_bytes()
        )
        return [str(each) for each in preferences["AppleLanguages"]]
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, a language is not worth a fault
        return []


def _of_windows() -> str:
    import ctypes  # noqa: PLC0415 - rarely needed
    import locale  # noqa: PLC0415 - the same

    # Python's own `locale` tells the language of dates and numbers, which may be another.
    number = ctypes.windll.kernel32.GetUserDefaultUILanguage()  # type: ignore[attr-defined]
    return locale.windows_locale.get(number, "")
