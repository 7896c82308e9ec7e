"""The options of magics, made from the declarations of the settings, and how a line is read."""

from __future__ import annotations

import argparse
import difflib
import functools
import keyword
import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.settings import SETTINGS, TOPICS
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.notebook.line import DASHES, plain, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
        from openhands_llm_magic.notebook import from_ai  # noqa: PLC0415 - for an error alone

        name = unknown[0].partition("=")[0]
        hint = from_ai.FLAGS.get(name) if made.prog == PROMPTS else None
        if hint is None:
            near = meant_flag(name, made)
            hint = f"did you mean {near}?" if near else f"`{made.prog}?` lists the options."
        raise UsageError(f"there is no option {name}; {hint}{advice}")
    return {name: value for name, value in vars(known).items() if value is not None}


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


def meant_setting(typed: str) -> str:
    """Return "; did you mean X?" for a setting that there is not, by the rules of `meant_flag`."""
    flag = meant_flag(typed, parser())
    name = flag.removeprefix("--").replace("-", "_")
    return f"; did you mean {name}?" if name in SETTINGS else ""


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
        values[name] = setting.from_text(found) if isinstance(found, str) else found
    return values


def put_in(text: Any, variables: Mapping[str, object], told: str, *, whole: bool = False) -> Any:
    """Put variables into the value of an option, as `{name}` in a prompt does.

    The line was split before, so that no value makes another option.

    Args:
        text: The value as it was typed; what is no text is returned as it is.
        variables: Those that `{name}` can name.
        told: What the option is called.
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
        why = [str(note) for note in found.notes] or [f"there is no variable for {found.left[0]}"]
        raise UsageError(f"{told}: {'; '.join(why)}.")
    if not all(isinstance(part, str) for part in found.parts):
        raise UsageError(f"{told} takes text, and this is a picture.")
    return "".join(map(str, found.parts))


def with_variables(words: Sequence[str], own: Mapping[str, object], told: str) -> list[str]:
    """Put variables into the words that follow an option; none of them becomes an option by it.

    Raises:
        UsageError: There is no such variable, or its value begins with "-".
    """
    found: list[str] = []
    for word in words:
        value = put_in(word, own, told)
        if value != word and value.startswith("-"):
            raise UsageError(f"{told}: {word} is {value!r}, and no value begins with -.")
        found.append(value)
    return found


LONGEST_VALUE = 10_000
"""Characters of a variable in an option; what is longer was not meant for one."""


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


FORMATS = ("markdown", "text", "json", "code", "html", "math")
"""How an answer can be shown; what each is stands in `view/display.py`, which is not loaded before
one."""


OPENHANDS = ("openhands", "openhands-sdk")
"""The versions of OpenHands that a dry run can ask about; what each sends is in `llm/openhands/`,
which is not loaded before one."""


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What stands on a `%llm` or `%%llm` line: its options, of which the help tells, and the rest.

    Attributes:
        prompt: The rest of the line after the options, as it was typed.
        as_is: Whether `--` stands before it, so that it is a prompt whatever it looks like.
        part: What of the reply is stored in `out`: all of it, its "text" or its "data".
        goes_on: Whether it goes on from the last answer (`--continue`).
        block: Which code block of the answer counts, from 1 on; None for all that fit together.
        help: Whether the help is asked for, of which `prompt` then names the topic.
        sent_by: The version of OpenHands whose request a dry run shows (`--as`), or None for ours.
        settings: Settings for this cell alone, by name.
    """

    prompt: str = ""
    as_is: bool = False
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
    sent_by: str | None = None
    group: str | None = None
    block: int | None = None
    help: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser: one flag for each setting of prompts, and those of the prompt itself."""
    made = Parser(prog=PROMPTS, add_help=False, allow_abbrev=False)
    _add_own(made)
    for setting in SETTINGS.values():
        if setting.topic != "embedding":
            add_flag(made, setting, setting.short)
    return made


PROMPTS = "%%llm"
"""What the options of a prompt are told for."""

FIRST = (
    "model", "system", "out", "format", "attach", "goes_on", "chat", "schema", "cache", "dry_run",
)  # fmt: skip
"""The options that people use first."""

OF_A_CELL, KEPT = "cell", "kept"
"""Topics of options beside those of settings: of `%%llm` itself, and of what it does not use."""

TITLES = {
    OF_A_CELL: "The cell",
    **{topic: f"{title}, for this cell alone" for topic, title in TOPICS.items()},
    KEPT: "Kept for OpenHands, not used in the notebook",
}
"""The title of each topic of options, in the order in which they are shown."""


def by_topic() -> dict[str, list[argparse.Action]]:
    """Sort the options of a prompt by their topics."""
    found: dict[str, list[argparse.Action]] = {topic: [] for topic in TITLES}
    for action in dict.fromkeys(flags_of(parser()).values()):
        setting = SETTINGS.get(action.dest)
        topic = KEPT if setting and setting.kept else setting.topic if setting else OF_A_CELL
        found[topic].append(action)
    return {topic: actions for topic, actions in found.items() if actions}


def _add_own(made: argparse.ArgumentParser) -> None:
    """Add the flags of `%%llm` itself, which stand for no setting."""
    add = made.add_argument
    about = "store the reply in this variable; NAME:text its text, NAME:data its JSON or code"
    add("-s", "--system", metavar="TEXT", help="instructions before the prompt")
    add("-o", "--out", metavar="NAME", help=about)
    about = f"show the answer as {', '.join(FORMATS)}; code goes into a new cell, too"
    add("-f", "--format", type=_format, choices=FORMATS, metavar="FORMAT", help=about)
    about = "with -f code: take this code block of the answer, counted from 1, in place of all"
    add("--block", type=_number, metavar="N", help=about)
    about = "hold the answer to the pydantic class or JSON schema in this variable; what does not"
    add("--schema", metavar="NAME", help=f"{about} fit is sent back once")
    about = "send a file, an http address or a variable with the prompt; can be repeated"
    add("-a", "--attach", metavar="FILE", action="append", help=about)
    add("--raw", action="store_true", help="put in no variables for {names}")
    about = "go on from the last answer"
    add("-c", "--continue", dest="goes_on", action="store_true", help=about)
    add("--chat", metavar="NAME", help="go on with the conversation of this name")
    add("--dry-run", action="store_true", help="show the request and its cost, and send nothing")
    about = "with --dry-run, show what OpenHands 0.41 or the current SDK would send in its place"
    add("--as", dest="sent_by", choices=OPENHANDS, metavar="|".join(OPENHANDS), help=about)
    add("-g", "--group", metavar="NAME", help="use the settings of [llm.NAME]")
    about = "print this help, or with a topic that of its options; `all` explains all"
    add("-h", "--help", action="store_true", help=about)


def _format(text: str) -> str:
    """Read the name of a format, of which one has two."""
    return {"md": "markdown"}.get(text.lower(), text.lower())


def _number(text: str) -> int:
    """Read a number that counts from 1."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"it takes a number from 1 on, not {text!r}")
    return int(text)


