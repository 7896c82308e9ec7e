"""The settings in force, and where each comes from.

config.toml, its groups and the environment are read as OpenHands 0.41 reads them. Each makes a
layer: values with their origins, and what is wrong with the rest. Layers make a `Snapshot`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config import files
from openhands_llm_magic.config.document import Document, Origin, Problem, read_file, shown_path
from openhands_llm_magic.config.openhands_file import IGNORED_TOO, NOTHING, on_bad_key
from openhands_llm_magic.config.secret import NeverPickled, Secret, masked, masking, secrets_in
from openhands_llm_magic.config.setting import MCP, OURS, Setting, shorten
from openhands_llm_magic.config.setting_attributes import SettingAttributes
from openhands_llm_magic.config.settings import SETTINGS, closest, setting_named
from openhands_llm_magic.errors import SettingError, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from openhands_llm_magic.config.setting import Value


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


@dataclass(frozen=True, slots=True)
class Found:
    """A value and the place that it comes from."""

    value: Value
    origin: Origin


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings that one source sets.

    Attributes:
        name: The source, in words.
        values: The settings by their names.
        problems: What is wrong with the rest.
        of_group: Whether the source is a group `[llm.NAME]`.
        digest: The SHA-256 of the config file's text, where the source is a file.
    """

    name: str
    values: Mapping[str, Found] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    of_group: bool = False
    digest: str = ""

    def require_valid(self) -> Layer:
        """Return the layer itself if nothing in it is wrong.

        Raises:
            SettingError: Some values are wrong; one line names each mistake.
        """
        if not self.problems:
            return self
        # Who has just typed an assignment knows where it comes from; flags have their own names.
        texts = [
            Text("{problem} (from {origin})", problem=problem.message, origin=problem.origin.text)
            if problem.origin.kind == "flag"
            else problem.message
            for problem in self.problems
        ]
        if len(texts) == 1:
            raise SettingError(texts[0], **self.problems[0].facts)
        raise SettingError(Text.joined(texts))


class LayerBuilder:
    """Collects the values of one layer; a bad value becomes a problem, and the others count."""

    def __init__(self, name: str, *, of_group: bool = False, digest: str = "") -> None:
        self._name = name
        self._of_group = of_group
        self._digest = digest
        self.values: dict[str, Found] = {}
        self.problems: list[Problem] = []

    def take(
        self,
        setting: Setting,
        read: Callable[[Any], Value],
        raw: object,
        origin: Origin,
        consequence: Text = NOTHING,
    ) -> None:
        """Add the value of one setting, which its method `read` makes of what the source has.

        `consequence` is added to the problem when it cannot.
        """
        try:
            value = read(raw)
        except SettingError as error:
            self.problem(_with(error.text, consequence), origin, error)
            return
        try:
            self.values[setting.name] = Found(setting.check(value), origin)
        except SettingError as error:
            self.problem(error.text, origin, error)

    def problem(self, text: Text, origin: Origin, error: SettingError | None = None) -> None:
        """Add a mistake, with the error that told it, if an error did."""
        facts = {**vars(error), "origin": str(origin)} if error else {}
        self.problems.append(Problem(text, origin, facts))

    def layer(self) -> Layer:
        """Return the layer of what was collected."""
        values = MappingProxyType(self.values)
        problems = tuple(self.problems)
        return Layer(self._name, values, problems, self._of_group, self._digest)


def _with(problem: Text, consequence: Text) -> Text:
    """Return what is wrong, with what OpenHands does about it, if there is anything to say."""
    if not consequence:
        return problem
    return Text("{problem}; {consequence}", problem=problem, consequence=consequence)


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


FILE_NAME = "config.toml"
FILE_VARIABLE = "LLM_MAGIC_CONFIG"
DISPLAY_VARIABLE = "LLM_MAGIC_DISPLAY"
LANGUAGE_VARIABLE = "LLM_MAGIC_LANG"

OTHER_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        FILE_VARIABLE: "the config file to read, which must be there",
        files.TRUST_VARIABLE: "config files that are trusted, or their folders, as PATH lists them",
        DISPLAY_VARIABLE: "how answers are shown, where the guess is wrong: live, final, terminal",
        LANGUAGE_VARIABLE: "the language of notebooks and of the settings panel: en or ja",
    }
)
"""The environment variables that are read although they set no setting."""

# What OpenHands sets for a model of a config file that begins with "azure".
AZURE_API_VERSION = Found(
    "2024-12-01-preview", Origin("default", "OpenHands' default for Azure models")
)


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


