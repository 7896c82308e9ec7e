"""The options of magics, made from the declarations of the settings, and how a line is read."""

from __future__ import annotations

import argparse
import functools
import keyword
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from openhands_llm_magic.config.settings import SETTINGS, TOPICS
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
        """Say what is wrong with a line, as argparse calls this for.

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
            made = group.add_argument(name, dest=setting.name, action="store_const", const=value)
            made.help = f"{setting.help} The flag means {value}."
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
    values: dict[str, Any] = {}
    for name, value in given.items():
        setting = SETTINGS[name]
        if isinstance(value, str) and setting.kind == "secret":
            values[name] = secret_named(setting, value, variables)
        else:
            values[name] = setting.from_text(value) if isinstance(value, str) else value
    return values


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a variable."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"--out takes a variable's name, not {name!r}.")


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
    while (match := _WORD.match(line, end)) and match[1].startswith("-"):
        word, end = match[1], match.end()
        if word == "--":
            break
        action = options.get(word)
        if action is not None and action.nargs != 0 and (value := _WORD.match(line, end)):
            end = value.end()
            words.append(f"{action.option_strings[-1]}={_unquoted(value[1])}")
        else:
            words.append(_unquoted(word))
    return words, line[end:].strip()


def _unquoted(word: str) -> str:
    """Take the quotes off a word as a shell would."""
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return word


FORMATS = ("markdown", "text", "json", "code", "html", "math")
"""How an answer can be shown; what each is stands in `formats`, which is not loaded before one."""


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What stands on a `%llm` or `%%llm` line: its options, of which the help tells, and the rest.

    Attributes:
        prompt: The rest of the line after the options, as it was typed.
        part: What of the reply is stored in `out`: all of it, its "text" or its "data".
        goes_on: Whether it goes on from the last answer (`--continue`).
        settings: Settings for this cell alone, by name.
    """

    prompt: str = ""
    system: str | None = None
    out: str | None = None
    part: str = ""
    format: str = "markdown"
    schema: str | None = None
    attach: tuple[str, ...] = ()
    raw: bool = False
    chat: str | None = None
    goes_on: bool = False
    dry_run: bool = False
    group: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser: one flag for each setting of prompts, and those of the prompt itself."""
    made = Parser(prog="%%llm", usage="%%%%llm [options]", add_help=False, allow_abbrev=False)
    _add_own(made)
    groups: dict[str, Any] = {}
    # What nothing in a cell uses comes last, under a title that says so.
    of_prompts = [each for each in SETTINGS.values() if each.topic != "embedding"]
    for setting in sorted(of_prompts, key=lambda each: each.kept):
        title = setting.use if setting.kept else f"{TOPICS[setting.topic]}, for this cell alone"
        if title not in groups:
            groups[title] = made.add_argument_group(title)
        add_flag(groups[title], setting, setting.short)
    return made


def _add_own(made: argparse.ArgumentParser) -> None:
    """Add the flags of `%%llm` itself, which stand for no setting."""
    add = made.add_argument
    about = "store the reply in this variable; NAME:text its text, NAME:data its JSON or code"
    add("-s", "--system", metavar="TEXT", help="instructions before the prompt")
    add("-o", "--out", metavar="NAME", help=about)
    about = f"show the answer as {', '.join(FORMATS)}; code goes into a new cell, too"
    add("-f", "--format", choices=FORMATS, metavar="FORMAT", help=about)
    about = "hold the answer to the pydantic class or JSON schema in this variable; what does not"
    add("--schema", metavar="NAME", help=f"{about} fit is sent back once")
    about = "send a file, an http address or a variable with the prompt; can be repeated"
    add("-a", "--attach", metavar="FILE", action="append", help=about)
    add("--raw", action="store_true", help="put in no variables for {names}")
    about = "go on from the last answer"
    add("-c", "--continue", dest="goes_on", action="store_true", help=about)
    add("--chat", metavar="NAME", help="go on with the conversation of this name")
    add("--dry-run", action="store_true", help="show the request and its cost, and send nothing")
    add("-g", "--group", metavar="NAME", help="use the settings of [llm.NAME]")


def parse(line: str, variables: Mapping[str, object]) -> PromptOptions:
    """Read the line of `%llm` or `%%llm`.

    Args:
        line: What stands after `%llm` or `%%llm`.
        variables: Where `$NAME` is looked up, the value of a key's flag.

    Raises:
        UsageError: An unknown flag, a flag without its value, or a key typed as plain text.
        SettingError: A setting's value is not one that it takes.
    """
    words, prompt = split(line, parser())
    given = read(words, parser(), " (A prompt that starts with - goes after --.)")
    _require_first(line, prompt)
    if given["goes_on"] and "chat" in given:
        raise UsageError("--continue and --chat exclude each other: a chat goes on by itself.")
    if "schema" in given and given.get("format") == "code":
        raise UsageError("--schema and -f code exclude each other: code is no JSON.")
    own = {name: given.pop(name) for name in [*given] if name not in SETTINGS}
    own["out"], own["part"] = _stored(own.get("out"))
    own["attach"] = tuple(own.get("attach", ()))
    own.setdefault("format", "json" if "schema" in own else "markdown")
    return PromptOptions(prompt, **own, settings=settings_in(given, variables))


def _require_first(line: str, prompt: str) -> None:
    """Refuse a long flag of ours within a prompt: it would be sent, and have no effect."""
    before = line[: len(line) - len(prompt)] if prompt else line
    flags = flags_of(parser())
    late = [word for word in prompt.split() if word.startswith("--") and word in flags]
    if late and not before.rstrip().endswith("--"):
        raise UsageError(
            f"{late[0]} stands within the prompt: options come before it. `--` before a prompt"
            " sends it as it is."
        )


def _stored(out: str | None) -> tuple[str | None, str]:
    """Read the value of `--out`, `NAME` or `NAME:text`, into the name and what is stored there."""
    if out is None:
        return None, ""
    name, _, part = out.partition(":")
    require_name(name)
    if part not in ("", "text", "data"):
        raise UsageError(f"--out stores the reply, as {name}:text its text, or as {name}:data.")
    return name, part


def help_text() -> str:
    """Write the help of `%llm?` and `%%llm?`."""
    return f"""Send a prompt to a language model and show the answer as it arrives.

    %%llm -m openai/gpt-4o -s "Answer in French."
    The prompt, as many lines as you like.

    answer = %llm What is a token?

`{{name}}` puts in a variable of the notebook, also as `{{rows[0]}}` or `{{obj.attr}}`; a table goes
in as Markdown, an image as an attachment. Other braces stay, and `{{{{name}}}}` gives `{{name}}`.

The value is a `Reply`: `print(_)` shows its text, `_.usage` the tokens, `_.waits` the retries.
Rate limits and other passing faults are waited out under the retry settings, with a countdown;
the interrupt button ends a wait or an answer at once. `-m practice/echo` needs no account.
`%llm_config` shows the settings in force. Dollars go to the model as they are.

{parser().format_help()}"""
