"""The practice server in place of each provider: real LiteLLM, on the road of any prompt."""

from __future__ import annotations

import struct
from base64 import b64decode
from dataclasses import replace
from datetime import date  # noqa: TC003 - pydantic reads it
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pydantic
import pytest
from pairs import in_turn

from openhands_llm_magic import ask, embed, load_settings, practice_in_place_of
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.errors import (
    AddressError,
    BadRequestError,
    ContextLengthError,
    ModelNotFoundError,
    QuotaError,
    RateLimitError,
    ToolsRefusedError,
)
from openhands_llm_magic.llm import served
from openhands_llm_magic.llm.practice import embeddings, wordings
from openhands_llm_magic.llm.practice.agent import CONTEXT_TOKENS
from openhands_llm_magic.llm.practice.routes import can_stand_in
from openhands_llm_magic.llm.practice.stand_in import in_place_of
from openhands_llm_magic.llm.probe.metadata import Metadata, metadata_of
from openhands_llm_magic.llm.probe.run import probe

if TYPE_CHECKING:
    from fake_clock import FakeClock

    from openhands_llm_magic import Reply, Snapshot

pytestmark = pytest.mark.usefixtures("litellm", "nothing_learned")

STAND_INS = [name for name in PROVIDERS if can_stand_in(name)]
MODELS = {name: PROVIDERS[name].example for name in STAND_INS}
BY_PATH = [*MODELS.items(), ("ollama", "ollama/qwen3")]
TITAN = "bedrock/amazon.titan-embed-text-v2:0"
EMBEDDING_MODELS = {
    name: PROVIDERS[name].prefix + "my-embeddings"
    for name in STAND_INS
    if name not in ("anthropic", "deepseek", "groq", "moonshot")  # LiteLLM has no way to theirs
} | {"bedrock": TITAN, "ollama": "ollama/my-embeddings"}
PROMPT = "Good morning"


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}."


def settings_for(provider: str, acts_as: str = "") -> Snapshot:
    settings = load_settings(env={})
    return settings.with_overrides(in_place_of(settings, provider, acts_as))


def asked(
    provider: str, clock: FakeClock, acts_as: str = "", prompt: str = PROMPT, **more: Any
) -> Reply:
    more = {"model": MODELS[provider], **more}
    return ask(prompt, settings_for(provider, acts_as), clock=clock, **more)


@pytest.mark.parametrize(("provider", "model"), BY_PATH)
def test_a_prompt_is_answered_in_one_request(provider: str, model: str, clock: FakeClock) -> None:
    """Whatever the model is called; the answer, and who gave it, say that it is practice."""
    reply = asked(provider, clock, model=model)
    assert PROMPT in reply.text
    assert "practice provider, which is not a language model" in reply.text
    assert (reply.attempts, reply.finish_reason) == (1, "stop")
    assert reply.usage is not None
    assert reply.usage.completion_tokens == len(reply.text.split())
    assert reply.usage.prompt_tokens == (4 if model.startswith("ollama/") else 2)  # "### User:"
    assert reply.is_local or (provider == "openrouter" and reply.cost_usd == 0)
    if provider != "bedrock":  # which names no model in its answers
        assert reply.model_answered == "practice/echo"


@pytest.mark.parametrize(("provider", "model"), BY_PATH)
def test_an_answer_that_is_not_streamed(provider: str, model: str, litellm: Any) -> None:
    """It is the one that a stream gives, with the same count of tokens."""
    settings = settings_for(provider)
    options: dict[str, Any] = {"api_base": settings.base_url, "max_retries": 0, "num_retries": 0}
    if settings.api_key and provider != "bedrock":
        options["api_key"] = settings.api_key.get_secret_value()
    if provider == "azure":
        options["api_version"] = settings.api_version
    if provider == "bedrock":
        secrets = (settings.aws_access_key_id, settings.aws_secret_access_key)
        names = ("aws_access_key_id", "aws_secret_access_key")
        found = zip(names, secrets, strict=True)
        options |= {name: value.get_secret_value() for name, value in found if value}
        options["aws_region_name"] = settings.aws_region_name
    model = model.replace("openhands/", "litellm_proxy/")
    messages = [{"role": "user", "content": PROMPT}]
    reply = litellm.completion(model=model, messages=messages, **options)
    text = reply.choices[0].message.content
    assert "practice provider, which is not a language model" in text
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens == len(text.split())


