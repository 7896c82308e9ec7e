"""The settings that every model needs: provider, model, key, and what the provider asks for."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from openhands_llm_magic.config import keychain
from openhands_llm_magic.config.check import check_settings
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.errors import SettingError, UsageError
from openhands_llm_magic.llm.litellm.models import models_of
from openhands_llm_magic.notebook.panel.descriptions import origin_words
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.notebook.panel.field import Field

UNLISTED = ("api_key", "base_url", "custom_llm_provider")
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
        self._shows_itself = False
        say = bench.say
        titles = [(say(each.title), name) for name, each in PROVIDERS.items()]
        options = [*titles, (say("Another provider"), "")]
        self._providers = bench.make(
            ipywidgets.Dropdown, options=options, description=say("Provider")
        )
        self._providers.observe(self._choose, "value")
        self._guide = bench.html("llm-guide")
        self._asked = bench.box([])
        self._message = bench.message()
        self._keyring = self._keyring_buttons()
        self.box = bench.box(
            [
                bench.heading("Model and provider"),
                self._providers,
                self._guide,
                self._message.widget,
                self._asked,
                self._keyring,
            ]
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The settings that are shown here now."""
        return self._names(self._bench.draft.snapshot())

    def _names(self, settings: Snapshot) -> tuple[str, ...]:
        provider = self._bench.choice.provider(settings)
        if provider is None:
            asked: tuple[str, ...] = UNLISTED
        elif provider.local and provider is not PROVIDERS["practice"]:
            asked = ("base_url", "api_key")  # servers of one's own may be anywhere, and take a key
        else:
            asked = provider.asks_for
        return ("model", *asked)

    def refresh(self, settings: Snapshot) -> None:
        """Show the provider of these settings, and the fields that the provider needs."""
        provider = self._bench.choice.provider(settings)
        self._shows_itself = True
        try:
            self._providers.value = provider.name if provider else ""
        finally:
            self._shows_itself = False
        self._guide.value = self._guide_html(provider, settings)
        self._field("model").offer(models_of(provider) if provider else ())
        if provider:
            self._field("model").hint(provider.example)
            self._field("base_url").hint(provider.base_url_form)
        names = self._names(settings)
        show_if(self._keyring, keychain.is_installed() and "api_key" in names)
        fields = tuple(self._field(name).box for name in names)
        if self._asked.children != fields:
            self._asked.children = fields

    def _choose(self, change: Mapping[str, Any]) -> None:
        with self._bench.lock:
            if not self._shows_itself:
                self._bench.run(lambda: self._set_up(change["new"]), self._message.tell)

    def _set_up(self, name: str) -> None:
        """Lead the settings to a provider, and say what becomes of a key."""
        bench, say = self._bench, self._bench.say
        self._message.note("")
        if not name:
            raise UsageError(self._unlisted_guide())
        provider, typed = PROVIDERS[name], "api_key" in bench.draft.edits
        before = bench.choice.choose(provider)
        settings = bench.draft.snapshot()
        if before and typed:
            told = "The key that was typed for {provider} was taken away."
            self._message.note(say(told, provider=say(before.title)))
        elif before and settings.api_key and "api_key" in provider.asks_for:
            origin = origin_words(settings.origin("api_key"), say)
            told = "The API key is still the one from {origin}. Is it a key of {provider}?"
            self._message.note(say(told, origin=origin, provider=say(provider.title)))

    def _guide_html(self, provider: Provider | None, settings: Snapshot) -> str:
        say = self._bench.say
        lines = []
        if provider:
            lines.append(escape(say(provider.guide)))
            mistake = say("The usual mistake: {mistake}", mistake=say(provider.mistake))
            lines.append(escape(mistake))
        else:
            lines.append(escape(self._unlisted_guide()))
        warnings = [each.text for each in check_settings(settings) if each.is_problem]
        if stranger := self._bench.choice.stranger(settings):
            warnings.insert(0, self._bench.base_url_words(stranger))
        lines += [f'<span class="llm-warning">{escape(warning)}</span>' for warning in warnings]
        return "<br>".join(lines)

    def _unlisted_guide(self) -> str:
        return self._bench.say(
            "Write the model as LiteLLM names it, with its provider, as in cerebras/llama3.1-8b."
        )

    def _keyring_buttons(self) -> Any:
        bench, tell = self._bench, self._message.tell
        buttons = [
            bench.button("Keep the key in the keyring", self._keep, tell),
            bench.button("Take the key from the keyring", self._take, tell),
        ]
        return bench.box(buttons, "llm-row")

    def _keep(self) -> None:
        settings, say = self._bench.settings(), self._bench.say
        if not settings.api_key:
            raise SettingError(say("There is no API key to keep."))
        keychain.keep(keychain.name_for(settings), settings.api_key)
        self._message.note(say("The key is kept in the keyring."))

    def _take(self) -> None:
        draft, say = self._bench.draft, self._bench.say
        draft.edit("api_key", keychain.key_for(self._bench.settings()))
        self._message.note(say("The key was taken from the keyring."))
