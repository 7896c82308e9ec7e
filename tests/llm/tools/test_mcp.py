"""MCP servers as tools: real programs over stdio and HTTP, friendly ones and others."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mcp as package
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import Answer, Call, asks

from openhands_llm_magic import ask, ask_async, mcp_tools
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import (
    LLMMagicError,
    McpError,
    SettingError,
    UntrustedSettingError,
    UsageError,
)
from openhands_llm_magic.llm.prepare import prepare
from openhands_llm_magic.llm.tools import mcp, mcp_told
from openhands_llm_magic.llm.tools.declared import LONGEST_NAME, RemoteError, fit_name
from openhands_llm_magic.llm.tools.mcp_connection import MOST_PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model_server import ModelServer

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.tools.declared import Tool

PROGRAMS = Path(__file__).parents[2] / "mcp_programs"
FRIENDLY, HOSTILE = PROGRAMS / "friendly.py", PROGRAMS / "hostile.py"
CANARY = "sk-canary-0123456789abcdef"
PATIENCE_S = 60

assert callable(package.Client)  # its import takes seconds, which no server's time limit should see


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Close the servers of a test; each has ended then, and was waited for."""
    yield
    threads = [each for each in threading.enumerate() if each.name.startswith("MCP server ")]
    mcp.close_all()
    assert not [each for each in threads if each.is_alive()]


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Snapshot]:
    """Writes the person's own config file, and returns what is read of it."""

    def write(text: str, timeout_s: float = PATIENCE_S) -> Snapshot:
        folder = tmp_path / "home" / ".openhands"
        folder.mkdir(parents=True, exist_ok=True)
        head = f"[openhands_llm_magic]\nmcp_timeout = {timeout_s}\n"
        (folder / "config.toml").write_text(head + text)
        return load_settings()

    return write


def program(name: str, path: Path, *args: str, more: str = "") -> str:
    listed = json.dumps([str(path), *args])
    return (
        f"[openhands_llm_magic.mcp.{name}]\ncommand = {json.dumps(sys.executable)}\n"
        f"args = {listed}\n{more}\n"
    )


def by_name(tools: list[Tool]) -> dict[str, Any]:
    return {each.function.tool: each.function for each in tools}  # type: ignore[attr-defined]


def hostile(
    configure: Callable[..., Snapshot], how: str, timeout_s: float = PATIENCE_S
) -> Snapshot:
    return configure(program("it", HOSTILE, how, more=f'env = {{CANARY = "{CANARY}"}}'), timeout_s)


def limited(function: Any, limit_s: float) -> Any:
    """A tool whose calls have so many seconds, and not the start of its server."""
    return replace(function, limit_s=limit_s)


