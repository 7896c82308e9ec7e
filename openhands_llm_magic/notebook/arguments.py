"""The options of `%llm` and `%%llm`, made from the declarations of the settings."""

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
from openhands_llm_magic.notebook.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.setting import Setting

ALONE = {"cache": "on"}
"""Settings whose flag takes no value, and what it stands for."""

_WORD = re.compile(r"""\s*((?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'])+|\S+)""")
_VARIABLE = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What stands on a `%llm` or `%%llm` line.

    Attributes:
        prompt: The rest of the line after the options, as it was typed.
        system: Instructions that go before the prompt.
        out: The variable that the reply is stored in.
        part: What of the reply is stored: all of it, its "text" or its "data".
        format: How the answer is shown.
        attach: The files that go with the prompt.
        raw: Whether braces stay as they are, whatever they name.
        chat: The name of the conversation that it belongs to.
        goes_on: Whether it goes on from the last answer.
        group: The NAME of the `[llm.NAME]` whose settings apply.
        settings: Settings for this cell alone, by name.
    """

    prompt: str = ""
    system: str | None = None
    out: str | None = None
    part: str = ""
    format: str = "markdown"
    attach: tuple[str, ...] = ()
    raw: bool = False
    chat: str | None = None
    goes_on: bool = False
    group: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Parser(argparse.ArgumentParser):
    """A parser whose error is one line for a person, and ends nothing."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{message}. `{self.prog.split()[0]}?` lists the options.")


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser: one flag for each setting, and those of the prompt itself."""
    made = Parser(prog="%%llm", usage="%%%%llm [options]", add_help=False, allow_abbrev=False)
    made.add_argument("-s", "--system", metavar="TEXT", help="instructions before the prompt")
    made.add_argument(
        "-o",
        "--out",
        metavar="NAME",
        help="store the reply in this variable; NAME:text its text, NAME:data its JSON or code",
    )
    made.add_argument(
        "-f",
        "--format",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"show the answer as {', '.join(FORMATS)}; code goes into a new cell, too",
    )
    made.add_argument(
        "-a",
        "--attach",
        metavar="FILE",
        action="append",
        help="send a file, an http address or a variable with the prompt; can be repeated",
    )
    made.add_argument("--raw", action="store_true", help="put in no variables for {names}")
    made.add_argument(
        "-c", "--continue", dest="goes_on", action="store_true", help="go on from the last answer"
    )
    made.add_argument("--chat", metavar="NAME", help="go on with the conversation of this name")
    made.add_argument("-g", "--group", metavar="NAME", help="use the settings of [llm.NAME]")
    groups: dict[str, Any] = {}
    # What nothing in a cell uses comes last, under a title that says so.
    for setting in sorted(SETTINGS.values(), key=lambda each: each.kept):
        title = setting.use if setting.kept else f"{TOPICS[setting.topic]}, for this cell alone"
        if title not in groups:
            groups[title] = made.add_argument_group(title)
        _add_flag(groups[title], setting)
    return made


def _add_flag(group: Any, setting: Setting) -> None:
    names = [setting.flag] if setting.short is None else [setting.short, setting.flag]
    text = f"{setting.help} ({setting.takes})".replace("%", "%%")
    if setting.name in ALONE:
        group.add_argument(
            *names, dest=setting.name, action="store_const", const=ALONE[setting.name], help=text
        )
    elif setting.kind == "bool":
        action = argparse.BooleanOptionalAction
        group.add_argument(*names, action=action, dest=setting.name, help=text)
    else:
        metavar = "$NAME" if setting.kind == "secret" else setting.kind.upper()
        group.add_argument(*names, dest=setting.name, metavar=metavar, help=text)


def parse(line: str, variables: Mapping[str, object]) -> PromptOptions:
    """Read a magic's line.

    Args:
        line: What stands after `%llm` or `%%llm`.
        variables: Where `$NAME` is looked up, the value of a key's flag.

    Raises:
        UsageError: An unknown flag, a flag without its value, or a key typed as plain text.
        SettingError: A setting's value is not one that it takes.
    """
    words, prompt = _split(line)
    known, unknown = parser().parse_known_args(words)
    if unknown:
        import difflib  # noqa: PLC0415 - for an error alone

        name = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(name, parser()._option_string_actions, n=1)  # noqa: SLF001 - argparse has no public list of its options
        hint = f"did you mean {near[0]}?" if near else "`%%llm?` lists the options."
        raise UsageError(
            f"there is no option {name}; {hint} (A prompt that starts with - goes after --.)"
        )
    given = {name: value for name, value in vars(known).items() if value is not None}
    if given["goes_on"] and "chat" in given:
        raise UsageError("--continue and --chat exclude each other: a chat goes on by itself.")
    out, part = _stored(given.pop("out", None))
    return PromptOptions(
        prompt,
        system=given.pop("system", None),
        out=out,
        part=part,
        format=given.pop("format", "markdown"),
        attach=tuple(given.pop("attach", ())),
        raw=given.pop("raw"),
        chat=given.pop("chat", None),
        goes_on=given.pop("goes_on"),
        group=given.pop("group", None),
        settings={name: _value(SETTINGS[name], value, variables) for name, value in given.items()},
    )


def _stored(out: str | None) -> tuple[str | None, str]:
    """Read `NAME` or `NAME:text`."""
    if out is None:
        return None, ""
    name, _, part = out.partition(":")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"--out takes a variable's name, not {name!r}.")
    if part not in ("", "text", "data"):
        raise UsageError(f"--out stores the reply, as {name}:text its text, or as {name}:data.")
    return name, part


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


def _split(line: str) -> tuple[list[str], str]:
    """Split the options off a line; what follows them is the prompt and stays as it was typed."""
    options = parser()._option_string_actions  # noqa: SLF001 - argparse has no public list of its options
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
