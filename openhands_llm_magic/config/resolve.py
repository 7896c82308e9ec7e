"""The settings in force, and where each comes from.

The config file is found, each source is read into a layer (`layers.py`), and layers make a
`Snapshot`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config import files
from openhands_llm_magic.config.document import Document, Origin, Problem, read_file
from openhands_llm_magic.config.layers import (
    BASE_GROUP,
    DEFAULTS,
    EDIT,
    FILE_NAME,
    GROUP_DEFAULTS,
    Found,
    Layer,
    argument,
    env_layer,
    file_layers,
    flag,
    layer_of,
)
from openhands_llm_magic.config.secret import NeverPickled, Secret, masked, masking, secrets_in
from openhands_llm_magic.config.setting_attributes import SettingAttributes
from openhands_llm_magic.config.settings import setting_named
from openhands_llm_magic.errors import SettingError, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


FILE_VARIABLE = "LLM_MAGIC_CONFIG"
DISPLAY_VARIABLE = "LLM_MAGIC_DISPLAY"

OTHER_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        FILE_VARIABLE: "the config file to read, which must be there",
        files.TRUST_VARIABLE: "config files that are trusted, or their folders, as PATH lists them",
        DISPLAY_VARIABLE: "how answers are shown, where the guess is wrong: live, final, terminal",
    }
)
"""The environment variables that are read although they set no setting."""


def find_config_file(cwd: Path, home: Path, env: Mapping[str, str]) -> Path | None:
    """Return the config file that applies in a folder.

    `LLM_MAGIC_CONFIG` names the file. Without that variable, the file is the config.toml of the
    folder, of the nearest folder above it within its repository, or of ~/.openhands.

    Returns:
        The file, which exists unless the variable names it, or None when there is no such file.
    """
    if named := env.get(FILE_VARIABLE):
        return home / named[2:] if named.startswith("~/") else cwd / named
    above, _ = _of_repository(cwd, env)
    return _file_in((*above, home / ".openhands"))


def _of_repository(cwd: Path, env: Mapping[str, str]) -> tuple[list[Path], Problem | None]:
    """Return a folder with those above it within its repository, the nearest first.

    A repository of another person is none. The problem says so where that makes a difference.
    """
    above = [cwd, *cwd.parents]
    # os.path answers False, where Path raises, for a folder that cannot be entered.
    root = next((n for n, each in enumerate(above) if os.path.exists(each / ".git")), 0)  # noqa: PTH110 - see above
    folders = above[: root + 1]
    repository = above[root] / ".git"
    if not root or not (owner := files.owner_of_other(repository, env)):
        return folders, None
    hidden = None if _file_in([cwd]) else _file_in(folders)
    if hidden is None:
        return [cwd], None
    told = (
        "it is not used, as {repository} belongs to {owner}; if you trust it, set {variable}={path}"
    )
    facts = {"repository": str(repository), "owner": owner, "variable": files.TRUST_VARIABLE}
    text = Text(told, **facts, path=str(repository.parent))
    return [cwd], Problem(text, Origin("file", path=hidden))


def _file_in(folders: Iterable[Path]) -> Path | None:
    found = (each / FILE_NAME for each in folders)
    return next(filter(os.path.isfile, found), None)


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot(NeverPickled, SettingAttributes):
    """The settings in force at one moment; each is an attribute, like `snapshot.num_retries`.

    Attributes:
        found: Each setting's values by its name, that of the highest layer first, the default last.
        problems: The mistakes in the sources; the values in question were left out.
        config_file: The config file that was read, or None.
        group: The NAME of the `[llm.NAME]` in use, or None for `[llm]` itself.
        digest: The SHA-256 of the text that values with an origin in a file were read from.
    """

    found: Mapping[str, tuple[Found, ...]]
    problems: tuple[Problem, ...] = ()
    config_file: Path | None = None
    group: str | None = None
    digest: str = ""

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
        for name, each in ((name, each) for name, found in self.found.items() for each in found):
            if isinstance(each.value, Secret):
                keys.append(each.value.get_secret_value())
            else:
                keys += secrets_in(each.value, name if name.endswith("base_url") else "")
        return tuple(dict.fromkeys(key for key in keys if key))

    def with_overrides(
        self, values: Mapping[str, object], kind: Literal["argument", "flag", "edit"] = "argument"
    ) -> Snapshot:
        """Return new settings, in which these values count more than all others.

        Args:
            values: New values by setting name. Where they are flags, a string is text that a
                person typed, and None means that the flag was not given.
            kind: The kind of the values, which becomes the kind of their origin.

        Raises:
            SettingError: A value is bad, or there is no such setting.
        """
        if kind == "flag":
            given = {name: value for name, value in values.items() if value is not None}
            layer = layer_of("flags", given, flag, typed=str)
        elif kind == "edit":
            layer = layer_of("edits", values, lambda _: EDIT)
        else:
            layer = layer_of("arguments", values, argument)
        return replace(self, found=_without_aliases(_stack(self.found, layer.require_valid())))


def _stack(found: Mapping[str, tuple[Found, ...]], layer: Layer) -> Mapping[str, tuple[Found, ...]]:
    above = {name: (value, *found.get(name, ())) for name, value in layer.values.items()}
    return MappingProxyType({**found, **above})


def resolve(
    layers: Sequence[Layer], config_file: Path | None = None, group: str | None = None
) -> Snapshot:
    """Return the settings that layers make, the lowest first, on top of the defaults."""
    found: Mapping[str, tuple[Found, ...]] = {}
    of_group = group is not None or any(layer.of_group for layer in layers)
    for layer in (GROUP_DEFAULTS if of_group else DEFAULTS, *layers):
        found = _stack(found, layer)
    problems = tuple(problem for layer in layers for problem in layer.problems)
    digest = next((layer.digest for layer in layers if layer.digest), "")
    return Snapshot(_without_aliases(found), problems, config_file, group, digest)


_NAMES_MODEL = ("model", "embedding_model")
_KNOW_ALIASES = frozenset({"ipython_config", "session", "argument", "flag"})


def _without_aliases(found: Mapping[str, tuple[Found, ...]]) -> Mapping[str, tuple[Found, ...]]:
    """Put models in the place of the short names that stand for them.

    OpenHands reads config.toml and the variables, too, and knows no short names, so there they are
    none. Nor is a name with a provider in front: a file could send it elsewhere.
    """
    aliases = found["aliases"][0].value
    if not isinstance(aliases, dict):
        return found
    models: dict[str, tuple[Found, ...]] = {}
    for setting in _NAMES_MODEL:
        named, *below = found[setting]
        alias, model = named.value, named.value
        # At most as many steps as there are short names, as two of them could name each other.
        for _ in aliases:
            if isinstance(model, str) and "/" not in model and isinstance(aliases.get(model), str):
                model = aliases[model]
        if named.origin.kind in _KNOW_ALIASES and model != alias:
            told = Text("{origin}, as {alias}", origin=named.origin.text, alias=alias)
            origin = Origin(named.origin.kind, told)
            models[setting] = (Found(model, origin), *below)
    return MappingProxyType({**found, **models}) if models else found


def group_named(name: str | None) -> str | None:
    """Return the NAME of an `[llm.NAME]`, or None for `[llm]` itself, which is named "llm"."""
    return None if name == BASE_GROUP else name


def outside_layers(
    config_file: Path | None,
    env: Mapping[str, str],
    group: str | None,
    read: Callable[[Path], Document] = read_file,
) -> tuple[list[Layer], Path | None]:
    """Read the config file, which is looked for unless it is named, and the environment.

    Returns:
        The layers, the lowest first, and the file that was read, or None.

    Raises:
        ConfigFileError: A file that was named cannot be read.
        SettingError: There is no such group.
    """
    named_by = "" if config_file or not env.get(FILE_VARIABLE) else FILE_VARIABLE
    path = config_file or find_config_file(_here(), absolute("~"), env)
    of_others: list[Layer] = []
    if not (config_file or named_by) and (problem := _of_repository(_here(), env)[1]):
        of_others = [Layer(FILE_NAME, problems=(problem,))]
    if path is None:
        if group is not None:
            told = "there is no group {name}: no config.toml was found"
            raise SettingError(Text(told, name=repr(group)))
        return [*of_others, env_layer(env)], None
    document = read(path)
    if config_file or named_by:
        document.require_readable(named_by)
    layers = [*file_layers(document, group), env_layer(env, group=group is not None)]
    return [*of_others, *layers], path


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
