"""The catalogue of providers: how each is reached, what it asks for, what usually goes wrong.

The entries follow the provider pages of OpenHands' and LiteLLM's documentation. To add a provider,
add an entry; the tests then ask for the exact request that it makes.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.verified import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER_HOST = "host.docker.internal"
"""The name that a container has for the machine that it runs on."""

THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", DOCKER_HOST})  # noqa: S104 - compared, not bound
"""The hosts that are this machine, where each port is another server."""


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, seen from itself: no proxy could lead there."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def goes_by_proxy(scheme: str, host: str) -> bool:
    """Tell whether HTTP clients leave a host, and the look-up of its name, to a proxy."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - it takes 20 ms to import

    by_proxy = not {scheme, "all"}.isdisjoint(getproxies()) and not proxy_bypass(host)
    return by_proxy and not is_loopback(host)


def is_own_network(host: str) -> bool:
    """Return whether a host is this machine, or in its own network: who runs it is near."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name, which has a dot where it is one of the whole internet
        return host in THIS_MACHINE or is_loopback(host) or "." not in host
    return address.is_private


OTHER_ADDRESSES = {
    "BEDROCK": "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "MISTRAL": "MISTRAL_AZURE_API_BASE",
    "OLLAMA_CHAT": "OLLAMA_API_BASE",
    "VERTEX_AI": "VERTEXAI_API_BASE",
}
"""Variables with the address of a provider that are not named as those of other providers are."""


class Server(NamedTuple):
    """The server that an address leads to.

    Attributes:
        scheme: How the server is spoken to: "http" or "https".
        host: The server's name in lower case, without user and password.
        port: The port that the address names, or else the scheme's usual one; None if unknown.
    """

    scheme: str
    host: str
    port: int | None


def server_of(address: str | None) -> Server | None:
    """Return the server that an address leads to, or None where it is not an address."""
    try:
        parts = urlsplit(address or "")
        port = {"http": 80, "https": 443}.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:  # a bracket left open, a port that is not a number
        return None
    return Server(parts.scheme, parts.hostname, port) if parts.hostname else None


# An address that every HTTP client reads in the same way: nothing in it but a login, which has no
# mark that ends one, letters of ASCII, and a port.
_PLAIN = re.compile(
    r"https?://(?:[^@/?#\\\s]*@)?(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_ADDRESS = re.compile(r"https?://.*", re.IGNORECASE | re.DOTALL)


def address_within(text: str) -> str:
    """Return the address that a text ends with, such as a model's name for Hugging Face, or ""."""
    found = _ADDRESS.search(text)
    return found[0] if found else ""


