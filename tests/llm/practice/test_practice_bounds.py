"""What the practice provider takes from who has not shown its key: next to nothing."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from practice_client import ask, connect

from openhands_llm_magic.llm.practice import server as practice
from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 2**20


@pytest.fixture
def server() -> Iterator[PracticeServer]:
    with PracticeServer(pause_s=0) as server:
        yield server


def open_to(server: PracticeServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def post(server: PracticeServer, *headers: str, key: str = "sk-wrong") -> bytes:
    """The head of a request for an answer."""
    lines = ("POST /v1/chat/completions HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers)
    return "\r\n".join((*lines, f"Authorization: Bearer {key}", "", "")).encode()


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    with contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: connection.recv(65_536), b""))
    return b""


def test_a_body_without_the_key_takes_no_memory(server: PracticeServer) -> None:
    """It is thrown away as it arrives; the refusal says what is wrong, in the end."""
    pieces = [b"x" * MB] * 30
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(open_to(server)) for _ in range(4)]
        for connection in connections:
            length = f"Content-Length: {sum(map(len, pieces))}"
            connection.sendall(post(server, length, "Connection: close"))
        for piece in pieces:
            for connection in connections:
                connection.sendall(piece)
        answers = [read_all(connection) for connection in connections]
    assert all(answer.startswith(b"HTTP/1.1 401 ") for answer in answers)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    assert grown_mb < 30  # and not 120


@pytest.mark.parametrize("key", ["sk-wrong", "right"])
@pytest.mark.parametrize("length", [10**9, practice.MAX_BODY_BYTES + 1])
def test_a_body_that_is_too_long_is_not_waited_for(
    server: PracticeServer, key: str, length: int
) -> None:
    """The answer comes at once, and the connection is closed."""
    key = server.key if key == "right" else key
    with open_to(server) as connection:
        connection.sendall(post(server, f"Content-Length: {length}", key=key))
        status = b"413" if key == server.key else b"40"
        assert read_all(connection).startswith(b"HTTP/1.1 " + status)


def test_a_body_in_chunks_is_bounded_too(server: PracticeServer) -> None:
    """It has no length to begin with."""
    chunk = b"100000\r\n" + b"x" * MB + b"\r\n"
    with open_to(server) as connection:
        connection.sendall(post(server, "Transfer-Encoding: chunked", key=server.key))
        many = chunk * (3 * practice.MAX_BODY_BYTES // MB)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(many)


def test_headers_are_bounded(server: PracticeServer) -> None:
    with open_to(server) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(post(server, "X-Long: " + "x" * practice.MAX_HEADER_BYTES))
        assert read_all(connection) == b""


@pytest.mark.parametrize("sent", ["", "POST /v1", "{head}some of the body"])
def test_who_sends_slowly_is_left(sent: str) -> None:
    """Neither headers nor a body that do not come are waited for."""
    with PracticeServer(patience_s=0.05) as server, open_to(server) as connection:
        head = post(server, "Content-Length: 100", key=server.key).decode()
        connection.sendall(sent.format(head=head).encode())
        assert read_all(connection) == b""


def test_connections_are_bounded(server: PracticeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed at once; when others are, there is room again."""
    monkeypatch.setattr(practice, "MAX_CONNECTIONS", 3)
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(open_to(server)) for _ in range(3)]
        for connection in connections:
            connection.sendall(b"GET ")
        with open_to(server) as connection:
            assert read_all(connection) == b""
    gone = threading.Event()
    while server._connections and not gone.wait(0.01):
        pass
    with connect(server) as client:
        assert ask(client, "echo").status_code == 200


HOSTS = {
    "127.0.0.1": 200,
    "localhost": 200,
    "LOCALHOST.": 200,
    "llm.localhost": 200,
    "[::1]": 200,
    "127.0.0.1:1": 200,
    "": 403,
    ":8765": 403,
    "attacker.example": 403,
    "127.0.0.1.attacker.example": 403,
    "localhost.attacker.example:8765": 403,
    "attacker.example\r\nHost: localhost": 403,
    "localhost@attacker.example": 403,
    "0.0.0.0": 403,  # noqa: S104 - nothing is bound to it
    "[::": 403,
    "192.168.0.7": 403,
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
def test_only_names_of_this_machine_are_answered(
    server: PracticeServer, host: str, status: int
) -> None:
    """A page of another site whose name was made to lead here is refused, also with the key."""
    head = f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.key}\r\n"
    with open_to(server) as connection:
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        assert read_all(connection).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_request_without_a_host_is_refused(server: PracticeServer) -> None:
    with open_to(server) as connection:
        head = f"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {server.key}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        assert read_all(connection).startswith(b"HTTP/1.1 403 ")
