"""What a hostile server cannot do: lead a key elsewhere, fill the memory, hold a prompt up."""

from __future__ import annotations

import itertools
import json
import resource
import time
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fake_clock import FakeClock
from model_server import Answer, ModelServer, Raw
from raw_server import RawServer, response
from sending import DIALECTS, embed_once, sent

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import stream
from openhands_llm_magic.llm.connection import ConnectionTest
from openhands_llm_magic.llm.embedding.embed import embed
from openhands_llm_magic.llm.events import Failed
from openhands_llm_magic.llm.litellm import bounds
from openhands_llm_magic.llm.prepare import EmbeddingRequest, Request
from openhands_llm_magic.llm.reply import Reply, fold
from openhands_llm_magic.llm.served import place_of, served
from openhands_llm_magic.llm.worker import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.usefixtures("litellm")

CANARY = "sk-canary-0123456789abcdef"
PROMPT = "a prompt for one server alone"
AWS = {
    "LLM_AWS_ACCESS_KEY_ID": CANARY,
    "LLM_AWS_SECRET_ACCESS_KEY": "canary-secret",
    "LLM_AWS_REGION_NAME": "us-east-1",
}
WAYS = {
    "openai": "openai/gpt-4o",
    "azure": "azure/my-deployment",
    "anthropic": "anthropic/claude-sonnet-4-20250514",
    "gemini": "gemini/gemini-2.5-flash",
    "groq": "groq/llama-3.3-70b-versatile",
    "deepseek": "deepseek/deepseek-chat",
    "mistral": "mistral/mistral-small-latest",
    "openrouter": "openrouter/maker/a-model",
    "ollama": "ollama/qwen3",
    "ollama_chat": "ollama_chat/qwen3",
    "bedrock": "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
    "cohere": "cohere_chat/command-r",
    "responses": "openai/gpt-5-pro",
}
"""A model for each of LiteLLM's ways to a server."""
AWS_OPTIONS = {
    "aws_access_key_id": CANARY,
    "aws_secret_access_key": "canary-secret",
    "aws_region_name": "us-east-1",
}
EACH_CODE = ("openai", "anthropic", "gemini", "ollama_chat", "bedrock", "cohere", "responses")
BINARY = {"bedrock"}
"""Their streams have messages of a told length, with checksums, in place of lines."""
VECTORS = ("openai", "azure", "gemini", "mistral", "ollama", "cohere", "jina_ai", "bedrock")

each_way = pytest.mark.parametrize("way", WAYS)
each_code = pytest.mark.parametrize("way", EACH_CODE)


def settings_for(way: str, base_url: str, **env: str) -> Any:
    key = AWS if way == "bedrock" else {"LLM_API_KEY": CANARY}
    told = {
        "LLM_MODEL": WAYS.get(way, ""),
        "LLM_BASE_URL": base_url,
        "LLM_API_VERSION": "2025-04-01-preview",
        **key,
        **env,
    }
    return load_settings(env={name: value for name, value in told.items() if value})


def asked(way: str, base_url: str, clock: Any = None, **env: str) -> Reply:
    events = stream(PROMPT, settings_for(way, base_url, **env), clock=clock or FakeClock())
    return fold(events)


def line_of(reply: Reply, kind: type[errors.RequestError]) -> str:
    """Return the line of an error that no attempt was made after."""
    assert (type(reply.error), reply.attempts, reply.waits) == (kind, 1, ()), reply.error
    line = str(reply.error)
    assert len(line.splitlines()) == 1
    assert "canary" not in line
    return line


def leading_to(address: str, status: int = 307) -> Any:
    return lambda _: [response(b"Elsewhere.", f"Location: {address}", status=status)]


# Redirects.


@each_way
@pytest.mark.parametrize("status", [302, 307])
def test_nothing_goes_to_another_origin(way: str, status: int) -> None:
    """Neither key nor prompt; the line says what led where, and base_url."""
    with RawServer() as other:
        to = f"{other.address.replace('//', '//user:pw@')}/v1?key={CANARY}"
        with RawServer(leading_to(to, status)) as server:
            reply = asked(way, server.address)
    assert (other.received, len(server.received)) == ([], 1)
    line = line_of(reply, errors.RedirectError)
    assert f"({status}: it leads on to {other.address})" in line
    assert f"base_url (now {server.address}, from LLM_BASE_URL)" in line
    assert "user" not in line


