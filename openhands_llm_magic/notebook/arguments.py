"""The options of magics, made from the declarations of the settings, and how a line is read."""

from __future__ import annotations

import argparse
import difflib
import keyword
import re
from typing import TYPE_CHECKING, Any, NoReturn

from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import BUDGETS, SETTINGS
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.notebook import from_ai
from openhands_llm_magic.notebook.line import DASHES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.setting import Setting


ALONE = {"cache": {"--cache": "on", "--no-cache": "off"}}
"""Settings whose flags take no value, and what each stands for."""

_VARIABLE = re.compile(r"\$(\w+)")


class Parser(argparse.ArgumentParser):
    """A parser whose error is one line for a person, and ends nothing."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with a line, as argparse calls this for.

        Raises:
            UsageError: Always.
        """
        told = "{mistake}. `{magic}?` lists the options."
        raise UsageError(Text(told, mistake=mistake(message), magic=self.prog.split()[0]))


MISTAKES = {
    r"argument (?P<option>.+?): expected one argument": "{option} takes a value",
    r"argument (?P<option>.+?): ignored explicit argument (?P<value>.+)": (
        "{option} takes no value such as {value}"
    ),
    r"unrecognized arguments: (?P<words>.+)": "{words} has no meaning there",
    r"the following arguments are required: (?P<names>.+)": "{names} is missing",
    r"argument (?P<option>.+?): not allowed with argument (?P<other>.+)": (
        "{option} does not go with {other}"
    ),
    r"argument (?P<option>.+?): invalid choice: (?P<value>.+?) \(choose from (?P<choices>.+)\)": (
        "{option} takes one of {choices}, not {value}"
    ),
    r"ambiguous option: (?P<option>.+?) could match (?P<names>.+)": "{option} could be {names}",
}
"""What is said of each mistake that argparse tells in words of its own."""


def mistake(message: str) -> Text:
    """Say in words of ours what argparse says of a line, which it words in English alone."""
    for pattern, words in MISTAKES.items():
        if found := re.fullmatch(pattern, message, re.DOTALL):
            facts = found.groupdict()
            if "choices" in facts:  # Python 3.12 quotes them no more
                facts["choices"] = facts["choices"].replace("'", "")
            return Text(words, **facts)
    return Text(message)


def add_flag(
    group: Any, setting: Setting, short: str | None = None, *, repeated: bool = False
) -> None:
    """Add the flag of a setting to a parser, or to a group of one; `repeated` makes a list."""
    names = [setting.flag] if short is None else [short, setting.flag]
    about = Text(setting.help)
    if setting.name in ALONE:
        for name, value in ALONE[setting.name].items():
            made = group.add_argument(name, dest=setting.name, action="store_const", const=value)
            made.help = Text("{about} The flag means {value}.", about=about, value=value)
        return
    if setting.kind == "bool":
        action = argparse.BooleanOptionalAction
        made = group.add_argument(*names, action=action, dest=setting.name)
    else:
        metavar = "$NAME" if setting.kind == "secret" else setting.kind.upper()
        how = {"action": "append"} if repeated else {}
        made = group.add_argument(*names, dest=setting.name, metavar=metavar, **how)
    made.help = Text("{about} ({values})", about=about, values=setting.takes)
    if repeated:
        made.help = for_repeated(made.help)


def for_repeated(about: Text) -> Text:
    """Add what it means that an option is given more than once."""
    return Text("{about}; repeated, all are asked at once", about=about)


def add_over_budget(made: argparse.ArgumentParser) -> None:
    """Add the option that lifts the limits of what is spent, to a parser; see `lift_limits`."""
    about = Text("send this even where a limit of what is spent would not let it pass")
    made.add_argument("--over-budget", action="store_true").help = about


def lift_limits(given: dict[str, Any]) -> None:
    """Put settings without a limit of what is spent in place of the option that says so."""
    if given.pop("over_budget"):
        given.update(dict.fromkeys(BUDGETS, "none"))


def read(words: list[str], made: argparse.ArgumentParser, advice: str = "") -> dict[str, Any]:
    """Read the options that were split off a line; return those that are there, by name.

    Raises:
        UsageError: An unknown flag, or a flag without its value.
    """
    known, unknown = made.parse_known_args(words)
    if unknown:
        name = unknown[0].partition("=")[0]
        told = "there is no option {name}; {hint}{advice}"
        raise UsageError(Text(told, name=name, hint=_hint(name, made), advice=advice))
    return {name: value for name, value in vars(known).items() if value is not None}


def _hint(name: str, made: argparse.ArgumentParser) -> Text:
    """Tell what there is in place of an option that there is not."""
    if made.prog == PROMPTS and name in from_ai.FLAGS:
        return Text(from_ai.FLAGS[name])
    if near := meant_flag(name, made):
        return Text("did you mean {near}?", near=near)
    return Text("`{magic}?` lists the options.", magic=made.prog)


ALIKE = 0.6
"""How alike, from 0 to 1, a flag must be to what was typed to be suggested."""


