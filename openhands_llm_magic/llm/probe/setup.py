"""What a model was probed with, as far as it may be shown to others: no key, no private host."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openhands_llm_magic.config.providers import is_loopback, provider_of, server_of
from openhands_llm_magic.config.save import is_unset
from openhands_llm_magic.llm.practice.shared import is_own_address
from openhands_llm_magic.llm.spending.attempt import day_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.resolve import Snapshot

SHARED = (
    "custom_llm_provider", "api_version", "native_tool_calling", "disable_stop_word",
    "caching_prompt", "disable_vision", "drop_params", "modify_params", "temperature", "top_p",
    "top_k", "seed", "reasoning_effort", "max_output_tokens", "max_input_tokens",
    "max_message_chars", "timeout", "num_retries", "retry_min_wait", "retry_max_wait",
    "retry_multiplier",
)  # fmt: skip
"""Settings that say how a model is asked, and nothing about a person or their network."""

PRACTICE_SERVER = "the practice server of this package, which is not a language model"
"""What is said in place of the address of a server that ends with the process."""

OWN_SERVER = "a server of one's own"
"""What is said in place of an address that is neither the provider's nor this machine's."""

PACKAGES = ("openhands-llm-magic", "litellm")

_USUAL_PATH = re.compile(r"(/(api|openai|v\d+(beta)?))*/?")

_PATH = re.compile(r"^([^/\\~]*/)??(?:[A-Za-z]:[/\\]|\.{0,2}/|~|\\).*[/\\]")
"""The folders of a file's path; llama.cpp and vLLM call a model so unless they are told a name."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a model was asked with.

    Attributes:
        provider: The provider's name for people, or "".
        address: The server's address, `OWN_SERVER` or `PRACTICE_SERVER`, or "" for the provider's
            own.
        has_key: Whether a key was set.
        settings: Further settings that somebody has set.
        versions: Of the packages that asked.
        probed_on: The date, as "2026-11-29".
    """

    provider: str = ""
    address: str = ""
    has_key: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    probed_on: str = ""


def setup_of(settings: Snapshot) -> Setup:
    """Return what of settings may be shown to others."""
    provider = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    shown = {
        name: getattr(settings, name)
        for name in SHARED
        if settings.origin(name).kind != "default" and not is_unset(getattr(settings, name))
    }
    if further := settings.completion_kwargs:
        harmless = {
            name: value if isinstance(value, bool | int | float) else "..."
            for name, value in further.items()
        }
        shown["completion_kwargs"] = harmless
    return Setup(
        provider.title if provider else "",
        _address(settings),
        has_key=bool(settings.api_key or (provider and provider.stand_in("api_key", os.environ))),
        settings=shown,
        versions={name: version(name) for name in PACKAGES},
        probed_on=day_of(time.time()),
    )


def _address(settings: Snapshot) -> str:
    """Return the address, if it tells nothing of a person's network."""
    base_url = settings.base_url
    if not base_url:
        return ""
    if is_own_address(base_url):
        return PRACTICE_SERVER
    server = server_of(base_url)
    provider = provider_of(settings.model, base_url, settings.custom_llm_provider)
    if server is None or not (is_loopback(server.host) or (provider and provider.is_at(base_url))):
        return OWN_SERVER
    parts = urlsplit(base_url)
    path = parts.path if _USUAL_PATH.fullmatch(parts.path) else ""  # a token may be in another
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def shown_model(model: str) -> str:
    """Return a model's name without the folders of its file, which may name a person."""
    return _PATH.sub(lambda found: found[1] or "", model)
