"""Which model the settings name for vectors, where its server is, and which key may go there."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import MissingKeyError, RequestError, SettingError
from openhands_llm_magic.llm.embedding.embed import embed
from openhands_llm_magic.llm.embedding.place import (
    LIMIT,
    NO_KEY,
    Limit,
    Place,
    batches,
    limit_of,
    place_from,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fake_clock import FakeClock
    from model_server import ModelServer

OURS = "https://models.example/v1"
KEY = "sk-of-the-prompts"


def place(model: str, /, *, on_the_line: bool = False, **settings: Any) -> Place:
    """Find the place of an embedding model, beside prompts at `OURS` with `KEY`."""
    prompts = {"model": "openai/gpt-4o", "base_url": OURS, "api_key": KEY}
    kind: Any = "flag" if on_the_line else "argument"
    values = {**prompts, "embedding_model": model, **settings}
    return place_from(load_settings(env={}).with_overrides(values, kind))


def key(model: str, /, **settings: Any) -> str | None:
    return place(model, **settings).request.options.get("api_key")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai", "openai/text-embedding-ada-002"),
        ("voyage", "voyage/voyage-code-3"),
        ("nomic-embed-text", "ollama/nomic-embed-text"),
        ("snowflake-arctic-embed", "ollama/snowflake-arctic-embed"),
        ("text-embedding-3-small", "openai/text-embedding-3-small"),
        ("openai/my-model", "openai/my-model"),
        ("cohere/embed-v4.0", "cohere/embed-v4.0"),
    ],
)
def test_openhands_names_are_understood(name: str, model: str) -> None:
    assert place(name).request.model == model


def test_azure_has_a_deployment() -> None:
    made = place(
        "azureopenai",
        embedding_deployment_name="my-vectors",
        embedding_base_url="https://mine.openai.azure.com",
        api_version="2025-01-01",
    ).request
    assert made.model == "azure/my-vectors"
    assert made.options["base_url"] == "https://mine.openai.azure.com"
    assert made.options["api_version"] == "2025-01-01"
    assert "api_version" not in place("openai").request.options


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"embedding_model": None}, "embedding_model is not set: set it to openai/text-embed"),
        ({"embedding_model": "none"}, "embedding_model is not set"),
        ({"embedding_model": "local"}, "Here it needs a server, such as Ollama"),
        ({"embedding_model": "azureopenai"}, "embedding_deployment_name is not set"),
        (
            {"embedding_model": "azure/one", "embedding_deployment_name": "two"},
            "azure/one .* names another deployment than embedding_deployment_name, two",
        ),
        ({"embedding_model": "azure/one"}, "azure/one needs embedding_base_url, the address"),
        ({"embedding_model": "litellm_proxy/x"}, "litellm_proxy/x needs embedding_base_url"),
    ],
)
def test_what_is_missing_is_one_line(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told) as caught:
        place_from(load_settings(env={}).with_overrides(settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "settings", "address"),
    [
        ("openai/x", {}, OURS),
        ("openai", {}, OURS),
        ("openai/x", {"embedding_base_url": "http://gpu:8080"}, "http://gpu:8080"),
        ("voyage", {}, None),
        ("nomic-embed-text", {}, None),
        ("bge-m3", {"model": "ollama_chat/qwen3", "base_url": "http://gpu:1"}, "http://gpu:1"),
        ("my-own/x", {"custom_llm_provider": "my-own"}, OURS),
    ],
)
def test_the_prompts_server_is_taken_for_the_same_provider(
    model: str, settings: dict[str, Any], address: str | None
) -> None:
    assert place(model, **settings).request.options.get("base_url") == address


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("openai/x", {}),
        ("openai/x", {"base_url": None}),
        ("text-embedding-3-small", {"base_url": None, "model": "gpt-4o"}),
        ("openai/x", {"embedding_base_url": "https://models.example:443/vectors"}),
        ("lm_studio/x", {"embedding_base_url": "https://MODELS.example/v1"}),
    ],
)
def test_the_prompts_key_goes_to_the_prompts_server(model: str, settings: dict[str, Any]) -> None:
    assert key(model, **settings) == KEY


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("openai/x", {"embedding_base_url": "https://other.example/v1"}),
        ("openai/x", {"embedding_base_url": "https://models.example.evil/v1"}),
        ("openai/x", {"embedding_base_url": "http://models.example/v1"}),
        ("openai/x", {"embedding_base_url": "https://models.example:8443/v1"}),
        ("openai/x", {"embedding_base_url": "https://models.example@other.example/v1"}),
        ("openai/x", {"embedding_base_url": "models.example/v1"}),
        ("openai/x", {"embedding_base_url": "https://models.example:port/v1"}),
        ("openai/x", {"base_url": None, "embedding_base_url": OURS}),
        ("litellm_proxy/x", {"embedding_base_url": "https://other.example"}),
        ("cohere/x", {"embedding_base_url": "https://other.example"}),
    ],
)
def test_the_prompts_key_goes_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, model: str, settings: dict[str, Any]
) -> None:
    """Nor does another key, to a server that it is not known to be for."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    assert key(model, **settings) == NO_KEY


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"embedding_base_url": "https://api.openai.com/v1"},
            "api_key is for the server of openai/gpt-4o. Set OPENAI_API_KEY in the environment, ",
        ),
        ({"base_url": None, "api_key": None}, "x. Set api_key, or OPENAI_API_KEY in the environ"),
        (
            {"model": "groq/x", "base_url": None},
            "there is no API key for openai/x: api_key is for the server of groq/x. Set OPENAI_",
        ),
    ],
)
def test_a_missing_key_says_where_it_could_come_from(settings: dict[str, Any], told: str) -> None:
    """Before anything is sent."""
    with pytest.raises(MissingKeyError, match=told):
        place("openai/x", **settings)


