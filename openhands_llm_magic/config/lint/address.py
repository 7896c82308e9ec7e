"""The one rule about the address of the model's server, and the prefix that goes with it.

The address is corrected step by step, and what comes out is one finding with one cure: two rules
that looked at an address by themselves would give two, which may contradict each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from openhands_llm_magic.config.lint.case import (
    DEPLOYMENT,
    NO_ADDRESS,
    Case,
    model_for,
    model_meant,
    prefix_of,
)
from openhands_llm_magic.config.lint.finding import (
    FAILS,
    TAKEN_AS_IT_STANDS,
    Finding,
    to_copy,
    write,
)
from openhands_llm_magic.config.lint.value import unwrapped
from openhands_llm_magic.config.openhands_file import NOTHING
from openhands_llm_magic.config.providers import (
    DOCKER_HOST,
    PROVIDERS,
    THIS_MACHINE,
    Provider,
    provider_of,
)
from openhands_llm_magic.config.width import wide_mark
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADDRESSES = ("base_url", "ollama_base_url", "embedding_base_url")

OUTSIDE_OF_DOCKER = THIS_MACHINE - {DOCKER_HOST}
"""What this machine is called where no docker is in between."""

WITH_V1 = frozenset({"openai", "hosted_vllm", "lm_studio"})
"""The providers for which LiteLLM appends /chat/completions to base_url, and no /v1."""

GEMINI_PATHS = ("/v1beta", "/v1alpha", "/v1")
"""The paths of Google AI Studio to which LiteLLM appends a model of gemini/."""

OPENAI_DIALECT = frozenset(
    {"openai/", "hosted_vllm/", "lm_studio/", "litellm_proxy/", "custom_openai/"}
)
"""The prefixes that ask any server in OpenAI's dialect."""

OLLAMA = frozenset({"ollama", "ollama_chat"})
"""The providers for which LiteLLM appends a path that begins with /api."""

WITHOUT_V1 = frozenset({"anthropic", *OLLAMA})
"""The providers for which LiteLLM appends a path that has a version in it already."""

APPENDED_TO = WITH_V1 | {"openrouter", "groq", "moonshot", "litellm_proxy"}
"""The providers for which the path of base_url has to be the one before /chat/completions."""

# The paths of requests, which LiteLLM appends itself, at the end of an address.
_ENDPOINT = re.compile(
    r"(?:/chat/completions|/completions|/responses|/messages|/complete|/embeddings"
    r"|/api/(?:chat|generate|tags|show|embed\w*)"
    r"|/models/[^/]+:\w+|(?<=/v1)/models|(?<=/v\d)/chat"
    r"|(?:/v\d\w*)?/projects/.+|/model/[^/]+/(?:invoke|converse)[\w-]*){1,4}$",
    re.DOTALL,
)
# An address in what was copied around it, such as a Markdown link: [http://x](http://x).
_WITHIN = re.compile(r"https?://[\w.-]+(?::\d+)?(?:/[\w./~-]*)?", re.ASCII)
_API_VERSION = re.compile(r"\bapi-version=(\d{4}-\d\d-\d\d(?:-preview)?|preview|latest)\b")

COPED_WITH = frozenset({
    ("anthropic", "/v1/messages"), ("deepseek", "/chat/completions"), ("ollama", "/api/generate"),
    ("ollama_chat", "/api/chat"),
})  # fmt: skip
"""The providers for which LiteLLM does not append an endpoint that is there, and that endpoint."""

COPES = Text("LiteLLM asks there all the same; other programs may not")
WRONG_PATH = Text("OpenHands would ask at the wrong path, too")
WRONG_PROVIDER = Text("OpenHands would ask in the wrong way, too")


