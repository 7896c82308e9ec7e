"""What the current OpenHands keeps in its folder, read into settings of a session.

The CLI has one file with one model, `agent_settings.json`. The SDK and the servers built on it have
a file for each profile, and one with provider connections: a key and an address that profiles
share. The GUI and these servers have `settings.json` with the model in use, and the GUI its own
profiles in it. A model is taken whole or not at all: of two places mixed, one's key would go to the
other's server.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import Origin, shown_path
from openhands_llm_magic.config.export import (
    ALWAYS,
    FURTHER_IN_PROFILES,
    NOT_IN_PROFILES,
    NULL_IN_PROFILES,
)
from openhands_llm_magic.config.layers import AZURE_API_VERSION, Found, Layer, LayerBuilder
from openhands_llm_magic.config.lint.value import Placeholder, placeholder_in
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.secret import MASK, masked, secrets_in
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS, closest
from openhands_llm_magic.errors import (
    ConfigFileError,
    SettingError,
    Text,
    UsageError,
    on_one_line,
)
from openhands_llm_magic.llm.explain import GIVE_KEY
from openhands_llm_magic.llm.openhands import json_file
from openhands_llm_magic.llm.openhands.sdk import SDK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from openhands_llm_magic.config.setting import Setting

CLI_FILE = "agent_settings.json"
"""The CLI's settings; no profile can be called so, since a profile's name loses its ".json"."""

GUI_FILE = "settings.json"
"""The settings of the GUI (openhands-ai 1.11.0) and of the agent server (1.58.2)."""

CLI_VARIABLE = "OPENHANDS_PERSISTENCE_DIR"
"""What names the folder of the CLI (1.16.0)."""

SDK_VARIABLE = "OH_PERSISTENCE_DIR"
"""What names the folder of the SDK's profiles and connections, and of the GUI's file."""

PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""The names that the SDK takes."""

NAME_IN_GUI = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The names that the GUI takes for its own profiles."""

NAME_RULE = Text("1 to 64 letters, digits, '.', '_' and '-', the first a letter or a digit")

NEWEST_GUI_SCHEMA = 6
"""The `schema_version` of a `settings.json` that agent server 1.58.2 writes."""

NEWEST_AGENT_SCHEMA = 9
"""The same of the `agent_settings` in it."""

EARLIER_FIELDS = ("model", "api_key", "base_url")
"""What a `settings.json` of OpenHands 0.41 and later has, each as `llm_` and its name; the GUI of
today does not look at them."""

ENCRYPTED = "gAAAAA"
"""The beginning of what the servers encrypt with OH_SECRET_KEY."""

SETTINGS_IN_PROFILES = tuple(
    setting
    for setting in SETTINGS.values()
    if setting.section == "llm" and setting.name not in NOT_IN_PROFILES
)
"""The settings that `LLM` of openhands-sdk has a field for, of the same name."""

# fmt: off
WITHOUT_COUNTERPART: Mapping[str, Any] = MappingProxyType({
    "api_mode": "auto", "auth_type": "api_key", "aws_bedrock_runtime_endpoint": None,
    "aws_profile_name": None, "aws_role_name": None, "aws_session_name": None,
    "aws_session_token": None, "capability_overrides": {}, "enable_encrypted_reasoning": True,
    "extended_thinking_budget": 200_000, "force_string_serializer": None,
    "inline_image_urls": None, "is_subscription": False, "model_canonical_name": None,
    "prompt_cache_retention": "24h", "provider_connection_id": None, "reasoning_summary": None,
    "stream": False, "stream_idle_timeout": 300, "subscription_vendor": None,
})
# fmt: on
"""The other fields of that class with their defaults, which are not worth a word."""

LONGEST_LIST = 500
"""Characters of a list of names; a file that OpenHands wrote has no more."""

OF_EARLIER_SDK = "modify_params"
"""The setting that the SDK of the CLI (1.21) and of the GUI (1.34) has a field for, and later ones
always switch on."""

NEVER_TOLD = frozenset({"schema_version", "usage_id", "provider_connection_id"})
"""What a file has that changes no request, or that is followed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of OpenHands that names a model.

    Attributes:
        name: What a person calls it: a profile's name, `CLI_FILE`, `GUI_FILE`, or the latter with
            a slash and the name of a profile in it.
        path: The file.
        within: The keys under which the model's settings are in the file.
        is_earlier: Whether it is the GUI's file as an earlier OpenHands wrote it.
    """

    name: str
    path: Path
    within: tuple[str, ...] = ()
    is_earlier: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What was read of such a file.

    Attributes:
        path: The file.
        layer: The value of every setting of OpenHands' `[llm]`: the file's, or else OpenHands' own
            default, so that nothing set elsewhere is mixed with it.
        notes: What is to be known of the rest, a line each.
    """

    path: Path
    layer: Layer
    notes: tuple[Text, ...]

    @property
    def shown(self) -> list[str]:
        """The settings that the file decides, but for those that say what is so anyway."""
        return [
            name
            for name, found in self.layer.values.items()
            if found.origin.kind == "openhands"
            if name in ALWAYS or found.value != SETTINGS[name].default
        ]


