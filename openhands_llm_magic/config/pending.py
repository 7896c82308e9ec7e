"""Edits of a session's settings that are not applied yet, as in a form."""

from __future__ import annotations

import contextlib
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from openhands_llm_magic.config.secret import MASK, SHORTEST_REAL_KEY, masked, secrets_in
from openhands_llm_magic.config.setting import python_literal
from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.errors import SettingError, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.layers import Found
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting, Value


WHERE = frozenset({"base_url", "custom_llm_provider"})
"""The settings that say where a model is: an edit of them was made for the model beside it."""


class PendingEdits:
    """The edits that a person has made to the settings of a session, and has not applied yet."""

    def __init__(self, settings: LLMSettings) -> None:
        self.settings = settings
        self._edits: dict[str, Value] = {}
        self._refused: dict[str, Text] = {}
        self._before: dict[str, Found | None] = {}  # what the session had set at the last edit

    @property
    def edits(self) -> Mapping[str, Value]:
        """The edited values by setting name."""
        return MappingProxyType(self._edits)

    @property
    def refused(self) -> Mapping[str, str]:
        """Why the text that was typed last was refused, by the name of its setting."""
        return MappingProxyType(self._refused)

    def edit(self, name: str, value: Value) -> None:
        """Edit one setting; a refused value changes nothing.

        A text that may not stay in a form, because it may be a key, is not noted in `refused`.

        Args:
            name: The setting's name.
            value: The new value; a string is text that a person typed.

        Raises:
            SettingError: The setting does not take this value, or there is no such setting.
        """
        setting = setting_named(name)
        self._refused.pop(name, None)
        self._before[name] = self.settings.session_values.get(name)
        typed = isinstance(value, str) and setting.kind != "secret"
        if typed:
            self._require_openness(setting, str(value))
        try:
            new = setting.from_text(str(value)) if typed else setting.validate(value)
        except SettingError as error:
            self._refused[name] = error.text
            raise
        self._edits[name] = new
        # Where the file or the group is gone, nothing is in force that an edit could equal.
        with contextlib.suppress(SettingError):
            if new == getattr(self.settings.snapshot(), name):
                del self._edits[name]

    def snapshot(self) -> Snapshot:
        """Return the settings as they will be when the edits are applied.

        Raises:
            ConfigFileError: The config file that was named cannot be read.
            SettingError: The group that was named is gone.
        """
        return self.settings.snapshot().with_overrides(self._edits, "edit")

    def require_valid(self) -> Snapshot:
        """Return the settings as they will be, unless a value was refused.

        Raises:
            SettingError: Values were refused; one line names each.
        """
        if self._refused:
            raise SettingError(Text.joined([*self._refused.values()]))
        return self.snapshot()

    def apply(self) -> None:
        """Apply all edits to the session.

        Raises:
            SettingError: A value was refused; nothing is changed.
        """
        self.require_valid()
        self.settings.set(**self._edits)
        self._edits.clear()

    def can_be_put_back(self, name: str) -> bool:
        """Return whether `put_back` would change anything."""
        touched = name in self._edits or name in self._refused
        return touched or name in self.settings.changed

    def put_back(self, name: str) -> None:
        """Forget the edit of a setting; without an edit, forget the value that the session set.

        Raises:
            SettingError: There is no such setting.
        """
        if setting_named(name).name not in self._edits.keys() | self._refused.keys():
            self.settings.reset([name])
        self.forget([name])

    def forget(self, names: Iterable[str]) -> None:
        """Forget the edits of these settings, and what was refused of them."""
        for name in names:
            self._edits.pop(name, None)
            self._refused.pop(name, None)

    def forget_overtaken(self) -> set[str]:
        """Forget each edit of what the session has set since, and each that changes nothing.

        Where that is the model, the edits of where it is go, too: they were of another model.

        Returns:
            The settings that the session has set since.
        """
        since = self.settings.session_values
        touched = self._edits.keys() | self._refused.keys()
        overtaken = {name for name in touched if since.get(name) is not self._before[name]}
        self.forget(overtaken | (WHERE if "model" in overtaken else set()))
        in_force = self.settings.snapshot()
        for name, value in [*self._edits.items()]:
            if value == getattr(in_force, name):
                del self._edits[name]
        return overtaken

    def settle(self, names: Iterable[str] = tuple(SETTINGS)) -> None:
        """Forget each edit, and each value of the session, that changes nothing.

        After the settings were saved, the file has the same values; so their origin becomes the
        file, and no longer the session.
        """
        snapshot = self.settings.snapshot()
        for name in names:
            value, *below = snapshot.found[name]
            if self._edits.get(name, MASK) == value.value:
                self._edits.pop(name)
            if name in self.settings.changed and below[0].value == value.value:
                self.settings.reset([name])

    def _require_openness(self, setting: Setting, text: str) -> None:
        """Refuse a text with a key in it: what stands in a form is saved with the notebook."""
        name = setting.name
        if MASK in text:
            told = (
                "{name} is shown without the key or password in it: write all of it anew, or set"
                " it in config.toml or {variable}"
            )
            raise SettingError(Text(told, name=name, variable=setting.variable))
        known: tuple[str, ...] = ()
        with contextlib.suppress(SettingError):
            known = self.snapshot().secrets()
        long_enough = [key for key in known if len(key) >= SHORTEST_REAL_KEY]
        if masked(text, long_enough) != text or _holds_key(setting, text):
            told = (
                "{name} would be saved with the notebook, and this looks like a key or a password"
                " in it: set {name} in config.toml or {variable}"
            )
            raise SettingError(Text(told, name=name, variable=setting.variable))


def _holds_key(setting: Setting, text: str) -> bool:
    """Return whether a dictionary, or the query of an address, has a name like "api_key" in it."""
    value: object = dict(parse_qsl(text.partition("?")[2]))
    if setting.kind in ("list", "dict"):
        try:
            value = python_literal(text)
        except ValueError:
            return False
    return any(secrets_in(value))