@dataclass(slots=True)
class Cure:
    """What is to be written in place of an address, as far as it is known.

    Attributes:
        case: The settings.
        name: The setting that holds the address.
        url: The address, corrected so far; None if it is better not set.
        beside: The values to write for other settings, by their names.
        reasons: What is wrong with the address, in words.
        openhands: What OpenHands does about it, in words.
    """

    case: Case
    name: str
    url: SplitResult | None
    beside: dict[str, str] = field(default_factory=dict)
    reasons: list[Text] = field(default_factory=list)
    openhands: Text = NOTHING

    @property
    def path(self) -> str:
        """The path of the address, without a slash at its end."""
        return self.url.path.rstrip("/") if self.url else ""

    @property
    def provider(self) -> str:
        """LiteLLM's name of the provider that is to be asked."""
        custom = self.beside.get("custom_llm_provider")
        if custom or not self.beside.get("model"):
            return custom or self.case.provider or prefix_of(model_meant(self.case))
        return prefix_of(self.beside["model"])

    @property
    def is_of_model(self) -> bool:
        """Whether it is the address of the model's server, for a model that somebody chose."""
        chosen = self.case.settings.origin("model").kind != "default"
        return self.name == "base_url" and chosen and bool(self.case.model)

    def because(self, reason: Text, openhands: Text, *, path: str | None = None) -> None:
        """Add a reason to write something else; `path` is the path to write."""
        self.reasons.append(reason)
        self.openhands = self.openhands or openhands
        if path is not None and self.url is not None:
            self.url = self.url._replace(path=path, query="", fragment="")

    def finding(self) -> Finding:
        """Return the one finding about the address."""
        origin = self.case.settings.origin(self.name)
        beside = [f"{name} = {to_copy(value)}" for name, value in self.beside.items()]
        message = Text("{name} {reason}", name=self.name, reason=reduce(_and, self.reasons))
        if self.url is None:
            remove = Text("Remove {name}", name=self.name)
            if origin.kind == "environment":
                remove = Text("Unset {variable}", variable=origin.name)
            return self.case.finding(self.name, message, remove, self.openhands)
        before = self.case.address(self.name) or NO_ADDRESS
        right = _shown(self.url)
        is_changed = right != _shown(before) or before.query != self.url.query
        if is_changed or not beside or _wide_mark(self.case, self.name):
            beside.insert(0, f"{self.name} = {to_copy(right)}" if beside else to_copy(right))
        *others, last = beside
        fix = write(last)
        if others:
            fix = Text("Write {values} and {last}", values=", ".join(others), last=last)
        return self.case.finding(self.name, message, fix, self.openhands)


def _and(first: Text, second: Text) -> Text:
    return Text("{first}, and {second}", first=first, second=second)


def addresses(case: Case) -> Iterator[Finding]:
    """Find an address that leads elsewhere than the model's prefix, or nowhere."""
    for name in ADDRESSES:
        url = case.address(name)
        if url is None:
            continue
        if url is NO_ADDRESS or not (url.scheme in ("http", "https") and url.hostname):
            fix = Text("Write it with http:// or https://, as in http://localhost:8000/v1")
            if inside := _WITHIN.search(case.text(name)):
                fix = write(to_copy(_shown(urlsplit(inside[0]))))
            message = Text("{name} is not a whole address", name=name)
            yield case.finding(name, message, fix, FAILS, "error")
            continue
        cure = Cure(case, name, url)
        if mark := _wide_mark(case, name):
            cure.because(Text("has a full-width {mark}", mark=mark), TAKEN_AS_IT_STANDS)
        for step in STEPS:
            if cure.url is not None:
                step(cure, cure.url)
        if cure.reasons:
            yield cure.finding()
        if case.subject.in_docker and cure.url and cure.url.hostname in OUTSIDE_OF_DOCKER:
            yield _seen_from_docker(case, name, cure.url)


def _wide_mark(case: Case, name: str) -> str:
    """Return the first full-width character of an address, or ""; the case has it in ASCII."""
    return wide_mark(unwrapped(getattr(case.settings, name) or ""))


