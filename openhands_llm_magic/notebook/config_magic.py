"""`%llm_config`: show the settings in force and where they come from, and change them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.notebook import arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot

HELP = """Show or change the settings that prompts are sent with.

    %llm_config                       each setting, its value, and where the value comes from
    %llm_config --show NAME ...       the same for some settings
    %llm_config num_retries=6 model=openai/gpt-4o
                                      change settings for this session, all of them or none
    %llm_config timeout=none          unset a setting
    %llm_config api_key               ask for the key, without showing it
    %llm_config api_key=$NAME         take the key from a variable of the notebook
    %llm_config --reset NAME ...      forget what this session changed (without a name, all of it)
    %llm_config --file PATH           read this config.toml from now on

Settings come, from the lowest to the highest, from their defaults, config.toml (`[llm]`), LLM_*
environment variables, ipython_config.py (`c.LLMSettings`), this session, and a cell's own flags.
A key typed into a cell would be saved with the notebook, so it is not taken.
"""


def run(line: str, settings: LLMSettings, variables: Mapping[str, object]) -> None:
    """Run one `%llm_config` line.

    Raises:
        UsageError: The line is not one of those in `HELP`.
        SettingError: A value is bad, or there is no such setting; nothing is changed.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error}: check the quotes.") from None
    match words:
        case [] | ["--show", *_]:
            print(table(settings.snapshot(), words[1:]))  # noqa: T201 - a magic's output
        case ["--reset", *names]:
            settings.reset(names)
        case ["--file", path]:
            settings.use_file(path)
        case [str(first), *_] if first.startswith("-"):
            raise UsageError(
                f"there is no option {line.strip()!r}: use --show, --reset or --file PATH, or"
                " NAME=VALUE. `%llm_config?` explains them."
            )
        case [name] if name in SETTINGS and SETTINGS[name].kind == "secret":
            settings.change({name: _asked(name)})
        case _:
            settings.change(dict(_change(word, variables) for word in words))


def _asked(name: str) -> str:
    from getpass import getpass  # noqa: PLC0415 - rarely needed

    return getpass(f"{name}: ")


def _change(word: str, variables: Mapping[str, object]) -> tuple[str, object]:
    """Read NAME=VALUE."""
    name, equals, value = word.partition("=")
    setting = setting_named(name)
    if not equals:
        raise UsageError(f"{word}: write {word}=VALUE to change it, or --show {word} to see it.")
    if setting.kind == "secret" and value not in ("", "none"):
        return name, arguments.secret_named(setting, value, variables)
    return name, value


def table(snapshot: Snapshot, names: list[str]) -> str:
    """Write settings, their values and origins as aligned text; keys are masked."""
    chosen = [setting_named(name).name for name in names] or list(SETTINGS)
    rows = []
    for name in chosen:
        value = getattr(snapshot, name)
        shown = "not set" if value is None else str(value)
        over = ", ".join(str(found.origin) for found in snapshot.overridden(name)[:-1])
        rows.append((name, shown, f"{snapshot.origin(name)}" + (f" (over {over})" if over else "")))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c}".rstrip() for a, b, c in rows]
    return "\n".join([*lines, *(f"! {problem}" for problem in snapshot.problems)])
