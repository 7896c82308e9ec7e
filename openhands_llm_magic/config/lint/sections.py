"""Rules about the sections beside `[llm]`: does OpenHands start, and which model do its agents use?

What these sections do besides is not looked at, and a note says so.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import openhands_file
from openhands_llm_magic.config.document import Origin
from openhands_llm_magic.config.lint.finding import (
    SILENTLY,
    Finding,
    Subject,
    closest,
    meant_by,
    quoted,
    titled,
)
from openhands_llm_magic.config.lint.value import Placeholder, placeholder_in
from openhands_llm_magic.config.openhands_file import NOT_STARTED, SECTIONS, Section, section_of
from openhands_llm_magic.config.resolve import BASE_GROUP
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.setting import LAX, Setting, described
from openhands_llm_magic.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Path = tuple[str, ...]

DRAFT_EDITOR = "draft_editor"
"""The group of the model that OpenHands edits files with, if an agent has enable_llm_editor."""

NO_CONDENSER = "OpenHands would use no condenser"


def home_of(name: str, value: object = None) -> tuple[str, str] | str | None:
    """Return where a key belongs: its table and its name there, or advice, or None.

    Args:
        name: The key, or the name of an environment variable, as LLM_MODEL.
        value: What it is set to.
    """
    low = name.lower()
    if low.startswith("llm_") or low in SETTINGS:
        meant = meant_by(low, "llm", value)
        return (meant.section, meant.name) if isinstance(meant, Setting) else meant
    low = openhands_file.RENAMED.get(low, low)
    if (section := section_of(low)) is not None:
        return section.name, low
    for each in SECTIONS.values():
        field = low.removeprefix(each.variable_prefix.lower())
        if each.variable_prefix and low != field and field in each.fields:
            return each.name, field
    return None


def fix_of_misplaced(section: Section, field: str) -> str:
    """Say where to write a field that stands in another table than its own."""
    if secrecy(field) >= Secrecy.LIKELY and section.name == "core":
        # OpenHands 0.41 does not make a secret of text that it reads from the file's [core].
        variable = section.variable_prefix + field.upper()
        return f"It is a setting of [{section.name}]: set the variable {variable}"
    return f"Write it under [{section.name}]"


def not_looked_at(subject: Subject) -> Iterator[Finding]:
    """Note what the check leaves out."""
    known = (*SECTIONS, "condenser", "extended")
    present = [each for each in known if subject.document.table(each)]
    if present:
        *others, last = [f"[{each}]" for each in present]
        names = f"{', '.join(others)} and {last}" if others else last
        yield Finding(
            subject.document.origin(present[0]),
            f"of {names} the check looks at no more than decides whether OpenHands 0.41 starts and"
            " which model its agents use",
            "Try the rest in OpenHands",
            "What is stored by OpenHands' own settings page is not looked at, either",
            "note",
        )


def replaced_tables(subject: Subject) -> Iterator[Finding]:
    """Find `[llm.llm]` and `[agent.agent]`, which take the place of `[llm]` and `[agent]`."""
    for name in (BASE_GROUP, "agent"):
        if isinstance(subject.document.table(name).get(name), dict):
            yield Finding(
                subject.document.origin(name, name),
                f"{titled((name, name))} takes the place of [{name}] itself",
                f"Write its keys under [{name}]",
                "OpenHands would use its values, too",
                "warning",
            )


def sections(subject: Subject) -> Iterator[Finding]:
    """Find keys of other sections that OpenHands does not know, and values of another type."""
    for path, section, table in _tables(subject):
        for key, value in table.items():
            if key not in section.fields:
                yield _unknown(subject, path, section, key, value)
            elif not openhands_file.takes(section.fields[key], value):
                yield _of_other_type(subject, path, section, key, value)


def mcp_servers(subject: Subject) -> Iterator[Finding]:
    """Find MCP servers that stop OpenHands at its start, or that it goes on without."""
    if fault := openhands_file.server_fault(subject.document.table("mcp")):
        known = ", ".join(SECTIONS["mcp"].fields)
        yield Finding(
            subject.document.origin("mcp", fault.field),
            fault.message + f" {quoted(fault.field)}" * (fault.field not in known),
            f"Write lists of servers under {known}: each an address, or a table with its url, or"
            " for stdio_servers its name and command",
            NOT_STARTED if fault.is_fatal else "OpenHands would use no MCP servers",
        )


def volumes(subject: Subject) -> Iterator[Finding]:
    """Find mounts of the sandbox that stop OpenHands at its start."""
    in_file = subject.document.table("sandbox").get("volumes")
    in_env = subject.env.get("SANDBOX_VOLUMES")
    origin = subject.document.origin("sandbox", "volumes")
    text, origin = (
        (in_env, Origin("environment", "SANDBOX_VOLUMES")) if in_env else (in_file, origin)
    )
    if isinstance(text, str) and any(mount.count(":") not in (1, 2) for mount in text.split(",")):
        fix = "Write '/on/this/machine:/in/the/sandbox:rw', and commas between several"
        yield Finding(origin, "volumes is not a list of mounts", fix, NOT_STARTED)


def literals(subject: Subject) -> Iterator[Finding]:
    """Find variables of lists and tables that are not Python literals."""
    for section in SECTIONS.values():
        for field, kind in section.fields.items():
            variable = section.variable_prefix + field.upper()
            text = subject.env.get(variable)
            if text and kind in ("texts", "text table", "table", "servers"):
                try:
                    ast.literal_eval(text)
                except SyntaxError:
                    example = "['a', 'b']" if kind in ("texts", "servers") else "{'a': 'b'}"
                    message = f"{field} is not a Python literal"
                    fix = f"Set it in this form: {example}"
                    yield Finding(Origin("environment", variable), message, fix, NOT_STARTED)
                except (ValueError, TypeError, MemoryError, RecursionError):
                    continue  # OpenHands logs these, and goes on without


def search_key(subject: Subject) -> Iterator[Finding]:
    """Find a key for searches that OpenHands reads as plain text, and then takes for a secret."""
    if subject.document.table("core").get("search_api_key") and not subject.env.get(
        "SEARCH_API_KEY"
    ):
        yield Finding(
            subject.document.origin("core", "search_api_key"),
            "OpenHands 0.41 does not read search_api_key as a secret from a file",
            "Set the variable SEARCH_API_KEY",
            "OpenHands 0.41 would stop with an error before the first prompt, except on the web",
            "warning",
        )


def placeholders(subject: Subject) -> Iterator[Finding]:
    """Find names of variables in place of the secrets of other sections."""
    for name in (*SECTIONS, "condenser"):
        for path, text in _texts(subject.document.table(name), (name,)):
            is_secret = secrecy(path[-1]) >= Secrecy.LIKELY and path[-1] not in SETTINGS
            kind = placeholder_in(text, is_secret=True) if is_secret else None
            if kind is Placeholder.REFERENCE:
                yield Finding(
                    subject.document.origin(*path),
                    f"{quoted(path[-1])} is {kind.value}, in place of a value",
                    "TOML expands nothing: write the value itself",
                    "OpenHands would take it as it stands, too",
                    "warning",
                )


def agent_names(subject: Subject) -> Iterator[Finding]:
    """Find tables of agents that there are not."""
    for name, table in _agents(subject).items():
        if name in openhands_file.AGENTS or table.get("classpath") or name == "agent":
            continue
        near = closest(name, openhands_file.AGENTS)
        yield Finding(
            subject.document.origin("agent", name),
            f"OpenHands 0.41 has no agent {quoted(name)}",
            f"Write {titled(('agent', near))}" if near else "Remove the table, or set classpath",
            SILENTLY,
            "warning" if near else "note",
        )


def group_names(subject: Subject) -> Iterator[Finding]:
    """Find names of groups `[llm.NAME]` that the file does not have."""
    for origin, name in _names_of_groups(subject):
        if name not in ("", BASE_GROUP, *subject.document.groups):
            yield Finding(
                origin,
                "llm_config names no group of the file",
                _group_to_write(name, subject.document.groups),
                "OpenHands would use the model of [llm], and say so in its log",
            )


def draft_editor(subject: Subject) -> Iterator[Finding]:
    """Find an agent that edits with a model of its own, where there is no such model."""
    if DRAFT_EDITOR in subject.document.groups:
        return
    for path, table in _agent_tables(subject).items():
        if LAX["bool"](table.get("enable_llm_editor", False)):
            near = closest(DRAFT_EDITOR, subject.document.groups)
            header = titled(("llm", DRAFT_EDITOR))
            yield Finding(
                subject.document.origin(*path, "enable_llm_editor"),
                f"enable_llm_editor asks for the group {header}, which is not there",
                f"Write {header}" + (f" in place of {titled(('llm', near))}" if near else ""),
                "OpenHands would edit with the model of [llm], and say so in its log",
                "warning",
            )


def condenser(subject: Subject) -> Iterator[Finding]:
    """Find mistakes for which OpenHands condenses nothing."""
    table = subject.document.table("condenser")
    kind = table.get("type", "noop")
    least = openhands_file.CONDENSERS.get(kind) if isinstance(kind, str) else None
    if least is None:
        fix = f"Write one of: {', '.join(openhands_file.CONDENSERS)}"
        origin = subject.document.origin("condenser", "type")
        yield Finding(origin, "unknown type of condenser", fix, NO_CONDENSER)
    if least is None or kind == "noop":
        return  # of the latter nothing is lost
    asks_for_model = "max_event_length" in least or kind in openhands_file.CONDENSERS_BY_GROUP
    if asks_for_model and "llm_config" not in table:
        message = f"a condenser of type {kind} has no llm_config"
        origin = subject.document.origin("condenser")
        yield Finding(origin, message, 'Write llm_config = "llm" beside it', NO_CONDENSER)
    for key, value in table.items():
        origin = subject.document.origin("condenser", key)
        if key == "llm_config" and asks_for_model:
            by_name = kind in openhands_file.CONDENSERS_BY_GROUP and isinstance(value, str)
            if not by_name and not isinstance(value, dict):
                message = f"llm_config of a condenser of type {kind} cannot be {described(value)}"
                yield Finding(origin, message, 'Write type = "llm"', NO_CONDENSER)
        elif key in least:
            number = LAX["int"](value) if isinstance(value, str | int | float) else None
            if number is None or number < least[key]:
                message = f"{key} cannot be {described(value)}"
                fix = f"Write a whole number, {max(least[key], 0):g} or more"
                yield Finding(origin, message, fix, NO_CONDENSER)
        elif key != "type":
            message = f"unknown key {quoted(key)} of a condenser of type {kind}"
            yield Finding(origin, message, "Remove it", NO_CONDENSER)


RULES: tuple[Callable[[Subject], Iterable[Finding]], ...] = (
    not_looked_at,
    replaced_tables,
    sections,
    mcp_servers,
    volumes,
    literals,
    search_key,
    placeholders,
    agent_names,
    group_names,
    draft_editor,
    condenser,
)


def _tables(subject: Subject) -> Iterator[tuple[Path, Section, Mapping[str, Any]]]:
    """Yield every table with a fixed set of keys, without the settings, which `file` checks."""
    for name, section in SECTIONS.items():
        if name == "mcp":
            continue  # what is wrong with its keys depends on their order, see `mcp_servers`
        table = subject.document.table(name)
        agents = _agents(subject) if name == "agent" else {}
        own = {key: each for key, each in table.items() if key not in agents}
        if name == "core":
            own = {key: each for key, each in own.items() if key not in SETTINGS}
        yield (name,), section, own
        for agent, each in agents.items():
            yield (name, agent), section, each


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every text in nested tables and lists, with the names that it stands under."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, (*path, name))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, path)
    elif isinstance(value, str):
        yield path, value


def _agents(subject: Subject) -> dict[str, Mapping[str, Any]]:
    """Return the tables `[agent.NAME]`."""
    agent = subject.document.table("agent")
    return {name: each for name, each in agent.items() if isinstance(each, dict)}


def _agent_tables(subject: Subject) -> dict[Path, Mapping[str, Any]]:
    """Return `[agent]` and each `[agent.NAME]`, by the names in their headers."""
    of_names: dict[Path, Mapping[str, Any]] = {
        ("agent", name): table for name, table in _agents(subject).items()
    }
    return {("agent",): subject.document.table("agent"), **of_names}


def _consequence(path: Path, consequence: str) -> str:
    return f"OpenHands would skip {titled(path)}" if path[1:] else consequence


def _unknown(subject: Subject, path: Path, section: Section, key: str, value: object) -> Finding:
    """Return the finding about a key that a section does not have."""
    origin = subject.document.origin(*path, key)
    consequence = _consequence(path, section.consequence)
    if section.name == "core" and key in openhands_file.NOT_STARTED_BY_CORE:
        table = openhands_file.NOT_STARTED_BY_CORE[key]
        is_replaced = key == "sandbox" and key in subject.document.data
        told = f"{titled((*path, key))} is no table of OpenHands"
        return Finding(origin, told, f"Write [{table}]", "" if is_replaced else NOT_STARTED)
    home = home_of(key, value)
    fields = [each for each, kind in section.fields.items() if openhands_file.takes(kind, value)]
    near = closest(key, fields) if secrecy(key) < Secrecy.LIKELY else ""
    message = f"unknown key {quoted(key)}"
    if isinstance(home, str):
        fix = home
    elif home is not None and home[0] != section.name:
        message = f"{key} does not belong under {titled(path)}"
        table, name = home
        fix = (
            fix_of_misplaced(SECTIONS[table], name)
            if table in SECTIONS
            else f"Write it under [{table}]"
        )
        fix += f", as {name}" * (name != key)
    else:
        name = home[1] if home else near
        fix = f"Write {name}" if name else "Remove it"
    return Finding(origin, message, fix, consequence)


def _of_other_type(
    subject: Subject, path: Path, section: Section, key: str, value: object
) -> Finding:
    kind = section.fields[key]
    words = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "text in quotes",
        "texts": 'a list of texts, as ["a", "b"]',
        "text table": 'a table of texts, as {A = "1"}',
    }
    consequence = _consequence(path, section.on_bad_value)
    if section.name == "core" and key in openhands_file.NOT_STARTED_BY_TYPE:
        consequence = NOT_STARTED
    shown = "this" if secrecy(key) >= Secrecy.POSSIBLE else described(value)
    fix = f"Write {words.get(kind, 'a table')}"
    return Finding(
        subject.document.origin(*path, key), f"{key} cannot be {shown}", fix, consequence
    )


def _names_of_groups(subject: Subject) -> Iterator[tuple[Origin, str]]:
    """Yield every name of a group that OpenHands looks up, and its place."""
    document = subject.document
    tables = _agent_tables(subject)
    if str(document.table("condenser").get("type")) in openhands_file.CONDENSERS_BY_GROUP:
        tables[("condenser",)] = document.table("condenser")
    for path, table in tables.items():
        name = table.get("llm_config")
        if isinstance(name, str):
            yield document.origin(*path, "llm_config"), name
    if name := subject.env.get("AGENT_LLM_CONFIG"):
        yield Origin("environment", "AGENT_LLM_CONFIG"), name


def _group_to_write(name: str, groups: tuple[str, ...]) -> str:
    """Say which group to name in place of one that there is not."""
    bare = name.strip().strip("[]").removeprefix("llm.").strip("\"'")
    by_letters = {each.lower(): each for each in (*groups, BASE_GROUP)}
    near = by_letters.get(bare.lower()) or closest(bare, groups)
    names = near or ", ".join(groups) or BASE_GROUP
    return f"Write {names!r}" if near else f"Write one that there is, of: {names}"
