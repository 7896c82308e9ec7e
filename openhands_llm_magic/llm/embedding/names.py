"""What names of embedding models stand for, and how many texts go in one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.errors import SettingError, Text
from openhands_llm_magic.llm.conversations import tokens_of
from openhands_llm_magic.llm.explain import NO_EMBEDDING_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openhands_llm_magic.config.resolve import Snapshot

NAMES = {
    # OpenHands' own names, as its `openhands/utils/embeddings.py` understood them.
    "openai": "openai/text-embedding-ada-002",
    "voyage": "voyage/voyage-code-3",
    "llama2": "ollama/llama2",
    "mxbai-embed-large": "ollama/mxbai-embed-large",
    "nomic-embed-text": "ollama/nomic-embed-text",
    "all-minilm": "ollama/all-minilm",
    "stable-code": "ollama/stable-code",
    "bge-m3": "ollama/bge-m3",
    "bge-large": "ollama/bge-large",
    "paraphrase-multilingual": "ollama/paraphrase-multilingual",
    "snowflake-arctic-embed": "ollama/snowflake-arctic-embed",
    # Names that LiteLLM takes without a provider in front.
    "text-embedding-ada-002": "openai/text-embedding-ada-002",
    "text-embedding-3-small": "openai/text-embedding-3-small",
    "text-embedding-3-large": "openai/text-embedding-3-large",
}
"""What the names without a provider in front stand for."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What goes in one request at most.

    Attributes:
        texts: Texts.
        tokens: Tokens, as estimated: a text that has more goes alone.
    """

    texts: int
    tokens: float


LIMIT = Limit(texts=96, tokens=8_000)
"""What providers take in one request: Cohere 96 texts, Gemini 100; Mistral 16,384 tokens, Vertex AI
20,000. An estimate of tokens may be half of what there are."""

LIMITS = {
    "openai": Limit(texts=256, tokens=100_000),
    "azure": Limit(texts=256, tokens=100_000),
}
"""Those of OpenAI, which takes 2,048 texts and 300,000 tokens, by the provider's name."""

OWN_SERVER = Limit(texts=32, tokens=8_000)
"""That of other servers compatible with OpenAI: Hugging Face's takes 32 texts unless told to take
more."""


def model_named(settings: Snapshot) -> str:
    """Return the embedding model of the settings as LiteLLM takes it.

    Raises:
        SettingError: None is set, or it cannot be used as it is.
    """
    name, deployment = settings.embedding_model or "none", settings.embedding_deployment_name
    match name:
        case "none":
            wrong = NO_EMBEDDING_MODEL
        case "local":
            wrong = (
                "embedding_model is local (from {origin}), which OpenHands runs in its own process."
                " Here it needs a server, such as Ollama: `ollama pull all-minilm`, and set"
                " embedding_model to ollama/all-minilm; or set embedding_model to openai/NAME and"
                " embedding_base_url to the address of another."
            )
        case "azureopenai" if not deployment:
            wrong = (
                "embedding_model is azureopenai (from {origin}) and embedding_deployment_name is"
                " not set. Set it to the name of the deployment on Azure."
            )
        case "azureopenai":
            return f"azure/{deployment}"
        case _ if name.startswith("azure/") and deployment and name != f"azure/{deployment}":
            wrong = (
                "embedding_model {name} (from {origin}) names another deployment than"
                " embedding_deployment_name, {deployment} (from {deployment_origin}). Set"
                " embedding_model to azureopenai, or embedding_deployment_name to none."
            )
        case _:
            return NAMES.get(name, name)
    raise SettingError(
        Text(
            wrong,
            name=name,
            origin=settings.origin("embedding_model").text,
            deployment=deployment,
            deployment_origin=settings.origin("embedding_deployment_name").text,
        )
    )


def batches(texts: Sequence[str], limit: Limit) -> Iterator[Sequence[str]]:
    """Cut texts into as few requests as keep within a limit, in order."""
    start, tokens = 0, 0.0
    for index, text in enumerate(texts):
        more = tokens_of(text)
        if index > start and (index - start >= limit.texts or tokens + more > limit.tokens):
            yield texts[start:index]
            start, tokens = index, 0.0
        tokens += more
    yield texts[start:]


def limit_of(model: str, base_url: str | None) -> Limit:
    """Return the limit for a model at an address."""
    provider = provider_of(model, base_url)
    name = provider.name if provider else ""
    if model.startswith("openai/") and name != "openai":
        return OWN_SERVER
    return LIMITS.get(name, LIMIT)
