"""A loopback server that sends any bytes at all, as no honest server would."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self


class RawServer:
    """The server; it listens from `with` on, on a free port of 127.0.0.1.

    Args:
        answer: Returns the bytes of each answer, piece by piece; it is called with the request.
        delay_s: Seconds between two pieces.

    Attributes:
        received: Every request, in order, as it came.
        sent_bytes: How many bytes were sent in all.
        hung_up: Set when a client closes its connection before the end of an answer.
        address: Its root, `http://127.0.0.1:PORT`.
    """

    address: str

    def __init__(
        self, answer: Callable[[bytes], Iterable[bytes]] = lambda _: (), delay_s: float = 0
    ) -> None:
        self.received: list[bytes] = []
        self.sent_bytes = 0
        self.hung_up = threading.Event()
        self._answer = answer
        self._delay_s = delay_s
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Start."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._over.set()
        with contextlib.suppress(OSError):  # not connected: it wakes `accept` all the same
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with contextlib.closing(connection):
            connection.settimeout(10)
            request = _request_on(connection)
            if not request:
                return
            self.received.append(request)
            try:
                for piece in self._answer(request):
                    connection.sendall(piece)
                    self.sent_bytes += len(piece)
                    if self._over.wait(self._delay_s) if self._delay_s else self._over.is_set():
                        return
            except OSError:
                self.hung_up.set()


def _request_on(connection: socket.socket) -> bytes:
    """Read a request to its end."""
    request = b""
    while b"\r\n\r\n" not in request:
        if not (piece := connection.recv(65536)):
            return b""
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length and (piece := connection.recv(65536)):
        body += piece
    return head + b"\r\n\r\n" + body


def response(
    body: bytes = b"", *headers: str, status: int = 200, content_type: str = "text/event-stream"
) -> bytes:
    """Write a response that ends with the connection."""
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Type: {content_type}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
