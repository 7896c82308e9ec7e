"""The exact HTTP request that each provider of the catalogue gets for our settings."""

from __future__ import annotations

import importlib.util
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import openai
import pytest
from model_server import Answer, Refuse
from pairs import in_turn
from sending import takes_sampling

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.litellm.loading import MCP_HANDLER
from openhands_llm_magic.llm.litellm.preview import preview
from openhands_llm_magic.llm.practice import answers
from openhands_llm_magic.llm.prepare import prepare, request_from
from openhands_llm_magic.llm.reply import fold
from openhands_llm_magic.llm.spending.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_clock import FakeClock
    from model_server import ModelServer, Received, Step

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.practice.routes import Route
    from openhands_llm_magic.llm.practice.wire import Refuse as Refused

KEY = "sk-canary"
COMMON = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_output_tokens": 100}
AWS = {
    "aws_access_key_id": "AKIACANARY",
    "aws_secret_access_key": "canary",
    "aws_region_name": "us-east-1",
}

BEARER = {"authorization": f"Bearer {KEY}"}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
SAMPLING = {"temperature": 0.5, "top_p": 0.9}
OPENAI = SAMPLING | STREAM | {"seed": 7, "max_completion_tokens": 100}
OLDER_OPENAI = SAMPLING | STREAM | {"seed": 7, "max_tokens": 100}


@dataclass(frozen=True)
class Case:
    """What a provider is asked.

    Attributes:
        path: The path and query of the request.
        body: Its JSON, without the messages.
        headers: Its headers, without those of every HTTP client.
        settings: Settings beyond `COMMON` and the key.
        base: What the base_url has after the server's address.
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=lambda: BEARER)
    settings: dict[str, Any] = field(default_factory=dict)
    base: str = "/v1"


CHAT = "/v1/chat/completions"
CASES = {
    "anthropic": Case(
        path="/v1/messages",
        headers={"x-api-key": KEY, "anthropic-version": "2023-06-01"},
        body={
            "model": "claude-haiku-4-5-20251001",
            **SAMPLING,
            "max_tokens": 100,  # and no seed: Anthropic has none
            "stream": True,
        },
        base="",
    ),
    "gemini": Case(
        path="/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
        headers={"x-goog-api-key": KEY},
        body={"generationConfig": SAMPLING | {"max_output_tokens": 100, "seed": 7}},
        base="/v1beta",
    ),
    "deepseek": Case(CHAT, {"model": "deepseek-v4-flash"} | OPENAI),
    "openai": Case(CHAT, {"model": "gpt-4o"} | OPENAI),
    "openrouter": Case(
        CHAT,
        {"model": "all-hands/openhands-lm-32b-v0.1", "usage": {"include": True}} | OPENAI,
        headers=BEARER | {"http-referer": "https://docs.all-hands.dev/", "x-title": "OpenHands"},
    ),
    "openai_compatible": Case(CHAT, {"model": "my-model"} | OPENAI),
    "azure": Case(
        path="/openai/deployments/my-deployment/chat/completions?api-version=2024-12-01-preview",
        headers={"api-key": KEY},
        body={"model": "my-deployment"} | OLDER_OPENAI,
        settings={"api_version": "2024-12-01-preview"},
        base="",
    ),
    "groq": Case(
        "/openai/v1/chat/completions",
        {"model": "openai/gpt-oss-120b"} | OLDER_OPENAI,
        base="/openai/v1",
    ),
    "groq_openai": Case(
        "/openai/v1/chat/completions", {"model": "qwen/qwen3.8-27b"} | OPENAI, base="/openai/v1"
    ),
    "litellm_proxy": Case("/chat/completions", {"model": "my-model"} | OPENAI, base=""),
    "sglang": Case(CHAT, {"model": "my-served-model"} | OPENAI),
    "vllm": Case(CHAT, {"model": "my-served-model"} | OPENAI),
    "lm_studio": Case(CHAT, {"model": "qwen/qwen3-coder-30b"} | OPENAI),
    "ollama": Case(
        path="/api/chat",
        body={
            "model": "qwen3",
            "options": SAMPLING | {"num_predict": 100, "seed": 7},
            "stream": True,
        },
        base="",
    ),
    "mistral": Case(
        "/mistral/v1/chat/completions",
        {"model": "mistral-small-latest", "max_tokens": 100, "random_seed": 7, "stream": True}
        | SAMPLING,
        base="/mistral/v1",
    ),
    "bedrock": Case(
        path="/model/amazon.nova-pro-v1%3A0/converse-stream",
        headers={"authorization": "AWS4-HMAC-SHA256 Credential=AKIACANARY"},
        body={"inferenceConfig": {"temperature": 0.5, "topP": 0.9, "maxTokens": 100}},
        settings=AWS | {"api_key": None},
        base="",
    ),
    "moonshot": Case(  # LiteLLM knows that it takes no other temperature than its own
        CHAT,
        {"model": "kimi-k3"}
        | {name: it for name, it in OLDER_OPENAI.items() if name != "temperature"},
    ),
    # Through OpenHands' LiteLLM Proxy, here at another address.
    "openhands": Case("/chat/completions", {"model": "claude-sonnet-5-5"} | OPENAI, base=""),
}
"""By the provider's name; the model is the example of its entry."""