def meant_flag(typed: str, made: argparse.ArgumentParser) -> str:
    """Return the flag that is meant by one that there is not, or "".

    A guess from spelling never leads to a flag that takes a secret, unless a secret was named.
    """
    from openhands_llm_magic.config.lint.finding import RENAMED  # noqa: PLC0415 - for an error alone

    name = typed.strip(DASHES).lower().replace("-", "_")
    flags = {flag: each.dest for flag, each in flags_of(made).items() if flag.startswith("--")}
    for exact in (name, RENAMED.get(name, "")):
        flag = "--" + exact.replace("_", "-")
        if flag in flags:
            return flag
    named_secret = secrecy(name) >= Secrecy.LIKELY
    offered = [flag for flag, dest in flags.items() if named_secret or not _is_secret(dest)]
    close = difflib.get_close_matches("--" + name.replace("_", "-"), offered, n=1, cutoff=ALIKE)
    return close[0] if close else ""


def _is_secret(name: str) -> bool:
    return name in SETTINGS and SETTINGS[name].kind == "secret"


def flags_of(made: argparse.ArgumentParser) -> Mapping[str, argparse.Action]:
    """Return what each flag of a parser does."""
    return made._option_string_actions  # noqa: SLF001 - argparse has no public list of its options


def settings_in(
    given: Mapping[str, Any], variables: Mapping[str, object], own: Mapping[str, object]
) -> dict[str, Any]:
    """Turn the texts of settings' flags into the settings' values.

    Args:
        given: The texts by the settings' names.
        variables: Where `$NAME` is looked up, the value of a key's flag.
        own: Where `{name}` is looked up in the value of another flag.

    Raises:
        UsageError: A key was typed as plain text.
        SettingError: A value is not one that its setting takes.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        setting = SETTINGS[name]
        if isinstance(value, str) and setting.kind == "secret":
            values[name] = secret_named(setting, value, variables)
            continue
        found = put_in(value, own, setting.flag, whole=setting.kind in ("list", "dict"))
        read = setting.from_text(found) if isinstance(found, str) else found
        values[name] = found if read is None else read  # None is a flag that was not given
    return values


def put_in(text: Any, variables: Mapping[str, object], option: str, *, whole: bool = False) -> Any:
    """Put variables into the value of an option, as `{name}` in a prompt does.

    The line was split before, so that no value makes another option.

    Args:
        text: The value as it was typed; what is no text is returned as it is.
        variables: Those that `{name}` can name.
        option: What the option is called.
        whole: Whether only `{name}` alone counts, and stands for the variable itself.

    Raises:
        UsageError: There is no such variable, or it is a picture.
    """
    if not isinstance(text, str) or "{" not in text:
        return text
    from openhands_llm_magic.notebook import placeholders  # noqa: PLC0415 - it brings much along

    if whole:
        return placeholders.whole(text, variables)
    found = placeholders.filled(text, variables, limit_chars=LONGEST_VALUE)
    if found.left or found.notes:
        why = found.notes or [Text("there is no variable for {field}", field=found.left[0])]
        raise UsageError(Text("{option}: {why}.", option=option, why=Text.joined(why)))
    if not all(isinstance(part, str) for part in found.parts):
        raise UsageError(Text("{option} takes text, and this is a picture.", option=option))
    return "".join(map(str, found.parts))


def with_variables(words: Sequence[str], own: Mapping[str, object], option: str) -> list[str]:
    """Put variables into the words that follow an option; none of them becomes an option by it.

    Raises:
        UsageError: There is no such variable, or its value begins with "-".
    """
    found: list[str] = []
    for word in words:
        value = put_in(word, own, option)
        if value != word and value.startswith("-"):
            told = "{option}: {word} is {value}, and no value begins with -."
            raise UsageError(Text(told, option=option, word=word, value=repr(value)))
        found.append(value)
    return found


LONGEST_VALUE = 10_000
"""Characters of a variable in an option; what is longer was not meant for one."""


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a variable."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(Text("--out takes a variable's name, not {name}.", name=repr(name)))


def secret_named(setting: Setting, text: str, variables: Mapping[str, object]) -> object:
    """Return the secret in the variable that `$NAME` names.

    A secret typed in a cell would be saved with the notebook and with IPython's history.

    Raises:
        UsageError: The text is not of the form `$NAME`, or there is no such variable.
    """
    match = _VARIABLE.fullmatch(text)
    if match is None:
        told = (
            "{setting} is not taken as text, which would be saved with the notebook: write $NAME"
            " for a variable that holds it, or `%llm_config {setting}` to be asked."
        )
        raise UsageError(Text(told, setting=setting.name))
    if match[1] not in variables:
        told = "{setting}: there is no variable {name}."
        raise UsageError(Text(told, setting=setting.name, name=match[1]))
    return setting.validate(variables[match[1]])


PROMPTS = "%%llm"
"""What the options of a prompt are told for."""


def number(option: str, most: int, text: str) -> int:
    """Read an option's number, from 1 on.

    Raises:
        UsageError: It is none, or too large.
    """
    is_number = text.isdecimal() and len(text) <= len(str(most))
    if not (is_number and 0 < int(text) <= most):
        told = "{option} takes a number from 1 to {most}, not {given}."
        given = shorten(repr(text))
        raise UsageError(Text(told, option=option, most=f"{most:,}", given=given))
    return int(text)


def one_of(choices: Sequence[str], option: str, text: str) -> str:
    """Return a text that is one of the choices.

    Raises:
        UsageError: It is none; argparse would word it otherwise in each version of Python.
    """
    if text not in choices:
        told = "{option} takes {choices}, not {given}."
        listed = ", ".join(choices)
        raise UsageError(Text(told, option=option, choices=listed, given=repr(text)))
    return text