def _endpoint(cure: Cure, url: SplitResult) -> None:
    """Take the path of a request away, which LiteLLM appends itself."""
    version = _API_VERSION.search(url.query)
    if deployment := DEPLOYMENT.search(cure.path):
        is_base = deployment["name"] and not deployment["rest"] and not version
        if cure.case.provider == "azure" and is_base:
            return  # LiteLLM takes this form, too
        reason = Text("is that of one deployment")
        cure.because(reason, WRONG_PATH, path=cure.path[: deployment.start()])
        if deployment["name"] and cure.is_of_model:
            _ask(cure, "azure", deployment["name"])
    elif found := _ENDPOINT.search(cure.path):
        provider = cure.case.provider if cure.name == "base_url" else ""
        start = found.start()
        if provider == "anthropic" and cure.path[:start].endswith("/v1"):
            start -= len("/v1")
        endpoint = cure.path[start:]
        openhands = COPES if (provider, endpoint) in COPED_WITH else WRONG_PATH
        told = "names the endpoint {endpoint}, which is appended to it"
        reason = Text(told, endpoint=endpoint)
        cure.because(reason, openhands, path=cure.path[:start])
    elif version:
        cure.because(Text("names the version of the API"), WRONG_PATH, path=cure.path)
    if version and cure.case.settings.origin("api_version").kind == "default":
        cure.beside["api_version"] = version[1]


def _ask(cure: Cure, provider: str, name: str) -> None:
    """Let the settings name a provider and, without its prefix, the model to ask for."""
    if cure.case.text("custom_llm_provider"):
        changed = {"custom_llm_provider": provider, "model": name}
        before = {each: cure.case.text(each) for each in changed}
    else:
        changed, before = {"model": f"{provider}/{name}"}, {"model": cure.case.model}
    cure.beside |= {each: value for each, value in changed.items() if value != before[each]}


def _host(cure: Cure, url: SplitResult) -> None:
    """Let the model's prefix be that of the provider whose server it is."""
    host, model = cure.case.host, cure.case.model
    if not (cure.is_of_model and cure.case.provider) or "model" in cure.beside:
        return
    if host is None:
        if cure.case.leads_to_vertex:
            reason = Text("is not that of Vertex AI, to which the model leads")
            cure.because(reason, WRONG_PROVIDER)
            _ask(cure, "openai", model)
        elif cure.provider == "vllm":
            reason = Text("is not used by vllm/, which would load the model into this process")
            cure.because(reason, FAILS)
            _ask(cure, PROVIDERS["vllm"].prefix.rstrip("/"), model.removeprefix("vllm/"))
        return
    if _speaks(cure, host):
        return
    if host.has_own_alone and _family(model) != _family(host.example):
        told = "is that of {provider}, and the model is another's"
        cure.because(Text(told, provider=Text(host.called)), WRONG_PROVIDER)
        cure.url = None
        return
    told = "is that of {provider}, whose prefix is {prefix}"
    cure.because(Text(told, provider=Text(host.called), prefix=host.prefix), WRONG_PROVIDER)
    provider, _, name = model_for(host, model).partition("/")
    _ask(cure, provider, name)
    cure.url = url._replace(path=urlsplit(host.base_url_form).path.rstrip("/"))


def _speaks(cure: Cure, host: Provider) -> bool:
    """Return whether a provider's servers take a request in the way that the prefix asks for."""
    prefix, model = cure.provider + "/", cure.case.model
    name = model.removeprefix(prefix)
    if prefix == "anthropic/" and (host.local or "/anthropic" in cure.path):
        return True  # many speak Anthropic's dialect, too
    if prefix not in OPENAI_DIALECT:
        return prefix in (host.prefix, *host.other_prefixes)
    if host.openai_path is None:
        return False
    if host.has_own_alone:
        owner = provider_of(name)
        is_anothers = owner is not None and owner != host and owner.owns(name)
        return not is_anothers or _family(name) == _family(host.example)
    if host.names_makers:
        return "/" in name
    return not host.names_are_own or cure.path.startswith(host.openai_path)


