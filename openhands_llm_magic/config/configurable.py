"""The settings of one IPython session, as traits that never show a key."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import traitlets
from traitlets.config import Config, Configurable
from traitlets.config.loader import DeferredConfigString, LazyConfigValue

from openhands_llm_magic.config import files, resolve
from openhands_llm_magic.config.document import Document, read_file
from openhands_llm_magic.config.layers import (
    BASE_GROUP,
    IPYTHON_CONFIG,
    SESSION,
    Layer,
    env_layer,
    layer_of,
)
from openhands_llm_magic.config.secret import Secret, can_be_secret, masked, masking
from openhands_llm_magic.config.setting_attributes import SettingAttributes
from openhands_llm_magic.config.settings import SETTINGS, Setting, setting_named
from openhands_llm_magic.errors import LLMMagicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from openhands_llm_magic.config.layers import Found
    from openhands_llm_magic.errors import Text


class _InForce(traitlets.TraitType[Any, Any]):
    """A trait without a value of its own: reading it reads the setting in force."""

    def get(self, obj: Any, cls: Any = None) -> Any:  # noqa: ARG002 - traitlets' signature
        return getattr(obj.snapshot(), str(self.name))

    def set(self, obj: Any, value: Any) -> None:
        obj.set(**{str(self.name): value})


# `%config LLMSettings` shows these names as the traits' types.
_NAMES = {
    "int": "Int",
    "float": "Float",
    "bool": "Bool",
    "str": "Unicode",
    "secret": "SecretText",
    "list": "List",
    "dict": "Dict",
}
_TRAITS: dict[str, Any] = {kind: type(name, (_InForce,), {}) for kind, name in _NAMES.items()}


def _trait(setting: Setting) -> _InForce:
    trait: _InForce = _TRAITS[setting.kind](
        setting.default, allow_none=setting.optional, help=setting.help
    )
    return trait.tag(config=True)


class LLMSettings(SettingAttributes, Configurable):
    """The settings of one IPython session.

    The layers are, from the lowest to the highest: the defaults, config.toml and the environment,
    which are read afresh each time, `c.LLMSettings` of ipython_config.py, and the values that the
    session sets. Every setting is a trait that has the value in force; assigning a trait sets the
    value for the session, and so does `%config LLMSettings.num_retries = 6`. As a file or a
    variable can change at any time, traits do not notify observers.

    Attributes:
        allowed: What the person has allowed for the session, and need not be asked again; those
            who ask say what stands for it.
    """

    # The body's namespace is what the metaclass turns into traits.
    locals().update({name: _trait(setting) for name, setting in SETTINGS.items()})

    def __init__(self, **kwargs: Any) -> None:
        self.allowed: list[object] = []
        self._file: Path | None = None
        self._group: str | None = None
        self._read: tuple[object, Document] | None = None
        self._ipython_config = Layer("ipython_config")
        self._session = Layer("session")
        super().__init__(**kwargs)

    def snapshot(
        self, flags: Mapping[str, object] | None = None, group: str | None = None
    ) -> resolve.Snapshot:
        """Return the settings in force now.

        Args:
            flags: Flags of one cell by setting name; None means that a flag was not given.
            group: The NAME of an `[llm.NAME]` to use, or "llm" for `[llm]`; by default the
                session's, see `use_group`.

        Raises:
            ConfigFileError: A config file that was named cannot be read.
            SettingError: A flag is bad, or there is no such group.
        """
        group = self._group if group is None else resolve.group_named(group)
        layers, file = resolve.outside_layers(self._file, os.environ, group, self._read_file)
        snapshot = resolve.resolve([*layers, self._ipython_config, self._session], file, group)
        return snapshot.with_overrides(flags, "flag") if flags else snapshot

    def beside_file(self) -> resolve.Snapshot:
        """Return what is set beside the config file, for where that cannot be read."""
        layers = [env_layer(os.environ), self._ipython_config, self._session]
        return resolve.resolve(layers)

    def masked(self, text: Text) -> Text:
        """Return a text with the keys in use hidden, as far as the settings can be read."""
        keys: list[str] = []
        with suppress(LLMMagicError):  # the settings may be what the text is about
            keys += filter(can_be_secret, self.snapshot().secrets())
        return text.masked(partial(masked, secrets=keys))

    def set(self, **values: object) -> None:
        """Set settings for this session to Python values: all of them, or on an error none.

        Raises:
            SettingError: A value is bad, or there is no such setting; nothing is changed.
        """
        self._edit(layer_of("session", values, lambda _: SESSION))

    def change(self, values: Mapping[str, object]) -> None:
        """Set settings for this session to what a person typed; the word "none" unsets one.

        Either all of them are set, or on an error none.

        Raises:
            SettingError: A value is bad, or there is no such setting; nothing is changed.
        """
        self._edit(layer_of("session", values, lambda _: SESSION, typed=str))

    def take(self, layer: Layer) -> None:
        """Set for this session what a layer has: all of it, or on an error nothing.

        Raises:
            SettingError: A value is bad; nothing is changed.
        """
        self._edit(layer)

    @property
    def session_values(self) -> Mapping[str, Found]:
        """What this session has set, by name; whatever is set again is another object."""
        return MappingProxyType(self._session.values)

    @property
    def changed(self) -> frozenset[str]:
        """The names of the settings that this session has set."""
        return frozenset(self._session.values)

    def reset(self, names: Iterable[str] = ()) -> None:
        """Forget the values that this session set: those of the named settings, or all.

        With all of them goes what was allowed.

        Raises:
            SettingError: There is no such setting; nothing is changed.
        """
        forget = {setting_named(name).name for name in names}
        if not forget:
            forget = set(SETTINGS)
            self.allowed.clear()
        kept = {key: found for key, found in self._session.values.items() if key not in forget}
        self._session = Layer("session", kept)

    def use_file(self, path: str | os.PathLike[str] | None) -> None:
        """Use a config file for this session, or with None look for it again.

        Raises:
            ConfigFileError: The file cannot be read; nothing is changed.
        """
        if path is None:
            self._file = None
            return
        file = resolve.absolute(path)
        self._read_file(file).require_readable()
        self._file = file

    @property
    def group(self) -> str | None:
        """The NAME of the `[llm.NAME]` that this session uses, or None for `[llm]`."""
        return self._group

    @property
    def groups(self) -> tuple[str, ...]:
        """The NAME of each `[llm.NAME]` of the config file in use.

        Raises:
            ConfigFileError: The config file that was named cannot be read.
        """
        file = self.snapshot(group=BASE_GROUP).config_file
        return tuple(self._read_file(file).groups) if file else ()

    def use_group(self, name: str | None) -> None:
        """Use the group `[llm.NAME]` for this session, or with None `[llm]` itself.

        Raises:
            ConfigFileError: The config file cannot be read; nothing is changed.
            SettingError: The file has no such group; nothing is changed.
        """
        name = resolve.group_named(name)
        if name is not None:
            resolve.outside_layers(self._file, os.environ, name, self._read_file)
        self._group = name

    def _edit(self, layer: Layer) -> None:
        values = {**self._session.values, **layer.require_valid().values}
        self._session = Layer("session", values)

    def _read_file(self, path: Path) -> Document:
        """Return a config file; one that has not changed since it was read is not read again."""
        try:
            status = path.stat()
        except OSError:
            return read_file(path)
        of_file = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_uid)
        version = (path, *of_file, os.environ.get(files.TRUST_VARIABLE))
        if self._read is None or self._read[0] != version:
            self._read = (version, read_file(path))
        return self._read[1]

    def _load_config(self, cfg: Config, section_names: Any = None, traits: Any = None) -> None:  # noqa: ARG002 - traitlets' signature
        """Take the values of ipython_config.py; traitlets calls this whenever `config` is set."""
        self._hide_keys(cfg)
        self._ipython_config = layer_of(
            # From a command line comes text, whatever the type.
            "ipython_config",
            self._own(cfg),
            lambda _: IPYTHON_CONFIG,
            typed=DeferredConfigString,
        )

    def update_config(self, config: Config) -> None:
        """Set for this session what `%config` assigns; IPython logs the error's one line.

        Raises:
            SettingError: A value is bad, or there is no such setting; nothing is changed.
        """
        own = self._own(config)
        self._hide_keys(config)
        self.set(**own)

    def _own(self, config: Config) -> dict[str, object]:
        """Return the values that a Config of traitlets holds for `LLMSettings`."""
        return {
            name: value
            for name, value in self._find_my_config(config).items()
            # Merely naming `c.LLMSettings.model` leaves an empty lazy value behind.
            if not isinstance(value, Config)
            and not (isinstance(value, LazyConfigValue) and not value.to_dict())
        }

    def _hide_keys(self, config: Config) -> None:
        """Replace plain keys by a `Secret` in every Config that IPython may print.

        `%config` hands its Config to other objects first, which merge it into their own.
        """
        sections = self.section_names()
        for each in (config, *_configs_around(self)):
            _hide_keys(each, sections)


def _configs_around(configurable: Configurable) -> Iterator[Config]:
    around: Configurable | None = configurable
    while around is not None:
        yield around.config
        for sibling in getattr(around, "configurables", ()):
            yield sibling.config
        around = around.parent


def _hide_keys(config: Config, sections: Iterable[str]) -> None:
    for name, section in config.items():
        if not isinstance(section, Config):
            continue
        for key, value in section.items() if name in sections else ():
            secret = key in SETTINGS and SETTINGS[key].kind == "secret"
            if secret and not isinstance(value, Secret | LazyConfigValue | None):
                section[key] = Secret(str(value))
            elif isinstance(value, dict) and not isinstance(value, Config):
                section[key] = masking(value)
        _hide_keys(section, sections)
