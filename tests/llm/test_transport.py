"""Faults on the way to a server: certificates, schemes, proxies. One that stays is asked once."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme
from model_server import LITELLM_MODELS

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.reply import fold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_clock import FakeClock

    from openhands_llm_magic.llm.reply import Reply

pytestmark = pytest.mark.usefixtures("litellm")

PROVIDERS = ("openai", "azure", "groq", "anthropic", "gemini", "ollama_chat")

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
BLOCKED = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 62\r\n\r\n"
    b"<html><head><title>Blocked by the firm</title></head><p>No.</html>"
)


@contextlib.contextmanager
def answering(
    answer: bytes, context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[int]]]:
    """Listen, and give the port and a list that grows with each connection."""
    met: list[int] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # closed
                return
            met.append(1)
            connection.settimeout(5)
            with contextlib.suppress(OSError), connection:
                if context is None:
                    tell(connection)
                else:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        tell(secured)

    def tell(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # what is not read would reset the connection
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], met


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def secured(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return what a server needs that has a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def asked(provider: str, base_url: str, clock: FakeClock) -> Reply:
    settings = load_settings(
        env={
            "LLM_MODEL": f"{provider}/{LITELLM_MODELS[provider]}",
            "LLM_BASE_URL": base_url,
            "LLM_API_KEY": "sk-canary-0123456789abcdef",
            "LLM_API_VERSION": "2024-12-01-preview",
        }
    )
    return fold(stream("Hello", settings, clock=clock))


def requires(reply: Reply, kind: type[errors.RequestError], *words: str) -> None:
    assert (type(reply.error), reply.attempts, reply.waits) == (kind, 1, ())
    line = str(reply.error)
    assert len(line.splitlines()) == 1
    assert all(each in line for each in words), line
    assert "<" not in line
    assert "b'" not in line


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_certificate_that_is_not_trusted(
    provider: str, authority: trustme.CA, clock: FakeClock
) -> None:
    """Nothing is sent, and one connection is made."""
    with answering(b"", secured(authority, "localhost")) as (port, met):
        reply = asked(provider, f"https://localhost:{port}/v1", clock)
    requires(reply, errors.CertificateError, "SSL_CERT_FILE", f"https://localhost:{port}/v1")
    assert len(met) == 1


def test_a_certificate_of_another_name(
    authority: trustme.CA, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of authorities would help, but the name that it is for."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with answering(b"", secured(authority, "elsewhere.example")) as (port, _):
        reply = asked("openai", f"https://localhost:{port}/v1", clock)
    requires(reply, errors.CertificateError, "the name that the certificate is for", "base_url")
    assert "SSL_CERT_FILE" not in str(reply.error)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_https_at_a_server_that_speaks_http(provider: str, clock: FakeClock) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, met):
        reply = asked(provider, f"https://localhost:{port}/v1", clock)
    requires(reply, errors.UnsendableError, "the server speaks plain http", "Set base_url (now")
    assert "api_key" not in str(reply.error)
    assert len(met) == 1


@pytest.mark.parametrize("provider", ["openai", "azure", "groq", "ollama_chat"])
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_proxy_that_asks_for_a_password(
    provider: str, scheme: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that names it is named."""
    with answering(REFUSED) as (port, met):
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{port}")
        reply = asked(provider, f"{scheme}://model.invalid/v1", clock)
    requires(reply, errors.ProxyError, "407", f"the variable {scheme.upper()}_PROXY")
    assert len(met) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_of_a_firewall(provider: str, clock: FakeClock) -> None:
    """It says nothing about the key."""
    with answering(BLOCKED) as (port, met):
        reply = asked(provider, f"http://localhost:{port}/v1", clock)
    requires(reply, errors.ProxyError, "Blocked by the firm", "base_url")
    assert "api_key" not in str(reply.error)
    assert len(met) == 1


def test_a_server_that_is_trusted_by_a_file(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice helps."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    whole = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    answer += str(len(whole)).encode() + b"\r\n\r\n" + whole
    with answering(answer, secured(authority, "localhost")) as (port, _):
        base_url = f"https://localhost:{port}/v1"
        reply = ask("Hello", model="openai/a", base_url=base_url, api_key="sk-0123456789")
    assert reply.text == "Hi"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_proxy_that_is_set_after_a_first_request_counts(
    provider: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no longer once it is taken away."""
    asked(provider, "http://model.invalid/v1", clock)
    with answering(BLOCKED) as (port, met):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        asked(provider, "http://model.invalid/v1", clock)
        assert len(met) == 1
        monkeypatch.delenv("HTTP_PROXY")
        asked(provider, "http://model.invalid/v1", clock)
        assert len(met) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_certificate_that_is_named_after_a_first_request_counts(
    provider: str,
    authority: trustme.CA,
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the error advises helps in the same session."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with answering(answer, secured(authority, "localhost")) as (port, _):
        first = asked(provider, f"https://localhost:{port}/v1", clock)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        second = asked(provider, f"https://localhost:{port}/v1", clock)
    assert isinstance(first.error, errors.CertificateError)
    assert isinstance(second.error, errors.AuthenticationError)
