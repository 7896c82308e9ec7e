"""Texts become vectors with one HTTP request, on every path through LiteLLM."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from faults import VECTOR_FAULTS
from model_server import Answer, Cut, Hang, ModelServer, Raw, Refuse
from pairs import paired
from sending import embed_once

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.embedding.embed import embed
from openhands_llm_magic.llm.embedding.vectors import Vectors
from openhands_llm_magic.llm.events import Usage
from openhands_llm_magic.llm.litellm import embed as litellm_embed
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.prepare import EmbeddingRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fake_clock import FakeClock
    from faults import Fault
    from model_server import Step

pytestmark = pytest.mark.usefixtures("litellm")

WITHOUT_EMBEDDINGS = {"anthropic", "deepseek", "groq", "moonshot"}
"""Providers of the catalogue for which LiteLLM has none."""

NOT_HERE = {"openhands", "practice", "vertex_ai"}
"""The first two are other providers to LiteLLM; the last needs Google's packages to log in."""

CATALOGUE = sorted(
    {
        "ollama" if name == "ollama" else provider.prefix.removesuffix("/")  # not ollama_chat/
        for name, provider in PROVIDERS.items()
        if name not in WITHOUT_EMBEDDINGS | NOT_HERE
    }
)
OTHERS = ["jina_ai", "nvidia_nim", "openai_like", "sambanova", "together_ai", "voyage"]
"""Further providers, each with code of its own in LiteLLM."""

EACH = sorted({*CATALOGUE, *OTHERS, *litellm_embed.NEED_A_CLIENT})

each_provider = pytest.mark.parametrize("provider", EACH)

MODELS = {"bedrock": "amazon.titan-embed-text-v2:0"}
OPTIONS: dict[str, dict[str, Any]] = {
    "azure": {"api_version": "2024-12-01-preview"},
    "bedrock": {
        "aws_access_key_id": "AKIA-test",
        "aws_secret_access_key": "secret-test",
        "aws_region_name": "us-east-1",
    },
}
AT_ONCE = {"retry-after-ms": "1"}


def request_to(
    server: ModelServer, provider: str, texts: Sequence[str] = ("one", "two"), **options: Any
) -> EmbeddingRequest:
    options = {
        "base_url": server.base_for(provider),
        "api_key": "sk-test-key",
        **OPTIONS.get(provider, {}),
        **options,
    }
    one_at_a_time = provider == "bedrock"
    model = f"{provider}/{MODELS.get(provider, 'a-model')}"
    return EmbeddingRequest(model, texts[:1] if one_at_a_time else texts, options)


def failure(
    server: ModelServer, step: Step, provider: str = "openai", **options: Any
) -> errors.RequestError:
    server.script(step)
    with pytest.raises(errors.RequestError) as caught:
        embed_once(request_to(server, provider, **options))
    return caught.value


@each_provider
def test_a_vector_for_each_text(
    model_server: ModelServer, capfd: pytest.CaptureFixture[str], provider: str
) -> None:
    """In the texts' order, whatever order the server has; nothing is printed."""
    request = request_to(model_server, provider)
    embeddings = embed_once(request)
    assert embeddings.vectors is not None
    assert embeddings.vectors.tolist() == [[0.5, -0.5], [1.5, -0.5]][: len(request.texts)]
    assert embeddings.usage is not None
    assert embeddings.usage.completion_tokens == 0
    assert model_server.count == 1
    assert not {"max_retries", "num_retries", "azure_scope"} & model_server.received[0].body.keys()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("fault", "provider"), paired(VECTOR_FAULTS, lambda _: EACH, others=2))
def test_a_fault_that_goes_on(
    model_server: ModelServer, clock: FakeClock, fault: Fault, provider: str
) -> None:
    """A permanent one is asked once; a transient one as often, and after the waits, as it says."""
    model_server.script(fault.step("openai") or Answer())
    request = request_to(model_server, provider)
    base_url = request.options["base_url"]
    settings = load_settings(env={}).with_overrides(
        {
            "embedding_model": request.model,
            "embedding_base_url": base_url,
            **OPTIONS.get(provider, {}),
        }
    )
    with pytest.raises(errors.RequestError) as caught:
        embed(request.texts, settings, clock=clock)
    told = caught.value._render_traceback_()[0]
    names = {"base_url": base_url, "model": request.model}
    shown = fault.shown.format(**names)
    if len(request.texts) == 1:
        shown = shown.replace("texts 1 to 2", "the text")
    assert type(caught.value) is fault.error
    assert told.startswith(f"{type(caught.value).__name__}: {shown}")
    assert fault.names.format(**names) in told
    assert len(told.splitlines()) == 1
    assert model_server.count == fault.requests
    assert clock.now() == sum(fault.waits_s)


