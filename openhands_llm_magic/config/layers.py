"""What each source of settings says: a layer of values with their origins, and what is wrong.

config.toml, its groups and the environment are read as OpenHands 0.41 reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import Document, Origin, Problem, shown_path
from openhands_llm_magic.config.openhands_file import IGNORED_TOO, NOTHING, on_bad_key
from openhands_llm_magic.config.setting import MCP, OURS, Setting, shorten
from openhands_llm_magic.config.settings import SETTINGS, closest, setting_named
from openhands_llm_magic.errors import SettingError, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

# What OpenHands sets for a model of a config file that begins with "azure".
AZURE_API_VERSION = Found(
    "2024-12-01-preview", Origin("default", "OpenHands' default for Azure models")
)


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
