"""When makers end their models, as LiteLLM's list has it.

The lists of verified models stay as they were published; what is said here stands beside them.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.providers import PROVIDERS, provider_of
from openhands_llm_magic.config.verified import CURRENT, PAGE
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

OF_MAKERS = {each.name: each for each in PROVIDERS.values() if each.has_own_alone}


def today() -> date:
    """Return the day that it is here."""
    return datetime.now().astimezone().date()


def ends_on(model: str) -> date | None:
    """Return the day on which a model's maker ends it, or has; None where that is not known."""
    try:
        return date.fromisoformat(str(_listed(model).get("deprecation_date")))
    except ValueError:  # none, or another form
        return None


def has_ended(model: str, day: date) -> bool:
    """Return whether a model is not to be proposed on a day, as its maker no longer has it."""
    end = ends_on(model)
    return end < day if end else _is_gone(model)


def remark(model: str, day: date) -> Text | None:
    """Say when a model's maker ends it, or has; None where there is nothing to say."""
    if end := ends_on(model):
        told = "withdrawn on {date}" if end < day else "its maker ends it on {date}"
        return Text(told, date=end.isoformat())
    return Text("no longer in LiteLLM's list") if _is_gone(model) else None


def _listed(model: str) -> Mapping[str, Any]:
    """Return what LiteLLM's list says of a model at its provider, and not at another."""
    table, provider = litellm_files.prices(), provider_of(model)
    if model in table or provider is None:
        return table.get(model, {})
    facts = table.get(model.removeprefix(provider.prefix), {})
    listed_for = str(facts.get("litellm_provider")).partition("-")[0].removesuffix("_converse")
    # What a maker has ended, OpenHands' proxy has nowhere to get from.
    is_proxied = provider.name == "openhands" and listed_for in OF_MAKERS
    return facts if is_proxied or f"{listed_for}/" == provider.prefix else {}


def _is_gone(model: str) -> bool:
    """Return whether LiteLLM's list, which is newer than OpenHands' page, lacks a model of it."""
    is_old = model in PAGE.models and model not in CURRENT.models
    provider = provider_of(model) if is_old and litellm_files.prices() else None
    return provider is not None and provider.has_own_alone and not _listed(model)