@given(st.sampled_from(sorted(PROVIDERS)), st.sampled_from(sorted(PROVIDERS)))
def test_no_provider_gets_the_key_of_another(prompts: str, vectors: str) -> None:
    """Each at its own address."""
    chat, other = PROVIDERS[prompts], PROVIDERS[vectors]
    settings: dict[str, Any] = {
        "model": chat.example,
        "base_url": chat.base_url_form,
        "embedding_base_url": other.base_url_form,
    }
    same = chat.base_url_form == other.base_url_form
    try:
        sent = key(other.prefix + "x", **settings)
    except MissingKeyError:
        assert not same
    else:
        assert (sent == KEY) is (same and other.name != "practice")


def test_a_key_on_the_line_goes_to_the_server_of_the_line() -> None:
    elsewhere = "https://other.example/v1"
    made = place("openai/x", on_the_line=True, embedding_base_url=elsewhere)
    assert made.request.options["api_key"] == KEY
    assert made.key_from == "the key is api_key, from --api-key"


@pytest.mark.parametrize(
    ("model", "base_url", "variable"),
    [
        ("openai/x", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("openai/x", OURS, "OPENAI_API_KEY"),
        ("mistral/x", None, "MISTRAL_API_KEY"),
        ("gemini/x", None, "GEMINI_API_KEY"),
        ("azure/x", "https://mine.openai.azure.com", "AZURE_API_KEY"),
        ("litellm_proxy/x", "http://proxy:4000", "LITELLM_PROXY_API_KEY"),
        ("hosted_vllm/x", "http://gpu:8000/v1", "HOSTED_VLLM_API_KEY"),
    ],
)
def test_the_providers_own_variable_holds_the_key(
    monkeypatch: pytest.MonkeyPatch, model: str, base_url: str | None, variable: str
) -> None:
    """At the provider's own address, at any where it has none; or at the prompts' own."""
    monkeypatch.setenv(variable, "sk-of-the-variable")
    made = place(model, api_key=None, embedding_base_url=base_url)
    assert made.request.options["api_key"] == "sk-of-the-variable"
    assert made.key_from == f"the key is that of {variable}"


def test_a_token_of_azure_is_left_to_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AD_TOKEN", "a-token")
    assert key("azure/x", embedding_base_url="https://mine.openai.azure.com") is None


@pytest.mark.parametrize(("model", "aws", "vertex"), [("bedrock/x", 2, 0), ("vertex_ai/x", 0, 1)])
def test_credentials_go_to_their_provider_alone(model: str, aws: int, vertex: int) -> None:
    given: dict[str, Any] = {
        "aws_access_key_id": "AKIA",
        "aws_secret_access_key": "secret",
        "vertex_project": "mine",
    }
    for name, counts in {model: (aws, vertex), "openai/x": (0, 0)}.items():
        sent = place(name, **given).request.options
        assert sum(each.startswith("aws") for each in sent) == counts[0]
        assert sum(each.startswith("vertex") for each in sent) == counts[1]


@pytest.mark.usefixtures("litellm")
@pytest.mark.parametrize(
    "provider",
    [
        *("openai", "litellm_proxy", "mistral", "gemini", "openrouter", "azure", "cohere"),
        *("lm_studio", "ollama", "hosted_vllm", "openai_like"),
        *("together_ai", "nvidia_nim", "voyage", "jina_ai"),
    ],
)
def test_no_key_of_another_arrives(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, provider: str
) -> None:
    """With a key for everything else in the environment, at a server that none of them is for."""
    canaries = set(chain.from_iterable(each.key_variables for each in PROVIDERS.values()))
    own = f"{provider.upper()}_API_KEY"
    for name in canaries - {own, "AZURE_AD_TOKEN"} - {"AZURE_OPENAI_API_KEY"}:
        monkeypatch.setenv(name, "sk-canary-of-another")
    settings = load_settings(env={}).with_overrides(
        {"model": "groq/llama3-70b-8192", "api_key": "sk-canary-of-the-prompts", "num_retries": 0}
    )
    address = {"embedding_base_url": model_server.base_for(provider)}
    try:
        embed(["one"], settings, clock=clock, embedding_model=f"{provider}/x", **address)
    except RequestError as error:
        assert "canary" not in str(error)  # noqa: PT017 - some have no such path at the server
    assert provider == "cohere" or model_server.received + model_server.asides
    for received in (*model_server.received, *model_server.asides):
        assert "canary" not in str((received.path, received.headers, received.body))


@given(st.lists(st.text(max_size=30)), st.integers(1, 5), st.integers(1, 12))
def test_texts_are_cut_into_few_requests(texts: list[str], count: int, tokens: int) -> None:
    """All of them in order, none beyond the limit but for a text that is, and no two too small."""
    limit = Limit(count, tokens)

    def fits(batch: Sequence[str]) -> bool:
        return len(batch) <= count and sum(len(each.encode()) for each in batch) / 4 <= tokens

    made = list(batches(texts, limit))
    assert [text for batch in made for text in batch] == texts
    assert all(fits(batch) or len(batch) == 1 for batch in made)
    assert not any(fits([*one, two[0]]) for one, two in pairwise(made))


@pytest.mark.parametrize(
    ("model", "base_url", "texts"),
    [
        ("openai/x", None, 256),
        ("azure/x", "https://mine.openai.azure.com", 256),
        ("openai/x", OURS, 32),
        ("openai/x", "http://localhost:8000/v1", 32),
        ("mistral/x", None, LIMIT.texts),
        ("cohere/x", None, LIMIT.texts),
    ],
)
def test_the_limit_is_that_of_the_server(model: str, base_url: str | None, texts: int) -> None:
    assert limit_of(model, base_url).texts == texts