@pytest.mark.parametrize("provider", STAND_INS)
def test_a_rate_limit_is_waited_out(provider: str, clock: FakeClock) -> None:
    """As long as the provider asks, where it names a wait."""
    reply = asked(provider, clock, "rate-limited")
    words = wordings.refusal(provider, "rate limit", "a-model")
    told = f"{words.headers} {words.message} {words.details} {words.body!r}"
    is_named = any(form in told for form in ("'3'", " 3s", "after 3 seconds"))
    assert [wait.wait_s for wait in reply.waits] == ([3, 3] if is_named else [5, 10])
    assert (reply.attempts, reply.is_whole) == (3, True)


@pytest.mark.parametrize(
    ("provider", "model"), in_turn(STAND_INS, ["busy", "drops", "fails-midway"])
)
def test_a_fault_that_passes_is_tried_again(provider: str, model: str, clock: FakeClock) -> None:
    """A refusal, a connection that breaks off, and a refusal within a stream that began well."""
    reply = asked(provider, clock, model)
    assert (reply.attempts, reply.is_whole) == (2, True)
    assert reply.text.startswith("You wrote:")


@pytest.mark.parametrize("provider", STAND_INS)
def test_the_words_of_a_refusal_within_a_stream_are_told(provider: str, clock: FakeClock) -> None:
    [wait] = asked(provider, clock, "fails-midway").waits
    words = wordings.refusal(provider, "overload midway", MODELS[provider])
    told = f"{words.message} {words.body!r}"
    assert " ".join(str(wait.caused_by).split())[:40] in " ".join(told.split())


@pytest.mark.parametrize("provider", STAND_INS)
def test_an_account_without_credit_is_told_in_the_providers_words(
    provider: str, clock: FakeClock
) -> None:
    has_no_word = provider in ("bedrock", "ollama")  # nobody's credit is used up there
    kind = RateLimitError if has_no_word else QuotaError
    with pytest.raises(kind) as caught:
        asked(provider, clock, "out-of-quota", num_retries=0)
    told = str(caught.value)
    assert "\n" not in told
    words = ("credit", "balance", "Balance", "quota", "Budget")
    assert any(word in told for word in words)


@pytest.mark.parametrize("provider", STAND_INS)
def test_a_prompt_that_is_longer_than_the_context_is_refused(
    provider: str, clock: FakeClock
) -> None:
    """Once, in the provider's words; a shorter one is answered."""
    with pytest.raises(ContextLengthError) as caught:
        asked(provider, clock, "small-context", prompt="word " * (CONTEXT_TOKENS + 1))
    assert caught.value.reply.attempts == 1
    assert asked(provider, clock, "small-context").is_whole


@pytest.mark.parametrize("provider", STAND_INS)
def test_a_function_is_called_and_its_result_read(provider: str, clock: FakeClock) -> None:
    """Two calls at once, with what each gave in the answer."""
    prompt = 'call weather {"city": "Kyoto"}\ncall weather {"city": "Oslo"}'
    reply = asked(provider, clock, prompt=prompt, tools=[weather])
    assert [call.arguments for call in reply.tool_calls] == [{"city": "Kyoto"}, {"city": "Oslo"}]
    assert "> Rain in Kyoto.\n> Rain in Oslo." in reply.text
    assert reply.attempts == 2


def test_ollamas_older_path_has_no_functions(clock: FakeClock) -> None:
    with pytest.raises(ToolsRefusedError):
        asked("ollama", clock, model="ollama/qwen3", tools=[weather])


@pytest.mark.parametrize("provider", STAND_INS)
def test_the_limit_of_an_answers_tokens_is_kept(provider: str, clock: FakeClock) -> None:
    reply = asked(provider, clock, max_output_tokens=3)
    assert (reply.finish_reason, len(reply.text.split())) == ("length", 3)


@pytest.mark.parametrize(("provider", "model"), EMBEDDING_MODELS.items())
def test_texts_become_vectors(provider: str, model: str) -> None:
    """Those of the same text are the same, whatever the dialect."""
    texts = ["red apple", "red apples", "tax law"]
    found = embed(texts, settings_for(provider), embedding_model=model)
    first, *others = found.vectors
    near, far = (sum(a * b for a, b in zip(first, other, strict=True)) for other in others)
    assert near > far


