"""What a request to the practice server asks, read from its path, and the key that it shows.

`/v1` is the practice provider's own. Below the name of a provider, as in `/azure`, is what that
provider has: its paths, and no others, so that a wrong address fails as it does there. With `as`
and the name of a practice model in between, as in `/azure/as/rate-limited`, each model acts as
that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from openhands_llm_magic.config.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

Asks = Literal[
    "answer", "vectors", "models", "model", "loaded models", "properties", "key", "nothing"
]
"""What a request is for; "nothing" where there is no such path."""

OWN = "practice"
"""The practice provider itself, which has no models but its own."""

LLAMA_CPP = "llama_cpp"
"""A server that the catalogue of providers has under no name of its own."""

NEVER = frozenset({"vertex_ai"})
"""Providers that nothing can stand in for: Google asks for a login before the first request."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        provider: The provider's name in the catalogue.
        dialect: The name of the dialect that is spoken there.
        asks: What the request is for.
        model: The model that the path names, or "" where the body does.
        streams: Whether the path asks for a stream; None where the body says so.
        acts_as: The practice model that the address asks for, or "".
    """

    provider: str = OWN
    dialect: str = "openai"
    asks: Asks = "nothing"
    model: str = ""
    streams: bool | None = None
    acts_as: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """A path that servers have: below an address, what it is for, and in which dialect."""

    method: str
    pattern: str
    asks: Asks
    dialect: str = "openai"
    streams: bool | None = None


COMPATIBLE = (
    Path("POST", "/chat/completions", "answer"),
    Path("POST", "/responses", "answer", "responses"),
    Path("POST", "/embeddings", "vectors"),
    Path("GET", "/models", "models"),
)
"""What servers have that are compatible with OpenAI."""

MODEL = "(?P<model>[^/]+?)"
GEMINI = f"/v1(?:beta)?/models/{MODEL}"
AZURE = f"/openai/deployments/{MODEL}"

NATIVE: Mapping[str, tuple[Path, ...]] = {
    "anthropic": (
        Path("POST", "/v1/messages", "answer", "anthropic"),
        Path("GET", "/v1/models", "models", "anthropic"),
    ),
    "azure": (
        Path("POST", f"{AZURE}/chat/completions", "answer"),
        Path("POST", f"{AZURE}/embeddings", "vectors"),
        Path("POST", "/openai/responses", "answer", "responses"),
    ),
    "bedrock": (
        Path("POST", f"/model/{MODEL}/converse", "answer", "bedrock", streams=False),
        Path("POST", f"/model/{MODEL}/converse-stream", "answer", "bedrock", streams=True),
        Path("POST", f"/model/{MODEL}/invoke", "vectors", "bedrock"),
    ),
    "gemini": (
        Path("POST", f"{GEMINI}:generateContent", "answer", "gemini", streams=False),
        Path("POST", f"{GEMINI}:streamGenerateContent", "answer", "gemini", streams=True),
        Path("POST", f"{GEMINI}:batchEmbedContents", "vectors", "gemini"),
        Path("GET", "/v1(?:beta)?/models", "models", "gemini"),
    ),
    LLAMA_CPP: (
        Path("GET", "/props", "properties", "llama_cpp"),
        Path("GET", "/v1/models", "models", "llama_cpp"),
    ),
    "litellm_proxy": (Path("GET", "(?:/v1)?/model/info", "models", "litellm_proxy"),),
    "lm_studio": (Path("GET", "/api/v0/models", "models", "lm_studio"),),
    "ollama": (
        Path("POST", "/api/chat", "answer", "ollama"),
        Path("POST", "/api/generate", "answer", "ollama_generate"),
        Path("POST", "/api/embed", "vectors", "ollama"),
        Path("POST", "/api/show", "model", "ollama"),
        Path("GET", "/api/tags", "models", "ollama"),
        Path("GET", "/api/ps", "loaded models", "ollama"),
    ),
    "openrouter": (
        Path("GET", "/api/v1/models", "models", "openrouter"),
        Path("GET", "/api/v1/key", "key", "openrouter"),
    ),
    "sglang": (Path("GET", "/v1/models", "models", "sglang"),),
    "vllm": (Path("GET", "/v1/models", "models", "vllm"),),
}
"""What the servers of a provider have besides, or in place of that."""

SAME_AS = {"openhands": "litellm_proxy"}
"""Providers that have the paths of another."""


def base_path(provider: str, acts_as: str = "", key: str = "") -> str:
    """Return the path of the address that stands in for a provider's own.

    Args:
        provider: The provider's name in the catalogue.
        acts_as: The practice model that each model acts as there, or "".
        key: The key, for a client that sends none; or "".
    """
    form = PROVIDERS[provider].base_url_form if provider in PROVIDERS else "/v1"
    acting = f"/as/{acts_as}" if acts_as else ""
    acting += f"/key/{key}" if key else ""
    return f"/{provider}{acting}{urlsplit(form).path.rstrip('/')}"


def can_stand_in(provider: str) -> bool:
    """Return whether the practice server speaks as a provider does."""
    return provider == LLAMA_CPP or provider in PROVIDERS.keys() - NEVER - {OWN}


def route_of(method: str, target: str) -> Route:
    """Read what a request asks; one that there is no path for asks "nothing".

    Args:
        method: The request's method.
        target: Its path, with the query.
    """
    path, _, query = target.partition("?")
    _, _, rest = path.partition("/")
    provider, _, below = rest.partition("/")
    if not can_stand_in(provider):
        found = _at("/v1", COMPATIBLE, method, path)
        return _route(OWN, found, "") if found else Route()
    acts_as = ""
    if below.startswith("as/"):
        acts_as, _, below = below.removeprefix("as/").partition("/")
    if below.startswith("key/"):
        _, _, below = below.removeprefix("key/").partition("/")
    below, kind = f"/{below}", SAME_AS.get(provider, provider)
    found = _at("", NATIVE.get(kind, ()), method, below)
    for base in [] if found else _compatible_bases(kind):
        found = found or _at(base, COMPATIBLE, method, below)
    is_versioned = kind != "azure" or below.startswith("/openai/v1/") or _has_version(query)
    return _route(provider, found if is_versioned else None, acts_as)


def _has_version(query: str) -> bool:
    """Return whether a query names a version of Azure's API."""
    return any(map(_VERSION.fullmatch, parse_qs(query).get("api-version", ())))