def is_running(process_id: int) -> bool:
    """Whether there is such a process, also one that nobody has waited for."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        threading.Event().wait(0.02)


@pytest.mark.usefixtures("set_up")
def test_a_model_uses_a_program(
    configure: Callable[..., Snapshot], model_server: ModelServer
) -> None:
    """It is told name, description and schema; what comes of the call is sent back."""
    settings = configure(program("friend", FRIENDLY))
    model_server.script(asks(Call("friend__add", '{"a": 1, "b": 2}')), Answer("3."))
    reply = ask("What is 1 + 2?", settings, tools=mcp_tools("friend", settings))
    assert reply.text == "3."
    assert [(each.name, each.result, each.problem) for each in reply.tool_calls] == [
        ("friend__add", "3", "")
    ]
    first = model_server.received[0].body["tools"][0]["function"]
    assert (first["name"], first["description"]) == ("friend__add", "Add two numbers.")
    assert first["parameters"]["required"] == ["a", "b"]
    assert first["parameters"]["properties"]["a"]["type"] == "integer"


@pytest.mark.usefixtures("set_up")
def test_from_an_event_loop(configure: Callable[..., Snapshot], model_server: ModelServer) -> None:
    """Other tasks go on while a server takes its time."""
    settings = configure(program("friend", FRIENDLY))
    model_server.script(asks(Call("friend__wait", '{"seconds": 0.5}')), Answer("Done."))
    ticks = 0

    async def count() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def both() -> str:
        counting = asyncio.create_task(count())
        tools = await asyncio.to_thread(mcp_tools, "friend.wait", settings)
        before = ticks
        reply = await ask_async("Wait.", settings, tools=tools)
        counting.cancel()
        assert ticks > before + 5
        return reply.tool_calls[0].result

    assert asyncio.run(both()) == "waited"


def test_one_tool_of_a_server(configure: Callable[..., Snapshot]) -> None:
    settings = configure(program("friend", FRIENDLY))
    assert [each.name for each in mcp_tools("friend.add", settings)] == ["friend__add"]
    with pytest.raises(UsageError, match=r"friend has no tool ad; did you mean add\?"):
        mcp_tools("friend.ad", settings)
    with pytest.raises(UsageError, match="there is no MCP server fiend; there are: friend"):
        mcp_tools("fiend", settings)


def test_a_program_gets_no_variables_but_those_that_it_is_given(
    configure: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`$NAME` stands for a variable; what is given is masked where it would show."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-0123456789abcdef")
    monkeypatch.setenv("MY_TOKEN", CANARY)
    more = 'env = {TOKEN = "$MY_TOKEN", PLAIN = "yes"}'
    settings = configure(program("friend", FRIENDLY, more=more))
    tools = mcp_tools("friend", settings)
    variable = by_name(tools)["variable"]
    assert variable(name="OPENAI_API_KEY") == "not set"
    assert variable(name="TOKEN") == CANARY
    assert variable(name="PLAIN") == "yes"
    assert CANARY not in repr(tools)
    assert CANARY in prepare("Hello", settings, tools=tools).secrets
    monkeypatch.delenv("MY_TOKEN")
    with pytest.raises(SettingError, match=r"env\.TOKEN names the variable MY_TOKEN, which is not"):
        mcp_tools("friend", settings)


@pytest.mark.usefixtures("set_up")
def test_a_key_is_masked_in_what_a_model_and_a_person_are_told(
    configure: Callable[..., Snapshot], model_server: ModelServer
) -> None:
    settings = hostile(configure, "key")
    model_server.script(asks(Call("it__go")), Answer("Done."))
    reply = ask("Go.", settings, tools=mcp_tools("it", settings))
    assert reply.tool_calls[0].result == "the key is **********"
    assert CANARY not in json.dumps([each.body for each in model_server.received])


def test_it_runs_in_the_folder_of_its_file(
    configure: Callable[..., Snapshot], tmp_path: Path
) -> None:
    """A module of the working folder, which may be anybody's, is none of the program's."""
    settings = configure(program("friend", FRIENDLY))
    home = tmp_path / "home" / ".openhands"
    assert by_name(mcp_tools("friend", settings))["folder"]() == str(home)
    (home / "sub").mkdir()
    settings = configure(program("friend", FRIENDLY, more='cwd = "sub"'))
    assert by_name(mcp_tools("friend", settings))["folder"]() == str(home / "sub")


def test_a_server_lives_on_and_is_started_anew_where_it_must_be(
    configure: Callable[..., Snapshot],
) -> None:
    settings = configure(program("friend", FRIENDLY))
    process = by_name(mcp_tools("friend", settings))["process"]
    first = process()
    assert by_name(mcp_tools("friend", settings))["process"]() == first
    os.kill(int(first), signal.SIGKILL)
    wait_for(lambda: not is_running(int(first)))
    second = process()
    assert second != first
    settings = configure(program("friend", FRIENDLY, more='env = {A = "1"}'))
    third = by_name(mcp_tools("friend", settings))["process"]()
    assert third != second
    wait_for(lambda: not is_running(int(second)))


def test_a_server_that_dies_in_a_call_is_told_and_is_there_for_the_next(
    configure: Callable[..., Snapshot],
) -> None:
    tools = by_name(mcp_tools("friend", configure(program("friend", FRIENDLY))))
    with pytest.raises(RemoteError, match=r"^the MCP server friend: it has ended: .*out of cheese"):
        tools["die"]()
    assert tools["add"](a=1, b=2) == "3"


def test_what_comes_of_calls(configure: Callable[..., Snapshot]) -> None:
    tools = by_name(mcp_tools("friend", configure(program("friend", FRIENDLY))))
    assert json.loads(tools["table"]()) == {"kyoto": 3}
    assert tools["picture"]() == "(image of 1,200 bytes, image/png, left out)"
    assert len(tools["long"](characters=2_000_000)) == 2_000_000
    with pytest.raises(RemoteError, match="Error executing tool add"):
        tools["add"](a="x", self=3)


PARTS = (
    "one\n(audio of 3 bytes, audio/wav, left out)\n(a file: file:///tmp/a)\nheld\n"
    "(file of 3 bytes, file:///c, left out)"
)


@pytest.mark.parametrize(
    ("how", "result"),
    [
        ("parts", PARTS),
        ("structured", '{"kyoto": 3}'),
        ("misfit", "three"),
        ("junk too", "gone"),
        ("modern", "gone"),
        ("loud", "gone"),
        ("schemas", "gone"),
    ],
)  # fmt: skip
def test_an_odd_server_that_is_understood(
    configure: Callable[..., Snapshot], how: str, result: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it writes beside its messages is shown nowhere."""
    [go] = mcp_tools("it", hostile(configure, how))
    assert go.function() == result
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("error", "^no such city$"),
        ("silent error", "the tool has failed, and does not say why"),
        ("half a result", r"it: it answers what is not MCP \(content: Input should be a valid"),
        ("refusal", "it: no such tool at all$"),
        ("dies", "it: it has ended$"),
    ],
)
def test_a_call_that_fails(configure: Callable[..., Snapshot], how: str, told: str) -> None:
    """The model is told; nothing is raised that the person sees."""
    [go] = mcp_tools("it", hostile(configure, how))
    with pytest.raises(RemoteError, match=told):
        go.function()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("ends at once", r"it has ended: no config found, the key is \*{10}\.$"),
        ("unreadable list", r"it answers what is not MCP \(tools: Input should be a valid list"),
        ("no tools", "it has no tools"),
    ],
)
def test_a_server_that_cannot_be_used(
    configure: Callable[..., Snapshot], how: str, told: str
) -> None:
    """One line says so, names the file, and holds no key."""
    with pytest.raises(McpError, match=told) as caught:
        mcp_tools("it", hostile(configure, how))
    assert "config.toml line 3" in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("how", ["silent", "junk"])
