"""The settings in force, written to config.toml for OpenHands and for the next session.

First `_Changes` finds what has to change in the file; then `toml_edit` makes the new text; then the
change is shown as a diff without keys, and the new text takes the place of the file at once.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import document, files, git, resolve, trust, trusted
from openhands_llm_magic.config.document import Document, read_file, shown_path
from openhands_llm_magic.config.layers import FILE_NAME, file_layer, file_layers, group_above
from openhands_llm_magic.config.secret import (
    MASK,
    SECRET_WORDS,
    SHORTEST_REAL_KEY,
    Secret,
    logins_in,
    masked,
    secrets_in,
)
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import ConfigFileError, SettingError, Text, reason_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from openhands_llm_magic.config.document import Names
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting, Value

MOST_ATTEMPTS = 5
"""How often a save begins anew because another program has changed the file meanwhile."""

FORCE = "pass force=True to write it there all the same"

# What is said of profiles in other words elsewhere, as the above.
FORCE_PROFILE = "pass force=True to do it all the same"
WRITE_PROFILE = "Write a profile for it"
KEY_INTO_PROFILE = "pass with_key=True to write the key in use"


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving changed, or would change.

    Attributes:
        path: The file.
        diff: The change as a unified diff, with keys masked; "" when nothing changes.
        key_written: Whether a key is written that was not in the file.
        created: Whether there was no file before.
        notes: For each setting that the file will not give back as it is in force, one line with
            the reason; also one line for each mistake that stays in the file.
    """

    path: Path
    diff: str
    key_written: bool
    created: bool
    notes: tuple[Text, ...] = ()


def save(
    snapshot: Snapshot,
    path: str | os.PathLike[str] | None = None,
    *,
    group: str | None = None,
    with_key: bool = False,
    force: bool = False,
) -> Saved:
    """Write the settings in force to a config file, so that OpenHands reads the same.

    The model is written, and every setting that is not at its default or is in the file already;
    a setting that is not set is removed. Comments, order and other sections stay. A program that
    reads the file meanwhile sees the old one or the new one, never half of it, and what another
    program writes meanwhile stays. Only its owner may read a file that holds a key.

    Args:
        snapshot: The settings.
        path: The file; by default the one that the settings were read from, else ./config.toml.
        group: The NAME of the `[llm.NAME]` to write to, or "llm" for `[llm]`; by default that of
            the settings.
        with_key: Whether to write keys, too; else those in the file stay as they are.
        force: Whether to write keys into a file that git tracks.

    Raises:
        ConfigFileError: The file cannot be read, edited or written, or is one that git tracks and
            a key would go into it; nothing is changed.
        SettingError: No group can have this name; nothing is changed.
    """
    plan_now = partial(_plan, snapshot, path, group, with_key=with_key, force=force)
    plan = plan_now()
    if not plan.is_needed and not files.is_being_written(plan.target):
        return plan.saved
    try:
        with files.writing(plan.target) as draft:
            for _ in range(MOST_ATTEMPTS):
                plan = plan_now()
                if not plan.is_needed or _put(plan, draft, snapshot):
                    return plan.saved
    except OSError as error:
        told = "{file}: it cannot be written: {why}; nothing was changed"
        file = shown_path(plan.saved.path)
        raise ConfigFileError(Text(told, file=file, why=reason_of(error))) from None
    told = "{file}: another program changes it again and again; nothing was changed"
    raise ConfigFileError(Text(told, file=shown_path(plan.saved.path)))


def preview(
    snapshot: Snapshot,
    path: str | os.PathLike[str] | None = None,
    *,
    group: str | None = None,
    with_key: bool = False,
    force: bool = False,
) -> Saved:
    """Return what `save` would do with the same arguments, without doing it.

    Raises:
        ConfigFileError: The file cannot be read or edited, or is one that git tracks and a key
            would go into it.
        SettingError: No group can have this name.
    """
    return _plan(snapshot, path, group, with_key=with_key, force=force).saved


