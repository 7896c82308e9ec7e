"""config.toml and the environment, read as OpenHands 0.41 reads them, into layers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.layers import (
    Found,
    Layer,
    LayerBuilder,
    Origin,
    shown_path,
)
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import OPENHANDS_ONLY, SETTINGS, did_you_mean
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from openhands_llm_magic.config.document import Document

FILE_NAME = "config.toml"
FILE_VARIABLE = "LLM_MAGIC_CONFIG"
"""Names the config file; what it names must be there."""

OURS = "openhands_llm_magic"
"""The table of the settings that OpenHands does not know."""

# What OpenHands sets for a model of a config file that begins with "azure".
_AZURE_API_VERSION = Found(
    "2024-12-01-preview", Origin("default", "OpenHands' default for Azure models")
)


def find_config_file(cwd: Path, home: Path, env: Mapping[str, str]) -> Path | None:
    """Find the config file that applies in a folder.

    `LLM_MAGIC_CONFIG` names one; else it is the config.toml of the folder, of its nearest parent
    up to the root of its repository, or of ~/.openhands.

    Returns:
        The file, which exists unless the variable names it; None when there is none.
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
    """Make the layer of `[llm]`, and of `[openhands_llm_magic]` for the settings of ours."""
    builder = LayerBuilder(FILE_NAME)
    if document.problem:
        builder.problems.append(document.problem)
    for name in ("llm", OURS):
        if name in document.data and not isinstance(document.data[name], dict):
            builder.problem(f"{name} must be a table, [{name}]", document.origin(name))
    own = {key: raw for key, raw in document.table("llm").items() if not isinstance(raw, dict)}
    _take_llm(builder, document, ("llm",), own, "OpenHands would drop the whole [llm] section")
    _add_azure_version(builder, {})
    for key, raw in document.table(OURS).items():
        setting = SETTINGS.get(key)
        origin = document.origin(OURS, key)
        if setting is not None and setting.ours:
            builder.take(setting, setting.from_toml, raw, origin)
        elif setting is not None or key in OPENHANDS_ONLY:
            builder.problem(f"{key} belongs under [llm]", origin)
        else:
            ours = [name for name, each in SETTINGS.items() if each.ours]
            builder.problem(f"unknown key {shorten(repr(key))}{did_you_mean(key, ours)}", origin)
    return builder.layer()


def group_layer(document: Document, group: str, base: Layer) -> Layer:
    """Make the layer of `[llm.NAME]`, which lies above `base`, that of `[llm]`.

    Raises:
        SettingError: The file has no such group; the text lists those it has.
    """
    if group not in document.groups:
        has = ", ".join(document.groups) or "none"
        raise SettingError(
            f"there is no group {shorten(repr(group))}; {shown_path(document.path)} has: {has}"
        )
    builder = LayerBuilder(f"[llm.{group}]")
    table = document.table("llm")[group]
    consequence = f"OpenHands would skip the whole group [llm.{group}]"
    _take_llm(builder, document, ("llm", group), table, consequence)
    _add_azure_version(builder, base.values)
    return builder.layer()


def _take_llm(
    builder: LayerBuilder,
    document: Document,
    path: tuple[str, ...],
    table: Mapping[str, Any],
    consequence: str,
) -> None:
    for key, raw in table.items():
        setting = SETTINGS.get(key)
        origin = document.origin(*path, key)
        if setting is None:
            if key not in OPENHANDS_ONLY:
                known = [*SETTINGS, *OPENHANDS_ONLY]
                unknown = f"unknown key {shorten(repr(key))}{did_you_mean(key, known)}"
                builder.problem(f"{unknown}; {consequence}", origin)
        elif setting.ours:
            builder.problem(f"{key} belongs under [{OURS}]; {consequence}", origin)
        else:
            builder.take(setting, setting.from_toml, raw, origin, f"; {consequence}")


def _add_azure_version(builder: LayerBuilder, below: Mapping[str, Found]) -> None:
    values = {**below, **builder.values}
    model = values.get("model")
    if model and str(model.value).startswith("azure") and "api_version" not in values:
        builder.values["api_version"] = _AZURE_API_VERSION


def env_layer(env: Mapping[str, str], *, group: bool = False) -> Layer:
    """Make the layer of the environment variables that are set and not empty.

    Args:
        env: The environment.
        group: Whether the layer is for a named group, which only takes our own variables.
    """
    builder = LayerBuilder("environment")
    for setting in SETTINGS.values():
        text = env.get(setting.variable)
        if text and (setting.ours or not group):
            origin = Origin("environment", setting.variable)
            note = "" if setting.ours else "; OpenHands would ignore it too"
            builder.take(setting, setting.from_env, text, origin, note)
    return builder.layer()
