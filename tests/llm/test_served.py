"""What a server says it serves: where it is asked, with which key, and what its list means."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from list_server import ListServer, Told
from setting_values import chosen

from openhands_llm_magic import errors
from openhands_llm_magic.llm.served import MOST_BYTES, Place, Served, place_of, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"

# Each as the server's documentation or source has it, shortened.
OPENAI = {"object": "list", "data": [{"id": "qwen3", "object": "model"}, {"id": "b/c"}]}
VLLM = {"object": "list", "data": [{"id": "qwen3", "root": "/m", "max_model_len": 32768}]}
LLAMA_CPP = {
    "models": [{"name": "m.gguf", "model": "m.gguf", "capabilities": ["completion"]}],
    "data": [{"id": "m.gguf", "meta": {"n_ctx_train": 131072, "n_ctx": 4096}}],
}
OLLAMA = {
    "models": [
        {"name": "qwen3:8b", "model": "qwen3:8b", "details": {"family": "qwen3"}},
        {"name": "all-minilm:latest", "details": {"family": "bert"}},
        {"name": "qwen3-embedding:4b", "details": {"family": "qwen3"}},
        {"name": "bge-m3", "capabilities": ["embedding"]},
    ]
}
LM_STUDIO = {
    "data": [
        {"id": "qwen/qwen3", "type": "llm", "state": "loaded", "max_context_length": 40960,
         "loaded_context_length": 8192},
        {"id": "gemma-3", "type": "vlm", "state": "not-loaded", "max_context_length": 131072},
        {"id": "text-embedding-nomic", "type": "embeddings"},
    ]
}  # fmt: skip
PROXY = {
    "data": [
        {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o"},
         "model_info": {"id": "1f", "mode": "chat", "max_input_tokens": 128000}},
        {"model_name": "fast", "litellm_params": {"model": "azure/gpt-4o"}, "model_info": {}},
        {"model_name": "openai/*", "model_info": {"mode": None}},
        {"model_name": "vectors", "model_info": {"mode": "embedding"}},
    ]
}  # fmt: skip
ANTHROPIC = {"data": [{"type": "model", "id": "claude-x", "display_name": "X"}], "has_more": False}
GEMINI = {
    "models": [
        {"name": "models/gemini-x", "inputTokenLimit": 1048576,
         "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/text-embedding-x", "supportedGenerationMethods": ["embedContent"]},
    ]
}  # fmt: skip
OPENROUTER = {
    "data": [
        {"id": "maker/x", "name": "Maker: X", "context_length": 200000,
         "architecture": {"output_modalities": ["text"]}},
        {"id": "maker/paints", "architecture": {"output_modalities": ["image"]}},
    ]
}  # fmt: skip
MISTRAL = {
    "data": [
        {"id": "m-x", "capabilities": {"completion_chat": True}, "max_context_length": 131072},
        {"id": "m-embed", "capabilities": {"completion_chat": False}},
    ]
}
GROQ = {
    "data": [{"id": "g-x", "active": True, "context_window": 8192}, {"id": "o", "active": False}]
}
TOGETHER = [{"id": "t/x", "type": "chat", "context_length": 4096}, {"id": "t/i", "type": "image"}]
TWO = {"openai/qwen3": None, "openai/b/c": None}
BEARER = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def at() -> Iterator[ListServer]:
    """A server without any list yet."""
    with ListServer({}) as server:
        yield server


@pytest.mark.parametrize(
    ("asked", "lists", "expected", "headers"),
    [
        (("openai/x", "/v1"), {"/v1/models": OPENAI}, TWO, BEARER),
        (("openai/x", ""), {"/v1/models": OPENAI}, TWO, BEARER),
        (("hosted_vllm/x", "/v1/"), {"/v1/models": VLLM}, {"hosted_vllm/qwen3": 32768}, BEARER),
        (("openai/x", "/v1"), {"/v1/models": LLAMA_CPP}, {"openai/m.gguf": 4096}, BEARER),
        (("ollama/x", ""), {"/api/tags": OLLAMA}, {"ollama/qwen3:8b": None}, BEARER),
        (("ollama_chat/x", "/v1"), {"/api/tags": OLLAMA}, {"ollama_chat/qwen3:8b": None}, BEARER),
        (
            ("lm_studio/x", "/v1"),
            {"/api/v0/models": LM_STUDIO},
            {"lm_studio/qwen/qwen3": 8192, "lm_studio/gemma-3": 131072},
            BEARER,
        ),
        (
            ("litellm_proxy/x", ""),
            {"/v1/model/info": PROXY},
            {"litellm_proxy/fast": 128000},
            BEARER,
        ),
        (
            ("litellm_proxy/x", "/v1"),
            {"/v1/models": OPENAI},
            {"litellm_proxy/qwen3": None, "litellm_proxy/b/c": None},
            BEARER,
        ),
        (
            ("anthropic/x", ""),
            {"/v1/models": ANTHROPIC},
            {"anthropic/claude-x": None},
            {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
        ),
        (
            ("gemini/x", "/v1beta"),
            {"/v1beta/models": GEMINI},
            {"gemini/gemini-x": 1048576},
            {"x-goog-api-key": KEY},
        ),
        (
            ("openrouter/x", "/v1"),
            {"/v1/models": OPENROUTER},
            {"openrouter/maker/x": 200000},
            BEARER,
        ),
        (("mistral/x", "/v1"), {"/v1/models": MISTRAL}, {"mistral/m-x": 131072}, BEARER),
        (("groq/x", "/v1"), {"/v1/models": GROQ}, {"groq/g-x": 8192}, BEARER),
        (("together_ai/x", "/v1"), {"/v1/models": TOGETHER}, {"together_ai/t/x": 4096}, BEARER),
    ],
)
def test_each_servers_list(
    at: ListServer,
    asked: tuple[str, str],
    lists: dict[str, object],
    expected: dict[str, int | None],
    headers: dict[str, str],
) -> None:
    """Under the names that the setting `model` takes, without those that answer no prompts."""
    model, path = asked
    at.lists |= {path: Told(body) for path, body in lists.items()}
    place = place_of(chosen(model=model, base_url=at.address + path, api_key=KEY))
    assert served(place) == tuple(Served(*each) for each in expected.items())
    assert at.asked[-1][1].items() >= headers.items()


def test_openais_other_services_are_left_out(at: ListServer) -> None:
    """By what LiteLLM's list says of them, as OpenAI tells names alone."""
    names = ("gpt-4o", "whisper-1", "text-embedding-3-small", "gpt-of-tomorrow")
    at.lists["/v1/models"] = Told({"data": [{"id": name} for name in names]})
    found = served(place_of(chosen(model="openai/x", base_url=f"{at.address}/v1")))
    assert [model.name for model in found] == ["openai/gpt-4o", "openai/gpt-of-tomorrow"]


