"""A loopback server that tells which models it has, as a test says."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


@dataclass(frozen=True, slots=True)
class Told:
    """An answer.

    Attributes:
        body: JSON, or the bytes themselves.
        status: Its HTTP status.
        headers: Further headers.
        hangs: Whether the server says nothing more after the first byte.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False


class ListServer(ThreadingTCPServer):
    """The server; it listens from `with` on, on a free port of 127.0.0.1.

    Attributes:
        lists: What it answers at which path, without the query; elsewhere a 404.
        asked: The path, with its query, and the headers by lower-case name of each request.
    """

    daemon_threads = True

    def __init__(self, lists: Mapping[str, Told]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lists = dict(lists)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    @property
    def address(self) -> str:
        """Its root, `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        """Start."""
        serve = {"poll_interval": 0.01}
        threading.Thread(target=self.serve_forever, kwargs=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.over.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ListServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        told = server.lists.get(self.path.partition("?")[0], Told({"detail": "Not Found"}, 404))
        body = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if told.hangs:
            self.wfile.write(body[:1])
            self.wfile.flush()
            server.over.wait(30)
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing to stderr."""