def parse(
    line: str,
    variables: Mapping[str, object],
    own: Mapping[str, object] | None = None,
    *,
    in_cell: bool = False,
) -> PromptOptions:
    """Read the line of `%llm` or `%%llm`.

    Args:
        line: What stands after `%llm` or `%%llm`.
        variables: Where `$NAME` is looked up, the value of a key's flag.
        own: Where `{name}` is looked up in the value of another flag; by default the same.
        in_cell: Whether the prompt stands below the line.

    Raises:
        UsageError: An unknown flag, a flag without its value, or a key typed as plain text.
        SettingError: A setting's value is not one that it takes.
    """
    words, prompt = split(line, flags_of(parser()))
    given = read(words, parser(), " (A prompt that starts with - goes after --.)")
    if given.pop("help"):
        return PromptOptions(prompt, help=True)
    as_is = line.rstrip().removesuffix(prompt).rstrip().endswith("--")
    if not (in_cell or as_is):
        _require_first(prompt)
    if given["goes_on"] and "chat" in given:
        raise UsageError("--continue and --chat exclude each other: a chat goes on by itself.")
    if "schema" in given and given.get("format") == "code":
        raise UsageError("--schema and -f code exclude each other: code is no JSON.")
    if "block" in given and given.get("format") != "code":
        raise UsageError("--block goes with -f code.")
    if "sent_by" in given and not given["dry_run"]:
        raise UsageError("--as goes with --dry-run: it shows what OpenHands would send.")
    own = variables if own is None else own
    flags = {name: given.pop(name) for name in [*given] if name not in SETTINGS}
    for name in ("out", "chat", "group", "schema"):
        if name in flags:
            flags[name] = put_in(flags[name], own, f"--{name}")
    flags["out"], flags["part"] = _stored(flags.get("out"))
    flags["attach"] = tuple(put_in(word, own, "--attach") for word in flags.get("attach", ()))
    flags.setdefault("format", "json" if "schema" in flags else "markdown")
    settings = settings_in(given, variables, own)
    return PromptOptions(prompt, as_is, **flags, settings=settings)