def test_a_server_that_never_answers(configure: Callable[..., Snapshot], how: str) -> None:
    told = r"did not answer within 5 s \(mcp_timeout\)"
    if how == "junk":
        told += r", and its standard output has lines that are no messages of MCP \(4 of them\)"
    with pytest.raises(McpError, match=told):
        mcp_tools("it", hostile(configure, how, timeout_s=5))


def test_a_call_that_is_never_answered(configure: Callable[..., Snapshot]) -> None:
    """The server is ended, and started anew for the next call."""
    [go] = mcp_tools("it", hostile(configure, "silent call"))
    with pytest.raises(RemoteError, match=r"did not answer within 2 s \(mcp_timeout\)"):
        limited(go.function, 2)()
    assert mcp_tools("it", load_settings())


def test_an_endless_list_and_a_long_one(configure: Callable[..., Snapshot]) -> None:
    settings = hostile(configure, "endless list")
    assert len(mcp_tools("it", settings)) == MOST_PAGES
    settings = hostile(configure, "many")
    with pytest.raises(
        UsageError, match=r"has 500 tools.*128 at most.*as in it\.tool_0\."
    ) as caught:
        mcp_tools("it", settings)
    assert len(str(caught.value).splitlines()) == 1
    assert [each.name for each in mcp_tools("it.tool_499", settings)] == ["it__tool_499"]