NOT_ON_THE_WIRE = {"vertex_ai", "practice"}
"""Vertex AI makes no request without google-auth; the practice provider is its own server."""

HTTP_CLIENTS = ("accept", "connection", "content-", "host", "user-agent", "x-stainless-", "x-amz-d")
PROMPT = ("messages", "contents", "prompt")


def settings_of(server: ModelServer, case: Case, **settings: Any) -> Snapshot:
    """Settings that send a prompt to the server."""
    defaults = load_settings(env={}).with_overrides(COMMON | {"api_key": KEY})
    given: dict[str, Any] = {"base_url": server.base_url + case.base, "num_retries": 0}
    return defaults.with_overrides(given | case.settings | settings)


def asked(server: ModelServer, case: Case, **settings: Any) -> Received:
    """Ask as a user does; the one request that the server got is given back."""
    ask("Hello", settings_of(server, case, **settings))
    assert (server.count, server.asides) == (1, [])
    return server.received[0]


def telling(headers: Any) -> dict[str, str]:
    """Leave out the headers of every HTTP client, and of AWS' signature all after the key ID."""
    return {
        name: value.split("/")[0] if value.startswith("AWS4") else value
        for name, value in headers.items()
        if not name.startswith(HTTP_CLIENTS)
    }


def without_prompt(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in PROMPT}


def test_every_provider_has_a_case() -> None:
    assert set(CASES) | NOT_ON_THE_WIRE == set(PROVIDERS)


@pytest.mark.parametrize("name", CASES)
def test_a_provider_gets_exactly_this_request(model_server: ModelServer, name: str) -> None:
    received = asked(model_server, CASES[name], model=PROVIDERS[name].example)
    assert received.path == CASES[name].path
    assert telling(received.headers) == CASES[name].headers
    assert without_prompt(received.body) == body_of(name)


def body_of(name: str) -> dict[str, Any]:
    """Return the body of a request, as this LiteLLM makes it."""
    body = CASES[name].body
    if takes_sampling(PROVIDERS[name].example):
        return body
    return body | {"generationConfig": {"max_output_tokens": 100, "seed": 7}}


STREAMED = {"stream", "stream_options"}
"""What tells a server to stream; some of LiteLLM's paths add it at the last moment."""


@pytest.mark.parametrize("name", CASES)
def test_a_preview_shows_that_request_and_sends_nothing(
    model_server: ModelServer, name: str
) -> None:
    """The address, the body and the headers, with keys masked."""
    settings = settings_of(model_server, CASES[name], model=PROVIDERS[name].example)
    shown = preview(prepare("Hello", settings))
    assert (model_server.count, model_server.asides) == (0, [])
    received = asked(model_server, CASES[name], model=PROVIDERS[name].example)
    wire = {key: value for key, value in received.body.items() if key not in STREAMED}
    assert {key: value for key, value in shown.body.items() if key not in STREAMED} == wire
    assert shown.address == model_server.base_url + received.path
    assert "canary" not in repr(shown).lower()