def as_toml(snapshot: Snapshot) -> str:
    """Return what `save` would write to an empty file, without keys and as `[llm]`."""
    empty = Document(Path(FILE_NAME))
    return document.edit(empty, _Changes(snapshot, empty, None, with_key=False).tables).text


def holds_key(snapshot: Snapshot, name: str) -> bool:
    """Return whether a setting's value is a key, or has one in it."""
    value = getattr(snapshot, name)
    if isinstance(value, Secret):
        return bool(value)
    keys = [key for key in snapshot.secrets() if len(key) >= SHORTEST_REAL_KEY]
    hides_one = any(secrets_in(value)) or any(key in str(value) for key in keys)
    return hides_one or (isinstance(value, str) and bool(logins_in(value)))


def is_unset(value: Value) -> bool:
    """Return whether a value means "not set": to OpenHands, an empty text does, too."""
    return value is None or value in ("", Secret(""))


class _Changes:
    """The difference between a config file and the settings in force.

    Attributes:
        tables: New values as TOML text by the names of table and key; None removes a key.
        writes_key: Whether there is a key among the new values.

    Raises:
        ConfigFileError: The file has a value where a table has to be.
        SettingError: No group can have this name.
    """

    def __init__(
        self, snapshot: Snapshot, document: Document, group: str | None, *, with_key: bool
    ) -> None:
        self._snapshot = snapshot
        self._document = document
        self._group = group
        self._with_key = with_key
        self._left_out: dict[str, Text] = {}
        self.writes_key = False
        self.tables: dict[Names, dict[str, str | None]] = {}
        if group is not None:
            if group not in document.groups:
                _require_group_name(group)
            self.tables[self._names("llm")] = {}  # also an empty group is one
        below = resolve.resolve([file_layer(document)] if group else [], group=group)
        for setting in SETTINGS.values():
            self._add(setting, getattr(below, setting.name))

    def notes(self, document: Document) -> Iterator[Text]:
        """Yield one line for each thing that reading the changed file gives otherwise."""
        layers = file_layers(document, self._group)
        read = resolve.resolve(layers, group=self._group)
        for name, setting in SETTINGS.items():
            if name in self._left_out:
                yield Text("{name} is not saved: {why}", name=name, why=self._left_out[name])
            elif self._is_kept_apart(name):
                continue
            elif not _same(value := getattr(self._snapshot, name), given := getattr(read, name)):
                told = (
                    "{name} is {value} here, but will be {given} when the file is read, which"
                    " cannot say otherwise (from {origin})"
                )
                found = {"value": _shown(value), "given": _shown(given)}
                yield Text(told, name=name, origin=read.origin(name).text, **found)
            elif setting.newer and self.tables.get(self._names("llm"), {}).get(name):
                told = "OpenHands 0.41 does not know {name} and would drop the section it is in"
                yield Text(told, name=name)
        yield from (problem.line for problem in read.problems)

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
                told = "it holds a key, and keys are not written unless asked for"
                self._left_out[name] = Text(told)
        elif is_group or (names == ("llm",) and isinstance(value, dict)):
            told = "[llm.{name}] is the name of a group; set {variable}"
            self._left_out[name] = Text(told, name=name, variable=setting.variable)
        elif not is_unset(value):
            self._set(names, name, raw, value)
        elif raw is not None:
            self.tables.setdefault(names, {})[name] = None

    def _set(self, names: Names, name: str, raw: object, value: Value) -> None:
        """Write a value; of a dictionary with a header of its own in the file, what differs."""
        table = (*names, name)
        has_header = any(key[:-1] == table for key in self._document.lines)
        if not (has_header and isinstance(raw, dict) and isinstance(value, dict)):
            self._write(names, name, value)
            return
        for key in (*raw, *value):
            if key not in value:
                self.tables.setdefault(table, {})[key] = None
            elif value[key] != raw.get(key):
                self._write(table, key, value[key])

    def _write(self, names: Names, name: str, value: Value) -> None:
        try:
            text = document.literal(value)
        except ValueError as error:
            self._left_out[name] = reason_of(error)
            return
        self.tables.setdefault(names, {})[name] = text
        self.writes_key |= name in SETTINGS and holds_key(self._snapshot, name)

    def _is_kept_apart(self, name: str) -> bool:
        """Return whether a setting is a key, and keys are not to be written."""
        secret = SETTINGS[name].kind == "secret" or holds_key(self._snapshot, name)
        return secret and not self._with_key

    def _names(self, section: str) -> Names:
        return ("llm", self._group) if section == "llm" and self._group else (section,)

    def _table(self, names: Names) -> dict[str, Any]:
        table = dict(self._document.data)
        for depth, name in enumerate(names, 1):
            table = table.get(name, {})
            if not isinstance(table, dict):
                told = "{origin}: {here} must be a table, [{here}]; nothing was changed"
                origin = self._document.origin(*names[:depth]).text
                raise ConfigFileError(Text(told, origin=origin, here=".".join(names[:depth])))
        return table