@pytest.mark.parametrize("provider", VECTORS)
def test_nothing_of_vectors_goes_to_another_origin(provider: str) -> None:
    model = "amazon.titan-embed-text-v2:0" if provider == "bedrock" else "a-model"
    key = AWS_OPTIONS if provider == "bedrock" else {"api_key": CANARY, "api_version": "2025-01-01"}
    with RawServer() as other, RawServer(leading_to(other.address)) as server:
        options = {"base_url": server.address, **key}
        with pytest.raises(errors.RedirectError, match=f"leads on to {other.address}"):
            embed_once(EmbeddingRequest(f"{provider}/{model}", [PROMPT], options))
    assert (other.received, len(server.received)) == ([], 1)


def test_the_line_about_vectors_names_their_address() -> None:
    with RawServer(leading_to("https://other.example")) as server:
        named = {"embedding_model": "openai/x", "embedding_base_url": server.address}
        with pytest.raises(errors.RedirectError) as caught:
            embed([PROMPT], settings_for("openai", server.address), clock=FakeClock(), **named)
    assert f"set embedding_base_url (now {server.address}" in str(caught.value)


def test_nothing_of_a_test_or_a_list_of_models_goes_to_another_origin() -> None:
    with RawServer() as other, RawServer(leading_to(other.address)) as server:
        settings = settings_for("anthropic", server.address)
        *_, last = ConnectionTest(settings, FakeClock()).run()
        with pytest.raises(errors.RequestError, match=f"leads on to {other.address}"):
            served(place_of(settings))
    assert isinstance(last, Failed)
    assert isinstance(last.error, errors.RedirectError)
    assert other.received == []


@pytest.mark.parametrize("provider", DIALECTS)
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_server_is_followed(
    model_server: ModelServer, provider: str, status: int
) -> None:
    """Such as one that takes a doubled slash away."""
    there = {
        "openai": "/v1/chat/completions",
        "anthropic": "/v1/messages",
        "ollama_chat": "/api/chat",
        "gemini": "/v1beta/models/m:streamGenerateContent?alt=sse",
    }
    model_server.script(Raw(b"", "text/plain", status, {"location": there[provider]}), Answer("Hi"))
    reply = asked(provider, model_server.base_for(provider))
    assert (reply.text, reply.error, model_server.count) == ("Hi", None, 2)


@pytest.mark.parametrize(
    ("asked_at", "leads_to", "same"),
    [
        ("http://host.example/v1", "https://host.example/v1", False),
        ("http://host.example/v1", "http://host.example:80/v2", True),
        ("https://host.example/v1", "https://HOST.example:443/", True),
        ("http://host.example/v1", "http://host.example:8080/v1", False),
        ("http://host.example/v1", "//other.example/v1", False),
        ("http://host.example/v1", "http://host.example.evil.example/v1", False),
        ("http://host.example/v1", "http://host.example@evil.example/v1", False),
        ("http://host.example/v1", "http://bücher.example/v1", False),
        ("http://xn--bcher-kva.example/v1", "http://bücher.example/v1", True),
        ("http://host.example/v1", "http://host.example./v1", False),
        ("http://host.example/v1", "/v2", True),
        ("http://host.example/v1", "?a=b", True),
        ("http://[::1]/v1", "http://[::1]:80/", True),
        ("http://host.example/v1", "http://[::1", False),
        ("http://host.example/v1", "file:///etc/passwd", False),
        ("http://host.example/v1", "http://", False),
        ("http://host.example/v1", "http://host.example:99999/", False),
        ("http://host.example/v1", "\x00\x1b[31m", False),
        ("http://host.example:8000/v1", "http:///v1", False),
        ("http://host.example:8000/v1", "http:/v1", False),
    ],
)
def test_what_is_another_origin(asked_at: str, leads_to: str, same: bool) -> None:
    """Scheme, host and port; what cannot be read is another one."""
    request = httpx.Request("POST", asked_at)
    led = httpx.Response(307, headers=[(b"location", leads_to.encode())])
    if same:
        assert bounds.taken(httpx, lambda _: led, request) is led
        return
    with pytest.raises(errors.RedirectError) as caught:
        bounds.taken(httpx, lambda _: led, request)
    assert str(caught.value).isprintable()


def test_a_redirect_to_https_names_the_address_to_set() -> None:
    """With a GET, as httpx would ask it, servers say 405."""
    with RawServer(leading_to("https://127.0.0.1/v1/chat/completions", 301)) as server:
        line = line_of(asked("openai", server.address), errors.RedirectError)
    assert "it leads on to https://127.0.0.1)" in line


def test_a_server_that_leads_on_to_itself_for_ever() -> None:
    with RawServer(leading_to("/again")) as server:
        line_of(asked("openai", server.address), errors.RedirectError)
        assert len(server.received) < 30


# Compression.

EVENT = {
    "id": "1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Hello. "}}],
}
HELLO = f"data: {json.dumps(EVENT)}\n\n".encode()
LAST = EVENT | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
END = f"data: {json.dumps(LAST)}\n\ndata: [DONE]\n\n".encode()


