"""The practice provider as a server: its beginning, its end, its clients that leave."""

from __future__ import annotations

import asyncio
import importlib
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from practice_client import ask, chat, connect, events, streamed_text

from openhands_llm_magic.llm.practice.server import PracticeServer
from openhands_llm_magic.llm.practice.shared import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def server() -> Iterator[PracticeServer]:
    with PracticeServer(pause_s=0) as server:
        yield server


def test_a_client_that_leaves_ends_its_answer_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """Both kinds of answer would go on for hours."""
    caplog.set_level(logging.INFO)
    with PracticeServer(pause_s=3600) as server, connect(server) as client:
        with client.stream("POST", "/chat/completions", json=chat("slow", stream=True)) as response:
            assert next(response.iter_text()).startswith("data: ")
        with pytest.raises(httpx.ReadTimeout):
            client.post("/chat/completions", json=chat("slow"), timeout=0.1)
        in_loop(server, lambda: asyncio.wait(server._tasks, timeout=5) if server._tasks else None)
        assert not server._tasks
        assert ask(client, "echo").status_code == 200
    assert [record for record in caplog.records if record.name.startswith(("tornado", "asy"))] == []


def in_loop(server: PracticeServer, start: Callable[[], Any]) -> None:
    """Await what `start` returns in the server's own loop."""

    async def wait() -> None:
        if (awaitable := start()) is not None:
            await awaitable

    asyncio.run_coroutine_threadsafe(wait(), server._loop).result(timeout=10)


def test_stop_ends_answers_that_are_under_way(caplog: pytest.LogCaptureFixture) -> None:
    server = PracticeServer(pause_s=3600)
    server.start()
    thread = server._thread
    with (
        connect(server) as client,
        client.stream("POST", "/chat/completions", json=chat("slow", stream=True)) as response,
    ):
        server.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()
        with pytest.raises(httpx.ConnectError):
            ask(client, "echo")
    assert thread is not None
    assert not thread.is_alive()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_start_and_stop_can_be_repeated() -> None:
    server = PracticeServer(key="of my own")
    server.stop()
    for _ in range(2):
        server.start()
        port = server.port
        server.start()
        assert server.port == port
        with connect(server) as client:
            assert ask(client, "echo").status_code == 200
        server.stop()
        server.stop()
        assert not server.alive


def test_a_taken_port_is_an_error(server: PracticeServer) -> None:
    with pytest.raises(OSError, match="in use"):
        PracticeServer(port=server.port).start()


def test_many_streams_at_once(server: PracticeServer) -> None:
    texts: dict[int, str] = {}

    def work(number: int) -> None:
        with connect(server) as client:
            texts[number] = streamed_text(
                events(ask(client, "echo", f"{number}", stream=True).text)
            )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"\n> {number}\n" in texts[number] for number in range(8))


def test_running_gives_one_server_also_under_a_running_loop() -> None:
    async def cell() -> PracticeServer:
        server = running()
        with connect(server) as client:
            assert ask(client, "echo").status_code == 200
        return server

    first = asyncio.run(cell())
    found: list[PracticeServer] = []
    threads = [threading.Thread(target=lambda: found.append(running())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(server is first for server in found)
    first.stop()
    second = running()
    assert second is not first
    assert second.alive
    second.stop()


FORK = """
import os, sys, urllib.request
from openhands_llm_magic.llm.practice.shared import running, _Shared

def status(server):
    headers = {"Authorization": "Bearer " + server.key}
    request = urllib.request.Request(server.base_url + "/models", headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return response.status

parent = running()
assert status(parent) == 200
_Shared.lock.acquire()
pid = os.fork()
if pid == 0:
    child = running()
    assert child.port != parent.port
    assert status(child) == status(parent) == 200
    sys.exit(0)
_Shared.lock.release()
assert os.waitpid(pid, 0)[1] == 0
assert status(running()) == 200
assert running() is parent
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_a_forked_child_gets_its_own_server() -> None:
    """The parent's goes on, also after the child's end, and nothing is printed."""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - fixed text
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import LiteLLM, offline, and close the event loop that it leaves on the main thread."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    litellm = importlib.import_module("litellm")
    monkeypatch.setattr(litellm, "disable_streaming_logging", True)  # it leaves threads
    yield litellm
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.parametrize("stream", [False, True])
def test_litellm_reaches_it_like_any_other_server(
    server: PracticeServer, litellm: Any, *, stream: bool
) -> None:
    request: dict[str, Any] = {
        "api_base": server.base_url,
        "api_key": server.key,
        "max_retries": 0,
        "num_retries": 0,
        **chat("openai/echo"),
    }
    response = litellm.completion(**request, stream=stream)
    if stream:
        response = litellm.stream_chunk_builder(list(response))
    assert "> Hello there" in response.choices[0].message.content
    assert response.choices[0].finish_reason == "stop"
    request["model"] = "openai/rate-limited"
    with pytest.raises(litellm.RateLimitError) as caught:
        litellm.completion(**request, stream=stream)
    assert caught.value.litellm_response_headers["retry-after"] == "3"