def _require_group_name(group: str) -> None:
    try:
        document.header(("llm", group))
    except ValueError as error:
        told = "no group can be called {group}: {why}"
        raise SettingError(Text(told, group=shorten(repr(group)), why=reason_of(error))) from None
    if group in SETTINGS:
        told = "no group can be called {group}: this is a setting of [llm]"
        raise SettingError(Text(told, group=repr(group)))


def _reads_as(setting: Setting, raw: object, value: Value) -> bool:
    try:
        return _same(setting.from_toml(raw), value)
    except SettingError:
        return False


def _same(one: Value, other: Value) -> bool:
    return one == other or (is_unset(one) and is_unset(other))


def _shown(value: Value) -> str:
    return "none" if is_unset(value) else shorten(masked(repr(value)))


# The keys in a config file, and a diff that does not show them.

# A key's name and value in TOML text, also in a comment or an inline table.
# Each name is read once, from its beginning: a value may be "key" a thousand times.
_ASSIGNMENT = re.compile(
    rf"(?<![\w-])(?=[\w-]*?(?:{SECRET_WORDS}))(?P<name>[\w-]++)"
    r"""(?P<equals>["']?[ \t]*+=[ \t]*+)"""
    r"(?!(?:true|false|[-+]?[\d._]+)[ \t]*(?:[,}#\r\n]|$))"
    r'(?P<value>"""[\s\S]*?"""+|'
    r"'''[\s\S]*?'''+"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'|\[[^\[\]]*\]|[^\n]+)",
    re.IGNORECASE,
)


