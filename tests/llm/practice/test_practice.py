"""What the practice provider answers, through real HTTP."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from practice_client import ask, chat, connect, events, streamed_text

from openhands_llm_magic.llm.practice.models import MODELS
from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERING = sorted(MODELS.keys() - {"out-of-quota", "fails-midway"})


@pytest.fixture
def server() -> Iterator[PracticeServer]:
    """Each request to it comes a minute after the one before."""
    with PracticeServer(pause_s=0, now=count(step=60).__next__) as server:
        yield server


@pytest.fixture
def client(server: PracticeServer) -> Iterator[httpx.Client]:
    with connect(server) as client:
        yield client


def answer(client: httpx.Client, model: str, prompt: str = "Hello there", **more: Any) -> Any:
    """Ask until the model has no more faults, and return the answer."""
    for _ in range(3):
        try:
            response = ask(client, model, prompt, **more)
        except httpx.RemoteProtocolError:
            continue
        if response.status_code == 200:
            return response
    pytest.fail(f"{model} did not answer")


def test_echo_quotes_the_last_user_prompt(client: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": [{"type": "text", "text": "second\nline"}]},
    ]
    body = client.post("/chat/completions", json={"model": "echo", "messages": messages}).json()
    text = body["choices"][0]["message"]["content"]
    assert text.startswith("You wrote:\n\n> second\n> line\n\n")
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["prompt_tokens"] == 6
    assert body["usage"]["completion_tokens"] == len(text.split())
    assert body["usage"]["total_tokens"] == 6 + len(text.split())


@pytest.mark.parametrize("model", [name for name in ANSWERING if not MODELS[name].verbatim])
def test_every_answer_says_what_it_comes_from(client: httpx.Client, model: str) -> None:
    text = answer(client, model).json()["choices"][0]["message"]["content"]
    assert "practice provider, which is not a language model" in text
    assert f"`{model}` {MODELS[model].about}." in text


def test_one_model_gives_back_the_prompt_alone(client: httpx.Client) -> None:
    """So that formats and schemas can be tried."""
    assert answer(client, "verbatim").json()["choices"][0]["message"]["content"] == "Hello there"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ANSWERING)
def test_the_same_request_gets_the_same_bytes(
    client: httpx.Client, model: str, *, stream: bool
) -> None:
    assert answer(client, model, stream=stream).content == (
        answer(client, model, stream=stream).content
    )


@pytest.mark.parametrize("model", ANSWERING)
def test_a_stream_has_the_chunks_of_the_protocol(client: httpx.Client, model: str) -> None:
    """Role, text, finish reason and, because it was asked for, the usage without choices."""
    whole = answer(client, model).json()
    response = answer(client, model, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    first, *texts, last, usage = events(response.text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    assert all(chunk["usage"] is None for chunk in (first, *texts, last))
    assert streamed_text(texts) == whole["choices"][0]["message"]["content"]
    assert {chunk["id"] for chunk in (first, *texts, last, usage)} == {whole["id"]}


def test_a_stream_has_no_usage_unless_asked(client: httpx.Client) -> None:
    chunks = events(ask(client, "echo", stream=True).text)
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_markdown_shows_each_element(client: httpx.Client) -> None:
    text = ask(client, "markdown").json()["choices"][0]["message"]["content"]
    for element in ("## ", "\n1. ", "\n|---", "\n```python\n", "\n$$"):
        assert element in text


def test_slow_sends_single_words(client: httpx.Client) -> None:
    texts = [
        chunk["choices"][0]["delta"].get("content", "")
        for chunk in events(ask(client, "slow", stream=True).text)
    ]
    words = [text for text in texts if text]
    assert 20 <= len(words) <= 50
    assert all(len(word.split()) == 1 for word in words)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "statuses", "refusal"),
    [
        ("rate-limited", [429, 429, 200], ("requests", "rate_limit_exceeded", "3")),
        ("busy", [503, 200], ("server_error", None, None)),
        ("out-of-quota", [429, 429, 429], ("insufficient_quota", "insufficient_quota", None)),
    ],
)
def test_refusals_come_before_each_answer(
    client: httpx.Client,
    model: str,
    statuses: list[int],
    refusal: tuple[str | None, ...],
    *,
    stream: bool,
) -> None:
    """A second run of the same conversation goes through the same refusals."""
    for _run in range(2):
        responses = [ask(client, model, stream=stream) for _ in statuses]
        assert [response.status_code for response in responses] == statuses
        error, retry_after = responses[0].json()["error"], responses[0].headers.get("retry-after")
        assert (error["type"], error["code"], retry_after) == refusal


def test_conversations_fail_independently(client: httpx.Client) -> None:
    statuses = [
        ask(client, "rate-limited", prompt).status_code for prompt in ("a", "b", "a", "b", "a", "b")
    ]
    assert statuses == [429, 429, 429, 429, 200, 200]


def test_drops_cuts_the_stream_once_in_the_middle(client: httpx.Client) -> None:
    """The chunked body has no end, and what came of it is the beginning of the answer."""
    for _run in range(2):
        received: list[bytes] = []
        request = chat("drops", stream=True)
        with (
            client.stream("POST", "/chat/completions", json=request) as response,
            pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
        ):
            received.extend(response.iter_raw())
        part = [json.loads(event[6:]) for event in b"".join(received).split(b"\n\n")[:-1]]
        whole = streamed_text(events(ask(client, "drops", stream=True).text))
        assert whole.startswith(streamed_text(part))
        assert 0 < len(streamed_text(part)) < len(whole)


def test_drops_cuts_an_answer_that_is_not_streamed(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        ask(client, "drops")
    assert ask(client, "drops").status_code == 200


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic {key}", "Bearer {key}é"])
def test_a_wrong_key_is_refused_and_not_repeated(
    server: PracticeServer, authorization: str | None
) -> None:
    sent = (authorization or "").format(key=server.key).encode("latin-1")
    headers = {b"Authorization": sent} if authorization else {}
    url = f"{server.base_url}/chat/completions"
    response = httpx.post(url, json=chat("echo"), headers=headers, trust_env=False)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert server.key not in response.text
    assert "wrong" not in response.text


def test_an_unknown_model_is_refused_with_the_list(client: httpx.Client) -> None:
    response = ask(client, "gpt-4o")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "model_not_found"
    assert all(name in error["message"] for name in ("gpt-4o", *MODELS))


@pytest.mark.parametrize(("method", "path"), [("POST", "/chat/completions"), ("GET", "/v1/nope")])
def test_an_unknown_path_is_refused_with_the_right_ones(
    server: PracticeServer, client: httpx.Client, method: str, path: str
) -> None:
    """The usual mistake: a base URL without /v1."""
    response = client.request(method, f"http://127.0.0.1:{server.port}{path}")
    assert response.status_code == 404
    assert "/v1/chat/completions" in response.json()["error"]["message"]


def test_models_are_listed(client: httpx.Client) -> None:
    body = client.get("/models").json()
    assert body["object"] == "list"
    assert [entry["id"] for entry in body["data"]] == [*MODELS, "embed"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"model": "echo"}',
        b'{"model": "echo", "messages": []}',
        b'{"model": "echo", "messages": ["hi"]}',
        b'{"model": 1, "messages": [{"role": "user", "content": "hi"}]}',
        b'{"model": "agent", "messages": [{"role": "user", "content": "hi"}], "tools": [1]}',
        b'{"model": "agent-is-strict", "messages": [{"role": "assistant", "tool_calls": [1]}]}',
    ],
)
def test_a_bad_request_is_refused(client: httpx.Client, body: bytes) -> None:
    response = client.post("/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_metered_takes_one_request_in_two_seconds() -> None:
    """From all who ask; it says so, and refuses the others until then."""
    times_s = iter([100, 100.25, 101.75, 102, 102])
    with PracticeServer(now=times_s.__next__) as server, connect(server) as client:
        first, second, third, fourth = (ask(client, "metered", prompt) for prompt in "abcd")
        echoed = ask(client, "echo")
    assert [each.status_code for each in (first, second, third, fourth)] == [200, 429, 429, 200]
    told = {name[12:]: value for name, value in first.headers.items() if "ratelimit" in name}
    assert told == {"limit-requests": "1", "remaining-requests": "0", "reset-requests": "2s"}
    waits = [
        (each.headers["retry-after"], each.headers["retry-after-ms"]) for each in (second, third)
    ]
    assert waits == [("2", "1750"), ("1", "250")]
    assert second.json()["error"]["code"] == "rate_limit_exceeded"
    assert echoed.status_code == 200
