"""What servers tell of a model without a token, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_server import ListServer, Told

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import AuthenticationError, RequestError, UsageError
from openhands_llm_magic.llm.probe import metadata
from openhands_llm_magic.llm.probe.context import context_of, declared, judged_window
from openhands_llm_magic.llm.probe.course import CONTEXT_CURE
from openhands_llm_magic.llm.probe.metadata import Metadata, metadata_of
from openhands_llm_magic.llm.probe.run import probe
from openhands_llm_magic.llm.served import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fake_clock import FakeClock

SHOWN = {
    "capabilities": ["completion", "tools"],
    "template": "{{ .Prompt }}",
    "parameters": 'stop                           "<|im_end|>"',
    "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960},
}
LOADED = {"name": "qwen3:latest", "model": "qwen3:latest", "context_length": 4_096}
LM_STUDIO = {
    "id": "qwen3", "type": "llm", "state": "loaded", "loaded_context_length": 8_192,
    "max_context_length": 262_144, "capabilities": ["tool_use"],
}  # fmt: skip
LM_STUDIO_1 = {
    "key": "qwen3", "type": "llm", "max_context_length": 32_768,
    "loaded_instances": [{"id": "qwen3", "config": {"context_length": 4_096}}],
    "capabilities": {"vision": False, "trained_for_tool_use": False},
}  # fmt: skip
PROPS = {
    "default_generation_settings": {"n_ctx": 8_192, "params": {}},
    "total_slots": 4,
    "chat_template": "{% for message in messages %}{% endfor %}",
    "chat_template_caps": {"supports_tools": False, "supports_tool_calls": False},
    "is_sleeping": False,
}
LLAMA_CPP = {"id": "m.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131_072}}
PROXIED = {
    "model_name": "qwen3",
    "model_info": {"max_input_tokens": 65_536, "supports_function_calling": None},
}

Paths = dict[str, Any]


def ollama(shown: Paths, *running: Paths) -> Paths:
    return {"/api/ps": {"models": [*running]}, "/api/show": shown}


TOLD: list[tuple[Paths, Metadata]] = [
    (ollama(SHOWN, LOADED), Metadata("Ollama", 4_096, 40_960, is_loaded=True, knows_tools=True)),
    (ollama(SHOWN), Metadata("Ollama", None, 40_960, is_loaded=False, knows_tools=True)),
    (
        ollama(SHOWN | {"parameters": "num_ctx   16384", "capabilities": ["completion"]}),
        Metadata("Ollama", 16_384, 40_960, is_loaded=False, knows_tools=False),
    ),
    (
        ollama({"template": "{{ if .Tools }}{{ end }}"}, {"name": "qwen3:latest"}),
        Metadata("Ollama", None, None, is_loaded=True, knows_tools=True),
    ),
    (
        ollama(SHOWN | {"remote_host": "https://ollama.com:443"}),
        Metadata("Ollama", 40_960, knows_tools=True),
    ),
    (
        {"/api/v0/models": {"data": [LM_STUDIO]}},
        Metadata("LM Studio", 8_192, 262_144, is_loaded=True, knows_tools=True),
    ),
    (
        {"/api/v0/models": {"data": [LM_STUDIO | {"state": "not-loaded"}]}},
        Metadata("LM Studio", None, 262_144, is_loaded=False, knows_tools=True),
    ),
    (
        {"/api/v1/models": {"models": [LM_STUDIO_1]}},
        Metadata("LM Studio", 4_096, 32_768, is_loaded=True, knows_tools=False),
    ),
    (
        {"/api/v1/models": {"models": [LM_STUDIO_1 | {"loaded_instances": []}]}},
        Metadata("LM Studio", None, 32_768, is_loaded=False, knows_tools=False),
    ),
    (
        {"/props": PROPS, "/v1/models": {"data": [LLAMA_CPP]}},
        Metadata("llama.cpp", 8_192, 131_072, is_loaded=True, knows_tools=False),
    ),
    (
        {"/props": {**PROPS, "chat_template_caps": {}, "chat_template": "{% if tools %}"}},
        Metadata("llama.cpp", 8_192, None, is_loaded=True, knows_tools=True),
    ),
    (
        {"/v1/models": {"data": [{"id": "qwen3", "owned_by": "vllm", "max_model_len": 32_768}]}},
        Metadata("vLLM", 32_768, is_loaded=True),
    ),
    ({"/v1/model/info": {"data": [PROXIED]}}, Metadata("LiteLLM Proxy", 65_536)),
    ({"/v1/models": {"data": [{"id": "qwen3", "context_length": 9_000}]}}, Metadata("", 9_000)),
    ({"/v1/models": {"data": [{"id": "another"}]}}, Metadata()),
]


def told_by(paths: Mapping[str, Any], model: str = "openai/qwen3", **overrides: Any) -> Metadata:
    with ListServer({path: Told(body) for path, body in paths.items()}) as server:
        to = {"base_url": f"{server.address}/v1", "api_key": "sk-canary-0123456789abcdef"}
        return metadata_of(load_settings().with_overrides({"model": model, **to, **overrides}))


@pytest.mark.parametrize(("paths", "expected"), TOLD)
def test_each_kind_of_server(paths: Paths, expected: Metadata) -> None:
    """It is found out by what it tells, as most people write openai/ for their own server."""
    assert told_by(paths) == expected


def test_a_model_of_ollamas_own_service() -> None:
    """It has its whole context, and is never loaded on this machine."""
    told = told_by(ollama(SHOWN), model="openai/qwen3:480b-cloud")
    assert told == Metadata("Ollama", 40_960, knows_tools=True)


def test_a_server_that_is_named_is_asked_in_its_own_way_alone() -> None:
    """And one that is known by its port, or by the prefix."""
    with ListServer({}) as server:
        settings = load_settings().with_overrides(
            {"model": "ollama/qwen3", "base_url": server.address}
        )
        with pytest.raises(RequestError):
            metadata_of(settings)
    assert [path for path, _ in server.asked] == ["/api/ps", "/api/tags", "/v1/models"]


def test_a_key_that_is_refused_is_told() -> None:
    """It is no server without metadata."""
    with ListServer({"/v1/models": Told({"error": "bad key"}, 401)}) as server:
        to = {"base_url": f"{server.address}/v1", "api_key": "sk-canary-0123456789abcdef"}
        settings = load_settings().with_overrides({"model": "openai/qwen3", **to})
        with pytest.raises(AuthenticationError):
            metadata_of(settings)


def test_a_providers_own_server_has_its_list_alone() -> None:
    """Nothing else is asked of it."""
    named = {"model": "openai/gpt-4o", "api_key": "sk-x"}
    for settings in (
        load_settings().with_overrides(named),
        load_settings().with_overrides(named | {"base_url": "https://api.openai.com/v1"}),
    ):
        assert metadata.kinds_at(settings, place_of(settings)) == ()


def test_what_is_not_known_from_a_server() -> None:
    """LiteLLM's list says it, where the model is at its provider; else why is told."""
    by_list = metadata_of(load_settings().with_overrides({"model": "azure/gpt-4o"}))
    assert by_list == Metadata("", 128_000, knows_tools=True)
    with pytest.raises(UsageError):
        metadata_of(load_settings().with_overrides({"model": "practice/agent"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(
        st.sampled_from(["models", "data", "name", "id", "key", "model_info", "state", "x"])
        | st.text(max_size=5), each, max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


@given(body=json_values)
def test_whatever_a_server_tells(body: Any) -> None:
    """What is not in the form that is expected counts as not told, and nothing fails."""
    for kind in metadata.KINDS.values():
        kind(lambda _path, _question=None: body, ("qwen3", "qwen3:latest"))


CONTEXTS = [
    (Metadata("Ollama", 4_096, 40_960, is_loaded=True), "failed", "OLLAMA_CONTEXT_LENGTH"),
    (Metadata("LM Studio", 8_192, 262_144, is_loaded=True), "failed", "lms load"),
    (Metadata("llama.cpp", 8_192, 131_072), "failed", "-c 32768"),
    (Metadata("vLLM", 16_384, is_loaded=True), "failed", "--max-model-len"),
    (Metadata("", 16_384), "failed", str(CONTEXT_CURE)),
    (Metadata("Ollama", None, 8_192, is_loaded=False), "failed", "a model with a larger context"),
    (Metadata("Ollama", None, 40_960, is_loaded=False), "not asked", ""),
    (Metadata("LM Studio", 32_768, 262_144, is_loaded=True), "held", ""),
    (Metadata(), "not asked", ""),
]


@pytest.mark.parametrize(("told", "outcome", "cure"), CONTEXTS)
def test_a_context_that_is_loaded_too_small(told: Metadata, outcome: str, cure: str) -> None:
    """It is told with what the model could have, and with the option of its own server."""
    found = context_of(told)
    assert found.outcome == outcome
    assert cure in found.finding.cure
    assert bool(found.finding.cure) == bool(cure)
    if told.window_tokens and told.most_window_tokens:
        said = found.finding.did or found.finding.note
        assert f"{told.window_tokens:,} tokens, and it could have" in said


def test_a_context_of_which_nothing_is_loaded() -> None:
    """How large it will be is not guessed from how large it could be."""
    told = context_of(Metadata("LM Studio", None, 262_144, is_loaded=False))
    assert told.why.startswith("it is not loaded")
    assert "262,144" in told.why
    note = context_of(Metadata("Ollama", 32_768, is_loaded=False)).finding.note
    assert note == "32,768 tokens, not loaded yet"
    assert judged_window(32_768, 32_768).note == "32,768 tokens"


def test_what_is_declared_and_what_is_done() -> None:
    """A model that calls functions does, whatever is said of it."""
    no, yes = Metadata("llama.cpp", knows_tools=False), Metadata("Ollama", knows_tools=True)
    assert declared(no).outcome == declared(no, calls=False).outcome == "failed"
    assert declared(no, calls=True).finding.note == "llama.cpp says that it does not, and it does"
    assert declared(yes, calls=False).finding.note == "Ollama says so"
    assert declared(Metadata(knows_tools=True)).finding.note == "LiteLLM's list says so"
    assert declared(Metadata()).outcome == "not asked"


def test_a_model_that_the_probes_load_is_asked_for_again(clock: FakeClock, litellm: object) -> None:
    """Ollama decides on the size of the context with the first request."""
    del litellm
    paths = {path: Told(body) for path, body in ollama(SHOWN).items()}
    with ListServer(paths) as server:
        to = {"base_url": f"{server.address}/v1", "api_key": "sk-x", "num_retries": 1}
        settings = load_settings().with_overrides({"model": "openai/qwen3", **to})
        for event in probe(settings, clock):
            report = event
            server.lists |= {"/api/ps": Told({"models": [LOADED]})}
    assert report["context"].outcome == "failed"
    assert report["context"].finding.cure.startswith("Start Ollama with OLLAMA_CONTEXT_LENGTH")
    assert [each.name for each in report.results[:2]] == ["context", "declared"]
    assert report.metadata.is_loaded
    assert report.as_data()["server"]["server"] == "Ollama"