def file_layer(document: Document) -> Layer:
    """Return the layer of `[llm]`, with the settings in `[core]` and `[openhands_llm_magic]`."""
    builder = LayerBuilder(FILE_NAME, digest=document.digest)
    if document.problem:
        builder.problems.append(document.problem)
    for name in ("llm", "core", OURS):
        if name in document.data and not isinstance(document.data[name], dict):
            text = Text("{name} must be a table, [{name}]", name=name)
            builder.problem(text, document.origin(name))
    llm = document.table("llm")
    own = {key: raw for key, raw in llm.items() if not isinstance(raw, dict)}
    _take(builder, document, ("llm",), own)
    _add_azure_version(builder, {})
    for name in document.groups:
        setting = SETTINGS.get(name)
        if setting is not None and setting.kind == "dict":
            told = (
                "OpenHands takes this for the group [llm.{name}]: set {name} inside a group, or the"
                " variable {variable}"
            )
            text = Text(told, name=name, variable=setting.variable)
            builder.problem(text, document.origin("llm", name))
    core = {key: raw for key, raw in document.table("core").items() if key in SETTINGS}
    _take(builder, document, ("core",), core)
    ours = {key: raw for key, raw in document.table(OURS).items() if key != MCP}
    _take(builder, document, (OURS,), ours)
    return builder.layer()


def group_layer(document: Document, group: str, base: Layer) -> Layer:
    """Return the layer of the group `[llm.NAME]`.

    Args:
        document: The config file.
        group: The NAME of the group.
        base: The layer of `[llm]`, which lies below.

    Raises:
        SettingError: The file has no such group; the error's text lists those it has.
    """
    if group not in document.groups:
        facts = {"name": shorten(repr(group)), "path": shown_path(document.path)}
        if not document.groups:
            raise SettingError(Text("there is no group {name}; {path} has none", **facts))
        told = "there is no group {name}; {path} has: {groups}"
        raise SettingError(Text(told, **facts, groups=", ".join(document.groups)))
    builder = LayerBuilder(f"[llm.{group}]", of_group=True)
    table = document.table("llm")[group]
    _take(builder, document, ("llm", group), table)
    _add_azure_version(builder, base.values)
    return builder.layer()


def group_above(document: Document, group: str | None) -> str | None:
    """Return the group whose keys count more than those of `[llm]`, or None if there is none.

    For `[llm]` itself this is the group named llm, which OpenHands puts in its place.

    Args:
        document: The config file.
        group: The NAME of the group in use, or None for `[llm]`.
    """
    return BASE_GROUP if group is None and BASE_GROUP in document.groups else group


def file_layers(document: Document, group: str | None) -> list[Layer]:
    """Return the layers of a config file for a group, or with None for `[llm]`, the lowest first.

    Raises:
        SettingError: The file has no such group.
    """
    layers = [file_layer(document)]
    if (above := group_above(document, group)) is not None:
        layers.append(group_layer(document, above, layers[0]))
    return layers


def _take(
    builder: LayerBuilder,
    document: Document,
    path: tuple[str, ...],
    table: Mapping[str, Any],
) -> None:
    """Add the keys of one table."""
    section, consequence = path[0], on_bad_key(path)
    for key, raw in table.items():
        setting = SETTINGS.get(key)
        origin = document.origin(*path, key)
        if setting is None:
            here = [name for name, each in SETTINGS.items() if each.section == section]
            near = closest(key, here)
            told = "unknown key {key}; take it out"
            if near:
                told = "unknown key {key}; did you mean {near}?"
            text = Text(told, key=shorten(repr(key)), near=near)
            builder.problem(_with(text, consequence), origin)
        elif setting.section != section:
            text = Text("{key} belongs under [{table}]", key=key, table=setting.section)
            is_dropped = section == "llm"
            builder.problem(_with(text, consequence) if is_dropped else text, origin)
        else:
            builder.take(setting, setting.from_toml, raw, origin, consequence)


def _add_azure_version(builder: LayerBuilder, below: Mapping[str, Found]) -> None:
    values = {**below, **builder.values}
    model = values.get("model")
    if model and str(model.value).startswith("azure") and "api_version" not in values:
        builder.values["api_version"] = AZURE_API_VERSION


def env_layer(env: Mapping[str, str], *, group: bool = False) -> Layer:
    """Return the layer of the environment variables that are set and not empty.

    Args:
        env: The environment.
        group: Whether the layer is for a named group, to which the variables of `[llm]` do not
            apply.
    """
    builder = LayerBuilder("environment")
    # Few are set, and `os.environ` takes long to give None: every prompt asks for all.
    for setting in [each for each in SETTINGS.values() if each.variable in env]:
        text = env[setting.variable]
        if text and not (group and setting.section == "llm"):
            origin = Origin("environment", setting.variable)
            # What OpenHands makes of a bad list or dictionary depends on it.
            known = not setting.ours and setting.kind not in ("list", "dict")
            consequence = IGNORED_TOO if known else NOTHING
            builder.take(setting, setting.from_env, text, origin, consequence)
    return builder.layer()


DEFAULTS = Layer("default", {name: Found(each.default, DEFAULT) for name, each in SETTINGS.items()})

# OpenHands checks the defaults only when a group inherits them, and then a 2 becomes a float.
GROUP_DEFAULTS = Layer(
    "default",
    {name: Found(each.validate(each.default), DEFAULT) for name, each in SETTINGS.items()},
)

BASE_GROUP = "llm"
"""The name of `[llm]` itself, where OpenHands asks for the name of a group."""


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
                keys += secrets_in(each.value, name)
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