def folder(variable: str, env: Mapping[str, str]) -> Path:
    """Return OpenHands' folder: the one that a variable names, or ~/.openhands.

    Raises:
        SettingError: The variable holds no whole path, and would lead into whatever project the
            person works in.
    """
    named = env.get(variable, "")
    path = absolute(named or "~/.openhands")
    if named and not os.path.isabs(os.path.expanduser(named)):  # noqa: PTH111, PTH117 - see `absolute`
        told = "{variable} is not a whole path, and could lead into a project: write it whole"
        raise SettingError(Text(told, variable=variable))
    return path


def profiles_folder(env: Mapping[str, str]) -> Path:
    """Return the folder of the SDK's profiles.

    Raises:
        SettingError: The variable that names it holds no whole path.
    """
    return folder(SDK_VARIABLE, env) / "profiles"


def kept(env: Mapping[str, str] = os.environ) -> list[Kept]:
    """Return what there is: the CLI's model, the GUI's and its profiles, the profiles by name.

    Raises:
        SettingError: A variable that names a folder holds no whole path.
    """
    cli = folder(CLI_VARIABLE, env) / CLI_FILE
    found = [Kept(CLI_FILE, cli, ("llm",))] if os.path.lexists(cli) else []
    found += _of_gui(folder(SDK_VARIABLE, env) / GUI_FILE, env)
    try:
        names = sorted(each.name for each in profiles_folder(env).iterdir())
    except OSError:  # there is none, or it may not be read
        names = []
    for each in names:
        name = each.removesuffix(".json")
        if name != each and PROFILE_NAME.fullmatch(name):
            found.append(Kept(name, profiles_folder(env) / each))
    return found


def _of_gui(path: Path, env: Mapping[str, str]) -> Iterator[Kept]:
    """Yield the model that the GUI uses, and its profiles but for the one that this is."""
    if not os.path.lexists(path):
        return
    try:
        data = json_file.parsed(json_file.content_of(path, env), path)
    except ConfigFileError:  # which is told of the file itself
        data = {}
    is_earlier = "agent_settings" not in data and "llm_model" in data
    yield Kept(GUI_FILE, path, ("agent_settings", "llm"), is_earlier)
    profiles = data.get("llm_profiles")
    profiles = profiles if isinstance(profiles, dict) else {}
    listed = profiles.get("profiles")
    for name in listed if isinstance(listed, dict) else ():
        if name != profiles.get("active") and NAME_IN_GUI.fullmatch(name):
            yield Kept(f"{GUI_FILE}/{name}", path, ("llm_profiles", "profiles", name))


def described(each: Kept, env: Mapping[str, str] = os.environ) -> Text:
    """Return one line about a file: its name, and the model in it or why there is none."""
    try:
        model = shorten(masked(str(_fields(each, env).get("model") or "")))
    except SettingError as error:
        return Text("{name}  ({why})", name=masked(each.name), why=error.text)
    return Text("{name}  {model}", name=masked(each.name), model=on_one_line(model))