@pytest.mark.slow  # it starts some servers
def test_names_that_are_no_names_of_functions(configure: Callable[..., Snapshot]) -> None:
    """Each is one that providers take, and told from all others, also of another server."""
    both = program("it", HOSTILE, "names") + program("friend__x", FRIENDLY)
    settings = configure(both + program("friend", FRIENDLY))
    names = [each.name for name in ("it", "friend", "friend__x") for each in mcp_tools(name)]
    assert len(names) == len(set(names))
    assert all(len(each) <= LONGEST_NAME and fit_name(each) == each for each in names)
    assert [each.name for each in mcp_tools("it.a.b", settings)] == [names[0]]


def test_tab_offers_no_name_that_would_be_more_in_a_cell(
    configure: Callable[..., Snapshot],
) -> None:
    """A line break in a server's name of a tool would begin a line of the notebook."""
    settings = hostile(configure, "names")
    mcp_tools("it", settings)
    known = mcp.known_names(settings)
    assert {"it", "it.a.b", "it.café"} <= {*known}
    assert not [name for name in known if not name.isprintable() or " " in name]


def test_what_providers_refuse_of_a_schema(configure: Callable[..., Snapshot]) -> None:
    [go] = mcp_tools("it", hostile(configure, "schemas"))
    assert go.schema == {
        "type": "object",
        "properties": {
            "b": {"type": ["array", "null"], "items": {}},
            "a": {},
            "list": {"type": "array", "items": {}},
            "items": {"type": "string"},
        },
        "required": ["a"],
    }


SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "anyOf", "required", "default", "a"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=10), SCHEMAS, max_size=5))
def test_any_schema_becomes_that_of_an_object(schema: dict[str, Any]) -> None:
    fitted = mcp_told.fit_schema(schema)
    assert fitted["type"] == "object"
    assert isinstance(fitted["properties"], dict)
    assert not fitted.keys() & set(mcp_told.COMBINED)
    assert mcp_told.fit_schema(fitted) == fitted


def test_a_tool_that_is_broken_costs_no_other(configure: Callable[..., Snapshot]) -> None:
    """As servers have them: no schema, one of no object, misspelt types, required in its place."""
    tools = mcp_tools("it", hostile(configure, "broken tools"))
    empty = {"type": "object", "properties": {}}
    assert [(each.name, each.schema) for each in tools] == [
        ("it__none", empty),
        ("it__null", empty),
        ("it__text", empty),
        ("it__int", {"type": "object", "properties": {"a": {}, "required": {}}, "required": ["a"]}),
    ]
    assert tools[0].function() == "gone"


def test_a_deep_schema_is_cut() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(1_000):
        schema = {"type": "object", "properties": {"a": schema}}
    assert len(json.dumps(mcp_told.fit_schema(schema))) < 10_000


def test_a_program_that_is_not_there(configure: Callable[..., Snapshot]) -> None:
    settings = configure(
        '[openhands_llm_magic.mcp.it]\ncommand = "no-such-program-at-all"\n'
        + program("far", FRIENDLY, more='cwd = "nowhere"')
    )
    with pytest.raises(McpError, match="there is no program no-such-program-at-all"):
        mcp_tools("it", settings)
    with pytest.raises(McpError, match=r"there is no folder .*nowhere"):
        mcp_tools("far", settings)


def test_a_server_that_ends_for_nothing_is_killed(configure: Callable[..., Snapshot]) -> None:
    """It takes no end of its input and no SIGTERM for an answer; `nothing_left_running` looks."""
    assert mcp_tools("it", hostile(configure, "deaf"))


