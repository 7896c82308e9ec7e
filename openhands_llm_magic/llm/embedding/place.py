"""From settings to what LiteLLM is asked for vectors: which model, at which server, with which key.

The server is that of `embedding_base_url`; without it, that of the prompts where both models have
the same provider in front; else the provider's own.

A key never goes to another server than the one it is for. `api_key` is for the server of the
prompts, so it goes along if this is the same one: by both addresses the same scheme, host and port;
or no address, and the same provider. A key that is given for this one request, on the line of
`%llm_embed`, goes along in any case. Else the key is that of the provider's own variable, such as
OPENAI_API_KEY. It goes to the provider's own address; to the server of the prompts, as prompts send
it there; or to any where the provider has no address of its own, as on Azure, or is a program of
the person's, such as Ollama. Other servers get no key, or a word that is none where LiteLLM would
look for one: it would send OPENAI_API_KEY to every server that is compatible with OpenAI.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import trust
from openhands_llm_magic.config.providers import provider_of, server_of
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import MissingKeyError, SettingError, Text
from openhands_llm_magic.llm.conversations import tokens_of
from openhands_llm_magic.llm.explain import (
    GIVE_EMBEDDING_KEY,
    NO_EMBEDDING_MODEL,
    TRY_PRACTICE_VECTORS,
    any_of,
)
from openhands_llm_magic.llm.prepare import RULES_OF_PLACE, Draft, EmbeddingRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot


_OPENAI = ("ada-002", "3-small", "3-large")
_OLLAMA = (
    "llama2", "mxbai-embed-large", "nomic-embed-text", "all-minilm", "stable-code", "bge-m3",
    "bge-large", "paraphrase-multilingual", "snowflake-arctic-embed",
)  # fmt: skip
NAMES = {
    # OpenHands' own names, as its `openhands/utils/embeddings.py` understood them.
    "openai": "openai/text-embedding-ada-002",
    "voyage": "voyage/voyage-code-3",
    **{name: f"ollama/{name}" for name in _OLLAMA},
    # Names that LiteLLM takes without a provider in front.
    **{f"text-embedding-{name}": f"openai/text-embedding-{name}" for name in _OPENAI},
}
"""What the names without a provider in front stand for."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many texts, and how many tokens of them, go in one request at most.

    Attributes:
        texts: Texts.
        tokens: Tokens, as estimated: a text that has more goes alone.
    """

    texts: int
    tokens: float


LIMIT = Limit(texts=96, tokens=8_000)
"""What providers take in one request: Cohere 96 texts, Gemini 100; Mistral 16,384 tokens, Vertex AI
20,000. An estimate of tokens may be half of what there are."""

LIMITS = {"openai": Limit(texts=256, tokens=100_000), "azure": Limit(texts=256, tokens=100_000)}
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


SENT = (
    "timeout", "api_version", "aws_access_key_id", "aws_secret_access_key", "aws_region_name",
    "vertex_project", "vertex_location",
)  # fmt: skip
"""The settings that are sent for vectors, too, under the same keywords."""

NO_KEY = "no-key"
"""Stands for a key where there is none, so that LiteLLM looks for no other."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key, or None for what LiteLLM finds itself, and where it comes from, in words."""

    value: str | None
    origin: Text


NONE = Key(NO_KEY, Text("no key was sent, as none is known to be for this server"))
FOUND = Key(None, Text("the key, if any, is that of the provider's own variable"))


@dataclass(frozen=True, slots=True)
class Place:
    """The server that texts are sent to, with the model and the key.

    Attributes:
        request: What is sent, but for the texts.
        name: The model as the settings name it, with its provider in front.
        key_from: Where the key comes from, in words.
    """

    request: EmbeddingRequest
    name: str
    key_from: Text


