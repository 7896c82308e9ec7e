"""What a check of the settings finds, and what its rules look at."""

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

_BARE_NAME = re.compile(r"[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found; no text of it holds a key.

    Attributes:
        origin: The file and line, or the variable.
        message: What is wrong.
        fix: What to write instead.
        openhands: What OpenHands would do about it, or "" where that is not known or the same.
        level: An "error" is ignored or fails, a "warning" is probably not meant, and a "note" is
            only good to know.
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
        """Everything but the origin, in one line."""
        return " ".join(f"{part}." for part in (self.message, self.fix, self.openhands) if part)

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"


@dataclass(frozen=True, slots=True)
class Section:
    """A table of a config file that holds settings.

    Attributes:
        path: Its names, as in ("llm", "fast") for `[llm.fast]`.
        values: The keys of it that are ours to check.
    """

    path: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)

    @property
    def consequence(self) -> str:
        """What OpenHands does about one bad key in it."""
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
    """What is checked.

    Attributes:
        document: The config file; without one, an empty document.
        env: The environment.
        in_docker: Whether this runs inside a container.
        settings: The settings in force, of each group by its name; those of `[llm]` under None.
    """

    document: Document
    env: Mapping[str, str]
    in_docker: bool
    settings: Mapping[str | None, Snapshot]

    @property
    def sections(self) -> Iterator[Section]:
        """The tables that hold settings."""
        llm = self.document.table("llm")
        yield Section(
            ("llm",), {key: each for key, each in llm.items() if not isinstance(each, dict)}
        )
        for group in groups_of(self.document):
            yield Section(("llm", group), llm[group])
        core = self.document.table("core")  # most of what is in it is not for us
        yield Section(("core",), {key: each for key, each in core.items() if key in SETTINGS})
        yield Section((OURS,), self.document.table(OURS))


def groups_of(document: Document) -> list[str]:
    """List the groups, without the tables that a dot in a name, or a dictionary, made."""
    llm = document.table("llm")
    return [
        group
        for group in document.groups
        if not is_dictionary_setting(group)
        and (not llm[group] or any(not is_split(*item) for item in llm[group].items()))
    ]


def is_dictionary_setting(name: str) -> bool:
    """Tell whether a table of this name may be a value."""
    return name in SETTINGS and SETTINGS[name].kind == "dict"


def is_split(key: str, value: object) -> bool:
    """Tell whether a value in a group is a table that a dot in the group's name made."""
    return key not in SETTINGS and isinstance(value, dict)


def titled(path: tuple[str, ...]) -> str:
    """Write a table's header, names quoted where TOML needs it."""
    names = (name if _BARE_NAME.fullmatch(name) else json.dumps(name) for name in path)
    return f"[{'.'.join(names)}]"
