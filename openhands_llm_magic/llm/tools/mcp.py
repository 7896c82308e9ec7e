"""Tools of MCP servers: found by name, told to a model, and called like functions.

A server is started or connected to when it is first named, and closed with the process. The package
`mcp` is reached through `mcp_connection`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import json
import os
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.mcp_servers import configured, problem_of_json
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import closest
from openhands_llm_magic.errors import McpError, Text, UsageError
from openhands_llm_magic.llm.openhands.folder import CLI_VARIABLE, folder
from openhands_llm_magic.llm.tools.declared import RemoteError, Tool
from openhands_llm_magic.llm.tools.mcp_connection import (
    INSTALL,
    LONGEST_REASON,
    Connection,
    error_about,
    too_slow,
)
from openhands_llm_magic.llm.tools.mcp_told import (
    LONGEST_DESCRIPTION,
    fit_schema,
    name_for,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.config.mcp_servers import Entry, Server
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.tools.mcp_connection import Watch

MOST_TOOLS = 128
"""Functions that OpenAI takes with a request; others take about as many."""

CLOSING_S = 5.0
"""Seconds that all servers have to end when the process does: the package closes a program's
input, after 2 s asks it to end, and after 2 more ends it."""


def mcp_tools(name: str, settings: Snapshot | None = None) -> list[Tool]:
    """Return the tools of an MCP server, for `ask(..., tools=mcp_tools("files"))`.

    The server is started or connected to, unless it was before, which is waited for: in an event
    loop, `await asyncio.to_thread(mcp_tools, "files")`. It stands in the configuration:
    `[openhands_llm_magic.mcp.NAME]` or OpenHands' own, of a file that the person trusts.

    Args:
        name: The server's name for all of its tools, or NAME.TOOL for one.
        settings: Names the config file; by default what `load_settings` finds.

    Raises:
        UsageError: There is no such server or tool, or the package `mcp` is not installed.
        SettingError: The server is not written as it must be, or its file is not trusted.
        McpError: The server does not start or answer.
    """
    return tools_named(name, settings or load_settings())


def tools_named(name: str, settings: Snapshot, watch: Watch = lambda _: None) -> list[Tool]:
    """Return the tools that a name stands for; see `mcp_tools`.

    Args:
        name: What the person has written.
        settings: Where the servers stand, and how long one may take.
        watch: Told while the server starts.
    """
    entries = servers(settings)
    server_name, tool_name = split(name, entries)
    if server_name not in entries:
        raise UsageError(_no_such_server(name, entries))
    server = entries[server_name].server()
    if importlib.util.find_spec("mcp") is None:
        told = "MCP servers need the package mcp: run `{install}`."
        raise UsageError(Text(told, install=INSTALL))
    listed = _listed(server, settings.mcp_timeout, watch)[1]
    tools = _declared(server, listed, settings.mcp_timeout)
    if not tool_name:
        _require_few(server, [*tools])
        return [*tools.values()]
    if tool_name not in tools:
        raise UsageError(_no_such_tool(name, server, tool_name, [*tools]))
    return [tools[tool_name]]


def servers(settings: Snapshot) -> dict[str, Entry]:
    """Return the servers of the configuration by their names; nothing is started."""
    return configured(settings, folder(CLI_VARIABLE, os.environ))


def known_names(settings: Snapshot) -> list[str]:
    """Return the names of servers, and NAME.TOOL of those that run; nothing is started.

    Those are left out that are more than one word, or none: Tab writes them into a cell.
    """
    entries = servers(settings)
    running = [_open[name] for name in entries if name in _open]
    tools = (f"{each.server.name}.{tool}" for each in running for tool in each.names)
    return [name for name in (*entries, *tools) if _ONE_WORD.fullmatch(name)]


_ONE_WORD = re.compile(r"[\w./:@-]+")


def split(name: str, entries: Mapping[str, Entry]) -> tuple[str, str]:
    """Return a server's name and that of a tool, or "" for all; both may have dots in them."""
    ends = [len(name), *(found.start() for found in re.finditer(r"\.", name))]
    server = next((name[:end] for end in ends if name[:end] in entries), name.partition(".")[0])
    return server, name[len(server) + 1 :]


def _no_such_server(name: str, entries: Mapping[str, Entry]) -> Text:
    if problem := problem_of_json(folder(CLI_VARIABLE, os.environ)):
        return Text("there is no MCP server {name} ({problem}).", name=name, problem=problem)
    if not entries:
        return Text("there is no MCP server {name}: no MCP server is configured.", name=name)
    told = "there is no MCP server {name}; there are: {names}."
    return Text(told, name=name, names=shorten(", ".join(entries), LONGEST_REASON))