def test_vectors_come_in_base64_for_who_asks() -> None:
    """As OpenAI's own clients do, of which some read nothing else."""
    settings = settings_for("openai")
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    body = {"model": "m", "input": ["red apple"], "encoding_format": "base64"}
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{settings.base_url}/embeddings"
    [found] = httpx.post(url, json=body, headers=headers, trust_env=False).json()["data"]
    numbers = struct.unpack(f"<{embeddings.WIDTH}f", b64decode(found["embedding"]))
    assert numbers == pytest.approx(embeddings.vector("red apple"))


@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_the_responses_api_has_functions_in_streams_too(provider: str, clock: FakeClock) -> None:
    model = f"{provider}/responses/gpt-5-codex"
    reply = asked(
        provider, clock, model=model, prompt='call weather {"city": "Kyoto"}', tools=[weather]
    )
    assert [call.arguments for call in reply.tool_calls] == [{"city": "Kyoto"}]
    assert "> Rain in Kyoto." in reply.text
    assert reply.usage is not None


@pytest.mark.parametrize("provider", [name for name in STAND_INS if name not in served.UNLISTED])
def test_the_server_tells_its_models(provider: str) -> None:
    """An example of the provider's, and the practice models, but none that makes vectors."""
    settings = settings_for(provider).with_overrides({"model": MODELS[provider]})
    names = [each.name for each in served.served(served.place_of(settings))]
    assert names[0] == MODELS[provider]
    assert any(name.endswith("/rate-limited") for name in names)
    assert not any(name.endswith("/embed") for name in names)


@pytest.mark.parametrize("provider", STAND_INS)
def test_any_practice_model_is_there_by_its_name(provider: str, clock: FakeClock) -> None:
    prefix = {"ollama": "ollama_chat/", "bedrock": "bedrock/converse/"}
    model = prefix.get(provider, PROVIDERS[provider].prefix) + "verbatim"
    assert asked(provider, clock, model=model).text == PROMPT


class Trip(pydantic.BaseModel):
    """A schema with what schemas of people have: parts of their own, choices, what may be left."""

    city: str
    days: int
    kind: Literal["by train", "by ship"]
    stops: list[Stop]
    note: str | None = None


class Stop(pydantic.BaseModel):
    name: str
    day: date


SCHEMA_MODELS = [
    *MODELS.items(),
    ("anthropic", "anthropic/claude-sonnet-4-5"),
    ("openai", "openai/responses/gpt-5-codex"),
]


@pytest.mark.parametrize(("provider", "model"), SCHEMA_MODELS)
def test_an_answer_fits_the_schema_at_once(provider: str, model: str, clock: FakeClock) -> None:
    """In whatever way a schema is told: its own field, a function to call, words in the prompt."""
    reply = asked(provider, clock, model=model, schema=Trip)
    assert isinstance(reply.data, Trip)
    assert reply.attempts == 1


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "ollama", "bedrock", "azure"])
def test_a_practice_agent_does_an_agents_work_in_every_dialect(provider: str) -> None:
    """It reads calls and their results as each provider's requests have them, and stop words."""
    settings = settings_for(provider, "agent").with_overrides({"model": MODELS[provider]})
    *_, report = probe(settings)
    outcomes = {each.name: each.outcome for each in report.results}
    held = {"call", "finish", "edit", "file", "written", "needle", "extras"}
    assert {name for name in held if outcomes[name] != "held"} == set()
    assert [verdict.answer for verdict in report.verdicts] == ["yes", "yes"]


MISTAKES = {
    "anthropic": "/v1",  # LiteLLM adds it
    "gemini": "/v1",
    "ollama": "/v1",
    "openai": "",
    "mistral": "/chat",
}


@pytest.mark.parametrize(("provider", "ending"), MISTAKES.items())
def test_a_wrong_address_fails_as_at_the_provider(
    provider: str, ending: str, clock: FakeClock
) -> None:
    settings = settings_for(provider)
    base = str(settings.base_url)
    wrong = base + ending if ending else base.removesuffix("/v1")
    with pytest.raises((AddressError, BadRequestError)) as caught:
        asked(provider, clock, base_url=wrong, num_retries=0)
    assert "404" in str(caught.value)