def test_a_virtual_key_that_may_not_see_the_details_sees_the_names(at: ListServer) -> None:
    """As with LiteLLM Proxy since 1.90."""
    refusal = "Virtual key is not allowed to call this route."
    at.lists |= {"/v1/model/info": Told({"detail": refusal}, 403), "/v1/models": Told(OPENAI)}
    place = place_of(chosen(model="litellm_proxy/x", base_url=at.address, api_key=KEY))
    assert [model.name for model in served(place)] == ["litellm_proxy/qwen3", "litellm_proxy/b/c"]


@pytest.mark.parametrize(
    ("values", "variables", "address", "prefix"),
    [
        ({"model": "openai/x"}, {}, "https://api.openai.com/v1", "openai/"),
        ({"model": "gpt-4o"}, {}, "https://api.openai.com/v1", "openai/"),
        (
            {"model": "openai/x"}, {"OPENAI_BASE_URL": "https://gateway.example/v1"},
            "https://gateway.example/v1", "openai/",
        ),
        ({"model": "ollama/x"}, {}, "http://localhost:11434", "ollama/"),
        (
            {"model": "x", "custom_llm_provider": "openai", "base_url": "http://h/v1"}, {},
            "http://h/v1", "",
        ),
        ({"model": "xai/x", "base_url": "https://api.x.ai/v1"}, {}, "https://api.x.ai/v1", "xai/"),
    ],
)  # fmt: skip
def test_the_server_is_the_one_that_prompts_go_to(
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
    variables: dict[str, str],
    address: str,
    prefix: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    place = place_of(chosen(**values))
    assert (place.address, place.prefix) == (address, prefix)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"model": "azure/x", "base_url": "https://x.openai.azure.com"},
            "Azure OpenAI has no list",
        ),
        ({"model": "bedrock/x"}, "AWS Bedrock has no list"),
        ({"model": "vertex_ai/x"}, "Google Vertex AI has no list"),
        ({"model": "practice/echo"}, "the practice provider has no list"),
        ({"model": "litellm_proxy/x"}, "the address of the server is not known: set base_url"),
        ({"model": "xai/x"}, "the address of the server is not known: set base_url"),
        ({"model": "openai/x", "base_url": "localhost:1234"}, "begins with http:// or https://"),
    ],
)
def test_where_there_is_nothing_to_ask(values: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.UsageError) as raised:
        place_of(chosen(**values))
    assert words in str(raised.value)


