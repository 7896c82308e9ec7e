"""Rules about a config file: is each key of it read, with the value that is meant?"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.lint import finding
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.setting import OURS, Setting, described
from openhands_llm_magic.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

GROUP_OR_WORLD = 0o077
"""The bits of a file's mode that let others than its owner do something with the file."""


def no_tables(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find settings outside of every table, and tables that are not tables or are misspelt."""
    for name, value in subject.document.data.items():
        origin = subject.document.origin(name)
        key = name.lower().removeprefix("llm_")
        if name in ("llm", "core", OURS) and not isinstance(value, dict):
            yield finding.Finding(
                origin, f"{name} is {described(value)}, not a table", f"Write [{name}]"
            )
        elif isinstance(value, dict) and name != "llm" and name.lower() == "llm":
            yield finding.Finding(
                origin, f"unknown table {finding.titled((name,))}", "Write [llm]", finding.SILENTLY
            )
        elif isinstance(value, dict) and name.startswith("llm."):
            fix = f"Write {finding.titled(('llm', name.removeprefix('llm.')))}"
            yield finding.Finding(
                origin, f"unknown table {finding.titled((name,))}", fix, finding.SILENTLY
            )
        elif key in SETTINGS and not isinstance(value, dict):
            above = f"Write [{SETTINGS[key].section}] above it" + f", and {key}" * (key != name)
            yield finding.Finding(
                origin, f"{name} is outside of every table", above, finding.SILENTLY
            )


def unknown_keys(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find keys that are not settings."""
    for table in subject.tables:
        for key, value in table.values.items():
            if key not in SETTINGS and not (len(table.path) > 1 and finding.is_split(key, value)):
                origin = subject.document.origin(*table.path, key)
                meant = finding.meant_by(key, table.path[0])
                fix = f"Write {meant.name}" if isinstance(meant, Setting) else meant or "Remove it"
                yield finding.Finding(
                    origin, f"unknown key {finding.quoted(key)}", fix, table.consequence
                )


def misplaced_keys(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find settings in the wrong table, such as embedding settings in `[llm]`."""
    for table in subject.tables:
        for key in table.values:
            if key in SETTINGS and SETTINGS[key].section != table.path[0]:
                origin = subject.document.origin(*table.path, key)
                consequence = table.consequence if table.path[0] == "llm" else ""
                message = f"{key} does not belong under {finding.titled(table.path)}"
                yield finding.Finding(
                    origin, message, f"Write it under [{SETTINGS[key].section}]", consequence
                )


def bad_values(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find values that are of another type or out of bounds."""
    for table, setting, value in _settings_in(subject.tables):
        fault = finding.fault_of(setting, setting.from_toml, value)
        if fault and value not in finding.NONE_WORDS:
            takes = setting.takes.removesuffix(", or none")
            origin = subject.document.origin(*table.path, setting.name)
            consequence = table.consequence
            if fault == "bounds" and consequence:
                consequence = "OpenHands would take it"
            fix = f"Write {takes}" + ", or remove the line" * setting.optional
            yield finding.Finding(origin, finding.cannot_be(setting, value), fix, consequence)


def none_as_text(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find the text "None", which does not mean that a setting is not set."""
    for table, setting, value in _settings_in(subject.tables):
        if value in finding.NONE_WORDS:
            text = setting.kind in ("str", "secret")
            yield finding.Finding(
                subject.document.origin(*table.path, setting.name),
                f'{setting.name} is the text "{value}", which is not the same as none',
                "Remove the line: what is not set is none",
                "OpenHands would take it for text" if text else table.consequence,
            )


def newer_settings(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find settings that OpenHands 0.41 does not have yet."""
    for table, setting, _ in _settings_in(subject.tables):
        if setting.newer:
            yield finding.Finding(
                subject.document.origin(*table.path, setting.name),
                f"{setting.name} is newer than OpenHands 0.41",
                "Keep it only for a later OpenHands",
                table.consequence.replace("OpenHands", "OpenHands 0.41"),
                "note",
            )


def dots_in_group_names(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find headers like `[llm.gpt-4.1]`, which TOML reads as a table 1 in a table gpt-4."""
    llm = subject.document.table("llm")
    for group in subject.document.groups:
        for key, table in llm[group].items():
            if finding.is_dictionary_setting(group) or not finding.is_split(key, table):
                continue
            names = [group, key]
            while len(table) == 1 and isinstance(inner := next(iter(table.values())), dict):
                names, table = [*names, *table], inner  # noqa: PLW2901 - further down
            header = finding.titled(("llm", *names))
            yield finding.Finding(
                subject.document.origin("llm", *names),
                f"{header} is no group of this name: each dot nests a table",
                f"Write {finding.titled(('llm', '.'.join(names)))}",
                f"OpenHands would skip the whole group {finding.titled(('llm', group))}",
            )


def dictionaries_in_llm(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find a dictionary in `[llm]` itself, which OpenHands takes for a group."""
    for name in filter(finding.is_dictionary_setting, subject.document.groups):
        yield finding.Finding(
            subject.document.origin("llm", name),
            f"{name} is a table in [llm], and so a group",
            f"Write it inside a group, or set {SETTINGS[name].variable}",
            f"OpenHands would take it for the group {finding.titled(('llm', name))}",
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
            f"others on this machine may use this key (the file's mode is {mode & 0o777:o})",
            f"Run chmod 600 {shlex.quote(shown_path(document.path))}",
            level="warning",
        )


RULES: tuple[Callable[[finding.Subject], Iterable[finding.Finding]], ...] = (
    no_tables,
    unknown_keys,
    misplaced_keys,
    bad_values,
    none_as_text,
    newer_settings,
    dots_in_group_names,
    dictionaries_in_llm,
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
