"""Each private thing of LiteLLM's that is used: what for, that it is there, and how to go without.

A new version of LiteLLM renames some of them. Then a test here fails and names it, and until it is
mended no prompt fails. (What is left here are its documented functions, `completion`, `embedding`,
`get_llm_provider` and the like, and what other tests see from outside, on each provider's path: one
request for each attempt, the class of each fault, the text of each refusal.)
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Refuse
from pairs import in_turn
from sending import DIALECTS, failure, request_to, send

from openhands_llm_magic.config.litellm_files import PRICE_FILE, prices
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import RateLimitError
from openhands_llm_magic.llm.events import Done, TextDelta
from openhands_llm_magic.llm.litellm import embed, preview
from openhands_llm_magic.llm.litellm import send as sending
from openhands_llm_magic.llm.litellm.loading import load, quiet
from openhands_llm_magic.llm.prepare import EmbeddingRequest, Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server import ModelServer

HANDLER = "litellm_core_utils.streaming_handler"
LOG = "litellm_core_utils.litellm_logging.Logging"

USED_FOR_PROMPTS = {
    **dict.fromkeys(quiet.OURS, "a switch, set while a request of ours runs"),
    "modify_params": "the switch of a setting of ours",
    "success_callback": "tells whether the user logs answers",
    "callbacks": "tells whether the user logs answers",
    "RetryPolicy": "an empty one keeps away retries that the user sets meanwhile",
    "HTTPHandler": "a client with a timeout, which LiteLLM forgets for Gemini",
    f"{HANDLER}.generic_chunk_has_all_required_fields": "tells whether it takes short chunks",
    "completion().completion_stream": "the provider's own chunks, which tell how it really ended",
    "completion().fetch_sync_stream": "asks for them, on some paths",
    "completion().chunks": "a copy of the answer, for a log that nobody reads",
    "completion().logging_obj": "logs the answer",
    "completion().logging_obj.success_handler": "logs the answer",
    "completion().run_success_logging_and_cache_storage": "logs each chunk",
    "completion()._response_headers": "tell of limits, and what kind of answer came",
    "completion().completion_stream.response": "the connection, to close it",
    "completion().completion_stream.streaming_response": "the lines of the body, on some paths",
    "completion().completion_stream.response_iterator": "the same once more",
}
"""Where each thing is, from the module on, and what it is for; "()" stands for a call's result."""

USED_FOR_DRY_RUNS = {
    LOG: "captures a request",
    f"{LOG}().raw_request_only": "stops it before it is sent",
}


@dataclass
class Without:
    """A thing of LiteLLM's as it looks to us once what is at the path has another name.

    LiteLLM itself goes on finding it.
    """

    real: Any
    path: str

    def __getattr__(self, name: str) -> Any:
        first, _, rest = self.path.partition(".")
        if self.path in {name, "*"}:
            raise AttributeError(name)
        value = getattr(self.real, name)
        if value is None or name != first.removesuffix("()"):
            return value
        if name == first:
            return Without(value, rest)
        return lambda *args, **options: Without(value(*args, **options), rest)

    def __setattr__(self, name: str, value: object) -> None:
        ours = name in self.__dataclass_fields__
        object.__setattr__(self if ours or name == self.path else self.real, name, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.real)


def is_there(thing: Any, path: str) -> bool:
    """Follow a path, of which every step but the last must lead to something."""
    name, _, rest = path.partition(".")
    if not rest:
        return hasattr(thing, name)
    if name == "completion_stream":
        thing.fetch_sync_stream()
    return hasattr(thing, name) and is_there(getattr(thing, name), rest)


@pytest.fixture(scope="module")
def quick_collections() -> Iterator[None]:
    """Let the garbage collector look at what a test makes, and not at all of LiteLLM each time."""
    load()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("path", USED_FOR_PROMPTS)
def test_it_is_there(model_server: ModelServer, litellm: Any, path: str) -> None:
    """On the path of one provider at least."""
    _, called, of_stream = path.partition("completion().")
    if not called:
        assert is_there(litellm, path)
        return
    streams = []
    for provider in DIALECTS:
        request = request_to(model_server, provider)
        messages = list(request.messages)
        streams.append(litellm.completion(request.model, messages, stream=True, **request.options))
    assert any(is_there(stream, of_stream) for stream in streams)
    for stream in streams:
        list(stream)


@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize(
    ("path", "provider"), in_turn([*USED_FOR_PROMPTS, "completion().*"], [*DIALECTS])
)
def test_a_prompt_is_answered_without_it(
    model_server: ModelServer,
    litellm: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    provider: str,
) -> None:
    """And a refusal is one request, and says how long to wait."""
    monkeypatch.setattr(sending, "load", lambda: Without(litellm, path))
    *events, done = send(model_server, Answer("One two.\n"), provider, timeout=10)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "One two.\n"
    assert isinstance(done, Done)
    assert done.finish_reason == "stop"
    if path.startswith("completion()"):
        # What could not be closed is closed by the collector: now, and not within httpcore, while
        # that holds the lock that closing needs (it would wait for itself for ever).
        gc.collect()
    error = failure(model_server, Refuse(429, {"retry-after": "7"}), provider)
    assert (type(error), error.retry_after_s) == (RateLimitError, 7)
    assert model_server.count == 2
    if path.startswith("completion()"):
        gc.collect()


def test_vectors_come_without_the_headers(
    model_server: ModelServer, litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`_hidden_params` has those that tell of limits."""
    options = {"base_url": model_server.openai_base, "api_key": "sk-test-key"}
    request = EmbeddingRequest("openai/text-embedding-3-small", ["one", "two"], options)
    model_server.script(Answer(headers={"x-ratelimit-remaining-requests": "7"}))
    told: list[Any] = []
    embed.embed(request, told.append)
    assert told.pop().headers["x-ratelimit-remaining-requests"] == "7"
    monkeypatch.setattr(embed, "load", lambda: Without(litellm, "embedding()._hidden_params"))
    response = embed.embed(request, told.append)
    assert response.vectors is not None
    assert (len(response.vectors), told.pop().headers) == (2, {})


@pytest.mark.parametrize("path", [None, *USED_FOR_DRY_RUNS])
def test_a_dry_run_sends_nothing_without_it(
    model_server: ModelServer, litellm: Any, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    """It shows LiteLLM's arguments in place of the body."""
    if path:
        monkeypatch.setattr(preview, "load", lambda: Without(litellm, path))
    request = request_to(model_server, temperature=0.5)
    settings = load_settings(env={"LLM_MODEL": request.model})
    shown = preview.preview(Prepared(settings, request))
    assert shown.body["temperature"] == 0.5
    assert (shown.body["model"] == "gpt-4o") is (path is None)
    assert model_server.count == 0


def test_the_list_of_prices_is_there() -> None:
    """`test_models.py` has what happens when it is not."""
    assert len(prices()) > 1000, PRICE_FILE
