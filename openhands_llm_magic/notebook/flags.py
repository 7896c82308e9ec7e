"""Options on a magic's line: flags of settings, values in quotes, keys by the variable's name."""

from __future__ import annotations

import argparse
import keyword
import re
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.setting import Setting

ALONE = {"cache": {"--cache": "on", "--no-cache": "off"}}
"""Settings whose flags take no value, and what each stands for."""

_WORD = re.compile(r"""\s*((?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'])+|\S+)""")
_VARIABLE = re.compile(r"\$(\w+)")


class Parser(argparse.ArgumentParser):
    """A parser whose error is one line for a person, and ends nothing."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{message}. `{self.prog.split()[0]}?` lists the options.")


def add_flag(group: Any, setting: Setting, short: str | None = None) -> None:
    """Add the flag of a setting to a parser, or to a group of one."""
    names = [setting.flag] if short is None else [short, setting.flag]
    text = f"{setting.help} ({setting.takes})".replace("%", "%%")
    if setting.name in ALONE:
        for name, value in ALONE[setting.name].items():
            about = f"{setting.help} The flag means {value}."
            group.add_argument(
                name, dest=setting.name, action="store_const", const=value, help=about
            )
    elif setting.kind == "bool":
        action = argparse.BooleanOptionalAction
        group.add_argument(*names, action=action, dest=setting.name, help=text)
    else:
        metavar = "$NAME" if setting.kind == "secret" else setting.kind.upper()
        group.add_argument(*names, dest=setting.name, metavar=metavar, help=text)


def read(words: list[str], made: argparse.ArgumentParser, advice: str = "") -> dict[str, Any]:
    """Read the options that were split off a line; return those that are there, by name.

    Raises:
        UsageError: An unknown flag, or a flag without its value.
    """
    known, unknown = made.parse_known_args(words)
    if unknown:
        import difflib  # noqa: PLC0415 - for an error alone

        name = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(name, flags_of(made), n=1)
        hint = f"did you mean {near[0]}?" if near else f"`{made.prog}?` lists the options."
        raise UsageError(f"there is no option {name}; {hint}{advice}")
    return {name: value for name, value in vars(known).items() if value is not None}


def flags_of(made: argparse.ArgumentParser) -> Mapping[str, argparse.Action]:
    """Return what each flag of a parser does."""
    return made._option_string_actions  # noqa: SLF001 - argparse has no public list of its options


def settings_in(given: Mapping[str, Any], variables: Mapping[str, object]) -> dict[str, Any]:
    """Turn the texts of settings' flags into the settings' values.

    Raises:
        UsageError: A key was typed as plain text.
        SettingError: A value is not one that its setting takes.
    """
    return {name: _value(SETTINGS[name], value, variables) for name, value in given.items()}


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a variable."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"--out takes a variable's name, not {name!r}.")


def _value(setting: Setting, value: object, variables: Mapping[str, object]) -> object:
    """Turn a flag's text into the setting's value."""
    if not isinstance(value, str):
        return value
    if setting.kind == "secret":
        return secret_named(setting, value, variables)
    return setting.from_text(value)


def secret_named(setting: Setting, text: str, variables: Mapping[str, object]) -> object:
    """Return the secret in the variable that `$NAME` names.

    A secret typed in a cell would be saved with the notebook and with IPython's history.

    Raises:
        UsageError: The text is not of the form `$NAME`, or there is no such variable.
    """
    match = _VARIABLE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{setting.name} is not taken as text, which would be saved with the notebook: write"
            f" $NAME for a variable that holds it, or `%llm_config {setting.name}` to be asked."
        )
    if match[1] not in variables:
        raise UsageError(f"{setting.name}: there is no variable {match[1]}.")
    return setting.validate(variables[match[1]])


def split(line: str, made: argparse.ArgumentParser) -> tuple[list[str], str]:
    """Split the options off a line; what follows them is the prompt and stays as it was typed."""
    options = flags_of(made)
    words: list[str] = []
    end = 0
    while match := _WORD.match(line, end):
        word = match[1]
        if word == "--":
            end = match.end()
            break
        if not word.startswith("-"):
            break
        end = match.end()
        action = options.get(word)
        if action is not None and action.nargs != 0 and (value := _WORD.match(line, end)):
            end = value.end()
            word = f"{action.option_strings[-1]}={_unquoted(value[1])}"
            words.append(word)
        else:
            words.append(_unquoted(word))
    return words, line[end:].strip()


def _unquoted(word: str) -> str:
    """Take the quotes off a word as a shell would."""
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return word
