"""Tab on a line of ours: its flags, and what can follow them."""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config import export
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError
from openhands_llm_magic.llm.practice import routes
from openhands_llm_magic.llm.spending import summary
from openhands_llm_magic.notebook import (
    arguments,
    config_magic,
    embed_magic,
    probe_magic,
    prompt_options,
    usage_magic,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping

MOST = 200
"""Candidates that are offered at once; further letters make them fewer."""

MOST_FILES = 2_000
"""Files of a folder that are looked at."""

_OUR_LINE = re.compile(r"\s*(?:[^\W\d]\w*\s*=\s*)?(%%?)(llm|llm_[a-z]+)(?=\s)")


@dataclass(frozen=True, slots=True)
class Known:
    """What a session knows by name.

    Attributes:
        variables: The notebook's variables.
        groups: Gives the names of the groups of settings.
        chats: The names of its conversations.
        aliases: Gives the short names of models.
        servers: Gives the names of MCP servers, and of the tools of those that run.
    """

    variables: Mapping[str, object]
    groups: Callable[[], Iterable[str]]
    chats: Iterable[str]
    aliases: Callable[[], Iterable[str]] = tuple
    servers: Callable[[], Iterable[str]] = tuple

    @property
    def own_variables(self) -> list[str]:
        """The names of the variables that a person made."""
        return [name for name in self.variables if not name.startswith("_")]

    @property
    def schemas(self) -> list[str]:
        """The names of the variables that may hold a pydantic class or a JSON schema."""
        found = self.variables
        return [name for name in self.own_variables if isinstance(found[name], type | dict)]

    @property
    def functions(self) -> list[str]:
        """The names of the variables that hold a function."""
        return [name for name in self.own_variables if inspect.isroutine(self.variables[name])]


@dataclass(frozen=True, slots=True)
class Line:
    """What can stand on the line of a magic.

    Attributes:
        flags: Each flag, and the kind of what follows it: "" where nothing does.
        words: The kind of words that stand before any flag: "" where they are free text.
        first: The flags that are offered before a letter of one is typed; none means all.
    """

    flags: Mapping[str, str]
    words: str = ""
    first: tuple[str, ...] = ()


def _of_parser(parser: argparse.ArgumentParser, words: str = "") -> Line:
    actions = arguments.flags_of(parser).items()
    return Line({flag: "" if action.nargs == 0 else action.dest for flag, action in actions}, words)


def _of_prompts() -> Line:
    """Describe the line of a prompt, which has too many options to choose from at once."""
    topics = prompt_options.by_topic()
    topics.pop(prompt_options.KEPT)
    actions = [action for actions in topics.values() for action in actions]
    kinds = {
        flag: "" if action.nargs == 0 else action.dest
        for action in actions
        for flag in action.option_strings
    }
    by_name = {action.dest: action.option_strings[-1] for action in reversed(actions)}
    return Line(kinds, first=(*(by_name[name] for name in prompt_options.FIRST), "--help"))


_CONFIG_FLAGS = {
    **dict.fromkeys(config_magic.ACTIONS, ""),
    "--alias": "alias",
    "--show": "setting",
    "--reset": "setting",
    "--use": "group",
    "--group": "group",
    "--with-key": "",
    "--force": "",
    "--export": "form",
    "--practice": "stand-in",
    "--from-openhands": "kept",
    "--to-openhands": "profile",
    **dict.fromkeys(("--file", "--check", "--save"), "file"),
}

LINES: Mapping[str, Callable[[], Line]] = {
    "llm": _of_prompts,
    "llm_error": _of_prompts,
    "llm_embed": lambda: _of_parser(embed_magic.parser(), "expression"),
    "llm_chat": lambda: Line({"--forget": "chat", "--export": "chat"}, "chat"),
    "llm_config": lambda: Line(_CONFIG_FLAGS, "assignment"),
    "llm_models": lambda: Line({"--server": ""}, "model"),
    "llm_probe": lambda: _of_parser(probe_magic.parser()),
    "llm_usage": lambda: _of_parser(usage_magic.parser()),
}
"""By the name of the magic."""


def candidates(line: str, known: Known, *, first_line: bool = True) -> tuple[str, list[str]] | None:
    """Return what is completed and with what, or None where that is not ours to say.

    Args:
        line: The line up to the cursor.
        known: What is offered beside our own flags and settings.
        first_line: Whether it is the cell's first, as that of a cell magic is.
    """
    match = _OUR_LINE.match(line)
    if match is None or match[2] not in LINES or (match[1] == "%%" and not first_line):
        return None
    described = LINES[match[2]]()
    *before, fragment = re.split(r"\s+", line[match.end() :].lstrip())
    if "--" in before:
        return None
    kind, typed = _asked(described, before, fragment)
    if not kind and fragment[:1] in ("", "-"):
        if described.first and not fragment.strip("-"):
            return fragment, list(described.first)
        # Not the short ones, which are quicker typed than chosen.
        return fragment, _starting(fragment, (it for it in described.flags if it[:2] == "--"))
    found = _values(kind, typed, known)
    return None if found is None else (typed, _starting(typed, found))


def _asked(line: Line, before: list[str], fragment: str) -> tuple[str, str]:
    """Return the kind of the word at the cursor ("" for a flag or free text) and the word."""
    name, equals, typed = fragment.partition("=")
    if equals and name in line.flags:
        return line.flags[name], typed
    if before and line.flags.get(before[-1]):
        return line.flags[before[-1]], fragment
    if fragment.startswith("-") or any(word in line.flags for word in before):
        return "", fragment
    if equals and name in SETTINGS and line.words == "assignment":
        return name, typed
    return line.words, fragment


def _starting(fragment: str, words: Iterable[str]) -> list[str]:
    lowered = fragment.lower()
    return [word for word in dict.fromkeys(words) if word.lower().startswith(lowered)][:MOST]


def _values(kind: str, typed: str, known: Known) -> Iterable[str] | None:
    """List all values of a kind, or None for free text."""
    if kind in VALUES:
        return VALUES[kind](known, typed)
    setting = SETTINGS.get(kind)
    if setting is not None and setting.kind == "secret":
        return [f"${name}" for name in known.own_variables]
    return (setting is not None and setting.choices) or None


def _models(typed: str) -> Iterator[str]:
    """Name the prefixes of providers, and the models behind the one that is typed."""
    from openhands_llm_magic.config.providers import PROVIDERS  # noqa: PLC0415 - read on use
    from openhands_llm_magic.llm.litellm.models import models_of  # noqa: PLC0415 - reads LiteLLM's list

    for provider in PROVIDERS.values():
        if "/" in typed and typed.lower().startswith(provider.prefix):
            yield from models_of(provider)
        elif "/" not in typed:
            yield provider.prefix


def _kept() -> list[str]:
    """Name the files of OpenHands that settings can be taken from."""
    from openhands_llm_magic.llm.openhands import folder  # noqa: PLC0415 - read on use

    try:
        return [each.name for each in folder.kept()]
    except SettingError:  # a variable that names no folder
        return []


def _files(typed: str) -> list[str]:
    """Name the files of the folder that is typed; a name with a space in it would need quotes."""
    folder = typed[: typed.rfind("/") + 1]
    try:
        with os.scandir(Path(folder).expanduser()) as entries:
            found = [folder + it.name + "/" * it.is_dir() for it in islice(entries, MOST_FILES)]
    except (OSError, ValueError, RuntimeError):  # no such folder, a NUL in its name, no such home
        return []
    hidden = f"{folder}."
    return sorted(
        name
        for name in found
        if not re.search(r"\s", name) and (typed.startswith(hidden) or not name.startswith(hidden))
    )


VALUES: Mapping[str, Callable[[Known, str], Iterable[str] | None]] = {
    "alias": lambda known, _typed: known.aliases(),
    "assignment": lambda _known, _typed: (f"{name}=" for name in SETTINGS),
    "attach": lambda known, typed: chain(known.own_variables, _files(typed)),
    "by": lambda _known, _typed: summary.BY,
    "chat": lambda known, _typed: known.chats,
    "csv": lambda _known, typed: _files(typed),
    "expression": lambda known, typed: known.own_variables if re.fullmatch(r"\w*", typed) else None,
    "file": lambda _known, typed: _files(typed),
    "folder": lambda _known, typed: _files(typed),
    "form": lambda _known, _typed: export.FORMS,
    "format": lambda _known, _typed: prompt_options.FORMATS,
    "group": lambda known, _typed: known.groups(),
    "kept": lambda _known, _typed: _kept(),
    "stand-in": lambda _known, _typed: filter(routes.can_stand_in, PROVIDERS),
    "model": lambda known, typed: chain(known.aliases(), _models(typed)),
    "out": lambda known, _typed: known.own_variables,
    "profile": lambda _known, _typed: [name for name in _kept() if not name.endswith(".json")],
    "report": lambda _known, typed: _files(typed),
    "schema": lambda known, _typed: known.schemas,
    "tools": lambda known, _typed: chain(known.functions, known.servers()),
    "yes": lambda known, _typed: chain(known.functions, known.servers()),
    "sent_by": lambda _known, _typed: prompt_options.OPENHANDS,
    "setting": lambda _known, _typed: SETTINGS,
}
"""The values of each kind that has some, beside the settings with choices of their own."""
