"""The settings of `[llm]` or of one group, as the rules about the model look at them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.lint.finding import NONE_WORDS, Finding, Subject
from openhands_llm_magic.config.lint.value import placeholder_in, unwrapped
from openhands_llm_magic.config.openhands_file import NOTHING
from openhands_llm_magic.config.providers import PROVIDERS, Provider, provider_at, provider_of
from openhands_llm_magic.config.settings import closest
from openhands_llm_magic.config.width import narrow

if TYPE_CHECKING:
    from openhands_llm_magic.config.lint.finding import Level
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Text

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

MAKERS_AT_OPENROUTER = {
    "claude": "anthropic",
    "codestral": "mistralai",
    "command": "cohere",
    "deepseek": "deepseek",
    "devstral": "mistralai",
    "gemini": "google",
    "gemma": "google",
    "glm": "z-ai",
    "gpt": "openai",
    "grok": "x-ai",
    "kimi": "moonshotai",
    "llama": "meta-llama",
    "minimax": "minimax",
    "ministral": "mistralai",
    "mistral": "mistralai",
    "mixtral": "mistralai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "openhands-lm": "all-hands",
    "qwen": "qwen",
    "qwq": "qwen",
    "sonar": "perplexity",
}
"""OpenRouter's names of the makers of models, by the beginning of the models' names."""

WITHOUT_PREFIX = {
    "ai21": "ai21_chat",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "cohere": "cohere",
    "cohere_chat": "cohere_chat",
    "nlp_cloud": "nlp_cloud",
}
"""The provider of models that LiteLLM knows by their names alone, by what its list calls it."""

DEPLOYMENT = re.compile(r"/openai/deployments(?:/(?P<name>[^/]*)(?P<rest>/.*)?)?$", re.DOTALL)
"""The end of an address of one deployment at Azure, and the path of a request after it."""

NO_ADDRESS = SplitResult("", "", "", "", "")


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """The settings of `[llm]` or of one group, and everything else that is checked."""

    subject: Subject
    settings: Snapshot

    def text(self, name: str) -> str:
        """Return a setting of text as it is meant; "" for none and placeholders.

        It is without the marks around it, and in ASCII where full-width characters stand for that.

        What is wrong with the text itself has a rule of its own, and then no other speaks of it.
        """
        value = narrow(unwrapped(getattr(self.settings, name) or ""))
        return "" if value in NONE_WORDS or placeholder_in(value) else value

    def finding(
        self,
        name: str,
        message: Text,
        fix: Text,
        openhands: Text = NOTHING,
        level: Level = "warning",
    ) -> Finding:
        """Return a finding about the setting of this name."""
        return Finding(self.settings.origin(name), message, fix, openhands, level, name)

    @property
    def model(self) -> str:
        """The model, or "" if what stands there is none."""
        return self.text("model")

    @property
    def provider(self) -> str:
        """LiteLLM's name of the provider, or "" when LiteLLM would not find a provider."""
        return self.text("custom_llm_provider") or prefix_of(self.model)

    @property
    def provider_beside(self) -> str:
        """The provider that a key or a variable names which OpenHands does not read, or ""."""
        llm = self.subject.document.table("llm")
        group = llm.get(self.settings.group, llm) if self.settings.group else llm
        named = group.get("provider") or self.subject.env.get("LLM_PROVIDER")
        known = litellm_files.providers()
        return named.lower() if isinstance(named, str) and named.lower() in known else ""

    @property
    def host(self) -> Provider | None:
        """The provider that the address is known to lead to, or None."""
        return provider_at(self.text("base_url"))

    @property
    def leads_to_vertex(self) -> bool:
        """Whether it is a model of Gemini without a prefix, which LiteLLM asks Vertex AI for."""
        return self.model.startswith("gemini-") and not self.text("custom_llm_provider")

    def address(self, name: str) -> SplitResult | None:
        """Return the parts of an address: None if it is not set, empty if it is not an address."""
        url = self.text(name)
        if not url:
            return None
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - raises when it is no number
        except ValueError:
            return NO_ADDRESS
        return parts


def prefix_of(model: str) -> str:
    """Return LiteLLM's name of a model's provider, or "" when it would not find a provider."""
    provider = provider_of(model)
    if provider and provider.owns(model):
        return provider.prefix.rstrip("/")
    prefix, slash, _ = model.partition("/")
    if slash:
        known = litellm_files.providers()
        return prefix if prefix in known or provider or not known else ""
    return WITHOUT_PREFIX.get(litellm_files.prices().get(model, {}).get("litellm_provider", ""), "")


def model_for(host: Provider, model: str) -> str:
    """Return the name that a model has at a provider's servers, with the provider's prefix."""
    if host.has_own_alone:
        return host.prefix + model.rpartition("/")[2]
    owner = provider_of(model)
    if host.names_makers:
        name = model.removeprefix(host.prefix)
        maker = "" if "/" in name else maker_at_openrouter(name)
        return host.prefix + (maker and f"{maker}/") + name
    first, slash, rest = model.partition("/")
    return host.prefix + (rest if slash and (owner or prefix_of(model) == first) else model)


def maker_at_openrouter(name: str) -> str:
    """Return the maker that OpenRouter writes before a model's name, or "" if none is known."""
    found = (each for start, each in MAKERS_AT_OPENROUTER.items() if name.lower().startswith(start))
    return next(found, "")


def model_meant(case: Case) -> str:
    """Return the name to write for a model that names no provider that LiteLLM knows, or ""."""
    model, host = case.model, case.host
    url = case.address("base_url")
    if url and (deployment := DEPLOYMENT.search(url.path)) and deployment["name"]:
        return f"azure/{deployment['name']}"
    first, slash, rest = model.partition("/")
    near = _provider_like(first.lower()) if slash else ""
    is_misspelt = bool(near) and (
        first.lower() == near or first.lower() not in litellm_files.makers()
    )
    if is_misspelt:
        model = f"{near}/{rest}"
    if host and host.prefix != "openai/":
        return model_for(host, model)
    if is_misspelt:
        return model
    if case.provider_beside:
        return f"{case.provider_beside}/{model}"
    if case.text("base_url"):
        return "openai/" + model
    return _with_usual_prefix(model)


def _provider_like(name: str) -> str:
    """Return LiteLLM's provider of these words in another order, or of a similar name, or ""."""
    words = sorted(re.split("[_-]", name))
    known = litellm_files.providers()
    same = (each for each in sorted(known) if sorted(each.split("_")) == words)
    return next(same, None) or closest(name, known) or ""


def _with_usual_prefix(model: str) -> str:
    """Return a model's name with the prefix under which most people ask for it, or ""."""
    if "/" in model:
        return PROVIDERS["openrouter"].prefix + model
    if ":" in model:
        return PROVIDERS["ollama"].prefix + model  # its models have tags: deepseek-coder:6.7b
    guess = next((each for start, each in PREFIX_OF.items() if model.lower().startswith(start)), "")
    return guess + model if guess else ""