@each_provider
@pytest.mark.parametrize("status", [429, 500])
def test_a_failure_is_one_request(
    model_server: ModelServer,
    litellm: Any,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    status: int,
) -> None:
    """Also when the user's own code has switched retries on; his switches stay."""
    monkeypatch.setattr(litellm, "num_retries", 2)
    error = failure(model_server, Refuse(status, {"retry-after": "7"}), provider)
    kinds = {429: errors.RateLimitError, 500: errors.ServerError}
    assert (type(error), error.status, error.retry_after_s) == (kinds[status], status, 7)
    assert model_server.count == 1
    assert litellm.num_retries == 2


@pytest.mark.parametrize("provider", ["openai", "azure", "mistral"])
@pytest.mark.parametrize("first", ["his", "ours"])
def test_the_users_own_embeddings_stay_his(
    model_server: ModelServer, litellm: Any, provider: str, first: str
) -> None:
    """LiteLLM keeps clients, with the number of retries of whoever came first."""
    request = request_to(model_server, provider)
    options = dict(request.options)
    options["api_base"] = options.pop("base_url")

    def his_requests(step: Step) -> int:
        model_server.script(step)
        before = model_server.count
        with suppress(openai.APIError):
            litellm.embedding(request.model, list(request.texts), **options)
        return model_server.count - before

    if first == "his":
        assert his_requests(Answer()) == 1
    before = model_server.count
    failure(model_server, Refuse(500, AT_ONCE), provider)
    assert model_server.count - before == 1
    assert his_requests(Refuse(500, AT_ONCE)) == 3


@each_provider
def test_an_answer_that_does_not_arrive_is_worth_another_attempt(
    model_server: ModelServer, provider: str
) -> None:
    error = failure(model_server, Cut(how="reset"), provider)
    assert type(error) is errors.ConnectionFailedError
    assert model_server.count == 1


def test_what_came_is_kept_no_longer_than_the_request(model_server: ModelServer) -> None:
    """Nor are the responses to requests of the person's own, which hold his key."""
    failure(model_server, Refuse(401))
    httpx.get(model_server.base_for("openai"))
    assert litellm_embed._noted.response is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": []}',
        b'{"data": null}',
        b'{"data": [{"index": 0}]}',
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [null]}]}',
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": []}]}',
    ],
)
def test_a_vector_that_is_missing_is_no_success(model_server: ModelServer, body: bytes) -> None:
    error = failure(model_server, Raw(body, "application/json"))
    assert type(error) is errors.BrokenAnswerError


@pytest.mark.parametrize("provider", ["openai", "azure", "gemini", "mistral", "hosted_vllm"])
def test_silence_ends_with_the_timeout(model_server: ModelServer, provider: str) -> None:
    error = failure(model_server, Hang(), provider, timeout=0.2)
    assert type(error) is errors.NoAnswerInTimeError


@pytest.mark.parametrize("provider", sorted(WITHOUT_EMBEDDINGS))
def test_a_provider_without_embeddings_is_not_asked(
    model_server: ModelServer, provider: str
) -> None:
    error = failure(model_server, Answer(), provider)
    assert type(error) is errors.ModelNotFoundError
    assert str(error) == "LiteLLM has no vectors for this provider"
    assert not error.was_sent
    assert model_server.count == 0


def test_a_model_without_a_provider() -> None:
    with pytest.raises(errors.ModelNotFoundError, match="no provider"):
        embed_once(EmbeddingRequest("no-such-model", ["one"]))


def test_what_it_cost(model_server: ModelServer) -> None:
    """None where the price is unknown."""
    known = request_to(model_server, "openai")
    known = EmbeddingRequest("openai/text-embedding-3-small", known.texts, known.options)
    embeddings = embed_once(known)
    vectors = Vectors.of([(0.5, -0.5), (1.5, -0.5)])
    assert (embeddings.vectors, embeddings.usage) == (vectors, Usage(7, 0))
    price, _ = load().cost_per_token(known.model, 7, 0)
    assert embeddings.cost.usd == price > 0
    assert embed_once(request_to(model_server, "hosted_vllm")).cost.usd is None


def test_a_key_is_not_in_the_repr_of_a_request(model_server: ModelServer) -> None:
    assert "sk-" not in repr(request_to(model_server, "openai"))
