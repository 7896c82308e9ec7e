"""Which provider a person has chosen, and what that makes of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic.config.providers import PROVIDERS, Provider, provider_of
from openhands_llm_magic.llm.litellm.models import models_of

if TYPE_CHECKING:
    from openhands_llm_magic.config.pending import PendingEdits
    from openhands_llm_magic.config.resolve import Snapshot

ASKED_FOR = frozenset(
    name for each in PROVIDERS.values() for name in each.asks_for if name != "base_url"
)
"""What single providers ask for, besides an address."""


class Choice:
    """The provider that was chosen, as long as the settings can still be meant for it.

    Args:
        draft: The edited settings.
    """

    def __init__(self, draft: PendingEdits) -> None:
        self._draft = draft
        self._chosen: Provider | None = None

    def provider(self, settings: Snapshot) -> Provider | None:
        """Return the provider that settings lead to, or would with the base URL still to come."""
        led_to = _led_to(settings)
        chosen = self._chosen
        if chosen is None or settings.custom_llm_provider or not chosen.leads(settings.model):
            return led_to
        elsewhere = led_to in (chosen, PROVIDERS["openai_compatible"])  # its server may be anywhere
        to_come = "base_url" in chosen.asks_for and (not settings.base_url or elsewhere)
        return chosen if to_come or led_to is chosen else led_to

    def stranger(self, settings: Snapshot) -> Provider | None:
        """Return the provider that prompts would go to in place of the one that is shown."""
        led_to = _led_to(settings)
        is_strange = not settings.base_url and led_to is not self.provider(settings)
        return led_to if is_strange else None

    def choose(self, provider: Provider) -> Provider | None:
        """Edit the settings so that they lead to a provider, as far as they are known.

        What was typed for another provider and this one does not ask for is put back, the key
        too, as it would be sent to a stranger.

        Returns:
            The provider before it, if it was another one.
        """
        draft, settings = self._draft, self._draft.snapshot()
        before = self.provider(settings)
        self._chosen = provider
        if provider is before:
            return None
        models = models_of(provider)
        if settings.model not in models:
            own = provider.names_are_own or not models
            draft.edit("model", provider.prefix if own else models[0])
        if "base_url" not in provider.asks_for:
            draft.edit("base_url", None)
        elif not provider.is_at(settings.base_url or ""):
            draft.edit("base_url", provider.base_url_form if provider.has_address else None)
        draft.edit("custom_llm_provider", None)
        for name in {"api_key", *ASKED_FOR.difference(provider.asks_for)} & draft.edits.keys():
            draft.put_back(name)
        return before


def _led_to(settings: Snapshot) -> Provider | None:
    return provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
