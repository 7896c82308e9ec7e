"""Rules about MCP servers: can each be used, and does what it is given reach it alone?"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openhands_llm_magic.config import mcp_servers, trust
from openhands_llm_magic.config.lint.finding import Finding, write
from openhands_llm_magic.config.providers import is_loopback
from openhands_llm_magic.config.setting import MCP, OURS, described
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from openhands_llm_magic.config.lint.finding import Subject


def table(subject: Subject) -> Iterator[Finding]:
    """Find something else where the tables of servers belong."""
    ours = subject.document.table(OURS)
    if MCP in ours and not isinstance(ours[MCP], dict):
        message = Text("{name} is {value}, not a table", name=MCP, value=described(ours[MCP]))
        fix = write(f"[{OURS}.{MCP}.NAME]")
        yield Finding(subject.document.origin(OURS, MCP), message, fix)


def faults(subject: Subject) -> Iterator[Finding]:
    """Find servers that are not written as they must be."""
    for name, server in mcp_servers.tables_of(subject.document).items():
        for fault in mcp_servers.faults(name, server):
            origin = subject.document.origin(OURS, MCP, name, *filter(None, [fault.key]))
            yield Finding(origin, fault.message, fault.fix)


def variables(subject: Subject) -> Iterator[Finding]:
    """Find names of variables that are not set."""
    for name, server in mcp_servers.tables_of(subject.document).items():
        for path, value in _values(server):
            variable = mcp_servers.variable_in(value)
            if variable and variable not in subject.env:
                told = (
                    "{key} of the MCP server {name} names the variable {variable}, which is not set"
                )
                facts = {"key": path[-1], "name": name, "variable": variable}
                fix = Text("Set it before Jupyter starts, or write the value itself")
                origin = subject.document.origin(OURS, MCP, name, *path)
                yield Finding(origin, Text(told, **facts), fix, level="warning")


def exposed(subject: Subject) -> Iterator[Finding]:
    """Find keys that would go over plain http, which others can read."""
    for name, server in mcp_servers.tables_of(subject.document).items():
        if next(mcp_servers.faults(name, server), None) or "url" not in server:
            continue
        place = urlsplit(server["url"])
        has_key = bool(server.get("api_key") or server.get("headers"))
        if has_key and place.scheme == "http" and not is_loopback(place.hostname or ""):
            told = "what the MCP server {name} is sent goes over plain http, with its key"
            origin = subject.document.origin(OURS, MCP, name, "url")
            yield Finding(origin, Text(told, name=name), Text("Write https://"), level="warning")


def untrusted(subject: Subject) -> Iterator[Finding]:
    """Tell of servers that are not used until the person trusts the file."""
    document = subject.document
    if mcp_servers.is_trusted(document.path, document.digest, subject.env):
        return
    for entry in mcp_servers.in_file(document):
        told = "the MCP server {name} is not used, as it stands in a project's config file"
        fix = Text("{trust_it}", trust_it=trust.trust_it(document.path))
        yield Finding(entry.origin, Text(told, name=entry.name), fix, level="note")


def left_out(subject: Subject) -> Iterator[Finding]:
    """Find servers of OpenHands' own section that 0.41 reads and then leaves out."""
    if subject.document.table(MCP).get("shttp_servers"):
        yield Finding(
            subject.document.origin(MCP, "shttp_servers"),
            Text("OpenHands 0.41 does not take shttp_servers from a file"),
            Text("Write the server under sse_servers, if it speaks SSE, too"),
            Text("OpenHands 0.41 would leave them out without a word"),
            "warning",
        )


RULES: tuple[Callable[[Subject], Iterable[Finding]], ...] = (
    table,
    faults,
    variables,
    exposed,
    untrusted,
    left_out,
)


def _values(server: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts in which the name of a variable may stand, with their keys."""
    if not isinstance(server, dict):
        return
    for key in ("env", "headers"):
        held = server.get(key)
        for name, value in held.items() if isinstance(held, dict) else ():
            if isinstance(value, str):
                yield (key, name), value
    if isinstance(server.get("api_key"), str):
        yield ("api_key",), server["api_key"]
