"""Rules about a config file: is each key of it read, with the value that is meant?"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.lint import finding, sections
from openhands_llm_magic.config.openhands_file import (
    ALL_SECTIONS,
    NO_SERVERS,
    NOT_STARTED,
    NOTHING,
    on_bad_key,
    section_of,
    titled,
)
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.setting import OURS, Setting, described
from openhands_llm_magic.config.settings import SETTINGS, closest
from openhands_llm_magic.config.width import narrow, wide_mark
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

KNOWN = ALL_SECTIONS | {OURS}
"""Every top-level table that something reads."""

GROUPED = ("llm", "agent")
"""The tables whose own tables have names that a person gives."""

GROUP_OR_WORLD = 0o077
"""The bits of a file's mode that let others than its owner do something with the file."""


def top_level(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find settings outside of every table, and tables that are not tables or are misspelt."""
    for name, value in subject.document.data.items():
        is_table = isinstance(value, dict)
        if is_table and name not in KNOWN:
            yield _unknown_table(subject, name, value)
        elif not is_table and name in KNOWN:
            yield finding.Finding(
                subject.document.origin(name),
                Text("{name} is {value}, not a table", name=name, value=described(value)),
                finding.write(f"[{name}]"),
                _without_table(name, value),
            )
        elif not is_table:
            yield _outside(subject, name, value)


def _without_table(name: str, value: object) -> Text:
    """Say what OpenHands does about a value where it looks for a table."""
    if name in (OURS, "extended"):
        return NOTHING
    # It looks into a text or a list, and cannot look into a number.
    goes_on = name == "mcp" and not isinstance(value, str | list)
    return NO_SERVERS if goes_on else NOT_STARTED


def _unknown_table(
    subject: finding.Subject, name: str, table: Mapping[str, Any]
) -> finding.Finding:
    first, *rest = re.split("[._-]", name, maxsplit=1)
    near = closest(name.lower(), ALL_SECTIONS)
    level: finding.Level = "error"
    if name.lower() in KNOWN:
        fix = finding.write(f"[{name.lower()}]")
    elif rest and first in GROUPED:
        fix = finding.write(titled((first, *rest)))
    elif near:
        fix = finding.write(f"[{near}]")
    elif any(key in SETTINGS for key in table):
        fix = Text("Write [llm], or [llm.NAME] for a group")
    else:
        fix, level = Text("Remove it if it was meant for OpenHands 0.41"), "note"
    return finding.Finding(
        subject.document.origin(name),
        Text("unknown table {header}", header=titled((name,))),
        fix,
        finding.SILENTLY if name.lower() in KNOWN else finding.LOGGED,
        level,
    )


def _outside(subject: finding.Subject, name: str, value: object) -> finding.Finding:
    """Return the finding about a line above every table, as in files of old versions."""
    home = sections.home_of(name, value)
    if isinstance(home, tuple):
        section, key = home
        told = "Write [{table}] above it" if key == name else "Write [{table}] above it, and {key}"
        fix = Text(told, table=section, key=key)
    else:
        fix = home or Text("Remove it, or write the [table] that it belongs to above it")
    message = Text("{name} is outside of every table", name=name)
    return finding.Finding(subject.document.origin(name), message, fix, finding.LOGGED)


def unknown_keys(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find keys that are not settings."""
    for table in subject.tables:
        for key, value in table.values.items():
            in_group = len(table.path) > 1
            if key not in SETTINGS and not (
                in_group and finding.is_split(subject.document, table.path[1], key)
            ):
                origin = subject.document.origin(*table.path, key)
                home = section_of(key)
                if home is not None:
                    message = finding.misplaced(key, table.path)
                    fix = sections.fix_of_misplaced(home, key)
                else:
                    message = finding.unknown_key(key)
                    meant = finding.meant_by(key, table.path[0], value)
                    fix = (
                        finding.write(meant.name)
                        if isinstance(meant, Setting)
                        else meant or finding.REMOVE
                    )
                yield finding.Finding(origin, message, fix, table.consequence())


def misplaced_keys(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find settings in the wrong table, such as embedding settings in `[llm]`."""
    for table in subject.tables:
        for key in table.values:
            if key in SETTINGS and SETTINGS[key].section != table.path[0]:
                origin = subject.document.origin(*table.path, key)
                consequence = table.consequence() if table.path[0] == "llm" else NOTHING
                message = finding.misplaced(key, table.path)
                fix = finding.write_under(SETTINGS[key].section)
                yield finding.Finding(origin, message, fix, consequence, setting=key)


def bad_values(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find values that are of another type or out of bounds."""
    for table, setting, value in _settings_in(subject.tables):
        fault = finding.fault_of(setting, setting.from_toml, value)
        if fault and value not in finding.NONE_WORDS:
            origin = subject.document.origin(*table.path, setting.name)
            consequence = table.consequence()
            if fault == "bounds" and consequence:
                consequence = finding.TAKEN
            fix = finding.write_kind(setting.value_kind)
            if setting.optional:
                fix = Text("Write {kind}, or remove the line", kind=setting.value_kind)
            message = finding.cannot_be_of(setting, value)
            right = narrow(value) if isinstance(value, str) else value
            if right != value and not finding.fault_of(setting, setting.from_toml, right):
                message = finding.has_full_width(setting.name, wide_mark(value))
                fix = finding.write(str(right))
            yield finding.Finding(origin, message, fix, consequence, setting=setting.name)


def none_as_text(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find the text "None", which does not mean that a setting is not set."""
    for table, setting, value in _settings_in(subject.tables):
        if value in finding.NONE_WORDS:
            is_text = setting.kind in ("str", "secret")
            told = '{name} is the text "{value}", which is not the same as none'
            yield finding.Finding(
                subject.document.origin(*table.path, setting.name),
                Text(told, name=setting.name, value=value),
                finding.WHAT_IS_NOT_SET,
                Text("OpenHands would take it for text") if is_text else table.consequence(),
                setting=setting.name,
            )


def newer_settings(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find settings that OpenHands 0.41 does not have yet."""
    for table, setting, _ in _settings_in(subject.tables):
        if setting.newer:
            yield finding.Finding(
                subject.document.origin(*table.path, setting.name),
                Text("{name} is newer than OpenHands 0.41", name=setting.name),
                Text("Keep it only for a later OpenHands"),
                table.consequence("OpenHands 0.41"),
                "note",
                setting.name,
            )


def dots_in_group_names(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find headers like `[llm.gpt-4.1]`, which TOML reads as a table 1 in a table gpt-4."""
    llm = subject.document.table("llm")
    for group in subject.document.groups:
        for key, table in llm[group].items():
            if finding.is_dictionary_setting(group) or not finding.is_split(
                subject.document, group, key
            ):
                continue
            names = [group, key]
            while len(table) == 1 and isinstance(inner := next(iter(table.values())), dict):
                names, table = [*names, *table], inner  # noqa: PLW2901 - further down
            header = titled(("llm", *names))
            yield finding.Finding(
                subject.document.origin("llm", *names),
                Text("{header} is no group of this name: each dot nests a table", header=header),
                finding.write(titled(("llm", ".".join(names)))),
                on_bad_key(("llm", group)),
            )


def dictionaries_in_llm(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find a dictionary in `[llm]` itself, which OpenHands takes for a group."""
    for name in filter(finding.is_dictionary_setting, subject.document.groups):
        yield finding.Finding(
            subject.document.origin("llm", name),
            Text("{name} is a table in [llm], and so a group", name=name),
            Text("Write it inside a group, or set {variable}", variable=SETTINGS[name].variable),
            Text(
                "OpenHands would take it for the group {header}",
                header=titled(("llm", name)),
            ),
            setting=name,
        )


def mixed_lists(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find lists of different types, which OpenHands' TOML library, of an older TOML, refuses."""
    for path in _mixed_in(subject.document.data):
        yield finding.Finding(
            subject.document.origin(*path),
            Text("the list {name} has elements of different types", name=finding.quoted(path[-1])),
            Text("Write all of them in one form"),
            Text("OpenHands could not read the file: it would take nothing from it, or not start"),
        )


def readable_keys(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find a key in a file that others may read."""
    document = subject.document
    place = next(_keys_in(document.data), None)
    if place is None or os.name == "nt":
        return
    try:
        mode = document.path.stat().st_mode
    except OSError:
        return
    if mode & GROUP_OR_WORLD:
        yield finding.Finding(
            document.origin(*place),
            Text(
                "others on this machine may use this key (the file's mode is {mode})",
                mode=f"{mode & 0o777:o}",
            ),
            Text("Run {command}", command=f"chmod 600 {shlex.quote(shown_path(document.path))}"),
            level="warning",
        )


RULES: tuple[Callable[[finding.Subject], Iterable[finding.Finding]], ...] = (
    top_level,
    unknown_keys,
    misplaced_keys,
    bad_values,
    none_as_text,
    newer_settings,
    dots_in_group_names,
    dictionaries_in_llm,
    mixed_lists,
    readable_keys,
)


def _settings_in(
    tables: Iterable[finding.CheckedTable],
) -> Iterator[tuple[finding.CheckedTable, Setting, Any]]:
    """Yield every setting that is in the table it belongs to, with its value."""
    for table in tables:
        for key, value in table.values.items():
            if key in SETTINGS and SETTINGS[key].section == table.path[0]:
                yield table, SETTINGS[key], value


def _mixed_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each list whose elements are not all of one type."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _mixed_in(each, (*path, name))
    elif isinstance(value, list):
        if len({type(each) for each in value}) > 1:
            yield path
        for each in value:
            yield from _mixed_in(each, path)


def _keys_in(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each text whose name is that of a key."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _keys_in(value, (*path, name))
        elif isinstance(value, str) and value and _is_key(name):
            yield (*path, name)


def _is_key(name: str) -> bool:
    setting = SETTINGS.get(name)
    return setting.kind == "secret" if setting else secrecy(name) >= Secrecy.LIKELY
