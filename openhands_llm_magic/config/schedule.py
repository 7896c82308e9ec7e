"""The waits between retries: those of this package, and those that OpenHands would make."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from openhands_llm_magic.config.providers import provider_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openhands_llm_magic.config.resolve import Snapshot

# fmt: off
BY_OPENAI_CLIENT = frozenset({
    "ai21", "ai21_chat", "anyscale", "azure", "cerebras", "codestral", "custom_openai",
    "deepinfra", "empower", "featherless_ai", "friendliai", "galadriel", "github", "hosted_vllm",
    "litellm_proxy", "llamafile", "lm_studio", "meta_llama", "mistral", "nebius", "novita",
    "nscale", "nvidia_nim", "openai", "perplexity", "sambanova", "together_ai", "volcengine",
    "xai", "xinference",
})
# fmt: on
"""LiteLLM's names of the providers that it asks by way of OpenAI's client, in 1.72.0, which
OpenHands 0.41.0 is locked to (`completion` in its `main.py`)."""

CLIENT_WAITS_S = (0.5, 1.0)
"""Seconds before each retry that OpenAI's client makes by itself, where the server asks for no wait
(`_calculate_retry_timeout` in its `_base_client.py`)."""

CLIENT_JITTER = 0.25
"""The part of each of them that it may leave out."""


def wait_s(retry: int, min_wait_s: float, max_wait_s: float, multiplier: float) -> float:
    """Return the seconds before a retry, counted from 1, as OpenHands documents them."""
    try:
        return _seconds(min(max_wait_s, min_wait_s * multiplier ** (retry - 1)))
    except OverflowError:
        return _seconds(max_wait_s) if min_wait_s else 0.0


def our_wait_s(settings: Snapshot, retry: int) -> float:
    """Return the seconds that this package waits before a retry, counted from 1."""
    return wait_s(
        retry, settings.retry_min_wait, settings.retry_max_wait, settings.retry_multiplier
    )


def openhands_wait_s(settings: Snapshot, retry: int) -> float:
    """Return the seconds that OpenHands 0.41 waits before a retry, by tenacity's formula."""
    try:
        exponential_s = settings.retry_multiplier * 2 ** (retry - 1)
    except OverflowError:  # a float times a whole number of too many digits
        exponential_s = math.inf
    return _seconds(max(settings.retry_min_wait, min(exponential_s, settings.retry_max_wait)))


def openhands_waits_s(settings: Snapshot) -> Iterator[float]:
    """Yield the seconds before each retry of OpenHands, whose num_retries counts attempts.

    The SDK, which is the current OpenHands, makes these and no others (1.58.2); 0.41 does where
    `has_client_retries` is false.
    """
    for retry in range(1, settings.num_retries):
        yield openhands_wait_s(settings, retry)


def openhands_client_waits_s(settings: Snapshot, *, at_least: bool = False) -> Iterator[float]:
    """Yield the seconds before each request but the first that OpenHands 0.41 makes.

    Its own retries are there, and within each attempt those that OpenAI's client makes.

    Args:
        settings: The settings.
        at_least: Whether the client's waits are to be the shortest that they may be.
    """
    clients_s = tuple(wait * (1 - CLIENT_JITTER * at_least) for wait in CLIENT_WAITS_S)
    yield from clients_s
    for wait in openhands_waits_s(settings):
        yield wait
        yield from clients_s


def has_client_retries(settings: Snapshot) -> bool:
    """Return whether OpenHands 0.41 asks by way of OpenAI's client, which it leaves its retries."""
    named = settings.custom_llm_provider
    model = f"{named}/{settings.model}" if named else settings.model
    if "/" not in model:
        provider = provider_of(model)
        model = (provider.prefix if provider else "") + model
    return model.partition("/")[0] in BY_OPENAI_CLIENT


def _seconds(whole: float) -> float:
    """Return a float, which is infinite for a whole number of too many digits."""
    try:
        return float(whole)
    except OverflowError:
        return math.inf