def test_what_a_program_has_started_ends_with_it(
    configure: Callable[..., Snapshot], tmp_path: Path
) -> None:
    """As npx and uvx do, which start another and wait for it."""
    script, kept = tmp_path / "wrapper.sh", tmp_path / "pid"
    program = f"{sys.executable} {HOSTILE} deaf"
    script.write_text(f"#!/bin/sh\nexec 3<&0\n{program} <&3 &\necho $! > {kept}\nwait\n")
    script.chmod(0o755)
    assert mcp_tools("it", configure(f'[openhands_llm_magic.mcp.it]\ncommand = "{script}"\n'))
    mcp.close_all()
    wait_for(lambda: not is_running(int(kept.read_text())))


def test_the_process_leaves_no_server_behind(configure: Callable[..., Snapshot]) -> None:
    configure(program("friend", FRIENDLY))
    script = (
        "from openhands_llm_magic import mcp_tools\n"
        "print({each.function.tool: each for each in mcp_tools('friend')}['process'].function())"
    )
    ended = subprocess.run(  # noqa: S603 - fixed text
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr == ""
    assert not is_running(int(ended.stdout))


def test_an_interrupt_ends_a_call_at_once(configure: Callable[..., Snapshot]) -> None:
    tools = by_name(mcp_tools("friend", configure(program("friend", FRIENDLY))))
    first = tools["process"]()
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tools["wait"](seconds=60)
    assert time.monotonic() - began_s < 20
    timer.join()
    wait_for(lambda: not is_running(int(first)))


def test_without_the_package(
    configure: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configure(program("friend", FRIENDLY))
    find_spec = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "mcp" else find_spec(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(UsageError, match=r"run `pip install 'openhands-llm-magic\[mcp\]'`"):
        mcp_tools("friend", settings)


def test_with_a_package_of_another_version(
    configure: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configure(program("friend", FRIENDLY))
    monkeypatch.delattr(package, "Client")
    with pytest.raises(McpError, match=r"the package mcp cannot be imported \(cannot import name"):
        mcp_tools("friend", settings)


# Servers with an address.


@pytest.fixture
def serving() -> Iterator[Callable[[str], str]]:
    """Starts the friendly server over HTTP or SSE, and returns its address."""
    started: list[subprocess.Popen[bytes]] = []

    def serve(transport: str) -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, str(FRIENDLY), transport, str(port)]
        nowhere = subprocess.DEVNULL
        started.append(subprocess.Popen(command, stderr=nowhere, stdout=nowhere))  # noqa: S603 - ours
        wait_for(lambda: answers(port))
        return f"http://127.0.0.1:{port}/{'mcp' if transport == 'http' else 'sse'}"

    yield serve
    for each in started:
        each.kill()
        each.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def at(url: str, more: str = "") -> str:
    return f'[openhands_llm_magic.mcp.web]\nurl = "{url}"\n{more}\n'


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_server_with_an_address(
    configure: Callable[..., Snapshot],
    serving: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
) -> None:
    """A proxy of the environment is asked for none of this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    settings = configure(at(serving(transport)))
    tools = by_name(mcp_tools("web", settings))
    assert tools["add"](a=1, b=2) == "3"
    with pytest.raises(RemoteError, match="Error executing tool fail"):
        tools["fail"](why="so")


@pytest.mark.slow  # it starts some servers
def test_a_large_result_over_http(
    configure: Callable[..., Snapshot], serving: Callable[[str], str]
) -> None:
    settings = configure(at(serving("http")))
    assert len(by_name(mcp_tools("web", settings))["long"](characters=3_000_000)) == 3_000_000


@pytest.mark.slow  # it starts some servers
def test_an_address_whose_server_dies_in_a_call(
    configure: Callable[..., Snapshot], serving: Callable[[str], str]
) -> None:
    tools = by_name(mcp_tools("web", configure(at(serving("http")))))
    with pytest.raises(RemoteError, match="the MCP server web: "):
        limited(tools["die"], 5)()
    with pytest.raises(RemoteError, match="All connection attempts failed"):
        tools["add"](a=1, b=2)


class Refusing(BaseHTTPRequestHandler):
    """Answers with the status in the path, and keeps the headers that came."""

    came: list[dict[str, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.came.append({name.lower(): value for name, value in self.headers.items()})
        status = int(self.path.strip("/").partition("?")[0])
        body = f"the key {CANARY} is wrong".encode()
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "http://attacker.test/mcp")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a server that refuses, and the headers that have come."""
    came: list[dict[str, str]] = []
    handler = type("Handler", (Refusing,), {"came": came})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", came
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, r"refuses what it is sent \(status 401\): check its api_key or headers"),
        (403, r"refuses what it is sent \(status 403\)"),
        (404, "status 404: "),
        (500, "status 500: "),
        (200, "Unexpected content type: text/html"),
        (307, "attacker.test"),
    ],
)
def test_an_address_that_refuses(
    configure: Callable[..., Snapshot],
    refusing: tuple[str, list[dict[str, str]]],
    status: int,
    told: str,
) -> None:
    """One line; the key goes there and nowhere else, and no packed answer is asked for."""
    address, came = refusing
    settings = configure(
        at(f"{address}/{status}", f'api_key = "{CANARY}"\nheaders = {{X-A = "b"}}')
    )
    with pytest.raises(McpError, match=told) as caught:
        mcp_tools("web", settings)
    assert CANARY not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert came[0]["authorization"] == f"Bearer {CANARY}"
    assert (came[0]["x-a"], came[0]["accept-encoding"]) == ("b", "identity")


