"""Rules about the settings in force: do they lead to the model that is meant?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from openhands_llm_magic.config.lint.finding import NONE_WORDS, Finding, Subject, quoted
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.schedule import openhands_wait_s, our_wait_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from openhands_llm_magic.config.resolve import Snapshot

MAKERS = frozenset({
    "all-hands", "deepseek-ai", "google", "lmstudio-community", "meta-llama", "microsoft",
    "mistralai", "models", "moonshotai", "nousresearch", "nvidia", "qwen", "thebloke", "unsloth",
    "x-ai", "z-ai", "zai-org",
})  # fmt: skip
"""The makers of models whose names stand before a "/", and that are not LiteLLM's providers."""

PREFIX_OF = {
    "codestral": "mistral/",
    "command": "cohere/",
    "deepseek": "deepseek/",
    "devstral": "mistral/",
    "grok": "xai/",
    "kimi": "moonshot/",
    "ministral": "mistral/",
    "mistral": "mistral/",
    "moonshot": "moonshot/",
    "openhands-lm": "openrouter/all-hands/",
    "sonar": "perplexity/",
}
"""The usual prefix for models, by the beginning of their names."""

WITH_V1 = frozenset({"openai", "hosted_vllm", "lm_studio"})
"""The providers for which LiteLLM appends /chat/completions to base_url, and no /v1."""

WITHOUT_V1 = frozenset({"anthropic", "ollama", "ollama_chat"})
"""The providers for which LiteLLM appends a path that has a version in it already."""

ADDRESSES = ("base_url", "ollama_base_url")

DOCKER_HOST = "host.docker.internal"

RETRIES = ("num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier")

MOST_WAITS = 6
"""The number of waits that a note lists."""


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """The settings of `[llm]` or of one group, and everything else that is checked."""

    subject: Subject
    settings: Snapshot

    @property
    def provider(self) -> str:
        """LiteLLM's name of the provider, or "" when LiteLLM would not find a provider."""
        if self.settings.custom_llm_provider:
            return str(self.settings.custom_llm_provider)
        model: str = self.settings.model
        provider = provider_of(model)
        if provider and provider.owns(model):
            return provider.prefix.rstrip("/")
        prefix, slash, _ = model.partition("/")
        # LiteLLM knows many more providers than the catalogue, but no model without one of them.
        return prefix if slash and prefix.lower() not in MAKERS else ""

    def address(self, name: str) -> SplitResult | None:
        """Return the parts of an address: None if it is not set, empty if it is not an address."""
        url: str = getattr(self.settings, name)
        if not url or url in NONE_WORDS:
            return None
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - raises when it is no number
        except ValueError:
            return SplitResult("", "", "", "", "")
        return parts


def no_provider(case: Case) -> Iterator[Finding]:
    """Find a model for which LiteLLM knows no provider."""
    model = case.settings.model
    if case.provider:
        return
    prefix = next(
        (each for start, each in PREFIX_OF.items() if model.lower().startswith(start)), ""
    )
    if case.settings.base_url:
        fix = f"Write {quoted('openai/' + model)}, for a server compatible with OpenAI"
    elif prefix:
        fix = f"Write {quoted(prefix + model)}"
    elif "/" in model:
        fix = f"Write the provider before it, as in {quoted('openrouter/' + model)}"
    else:
        fix = "Write the provider before it, as in 'openai/gpt-4o'"
    yield Finding(
        case.settings.origin("model"),
        f"the model {quoted(model)} names no provider",
        fix,
        "OpenHands would fail at the first prompt",
        "warning",
    )


def no_name(case: Case) -> Iterator[Finding]:
    """Find a provider's prefix with no model after it."""
    model = case.settings.model
    provider = provider_of(model)
    if provider and model == provider.prefix:
        yield Finding(
            case.settings.origin("model"),
            f"the model {quoted(model)} has no name after its provider",
            f"Write it whole, as in {quoted(provider.example)}",
            "OpenHands would fail at the first prompt",
            "warning",
        )


def gemini_on_vertex(case: Case) -> Iterator[Finding]:
    """Find a Gemini model without its prefix."""
    model = case.settings.model
    if model.startswith("gemini-") and not case.settings.custom_llm_provider:
        yield Finding(
            case.settings.origin("model"),
            f"the model {quoted(model)} leads to Vertex AI, not to Google AI Studio",
            f"Write {quoted('gemini/' + model)}, or with vertex_ai/ if that is meant",
            "OpenHands would ask Vertex AI, too",
            "warning",
        )


def v1_in_base_url(case: Case) -> Iterator[Finding]:
    """Find a base_url without the /v1 that it needs, or with one too many."""
    provider = case.provider
    url = case.address("base_url")
    if url is None or not url.hostname or case.settings.origin("model").kind == "default":
        return
    path = url.path.rstrip("/")
    shown = _shown(url).rstrip("/")
    if provider in WITH_V1 and not path:
        wrong, right = "has no path, and most servers answer at /v1", f"{shown}/v1"
    elif provider in WITHOUT_V1 and path.endswith("/v1"):
        wrong, right = f"ends with /v1, which {provider}/ adds itself", shown.removesuffix("/v1")
    else:
        return
    yield Finding(
        case.settings.origin("base_url"),
        f"base_url {wrong}",
        f"Write {quoted(right)}",
        "OpenHands would ask at the wrong path, too",
        "warning",
    )


