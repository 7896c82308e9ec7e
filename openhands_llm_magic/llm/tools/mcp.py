"""MCP servers as tools: started or connected to when they are first named, closed with the process.

The one door to the package `mcp`, which is installed with the extra of that name. Each server has a
thread with an event loop of its own: a kernel's loop is busy with the cell that waits, and a server
that keeps one thread busy holds up no other.
"""
# ruff: noqa: PLC0415 - the package takes 0.5 s to import, and need not be there

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.mcp_servers import configured, problem_of_json
from openhands_llm_magic.config.providers import is_loopback, server_of
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import closest
from openhands_llm_magic.errors import McpError, Text, UsageError, on_one_line
from openhands_llm_magic.llm.openhands.folder import CLI_VARIABLE, folder
from openhands_llm_magic.llm.tools.declared import LONGEST_NAME, RemoteError, Tool, fit_name
from openhands_llm_magic.llm.worker import POLL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from openhands_llm_magic.config.mcp_servers import Entry, Server
    from openhands_llm_magic.config.resolve import Snapshot

    Watch = Callable[[float], None]
    """Told while a server starts, with the seconds that it has taken."""

INSTALL = "pip install 'openhands-llm-magic[mcp]'"

MOST_TOOLS = 128
"""Functions that OpenAI takes with a request; others take about as many."""

MOST_LISTED = 2_000
"""Tools of one server that are looked at."""

MOST_PAGES = 100
"""Pages of a server's list of tools; one that never ends is cut."""

LONGEST_DESCRIPTION = 10_000
"""Characters; each request pays for them."""

DEEPEST_SCHEMA = 50

CLOSING_S = 5.0
"""Seconds that all servers have to end when the process does: the package closes a program's
input, after 2 s asks it to end, and after 2 more ends it."""

CONNECT_S = 30.0
"""Seconds in which an address has to take a connection."""

TAIL = 2_000
"""Bytes that are kept of what a server writes to its standard error."""

LONGEST_REASON = 300
"""Characters of a server's own words in an error."""

LOGGERS = ("asyncio", "client", "httpcore2", "httpx2", "mcp")
"""The beginnings of the names of the loggers that tell of a server; "client" is the package's."""


