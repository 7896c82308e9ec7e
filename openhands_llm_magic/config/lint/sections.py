"""Rules about the sections beside `[llm]`: does OpenHands start, and which model do its agents use?

What these sections do besides is not looked at, and a note says so.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import openhands_file
from openhands_llm_magic.config.document import Origin
from openhands_llm_magic.config.layers import BASE_GROUP
from openhands_llm_magic.config.lint.finding import (
    REMOVE,
    SILENTLY,
    TAKEN_AS_IT_STANDS,
    Finding,
    Subject,
    cannot_be,
    meant_by,
    misplaced,
    quoted,
    unknown_key,
    write,
    write_kind,
    write_one_of,
    write_under,
)
from openhands_llm_magic.config.lint.value import (
    TOML_EXPANDS_NOTHING,
    Placeholder,
    placeholder_in,
    stands_in,
)
from openhands_llm_magic.config.openhands_file import (
    NO_SERVERS,
    NOT_STARTED,
    NOTHING,
    SECTIONS,
    Section,
    section_of,
    titled,
)
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.setting import LAX, Setting, python_tree
from openhands_llm_magic.config.settings import SETTINGS, closest
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from openhands_llm_magic.config.openhands_file import FieldKind

    Path = tuple[str, ...]

DRAFT_EDITOR = "draft_editor"
"""The group of the model that OpenHands edits files with, if an agent has enable_llm_editor."""

NO_CONDENSER = Text("OpenHands would use no condenser")


def home_of(name: str, value: object = None) -> tuple[str, str] | Text | None:
    """Return where a key belongs: its table and its name there, or advice, or None.

    Args:
        name: The key, or the name of an environment variable, as LLM_MODEL.
        value: What it is set to.
    """
    low = name.lower()
    if low.startswith("llm_") or low in SETTINGS:
        meant = meant_by(low, "llm", value)
        return (meant.section, meant.name) if isinstance(meant, Setting) else meant
    low = openhands_file.FORMER_NAMES.get(low, low)
    if (section := section_of(low)) is not None:
        return section.name, low
    for each in SECTIONS.values():
        field = low.removeprefix(each.variable_prefix.lower())
        if each.variable_prefix and low != field and field in each.fields:
            return each.name, field
    return None


def fix_of_misplaced(section: Section, field: str) -> Text:
    """Say where to write a field that stands in another table than its own."""
    if secrecy(field) >= Secrecy.LIKELY and section.name == "core":
        # OpenHands 0.41 does not make a secret of text that it reads from the file's [core].
        variable = section.variable_prefix + field.upper()
        told = "It is a setting of [{table}]: set the variable {variable}"
        return Text(told, table=section.name, variable=variable)
    return write_under(section.name)


def not_looked_at(subject: Subject) -> Iterator[Finding]:
    """Note what the check leaves out."""
    known = (*SECTIONS, "condenser", "extended")
    present = [each for each in known if subject.document.table(each)]
    if present:
        *others, last = [f"[{each}]" for each in present]
        names = Text("{others} and {last}", others=", ".join(others), last=last)
        message = (
            "of {names} the check looks at no more than decides whether OpenHands 0.41 starts and"
            " which model its agents use"
        )
        yield Finding(
            subject.document.origin(present[0]),
            Text(message, names=names if others else last),
            Text("Try the rest in OpenHands"),
            Text("What is stored by OpenHands' own settings page is not looked at, either"),
            "note",
        )


def replaced_tables(subject: Subject) -> Iterator[Finding]:
    """Find `[llm.llm]` and `[agent.agent]`, which take the place of `[llm]` and `[agent]`."""
    for name in (BASE_GROUP, "agent"):
        if isinstance(subject.document.table(name).get(name), dict):
            told = "{header} takes the place of [{table}] itself"
            yield Finding(
                subject.document.origin(name, name),
                Text(told, header=titled((name, name)), table=name),
                Text("Write its keys under [{table}]", table=name),
                Text("OpenHands would use its values, too"),
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
        fix = (
            "Write lists of servers under {names}: each an address, or a table with its url, or"
            " for stdio_servers its name and command"
        )
        yield Finding(
            subject.document.origin("mcp", fault.field),
            fault.message,
            Text(fix, names=", ".join(SECTIONS["mcp"].fields)),
            NOT_STARTED if fault.is_fatal else NO_SERVERS,
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
        fix = Text("Write '/on/this/machine:/in/the/sandbox:rw', and commas between several")
        yield Finding(origin, Text("volumes is not a list of mounts"), fix, NOT_STARTED)


def literals(subject: Subject) -> Iterator[Finding]:
    """Find variables of lists and tables that are not Python literals."""
    for section in SECTIONS.values():
        for field, kind in section.fields.items():
            variable = section.variable_prefix + field.upper()
            text = subject.env.get(variable)
            if text and kind in ("texts", "text table", "table", "servers"):
                try:
                    ast.literal_eval(python_tree(text.lstrip(" \t"), "eval"))
                except SyntaxError:
                    example = "['a', 'b']" if kind in ("texts", "servers") else "{'a': 'b'}"
                    message = Text("{name} is not a Python literal", name=field)
                    fix = Text("Set it in this form: {example}", example=example)
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
            Text("OpenHands 0.41 does not read search_api_key as a secret from a file"),
            Text("Set the variable {variable}", variable="SEARCH_API_KEY"),
            Text(
                "OpenHands 0.41 would stop with an error before the first prompt, except on the web"
            ),
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
                    stands_in(quoted(path[-1]), kind),
                    TOML_EXPANDS_NOTHING,
                    TAKEN_AS_IT_STANDS,
                    "warning",
                )


def agent_names(subject: Subject) -> Iterator[Finding]:
    """Find tables of agents that there are not."""
    for name, table in _agents(subject).items():
        if name in openhands_file.AGENTS or table.get("classpath") or name == "agent":
            continue
        near = closest(name, openhands_file.AGENTS)
        fix = Text("Remove the table, or set classpath")
        yield Finding(
            subject.document.origin("agent", name),
            Text("OpenHands 0.41 has no agent {name}", name=quoted(name)),
            write(titled(("agent", near))) if near else fix,
            SILENTLY,
            "warning" if near else "note",
        )


def group_names(subject: Subject) -> Iterator[Finding]:
    """Find names of groups `[llm.NAME]` that the file does not have."""
    for origin, name in _names_of_groups(subject):
        if name not in ("", BASE_GROUP, *subject.document.groups):
            yield Finding(
                origin,
                Text("llm_config names no group of the file"),
                _group_to_write(name, subject.document.groups),
                Text("OpenHands would use the model of [llm], and say so in its log"),
            )


def draft_editor(subject: Subject) -> Iterator[Finding]:
    """Find an agent that edits with a model of its own, where there is no such model."""
    if DRAFT_EDITOR in subject.document.groups:
        return
    for path, table in _agent_tables(subject).items():
        if LAX["bool"](table.get("enable_llm_editor", False)):
            near = closest(DRAFT_EDITOR, subject.document.groups)
            header = titled(("llm", DRAFT_EDITOR))
            told = "enable_llm_editor asks for the group {header}, which is not there"
            fix = write(header)
            if near:
                there = titled(("llm", near))
                fix = Text("Write {header} in place of {there}", header=header, there=there)
            yield Finding(
                subject.document.origin(*path, "enable_llm_editor"),
                Text(told, header=header),
                fix,
                Text("OpenHands would edit with the model of [llm], and say so in its log"),
                "warning",
            )


def condenser(subject: Subject) -> Iterator[Finding]:
    """Find mistakes for which OpenHands condenses nothing."""
    table = subject.document.table("condenser")
    kind = table.get("type", "noop")
    least = openhands_file.CONDENSERS.get(kind) if isinstance(kind, str) else None
    if least is None:
        fix = write_one_of(openhands_file.CONDENSERS)
        origin = subject.document.origin("condenser", "type")
        yield Finding(origin, Text("unknown type of condenser"), fix, NO_CONDENSER)
    if least is None or kind == "noop":
        return  # of the latter nothing is lost
    asks_for_model = "max_event_length" in least or kind in openhands_file.CONDENSERS_BY_GROUP
    if asks_for_model and "llm_config" not in table:
        message = Text("a condenser of type {type} has no llm_config", type=kind)
        fix = Text('Write llm_config = "llm" beside it')
        yield Finding(subject.document.origin("condenser"), message, fix, NO_CONDENSER)
    for key, value in table.items():
        origin = subject.document.origin("condenser", key)
        if key == "llm_config" and asks_for_model:
            by_name = kind in openhands_file.CONDENSERS_BY_GROUP and isinstance(value, str)
            if not by_name and not isinstance(value, dict):
                name = Text("llm_config of a condenser of type {type}", type=kind)
                fix = write('type = "llm"')
                yield Finding(origin, cannot_be(name, value), fix, NO_CONDENSER)
        elif key in least:
            number = LAX["int"](value) if isinstance(value, str | int | float) else None
            if number is None or number < least[key]:
                fix = Text("Write a whole number, {least} or more", least=f"{max(least[key], 0):g}")
                yield Finding(origin, cannot_be(key, value), fix, NO_CONDENSER)
        elif key != "type":
            told = "unknown key {key} of a condenser of type {type}"
            message = Text(told, key=quoted(key), type=kind)
            yield Finding(origin, message, REMOVE, NO_CONDENSER)


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


def _consequence(path: Path, consequence: Text) -> Text:
    if path[1:]:
        return Text("OpenHands would skip {header}", header=titled(path))
    return consequence


def _unknown(subject: Subject, path: Path, section: Section, key: str, value: object) -> Finding:
    """Return the finding about a key that a section does not have."""
    origin = subject.document.origin(*path, key)
    consequence = _consequence(path, section.consequence)
    if section.name == "core" and key in openhands_file.NOT_STARTED_BY_CORE:
        table = openhands_file.NOT_STARTED_BY_CORE[key]
        is_replaced = key == "sandbox" and key in subject.document.data
        message = Text("{header} is no table of OpenHands", header=titled((*path, key)))
        return Finding(
            origin, message, write(f"[{table}]"), NOTHING if is_replaced else NOT_STARTED
        )
    home = home_of(key, value)
    fields = [each for each, kind in section.fields.items() if openhands_file.takes(kind, value)]
    near = closest(key, fields) if secrecy(key) < Secrecy.LIKELY else ""
    message = unknown_key(key)
    if isinstance(home, Text):
        fix = home
    elif home is not None and home[0] != section.name:
        message = misplaced(key, path)
        table, name = home
        known = table in SECTIONS
        fix = fix_of_misplaced(SECTIONS[table], name) if known else write_under(table)
        if name != key:
            fix = Text("{fix}, as {name}", fix=fix, name=name)
    else:
        name = home[1] if home else near
        fix = write(name) if name else REMOVE
    return Finding(origin, message, fix, consequence)


IN_FORM: Mapping[FieldKind, Text] = {
    "bool": write_kind(Text("true or false")),
    "int": write_kind(Text("a whole number")),
    "float": write_kind(Text("a number")),
    "str": write_kind(Text("text in quotes")),
    "texts": Text('Write a list of texts, as ["a", "b"]'),
    "text table": Text("Write a table of texts, as {example}", example='{A = "1"}'),
}
"""What to write for a field of each type; for any other, a table."""


def _of_other_type(
    subject: Subject, path: Path, section: Section, key: str, value: object
) -> Finding:
    consequence = _consequence(path, section.on_bad_value)
    if section.name == "core" and key in openhands_file.NOT_STARTED_BY_TYPE:
        consequence = NOT_STARTED
    message = cannot_be(key, value, is_secret=secrecy(key) >= Secrecy.POSSIBLE)
    fix = IN_FORM.get(section.fields[key], write_kind(Text("a table")))
    return Finding(subject.document.origin(*path, key), message, fix, consequence)


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


def _group_to_write(name: str, groups: tuple[str, ...]) -> Text:
    """Say which group to name in place of one that there is not."""
    bare = name.strip().strip("[]").removeprefix("llm.").strip("\"'")
    by_letters = {each.lower(): each for each in (*groups, BASE_GROUP)}
    near = by_letters.get(bare.lower()) or closest(bare, groups)
    if near:
        return write(repr(near))
    return Text("Write one that there is, of: {names}", names=", ".join(groups) or BASE_GROUP)