def plain_server(address: str) -> Server | None:
    """Return the server of an address that can be read in one way only, or None.

    The host is in the one form of it: in lower case, without a dot at its end, an IPv6 address
    compressed, and one that stands for an IPv4 address as that.
    """
    server = server_of(address) if address.isprintable() and _PLAIN.fullmatch(address) else None
    if server is None:
        return None
    host = server.host.removesuffix(".")
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return server._replace(host=host)
    return server._replace(host=str(getattr(number, "ipv4_mapped", None) or number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider of models, or one way to reach it.

    Attributes:
        name: The provider's key in `PROVIDERS`.
        title: The provider's name for people, as it stands in a list.
        spoken: Its name within a sentence, or "" where that is the same.
        prefix: The beginning of its models' names, such as "groq/".
        example: A model, with its prefix.
        asks_for: The settings that a request does not work without, unless a variable stands in.
        key_variables: The environment variables that LiteLLM takes the credentials from.
        base_url_form: The provider's own address, or an example of one.
        guide: How to set the provider up, in one line.
        mistake: The usual mistake, in one line.
        local: Whether the provider runs on the user's own machine and needs no account.
        other_prefixes: Further prefixes that lead to it, of which "openai/" only with its base_url.
        bare_names: Patterns of model names without a prefix that LiteLLM takes for its own.
        servers: Patterns of "host:port" that only its servers have.
        openai_path: The path at which its servers speak OpenAI's dialect, so that openai/ reaches
            them, too; "" where any path will do, and None where there is none.
        has_own_alone: Whether its servers have no models but those that it makes.
        names_makers: Whether the names of all its models begin with their makers'.
        sent_besides: Variables whose credentials LiteLLM also sends beside a key that it is given.
        finds: The credentials that LiteLLM finds on this machine without a variable, in words.
    """

    name: str
    title: str
    spoken: str = ""
    prefix: str
    example: str
    asks_for: tuple[str, ...] = ("api_key",)
    key_variables: tuple[str, ...] = ()
    base_url_form: str
    guide: str
    mistake: str
    local: bool = False
    other_prefixes: tuple[str, ...] = ()
    bare_names: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    openai_path: str | None = None
    has_own_alone: bool = False
    names_makers: bool = False
    sent_besides: tuple[str, ...] = ()
    finds: str = ""

    @property
    def called(self) -> str:
        """What it is called within a sentence."""
        return self.spoken or self.title

    @property
    def has_address(self) -> bool:
        """Whether `base_url_form` is an address to use as it is, and not an example."""
        return "//your-" not in self.base_url_form and urlsplit(self.base_url_form).port != 0

    def stand_in(self, name: str, env: Mapping[str, str]) -> str:
        """Return the variable that LiteLLM takes a key from, if one is set, or else "".

        Args:
            name: The setting that the key would be of; a variable of this name is the only one.
            env: The environment.
        """
        variables = [each for each in self.key_variables if secrecy(each) >= Secrecy.POSSIBLE]
        if name.upper() in variables:
            variables = [name.upper()]
        return next((each for each in variables if env.get(each)), "")

    @property
    def api_key_variables(self) -> tuple[str, ...]:
        """Those of its variables that hold what can be an api_key, and no other login."""
        return tuple(name for name in self.key_variables if name.endswith("API_KEY"))

    @property
    def verified_models(self) -> tuple[str, ...]:
        """Those of its models that OpenHands lists as verified; see `verified.LISTS`."""
        if provider_of(self.prefix) is not self:  # another one has the prefix without an address
            return ()
        return tuple(model for model in MODELS if model.startswith(self.prefix))

    @property
    def names_are_own(self) -> bool:
        """Whether its models have names that the person gave them, as at Azure."""
        return self.example.startswith(self.prefix + "my-")

    def leads(self, model: str) -> bool:
        """Return whether a model's name begins with a prefix of this provider."""
        return model.startswith((self.prefix, *self.other_prefixes))

    def owns(self, model: str) -> bool:
        """Return whether LiteLLM sends a model whose name has no prefix to this provider."""
        return any(fnmatchcase(model, pattern) for pattern in self.bare_names)

    def runs(self, server: Server) -> bool:
        """Return whether a server is one of its own, spoken to by https: nobody else reads there.

        A "*" stands for a part of one name between two dots. Servers that people run themselves,
        as LM Studio is one, are nobody's own.
        """
        place = f"{server.host}:{server.port}".split(".")
        return (
            not self.local
            and server.scheme == "https"
            and any(
                len(place) == len(pattern) and all(map(fnmatchcase, place, pattern))
                for pattern in (each.split(".") for each in self.servers)
            )
        )

    def is_at(self, base_url: str) -> bool:
        """Return whether an address leads to this provider's server, spoken to in the same way.

        All names of this machine count as one host.
        """
        here, own = (_with_one_name(server_of(each)) for each in (base_url, self.base_url_form))
        return here is not None and here == own


def _with_one_name(server: Server | None) -> Server | None:
    return server._replace(host="localhost") if server and server.host in THIS_MACHINE else server


def addresses_in(env: Mapping[str, str], prefix: str) -> list[str]:
    """Return the addresses that LiteLLM finds in variables for the models of a prefix.

    Example: the value of OPENAI_API_BASE for "openai/".
    """
    return [*address_variables(env, prefix).values()]


def address_variables(env: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the addresses that `addresses_in` finds by the names of their variables."""
    stem = prefix.removesuffix("/").upper()
    names = (stem + "_API_BASE", stem + "_BASE_URL", OTHER_ADDRESSES.get(stem, ""))
    return {name: env[name] for name in names if env.get(name)}


# fmt: off
_ENTRIES = (
    Provider(
        name="anthropic", title="Anthropic", prefix="anthropic/",
        example="anthropic/claude-haiku-4-5-20251001",
        key_variables=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        base_url_form="https://api.anthropic.com",
        servers=("api.anthropic.com:*",), openai_path="/v1", has_own_alone=True,
        bare_names=("claude-*",),
        guide="Give an API key of the Anthropic Console; no base_url is needed.",
        mistake="A base_url that ends with /v1: LiteLLM adds /v1/messages itself.",
    ),
    Provider(
        name="gemini", title="Google AI Studio", prefix="gemini/",
        example="gemini/gemini-3.8-flash",
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        base_url_form="https://generativelanguage.googleapis.com/v1beta",
        servers=("generativelanguage.googleapis.com:*",),
        openai_path="/v1beta/openai", has_own_alone=True,
        guide="Give an API key of Google AI Studio; no base_url is needed.",
        mistake="A model gemini-… without gemini/ in front goes to Vertex AI.",
    ),
    Provider(
        name="deepseek", title="DeepSeek", prefix="deepseek/",
        example="deepseek/deepseek-v4-flash",
        key_variables=("DEEPSEEK_API_KEY",), base_url_form="https://api.deepseek.com/v1",
        servers=("api.deepseek.com:*",), openai_path="", has_own_alone=True,
        guide="Give an API key of the DeepSeek platform; no base_url is needed.",
        mistake="A model deepseek-… without deepseek/ in front.",
    ),
    Provider(
        name="openai", title="OpenAI", prefix="openai/", example="openai/gpt-4o",
        key_variables=("OPENAI_API_KEY",), base_url_form="https://api.openai.com/v1",
        servers=("api.openai.com:*",), openai_path="/v1", has_own_alone=True,
        bare_names=("gpt-*", "o[134]", "o[134]-*", "ft:gpt-*"),
        guide="Give an API key of the OpenAI platform; no base_url is needed.",
        mistake="A key of one project with a model that this project may not use.",
    ),
    Provider(
        name="openrouter", title="OpenRouter", prefix="openrouter/",
        example="openrouter/all-hands/openhands-lm-32b-v0.1",
        key_variables=("OPENROUTER_API_KEY", "OR_API_KEY"),
        base_url_form="https://openrouter.ai/api/v1",
        servers=("openrouter.ai:*",), openai_path="/api/v1", names_makers=True,
        guide="Write openrouter/ before the whole name of OpenRouter's page, maker included.",
        mistake="The maker left out of the name: openrouter/gpt-4o for openrouter/openai/gpt-4o.",
    ),
    Provider(
        name="openai_compatible", title="A server compatible with OpenAI",
        spoken="a server compatible with OpenAI", prefix="openai/",
        example="openai/my-model", asks_for=("base_url", "api_key"),
        key_variables=("OPENAI_API_KEY",), base_url_form="https://your-server.example/v1",
        guide="Write openai/ before the name that the server knows, and set base_url.",
        mistake="A base_url without the /v1 at its end.",
    ),
    Provider(
        name="azure", title="Azure OpenAI", prefix="azure/", example="azure/my-deployment",
        asks_for=("base_url", "api_version", "api_key"),
        key_variables=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_AD_TOKEN"),
        base_url_form="https://your-resource.openai.azure.com",
        servers=("*.openai.azure.com:*", "*.cognitiveservices.azure.com:*"),
        openai_path="/openai/v1",
        sent_besides=("AZURE_AD_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_PASSWORD"),
        guide="Write azure/ before the name of your deployment; set base_url and api_version.",
        mistake="The model's name in place of the deployment's.",
    ),
    Provider(
        name="vertex_ai", title="Google Vertex AI", prefix="vertex_ai/",
        example="vertex_ai/gemini-3.5-flash", asks_for=("vertex_project", "vertex_location"),
        key_variables=("GOOGLE_APPLICATION_CREDENTIALS",),
        base_url_form="https://us-central1-aiplatform.googleapis.com", bare_names=("gemini-*",),
        servers=("*aiplatform.googleapis.com:*",), finds="the Google credentials of this machine",
        guide="Install google-cloud-aiplatform and log in with gcloud; there is no API key.",
        mistake="An API key of Google AI Studio: that one goes with gemini/.",
    ),
    Provider(
        name="groq", title="Groq", prefix="groq/", example="groq/openai/gpt-oss-120b",
        key_variables=("GROQ_API_KEY",), base_url_form="https://api.groq.com/openai/v1",
        servers=("api.groq.com:*",), openai_path="/openai/v1",
        guide="Give an API key of the Groq console; no base_url is needed.",
        mistake="A model that Groq no longer serves; its console lists those that it does.",
    ),
    Provider(
        name="groq_openai", title="Groq, as a server compatible with OpenAI",
        spoken="Groq", prefix="openai/",
        example="openai/qwen/qwen3.8-27b", asks_for=("base_url", "api_key"),
        key_variables=("OPENAI_API_KEY",), base_url_form="https://api.groq.com/openai/v1",
        guide="Write openai/ before Groq's name of the model, and set base_url.",
        mistake="The key in GROQ_API_KEY, which this way does not read: set api_key.",
    ),
    Provider(
        name="litellm_proxy", title="LiteLLM Proxy", prefix="litellm_proxy/",
        example="litellm_proxy/my-model", asks_for=("base_url", "api_key"),
        key_variables=("LITELLM_PROXY_API_KEY",),
        base_url_form="https://your-litellm-proxy.example",
        guide="Write litellm_proxy/ before the model_name of the proxy's config; set base_url.",
        mistake="A provider's own key in place of a key of the proxy.",
    ),
    Provider(
        name="sglang", title="SGLang on this machine", spoken="SGLang",
        prefix="openai/",
        example="openai/my-served-model", asks_for=("base_url", "api_key"),
        key_variables=("OPENAI_API_KEY",), base_url_form="http://localhost:30000/v1", local=True,
        guide="Write openai/ before the server's --served-model-name, and set base_url.",
        mistake="No api_key: without --api-key the server takes any text, but needs one.",
    ),
    Provider(
        name="vllm", title="vLLM on this machine", spoken="vLLM",
        prefix="hosted_vllm/",
        example="hosted_vllm/my-served-model", asks_for=("base_url",),
        key_variables=("HOSTED_VLLM_API_KEY",), base_url_form="http://localhost:8000/v1",
        local=True, other_prefixes=("openai/",),
        guide="Write hosted_vllm/ before the server's --served-model-name, and set base_url.",
        mistake="The prefix vllm/, which would load the model into this process.",
    ),
    Provider(
        name="lm_studio", title="LM Studio", prefix="lm_studio/",
        example="lm_studio/qwen/qwen3-coder-30b", asks_for=("base_url",),
        key_variables=("LM_STUDIO_API_KEY",), base_url_form="http://localhost:1234/v1", local=True,
        servers=("*:1234",), openai_path="/v1",
        other_prefixes=("openai/",),
        guide="Start the server in LM Studio, write lm_studio/ before the model's identifier.",
        mistake="The model's title in place of its API identifier.",
    ),
    Provider(
        name="ollama", title="Ollama", prefix="ollama_chat/", example="ollama_chat/qwen3",
        asks_for=(),
        key_variables=("OLLAMA_API_KEY",), base_url_form="http://localhost:11434", local=True,
        servers=("*:11434",), openai_path="/v1",
        other_prefixes=("ollama/", "openai/"),
        guide="Pull the model with `ollama pull`, and write ollama_chat/ before its name.",
        mistake="A base_url that ends with /v1: that form goes with openai/.",
    ),
    Provider(
        name="mistral", title="Mistral", prefix="mistral/", example="mistral/mistral-small-latest",
        key_variables=("MISTRAL_API_KEY",), base_url_form="https://api.mistral.ai/v1",
        servers=("api.mistral.ai:*", "codestral.mistral.ai:*"),
        openai_path="/v1", has_own_alone=True,
        guide="Give an API key of Mistral's console; no base_url is needed.",
        mistake="A key of Codestral's own endpoint, which other models refuse.",
    ),
    Provider(
        name="bedrock", title="AWS Bedrock", prefix="bedrock/",
        example="bedrock/amazon.nova-pro-v1:0",
        asks_for=("aws_access_key_id", "aws_secret_access_key", "aws_region_name"),
        key_variables=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION_NAME"),
        base_url_form="https://bedrock-runtime.us-east-1.amazonaws.com",
        servers=("bedrock-runtime.*.amazonaws.com:*",), openai_path="/openai/v1",
        bare_names=("anthropic.*", "amazon.*", "us.anthropic.*", "eu.anthropic.*"),
        sent_besides=("AWS_BEARER_TOKEN_BEDROCK",), finds="the AWS credentials of this machine",
        guide="Give an access key of AWS and the region in which you may use the model.",
        mistake="A model that is not enabled in the region, or needs us. or eu. in front.",
    ),
    Provider(
        name="moonshot", title="Moonshot", prefix="moonshot/",
        example="moonshot/kimi-k3", key_variables=("MOONSHOT_API_KEY",),
        base_url_form="https://api.moonshot.ai/v1",
        servers=("api.moonshot.ai:*", "api.moonshot.cn:*"), openai_path="/v1", has_own_alone=True,
        guide="Give an API key of platform.moonshot.ai; no base_url is needed.",
        mistake="A key of the Chinese platform, which needs base_url https://api.moonshot.cn/v1.",
    ),
    Provider(
        name="openhands", title="OpenHands", prefix="openhands/",
        example="openhands/claude-sonnet-5-5", key_variables=("LITELLM_PROXY_API_KEY",),
        base_url_form="https://llm-proxy.app.all-hands.dev/",
        servers=("llm-proxy.*.all-hands.dev:*",), openai_path="",
        guide="Give the LLM API key of OpenHands Cloud's settings; no base_url is needed.",
        mistake="The OpenHands API key in place of the LLM API key, which is another.",
    ),
    Provider(
        name="practice", title="Practice, without an account",
        spoken="the practice provider", prefix="practice/",
        example="practice/echo", asks_for=(), base_url_form="http://127.0.0.1:0/v1", local=True,
        guide="Use it as it is: a server inside the notebook answers, and fails on request.",
        mistake="A practice model in a config file for OpenHands, which does not know it.",
    ),
)
# fmt: on

PROVIDERS: Mapping[str, Provider] = MappingProxyType({each.name: each for each in _ENTRIES})
"""Every provider by its name."""


def provider_at(base_url: str | None) -> Provider | None:
    """Return the provider whose servers alone have this address, or None if none is known."""
    server = server_of(base_url)
    if server is None:
        return None
    place = f"{server.host}:{server.port}"
    having = (each for each in _ENTRIES if any(fnmatchcase(place, one) for one in each.servers))
    return next(having, None)


ASKED_UNDER_OTHER_NAMES = tuple(PROVIDERS[name].prefix for name in ("practice", "openhands"))
"""The prefixes that LiteLLM never sees (`llm/prepare.py`): they alone decide who is asked."""


def full_name(model: str, custom_llm_provider: str | None = None) -> str:
    """Return a model's name with the provider that is set apart in front, where that counts."""
    if not custom_llm_provider or model.startswith(ASKED_UNDER_OTHER_NAMES):
        return model
    return f"{custom_llm_provider}/{model}"


@functools.lru_cache  # each prompt asks several times, and it parses every entry's address
def provider_of(
    model: str, base_url: str | None = None, custom_llm_provider: str | None = None
) -> Provider | None:
    """Return the provider that settings lead to, or None when it is not in the catalogue.

    Args:
        model: The model, as the setting has it; well-known names need no prefix, as for LiteLLM.
        base_url: The server's address, which tells apart the providers that share "openai/".
        custom_llm_provider: LiteLLM's name of the provider, which counts more than the model's.
    """
    model = full_name(model, custom_llm_provider)
    candidates = [each for each in _ENTRIES if each.leads(model)]
    if not candidates:
        owner = next((each for each in _ENTRIES if each.owns(model)), None)
        return provider_of(owner.prefix + model, base_url) if owner else None
    if len(candidates) == 1 or not base_url:
        return candidates[0]
    here = (each for each in candidates if each.is_at(base_url))
    return next(here, PROVIDERS["openai_compatible"])
