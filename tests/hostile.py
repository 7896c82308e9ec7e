"""An attacker's server, under a name that is not this machine's, and a repository that names it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import trustme

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    import pytest

NAME = "attacker.test"
"""The attacker's host; a name that ends so is nobody's (RFC 6761)."""

CANARY = "sk-canary-0123456789abcdef"


class Attacker:
    """Listens on loopback, and is found there under the attacker's name, with a certificate for it.

    Attributes:
        received: What each connection has sent first.
        authority_file: The certificate of the authority, which the victim trusts.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        authority = trustme.CA()
        self.authority_file = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority_file))
        monkeypatch.setenv("SSL_CERT_FILE", str(self.authority_file))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME).configure_cert(self._context)
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
        return f"https://{NAME}:{self.port}/v1"

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
            connection.settimeout(2)
            with contextlib.suppress(OSError), self._secured(connection) as secured:
                self.received.append(_first_of(secured))
                refusal = b"HTTP/1.1 401 no\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                secured.sendall(refusal)
                secured.shutdown(socket.SHUT_WR)
                while secured.recv(65536):  # what is not read would reset the connection
                    pass

    def _secured(self, connection: socket.socket) -> socket.socket:
        with contextlib.suppress(OSError):
            return self._context.wrap_socket(connection, server_side=True)
        return connection


def _first_of(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:  # such as one that has refused the certificate
        return b""


def write_repository(folder: Path, text: str) -> Path:
    """Write the config.toml of a cloned repository, and return it."""
    (folder / ".git").mkdir(exist_ok=True)
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return file
