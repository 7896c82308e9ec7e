"""The practice server in place of a provider, where there is no key for that one.

So that the same cells run with an account and without one: a key that is there is used, and nothing
is changed. No key of the person's goes to the practice server; it gets one of its own.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openhands_llm_magic.config.providers import (
    PROVIDERS,
    addresses_in,
    full_name,
    is_loopback,
    provider_of,
    server_of,
)
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.settings import closest
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm.practice import models, routes
from openhands_llm_magic.llm.practice import shared as practice

if TYPE_CHECKING:
    from openhands_llm_magic.config.layers import Found
    from openhands_llm_magic.config.providers import Provider, Server
    from openhands_llm_magic.config.resolve import Snapshot

KEYS = ("api_key", "aws_access_key_id", "aws_secret_access_key")
"""The settings that get the practice server's key."""

ADDRESSES = ("base_url", "embedding_base_url")
"""The settings that get its address."""

API_VERSION = "2024-10-21"
"""What Azure is asked with where the settings name no version."""

REGION = "us-east-1"

LLAMA_CPP = replace(
    PROVIDERS["openai_compatible"],
    name=routes.LLAMA_CPP,
    title="llama.cpp",
    spoken="",
    base_url_form="http://localhost:8080/v1",
    local=True,
)
"""A program that is reached as any server compatible with OpenAI."""

STAND_INS = {**PROVIDERS, LLAMA_CPP.name: LLAMA_CPP}
"""What has paths at the practice server, and what has none there."""

KNOCK_S = 0.3
"""Seconds that a server of this machine has to take a connection."""


def practice_in_place_of(provider: str, settings: Snapshot | None = None) -> Snapshot:
    """Return settings with which the practice server answers in place of a provider without a key.

    Where there is a key for the provider, or it runs on this machine, they are as they were.

    Args:
        provider: The provider's name, such as "azure"; with a practice model, as in
            "azure/rate-limited", each model there acts as that one.
        settings: What to change; by default what `load_settings` finds.

    Raises:
        UsageError: There is no such provider or model, or nothing can stand in for it.
        OSError: The practice server could not be started.
    """
    settings = load_settings() if settings is None else settings
    name, _, acts_as = provider.partition("/")
    stood_in_for = provider_named(name)
    if found_in(settings, stood_in_for) is not None:
        return settings
    return settings.with_overrides(in_place_of(settings, stood_in_for.name, acts_as))


def provider_named(name: str) -> Provider:
    """Return the provider of a name that the practice server can stand in for.

    Raises:
        UsageError: It cannot, or there is none of this name.
    """
    name = name.lower()
    if routes.can_stand_in(name):
        return STAND_INS[name]
    if name in routes.NEVER:
        told = (
            "{title} asks Google for a login before each prompt, so that nothing can stand in for"
            " it. Take gemini, which speaks the same protocol; a dry run shows what would be sent."
        )
        raise UsageError(Text(told, title=PROVIDERS[name].called))
    if meant := _meant_by(name):
        told = "the practice server stands in for no {name}; did you mean {meant}?"
        raise UsageError(Text(told, name=repr(name), meant=meant))
    known = ", ".join(filter(routes.can_stand_in, STAND_INS))
    told = "the practice server stands in for no {name}; it does for: {known}."
    raise UsageError(Text(told, name=repr(name), known=known))


COMMON_NAMES = {
    "aws": "bedrock",
    "azureopenai": "azure",
    "claude": "anthropic",
    "compatible": "openai_compatible",
    "google": "gemini",
    "googleai": "gemini",
    "kimi": "moonshot",
    "litellm": "litellm_proxy",
    "proxy": "litellm_proxy",
}
"""What people call providers, by the letters of their words."""


def _meant_by(name: str) -> str:
    """Return the provider that a person means by another name, such as its title, or ""."""
    known = dict(COMMON_NAMES)
    for each in filter(routes.can_stand_in, STAND_INS):
        entry = STAND_INS[each]
        known |= {_letters(word): each for word in (each, entry.title, entry.called)}
    typed = _letters(name)
    return known.get(typed) or known.get(closest(typed, known) or "", "")


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def found_in(settings: Snapshot, provider: Provider) -> Text | None:
    """Say where the key for a provider is, or its server on this machine; None without one."""
    if provider.local:
        server = server_of(_own_address(settings, provider))
        if server is None or not _takes(server):
            return None
        return Text("its server is at {host}", host=f"{server.host}:{server.port}")
    for name in KEYS if provider.name == "bedrock" else KEYS[:1]:
        value = getattr(settings, name)
        if value and not _is_ours(value) and _is_for(settings, provider):
            return Text("{name} is from {origin}", name=name, origin=settings.origin(name).text)
    variables = [provider.stand_in("", os.environ), *provider.sent_besides]
    variable = next((each for each in variables if os.environ.get(each)), None)
    if variable:
        return Text("{variable} is set", variable=variable)
    file = Path.home() / ".aws" / "credentials"
    if provider.name == "bedrock" and file.exists():
        return Text("{file} is there", file="~/.aws/credentials")
    return None