def _family(model: str) -> str:
    """Return the word that the models of one maker have in common: "gemini"."""
    return model.rpartition("/")[2].partition("-")[0].lower()


def _version(cure: Cure, _: SplitResult) -> None:
    """Let the path have the /v1 that it needs, or none."""
    if not cure.is_of_model:
        return
    provider, host = cure.provider, cure.case.host
    path = cure.path
    if provider in WITHOUT_V1 and path.endswith("/v1"):
        reason = Text("ends with /v1, which {prefix} adds itself", prefix=f"{provider}/")
        cure.because(reason, WRONG_PATH, path=path.removesuffix("/v1"))
    elif provider in OLLAMA and path.endswith("/api"):
        reason = Text("ends with /api, which {prefix} adds itself", prefix=f"{provider}/")
        cure.because(reason, WRONG_PATH, path=path.removesuffix("/api"))
    elif provider == "azure" and path in ("/openai", "/v1"):
        reason = Text("has the path {path}, and azure/ adds its own", path=path)
        cure.because(reason, WRONG_PATH, path="")
    elif provider == "gemini" and host == PROVIDERS["gemini"] and path not in GEMINI_PATHS:
        right = urlsplit(host.base_url_form).path
        reason = Text("has the path {path}, and gemini/ goes with {right}", path=path, right=right)
        if not path:
            reason = Text("has no path, and gemini/ goes with {right}", right=right)
        cure.because(reason, WRONG_PATH, path=right)
    elif host and host.openai_path and provider in APPENDED_TO:
        if not path.startswith(host.openai_path):
            told = (
                "has the path {path}, and {provider} answers at {right}"
                if path
                else "has no path, and {provider} answers at {right}"
            )
            reason = Text(told, path=path, provider=Text(host.called), right=host.openai_path)
            cure.because(reason, WRONG_PATH, path=host.openai_path)
    elif provider in WITH_V1 and not path and not (host and host.openai_path == ""):
        reason = Text("has no path, and most servers answer at /v1")
        cure.because(reason, WRONG_PATH, path="/v1")


def _container(cure: Cure, url: SplitResult) -> None:
    """Let the address name this machine in a way that is known where the program runs."""
    if url.hostname == DOCKER_HOST and not cure.case.subject.in_docker:
        reason = Text("names {host}, which there is only inside docker", host=DOCKER_HOST)
        openhands = Text("OpenHands would reach it when it runs in docker, and only then")
        cure.because(reason, openhands)
        cure.url = _at(url, "localhost")


def _seen_from_docker(case: Case, name: str, url: SplitResult) -> Finding:
    """Say what stands for this machine where OpenHands runs; what is set here may well work."""
    reason = Text(
        "names {host}, which inside a container is the container itself", host=url.hostname
    )
    message = Text("{name} {reason}", name=name, reason=reason)
    fix = (
        "OpenHands in docker needs {address}, which the docker export puts in by itself; here it is"
        " needed only if the server runs outside of this container"
    )
    return case.finding(
        name, message, Text(fix, address=to_copy(_shown(_at(url, DOCKER_HOST)))), level="note"
    )


STEPS: tuple[Callable[[Cure, SplitResult], None], ...] = (_endpoint, _host, _version, _container)


def _shown(url: SplitResult) -> str:
    """Return an address without user, password and query, which may hold a key."""
    host = url.netloc.rpartition("@")[2]
    return f"{url.scheme}://{host}{url.path}".rstrip("/")


def _at(url: SplitResult, host: str) -> SplitResult:
    login, at, _ = url.netloc.rpartition("@")
    port = f":{url.port}" if url.port is not None else ""
    return url._replace(netloc=f"{login}{at}{host}{port}")