def no_base_url(case: Case) -> Iterator[Finding]:
    """Find a provider whose server is the person's own, without the server's address."""
    provider = provider_of(case.settings.model)
    if provider is None or "base_url" not in provider.asks_for or case.settings.base_url:
        return
    stem = provider.prefix.removesuffix("/").upper()
    names = (f"{stem}_API_BASE", f"{stem}_BASE_URL")  # where LiteLLM looks for one
    if not any(case.subject.env.get(name) for name in names):
        yield Finding(
            case.settings.origin("model"),
            f"{provider.title} asks for a base_url",
            f"Set it, as in {quoted(provider.base_url_form)}",
            "OpenHands would fail at the first prompt",
            "warning",
        )


def bad_address(case: Case) -> Iterator[Finding]:
    """Find an address that is not a whole http address."""
    for name in ADDRESSES:
        url = case.address(name)
        if url is not None and not (url.scheme in ("http", "https") and url.hostname):
            yield Finding(
                case.settings.origin(name),
                f"{name} is not a whole address",
                "Write it with http:// or https://, as in http://localhost:8000/v1",
                "OpenHands would fail at the first prompt",
            )


def docker_host(case: Case) -> Iterator[Finding]:
    """Find host.docker.internal where there is no such host."""
    for name in ADDRESSES:
        url = case.address(name)
        if url is not None and url.hostname == DOCKER_HOST and not case.subject.in_docker:
            yield Finding(
                case.settings.origin(name),
                f"{name} names {DOCKER_HOST}, which there is only inside docker",
                f"Write {quoted(_shown(url).replace(DOCKER_HOST, 'localhost'))}",
                "OpenHands would reach it when it runs in docker, and only then",
                "warning",
            )


def azure_version(case: Case) -> Iterator[Finding]:
    """Find a model at Azure without the version of its API."""
    origin = case.settings.origin("model")
    if case.provider != "azure":
        return
    by_variable = origin.kind == "environment"
    fix = "Set LLM_API_VERSION" if by_variable else "Write api_version beside it"
    if not case.settings.api_version and not case.subject.env.get("AZURE_API_VERSION"):
        openhands = "OpenHands adds one only for a model azure/... in a config file"
        yield Finding(origin, "Azure asks for an api_version", fix, openhands, "warning")
    elif case.settings.origin("api_version").kind == "default" and case.settings.api_version:
        message = f"api_version is not set, and {case.settings.api_version} is taken"
        openhands = "OpenHands takes it, too, for a model in a config file"
        yield Finding(origin, message, fix, openhands, "note")


def practice_model(case: Case) -> Iterator[Finding]:
    """Find a practice model, which OpenHands does not know."""
    if case.settings.model.startswith(PROVIDERS["practice"].prefix):
        yield Finding(
            case.settings.origin("model"),
            "practice models are answered by a practice server on this machine",
            "Write a provider's model for OpenHands",
            "OpenHands would fail at the first prompt",
            "note",
        )


def retries(case: Case) -> Iterator[Finding]:
    """Note how retries differ: OpenHands counts attempts, and waits by another formula."""
    origins = [case.settings.origin(name) for name in RETRIES]
    if "llm" in case.subject.document.data:
        origins.append(case.subject.document.origin("llm"))
    origin = next((each for each in origins if each.kind != "default"), None)
    count = case.settings.num_retries
    if count and origin:
        ours = _counted(count, lambda retry: our_wait_s(case.settings, retry))
        theirs = _counted(count - 1, lambda retry: openhands_wait_s(case.settings, retry))
        yield Finding(
            origin,
            f"num_retries = {count} means {ours} here",
            "Set it one higher if OpenHands shall try as often",
            f"OpenHands counts attempts, not retries: it would make {theirs}",
            "note",
        )


RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    no_provider,
    no_name,
    gemini_on_vertex,
    v1_in_base_url,
    no_base_url,
    bad_address,
    docker_host,
    azure_version,
    practice_model,
    retries,
)


def _counted(count: int, wait_s: Callable[[int], float]) -> str:
    if count == 0:
        return "no retry"
    shown = ", ".join(f"{wait_s(retry):g}" for retry in range(1, min(count, MOST_WAITS) + 1))
    more = ", ..." if count > MOST_WAITS else ""
    return f"{count} {'retry' if count == 1 else 'retries'} after {shown}{more} s"


def _shown(url: SplitResult) -> str:
    """Return an address without user, password and query, which may hold a key."""
    host = url.netloc.rpartition("@")[2]
    return f"{url.scheme}://{host}{url.path}"
