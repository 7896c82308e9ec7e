"""Rules about a config file: does each key of it count, with the value that is meant?"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.layers import shown_path
from openhands_llm_magic.config.lint.finding import (
    Finding,
    Section,
    Subject,
    is_dictionary_setting,
    is_split,
    titled,
)
from openhands_llm_magic.config.lint.mistakes import (
    NONE_WORDS,
    cannot_be,
    fault_of,
    meant_by,
    quoted,
)
from openhands_llm_magic.config.setting import OURS, Setting, described
from openhands_llm_magic.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

GROUP_OR_WORLD = 0o077
"""The bits of a file's mode that let others than its owner do something with it."""


def no_tables(subject: Subject) -> Iterator[Finding]:
    """Settings outside of every table, and tables that are none or misspelt."""
    for name, value in subject.document.data.items():
        origin = subject.document.origin(name)
        silently = "OpenHands would ignore it without a word"
        if name in ("llm", "core", OURS) and not isinstance(value, dict):
            yield Finding(origin, f"{name} is {described(value)}, not a table", f"Write [{name}]")
        elif isinstance(value, dict) and name != "llm" and name.lower() == "llm":
            yield Finding(origin, f"unknown table {titled((name,))}", "Write [llm]", silently)
        elif name in SETTINGS and not isinstance(value, dict):
            above = f"Write [{SETTINGS[name].section}] above it"
            yield Finding(origin, f"{name} is outside of every table", above, silently)


def unknown_keys(subject: Subject) -> Iterator[Finding]:
    """Keys that are no setting."""
    for section in subject.sections:
        for key, value in section.values.items():
            if key not in SETTINGS and not (len(section.path) > 1 and is_split(key, value)):
                origin = subject.document.origin(*section.path, key)
                meant = meant_by(key, section.path[0])
                fix = f"Write {meant.name}" if isinstance(meant, Setting) else meant or "Remove it"
                yield Finding(origin, f"unknown key {quoted(key)}", fix, section.consequence)


def misplaced_keys(subject: Subject) -> Iterator[Finding]:
    """Settings in the wrong table, embedding settings in `[llm]` among them."""
    for section in subject.sections:
        for key in section.values:
            if key in SETTINGS and SETTINGS[key].section != section.path[0]:
                origin = subject.document.origin(*section.path, key)
                consequence = section.consequence if section.path[0] == "llm" else ""
                message = f"{key} does not belong under {titled(section.path)}"
                yield Finding(
                    origin, message, f"Write it under [{SETTINGS[key].section}]", consequence
                )


def bad_values(subject: Subject) -> Iterator[Finding]:
    """Values of another type or out of bounds."""
    for section, setting, value in _settings_in(subject.sections):
        fault = fault_of(setting, setting.from_toml, value)
        if fault and value not in NONE_WORDS:
            takes = setting.takes.removesuffix(", or none")
            origin = subject.document.origin(*section.path, setting.name)
            consequence = section.consequence
            if fault == "bounds" and consequence:
                consequence = "OpenHands would take it"
            fix = f"Write {takes}" + ", or remove the line" * setting.optional
            yield Finding(origin, cannot_be(setting, value), fix, consequence)


def none_as_text(subject: Subject) -> Iterator[Finding]:
    """The text "None", which is no none."""
    for section, setting, value in _settings_in(subject.sections):
        if value in NONE_WORDS:
            text = setting.kind in ("str", "secret")
            yield Finding(
                subject.document.origin(*section.path, setting.name),
                f'{setting.name} is the text "{value}", which is not the same as none',
                "Remove the line: what is not set is none",
                "OpenHands would take it for text" if text else section.consequence,
            )


def newer_settings(subject: Subject) -> Iterator[Finding]:
    """Settings that OpenHands 0.41 does not have yet."""
    for section, setting, _ in _settings_in(subject.sections):
        if setting.newer:
            yield Finding(
                subject.document.origin(*section.path, setting.name),
                f"{setting.name} is newer than OpenHands 0.41",
                "Keep it only for a later OpenHands",
                section.consequence.replace("OpenHands", "OpenHands 0.41"),
                "note",
            )


def dots_in_group_names(subject: Subject) -> Iterator[Finding]:
    """`[llm.gpt-4.1]`, which TOML reads as a table 1 in a table gpt-4."""
    llm = subject.document.table("llm")
    for group in subject.document.groups:
        for key, table in llm[group].items():
            if is_dictionary_setting(group) or not is_split(key, table):
                continue
            names = [group, key]
            while len(table) == 1 and isinstance(inner := next(iter(table.values())), dict):
                names, table = [*names, *table], inner  # noqa: PLW2901 - further down
            yield Finding(
                subject.document.origin("llm", *names),
                f"{titled(('llm', *names))} is no group of this name: each dot nests a table",
                f"Write {titled(('llm', '.'.join(names)))}",
                f"OpenHands would skip the whole group {titled(('llm', group))}",
            )


def dictionaries_in_llm(subject: Subject) -> Iterator[Finding]:
    """A dictionary in `[llm]` itself, which OpenHands takes for a group."""
    for name in filter(is_dictionary_setting, subject.document.groups):
        yield Finding(
            subject.document.origin("llm", name),
            f"{name} is a table in [llm], and so a group",
            f"Write it inside a group, or set {SETTINGS[name].variable}",
            f"OpenHands would take it for the group {titled(('llm', name))}",
        )


def readable_keys(subject: Subject) -> Iterator[Finding]:
    """A key in a file that others may read."""
    document = subject.document
    place = next(_keys_in(document.data), None)
    if place is None or os.name == "nt":
        return
    try:
        mode = document.path.stat().st_mode
    except OSError:
        return
    if mode & GROUP_OR_WORLD:
        yield Finding(
            document.origin(*place),
            f"others on this machine may use this key (the file's mode is {mode & 0o777:o})",
            f"Run chmod 600 {shlex.quote(shown_path(document.path))}",
            level="warning",
        )


RULES: tuple[Callable[[Subject], Iterable[Finding]], ...] = (
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


def _settings_in(sections: Iterable[Section]) -> Iterator[tuple[Section, Setting, Any]]:
    """Give every setting that stands where it belongs, with its value."""
    for section in sections:
        for key, value in section.values.items():
            if key in SETTINGS and SETTINGS[key].section == section.path[0]:
                yield section, SETTINGS[key], value


def _keys_in(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Find the path of each text that is a key by its name."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _keys_in(value, (*path, name))
        elif isinstance(value, str) and value and _names_key(name):
            yield (*path, name)


def _names_key(name: str) -> bool:
    setting = SETTINGS.get(name)
    return (setting is not None and setting.kind == "secret") or name.endswith(
        ("api_key", "_secret", "_token", "password")
    )
