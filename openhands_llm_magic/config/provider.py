"""What a provider of models is: how it is reached and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal"})  # noqa: S104 - compared, not bound

OTHER_ADDRESSES = {
    "BEDROCK": "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "MISTRAL": "MISTRAL_AZURE_API_BASE",
    "VERTEX_AI": "VERTEXAI_API_BASE",
}
"""Variables with an address that are not named as those of other providers are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider, or one way to reach it.

    Attributes:
        name: Its key in `PROVIDERS`.
        title: Its name for people.
        prefix: What its models begin with, such as "groq/".
        example: A model, with its prefix.
        asks_for: The settings that a request does not work without, unless a variable stands in.
        key_variables: Environment variables that LiteLLM takes the credentials from.
        base_url_form: What a base_url looks like: the provider's own, or an example of one.
        guide: How to set it up, in one line.
        mistake: The usual mistake, in one line.
        local: It runs on the user's own machine and needs no account.
        verified_models: Those of its models that OpenHands lists as verified.
        other_prefixes: Further prefixes that lead to it, of which "openai/" only with its base_url.
        bare_names: Patterns of model names without a prefix that LiteLLM takes for its own.
    """

    name: str
    title: str
    prefix: str
    example: str
    asks_for: tuple[str, ...] = ("api_key",)
    key_variables: tuple[str, ...] = ()
    base_url_form: str
    guide: str
    mistake: str
    local: bool = False
    verified_models: tuple[str, ...] = ()
    other_prefixes: tuple[str, ...] = ()
    bare_names: tuple[str, ...] = ()

    @property
    def has_address(self) -> bool:
        """Whether `base_url_form` is an address to use as it is, and no example."""
        return "//your-" not in self.base_url_form and urlsplit(self.base_url_form).port != 0

    def stand_in(self, name: str, env: Mapping[str, str]) -> str:
        """Name the variable that is set and that LiteLLM takes a key from, or give ""."""
        words = ("KEY", "TOKEN", "CREDENTIALS")
        variables = [each for each in self.key_variables if any(word in each for word in words)]
        if name.upper() in variables:
            variables = [name.upper()]
        return next((each for each in variables if env.get(each)), "")

    @property
    def names_are_own(self) -> bool:
        """Whether its models have names that the person gave them, as at Azure."""
        return self.example.startswith(self.prefix + "my-")

    def leads(self, model: str) -> bool:
        """Whether a model's name begins with a prefix of this provider."""
        return model.startswith((self.prefix, *self.other_prefixes))

    def owns(self, model: str) -> bool:
        """Whether LiteLLM takes a model's name without a prefix for one of this provider."""
        return any(fnmatchcase(model, pattern) for pattern in self.bare_names)

    def is_at(self, base_url: str) -> bool:
        """Whether an address is this provider's: the same host, on this machine the same port."""
        return _server(base_url) == _server(self.base_url_form)


def addresses_in(env: Mapping[str, str], prefix: str) -> list[str]:
    """Give the addresses that LiteLLM finds in variables for the models of a prefix.

    Example: OPENAI_API_BASE for "openai/".
    """
    stem = prefix.removesuffix("/").upper()
    names = (stem + "_API_BASE", stem + "_BASE_URL", OTHER_ADDRESSES.get(stem, ""))
    return [env[name] for name in names if env.get(name)]


def _server(url: str) -> tuple[str, int | None] | None:
    """Give the host and the port of an address, or None when it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a bracket left open, a port that is no number
        return None
    return ("localhost" if host in THIS_MACHINE else host, port)
