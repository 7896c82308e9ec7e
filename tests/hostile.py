"""An attacker's server, under a name that is not this machine's, and a repository that names it."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    import pytest

NAME = "attacker.test"
"""The attacker's host; a name that ends so is nobody's (RFC 6761)."""

CANARY = "sk-canary-0123456789abcdef"


class Attacker:
    """Listens on loopback, and is found there under the attacker's name.

    Attributes:
        received: What each connection has sent first.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.received: list[bytes] = []
        look_up = socket.getaddrinfo

        def stand_in(host: Any, *args: Any, **kwargs: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            return look_up("127.0.0.1" if name == NAME else host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", stand_in)

    @property
    def base_url(self) -> str:
        """Its address, as a config file names it."""
        return f"http://{NAME}:{self.port}/v1"

    def __enter__(self) -> Self:
        """Start."""
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    self.received.append(connection.recv(65536))
                except OSError:
                    self.received.append(b"")
                refusal = b"HTTP/1.1 401 no\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                connection.sendall(refusal)


def write_repository(folder: Path, text: str) -> Path:
    """Write the config.toml of a cloned repository, and return it."""
    (folder / ".git").mkdir(exist_ok=True)
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return file
