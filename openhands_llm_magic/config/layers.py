"""Layers of settings: each value with its origin, and what was wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openhands_llm_magic.config.setting import Setting, Value


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from; `str(origin)` reads well in a sentence.

    Attributes:
        kind: The layer's kind.
        name: The words for it: a variable, a flag, "this session".
        path: The config file, when `kind` is "file".
        line: The line in the file, counted from 1, when it is known.
    """

    kind: Literal[
        "default", "file", "environment", "ipython_config", "session", "edit", "argument", "flag"
    ]
    name: str = ""
    path: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.path is None:
            return self.name
        return shown_path(self.path) + (f" line {self.line}" if self.line else "")


DEFAULT = Origin("default", "default")
IPYTHON_CONFIG = Origin("ipython_config", "ipython_config")
SESSION = Origin("session", "this session")
EDIT = Origin("edit", "the panel, not applied yet")


def argument(name: str) -> Origin:
    """Give the origin of a keyword argument of a Python function."""
    return Origin("argument", f"the argument {name}")


def flag(name: str) -> Origin:
    """Give the origin of a flag by the setting's name."""
    return Origin("flag", SETTINGS[name].flag if name in SETTINGS else name)


def shown_path(path: Path) -> str:
    """Write a path as a person would: relative to the working directory, or with ~ for home."""
    # No working directory (deleted) and no home are no reason to fail over a message.
    for base, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        try:
            return prefix + path.relative_to(base()).as_posix()
        except (ValueError, OSError, RuntimeError):
            continue
    return str(path)


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it comes from."""

    value: Value
    origin: Origin


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake that the settings went on without; it never holds a secret's value."""

    message: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings that one source sets."""

    name: str
    values: Mapping[str, Found] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def require_valid(self) -> Layer:
        """Give the layer back if nothing in it is wrong.

        Raises:
            SettingError: Something is; one line that names each mistake.
        """
        if not self.problems:
            return self
        # Who has just typed an assignment knows where it comes from; flags have their own names.
        raise SettingError(
            "; ".join(
                problem.message + (f" (from {problem.origin})" * (problem.origin.kind == "flag"))
                for problem in self.problems
            )
        )


class LayerBuilder:
    """Collects the values of one layer; a bad value fails alone, as a problem."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.values: dict[str, Found] = {}
        self.problems: list[Problem] = []

    def take(
        self,
        setting: Setting,
        read: Callable[[Any], Value],
        raw: object,
        origin: Origin,
        note: str = "",
    ) -> None:
        """Take in one value.

        Args:
            setting: What it is a value of.
            read: The method of `setting` that converts it.
            raw: The value as the source has it.
            origin: Where it comes from.
            note: Added to the problem when it cannot be converted.
        """
        try:
            value = read(raw)
        except SettingError as error:
            self.problem(f"{error}{note}", origin)
            return
        try:
            self.values[setting.name] = Found(setting.check(value), origin)
        except SettingError as error:
            self.problem(str(error), origin)

    def problem(self, message: str, origin: Origin) -> None:
        """Note a mistake."""
        self.problems.append(Problem(message, origin))

    def layer(self) -> Layer:
        """Give the finished layer."""
        return Layer(self._name, MappingProxyType(self.values), tuple(self.problems))


def layer_of(
    name: str,
    values: Mapping[str, object],
    origin_of: Callable[[str], Origin],
    *,
    typed: type[str] | None = None,
) -> Layer:
    """Make a layer of Python values by setting name.

    Args:
        name: The layer's name.
        values: The values.
        origin_of: Gives a value's origin by the setting's name.
        typed: The type of string that is what a person typed (`Setting.from_text`), not a value.
    """
    builder = LayerBuilder(name)
    for key, value in values.items():
        origin = origin_of(key)
        try:
            setting = setting_named(key)
        except SettingError as error:
            builder.problem(str(error), origin)
            continue
        read = setting.from_text if typed and isinstance(value, typed) else setting.validate
        builder.take(setting, read, value, origin)
    return builder.layer()