def test_a_key_in_an_address_is_not_shown(
    configure: Callable[..., Snapshot], refusing: tuple[str, list[dict[str, str]]]
) -> None:
    """An error of SSE names the whole address; it ends with one full stop."""
    more = 'transport = "sse"'
    for status in (404, 200):
        settings = configure(at(f"{refusing[0]}/{status}?tavilyApiKey={CANARY[3:]}", more))
        with pytest.raises(McpError) as caught:
            mcp_tools("web", settings)
        assert CANARY[3:] not in str(caught.value)
        assert not str(caught.value).endswith("..")


def test_an_address_that_nobody_listens_at(configure: Callable[..., Snapshot]) -> None:
    with pytest.raises(McpError, match="All connection attempts failed"):
        mcp_tools("web", configure(at("http://127.0.0.1:9/mcp")))


# Whose configuration counts.

HOSTILE_FILES = {
    "ours": '[openhands_llm_magic.mcp.it]\ncommand = "{program}"\n',
    "openhands": '[mcp]\nstdio_servers = [{{name = "it", command = "{program}"}}]\n',
    "address": '[openhands_llm_magic.mcp.it]\nurl = "{address}/200"\n',
    "sse": '[mcp]\nsse_servers = ["{address}/200"]\n',
    "shttp": '[mcp]\nshttp_servers = [{{url = "{address}/200", api_key = "x"}}]\n',
}


@pytest.mark.parametrize("kind", HOSTILE_FILES)
def test_a_cloned_repository_starts_nothing_and_calls_nobody(
    tmp_path: Path, refusing: tuple[str, list[dict[str, str]]], kind: str
) -> None:
    """Until the person trusts the file as it is; a change asks again."""
    from openhands_llm_magic.config.trusted import trust  # noqa: PLC0415 - for this test alone

    address, came = refusing
    mark = tmp_path / "ran"
    script = tmp_path / "program.sh"
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    file = tmp_path / "config.toml"
    file.write_text(HOSTILE_FILES[kind].format(program=script, address=address))
    file.chmod(0o600)
    [name] = mcp.servers(load_settings())
    with pytest.raises(UntrustedSettingError) as caught:
        mcp_tools(name)
    line = str(caught.value)
    assert f"the MCP server {name} (" in line
    assert "config.toml line " in line
    assert "openhands-llm-magic trust" in line
    assert len(line.splitlines()) == 1
    assert not mark.exists()
    assert came == []

    trust(file)
    with pytest.raises(McpError):
        mcp_tools(name)
    assert mark.exists() or came

    file.write_text(file.read_text() + "\n")
    with pytest.raises(UntrustedSettingError):
        mcp_tools(name)


