"""What has to change in a config file so that reading it gives the settings in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import nested
from openhands_llm_magic.config.resolve import resolve
from openhands_llm_magic.config.saving import literals
from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, Secret, logins_in, masked
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.config.sources import file_layer, group_layer
from openhands_llm_magic.errors import ConfigFileError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openhands_llm_magic.config.document import Document
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.saving.edit import Names
    from openhands_llm_magic.config.setting import Setting, Value


def holds_key(snapshot: Snapshot, name: str) -> bool:
    """Tell whether a setting's value is a key, or has one in it."""
    value = getattr(snapshot, name)
    if isinstance(value, Secret):
        return bool(value)
    if isinstance(value, str):
        keys = (key for key in snapshot.secrets() if len(key) >= SHORTEST_REAL_KEY)
        return bool(logins_in(value)) or any(key in value for key in keys)
    return any(nested.secrets_in(value))


def is_unset(value: Value) -> bool:
    """Tell whether a value stands for none: OpenHands takes an empty text for one."""
    return value is None or value in ("", Secret(""))


class FileChanges:
    """The difference between a config file and the settings in force.

    Attributes:
        tables: New values as TOML text by the names of table and key; None removes a key.
        writes_key: Whether there is a key among the new values.

    Args:
        snapshot: The settings in force.
        document: The file as it is.
        group: The NAME of the `[llm.NAME]` to change, or None for `[llm]`.
        with_key: Whether to write keys, too.

    Raises:
        ConfigFileError: Something that is no table is where one has to be.
        SettingError: There can be no group of this name.
    """

    def __init__(
        self, snapshot: Snapshot, document: Document, group: str | None, *, with_key: bool
    ) -> None:
        self._snapshot = snapshot
        self._document = document
        self._group = group
        self._with_key = with_key
        self._left_out: dict[str, str] = {}
        self.writes_key = False
        self.tables: dict[Names, dict[str, str | None]] = {}
        if group is not None:
            if group not in document.groups:
                _require_group_name(group)
            self.tables[self._names("llm")] = {}  # also an empty group is one
        below = resolve([file_layer(document)] if group else [], group=group)
        for setting in SETTINGS.values():
            self._add(setting, getattr(below, setting.name))

    def notes(self, document: Document) -> Iterator[str]:
        """Say, one line each, what reading the changed file gives other than the settings."""
        layers = [file_layer(document)]
        if self._group is not None:
            layers.append(group_layer(document, self._group, layers[0]))
        read = resolve(layers, group=self._group)
        for name, setting in SETTINGS.items():
            if name in self._left_out:
                yield f"{name} is not saved: {self._left_out[name]}"
            elif self._is_kept_apart(name):
                continue
            elif not _same(value := getattr(self._snapshot, name), given := getattr(read, name)):
                yield (
                    f"{name} is {_shown(value)} here, but will be {_shown(given)} when the file is"
                    f" read, which cannot say otherwise (from {read.origin(name)})"
                )
            elif setting.newer and self.tables.get(self._names("llm"), {}).get(name):
                yield f"OpenHands 0.41 does not know {name} and would drop the section it is in"
        yield from map(str, read.problems)

    def _add(self, setting: Setting, inherited: Value) -> None:
        """Add what has to change for one setting, which without its key would be `inherited`."""
        name = setting.name
        names = self._names(setting.section)
        table = self._table(names)
        value = getattr(self._snapshot, name)
        raw = table.get(name)
        is_group = names == ("llm",) and isinstance(raw, dict)
        if raw is None or is_group:
            if _same(value, inherited) and (*names, name) != ("llm", "model"):
                return
        elif _reads_as(setting, raw, value):
            return
        if self._is_kept_apart(name):
            if setting.kind != "secret":
                self._left_out[name] = "it holds a key, and keys are not written unless asked for"
        elif is_group or (names == ("llm",) and isinstance(value, dict)):
            self._left_out[name] = f"[llm.{name}] is the name of a group; set {setting.variable}"
        elif not is_unset(value):
            self._write(names, name, value)
        elif raw is not None:
            self.tables.setdefault(names, {})[name] = None

    def _write(self, names: Names, name: str, value: Value) -> None:
        try:
            text = literals.literal(value)
        except ValueError as error:
            self._left_out[name] = str(error)
            return
        self.tables.setdefault(names, {})[name] = text
        self.writes_key |= holds_key(self._snapshot, name)

    def _is_kept_apart(self, name: str) -> bool:
        """Tell whether it is a key and keys are not written."""
        secret = SETTINGS[name].kind == "secret" or holds_key(self._snapshot, name)
        return secret and not self._with_key

    def _names(self, section: str) -> Names:
        return ("llm", self._group) if section == "llm" and self._group else (section,)

    def _table(self, names: Names) -> dict[str, Any]:
        table = dict(self._document.data)
        for depth, name in enumerate(names, 1):
            table = table.get(name, {})
            if not isinstance(table, dict):
                here = ".".join(names[:depth])
                raise ConfigFileError(
                    f"{self._document.origin(*names[:depth])}: {here} must be a table, [{here}];"
                    " nothing was changed"
                )
        return table


def _require_group_name(group: str) -> None:
    try:
        literals.header(("llm", group))
    except ValueError as error:
        raise SettingError(f"no group can be called {shorten(repr(group))}: {error}") from None
    if group in SETTINGS:
        raise SettingError(f"no group can be called {group!r}: this is a setting of [llm]")


def _reads_as(setting: Setting, raw: object, value: Value) -> bool:
    try:
        return _same(setting.from_toml(raw), value)
    except SettingError:
        return False


def _same(one: Value, other: Value) -> bool:
    return one == other or (is_unset(one) and is_unset(other))


def _shown(value: Value) -> str:
    return "none" if is_unset(value) else shorten(masked(repr(value)))
