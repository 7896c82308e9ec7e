"""A finding of the check, and the things that the rules of the check look at."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config.setting import OURS
from openhands_llm_magic.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openhands_llm_magic.config.document import Document
    from openhands_llm_magic.config.layers import Origin
    from openhands_llm_magic.config.resolve import Snapshot

SILENTLY = "OpenHands would ignore it without a word"

_BARE_NAME = re.compile(r"[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the check found; its texts hold no key.

    Attributes:
        origin: The file and line, or the variable, that the finding is about.
        message: What is wrong, in words.
        fix: What to write instead, in words.
        openhands: What OpenHands would do, in words, or "" where that is not known or the same.
        level: "error" for a value that is ignored or fails, "warning" for one that is probably not
            meant, and "note" for a fact that is good to know.
    """

    origin: Origin
    message: str
    fix: str
    openhands: str = ""
    level: Literal["error", "warning", "note"] = "error"

    @property
    def is_problem(self) -> bool:
        """Whether something should be changed."""
        return self.level != "note"

    @property
    def text(self) -> str:
        """What is wrong and what to do, in one line that does not say where."""
        return " ".join(f"{part}." for part in (self.message, self.fix, self.openhands) if part)

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table of a config file that holds settings.

    Attributes:
        path: The names in its header, such as ("llm", "fast") for `[llm.fast]`.
        values: Its keys and values, without those that are not for this package to check.
    """

    path: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)

    @property
    def consequence(self) -> str:
        """What OpenHands does about one bad key in this table, in words."""
        match self.path:
            case ("llm",):
                return "OpenHands would drop the whole [llm] section"
            case ("llm", _):
                return f"OpenHands would skip the whole group {titled(self.path)}"
            case ("core",):
                return "OpenHands would take it unchecked"
            case _:
                return ""


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """The things that are checked.

    Attributes:
        document: The config file; without one, an empty document.
        env: The environment.
        in_docker: Whether the process runs in a container.
        settings: The settings in force: those of each group by its name, those of `[llm]` by None.
    """

    document: Document
    env: Mapping[str, str]
    in_docker: bool
    settings: Mapping[str | None, Snapshot]

    @property
    def tables(self) -> Iterator[CheckedTable]:
        """The tables that hold settings."""
        llm = self.document.table("llm")
        yield CheckedTable(
            ("llm",), {key: each for key, each in llm.items() if not isinstance(each, dict)}
        )
        for group in groups_of(self.document):
            yield CheckedTable(("llm", group), llm[group])
        core = self.document.table("core")  # most of what is in it is not for us
        yield CheckedTable(("core",), {key: each for key, each in core.items() if key in SETTINGS})
        yield CheckedTable((OURS,), self.document.table(OURS))


def groups_of(document: Document) -> list[str]:
    """Return the groups, without the tables that a dot in a name, or a dictionary, made."""
    llm = document.table("llm")
    return [
        group
        for group in document.groups
        if not is_dictionary_setting(group)
        and (not llm[group] or any(not is_split(*item) for item in llm[group].items()))
    ]


def is_dictionary_setting(name: str) -> bool:
    """Return whether a setting of this name has a dictionary, and so a table, for its value."""
    return name in SETTINGS and SETTINGS[name].kind == "dict"


def is_split(key: str, value: object) -> bool:
    """Return whether a value in a group is a table that a dot in the group's name made."""
    return key not in SETTINGS and isinstance(value, dict)


def titled(path: tuple[str, ...]) -> str:
    """Return a table's header, with names quoted where TOML needs it."""
    names = (name if _BARE_NAME.fullmatch(name) else json.dumps(name) for name in path)
    return f"[{'.'.join(names)}]"