def test_another_server_gets_no_key(monkeypatch: pytest.MonkeyPatch, at: ListServer) -> None:
    """Neither that of the settings, nor a variable's, nor a gateway's header."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    at.lists["/v1/models"] = Told(OPENAI)
    kwargs = {"extra_headers": {"X-Gateway-Key": KEY}}
    for key in (None, KEY):
        settings = chosen(
            model="openai/x",
            base_url="http://127.0.0.1:1/v1",
            api_key=key,
            completion_kwargs=kwargs,
        )
        served(place_of(settings, f"{at.address}/v1"))
        assert "canary" not in repr(at.asked)
        own = place_of(settings.with_overrides({"base_url": at.address}))
        assert own.headers["X-Gateway-Key"] == KEY
        assert own.headers["Authorization"] == f"Bearer {KEY}"
        assert "canary" not in repr(own)


def test_a_redirect_is_not_followed(at: ListServer) -> None:
    """It would take the key along."""
    with ListServer({"/v1/models": Told(OPENAI)}) as elsewhere:
        location = {"Location": f"{elsewhere.address}/v1/models"}
        at.lists["/v1/models"] = Told(b"", 307, location)
        settings = chosen(model="openai/x", base_url=f"{at.address}/v1", api_key=KEY)
        with pytest.raises(errors.BadRequestError, match=r"leads on to http://\S+ \(307\)"):
            served(place_of(settings))
    assert elsewhere.asked == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["{}", "socks5://127.0.0.1:1", "not an address"])
def test_this_machine_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, at: ListServer, variable: str, proxy: str
) -> None:
    at.lists["/v1/models"] = Told(OPENAI)
    with ListServer({}) as company:
        monkeypatch.setenv(variable, proxy.format(company.address))
        assert served(place_of(chosen(model="openai/x", base_url=f"{at.address}/v1")))
    assert company.asked == []


def test_another_machine_is_asked_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that a container calls its host, as prompts go there in that way."""
    with ListServer({}) as company:
        monkeypatch.setenv("HTTP_PROXY", company.address)
        for host in ("models.example", "host.docker.internal"):
            settings = chosen(model="openai/x", base_url=f"http://{host}/v1")
            with pytest.raises(errors.BadRequestError):
                served(place_of(settings))
        assert len(company.asked) == 2


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_VERIFY"])
def test_whom_to_trust_is_told_by_the_variables_of_prompts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """On this machine, too, where no proxy is read from the environment."""
    authority, secured = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(secured)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with ListServer({"/v1/models": Told(OPENAI)}) as server:
        server.socket = secured.wrap_socket(server.socket, server_side=True)
        address = server.address.replace("http://127.0.0.1", "https://localhost")
        place = place_of(chosen(model="openai/x", base_url=f"{address}/v1"))
        with pytest.raises(errors.CertificateError):
            served(place)
        values = {"SSL_CERT_FILE": str(tmp_path / "authority.pem"), "SSL_VERIFY": "False"}
        monkeypatch.setenv(variable, values[variable])
        assert served(place)


def place(server: ListServer, *, key: str | None = KEY) -> Place:
    return place_of(chosen(model="openai/x", base_url=f"{server.address}/v1", api_key=key))


PAGE = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"