@pytest.mark.parametrize("name", CASES)
def test_a_preview_shows_extra_headers_and_fields_where_they_go(
    model_server: ModelServer, name: str
) -> None:
    """OpenAI's client takes them out of the body, others do not."""
    extra = {"extra_headers": {"X-Team": "blue"}, "extra_body": {"guided_choice": ["a", "b"]}}
    chosen = {"model": PROVIDERS[name].example, "completion_kwargs": extra}
    settings = settings_of(model_server, CASES[name], **chosen)
    shown = preview(prepare("Hello", settings))
    received = asked(model_server, CASES[name], **chosen)
    wire = {key: value for key, value in received.body.items() if key not in STREAMED}
    assert {key: value for key, value in shown.body.items() if key not in STREAMED} == wire
    assert received.headers["x-team"] == "blue"
    assert {key.lower(): value for key, value in shown.headers.items()}["x-team"] == "blue"


@pytest.mark.parametrize("name", CASES)
def test_a_refused_request_is_not_repeated(model_server: ModelServer, name: str) -> None:
    """LiteLLM adds no retries of its own, whatever the provider."""
    model_server.script(Refuse(429))
    with pytest.raises(errors.RateLimitError):
        asked(model_server, CASES[name], model=PROVIDERS[name].example)
    assert (model_server.count, model_server.asides) == (1, [])


@pytest.mark.parametrize(("name", "first"), in_turn(CASES, ["his", "ours"]))
def test_the_users_own_litellm_is_as_it_was(
    model_server: ModelServer,
    litellm: Any,
    forget_clients: Callable[[], None],
    name: str,
    first: str,
) -> None:
    """His requests and ours share nothing, whoever came first: LiteLLM keeps clients."""
    settings = settings_of(model_server, CASES[name], model=PROVIDERS[name].example)
    request = request_from(settings, [{"role": "user", "content": "Hello"}])
    model_server.script(Refuse(500, {"retry-after-ms": "1"}))

    def his_requests() -> int:
        before = model_server.count
        with suppress(openai.APIError):
            litellm.completion(request.model, list(request.messages), **request.options)
        return model_server.count - before

    def our_requests() -> int:
        before = model_server.count
        with pytest.raises(errors.ServerError):
            ask("Hello", settings)
        return model_server.count - before

    alone = his_requests()
    forget_clients()
    order = [his_requests, our_requests] if first == "his" else [our_requests, his_requests]
    made = {each.__name__: each() for each in [*order, *order]}

    assert made == {"his_requests": alone, "our_requests": 1}


def test_a_reasoning_model_gets_an_effort_and_no_temperature(model_server: ModelServer) -> None:
    """LiteLLM leaves out what it knows that the model refuses."""
    received = asked(model_server, CASES["openai"], model="openai/o3-mini", reasoning_effort="high")
    limits = {"seed": 7, "max_completion_tokens": 100}
    expected = {"model": "o3-mini", "reasoning_effort": "high"} | limits | STREAM
    assert without_prompt(received.body) == expected


@pytest.mark.parametrize("model", ["openai/o3-pro", "openai/gpt-5-codex", "azure/o3-pro"])
@pytest.mark.parametrize(
    ("step", "came"),
    [
        (Answer("One two."), (None, 1, "One two.", "stop")),
        (Answer("One two", finish_reason="length"), (None, 1, "One two", "length")),
        (Answer("One ", finish_reason=None), (errors.BrokenAnswerError, 2, "One ", None)),
        (Refuse(401), (errors.AuthenticationError, 1, "", None)),
        (
            Refuse(400, code="context_length_exceeded", after_chunks=0),
            (errors.ContextLengthError, 1, "", None),
        ),
    ],
    ids=["whole", "length", "cut", "401", "too long"],
)
def test_a_model_that_has_the_responses_api_alone(
    model_server: ModelServer, clock: FakeClock, model: str, step: Step, came: tuple[object, ...]
) -> None:
    """LiteLLM would import the package `mcp` for it, which it does not require.

    What stands in for its module meanwhile is gone afterwards.
    """
    model_server.script(step)
    settings = load_settings(
        env={
            "LLM_MODEL": model,
            "LLM_BASE_URL": model_server.base_for("openai"),
            "LLM_API_KEY": KEY,
            "LLM_API_VERSION": "2025-04-01-preview",
            "LLM_NUM_RETRIES": "1",
        }
    )
    reply = fold(stream("Hello", settings, clock=clock))
    kind = None if reply.error is None else type(reply.error)
    assert (kind, model_server.count, reply.text, reply.finish_reason) == came
    assert all("/responses" in each.path for each in model_server.received)
    assert MCP_HANDLER not in sys.modules or importlib.util.find_spec("mcp") is not None


