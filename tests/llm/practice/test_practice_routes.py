"""Which provider a path belongs to, what a request in each dialect says, and in which words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from faults.wordings import WORDINGS
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.llm.practice import answers, wordings
from openhands_llm_magic.llm.practice.routes import Route, can_stand_in, keys_in, route_of
from openhands_llm_magic.llm.practice.server import PracticeServer
from openhands_llm_magic.llm.practice.wire import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATHS = {
    "POST /v1/chat/completions": Route(asks="answer"),
    "POST /openai/v1/chat/completions": Route("openai", asks="answer"),
    "POST /openai/v1/responses": Route("openai", "responses", "answer"),
    "POST /azure/openai/deployments/d/chat/completions?api-version=2024-10-21": Route(
        "azure", asks="answer", model="d"
    ),
    "POST /azure/openai/deployments/d/chat/completions": Route("azure"),
    "POST /azure/as/busy/openai/deployments/d/embeddings?api-version=2024-10-21": Route(
        "azure", asks="vectors", model="d", acts_as="busy"
    ),
    "POST /anthropic/v1/messages": Route("anthropic", "anthropic", "answer"),
    "POST /anthropic/v1/v1/messages": Route("anthropic", "anthropic"),
    "POST /groq/v1/messages": Route("groq"),
    "POST /groq/openai/v1/chat/completions": Route("groq", asks="answer"),
    "POST /gemini/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse": Route(
        "gemini", "gemini", "answer", "gemini-2.5-pro", streams=True
    ),
    "POST /gemini/v1beta/openai/chat/completions": Route("gemini", asks="answer"),
    "POST /bedrock/model/anthropic.claude-v1%3A0/converse": Route(
        "bedrock", "bedrock", "answer", "anthropic.claude-v1:0", streams=False
    ),
    "POST /ollama/api/chat": Route("ollama", "ollama", "answer"),
    "POST /ollama/key/k/api/embed": Route("ollama", "ollama", "vectors"),
    "GET /ollama/api/tags": Route("ollama", "ollama", "models"),
    "POST /ollama/api/tags": Route("ollama", "ollama"),
    "GET /ollama/api/ps": Route("ollama", "ollama", "loaded models"),
    "GET /llama_cpp/props?model=m&autoload=false": Route("llama_cpp", "llama_cpp", "properties"),
    "GET /vllm/v1/models": Route("vllm", "vllm", "models"),
    "GET /sglang/v1/models": Route("sglang", "sglang", "models"),
    "POST /ollama/v1/chat/completions": Route("ollama", asks="answer"),
    "GET /openrouter/api/v1/key": Route("openrouter", "openrouter", "key"),
    "POST /litellm_proxy/chat/completions": Route("litellm_proxy", asks="answer"),
    "GET /openhands/v1/model/info": Route("openhands", "litellm_proxy", "models"),
    "GET /lm_studio/api/v0/models": Route("lm_studio", "lm_studio", "models"),
    "POST /llama_cpp/v1/chat/completions": Route("llama_cpp", asks="answer"),
    "POST /vertex_ai/v1/chat/completions": Route(),
    "GET /": Route(),
    "GET /azure": Route("azure"),
}


@pytest.mark.parametrize(("request_line", "route"), PATHS.items())
def test_a_path_leads_to(request_line: str, route: Route) -> None:
    method, target = request_line.split(" ")
    assert route_of(method, target) == route


@given(st.sampled_from(["GET", "POST"]), st.text())
def test_any_path_is_read(method: str, path: str) -> None:
    assert route_of(method, f"/{path}").provider in {*PROVIDERS, "llama_cpp"}


@pytest.fixture(scope="module")
def server() -> Iterator[PracticeServer]:
    with PracticeServer(pause_s=0) as server:
        yield server


ASKING = [line for line, route in PATHS.items() if route.asks != "nothing"]


@pytest.mark.parametrize("request_line", ASKING)
def test_no_path_is_open_without_the_key_or_to_other_hosts(
    server: PracticeServer, request_line: str
) -> None:
    method, target = request_line.split(" ")
    url = f"http://127.0.0.1:{server.port}{target}"
    with httpx.Client(trust_env=False) as client:
        statuses = [
            client.request(method, url, headers=headers, content=b"{}").status_code
            for headers in (
                {},
                {"x-api-key": "sk-wrong"},
                {"Authorization": "Bearer wrong"},
                {"Authorization": f"Bearer {server.key}", "Host": "attacker.example"},
            )
        ]
    assert statuses == [401, 401, 401, 403]


def test_a_key_is_shown_in_each_providers_way() -> None:
    signed = "AWS4-HMAC-SHA256 Credential=k/20260320/us-east-1/bedrock/aws4_request, Signature=0"
    ways: list[tuple[Mapping[str, str], str]] = [
        ({"Authorization": "Bearer k"}, "/"),
        ({"Authorization": signed}, "/"),
        ({}, "/ollama/key/k/api/embed"),
        ({}, "/ollama/as/busy/key/k/api/embed"),
        ({"x-api-key": "k"}, "/"),
        ({"api-key": "k"}, "/"),
        ({"x-goog-api-key": "k"}, "/"),
        ({}, "/gemini?key=k"),
    ]
    assert [keys_in(headers, target) for headers, target in ways] == [["k"]] * len(ways)
    assert keys_in({"Authorization": "Basic k"}, "/ollama/api/embed") == []


def posted(server: PracticeServer, path: str, body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.key}"}
    url = f"http://127.0.0.1:{server.port}{path}"
    return httpx.post(url, json=body, headers=headers, trust_env=False)


def test_a_refusal_has_the_form_of_its_dialect(server: PracticeServer) -> None:
    """Also one that no provider has words for, such as that of a body that cannot be read."""
    anthropic = posted(server, "/anthropic/v1/messages", {}).json()
    assert anthropic["type"] == "error"
    assert anthropic["error"]["type"] == "invalid_request_error"
    gemini = posted(server, "/gemini/v1beta/models/m:generateContent", {}).json()
    assert (gemini["error"]["code"], gemini["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert isinstance(posted(server, "/ollama/api/chat", {}).json()["error"], str)
    assert set(posted(server, "/bedrock/model/m/converse", {}).json()) == {"message"}


def test_an_overload_of_anthropic_has_its_own_status(server: PracticeServer) -> None:
    """529, for which Python has no name."""
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "claude", "max_tokens": 9, "messages": messages}
    response = posted(server, "/anthropic/as/busy/v1/messages", body)
    assert response.status_code == 529
    assert response.json()["error"] == {"type": "overloaded_error", "message": "Overloaded"}


def test_a_stream_that_fails_says_so_within(server: PracticeServer) -> None:
    """Status 200, some of the answer, an event with the error, and a well-formed end."""
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "m", "max_tokens": 9, "messages": messages, "stream": True}
    text = posted(server, "/anthropic/as/fails-midway/v1/messages", body).text
    *_, before, error, nothing = text.split("\n\n")
    assert before.startswith("event: content_block_delta\n")
    assert error.startswith("event: error\n")
    assert nothing == ""
    assert "message_stop" not in text
    body |= {"model": "x/m"}
    told = posted(server, "/openrouter/as/fails-midway/api/v1/chat/completions", body).text
    last = told.split("\n\n")[-2]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == 502


names = st.sampled_from([
    "messages", "contents", "input", "prompt", "system", "systemInstruction", "tools", "role",
    "content", "parts", "text", "type", "tool_use", "tool_result", "toolUse", "toolResult", "name",
    "functionCall", "functionResponse", "response", "args", "arguments", "options", "stop",
    "generationConfig", "inferenceConfig", "toolConfig", "model", "stream", "function_call",
])  # fmt: skip
values = st.none() | st.booleans() | st.integers() | names
bodies = st.recursive(
    values, lambda each: st.lists(each, max_size=3) | st.dictionaries(names, each, max_size=4)
)
DIALECTS = ["openai", "anthropic", "gemini", "ollama", "ollama_generate", "bedrock", "responses"]


@given(st.sampled_from(DIALECTS), bodies)
def test_any_json_is_read_or_refused_in_every_dialect(dialect: str, body: Any) -> None:
    read = answers.read_chat(json.dumps(body).encode(), Route("openai", dialect, "answer", "m"))
    assert isinstance(read, answers.Chat) or (isinstance(read, Refuse) and read.status == 400)


TITLES = {
    "openai": "OpenAI", "azure": "Azure OpenAI", "anthropic": "Anthropic", "gemini": "Gemini",
    "groq": "Groq", "openrouter": "OpenRouter", "deepseek": "DeepSeek", "mistral": "Mistral",
    "moonshot": "Moonshot (Kimi)", "bedrock": "AWS Bedrock", "litellm_proxy": "LiteLLM Proxy",
    "ollama": "Ollama", "sglang": "SGLang", "vllm": "vLLM", "llama_cpp": "llama.cpp",
    "lm_studio": "LM Studio",
}  # fmt: skip
"""What providers are called in wordings.toml."""


def begins(text: str) -> str:
    """The first words, which no number, name or address is part of."""
    return re.split(r"[\d`{*:<]| for | of your | \(| org-", text, maxsplit=1)[0]


@pytest.mark.parametrize("provider", TITLES)
def test_the_words_are_those_of_public_reports(provider: str) -> None:
    known = "\n".join(each.body for each in WORDINGS if each.provider == TITLES[provider])
    words = wordings.WORDS[provider]
    for refuse in (
        words.rate_limit,
        words.overload,
        words.no_credit,
        words.no_tools,
        words.too_long,
    ):
        if refuse is None:
            continue
        body = json.loads(refuse.body) if refuse.body else {"message": refuse.message}
        error = body.get("error", body)
        message = error if isinstance(error, str) else error["message"]
        assert json.dumps(begins(message))[1:-1] in known


def test_each_provider_can_be_stood_in_for_but_one() -> None:
    assert set(PROVIDERS) - {name for name in PROVIDERS if can_stand_in(name)} == {
        "vertex_ai",
        "practice",
    }