def _require_first(prompt: str) -> None:
    """Refuse a long flag of ours within a prompt: it would be sent, and have no effect."""
    flags = flags_of(parser())
    words = (plain(word, flags) for word in prompt.split())
    late = [word for word in words if word.startswith("--") and word in flags]
    if late:
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


def help_text(topic: str = "") -> str:
    """Write the help of `%llm?` and `%%llm?`, or that of a topic's options, or of "all"."""
    topics = by_topic()
    if topic == "all" or topic in topics:
        shown = topics if topic == "all" else {topic: topics[topic]}
        return "\n".join(_section(TITLES[each], actions) for each, actions in shown.items())
    every = [action for actions in topics.values() for action in actions]
    by_name = {action.dest: action for action in reversed(every)}
    first = [by_name[name] for name in FIRST]
    rest = {
        each: [action for action in actions if action not in first]
        for each, actions in topics.items()
        if each != KEPT
    }
    further = "\n".join(_listed(each, actions) for each, actions in rest.items() if actions)
    return f"""Send a prompt to a language model and show the answer as it arrives.

    %%llm -m openai/gpt-4o -s "Answer in French."
    The prompt, as many lines as you like.

    answer = %llm What is a token?

`{{name}}` puts in a variable of the notebook, also as `{{rows[0]}}`, `{{obj.attr}}` or
`{{price:.2f}}`; a table goes in as Markdown, an image as an attachment. In the value of an option
it works, too. Other braces stay, and `{{{{name}}}}` gives `{{name}}`. Dollars stay, too.

The value is a `Reply`: `print(_)` shows its text, `_.usage` the tokens, `_.waits` the retries.
Rate limits and other passing faults are waited out under the retry settings, with a countdown;
the interrupt button ends a wait or an answer at once. `-m practice/echo` needs no account.
`%llm_config` shows the settings in force, `%llm_models` finds models.

{_section("Options that people use first", first)}
More by topic: `%llm --help retries` explains those of a topic, `%llm --help all` all of them.
{further}
"""


def _section(title: str, actions: Sequence[argparse.Action]) -> str:
    """Write what options do, one below the other."""
    formatter = argparse.HelpFormatter(PROMPTS, max_help_position=28, width=100)
    formatter.start_section(title)
    formatter.add_arguments(actions)
    formatter.end_section()
    return formatter.format_help()


def _listed(topic: str, actions: Iterable[argparse.Action]) -> str:
    """Write the names of a topic's options."""
    long = (next(each for each in it.option_strings if each[:2] == "--") for it in actions)
    names = " ".join(long)
    return textwrap.fill(
        names, 100, initial_indent=f"  {topic:<10}", subsequent_indent=" " * 12,
        break_on_hyphens=False,
    )  # fmt: skip
