"""config.toml and the environment, read as OpenHands 0.41 reads them, into layers."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.layers import (
    Found,
    Layer,
    LayerBuilder,
    Origin,
    shown_path,
)
from openhands_llm_magic.config.setting import OURS, Setting, shorten
from openhands_llm_magic.config.settings import SETTINGS, did_you_mean
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from openhands_llm_magic.config.document import Document

FILE_NAME = "config.toml"
FILE_VARIABLE = "LLM_MAGIC_CONFIG"
DISPLAY_VARIABLE = "LLM_MAGIC_DISPLAY"
LANGUAGE_VARIABLE = "LLM_MAGIC_LANG"

OTHER_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        FILE_VARIABLE: "the config file to read, which must be there",
        DISPLAY_VARIABLE: "how answers are shown, where the guess is wrong: live, final, terminal",
        LANGUAGE_VARIABLE: "the language of notebooks and of the settings panel: en or ja",
    }
)
"""The environment variables that are read although they set no setting."""

# What OpenHands sets for a model of a config file that begins with "azure".
_AZURE_API_VERSION = Found(
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
    above = [cwd, *cwd.parents]
    # os.path answers False, where Path raises, for a folder that cannot be entered.
    root = next((n for n, each in enumerate(above) if os.path.exists(each / ".git")), 0)  # noqa: PTH110 - see above
    for folder in (*above[: root + 1], home / ".openhands"):
        if os.path.isfile(folder / FILE_NAME):  # noqa: PTH113 - see above
            return folder / FILE_NAME
    return None


def file_layer(document: Document) -> Layer:
    """Return the layer of `[llm]`, with the settings in `[core]` and `[openhands_llm_magic]`."""
    builder = LayerBuilder(FILE_NAME)
    if document.problem:
        builder.problems.append(document.problem)
    for name in ("llm", "core", OURS):
        if name in document.data and not isinstance(document.data[name], dict):
            builder.problem(f"{name} must be a table, [{name}]", document.origin(name))
    llm = document.table("llm")
    own = {key: raw for key, raw in llm.items() if not isinstance(raw, dict)}
    _take(builder, document, ("llm",), own, "; OpenHands would drop the whole [llm] section")
    _add_azure_version(builder, {})
    for name in document.groups:
        setting = SETTINGS.get(name)
        if setting is not None and setting.kind == "dict":
            builder.problem(
                f"OpenHands takes this for the group [llm.{name}]: set {name} inside a group,"
                f" or the variable {setting.variable}",
                document.origin("llm", name),
            )
    core = {key: raw for key, raw in document.table("core").items() if key in SETTINGS}
    _take(builder, document, ("core",), core, "; OpenHands would take it unchecked")
    _take(builder, document, (OURS,), document.table(OURS))
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
        has = ", ".join(document.groups) or "none"
        raise SettingError(
            f"there is no group {shorten(repr(group))}; {shown_path(document.path)} has: {has}"
        )
    builder = LayerBuilder(f"[llm.{group}]")
    table = document.table("llm")[group]
    consequence = f"; OpenHands would skip the whole group [llm.{group}]"
    _take(builder, document, ("llm", group), table, consequence)
    _add_azure_version(builder, base.values)
    return builder.layer()


def _take(
    builder: LayerBuilder,
    document: Document,
    path: tuple[str, ...],
    table: Mapping[str, Any],
    consequence: str = "",
) -> None:
    """Add the keys of one table; `consequence` says what OpenHands makes of a mistake."""
    section = path[0]
    for key, raw in table.items():
        setting = SETTINGS.get(key)
        origin = document.origin(*path, key)
        if setting is None:
            here = [name for name, each in SETTINGS.items() if each.section == section]
            fix = did_you_mean(key, here) or "; take it out"
            builder.problem(f"unknown key {shorten(repr(key))}{fix}{consequence}", origin)
        elif setting.section != section:
            belongs = f"{key} belongs under [{setting.section}]"
            builder.problem(belongs + consequence * (section == "llm"), origin)
        else:
            builder.take(setting, setting.from_toml, raw, origin, consequence)


def _add_azure_version(builder: LayerBuilder, below: Mapping[str, Found]) -> None:
    values = {**below, **builder.values}
    model = values.get("model")
    if model and str(model.value).startswith("azure") and "api_version" not in values:
        builder.values["api_version"] = _AZURE_API_VERSION


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
            builder.take(setting, setting.from_env, text, origin, _if_bad(setting))
    return builder.layer()


def _if_bad(setting: Setting) -> str:
    """Return what OpenHands makes of a bad variable, in words, where that is always the same."""
    known = not setting.ours and setting.kind not in ("list", "dict")
    return "; OpenHands would ignore it too" if known else ""