def test_azure_asks_for_the_version_of_its_api() -> None:
    """So does the practice server in its place."""
    settings = settings_for("azure")
    assert settings.api_version
    named = load_settings(env={}).with_overrides({"api_version": "2025-01-01-preview"})
    assert "api_version" not in in_place_of(named, "azure")


TOLD = {
    "vllm": Metadata("vLLM", 32_768, is_loaded=True),
    "sglang": Metadata("SGLang", 32_768, is_loaded=True),
    "lm_studio": Metadata("LM Studio", 32_768, 32_768, is_loaded=True, knows_tools=True),
    "ollama": Metadata("Ollama", None, 32_768, is_loaded=False, knows_tools=True),
    "llama_cpp": Metadata("llama.cpp", 32_768, 32_768, is_loaded=True, knows_tools=True),
    "litellm_proxy": Metadata("LiteLLM Proxy", 32_768, knows_tools=True),
}


@pytest.mark.parametrize(("provider", "told"), TOLD.items())
def test_it_tells_of_a_model_what_the_real_server_does(provider: str, told: Metadata) -> None:
    """Without a token: how large its context is, whether it is loaded, and calls functions."""
    not_in_lists = {"llama_cpp": "openai/my-model", "ollama": "ollama_chat/not-loaded"}
    model = {"model": not_in_lists.get(provider) or MODELS[provider]}
    assert metadata_of(settings_for(provider).with_overrides(model)) == told
    without = settings_for(provider, "tools-refused").with_overrides(model)
    knows_tools = None if told.knows_tools is None else False
    assert metadata_of(without) == replace(told, knows_tools=knows_tools)


@pytest.mark.parametrize("name", ["agent-forgets", "small-context"])
@pytest.mark.parametrize("provider", ["lm_studio", "llama_cpp"])
def test_the_one_that_forgets_or_refuses_has_a_small_context(provider: str, name: str) -> None:
    """Its server says so, as the real ones do of a model that is loaded so."""
    settings = settings_for(provider, name)
    model = MODELS.get(provider, "openai/my-model")
    told = metadata_of(settings.with_overrides({"model": model}))
    assert (told.window_tokens, told.most_window_tokens) == (4_096, 32_768)


def test_it_loads_a_model_of_ollama_as_it_is_asked(clock: FakeClock) -> None:
    """Only then is its context known, as with Ollama itself."""
    asked("ollama", clock, model="ollama_chat/loaded-now")
    settings = settings_for("ollama").with_overrides({"model": "ollama_chat/loaded-now"})
    assert metadata_of(settings) == replace(TOLD["ollama"], window_tokens=32_768, is_loaded=True)


def test_settings_in_place_of_a_provider_are_there_from_python(clock: FakeClock) -> None:
    settings = practice_in_place_of("gemini/rate-limited", load_settings(env={}))
    reply = ask(PROMPT, settings, model="gemini/gemini-2.5-pro", clock=clock)
    assert reply.attempts == 3


WIDE = "２０２４-10-21"  # noqa: RUF001 - typed with an input method on


@pytest.mark.parametrize("version", [WIDE, "2024-10", "soon"])
def test_azure_refuses_a_version_that_is_none(version: str, clock: FakeClock) -> None:
    """In its own words, and what is full-width in the setting is told."""
    with pytest.raises(AddressError) as caught:
        asked("azure", clock, api_version=version, num_retries=0)
    assert "Resource not found" in str(caught.value)
    told = f"has a full-width {WIDE[0]}. Set it to '2024-10-21'."
    assert (told in str(caught.value)) == (version == WIDE)


def test_openrouter_refuses_a_model_without_its_maker(clock: FakeClock) -> None:
    """As it does itself; the names of practice models are taken."""
    with pytest.raises(ModelNotFoundError) as caught:
        asked("openrouter", clock, model="openrouter/deepseek-chat", num_retries=0)
    assert "deepseek-chat is not a valid model ID" in str(caught.value)
    assert asked("openrouter", clock, model="openrouter/echo").finish_reason == "stop"
    assert asked("openrouter", clock, model="openrouter/deepseek/deepseek-chat").text
