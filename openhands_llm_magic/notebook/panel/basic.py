"""The settings that every model needs: provider, model, key, and what the provider asks for."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from openhands_llm_magic.config import keychain
from openhands_llm_magic.config.check import check_settings
from openhands_llm_magic.config.providers import PROVIDERS, Provider, provider_of
from openhands_llm_magic.errors import SettingError, UsageError
from openhands_llm_magic.llm.models import models_of
from openhands_llm_magic.notebook.panel.parts import Message, Section, Workbench, show_if

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.notebook.panel.field import Field

ALWAYS = ("model", "api_key")
UNLISTED = ("base_url", "custom_llm_provider")
"""What a provider may ask for that is not in the catalogue."""


class Basic(Section):
    """Provider, model, key, and the rest of what the provider asks for.

    Args:
        bench: What the sections share.
        field: Gives a setting's field.
    """

    def __init__(self, bench: Workbench, field: Callable[[str], Field]) -> None:
        self._bench = bench
        self._field = field
        self._chosen: Provider | None = None
        self._shows_itself = False
        say = bench.say
        titles = [(say(each.title), name) for name, each in PROVIDERS.items()]
        self._providers = ipywidgets.Dropdown(
            options=[*titles, (say("Another provider"), "")],
            description=say("Provider"),
            layout=bench.layout,
        )
        self._providers.observe(self._choose, "value")
        self._guide = bench.html("llm-guide")
        self._asked = bench.box([])
        self._message = Message(bench)
        self._keyring = self._keyring_buttons()
        self.box = bench.box(
            [
                bench.heading("Model and provider"),
                self._providers,
                self._guide,
                self._asked,
                self._keyring,
                self._message.widget,
            ]
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The settings that are shown here now."""
        provider = self._provider(self._bench.draft.snapshot())
        asked = provider.asks_for if provider else UNLISTED
        return (*ALWAYS, *(name for name in asked if name not in ALWAYS))

    def refresh(self, settings: Snapshot) -> None:
        """Show the provider that the settings lead to, and what it asks for."""
        provider = self._provider(settings)
        self._shows_itself = True
        self._providers.value = provider.name if provider else ""
        self._shows_itself = False
        self._guide.value = self._guide_html(provider, settings)
        self._field("model").offer(models_of(provider) if provider else ())
        fields = tuple(self._field(name).box for name in self.names)
        if self._asked.children != fields:
            self._asked.children = fields

    def _provider(self, settings: Snapshot) -> Provider | None:
        """Give the provider that was chosen, as long as the model's name may lead to it."""
        if self._chosen and self._chosen.leads(settings.model):
            return self._chosen
        self._chosen = None
        return provider_of(settings.model, settings.base_url, settings.custom_llm_provider)

    def _choose(self, change: Mapping[str, Any]) -> None:
        if not self._shows_itself:
            self._bench.run(lambda: self._set_up(change["new"]), self._message.tell)

    def _set_up(self, name: str) -> None:
        """Edit the settings so that they lead to a provider, as far as they are known."""
        self._message.note("")
        if not name:
            raise UsageError(self._unlisted_guide())
        provider, draft = PROVIDERS[name], self._bench.draft
        self._chosen = provider
        settings = draft.snapshot()
        if not provider.leads(settings.model) or provider is not self._provider(settings):
            models = () if provider.names_are_own else models_of(provider)
            draft.edit("model", next(iter(models), provider.prefix))
        if "base_url" not in provider.asks_for:
            draft.edit("base_url", None)
        elif not provider.is_at(settings.base_url or ""):
            draft.edit("base_url", provider.base_url_form if provider.local else None)
        if settings.custom_llm_provider:
            draft.edit("custom_llm_provider", None)

    def _guide_html(self, provider: Provider | None, settings: Snapshot) -> str:
        say = self._bench.say
        lines = []
        if provider:
            lines.append(escape(say(provider.guide)))
            mistake = say("The usual mistake: {mistake}", mistake=say(provider.mistake))
            lines.append(escape(mistake))
        else:
            lines.append(escape(self._unlisted_guide()))
        lines += [
            f'<span class="llm-warning">{escape(finding.text)}</span>'
            for finding in check_settings(settings)
            if finding.is_problem
        ]
        return "<br>".join(lines)

    def _unlisted_guide(self) -> str:
        return self._bench.say(
            "Write the model as LiteLLM names it, with its provider, as in cerebras/llama3.1-8b."
        )

    def _keyring_buttons(self) -> Any:
        bench, tell = self._bench, self._message.tell
        box = bench.box(
            [
                bench.button("Keep the key in the keyring", self._keep, tell),
                bench.button("Take the key from the keyring", self._take, tell),
            ],
            "llm-row",
        )
        show_if(box, keychain.is_installed())
        return box

    def _keep(self) -> None:
        settings, say = self._bench.draft.snapshot(), self._bench.say
        if not settings.api_key:
            raise SettingError(say("There is no API key to keep."))
        keychain.keep(keychain.name_for(settings), settings.api_key)
        self._message.note(say("The key is kept in the keyring."))

    def _take(self) -> None:
        draft, say = self._bench.draft, self._bench.say
        draft.edit("api_key", keychain.key_for(draft.snapshot()))
        self._message.note(say("The key was taken from the keyring."))