def of_cli(env: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """Return the fields of the CLI's model, or None where it would find none.

    Raises:
        SettingError: The variable that names its folder holds no whole path.
    """
    for each in kept(env):
        if each.name == CLI_FILE:
            with contextlib.suppress(ConfigFileError):
                return _fields(each, env)
    return None


def named(name: str, env: Mapping[str, str] = os.environ) -> Kept:
    """Return the file of a name; a profile's may end with ".json", as for the SDK.

    Raises:
        UsageError: There is no such file.
        SettingError: A variable that names a folder holds no whole path.
    """
    found = {each.name: each for each in kept(env)}
    for asked in (name, name.removesuffix(".json")):
        if asked in found:
            return found[asked]
    told = "OpenHands has no profile {name}; there are: {known}"
    near = closest(name, found)
    if near:
        told = "OpenHands has no profile {name}; did you mean {near}? There are: {known}"
    if not found:
        told = "OpenHands has no profile {name}: there is none in {folder}"
    shown = shown_path(profiles_folder(env))
    known = masked(", ".join(found))
    told_of = {
        "name": shorten(repr(masked(name))),
        "near": masked(near),
        "known": known,
        "folder": shown,
    }
    raise UsageError(Text(told, **told_of))


def take(each: Kept, env: Mapping[str, str] = os.environ) -> Taken:
    """Read a file of OpenHands as settings.

    Raises:
        SettingError: The file, or the provider connection that it names, cannot be read, or
            OpenHands itself would not take it.
    """
    fields = _fields(each, env)
    if is_subscription(fields):
        told = "{file}: it signs in with a subscription, which OpenHands alone can do"
        raise ConfigFileError(Text(told, file=shown_path(each.path)))
    if not fields.get("model"):
        told = "{file}: it names no model, so that OpenHands would not load it"
        raise ConfigFileError(Text(told, file=shown_path(each.path)))
    places = {name: _origin(each, name) for name in fields}
    _connect(fields, places, each, env)
    builder = LayerBuilder(each.name)
    notes = [*_of_earlier(each), *_drop_unreadable_keys(fields)]
    for setting in SETTINGS_IN_PROFILES:
        _take(builder, setting, fields, places)
    if each.within:
        _take(builder, SETTINGS[OF_EARLIER_SDK], fields, places)
    _take_further(builder, fields, each)
    problem = builder.layer().problems[:1]
    if problem:
        told = "{origin}: {problem}; nothing was changed"
        facts = {"origin": problem[0].origin.text, "problem": problem[0].message}
        raise ConfigFileError(Text(told, **facts).masked(masked))
    notes += _notes(builder.values, fields)
    _add_defaults(builder, each.path)
    return Taken(each.path, builder.layer(), tuple(note.masked(on_one_line) for note in notes))


def is_subscription(fields: Mapping[str, Any]) -> bool:
    """Return whether a model is paid for by a subscription, which has no key."""
    return fields.get("auth_type") == "subscription" or bool(fields.get("is_subscription"))


def _origin(each: Kept, name: str) -> Origin:
    facts = {"name": f"llm_{name}" if each.is_earlier else name, "file": shown_path(each.path)}
    if each.within[:1] == ("llm_profiles",):
        profile = masked(each.within[-1])
        return Origin("openhands", Text("{name} of {profile} in {file}", profile=profile, **facts))
    return Origin("openhands", Text("{name} in {file}", **facts))


def _of_earlier(each: Kept) -> Iterator[Text]:
    if each.is_earlier:
        yield Text("an earlier OpenHands wrote it; the GUI of today takes nothing of it")


def _fields(each: Kept, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of the model that a file names."""
    data = json_file.parsed(json_file.content_of(each.path, env), each.path)
    if each.path.name == GUI_FILE and each.within:
        json_file.require_known_schema(data, each.path, NEWEST_GUI_SCHEMA)
        agent = data.get("agent_settings")
        json_file.require_known_schema(
            agent if isinstance(agent, dict) else {}, each.path, NEWEST_AGENT_SCHEMA
        )
    if each.is_earlier:
        return {name: data.get(f"llm_{name}") for name in EARLIER_FIELDS}
    model: Any = data
    for name in each.within:
        model = model.get(name) if isinstance(model, dict) else None
    if not isinstance(model, dict):
        told = '{file}: it has no "{name}" with a model\'s settings'
        names = masked(".".join(each.within))
        raise ConfigFileError(Text(told, file=shown_path(each.path), name=names))
    if not each.within:
        json_file.require_known_schema(model, each.path)
    return model


def connection(name: object, env: Mapping[str, str]) -> tuple[Path, dict[str, Any] | None]:
    """Return the file with provider connections, and the one of this name or None.

    Raises:
        SettingError: The file is there and cannot be read.
    """
    path = folder(SDK_VARIABLE, env) / "provider-connections" / "provider_connections.json"
    if not os.path.lexists(path):
        return path, None
    data = json_file.parsed(json_file.content_of(path, env), path)
    json_file.require_known_schema(data, path)
    listed = data.get("connections")
    found = (each for each in listed if isinstance(each, dict)) if isinstance(listed, list) else ()
    return path, next((each for each in found if each.get("id") == name), None)


def _connect(
    fields: dict[str, Any], places: dict[str, Origin], each: Kept, env: Mapping[str, str]
) -> None:
    """Put the key and the address of a provider connection in the place of the file's own."""
    name = fields.get("provider_connection_id")
    if not name:
        return
    path, found = connection(name, env)
    shown = shorten(repr(name))
    if found is None:
        if fields.get("api_key"):  # so does OpenHands
            return
        told = "{file}: it names the provider connection {name}, which {path} has not"
        facts = {"file": shown_path(each.path), "name": shown, "path": shown_path(path)}
        raise ConfigFileError(Text(told, **facts))
    fields["base_url"] = found.get("base_url")
    if found.get("api_key"):
        fields["api_key"] = found["api_key"]
    for field in ("base_url", "api_key"):
        told = "{field} of the connection {name} in {file}"
        told_of = Text(told, field=field, name=shown, file=shown_path(path))
        places[field] = Origin("openhands", told_of)


def _drop_unreadable_keys(fields: dict[str, Any]) -> Iterator[Text]:
    """Take away what stands in the place of a key and is none, and yield a line for each."""
    for setting in SETTINGS_IN_PROFILES:
        value = fields.get(setting.name)
        if setting.kind != "secret" or not isinstance(value, str):
            continue
        if value.startswith(ENCRYPTED):
            told = "{name} is encrypted there with OH_SECRET_KEY, which is not read here"
            yield Text(told, name=setting.name)
        names_variable = placeholder_in(value, is_secret=True) is Placeholder.REFERENCE
        if names_variable:
            told = "{name} names a variable there, which OpenHands would send as it is"
            yield Text(told, name=setting.name)
        if value.startswith(ENCRYPTED) or value.strip() in ("", MASK) or names_variable:
            del fields[setting.name]
    if not fields.get("api_key"):
        told = (
            "there is no key in it, so that one in a variable of the provider counts;"
            " else {give_key}"
        )
        yield Text(told, give_key=Text(GIVE_KEY))


def _take(
    builder: LayerBuilder, setting: Setting, fields: Mapping[str, Any], places: Mapping[str, Origin]
) -> None:
    raw = fields.get(setting.name)
    if raw is not None:
        builder.take(setting, setting.from_toml, raw, places[setting.name])
    elif setting.name in fields and setting.name in NULL_IN_PROFILES:
        unset = None if setting.optional else ""
        builder.values[setting.name] = Found(unset, places[setting.name])


def _take_further(builder: LayerBuilder, fields: Mapping[str, Any], each: Kept) -> None:
    """Take the fields that are arguments in completion_kwargs here, unless they are empty."""
    given = {argument: name for argument, name in FURTHER_IN_PROFILES.items() if fields.get(name)}
    for name in given.values():
        value = fields[name]
        if not isinstance(value, dict):
            builder.problem(Text("it takes a JSON object"), _origin(each, name))
        elif name == "extra_headers" and not all(isinstance(it, str) for it in value.values()):
            builder.problem(Text("it takes a JSON object of texts"), _origin(each, name))
    if given and not builder.problems:
        setting = SETTINGS["completion_kwargs"]
        raw = {argument: fields[name] for argument, name in given.items()}
        origin = _origin(each, ", ".join(given.values()))
        builder.take(setting, setting.from_toml, raw, origin)


def _notes(values: Mapping[str, Found], fields: Mapping[str, Any]) -> Iterator[Text]:
    differing = [
        f"{name} = {default!r}"
        for name, default in SDK.defaults.items()
        if name not in values and default not in (None, SETTINGS[name].default)
    ]
    if differing:
        told = "it leaves OpenHands' defaults, which count here now: {values}"
        yield Text(told, values=", ".join(differing))
    known = *FURTHER_IN_PROFILES.values(), *(each.name for each in SETTINGS_IN_PROFILES)
    told_or_plain = {*values, *NEVER_TOLD, *known}
    defaults = {**WITHOUT_COUNTERPART, OF_EARLIER_SDK: True}
    defaults["stream_idle_timeout"] = fields.get("timeout", SDK.defaults["timeout"])  # its own rule
    rest = [
        shorten(name)
        for name, value in fields.items()
        if name not in told_or_plain and value is not None
        if name not in defaults or defaults[name] != value
    ]
    if rest:
        keys = [*secrets_in({**fields})]
        told = "these have no counterpart here, and do not count: {names}"
        yield Text(told, names=shorten(masked(", ".join(rest), keys), LONGEST_LIST))


def _add_defaults(builder: LayerBuilder, path: Path) -> None:
    """Add the default of OpenHands for what the file leaves open, or ours where it has none."""
    told = Text("OpenHands' default, as {file} has none", file=shown_path(path))
    origin = Origin("default", name=told)
    model = str(builder.values["model"].value)
    if model.startswith("azure") and "api_version" not in builder.values:
        builder.values["api_version"] = AZURE_API_VERSION
    for setting in SETTINGS.values():
        if setting.section == "llm" and setting.name not in builder.values:
            default = SDK.defaults.get(setting.name)
            value = setting.default if default is None else setting.validate(default)
            builder.values[setting.name] = Found(value, origin)