def place_from(settings: Snapshot) -> Place:
    """Find where the settings send texts for vectors, by the rules above.

    Raises:
        MissingKeyError: There is no key for the provider.
        SettingError: There is no embedding model, or no address where it needs one, or a project's
            config file sets what it must not decide.
    """
    trust.require_harmless(settings)
    model = model_named(settings)
    named = settings.custom_llm_provider
    shared = _maker(model) == _maker(settings.model, named)
    base_url = settings.embedding_base_url or (settings.base_url if shared else None)
    server = server_of(base_url)
    same = server == server_of(settings.base_url) and bool(server) if base_url else shared
    _require_address(model, base_url)
    key = _key(settings, model, base_url, same=same)
    options = {name: value for name in SENT if (value := _plain(settings, name))}
    if not model.startswith("azure"):
        options.pop("api_version", None)
    if base_url:
        options["base_url"] = base_url
    if key.value:
        options["api_key"] = key.value
    draft = Draft(settings, model, options)
    for rule in RULES_OF_PLACE:
        rule(draft)
    return Place(EmbeddingRequest(draft.model, options=draft.options), model, key.origin)


def _plain(settings: Snapshot, name: str) -> Any:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, Secret) else value


def _maker(model: str, custom_llm_provider: str | None = None) -> str:
    """Return LiteLLM's name of a model's provider."""
    if custom_llm_provider:
        return custom_llm_provider
    prefix, slash, _ = model.partition("/")
    if not slash:
        provider = provider_of(model)
        prefix = provider.prefix.removesuffix("/") if provider else ""
    return "ollama" if prefix == "ollama_chat" else prefix


def _require_address(model: str, base_url: str | None) -> None:
    """Refuse a model of a provider without an address of its own, if it is not set."""
    provider, variable = provider_of(model), f"{_maker(model).upper()}_API_BASE"
    if provider and "base_url" in provider.asks_for and not (base_url or os.environ.get(variable)):
        told = "{model} needs embedding_base_url, the address of its server ({provider}: {form})."
        form = provider.base_url_form
        raise SettingError(Text(told, model=model, provider=provider.called, form=form))


def _key(settings: Snapshot, model: str, base_url: str | None, *, same: bool) -> Key:
    """Choose the key that is sent along, by the rules at the top of this file."""
    origin = settings.origin("api_key")
    if settings.api_key and (same or origin.kind == "flag"):
        words = Text("the key is api_key, from {origin}", origin=origin.text)
        return Key(settings.api_key.get_secret_value().strip(), words)
    provider = provider_of(model)  # by its prefix alone: the one whose variables LiteLLM takes
    if provider is None:
        return FOUND if same or not base_url else NONE
    home = not base_url or provider.is_at(base_url)
    own = home or provider.local or not provider.has_address
    if (own or same) and (variable := _variable_of(provider)):
        return Key(os.environ[variable], Text("the key is that of {variable}", variable=variable))
    token = (own or same) and provider.stand_in("", os.environ)  # of Azure, or other credentials
    if token or "api_key" not in provider.asks_for:
        return FOUND
    if provider.has_address and home:
        raise MissingKeyError(_missing(settings, model, provider, same=same))
    return NONE


def _variable_of(provider: Provider) -> str:
    """Name the variable that is set and holds the provider's API key, or give ""."""
    return next((name for name in provider.api_key_variables if os.environ.get(name)), "")


def _missing(settings: Snapshot, model: str, provider: Provider, *, same: bool) -> Text:
    """Say where a key could come from."""
    told = (
        "there is no API key for {model}. Set {variable}, {give_key}, or"
        " {try_practice}, which needs no account."
    )
    if settings.api_key:
        told = (
            "there is no API key for {model}: api_key is for the server of {other}. Set {variable},"
            " {give_key}, or {try_practice}, which needs no account."
        )
    variable = "{names} in the environment"
    if same:
        variable = "api_key, or {names} in the environment"
    return Text(
        told,
        model=model,
        other=settings.model,
        variable=Text(variable, names=any_of(provider.key_variables)),
        give_key=Text(GIVE_EMBEDDING_KEY),
        try_practice=Text(TRY_PRACTICE_VECTORS),
    )