@pytest.mark.parametrize(
    ("told", "key", "error", "why"),
    [
        (Told({"error": {"message": "Wrong."}}, 401), KEY, errors.AuthenticationError,
         "it refuses the key (401)"),
        (Told(b"", 401), None, errors.AuthenticationError,
         "it asks for a key (401), and none is sent there"),
        (Told({"detail": "Not Found"}, 404), KEY, errors.BadRequestError,
         "it refuses (404: Not Found)"),
        (Told({"error": {"message": f"{KEY} is\nout"}}, 400), KEY, errors.BadRequestError,
         "it refuses (400: ********** is out)"),
        (Told({"error": {"message": "No connected db.", "code": "400"}}, 400), KEY,
         errors.AuthenticationError, "it refuses the key (400)"),
        (Told({"detail": "x" * 150 + KEY + "x" * 99}, 500), KEY, errors.BadRequestError,
         f"it refuses (500: {'x' * 150}*********…)"),
        (Told(PAGE, 502), KEY, errors.BadRequestError, "it refuses (502: Bad gateway)"),
        (Told({"code": 401, "msg": "token expired or incorrect", "success": False}), KEY,
         errors.AuthenticationError, "it refuses the key (200)"),
        (Told(PAGE), KEY, errors.BadRequestError, "its answer is not a list of models"),
        (Told({"error": "Unexpected endpoint or method. (GET /models)"}), KEY,
         errors.BadRequestError, "it refuses (200: Unexpected endpoint or method. (GET /models))"),
        (Told(b"[" * 200_000), KEY, errors.BadRequestError, "its answer is not a list of models"),
        (Told(b"[" + b" " * MOST_BYTES + b"]"), KEY, errors.BadRequestError,
         "its answer is too long"),
        (Told(b"\xff\xfe\x00"), KEY, errors.BadRequestError, "its answer is not a list of models"),
        (Told(OPENAI, hangs=True), KEY, errors.NoAnswerInTimeError,
         "it did not answer within 1 s"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_told_in_one_line(
    at: ListServer,
    told: Told,
    key: str | None,
    error: type[errors.RequestError],
    why: str,
) -> None:
    """With the server's address; without the key, and without a page of HTML."""
    at.lists["/v1/models"] = told
    with pytest.raises(error) as raised:
        served(place(at, key=key), timeout_s=1 if told.hangs else 30)
    assert str(raised.value) == f"{at.address}/v1 does not tell its models: {why}."


@pytest.mark.parametrize("mark", ["\n", "\x00", "\x7f", "…", "é"])
def test_a_key_that_fits_into_no_header_is_not_quoted(at: ListServer, mark: str) -> None:
    """The HTTP client quotes such a header as Python writes bytes, in which a key is not found."""
    key = f"sk-canary-01234{mark}56789abcdef"
    with pytest.raises(errors.RequestError) as caught:
        served(place_of(chosen(model="openai/x", base_url=f"{at.address}/v1", api_key=key)))
    assert "canary" not in str(caught.value)
    assert "56789abcdef" not in str(caught.value)


def test_a_server_that_does_not_run_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    began_s = time.monotonic()
    with pytest.raises(errors.ConnectionFailedError) as raised:
        served(place_of(chosen(model="openai/x", base_url=address)))
    assert str(raised.value) == (
        f"{address} does not tell its models: it could not be reached (no server seems to run at"
        f" {address.removeprefix('http://').removesuffix('/v1')}: [Errno 111] Connection refused)."
    )
    assert time.monotonic() - began_s < 2  # seconds, on a busy machine


def test_a_server_that_says_nothing_is_hung_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as slow:
        address = f"http://127.0.0.1:{slow.getsockname()[1]}/v1"
        with pytest.raises(errors.NoAnswerInTimeError):
            served(place_of(chosen(model="openai/x", base_url=address)), timeout_s=0.3)
        connection, _ = slow.accept()
        with connection:
            connection.settimeout(5)
            while connection.recv(4096):  # it is hung up on
                pass


def test_a_login_in_the_address_is_not_quoted(at: ListServer) -> None:
    """Nor in Base64, as it is sent: a server may give back the header that it does not like."""
    login = b64encode(b"alice:hunter2secret").decode()
    at.lists["/v1/models"] = Told({"error": f"bad key: Basic {login}"}, 400)
    address = at.address.replace("//", "//alice:hunter2secret@")
    with pytest.raises(errors.RequestError) as caught:
        served(place_of(chosen(model="openai/x", base_url=f"{address}/v1", api_key=KEY)))
    assert "bad key: Basic **" in str(caught.value)
    assert login[:-4] not in str(caught.value)


def test_a_name_that_holds_the_key_is_left_out(at: ListServer) -> None:
    """As one that cannot be shown; names are saved with the panel."""
    names = [f"x-{KEY}", "a\x1b[31mb", "", "y" * 300, "openai/*", 7, None, "good"]
    at.lists["/v1/models"] = Told({"data": [{"id": name} for name in names]})
    assert served(place(at)) == (Served("openai/good"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda of: st.lists(of) | st.dictionaries(st.sampled_from(
        ["data", "models", "id", "name", "type", "meta", "model_info", "mode", "capabilities",
         "architecture", "output_modalities", "max_model_len", "n_ctx"]
    ), of),
    max_leaves=12,
)  # fmt: skip


def test_whatever_a_server_answers_is_a_list_or_one_line(at: ListServer) -> None:
    @given(JSON)
    def ask(body: object) -> None:
        at.lists["/v1/models"] = Told(body)
        with contextlib.suppress(errors.BadRequestError):
            found = served(place(at))
            assert all(model.name.startswith("openai/") for model in found)

    ask()
