"""What the panel's sections are made of, and the provider that they are about."""

from __future__ import annotations

import re
import threading
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from openhands_llm_magic.config.lint.case import model_for, prefix_of
from openhands_llm_magic.config.providers import PROVIDERS, Provider, provider_of
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError, SettingError
from openhands_llm_magic.llm.litellm.models import models_of
from openhands_llm_magic.notebook.language import PanelLanguage
from openhands_llm_magic.notebook.view.wait_buttons import route_as_sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from openhands_llm_magic.config.pending import PendingEdits
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.notebook.language import Language


ASKED_FOR = frozenset(
    name for each in PROVIDERS.values() for name in each.asks_for if name != "base_url"
)
"""What single providers ask for, besides an address."""


class Choice:
    """The provider that was chosen, as long as the edited settings can still be meant for it."""

    def __init__(self, draft: PendingEdits) -> None:
        self._draft = draft
        self._chosen: Provider | None = None

    def provider(self, settings: Snapshot) -> Provider | None:
        """Return the provider that settings lead to, or would with the base URL still to come."""
        led_to = _led_to(settings)
        chosen = self._chosen
        if self.with_prefix(settings):
            return chosen
        if chosen is None or settings.custom_llm_provider or not chosen.leads(settings.model):
            return led_to
        elsewhere = led_to in (chosen, PROVIDERS["openai_compatible"])  # its server may be anywhere
        to_come = "base_url" in chosen.asks_for and (not settings.base_url or elsewhere)
        return chosen if to_come or led_to is chosen else led_to

    def with_prefix(self, settings: Snapshot) -> str:
        """Return a model that names no provider as the chosen one's, or "" for one that does."""
        is_whole = settings.custom_llm_provider or _led_to(settings) or prefix_of(settings.model)
        if self._chosen is None or is_whole or not settings.model:
            return ""
        return model_for(self._chosen, settings.model)

    def forget(self) -> None:
        """Go by the settings alone, as the model was set elsewhere."""
        self._chosen = None

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


HIDDEN = "llm-hidden"

_CODE = re.compile(r"`([^`]+)`")