def packed(wbits: int, pieces: Iterable[bytes]) -> bytes:
    pack = zlib.compressobj(9, wbits=wbits)
    return b"".join([*map(pack.compress, pieces), pack.flush()])


@each_way
def test_no_answer_is_asked_for_compressed(way: str) -> None:
    with RawServer(lambda _: [response(b"{}", status=401)]) as server:
        asked(way, server.address)
    asked_for = [line for line in server.received[0].splitlines() if b"accept-enc" in line.lower()]
    assert [line.lower() for line in asked_for] == [b"accept-encoding: identity"]


@pytest.mark.parametrize(("coding", "wbits"), [("gzip", 31), ("deflate", 15), ("X-GZIP", 31)])
def test_an_answer_that_is_compressed_all_the_same_is_read(coding: str, wbits: int) -> None:
    body = packed(wbits, [HELLO * 2000, END])
    with RawServer(lambda _: [response(body, f"Content-Encoding: {coding}")]) as server:
        reply = asked("openai", server.address)
    assert (reply.text, reply.error) == ("Hello. " * 2000, None)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "\x1b[31mred"])
def test_an_answer_that_cannot_be_unpacked_a_little_at_a_time(coding: str) -> None:
    with RawServer(lambda _: [response(b"...", f"Content-Encoding: {coding}")]) as server:
        line = line_of(asked("openai", server.address), errors.OversizedError)
    assert line.isprintable()


@pytest.mark.slow
@each_code
@pytest.mark.parametrize("status", [200, 400])
def test_a_bomb_is_not_unpacked(way: str, status: int) -> None:
    """1 MB that would become 1 GB takes little memory, whatever it would be."""
    bomb = packed(31, itertools.repeat(bytes(1_000_000), 1000))
    with RawServer(lambda _: [response(bomb, "Content-Encoding: gzip", status=status)]) as server:
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reply = asked(way, server.address, LLM_NUM_RETRIES="0")
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert reply.error is not None
    assert grown_kb < 400_000


# Bounds.


