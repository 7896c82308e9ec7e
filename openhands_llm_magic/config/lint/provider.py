"""Rules about a provider that is known, and asked otherwise than it can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.lint.address import ADDRESSES, WRONG_PROVIDER
from openhands_llm_magic.config.lint.case import maker_at_openrouter
from openhands_llm_magic.config.lint.finding import (
    FAILS,
    TAKEN_AS_IT_STANDS,
    quoted,
    to_copy,
    write,
)
from openhands_llm_magic.config.providers import (
    PROVIDERS,
    THIS_MACHINE,
    addresses_in,
    is_loopback,
    provider_of,
    server_of,
)
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from openhands_llm_magic.config.lint.case import Case
    from openhands_llm_magic.config.lint.finding import Finding

OPENROUTER = PROVIDERS["openrouter"]

BY_REGION = frozenset({"azure", "bedrock", "vertex_ai"})
"""Prefixes of models in LiteLLM's list that may have a region after them, and no maker."""

USUAL_PORTS = {1234: "LM Studio", 8000: "vLLM", 8080: "llama.cpp", 11434: "Ollama"}
"""The servers that people run themselves, by their usual ports, at which they speak no TLS."""


def no_maker(case: Case) -> Iterator[Finding]:
    """Find a model of OpenRouter without its maker; names such as openrouter/auto have none.

    A gateway of one's own may name its models as it likes.
    """
    name = case.model.removeprefix(OPENROUTER.prefix)
    maker = maker_at_openrouter(name)
    is_asked = case.host == OPENROUTER or not case.text("base_url")
    if case.provider == "openrouter" and is_asked and maker and "/" not in name:
        message = Text("the model {model} leaves its maker out", model=quoted(case.model))
        right = case.model.removesuffix(name) + f"{maker}/{name}"
        yield case.finding("model", message, write(to_copy(right)), FAILS)


def no_maker_at(case: Case) -> Iterator[Finding]:
    """Find a model without the maker that its provider puts before it, as LiteLLM's list has it.

    As with elasticclaw pull request 190, where Groq knows no gpt-oss-120b.
    """
    prefix, _, name = case.model.partition("/")
    listed = litellm_files.prices()
    if not name or "/" in name or prefix in BY_REGION or case.model in listed:
        return
    whole = [
        each
        for each, facts in listed.items()
        if facts.get("litellm_provider") == prefix and facts.get("mode") == "chat"
        if each.partition("/")[2].partition("/")[2] == name
    ]
    if len(whole) == 1 and not case.text("base_url"):
        message = Text("the model {model} leaves its maker out", model=quoted(case.model))
        yield case.finding("model", message, write(quoted(whole[0])), FAILS)


def not_openrouter(case: Case) -> Iterator[Finding]:
    """Note a server other than OpenRouter's that is asked as OpenRouter is: a proxy, or a gateway.

    As in OpenHands issue 13049.
    """
    if case.provider == "openrouter" and case.host is None and case.text("base_url"):
        message = Text("base_url is not that of OpenRouter, and openrouter/ asks it as if it were")
        fix = Text(
            "For a LiteLLM proxy, write litellm_proxy/ before the model_name of its config; for"
            " another server compatible with OpenAI, write openai/ before the name that it knows"
        )
        yield case.finding("base_url", message, fix, WRONG_PROVIDER, "note")


def https_on_this_machine(case: Case) -> Iterator[Finding]:
    """Note an https:// address of a server on this machine that usually speaks http alone."""
    for name in ADDRESSES:
        server = server_of(case.text(name))
        if server is None or server.scheme != "https":
            continue
        title = USUAL_PORTS.get(server.port or 0)
        if title and (server.host in THIS_MACHINE or is_loopback(server.host)):
            told = "{name} begins with https://, and {server} at port {port} speaks http"
            message = Text(told, name=name, server=title, port=server.port)
            fix = Text("Write http:// unless the server has a certificate")
            yield case.finding(name, message, fix, TAKEN_AS_IT_STANDS, "note")


def listed_elsewhere(case: Case) -> Iterator[Finding]:
    """Find Ollama's address where OpenHands only lists models from, and prompts go elsewhere."""
    ollama = PROVIDERS["ollama"]
    listing = case.text("ollama_base_url")
    is_ollama = provider_of(case.model, None, case.text("custom_llm_provider")) == ollama
    set_by_variable = addresses_in(case.subject.env, ollama.prefix)
    is_default = not case.text("base_url") and not set_by_variable
    if listing and is_ollama and is_default and not ollama.is_at(listing):
        message = Text(
            "ollama_base_url is only where models are listed from, and prompts go to {address}",
            address=ollama.base_url_form,
        )
        fix = Text("Set base_url to the same address")
        yield case.finding("ollama_base_url", message, fix, Text("OpenHands would ask there, too"))


RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    no_maker,
    no_maker_at,
    not_openrouter,
    https_on_this_machine,
    listed_elsewhere,
)
