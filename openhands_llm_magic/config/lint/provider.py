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
from openhands_llm_magic.config.litellm_files import prices
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

SHORTEST_SLIP = 3
"""Letters of a word in which a slip can be told from another word."""

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


def in_process(case: Case) -> Iterator[Finding]:
    """Find the prefix with which LiteLLM would run vLLM itself, without the address of a server."""
    vllm, name = PROVIDERS["vllm"], case.model.removeprefix("vllm/")
    if case.provider == "vllm" and not case.text("base_url"):
        message = Text("vllm/ asks no server, but would load the model into this process")
        fix = Text(
            "Write {model}, and set base_url, as in {example}",
            model=quoted(vllm.prefix + name),
            example=quoted(vllm.base_url_form),
        )
        yield case.finding("model", message, fix, FAILS)


def unlisted(case: Case) -> Iterator[Finding]:
    """Find a slip in the name of a model whose maker alone serves it.

    LiteLLM's list lacks the newest models, so that only a name counts that differs from a listed
    one by a slip in a word without digits: gtp-4o, but not gpt-6.
    """
    provider = provider_of(case.model)
    if provider is None or not provider.has_own_alone or not case.model.startswith(provider.prefix):
        return
    if case.text("custom_llm_provider") or case.text("base_url"):
        return
    name, own = case.model.removeprefix(provider.prefix), provider.prefix.rstrip("/")
    names = [each for each, facts in prices().items() if facts.get("litellm_provider") == own]
    listed = {each.removeprefix(provider.prefix) for each in (*names, *provider.verified_models)}
    if name in listed:
        return
    near = next((each for each in sorted(listed) if is_slip(name, each)), None)
    if near:
        told = "LiteLLM's list has no {model}, but {near}"
        message = Text(told, model=quoted(case.model), near=quoted(provider.prefix + near))
        fix = Text("Write {near} if that is meant", near=quoted(provider.prefix + near))
        yield case.finding("model", message, fix, TAKEN_AS_IT_STANDS)


def is_slip(name: str, other: str) -> bool:
    """Return whether a name is another but for one slip of the fingers in a word of letters."""
    words, others = name.split("-"), other.split("-")
    if len(words) != len(others):
        return False
    pairs = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    return len(pairs) == 1 and all(map(str.isalpha, pairs[0])) and _is_one_edit(*pairs[0])


def _is_one_edit(word: str, other: str) -> bool:
    """Return whether two words differ by one letter, or by two neighbours that changed places."""
    if len(word) < SHORTEST_SLIP or abs(len(word) - len(other)) > 1:
        return False
    places = range(max(len(word), len(other)))
    start = next(at for at in places if word[at : at + 1] != other[at : at + 1])
    swapped = other[start + 1 : start + 2] + other[start : start + 1] + other[start + 2 :]
    rest, right = word[start:], other[start:]
    return rest == swapped or rest[1:] == right[1:] or rest[1:] == right or rest == right[1:]


RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    no_maker,
    no_maker_at,
    not_openrouter,
    https_on_this_machine,
    listed_elsewhere,
    unlisted,
)
