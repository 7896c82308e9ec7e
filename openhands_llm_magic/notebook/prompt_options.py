"""The options of `%llm` and `%%llm`, and how their line is read."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS, TOPICS
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm.tools.declared import MOST_ROUNDS
from openhands_llm_magic.notebook.arguments import (
    PROMPTS,
    Parser,
    add_flag,
    add_over_budget,
    flags_of,
    for_repeated,
    lift_limits,
    meant_flag,
    one_of,
    put_in,
    read,
    require_name,
    settings_in,
)
from openhands_llm_magic.notebook.line import plain, split

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence


def meant_setting(typed: str) -> Text:
    """Return "; did you mean X?" for a setting that there is not, by the rules of `meant_flag`."""
    flag = meant_flag(typed, parser())
    name = flag.removeprefix("--").replace("-", "_")
    return Text("; did you mean {name}?", name=name) if name in SETTINGS else Text("")


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
        tools: The names of functions that the model may ask for.
        yes: Those of them that are called without a question.
        max_rounds: How often the model may ask for functions.
        block: Which code block of the answer counts, from 1 on; None for all that fit together.
        help: Whether the help is asked for, of which `prompt` then names the topic.
        sent_by: The version of OpenHands whose request a dry run shows (`--as`), or None for ours.
        group: The group of settings that it is asked with, or None for the session's.
        models: Several models that are asked at once; `each` has the options for each.
        groups: The same of groups of settings.
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
    tools: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    max_rounds: int = MOST_ROUNDS
    raw: bool = False
    chat: str | None = None
    goes_on: bool = False
    dry_run: bool = False
    sent_by: str | None = None
    group: str | None = None
    models: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    block: int | None = None
    help: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_several(self) -> bool:
        """Whether several models, or one with several groups of settings, are asked at once."""
        return bool(self.models or self.groups)

    @property
    def each(self) -> tuple[PromptOptions, ...]:
        """The options for each model that is asked, in the order of the line."""
        alone = replace(self, models=(), groups=())
        by_model = (
            replace(alone, settings={**self.settings, "model": model}) for model in self.models
        )
        by_group = (replace(alone, group=group) for group in self.groups)
        return (*by_model, *by_group) or (alone,)

    @property
    def alone(self) -> bool:
        """Whether nothing goes along with the prompt: instructions, a file, a conversation."""
        along = (self.system, self.attach, self.tools, self.goes_on, self.chat, self.schema)
        return not (self.as_is or any(along))


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser: one flag for each setting of prompts, and those of the prompt itself."""
    made = Parser(prog=PROMPTS, add_help=False, allow_abbrev=False)
    _add_own(made)
    for setting in SETTINGS.values():
        if setting.topic != "embedding":
            add_flag(made, setting, setting.short, repeated=setting.name == "model")
    return made


FIRST = (
    "model", "system", "out", "format", "attach", "goes_on", "chat", "schema", "cache", "dry_run",
)  # fmt: skip
"""The options that people use first."""

OF_A_CELL, KEPT = "cell", "kept"
"""Topics of options beside those of settings: of `%%llm` itself, and of what it does not use."""

