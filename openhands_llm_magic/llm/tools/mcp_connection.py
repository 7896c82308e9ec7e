"""A connection to one MCP server, on a thread of its own: the one door to the package `mcp`.

A kernel's event loop is busy with the cell that waits, and a server that keeps one thread busy
holds up no other. The package is installed with the extra of its name.
"""
# ruff: noqa: PLC0415 - the package takes 0.5 s to import, and need not be there

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from openhands_llm_magic.config.providers import is_loopback, server_of
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import McpError, Text, on_one_line
from openhands_llm_magic.llm.tools.mcp_told import mended
from openhands_llm_magic.llm.worker import POLL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    from openhands_llm_magic.config.mcp_servers import Server

    Watch = Callable[[float], None]
    """Told while a server starts, with the seconds that it has taken."""

INSTALL = "pip install 'openhands-llm-magic[mcp]'"

MOST_LISTED = 2_000
"""Tools of one server that are looked at."""

MOST_PAGES = 100
"""Pages of a server's list of tools; one that never ends is cut."""

CONNECT_S = 30.0
"""Seconds in which an address has to take a connection."""

TAIL = 2_000
"""Bytes that are kept of what a server writes to its standard error."""

LONGEST_REASON = 300
"""Characters of a server's own words in an error."""

LOGGERS = ("asyncio", "client", "httpcore2", "httpx2", "mcp")
"""The beginnings of the names of the loggers that tell of a server; "client" is the package's."""


class Connection:
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
        return error_about(self.server, why)

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
        said = on_one_line(str(error)).strip().rstrip(".") or type(error).__name__
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

        _quieten()
        with anyio.CancelScope() as scope:
            with self._lock:
                self._loop, self._end = asyncio.get_running_loop(), scope.cancel
                if self._closing:
                    scope.cancel()
            # A server of today knows the handshake, and one of yesterday may end at anything else.
            for mode in ("legacy", "auto"):
                client = Client(
                    _mending(self._transport()), mode=mode, message_handler=self._noted, cache=None
                )
                try:
                    async with client:
                        self._wrote.begin()
                        self._ready.set_result(client)
                        await anyio.sleep_forever()
                except Exception as error:
                    code = getattr(_innermost(error), "code", None)
                    if mode == "auto" or code != UNSUPPORTED_VERSION or self._ready.done():
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
                    raise self.error(too_slow(limit_s, self._strange_lines))  # noqa: TRY301 - it is one of many
                watch(took_s)
            return future.result()
        except Exception as error:  # noqa: BLE001 - the package has many
            failure = self.error_of(error)
        except BaseException:
            self.close()
            raise
        raise failure  # not above: IPython shows a whole traceback where a group came before it


UNSUPPORTED_VERSION = -32022
"""The code with which a server refuses the handshake that it no longer knows."""


def too_slow(limit_s: float, strange_lines: int = 0) -> Text:
    """Say that a server did not answer, and whether it wrote something else."""
    if strange_lines:
        told = (
            "it did not answer within {limit_s} s (mcp_timeout), and its standard output has lines"
            " that are no messages of MCP ({count} of them)"
        )
        return Text(told, limit_s=f"{limit_s:g}", count=f"{strange_lines:,}")
    return Text("it did not answer within {limit_s} s (mcp_timeout)", limit_s=f"{limit_s:g}")


def error_about(server: Server, why: Text) -> McpError:
    """Return an error about a server, in one line that holds none of its keys."""

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
async def _mending(transport: AbstractAsyncContextManager[Any]) -> Any:
    async with transport as (read, write):
        yield _Mended(read), write


class _Mended:
    """A stream of a server's messages, with the lists of tools in them mended."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def receive(self) -> Any:
        message = await self._stream.receive()
        result = getattr(getattr(message, "message", None), "result", None)
        if isinstance(result, dict):
            mended(result)
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        import anyio

        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> Any:
        return await self._stream.__aexit__(*raised)


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