def in_place_of(settings: Snapshot, name: str, acts_as: str = "") -> dict[str, object]:
    """Return the settings that lead to the practice server in place of a provider.

    Args:
        settings: Those in force.
        name: The provider's name.
        acts_as: The practice model that each model acts as; "" for what its name says.

    Raises:
        UsageError: There is no such practice model.
        OSError: The server could not be started.
    """
    if acts_as and acts_as not in models.MODELS:
        told = "there is no practice model {name}; there are: {known}."
        raise UsageError(Text(told, name=repr(acts_as), known=", ".join(models.MODELS)))
    server = practice.running()
    address = server.base_url_for(name, acts_as)
    values: dict[str, object] = {
        "base_url": address,
        "embedding_base_url": address,
        "api_key": server.key,
    }
    if is_unchosen(settings) and not is_model_of(settings, STAND_INS[name]):
        values["model"] = STAND_INS[name].example
    if name == "ollama":  # LiteLLM tells it no key where it asks for vectors
        values["embedding_base_url"] = server.base_url_for(name, acts_as, with_key=True)
    if name == "azure" and not settings.api_version:
        values["api_version"] = API_VERSION
    if name == "bedrock":
        values |= {
            "aws_access_key_id": server.key,
            "aws_secret_access_key": server.key,
            "aws_region_name": settings.aws_region_name or REGION,
        }
    return values


def left_over(settings: Snapshot) -> list[str]:
    """Return the settings that lead to the practice server since it has stood in for another."""
    if not _is_ours(settings.api_key):
        return []
    keys = [name for name in KEYS if _is_ours(getattr(settings, name))]
    return [*ADDRESSES, *keys]


def handed_over(settings: Snapshot, *, with_keys: bool) -> tuple[Snapshot, tuple[Text, ...]]:
    """Return the settings as they are to be kept, since the practice server ends with the process.

    What leads to that server is left out, and the provider's own address stands again. The texts
    say what was left out, and what has to be set.

    Args:
        settings: Those in force.
        with_keys: Whether keys are kept, too, and not just named.
    """
    names = (*ADDRESSES, *KEYS) if with_keys else ADDRESSES
    own = {name: _not_ours(settings.found[name]) for name in names}
    left = [name for name in names if own[name][0] is not settings.found[name][0]]
    if not left:
        return settings, ()
    kept = replace(settings, found=MappingProxyType({**settings.found, **own}))
    told = "left out, as the practice server ends with this kernel: {names}"
    notes = [Text(told, names=", ".join(left))]
    provider = stood_in_for(settings.base_url)
    if provider and "base_url" in provider.asks_for and not kept.base_url:
        if provider.has_address:
            return kept.with_overrides({"base_url": provider.base_url_form}), tuple(notes)
        told = "{provider} needs an address: set base_url, such as {form}"
        facts = {"provider": Text(provider.called), "form": provider.base_url_form}
        notes.append(Text(told, **facts))
    return kept, tuple(notes)


def _not_ours(found: tuple[Found, ...]) -> tuple[Found, ...]:
    """Return the values of a setting that do not lead to the practice server."""
    return tuple(
        each
        for each in found
        if not _is_ours(each.value) and not practice.is_own_address(each.value)
    )


def stood_in_for(address: str | None) -> Provider | None:
    """Return the provider that an address of the practice server stands in for, if it is one."""
    if address is None or not practice.is_own_address(address):
        return None
    return STAND_INS.get(urlsplit(address).path.split("/")[1])


def _own_address(settings: Snapshot, provider: Provider) -> str:
    """Return the address at which a provider is, as far as the settings say."""
    addresses = [settings.base_url]
    if _is_ours(settings.api_key):  # the person's own may be below those of the practice server
        ours = server_of(practice.running().base_url_for(provider.name))
        below = [str(each.value or "") for each in settings.overridden("base_url")]
        addresses = [each for each in below if server_of(each) != ours]
    if address := next(filter(None, addresses), None):
        return address
    return next(iter(addresses_in(os.environ, provider.prefix)), provider.base_url_form)


def _is_for(settings: Snapshot, provider: Provider) -> bool:
    """Return whether the key of the settings may be for a provider: no other's model is set."""
    if settings.origin("model").kind == "default":
        return True
    named = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    return named is None or named.prefix == provider.prefix or named.name == "practice"


def is_model_of(settings: Snapshot, provider: Provider) -> bool:
    """Return whether a provider's servers are asked for the model of the settings."""
    model = full_name(settings.model, settings.custom_llm_provider)
    return provider.leads(model) or provider.owns(model)


def is_unchosen(settings: Snapshot) -> bool:
    """Return whether nobody chose the model: it is the default, or was set for another stand-in."""
    before = stood_in_for(settings.base_url)
    return settings.origin("model").kind == "default" or (
        before is not None and settings.model == before.example
    )


def another_providers_model(settings: Snapshot) -> Text | None:
    """Say that the provider in whose place the practice server answers has no such model, if so."""
    provider = stood_in_for(settings.base_url)
    if provider is None or is_model_of(settings, provider):
        return None
    told = "The model now set, {model}, is none of {provider}'s: name one, such as {example}."
    facts = {"model": settings.model, "example": provider.example}
    return Text(told, provider=Text(provider.called), **facts)


def _is_ours(key: object) -> bool:
    """Return whether a key is the practice server's own, from a cell that ran before."""
    return practice.is_own_key(getattr(key, "get_secret_value", lambda: key)())


def _takes(server: Server) -> bool:
    """Return whether a server of this machine takes connections; others are not asked."""
    if not is_loopback(server.host):
        return True
    with suppress(OSError), socket.create_connection((server.host, server.port or 0), KNOCK_S):
        return True
    return False
