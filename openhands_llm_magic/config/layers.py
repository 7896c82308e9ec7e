"""Layers of settings: each value with its origin, and what was wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.errors import SettingError, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openhands_llm_magic.config.setting import Setting, Value


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that a value comes from; `str(origin)` reads well in a sentence.

    Attributes:
        kind: The kind of layer that sets the value.
        name: The words for the place: a variable, a flag, "this session".
        path: The config file, when `kind` is "file".
        line: The line in the file, counted from 1, or None when it is not known.
    """

    kind: Literal[
        "default", "file", "environment", "ipython_config", "session", "edit", "argument", "flag"
    ]
    name: str = ""
    path: Path | None = None
    line: int | None = None

    @property
    def text(self) -> Text:
        """The words for the place, in a form that can be said in other words."""
        if self.path is None:
            return self.name if isinstance(self.name, Text) else Text(self.name)
        path = shown_path(self.path)
        return Text("{file} line {line}", file=path, line=self.line) if self.line else Text(path)

    def __str__(self) -> str:
        return str(self.text)


DEFAULT = Origin("default", "default")
IPYTHON_CONFIG = Origin("ipython_config", "ipython_config")
SESSION = Origin("session", "this session")
EDIT = Origin("edit", "the panel, not applied yet")


def argument(name: str) -> Origin:
    """Return the origin of a setting that was given as this argument of a Python function."""
    return Origin("argument", Text("the argument {name}", name=name))


def flag(name: str) -> Origin:
    """Return the origin of a value that was given with the flag of this setting."""
    return Origin("flag", SETTINGS[name].flag if name in SETTINGS else name)


def shown_path(path: Path) -> str:
    """Return a path as a person writes it: from the working directory, or with ~ for home."""
    # No working directory (deleted) and no home are no reason to fail over a message.
    for base, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        try:
            return prefix + path.relative_to(base()).as_posix()
        except (ValueError, OSError, RuntimeError):
            continue
    return str(path)


@dataclass(frozen=True, slots=True)
class Found:
    """A value and the place that it comes from."""

    value: Value
    origin: Origin


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in one value, which was left out; it never holds a secret.

    Attributes:
        message: What is wrong, for a person.
        origin: Where the value comes from.
        facts: The attributes of the `SettingError` behind the mistake, by their names.
    """

    message: str
    origin: Origin
    facts: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def text(self) -> Text:
        """What is wrong, in a form that can be said in other words."""
        return self.message if isinstance(self.message, Text) else Text(self.message)

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings that one source sets."""

    name: str
    values: Mapping[str, Found] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def require_valid(self) -> Layer:
        """Return the layer itself if nothing in it is wrong.

        Raises:
            SettingError: Some values are wrong; one line names each mistake.
        """
        if not self.problems:
            return self
        # Who has just typed an assignment knows where it comes from; flags have their own names.
        texts = [
            Text("{problem} (from {origin})", problem=problem.text, origin=problem.origin.text)
            if problem.origin.kind == "flag"
            else problem.text
            for problem in self.problems
        ]
        if len(texts) == 1:
            raise SettingError(texts[0], **self.problems[0].facts)
        raise SettingError("; ".join(texts))


class LayerBuilder:
    """Collects the values of one layer; a bad value becomes a problem, and the others count."""

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
        """Add the value of one setting.

        Args:
            setting: The setting.
            read: The method of `setting` that converts the value.
            raw: The value as the source has it.
            origin: Where the value comes from.
            note: Words to add to the problem when the value cannot be converted.
        """
        try:
            value = read(raw)
        except SettingError as error:
            self.problem(f"{error}{note}" if note else error.text, origin, error)
            return
        try:
            self.values[setting.name] = Found(setting.check(value), origin)
        except SettingError as error:
            self.problem(error.text, origin, error)

    def problem(self, message: str, origin: Origin, error: SettingError | None = None) -> None:
        """Add a mistake, with the error that told it, if an error did."""
        facts = {**vars(error), "origin": str(origin)} if error else {}
        self.problems.append(Problem(message, origin, facts))

    def layer(self) -> Layer:
        """Return the finished layer."""
        return Layer(self._name, MappingProxyType(self.values), tuple(self.problems))


def layer_of(
    name: str,
    values: Mapping[str, object],
    origin_of: Callable[[str], Origin],
    *,
    typed: type[str] | None = None,
) -> Layer:
    """Return a layer of Python values.

    Args:
        name: The layer's name.
        values: The values by setting name.
        origin_of: Returns the origin of the setting of a name.
        typed: The type of the values that are text which a person typed; such a value is read with
            `Setting.from_text`, any other is checked with `Setting.validate`.
    """
    builder = LayerBuilder(name)
    for key, value in values.items():
        origin = origin_of(key)
        try:
            setting = setting_named(key)
        except SettingError as error:
            builder.problem(error.text, origin, error)
            continue
        read = setting.from_text if typed and isinstance(value, typed) else setting.validate
        builder.take(setting, read, value, origin)
    return builder.layer()
