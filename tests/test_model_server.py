"""The test server plays its script as real providers would, so that other tests can trust it."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Cut, Hang, ModelServer, Raw, Refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from model_server import Received, Step

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
    "ollama": "/api/chat",
}
END_MARKS = {"openai": b"[DONE]", "anthropic": b"message_stop", "gemini": b"", "ollama": b""}
WAIT_S = 10

each_dialect = pytest.mark.parametrize("dialect", PATHS)


@dataclass
class Client:
    """A plain HTTP client that keeps its connection."""

    http: HTTPConnection
    dialect: str = "openai"
    stream: bool = False

    def ask(self) -> HTTPResponse:
        """Send a prompt and read the response's head."""
        self.send()
        return self.http.getresponse()

    def send(self) -> None:
        """Send a prompt."""
        path = PATHS[self.dialect]
        body: dict[str, Any] = {}
        if self.dialect != "gemini":
            body = {"model": "m", "stream": self.stream}
        elif self.stream:
            path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        self.http.request("POST", path, json.dumps(body), {"X-Key": "k"})


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[Client]:
    http = HTTPConnection(model_server.base_url.removeprefix("http://"), timeout=WAIT_S)
    yield Client(http)
    http.close()


def set_and(event: threading.Event, step: Step) -> Callable[[Received], Step]:
    """Tell the test that the request arrived, then play the step."""

    def choose(_: Received) -> Step:
        event.set()
        return step

    return choose


@pytest.mark.parametrize(
    ("dialect", "error"),
    [
        ("openai", {"type": "requests", "param": None, "code": "rate_limit_exceeded"}),
        ("anthropic", {"type": "rate_limit_error"}),
        ("gemini", {"code": 429, "status": "RESOURCE_EXHAUSTED"}),
        ("ollama", None),
    ],
)
def test_a_refusal_has_the_dialects_form(
    model_server: ModelServer, client: Client, dialect: str, error: dict[str, Any] | None
) -> None:
    """As a status, and as an event after some chunks of a stream."""

    def said(body: bytes) -> object:
        """Return the error without its message."""
        found = json.loads(body)["error"]
        if error is None:
            assert found == "Slow down."
            return None
        assert found.pop("message") == "Slow down."
        return found

    model_server.script(
        Refuse(429, {"retry-after": "7"}, message="Slow down."),
        Refuse(429, message="Slow down.", after_chunks=1),
    )
    client.dialect = dialect
    response = client.ask()
    assert (response.status, response.headers["retry-after"]) == (429, "7")
    assert said(response.read()) == error
    client.stream = True
    response = client.ask()
    assert response.status == 200
    body = response.read()
    assert b"Hello" in body
    assert b"from" not in body
    assert said(body.strip().splitlines()[-1].removeprefix(b"data: ")) == error


@each_dialect
@pytest.mark.parametrize("how", ["abort", "close", "no_finish", "done_only", "empty"])
def test_a_cut_stream(
    model_server: ModelServer,
    client: Client,
    dialect: str,
    how: Literal["abort", "close", "no_finish", "done_only", "empty"],
) -> None:
    """Two chunks come, or none, and never a reason to stop."""
    model_server.script(Cut(how=how))
    client.dialect, client.stream = dialect, True
    response = client.ask()
    if how == "abort":
        with pytest.raises(IncompleteRead) as caught:
            response.read()
        body = caught.value.partial
    else:
        body = response.read()
    if END_MARKS[dialect]:
        assert (END_MARKS[dialect] in body) is (how in {"no_finish", "done_only"})
    assert (b"Hello " in body) is (b"from " in body) is (how in {"abort", "close", "no_finish"})
    assert b"the " not in body
    counted = b'"candidatesTokenCount": 5'  # Gemini counts in each chunk, the prompt at first
    assert not any(word in body for word in (b'"stop"', b"STOP", b"end_turn", counted))


@each_dialect
@pytest.mark.parametrize("how", ["abort", "close"])
def test_half_of_a_whole_answer(
    model_server: ModelServer, client: Client, dialect: str, how: Literal["abort", "close"]
) -> None:
    model_server.script(Cut(how=how))
    client.dialect = dialect
    response = client.ask()
    if how == "abort":
        with pytest.raises(IncompleteRead):
            response.read()
    else:
        with pytest.raises(json.JSONDecodeError):
            json.load(response)