def with_code(text: str) -> str:
    """Return a text as HTML, with what stands in backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


class Workbench:
    """What the sections of one panel share, and what makes their widgets.

    Attributes:
        draft: The edited settings.
        choice: The provider that was chosen.
        say: Translates a text of the panel.
        errors: Words what went wrong, in the panel's words.
        lock: Held during an action: some kernels run it on a thread while a cell runs.

    Args:
        changed: Shows everything anew; called after each action.
    """

    def __init__(self, draft: PendingEdits, say: Language, changed: Callable[[], None]) -> None:
        self.draft = draft
        self.choice = Choice(draft)
        self.say = say
        self.errors = PanelLanguage(say.name)
        self.lock = threading.RLock()
        self._changed = changed
        self._messages: list[Message] = []
        # One layout for all, which the stylesheet arranges: each of its own would double the cost.
        self._layout = ipywidgets.Layout(width="auto")
        self._made: list[Any] = [self._layout]

    def settings(self) -> Snapshot:
        """Return the settings as they would be with the edits.

        Raises:
            SettingError: A field was refused, or a prompt would go to another provider than the
                one that was chosen.
        """
        refused = [self.say(SETTINGS[name].title) for name in self.draft.refused]
        if refused:
            raise SettingError(
                self.say("Correct first: {fields}", fields=self.say(", ").join(refused))
            )
        settings = self.draft.snapshot()
        if stranger := self.choice.stranger(settings):
            raise SettingError(self.base_url_words(stranger))
        return settings

    def base_url_words(self, stranger: Provider) -> str:
        """Say that the base URL is missing, and where prompts would go without it."""
        return self.say(
            "Write the base URL: without it, prompts and the key go to {provider}.",
            provider=self.say(stranger.called),
        )

    def refresh(self, settings: Snapshot) -> None:
        """Take away the messages about other settings than these."""
        state = (values_of(settings), dict(self.draft.refused))
        for message in self._messages:
            message.refresh(state)

    def close(self) -> None:
        """Close every widget of the panel."""
        for widget in self._made:
            for part in ("style", "layout"):
                if hasattr(widget, part):
                    getattr(widget, part).close()
            widget.close()

    def keep(self, widget: Any) -> Any:
        """Remember a widget, to take it away in the end, and give it back."""
        route_as_sent(widget)
        self._made.append(widget)
        return widget

    def make(self, kind: Callable[..., Any], **options: Any) -> Any:
        """Make a widget of ipywidgets; without a tooltip, a browser would show "null" as one."""
        return self.keep(kind(layout=self._layout, **{"tooltip": "", **options}))

    def message(self) -> Message:
        """Make a place for one line about what came of an action."""
        self._messages.append(Message(self))
        return self._messages[-1]

    def html(self, name: str = "llm-text") -> Any:
        """Make a text, empty for now, that the stylesheet knows by a class name."""
        return self.styled(self.make(ipywidgets.HTML), name)

    def heading(self, english: str) -> Any:
        """Make the title of a section."""
        made = self.html("llm-heading")
        made.value = f"<h4>{escape(self.say(english))}</h4>"
        return made

    def button(
        self,
        english: str,
        action: Callable[[], None],
        tell: Callable[[str], None],
        *,
        tip: str = "",
        style: str = "",
    ) -> Any:
        """Make a button.

        Args:
            english: What stands on it.
            action: What it does; an error of ours is told, and everything is shown anew.
            tell: Shows one line about what came of it.
            tip: What a pointer that rests on it is told.
            style: "primary" for the one that is usually meant.
        """
        text = self.say(english)
        made = self.make(
            ipywidgets.Button, description=text, tooltip=tip or text, button_style=style
        )
        made.on_click(lambda _: self.run(action, tell))
        return made

    def box(self, children: Iterable[Any], *names: str) -> Any:
        """Put widgets into one that the stylesheet knows by class names."""
        return self.styled(self.make(ipywidgets.Box, children=tuple(children)), *names)

    def styled(self, widget: Any, *names: str) -> Any:
        """Return a widget class names; setting them one by one sends a message for each."""
        widget._dom_classes = names  # noqa: SLF001 - ipywidgets has no public way for several
        return widget

    def run(self, action: Callable[[], None], tell: Callable[[str], None]) -> None:
        """Do what a person asked for; a mistake of his is told in one line."""
        with self.lock:
            try:
                action()
            except LLMMagicError as error:
                tell(error.text.worded(self.errors))
            self._changed()


class Message:
    """One line about what came of an action, announced by screen readers.

    It is taken away when the settings change that it is about.
    """

    def __init__(self, bench: Workbench) -> None:
        self.widget = bench.html("llm-message")
        self._state: object = None

    def refresh(self, state: object) -> None:
        """Take the line away if it is about another state."""
        if self._state is None:
            self._state = state
        elif self._state != state:
            self.widget.value, self._state = "", state

    def tell(self, text: str) -> None:
        """Show a mistake in the line."""
        self._state = None
        self.widget.value = f'<div role="alert" class="llm-error">{with_code(text)}</div>'

    def note(self, text: str) -> None:
        """Show in the line that something was done."""
        self._state = None
        self.widget.value = f'<div role="status">{with_code(text)}</div>'


def show_if(widget: Any, visible: object) -> None:
    """Show a widget or take it away, also from the keyboard."""
    if visible:
        widget.remove_class(HIDDEN)
    else:
        widget.add_class(HIDDEN)


def values_of(settings: Snapshot) -> dict[str, object]:
    """Return each setting's value, wherever it comes from."""
    return {name: found[0].value for name, found in settings.found.items()}


class Section:
    """A part of the panel; it is made with the `Workbench`, and with what gives a setting's field.

    Attributes:
        box: Its widget.
    """

    box: Any

    def refresh(self, settings: Snapshot) -> None:
        """Show the settings, edits that are not applied yet included."""
