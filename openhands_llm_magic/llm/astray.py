"""Advice where settings did not lead to a model: what the check finds, and what the server has."""

from __future__ import annotations

from contextlib import suppress
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import DOCKER_HOST, PROVIDERS, provider_of, server_of
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import closest
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.resolve import Snapshot

LIST_TIMEOUT_S = 1.5
"""Seconds by which a failure may be told later, as the server is asked which models it has."""

MOST_NAMED = 5
"""Names of a server's models that stand in the line of an error."""

LONGEST_NAMES = 240
"""Characters of all of them together."""

PRACTICE = PROVIDERS["practice"].prefix

KEY_SETTINGS = frozenset({"api_key"})
ROUTE_SETTINGS = frozenset({"model", "custom_llm_provider", "base_url", "api_version"})

SETTINGS_AT_FAULT: dict[type[errors.RequestError], frozenset[str]] = {
    errors.ModelNotFoundError: ROUTE_SETTINGS,
    errors.LibraryError: ROUTE_SETTINGS,
    errors.AddressError: ROUTE_SETTINGS,
    errors.AuthenticationError: ROUTE_SETTINGS | KEY_SETTINGS,
    errors.ConnectionFailedError: ROUTE_SETTINGS,
}
"""The settings that can be to blame for each kind of fault."""


class Listed(NamedTuple):
    """Models that can be asked for in place of one that is not known.

    Attributes:
        names: As the setting `model` takes them, in any order.
        are_all: Whether a server has told them, which knows all of its models.
        can_be_asked: Whether there is a list that a person could ask the server for.
    """

    names: Sequence[str] = ()
    are_all: bool = False
    can_be_asked: bool = True


def found_by_check(error: errors.RequestError, settings: Snapshot) -> Text | None:
    """Return what the check says of the settings that can be to blame for a failure, if anything.

    Where a server has answered, the host of its address is right, wherever this runs.
    """
    from openhands_llm_magic.config.check import check_route  # noqa: PLC0415 - for a failure alone

    blamed = SETTINGS_AT_FAULT.get(type(error), frozenset())
    if isinstance(error, errors.LibraryError) and "model" not in error.named:
        return None  # LiteLLM itself is what is missing
    server = server_of(settings.base_url)
    is_at_docker = server is not None and server.host == DOCKER_HOST
    was_reached = not isinstance(error, errors.ConnectionFailedError)
    for finding in check_route(settings, in_docker=was_reached and is_at_docker):
        is_of_host = finding.level == "error" or is_at_docker or not settings.base_url
        if finding.setting not in blamed or not (was_reached or is_of_host):
            continue
        facts = {"message": finding.message, "fix": finding.fix}
        return Text("{message} (from {origin}). {fix}.", origin=finding.origin.text, **facts)
    return None


def has_provider(settings: Snapshot) -> bool:
    """Return whether the settings name a provider that LiteLLM knows."""
    return bool(settings.custom_llm_provider or _provider_named(settings.model))


def models_instead(settings: Snapshot) -> Listed:
    """Return the models that the server has, which is asked for them, or else those of a list."""
    from openhands_llm_magic.llm.litellm.models import models_of  # noqa: PLC0415 - reads a list
    from openhands_llm_magic.llm.served import place_of, served  # noqa: PLC0415 - as above

    can_be_asked = False
    with suppress(errors.RequestError, errors.UsageError):
        place = place_of(settings)
        can_be_asked = True
        names = [each.name for each in served(place, LIST_TIMEOUT_S)]
        if others := [name for name in names if name != settings.model]:
            return Listed(others, are_all=True)
    provider = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    return Listed(models_of(provider) if provider else (), can_be_asked=can_be_asked)


def nearest_first(model: str, names: Sequence[str]) -> list[str]:
    """Return names of models, the most similar to a model's first; prefixes count for nothing."""
    meant = _bare(model)
    matcher = SequenceMatcher(None, "", meant)

    def similarity(name: str) -> float:
        matcher.set_seq1(_bare(name))
        return matcher.ratio()

    return sorted(names, key=similarity, reverse=True)


def nearest(model: str, listed: Listed) -> str:
    """Return the name that may be meant by a model's, or "" if none is near or it is there.

    Of a list that is not the server's own, only one that differs by a slip may be: the newest
    models are not in it.
    """
    from openhands_llm_magic.config.lint.provider import is_slip  # noqa: PLC0415 - as above

    bare, by_bare = _bare(model), {_bare(name): name for name in listed.names}
    if bare in by_bare:
        return ""
    near = closest(bare, by_bare)
    if not listed.are_all:
        near = next((each for each in by_bare if is_slip(bare, each)), "")
    return by_bare[near] if near else ""


def _bare(name: str) -> str:
    """Return a model's name without its provider."""
    first, slash, rest = name.partition("/")
    is_provider = slash and (_provider_named(name) == first or f"{first}/" == PRACTICE)
    return rest if is_provider else name


def _provider_named(model: str) -> str:
    from openhands_llm_magic.config.lint.case import prefix_of  # noqa: PLC0415 - as above

    return prefix_of(model)


def shown(names: Sequence[str]) -> str:
    """Return the first of some names as they stand in a line."""
    more = ", …" if len(names) > MOST_NAMED else ""
    return shorten(", ".join(names[:MOST_NAMED]), LONGEST_NAMES) + more
