"""Layers of settings, put on top of each other, make the settings in force: a `Snapshot`."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

from openhands_llm_magic.config import layers as origins
from openhands_llm_magic.config.document import Document, read_file
from openhands_llm_magic.config.layers import Found, Layer, Origin, Problem, layer_of
from openhands_llm_magic.config.secret import Secret, masked, masking, secrets_in
from openhands_llm_magic.config.setting_attributes import SettingAttributes
from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.config.sources import (
    FILE_VARIABLE,
    env_layer,
    file_layer,
    find_config_file,
    group_layer,
)
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULTS = Layer(
    "default", {name: Found(each.default, origins.DEFAULT) for name, each in SETTINGS.items()}
)

# OpenHands checks the defaults only when a group inherits them, and then a 2 becomes a float.
GROUP_DEFAULTS = Layer(
    "default",
    {name: Found(each.validate(each.default), origins.DEFAULT) for name, each in SETTINGS.items()},
)

BASE_GROUP = "llm"
"""The name of `[llm]` itself, where OpenHands asks for the name of a group."""


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot(SettingAttributes):
    """The settings in force at one moment; each is an attribute, like `snapshot.num_retries`.

    Attributes:
        found: Each setting's values by its name, that of the highest layer first, the default last.
        problems: The mistakes in the sources; the values in question were left out.
        config_file: The config file that was read, or None.
        group: The NAME of the `[llm.NAME]` in use, or None for `[llm]` itself.
    """

    found: Mapping[str, tuple[Found, ...]]
    problems: tuple[Problem, ...] = ()
    config_file: Path | None = None
    group: str | None = None

    if not TYPE_CHECKING:  # to a type checker, the settings are those of `SettingAttributes`

        def __getattr__(self, name: str) -> Any:
            # Copying asks for names like __deepcopy__ before there is a `found`.
            if name.startswith("_") or name not in self.found:
                raise AttributeError(f"there is no setting {name!r}")
            return masking(self.found[name][0].value)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self.found]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={found[0].value!r}" for name, found in self.found.items())
        return f"Snapshot({masked(values)})"

    def __copy__(self) -> Self:
        return self  # it is frozen, and its attributes are copies

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Snapshot is not pickled, as its keys would be readable in the file: read the"
            " settings anew with load_settings()"
        )

    def origin(self, name: str) -> Origin:
        """Return where a setting's value comes from.

        Raises:
            SettingError: There is no such setting.
        """
        return self.found[setting_named(name).name][0].origin

    def overridden(self, name: str) -> tuple[Found, ...]:
        """Return the values below the one in force, the highest first, the default last.

        Raises:
            SettingError: There is no such setting.
        """
        return self.found[setting_named(name).name][1:]

    def secrets(self) -> tuple[str, ...]:
        """Return every key that any layer holds, in plain text, for a `Redactor`."""
        keys: list[str] = []
        for each in (each for found in self.found.values() for each in found):
            if isinstance(each.value, Secret):
                keys.append(each.value.get_secret_value())
            else:
                keys += secrets_in(each.value)
        return tuple(dict.fromkeys(key for key in keys if key))

    def with_overrides(
        self, values: Mapping[str, object], kind: Literal["argument", "flag", "edit"] = "argument"
    ) -> Snapshot:
        """Return these settings with one more layer on top.

        Args:
            values: New values by setting name. Where they are flags, a string is text that a
                person typed, and None means that the flag was not given.
            kind: The kind of the values, which becomes the kind of their origin.

        Raises:
            SettingError: A value is bad, or there is no such setting.
        """
        if kind == "flag":
            given = {name: value for name, value in values.items() if value is not None}
            layer = layer_of("flags", given, origins.flag, typed=str)
        elif kind == "edit":
            layer = layer_of("edits", values, lambda _: origins.EDIT)
        else:
            layer = layer_of("arguments", values, origins.argument)
        return replace(self, found=_stack(self.found, layer.require_valid()))


def _stack(found: Mapping[str, tuple[Found, ...]], layer: Layer) -> Mapping[str, tuple[Found, ...]]:
    above = {name: (value, *found.get(name, ())) for name, value in layer.values.items()}
    return MappingProxyType({**found, **above})


def resolve(
    layers: Sequence[Layer], config_file: Path | None = None, group: str | None = None
) -> Snapshot:
    """Return the settings that layers make, the lowest first, on top of the defaults."""
    found: Mapping[str, tuple[Found, ...]] = {}
    for layer in (GROUP_DEFAULTS if group else DEFAULTS, *layers):
        found = _stack(found, layer)
    problems = tuple(problem for layer in layers for problem in layer.problems)
    return Snapshot(found, problems, config_file, group)


def group_named(name: str | None) -> str | None:
    """Return the NAME of an `[llm.NAME]`, or None for `[llm]` itself, which is named "llm"."""
    return None if name == BASE_GROUP else name


def outside_layers(
    config_file: Path | None,
    env: Mapping[str, str],
    group: str | None,
    read: Callable[[Path], Document] = read_file,
) -> tuple[list[Layer], Path | None]:
    """Read the config file and the environment.

    Args:
        config_file: The file to read, or None to look for it.
        env: The environment.
        group: The NAME of an `[llm.NAME]`, or None for `[llm]`.
        read: The function that reads the file.

    Returns:
        The layers, the lowest first, and the file that was read, or None.

    Raises:
        ConfigFileError: A file that was named cannot be read.
        SettingError: There is no such group.
    """
    named_by = "" if config_file or not env.get(FILE_VARIABLE) else FILE_VARIABLE
    path = config_file or find_config_file(_here(), absolute("~"), env)
    if path is None:
        if group is not None:
            raise SettingError(f"there is no group {group!r}: no config.toml was found")
        return [env_layer(env)], None
    document = read(path)
    if config_file or named_by:
        document.require_readable(named_by)
    layers = [file_layer(document)]
    if group is not None:
        layers.append(group_layer(document, group, layers[0]))
    return [*layers, env_layer(env, group=group is not None)], path


def load_settings(
    config_file: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    group: str | None = None,
) -> Snapshot:
    """Read the settings from config.toml and the environment, as OpenHands does.

    Args:
        config_file: The config file; by default it is looked for, see `find_config_file`.
        env: The environment; by default that of the process.
        group: The NAME of an `[llm.NAME]` to use, or "llm" for `[llm]`. As in OpenHands, a group
            inherits from `[llm]`, and the variables of `[llm]` do not apply to it.

    Raises:
        ConfigFileError: A file that was named cannot be read.
        SettingError: There is no such group.
    """
    path = absolute(config_file) if config_file is not None else None
    group = group_named(group)
    layers, found = outside_layers(path, os.environ if env is None else env, group)
    return resolve(layers, found, group)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return a path that stays the same when the working directory changes."""
    # Path.expanduser raises where there is no home, as for a container's unknown user.
    return _here() / os.path.expanduser(path)  # noqa: PTH111 - see above


def _here() -> Path:
    """Return the working directory, or the root where the former has been deleted."""
    try:
        return Path.cwd()
    except OSError:
        return Path(os.sep)