@pytest.mark.parametrize("after_chunks", [None, 1])
def test_a_reset(model_server: ModelServer, client: Client, after_chunks: int | None) -> None:
    """Before anything, or within a stream."""
    model_server.script(Cut(after_chunks, "reset"))
    client.stream = True
    with pytest.raises(ConnectionResetError):
        client.ask().read()


def test_any_bytes(model_server: ModelServer, client: Client) -> None:
    model_server.script(Raw(b"<h1>Bad gateway</h1>", "text/html", 502))
    response = client.ask()
    assert (response.status, response.headers["content-type"]) == (502, "text/html")
    assert response.read() == b"<h1>Bad gateway</h1>"


def test_the_script_goes_on_over_one_connection(model_server: ModelServer, client: Client) -> None:
    """The last step repeats, a function chooses by the request, and other requests take no step."""

    def by_request(received: Received) -> Step:
        return Answer(f"{received.model} {received.headers['x-key']}")

    model_server.script(Refuse(503), Answer("one"), by_request)
    assert client.ask().read()
    connection = client.http.sock
    client.http.request("POST", "/api/show", "{}")
    assert client.http.getresponse().read()
    texts = [json.load(client.ask())["choices"][0]["message"]["content"] for _ in range(3)]
    assert texts == ["one", "m k", "m k"]
    assert client.http.sock is connection
    assert [model_server.count, len(model_server.asides)] == [4, 1]
    times = [received.at_s for received in model_server.received]
    assert times == sorted(times)


@pytest.mark.parametrize("after_chunks", [0, 2])
def test_a_hang_ends_when_the_client_leaves(
    model_server: ModelServer, client: Client, after_chunks: int
) -> None:
    arrived = threading.Event()
    model_server.script(set_and(arrived, Hang(after_chunks)))
    client.stream = True
    client.send()
    assert arrived.wait(WAIT_S)
    if after_chunks:
        response = client.http.getresponse()
        while b"from" not in response.readline():
            pass
        response.close()
    assert not model_server.received[0].hung_up.is_set()
    client.http.close()
    assert model_server.received[0].hung_up.wait(WAIT_S)


def test_leaving_between_two_chunks_is_noted(model_server: ModelServer, client: Client) -> None:
    """A test can act between chunks; a client that read all of the answer never hung up."""
    left = threading.Event()
    model_server.script(Answer(), Answer(between_chunks=lambda _: left.wait(WAIT_S)))
    client.stream = True
    client.ask().read()
    client.ask().close()
    client.http.close()
    left.set()
    assert model_server.received[1].hung_up.wait(WAIT_S)
    assert not model_server.received[0].hung_up.is_set()


def test_stopping_frees_a_client_that_waits() -> None:
    """Nothing listens afterwards and no thread is left; that is no hanging up by the client."""
    arrived = threading.Event()
    threads = set(threading.enumerate())
    with ModelServer() as server:
        server.script(set_and(arrived, Hang()))
        port = int(server.base_url.rpartition(":")[2])
        waiting = HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        waiting.request("POST", PATHS["openai"], "{}")
        idle = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        assert arrived.wait(WAIT_S)
    with pytest.raises((HTTPException, ConnectionError)):
        waiting.getresponse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    assert not server.received[0].hung_up.is_set()
    assert set(threading.enumerate()) <= threads
    waiting.close()
    idle.close()


def test_a_failure_in_the_servers_thread_fails_the_test() -> None:
    def fail(_: Received) -> Step:
        raise LookupError("the script is wrong")

    def ask() -> None:
        with ModelServer() as server:
            server.script(fail)
            http = HTTPConnection(server.base_url.removeprefix("http://"), timeout=WAIT_S)
            with closing(http), suppress(HTTPException):
                Client(http).ask()

    with pytest.raises(LookupError, match="the script is wrong"):
        ask()


def test_requests_at_the_same_time_each_take_one_step(model_server: ModelServer) -> None:
    def ask(_: int) -> str:
        http = HTTPConnection(model_server.base_url.removeprefix("http://"), timeout=WAIT_S)
        text: str = json.load(Client(http).ask())["choices"][0]["message"]["content"]
        http.close()
        return text

    model_server.script(*(Answer(str(number)) for number in range(40)))
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(40)), key=int) == [str(number) for number in range(40)]