_VERSION = re.compile(r"\d{4}-\d\d-\d\d(?:-preview)?|preview|latest|v1", re.ASCII)


def _at(
    base: str, paths: tuple[Path, ...], method: str, path: str
) -> tuple[Path, re.Match[str]] | None:
    for each in paths:
        match = re.fullmatch(re.escape(base) + each.pattern, path)
        if match and each.method == method:
            return each, match
    return None


def _route(provider: str, found: tuple[Path, re.Match[str]] | None, acts_as: str) -> Route:
    if found is None:
        return Route(provider, DIALECT.get(provider, "openai"), acts_as=acts_as)
    path, match = found
    model = unquote(match.groupdict().get("model", ""))
    return Route(provider, path.dialect, path.asks, model, path.streams, acts_as)


DIALECT = {name: name for name in ("anthropic", "bedrock", "gemini", "ollama")}
"""What providers say in that something is not there, where it is not what OpenAI says."""


def _compatible_bases(provider: str) -> list[str]:
    """Return the paths below which a provider is compatible with OpenAI."""
    if provider not in PROVIDERS:
        return ["/v1"]
    entry = PROVIDERS[provider]
    own = [] if provider in DIALECT or provider == "azure" else [urlsplit(entry.base_url_form).path]
    other = [] if entry.openai_path is None else [entry.openai_path]
    any_will_do = ["", "/v1"] if provider == "litellm_proxy" or "" in other else []
    return [*dict.fromkeys(base.rstrip("/") for base in own + other + any_will_do)]


BEARER = "Bearer "
_IN_PATH = re.compile(r"/\w+(?:/as/[^/?]*)?/key/([^/?]+)")
_AWS = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/")


def keys_in(headers: Mapping[str, str], target: str) -> list[str]:
    """Return the keys that a request shows, in any provider's way; AWS's is the id of the key."""
    authorization = headers.get("Authorization", "")
    signed, in_path = _AWS.match(authorization), _IN_PATH.match(target)
    found = [
        signed[1] if signed else "",
        in_path[1] if in_path else "",
        authorization.removeprefix(BEARER) if authorization.startswith(BEARER) else "",
        *(headers.get(name, "") for name in ("x-api-key", "api-key", "x-goog-api-key")),
        *parse_qs(urlsplit(target).query).get("key", ()),
    ]
    return [key for key in found if key]