def _keys_in(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys in a parsed config file: secrets, text named like one, and logins."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _keys_in(value)
        elif not is_shown(name):
            yield from secrets_in(value, name)
        elif isinstance(value, str):
            yield from logins_in(value)


def _masked_diff(before: str, after: str, name: str, keys: Iterable[str], *, created: bool) -> str:
    """Return the unified diff of two texts of a config file, with `keys` and all others masked."""
    masks: dict[str, str] = {}

    def mask(match: re.Match[str]) -> str:
        if is_shown(match["name"]):
            return match[0]
        # TOML text has no NUL; a number for each value lets the diff see that a key changes.
        number = masks.setdefault(match["value"], f"\0{len(masks)}\0")
        return match["name"] + match["equals"] + number

    old, new = (_ASSIGNMENT.sub(mask, text).splitlines() for text in (before, after))
    old_name = "/dev/null" if created else name
    diff = "\n".join(unified_diff(old, new, old_name, name, lineterm=""))
    return masked(re.sub("\0[0-9]+\0", f'"{MASK}"', diff), keys)


def is_shown(name: str) -> bool:
    """Return whether a name is that of a setting whose values are never masked."""
    return name in SETTINGS and SETTINGS[name].kind != "secret"


# The file itself.


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to write, and where.

    Attributes:
        saved: What to tell about it.
        target: The file, or the one that its link leads to.
        before: The file's text as it is, or None when there is no file.
        text: The file's new text.
        has_key: Whether there is a key in it.
        is_needed: Whether the text or the permission bits differ from those of the file as it is.
    """

    saved: Saved
    target: Path
    before: str | None
    text: str
    has_key: bool
    is_needed: bool


def _plan(
    snapshot: Snapshot,
    path: str | os.PathLike[str] | None,
    group: str | None,
    *,
    with_key: bool,
    force: bool,
) -> _Plan:
    file = (
        resolve.absolute(path)
        if path is not None
        else snapshot.config_file or Path.cwd() / FILE_NAME
    )
    before, status = _read(file)
    target = _target(file)
    group = snapshot.group if group is None else resolve.group_named(group)
    group = group_above(before, group)
    changes = _Changes(snapshot, before, group, with_key=with_key)
    after = document.edit(before, changes.tables)
    keys = [*snapshot.secrets(), *_keys_in(before.data), *_keys_in(after.data)]
    notes = [note.masked(lambda text: masked(text, keys)) for note in changes.notes(after)]
    if changes.writes_key and not force:
        notes += notes_of_git(file, target)
    saved = Saved(
        path=file,
        diff=_masked_diff(before.text, after.text, shown_path(file), keys, created=status is None),
        key_written=changes.writes_key,
        created=status is None,
        notes=tuple(notes),
    )
    has_key = any(_keys_in(after.data))
    is_open = status is not None and has_key and bool(status.st_mode & 0o077)
    is_needed = status is None or after.text != before.text or is_open
    text_before = None if status is None else before.text
    return _Plan(saved, target, text_before, after.text, has_key, is_needed)


def _read(file: Path) -> tuple[Document, os.stat_result | None]:
    """Return a config file and its status, or an empty document and None where there is none."""
    status = None
    try:
        status = file.stat()
    except FileNotFoundError:
        return Document(file), None
    except OSError:
        pass  # read_file words it
    document = read_file(file)
    if document.problem is not None:
        told = "{problem}; nothing was changed: correct it, or name another file"
        raise ConfigFileError(Text(told, problem=str(document.problem)))
    return document, status


def _target(file: Path) -> Path:
    try:
        return files.target_of(file)
    except OSError as error:
        told = "{file}: {why}; nothing was changed"
        raise ConfigFileError(Text(told, file=shown_path(file), why=reason_of(error))) from None


def notes_of_git(file: Path, target: Path) -> list[Text]:
    """Return what to tell of a key that goes into a file that git knows of.

    Raises:
        ConfigFileError: The key would go into git's history, or nobody can tell.
    """
    match git.standing_of(target):
        case git.Standing.TRACKED:
            why = Text("git tracks this file")
        case git.Standing.UNKNOWN:
            why = Text("git cannot say whether it tracks this file")
        case git.Standing.UNTRACKED:
            told = "git does not ignore {file}, and would take the key along: name it in .gitignore"
            return [Text(told, file=shown_path(file))]
        case _:
            return []
    told = (
        "{file}: {why}, and others can read a key in git's history; nothing was changed: save"
        " without the key, which the keyring or LLM_API_KEY can hold, name a file that git does"
        " not track, or {force}"
    )
    raise ConfigFileError(Text(told, file=shown_path(file), why=why, force=Text(FORCE)))


def _put(plan: _Plan, draft: files.Draft, snapshot: Snapshot) -> bool:
    """Write the new text, unless another program has changed the file since it was read.

    A file stays trusted if nothing but what the person gave is in it.
    """
    stays_trusted = trust.is_all_of_the_person(snapshot, plan.saved.path)
    bits = files.OWNER_ONLY if plan.has_key else 0o666
    most_bits = files.OWNER_ONLY if plan.has_key else files.ANY_BITS
    over = None if plan.before is None else plan.before.encode()
    if not draft.put(plan.text.encode(), over=over, new_bits=bits, most_bits=most_bits):
        return False
    if stays_trusted:
        with suppress(SettingError):  # then the next prompt asks
            trusted.trust(plan.saved.path)
    return True