def test_a_setting_that_a_model_does_not_take_is_refused_without_drop_params(
    model_server: ModelServer,
) -> None:
    """`CASES` shows that with drop_params the seed does not reach Anthropic."""
    with pytest.raises(errors.BadRequestError, match="seed"):
        asked(model_server, CASES["anthropic"], model="anthropic/claude-x", drop_params=False)
    assert model_server.count == 0


def test_openrouter_is_told_the_site_that_is_set(model_server: ModelServer) -> None:
    received = asked(
        model_server,
        CASES["openrouter"],
        model="openrouter/maker/model",
        openrouter_site_url="https://site.example/",
        openrouter_app_name="My app",
        completion_kwargs={"extra_headers": {"X-Trace": "1"}},
    )
    site = {"http-referer": "https://site.example/", "x-title": "My app", "x-trace": "1"}
    assert telling(received.headers) == BEARER | site


@pytest.mark.parametrize("name", sorted(set(CASES) - {"bedrock"}))
def test_aws_keys_do_not_reach_others(model_server: ModelServer, name: str) -> None:
    received = asked(model_server, CASES[name], model=PROVIDERS[name].example, **AWS)
    assert telling(received.headers) == CASES[name].headers
    assert without_prompt(received.body) == body_of(name)


def test_a_practice_model_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[bytes] = []
    read_chat = answers.read_chat

    def noted(body: bytes, route: Route) -> answers.Chat | Refused:
        bodies.append(body)
        return read_chat(body, route)

    monkeypatch.setattr(answers, "read_chat", noted)
    with pytest.raises(errors.QuotaError):
        ask("Hello", load_settings(env={}), model="practice/out-of-quota", num_retries=0)
    assert [json.loads(body)["model"] for body in bodies] == ["out-of-quota"]


def test_vertex_ai_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without google-auth nothing is sent, and one line names the package to install."""
    monkeypatch.setitem(sys.modules, "google", None)  # as if it were not installed
    with pytest.raises(errors.LibraryError, match="pip install") as caught:
        ask("Hello", load_settings(env={}), model=PROVIDERS["vertex_ai"].example, num_retries=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:1"])
def test_gemini_without_its_prefix_is_told_where_vertex_ai_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str | None
) -> None:
    """The line names `gemini/`; nothing has left this machine, so it counts as no request."""
    monkeypatch.setitem(sys.modules, "google", None)
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    with pytest.raises(errors.LibraryError, match="set model to gemini/") as caught:
        ask("Hello", load_settings(), model="gemini-2.5-pro", base_url=address, num_retries=0)
    assert "\n" not in str(caught.value)
    ledger = ledger_of(load_settings())
    assert ledger is not None
    assert not list(ledger.rows("SELECT * FROM attempts"))


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        (name, variable)
        for name in CASES
        for variable in PROVIDERS[name].key_variables
        if variable.endswith("_API_KEY")
    ],
)
def test_the_key_can_come_from_the_providers_variable(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    monkeypatch.setenv(variable, KEY)
    received = asked(model_server, CASES[name], model=PROVIDERS[name].example, api_key=None)
    assert telling(received.headers) == CASES[name].headers


def test_aws_keys_can_come_from_the_environment(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in zip(PROVIDERS["bedrock"].key_variables, AWS.values(), strict=True):
        monkeypatch.setenv(variable, value)
    bedrock, unset = CASES["bedrock"], dict.fromkeys(AWS)
    received = asked(model_server, bedrock, model=PROVIDERS["bedrock"].example, **unset)
    assert telling(received.headers) == bedrock.headers