def test_what_may_be_started_is_said_when_a_file_is_trusted(tmp_path: Path) -> None:
    from openhands_llm_magic.config.trusted import listed, told, trust  # noqa: PLC0415 - as above

    file = tmp_path / "config.toml"
    file.write_text(
        '[openhands_llm_magic.mcp.it]\ncommand = "npx"\nargs = ["-y", "a b"]\n'
        f'env = {{KEY = "$MY_KEY", OTHER = "{CANARY}"}}\n'
        '[mcp]\nstdio_servers = [{name = "x", command = "uvx"}]\nsse_servers = ["https://a.example"]'
    )
    line = told(trust(file))
    assert line.endswith("with https://a.example:443. It may start KEY=$MY_KEY npx -y 'a b', uvx.")
    assert [told(each) for each in listed()] == [line]


def test_what_may_be_started_reads_as_it_is(tmp_path: Path) -> None:
    """No character turns the rest of the line around, or steers a terminal."""
    from openhands_llm_magic.config.trusted import told, trust  # noqa: PLC0415 - as above

    file = tmp_path / "config.toml"
    table = '[openhands_llm_magic.mcp.it]\ncommand = "sh"\nargs = ["-c", "a \\u202e \\u001b[31m b"]'
    file.write_text(table)
    assert str(told(trust(file))).isprintable()


@pytest.mark.slow  # it starts some servers
def test_openhands_own_forms(tmp_path: Path, serving: Callable[[str], str]) -> None:
    """0.41's `[mcp]`, whose addresses have no names, and the current one's `mcp.json`."""
    folder = tmp_path / "home" / ".openhands"
    folder.mkdir(parents=True)
    url = serving("http")
    started = {"command": sys.executable, "args": [str(FRIENDLY)], "transport": "stdio"}
    (folder / "config.toml").write_text(
        f'[mcp]\nshttp_servers = ["{url}"]\nsse_servers = ["http://127.0.0.1/sse", "http://127.0.0.1"]\n'
        f'stdio_servers = [{{name = "local", command = "{sys.executable}", args = ["{FRIENDLY}"]}}]'
    )
    servers = {
        "kept": started,
        "off": {**started, "enabled": False},
        "login": {"url": url, "auth": "oauth"},
        "web": {"url": url, "transport": "http", "auth": "a-token", "headers": {}, "icon": "x"},
        "local": {"command": "nothing"},
    }
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    port = url.split(":")[2].partition("/")[0]
    assert [*mcp.servers(load_settings())] == [
        *("kept", "off", "login", "web", "local", "127_0_0_1", "127_0_0_1_2", f"127_0_0_1_{port}")
    ]
    for name in ("kept", "local", "web", f"127_0_0_1_{port}"):
        assert by_name(mcp_tools(name))["add"](a=1, b=1) == "2"
    for name, told in (("off", "is switched off there"), ("login", "a login by OAuth")):
        with pytest.raises(SettingError, match=told):
            mcp_tools(name)


@pytest.mark.parametrize("text", ["{", "[]", '{"mcpServers": 3}', '{"mcpServers": {"a": 3}}', "{}"])
def test_an_mcp_json_that_is_none(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "home" / ".openhands"
    folder.mkdir(parents=True)
    (folder / "mcp.json").write_text(text)
    with pytest.raises(LLMMagicError) as caught:
        mcp_tools("a")
    assert len(str(caught.value).splitlines()) == 1