def mcp_tools(name: str, settings: Snapshot | None = None) -> list[Tool]:
    """Return the tools of an MCP server, for `ask(..., tools=mcp_tools("files"))`.

    The server is started or connected to, unless it was before. It stands in the configuration:
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
    """Return the names of servers, and NAME.TOOL of those that run; nothing is started."""
    entries = servers(settings)
    running = [_open[name] for name in entries if name in _open]
    return [*entries, *(f"{each.server.name}.{tool}" for each in running for tool in each.names)]


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
        raise _error(server, Text("it has no tools"))
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
            return _text_of(connection.call(self.tool, arguments, self.limit_s))

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
                raise connection.error(_too_slow(self.limit_s)) from None
            except Exception as error:  # noqa: BLE001 - the package has many
                raise connection.error_of(error) from None
            return _text_of(result)

    def _connected(self) -> _Connection:
        """Return a connection that holds, as a program may have ended meanwhile."""
        if self.server.command:
            return _listed(self.server, self.limit_s)[0]
        connection = _connected(self.server)
        connection.ready(self.limit_s)
        return connection


@contextlib.contextmanager
def _as_remote(server: Server) -> Any:
    """Tell a model of what went wrong with a server."""
    try:
        yield
    except McpError as error:
        raise RemoteError(f"the MCP server {server.name}: {error.text.facts['why']}") from None


class _Connection:
    """A server that runs, or is being started, on a thread of its own.

    Attributes:
        server: The server.
        names: Its tools, as far as they were listed.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.names: list[str] = []
        self._ready: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: Callable[[], None] | None = None
        self._closing = False
        self._lock = threading.Lock()
        self._wrote = _Tail()
        self._strange_lines = 0
        self._status = 0
        self._thread = threading.Thread(
            target=self._run, name=f"MCP server {server.name}", daemon=True
        )
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it was closed, or has ended by itself."""
        return self._closing or not self.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def ready(self, limit_s: float, watch: Watch = lambda _: None) -> Any:
        """Wait until it has started, and return the package's client.

        Raises:
            McpError: It does not start.
        """
        return self._waited(self._ready, limit_s, watch)

    def tools(self, limit_s: float, watch: Watch = lambda _: None) -> list[Any]:
        """Return the server's tools as it lists them now, when it has started.

        Raises:
            McpError: It does not start or answer.
        """
        began_s = time.monotonic()
        client = self.ready(limit_s, watch)
        listing = self._submit(_list(client))
        listed: list[Any] = self._waited(listing, limit_s, watch, began_s)
        self.names = [each.name for each in listed]
        return listed

    def call(self, tool: str, arguments: Mapping[str, Any], limit_s: float) -> Any:
        """Call a tool, and wait; who is interrupted meanwhile closes the connection.

        Raises:
            McpError: The server does not answer.
        """
        return self._waited(self.begin(tool, arguments), limit_s)

    def begin(self, tool: str, arguments: Mapping[str, Any]) -> concurrent.futures.Future[Any]:
        """Begin to call a tool."""
        client = self._ready.result()
        return self._submit(client.session.send_request(*_call_of(tool, arguments)))

    def close(self) -> None:
        """End it soon; the call returns at once."""
        with self._lock:
            self._closing = True
            if self._loop is not None and self._end is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._end)

    def join(self, until_s: float) -> None:
        """Wait until it has ended, no longer than to a moment of the monotonic clock."""
        self._thread.join(max(0.0, until_s - time.monotonic()))

    def error(self, why: Text) -> McpError:
        """Return an error about it."""
        return _error(self.server, why)

    def error_of(self, error: BaseException) -> McpError:
        """Return an error in a person's words."""
        error = _innermost(error)
        if isinstance(error, McpError):
            return error
        if isinstance(error, ImportError):
            told = "the package mcp cannot be imported ({said}): run `{install}`"
            return self.error(Text(told, said=str(error), install=INSTALL))
        if _is_end(error) or self._status >= 400:  # noqa: PLR2004 - HTTP's own
            self.close()  # the next call begins anew
        said = on_one_line(str(error)).strip() or type(error).__name__
        if callable(errors := getattr(error, "errors", None)):  # of pydantic
            first = errors(include_url=False, include_input=False)[0]
            where, said = ".".join(map(str, first["loc"])), first["msg"]
            why = Text("it answers what is not MCP ({where}: {said})", where=where, said=said)
        elif self.server.command:
            why = self._why_of_program(error, said)
        else:
            why = self._why_of_address(said)
        return self.error(why)

    def _why_of_program(self, error: BaseException, said: str) -> Text:
        if isinstance(error, FileNotFoundError):
            if os.path.isdir(self.server.folder):  # noqa: PTH112 - Path raises where a folder cannot be entered
                return Text("there is no program {command}", command=shorten(self.server.command))
            return Text("there is no folder {path}", path=self.server.folder)
        if not self.is_over:
            return Text("{said}", said=said)
        last = self._wrote.last_line()
        return Text("it has ended: {said}", said=last) if last else Text("it has ended")

    def _why_of_address(self, said: str) -> Text:
        if self._status in (401, 403):
            told = "it refuses what it is sent (status {status}): check its api_key or headers"
            return Text(told, status=self._status)
        if self._status >= 400:  # noqa: PLR2004 - HTTP's own
            return Text("status {status}: {said}", status=self._status, said=said)
        return Text("{said}", said=said)

    def _run(self) -> None:
        _threads.add(threading.get_ident())
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - it is told where the server is waited for
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._wrote.close()
            _threads.discard(threading.get_ident())

    async def _live(self) -> None:
        import anyio
        from mcp import Client
        from mcp.shared.exceptions import MCPError

        _quieten()
        with anyio.CancelScope() as scope:
            with self._lock:
                self._loop, self._end = asyncio.get_running_loop(), scope.cancel
                if self._closing:
                    scope.cancel()
            # A server of today knows the handshake, and one of yesterday may end at anything else.
            for mode in ("legacy", "auto"):
                client = Client(
                    self._transport(), mode=mode, message_handler=self._noted, cache=None
                )
                try:
                    async with client:
                        self._wrote.begin()
                        self._ready.set_result(client)
                        await anyio.sleep_forever()
                except MCPError as error:
                    if mode == "auto" or error.code != UNSUPPORTED_VERSION or self._ready.done():
                        raise
        if not self._ready.done():
            self._ready.set_exception(concurrent.futures.CancelledError())

    async def _responded(self, response: Any) -> None:
        """Note with which status an address has answered; a GET may be refused to no harm."""
        if response.request.method == "POST" or self.server.transport == "sse":
            self._status = response.status_code

    async def _noted(self, message: object) -> None:
        """Count what the server has written that is no message."""
        self._strange_lines += isinstance(message, Exception)

    def _transport(self) -> AbstractAsyncContextManager[Any]:
        server = self.server
        headers = {name: value.get_secret_value() for name, value in server.headers}
        if server.transport == "stdio":
            from mcp.client.stdio import StdioServerParameters, stdio_client

            env = {name: value.get_secret_value() for name, value in server.env}
            program = StdioServerParameters(
                command=server.command,
                args=list(server.args),
                env=env,
                cwd=server.folder,
                encoding_error_handler="replace",
            )
            return stdio_client(program, errlog=self._wrote.stream)
        if server.transport == "sse":
            from mcp.client.sse import sse_client

            client = partial(_http_client, server.url, self._responded)
            return sse_client(server.url, headers, CONNECT_S, httpx_client_factory=client)
        return _over_http(server.url, self._responded, headers)

    def _submit(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        try:
            assert self._loop is not None  # noqa: S101 - it is ready
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:  # the loop is closed
            work.close()
            raise self.error_of(error) from None

    def _waited(
        self,
        future: concurrent.futures.Future[Any],
        limit_s: float,
        watch: Watch = lambda _: None,
        began_s: float | None = None,
    ) -> Any:
        """Wait for what the thread does; an interrupt, or an end of its time, closes all."""
        began_s = time.monotonic() if began_s is None else began_s
        try:
            while not future.done():
                concurrent.futures.wait([future], POLL_S)
                took_s = time.monotonic() - began_s
                if not self._thread.is_alive() and not future.done():
                    future.cancel()
                elif took_s > limit_s and not future.done():
                    self.close()
                    future.cancel()
                    raise self.error(_too_slow(limit_s, self._strange_lines))  # noqa: TRY301 - it is one of many
                watch(took_s)
            return future.result()
        except Exception as error:  # noqa: BLE001 - the package has many
            raise self.error_of(error) from None
        except BaseException:
            self.close()
            raise


UNSUPPORTED_VERSION = -32022
"""The code with which a server refuses the handshake that it no longer knows."""


def _too_slow(limit_s: float, strange_lines: int = 0) -> Text:
    if strange_lines:
        told = (
            "it did not answer within {limit_s} s (mcp_timeout), and its standard output has lines"
            " that are no messages of MCP ({count} of them)"
        )
        return Text(told, limit_s=f"{limit_s:g}", count=f"{strange_lines:,}")
    return Text("it did not answer within {limit_s} s (mcp_timeout)", limit_s=f"{limit_s:g}")


def _error(server: Server, why: Text) -> McpError:
    def hidden(text: str) -> str:
        return shorten(masked(on_one_line(text), server.secrets), LONGEST_REASON)

    told = "the MCP server {name} ({origin}): {why}."
    return McpError(Text(told, name=server.name, origin=server.origin.text, why=why.masked(hidden)))


def _innermost(error: BaseException) -> BaseException:
    """Return the first error of a group, in which tasks of the package put theirs."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_end(error: BaseException) -> bool:
    """Return whether an error tells that a server is gone."""
    import anyio
    from mcp_types import CONNECTION_CLOSED

    ends = (anyio.ClosedResourceError, anyio.BrokenResourceError, concurrent.futures.CancelledError)
    return isinstance(error, ends) or getattr(error, "code", None) == CONNECTION_CLOSED


_open: dict[str, _Connection] = {}
"""The servers of this process by their names."""

_started: list[_Connection] = []
"""Those, and the ones that are still ending."""

_opening = threading.Lock()


def _connected(server: Server) -> _Connection:
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
        _open[server.name] = connection = _Connection(server)
        _started[:] = [*(each for each in _started if each.is_alive), connection]
        return connection


def _listed(
    server: Server, limit_s: float, watch: Watch = lambda _: None
) -> tuple[_Connection, list[Any]]:
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


async def _list(client: Any) -> list[Any]:
    """List the tools of a server, all pages of them; of two of the same name the first counts."""
    listed: dict[str, Any] = {}
    cursor = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        for each in page.tools:
            listed.setdefault(each.name, each)
        cursor = page.next_cursor
        if cursor is None or len(listed) >= MOST_LISTED:
            break
    return list(listed.values())[:MOST_LISTED]


def _call_of(tool: str, arguments: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the request of a call, and the class of its result.

    The package's own `call_tool` holds a result to the server's schema, and raises in place of what
    has come where it does not fit: a call with an effect would be lost.
    """
    import mcp_types as types

    params = types.CallToolRequestParams(name=tool, arguments=dict(arguments))
    return types.CallToolRequest(params=params), types.CallToolResult


@contextlib.asynccontextmanager
async def _over_http(url: str, responded: Any, headers: Mapping[str, str]) -> Any:
    from mcp.client.streamable_http import streamable_http_client

    async with (
        _http_client(url, responded, headers) as http,
        streamable_http_client(url, http_client=http, max_sse_event_size=None) as streams,
    ):
        yield streams


def _http_client(
    url: str,
    responded: Any,
    headers: Mapping[str, str] | None = None,
    timeout: Any = None,
    auth: Any = None,
) -> Any:
    """Make the client of a server with an address; no proxy is asked for one of this machine.

    It asks for no answer that is packed, as a small one could become a huge one.
    """
    import httpx2

    place = server_of(url)
    is_here = place is not None and is_loopback(place.host)
    timeout = timeout or httpx2.Timeout(CONNECT_S, read=None)
    headers = {"Accept-Encoding": "identity", **(headers or {})}
    return httpx2.AsyncClient(
        headers=headers,
        timeout=timeout,
        auth=auth,
        trust_env=not is_here,
        event_hooks={"response": [responded]},
    )


# What a server tells, for a model.


def _declared(server: Server, listed: Sequence[Any], limit_s: float) -> dict[str, Tool]:
    """Return a server's tools by its own names for them."""
    made: dict[str, Tool] = {}
    for each in listed:
        name = _name_for(server.name, each.name)
        schema = fit_schema(each.input_schema)
        described = (each.description or each.title or "")[:LONGEST_DESCRIPTION]
        told = json.dumps([described, schema], sort_keys=True, default=str)
        remote = Remote(server, each.name, told, limit_s)
        made[each.name] = Tool(name, described, schema, remote, secrets=server.secrets)
    return made


def _name_for(server: str, tool: str) -> str:
    """Name a tool so that it is told from all others, also of another server: `files__read`.

    A name that has to be changed for the providers gets a part of its hash.
    """
    name = f"{server}__{tool}"
    if fit_name(name) == name and "__" not in server:
        return name
    digest = hashlib.sha256(f"{server}\0{tool}".encode()).hexdigest()[:8]
    return f"{fit_name(name)[: LONGEST_NAME - 9]}_{digest}"


COMBINED = ("anyOf", "oneOf", "allOf", "not", "if", "then", "else", "enum", "const")
"""What OpenAI and Anthropic refuse at the top of a schema, where they want an object."""


def fit_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a server's tool as providers take it.

    The server holds what it is given to its own schema, so that what is left out here is only
    told less of.
    """
    fitted: dict[str, Any] = _fitted(dict(schema))
    properties = _properties_in(fitted)
    for name in ("$schema", "$id", "$comment", "title", *COMBINED):
        fitted.pop(name, None)
    fitted |= {"type": "object", "properties": properties}
    required = fitted.get("required")
    if not isinstance(required, list):
        fitted.pop("required", None)
    return fitted


def _properties_in(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments that a schema names, also in alternatives, which are left out."""
    own = schema.get("properties")
    properties = dict(own) if isinstance(own, dict) else {}
    for combined in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(combined)
        for branch in branches if isinstance(branches, list) else ():
            if isinstance(branch, dict):
                properties = _properties_in(branch) | properties
    return properties


IN_NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""The keywords whose value has schemas by names of the person's own."""


def _fitted(schema: Any, depth: int = 0) -> Any:
    """Return a schema with none in it that is a truth value, nested too deep, or half a list."""
    if not isinstance(schema, dict):
        return [_fitted(each, depth) for each in schema] if isinstance(schema, list) else schema
    if depth > DEEPEST_SCHEMA:
        return {}
    fitted: dict[str, Any] = {}
    for key, value in schema.items():
        if key in IN_NAMES and isinstance(value, dict):
            fitted[key] = {
                name: {} if isinstance(each, bool) else _fitted(each, depth + 1)
                for name, each in value.items()
            }
        elif key in ("default", "enum", "examples"):
            fitted[key] = value
        elif key == "items" and isinstance(value, bool):
            fitted[key] = {}
        else:
            fitted[key] = _fitted(value, depth + 1)
    kind = fitted.get("type")
    if kind == "array" or (isinstance(kind, list) and "array" in kind):
        fitted.setdefault("items", {})
    return fitted


def _text_of(result: Any) -> str:
    """Return what a call has come to, as a text for a model.

    Raises:
        RemoteError: The server tells of a failure.
    """
    texts = [_text_in(each) for each in result.content]
    if not texts and result.structured_content is not None:
        texts = [json.dumps(result.structured_content, ensure_ascii=False)]
    text = "\n".join(texts)
    if result.is_error:
        raise RemoteError(text or "the tool has failed, and does not say why")
    return text


def _text_in(block: Any) -> str:
    """Return one part of a result; what is no text is told of, and left out."""
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            count = len(block.data) * 3 // 4
            return f"({block.type} of {count:,} bytes, {block.mime_type}, left out)"
        case "resource_link":
            return f"({block.name}: {block.uri})"
        case _:
            held = block.resource
            if (text := getattr(held, "text", None)) is not None:
                return str(text)
            count = len(held.blob) * 3 // 4
            return f"(file of {count:,} bytes, {held.uri}, left out)"


class _Tail:
    """The end of what a server writes to its standard error.

    A program needs a real file for it. What a kernel has in the place of its standard error is
    none, and what a server writes there may hold keys, and no end.

    Attributes:
        stream: What the program writes to.
    """

    def __init__(self) -> None:
        read, write = os.pipe()
        self.stream = os.fdopen(write, "w", encoding="utf-8")
        self._kept: deque[bytes] = deque(maxlen=2)
        self._reader = threading.Thread(
            target=self._read, args=(read,), name="MCP server's errors", daemon=True
        )
        self._reader.start()

    def begin(self) -> None:
        """Let go of our own end, when the program has the other: its end is to be seen."""
        self.close()

    def close(self) -> None:
        """Let go of our own end."""
        self.stream.close()

    def last_line(self) -> str:
        """Return the last line that is not blank, or "" where there is none."""
        self.close()
        self._reader.join(POLL_S)
        lines = b"".join(self._kept).decode(errors="replace").split("\n")
        return next((each.strip() for each in reversed(lines) if each.strip()), "")

    def _read(self, end: int) -> None:
        with open(end, "rb", buffering=0) as pipe:
            while piece := pipe.read(TAIL):
                self._kept.append(piece)


_threads: set[int] = set()
"""The threads of servers."""


def _quieten() -> None:
    """Keep what the package logs of a server out of the cell: whole messages, with what is in them.

    The person's own use of the package, on other threads, logs as ever.
    """
    for name in [*logging.root.manager.loggerDict, *LOGGERS]:
        if name.partition(".")[0] in LOGGERS:
            logging.getLogger(name).addFilter(_is_elsewhere)


def _is_elsewhere(record: logging.LogRecord) -> bool:
    return record.thread not in _threads