TITLES: Mapping[str, Text] = {
    OF_A_CELL: Text("The cell"),
    **{
        topic: Text("{title}, for this cell alone", title=Text(title))
        for topic, title in TOPICS.items()
    },
    KEPT: Text("Kept for OpenHands, not used in the notebook"),
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

    def add(*names: str, about: Text, **how: Any) -> None:
        made.add_argument(*names, **how).help = about

    told = "store the reply in this variable; NAME:text its text, NAME:data its JSON or code"
    add("-s", "--system", metavar="TEXT", about=Text("instructions before the prompt"))
    add("-o", "--out", metavar="NAME", about=Text(told))
    told = "show the answer as {formats}; code goes into a new cell, too"
    about = Text(told, formats=", ".join(FORMATS))
    add("-f", "--format", type=_format, choices=FORMATS, metavar="FORMAT", about=about)
    told = "with -f code: take this code block of the answer, counted from 1, in place of all"
    add("--block", type=partial(_number, "--block"), metavar="N", about=Text(told))
    told = (
        "hold the answer to the pydantic class or JSON schema in this variable; what does not fit"
        " is sent back once"
    )
    add("--schema", metavar="NAME", about=Text(told))
    told = "send a file, an http address or a variable with the prompt; can be repeated"
    add("-a", "--attach", metavar="FILE", action="append", about=Text(told))
    told = (
        "let the model ask for this function of the notebook, or for the tools of this MCP server"
        " of the configuration (SERVER.TOOL for one of them); can be repeated"
    )
    add("-t", "--tool", dest="tools", metavar="NAME", action="append", about=Text(told))
    told = (
        "call this function, or the tools of this MCP server, without a question; can be repeated"
    )
    add("--yes", metavar="NAME", action="append", about=Text(told))
    told = "let the model ask for functions so often before it answers (default: {default})"
    about = Text(told, default=MOST_ROUNDS)
    how: dict[str, Any] = {"type": partial(_number, "--max-rounds"), "metavar": "N"}
    add("--max-rounds", **how, about=about)
    add("--raw", action="store_true", about=Text("put in no variables for names in braces"))
    about = Text("go on from the last answer")
    add("-c", "--continue", dest="goes_on", action="store_true", about=about)
    add("--chat", metavar="NAME", about=Text("go on with the conversation of this name"))
    told = "show the request and its cost, and send nothing"
    add("--dry-run", action="store_true", about=Text(told))
    add_over_budget(made)
    told = "with --dry-run, show what OpenHands 0.41 or the current SDK would send in its place"
    how = {"choices": OPENHANDS, "metavar": "|".join(OPENHANDS)}
    add("--as", dest="sent_by", type=_version, **how, about=Text(told))
    about = for_repeated(Text("use the settings of [llm.NAME]"))
    add("-g", "--group", metavar="NAME", action="append", about=about)
    told = "print this help, or with a topic that of its options; `all` explains all"
    add("-h", "--help", action="store_true", about=Text(told))


def _format(text: str) -> str:
    """Read the name of a format, of which one has two."""
    name = {"md": "markdown"}.get(text.lower(), text.lower())
    return one_of(FORMATS, "--format", name)


def _version(text: str) -> str:
    """Read the name of a version of OpenHands."""
    return one_of(OPENHANDS, "--as", text)


LONGEST_NUMBER = 9
"""Digits of a number that counts something; Python reads no more than some thousands."""


def _number(option: str, text: str) -> int:
    """Read the number of an option that counts from 1.

    Raises:
        UsageError: It is none.
    """
    if not (text.isdecimal() and len(text) <= LONGEST_NUMBER and int(text) > 0):
        told = "{option} takes a number from 1 on, not {given}."
        raise UsageError(Text(told, option=option, given=shorten(repr(text))))
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
    given = read(words, parser(), Text(" (A prompt that starts with - goes after --.)"))
    if given.pop("help"):
        return PromptOptions(prompt, help=True)
    as_is = line.rstrip().removesuffix(prompt).rstrip().endswith("--")
    if not (in_cell or as_is):
        _require_first(prompt)
    _require_together(given)
    _require_tools(given)
    lift_limits(given)
    own = variables if own is None else own
    groups = [put_in(group, own, "--group") for group in given.pop("group", [])]
    groups, one_group = (groups, []) if len(groups) > 1 else ([], groups)
    models, one_model = _models_named(given.pop("model", []), own)
    _require_few(models, groups, is_chat="chat" in given)
    flags = {name: given.pop(name) for name in [*given] if name not in SETTINGS}
    flags["group"] = one_group[0] if one_group else None
    for name in ("out", "chat", "schema"):
        if name in flags:
            flags[name] = put_in(flags[name], own, f"--{name}")
    flags["out"], flags["part"] = _stored(flags.get("out"))
    flags |= {name: tuple(flags.get(name, ())) for name in ("tools", "yes")}
    flags["attach"] = tuple(put_in(word, own, "--attach") for word in flags.get("attach", ()))
    flags.setdefault("format", "json" if "schema" in flags else "markdown")
    settings = settings_in(given, variables, own) | one_model
    flags |= {"models": tuple(models), "groups": tuple(groups)}
    return PromptOptions(prompt, as_is, **flags, settings=settings)


def _models_named(
    texts: Sequence[str], own: Mapping[str, object]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the several models that the values of `-m` name, or the setting for the only one.

    A list in a variable names several, also where there is but one in it: its reader gets a list.

    Raises:
        UsageError: There is no such variable, or the list is empty.
        SettingError: There is something in it that is no name.
    """
    from openhands_llm_magic.notebook import placeholders  # noqa: PLC0415 - it brings much along

    found: list[Any] = []
    is_list = len(texts) > 1
    for text in texts:
        listed = placeholders.whole(text, own) if "{" in text else text
        if isinstance(listed, list | tuple):
            is_list = True
            found += [SETTINGS["model"].validate(each) for each in listed]
        else:
            found.append(settings_in({"model": text}, {}, own)["model"])
    if texts and not found:
        raise UsageError(Text("--model: {names} is an empty list.", names=" ".join(texts)))
    return (found, {}) if is_list or not found else ([], {"model": found[0]})


MOST_MODELS = 8
"""Models that are asked at once; more columns could not be read side by side."""


def _require_few(models: Sequence[str], groups: Sequence[str], *, is_chat: bool) -> None:
    """Refuse more models than can be asked at once, two meanings of "each", and a named chat."""
    if models and groups:
        raise UsageError(
            "several -m and several -g exclude each other: the models are asked with the settings"
            " of one group, or one model with those of each."
        )
    count = len(models or groups)
    if count > MOST_MODELS:
        told = "{count} models are too many for one cell: at most {most} are asked at once."
        raise UsageError(Text(told, count=count, most=MOST_MODELS))
    if count and is_chat:
        raise UsageError(
            "--chat goes with one model, as a conversation has one answer to each prompt; `-c -m"
            " MODEL` goes on from one of several answers."
        )


def _require_together(given: Mapping[str, Any]) -> None:
    """Refuse options that exclude each other, and those that mean nothing without another."""
    if given["goes_on"] and "chat" in given:
        raise UsageError("--continue and --chat exclude each other: a chat goes on by itself.")
    if "schema" in given and given.get("format") == "code":
        raise UsageError("--schema and -f code exclude each other: code is no JSON.")
    if "block" in given and given.get("format") != "code":
        raise UsageError("--block goes with -f code.")
    if "sent_by" in given and not given["dry_run"]:
        raise UsageError("--as goes with --dry-run: it shows what OpenHands would send.")


YES_WITHOUT = "--yes {name} goes with -t {name}."


def _require_tools(given: Mapping[str, Any]) -> None:
    """Refuse what is said of functions that the line does not name."""
    tools = given.get("tools", ())
    if "max_rounds" in given and not tools:
        raise UsageError("--max-rounds goes with -t.")
    for name in given.get("yes", ()):
        within = (
            f"{name}.".startswith(f"{each}.") or each.startswith(f"{name}.") for each in tools
        )
        if not any(within):
            raise UsageError(Text(YES_WITHOUT, name=name))


def _require_first(prompt: str) -> None:
    """Refuse a long flag of ours within a prompt: it would be sent, and have no effect."""
    flags = flags_of(parser())
    words = (plain(word, flags) for word in prompt.split())
    late = [word for word in words if word.startswith("--") and word in flags]
    if late:
        told = (
            "{option} stands within the prompt: options come before it. `--` before a prompt sends"
            " it as it is."
        )
        raise UsageError(Text(told, option=late[0]))


def late_model(prompt: str) -> list[Text]:
    """Note a model that is named within the prompt, and so has only been sent as words of it."""
    words = prompt.split()
    for flag, name in itertools.pairwise(words[1:]):
        if flag == "-m" and "/" in name and provider_of(name):
            told = "`{flag}` was sent as part of the prompt: options come before it."
            return [Text(told, flag=f"-m {shorten(name)}")]
    return []


def _stored(out: str | None) -> tuple[str | None, str]:
    """Read the value of `--out`, `NAME` or `NAME:text`, into the name and what is stored there."""
    if out is None:
        return None, ""
    name, _, part = out.partition(":")
    require_name(name)
    if part not in ("", "text", "data"):
        told = "--out stores the reply, as {name}:text its text, or as {name}:data."
        raise UsageError(Text(told, name=name))
    return name, part