def endless(piece: bytes, *, kind: str = "text/event-stream", status: int = 200) -> Any:
    return lambda _: itertools.chain(
        [response(b"", status=status, content_type=kind)], itertools.repeat(piece)
    )


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that are met within a moment."""
    monkeypatch.setattr(bounds, "MOST_BYTES", 3_000_000)
    monkeypatch.setattr(bounds, "MOST_LINE_BYTES", 1_000_000)
    monkeypatch.setattr(bounds, "MOST_BLANK_BYTES", 100_000)


@pytest.mark.parametrize("way", sorted(set(WAYS) - BINARY))
@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize("piece", [b"x" * 65536, b"\n" * 65536, b": comment\n\n" * 6000])
def test_an_answer_without_end_is_broken_off(way: str, piece: bytes) -> None:
    """Asked for once, and hung up on."""
    kind = "application/x-ndjson" if "ollama" in way else "text/event-stream"
    with RawServer(endless(piece, kind=kind)) as server:
        line = line_of(asked(way, server.address), errors.OversizedError)
        assert server.hung_up.wait(5)
        assert server.sent_bytes < 30_000_000
    assert "is longer than" in line or "say nothing" in line


@pytest.mark.slow  # it reads 3 MB in small pieces
@pytest.mark.usefixtures("tight")
def test_what_came_of_an_answer_without_end_is_kept() -> None:
    def answer(_: bytes) -> Iterator[bytes]:
        yield response(HELLO)
        yield from itertools.repeat(HELLO * 100)

    with RawServer(answer) as server:
        reply = asked("openai", server.address)
    line = line_of(reply, errors.OversizedError)
    assert "it is longer than 3 MB" in line
    assert reply.text.startswith("Hello. Hello. ")


@each_way
def test_a_refusal_without_end_is_read_in_part(way: str) -> None:
    """Its status counts, and the beginning of its words."""
    with RawServer(endless(b"is busy " * 8000, kind="text/plain", status=400)) as server:
        reply = asked(way, server.address)
        assert server.hung_up.wait(5)
    if way == "bedrock":  # its variables for keys are not set here, so that a refusal is for that
        line_of(reply, errors.MissingKeyError)
    else:
        assert "is busy is busy" in line_of(reply, errors.BadRequestError)


@each_way
@pytest.mark.parametrize("piece", [b"{", b'{"error":', b"[", b"eyJ-", b"<script", b"\\"])
def test_a_refusal_of_one_sign_again_and_again_is_soon_read(way: str, piece: bytes) -> None:
    """The bound is ten times what it takes, and a tenth of what 50 kB of it took."""
    body = piece * (200_000 // len(piece))
    answer = response(body, status=400, content_type="application/json")
    with RawServer(lambda _: [answer]) as server:
        began_s = time.process_time()
        reply = asked(way, server.address)
        took_s = time.process_time() - began_s
    assert isinstance(reply.error, errors.RequestError)
    assert reply.attempts == 1
    assert took_s < 10


@pytest.mark.parametrize("way", sorted(set(EACH_CODE) - BINARY - {"responses"}))
@pytest.mark.parametrize("form", ["event", "line", "body"])
def test_json_that_is_nested_without_end(way: str, form: str) -> None:
    nested = b'{"a":' * 50_000
    body = {"event": b"data: " + nested + b"\n\n", "line": nested + b"\n", "body": nested}[form]
    kind = "application/json" if form == "body" else "text/event-stream"
    with RawServer(lambda _: [response(body, content_type=kind)]) as server:
        reply = asked(way, server.address, LLM_NUM_RETRIES="1")
    assert isinstance(reply.error, errors.BrokenAnswerError | errors.OversizedError)
    assert str(reply.error).isprintable()


# Time.


def dripping(begin: bytes, drop: bytes) -> Any:
    return lambda _: itertools.chain([begin], itertools.repeat(drop))


DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Filler: ", b"x"),
    "1xx": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "comments": (response(), b": alive\n\n"),
    "empty lines": (response(), b"\n"),
    "half an event": (response(b"data: "), b"x"),
    "a refusal": (response(status=500), b"x"),
    "chunks": (response(b"", "Transfer-Encoding: chunked"), b"1\r\n\n\r\n"),
    "a chunk's head": (response(b"", "Transfer-Encoding: chunked"), b"1;x=y"),
    "trailers": (response(b"0\r\n", "Transfer-Encoding: chunked"), b"X: y\r\n"),
}


@pytest.mark.parametrize(
    "way",
    [
        "openai",
        *(pytest.param(way, marks=pytest.mark.slow) for way in ("anthropic", "gemini")),
        pytest.param("ollama_chat", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("drip", DRIPS)
def test_the_deadline_holds_while_bytes_come(way: str, drip: str) -> None:
    """Whatever they are; the connection is closed, and the line names the deadline."""
    with RawServer(dripping(*DRIPS[drip]), delay_s=0.05) as server:
        began_s = time.monotonic()
        reply = asked(way, server.address, SystemClock(), LLM_MAGIC_DEADLINE="1", LLM_TIMEOUT="30")
        took_s = time.monotonic() - began_s
        assert server.hung_up.wait(5)
    assert isinstance(reply.error, errors.TransientError), reply.error
    assert len(server.received) == 1
    assert "deadline (now 1, from LLM_MAGIC_DEADLINE)" in str(reply.error)
    assert took_s < 15  # and not 30, or for ever


def test_what_came_before_the_deadline_is_kept() -> None:
    with RawServer(dripping(response(HELLO), HELLO), delay_s=0.05) as server:
        reply = asked("openai", server.address, SystemClock(), LLM_MAGIC_DEADLINE="1")
    assert reply.text.startswith("Hello. Hello. ")
    assert "it had not ended by the deadline" in str(reply.error)


@pytest.mark.parametrize("drip", ["headers", "1xx"])
def test_headers_have_to_come_within_the_timeout(drip: str) -> None:
    """Also where there is no deadline; httpx counts anew with each byte."""
    with RawServer(dripping(*DRIPS[drip]), delay_s=0.05) as server:
        options = {"base_url": server.address, "api_key": CANARY, "timeout": 0.3}
        with pytest.raises(errors.NoAnswerInTimeError):
            sent(Request("openai/x", [{"role": "user", "content": "Hello"}], options))


@each_code
@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 300_000, b"X: y\r\n" * 60_000]
)
def test_headers_without_end(way: str, head: bytes) -> None:
    head = head if head.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n" + head
    with RawServer(lambda _: [head, head]) as server:
        line = line_of(asked(way, server.address), errors.OversizedError)
    assert "the headers of its answer do not end" in line


@pytest.mark.parametrize("reason", ["stop", "\x1b[31m\u202eevil"])
def test_a_name_or_a_reason_cannot_steer_a_terminal(reason: str) -> None:
    last = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": reason}
    event = EVENT | {"model": "\x1b[31m\u202eevil", "choices": [last]}
    body = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
    with RawServer(lambda _: [response(body)]) as server:
        reply = asked("openai", server.address)
    said = f"{reply.model_answered} {reply.finish_reason} {reply.error}"
    assert said.isprintable()
    assert "[31mevil" in said