def _no_such_tool(name: str, server: Server, tool: str, names: Sequence[str]) -> Text:
    if near := closest(tool, names):
        told = "{name}: the MCP server {server} has no tool {tool}; did you mean {near}?"
        return Text(told, name=name, server=server.name, tool=tool, near=near)
    told = "{name}: the MCP server {server} has no tool {tool}; it has: {names}."
    shown = shorten(", ".join(names), LONGEST_REASON)
    return Text(told, name=name, server=server.name, tool=tool, names=shown)


def _require_few(server: Server, tools: Sequence[str]) -> None:
    if not tools:
        raise error_about(server, Text("it has no tools"))
    if len(tools) > MOST_TOOLS:
        told = (
            "the MCP server {server} has {count} tools, and providers take {most} at most: name"
            " those that are needed, as in {example}."
        )
        example = f"{server.name}.{tools[0]}"
        facts = {"server": server.name, "count": f"{len(tools):,}", "most": MOST_TOOLS}
        raise UsageError(Text(told, **facts, example=example))


@dataclass(frozen=True, slots=True)
class Remote:
    """A tool of a server, which is called like a function.

    Two are equal where the server stands in the same place and tells of the tool in the same words,
    so that what was allowed of the one is not allowed of another.

    Attributes:
        server: The server.
        tool: What the server calls it.
        told: What the server tells of it.
        limit_s: Seconds that it has to answer.
    """

    server: Server
    tool: str
    told: str = field(default="", repr=False)
    limit_s: float = field(default=60.0, compare=False)

    def __call__(self, /, **arguments: Any) -> str:
        """Call it, and wait.

        Raises:
            RemoteError: The server tells of a failure, or does not answer.
        """
        with _as_remote(self.server):
            connection = self._connected()
            return text_of(connection.call(self.tool, arguments, self.limit_s))

    async def in_loop(self, /, **arguments: Any) -> str:
        """Call it from an event loop, which goes on meanwhile.

        Raises:
            RemoteError: The server tells of a failure, or does not answer.
        """
        with _as_remote(self.server):
            connection = await asyncio.to_thread(self._connected)
            future = connection.begin(self.tool, arguments)
            try:
                result = await asyncio.wait_for(asyncio.wrap_future(future), self.limit_s)
            except TimeoutError:
                connection.close()
                raise connection.error(too_slow(self.limit_s)) from None
            except Exception as error:  # noqa: BLE001 - the package has many
                raise connection.error_of(error) from None
            return text_of(result)

    def _connected(self) -> Connection:
        """Return a connection that holds, as a program may have ended meanwhile."""
        if self.server.command:
            return _listed(self.server, self.limit_s)[0]
        connection = _connected(self.server)
        connection.ready(self.limit_s)
        return connection


@contextlib.contextmanager
def _as_remote(server: Server) -> Iterator[None]:
    """Tell a model of what went wrong with a server."""
    try:
        yield
    except McpError as error:
        raise RemoteError(f"the MCP server {server.name}: {error.text.facts['why']}") from None


def _declared(server: Server, listed: Sequence[Any], limit_s: float) -> dict[str, Tool]:
    """Return a server's tools by its own names for them."""
    made: dict[str, Tool] = {}
    for each in listed:
        name = name_for(server.name, each.name)
        schema = fit_schema(each.input_schema)
        described = (each.description or each.title or "")[:LONGEST_DESCRIPTION]
        told = json.dumps([described, schema], sort_keys=True, default=str)
        remote = Remote(server, each.name, told, limit_s)
        made[each.name] = Tool(name, described, schema, remote, secrets=server.secrets)
    return made


_open: dict[str, Connection] = {}
"""The servers of this process by their names."""

_started: list[Connection] = []
"""Those, and the ones that are still ending."""

_opening = threading.Lock()


def _connected(server: Server) -> Connection:
    """Return the connection of a server, which is made where there is none, or another one."""
    with _opening:
        connection = _open.get(server.name)
        if connection is not None and connection.server == server and not connection.is_over:
            return connection
        if connection is not None:
            connection.close()
        if not _started:
            atexit.unregister(close_all)
            atexit.register(close_all)
        _open[server.name] = connection = Connection(server)
        _started[:] = [*(each for each in _started if each.is_alive), connection]
        return connection


def _listed(
    server: Server, limit_s: float, watch: Watch = lambda _: None
) -> tuple[Connection, list[Any]]:
    """Return a server's connection with its tools; one that was there and fails is made anew."""
    before = _open.get(server.name)
    connection = _connected(server)
    try:
        return connection, connection.tools(limit_s, watch)
    except McpError:
        if connection is not before:
            raise
    connection.close()
    connection = _connected(server)
    return connection, connection.tools(limit_s, watch)


def close_all() -> None:
    """Close all servers, and wait until they have ended."""
    closing = list(_started)
    _forget()
    for each in closing:
        each.close()
    until_s = time.monotonic() + CLOSING_S
    for each in closing:
        each.join(until_s)


def _forget() -> None:
    _open.clear()
    _started.clear()


if hasattr(os, "register_at_fork"):  # a child has none of the threads
    os.register_at_fork(after_in_child=_forget)
