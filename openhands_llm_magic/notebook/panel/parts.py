"""What the panel's sections are made of."""

from __future__ import annotations

import threading
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError, SettingError
from openhands_llm_magic.notebook.panel.choice import Choice
from openhands_llm_magic.notebook.route import route_as_sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from openhands_llm_magic.config.pending import PendingEdits
    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.notebook.language import Language

HIDDEN = "llm-hidden"


class Workbench:
    """What the sections of one panel share, and what makes their widgets.

    Attributes:
        draft: The edited settings.
        choice: The provider that was chosen.
        say: Translates a text of the panel.
        lock: Throttled during an action: some kernels run it on a thread while a cell runs.

    Args:
        draft: The edited settings.
        say: Translates a text of the panel.
        changed: Shows everything anew; called after each action.
    """

    def __init__(self, draft: PendingEdits, say: Language, changed: Callable[[], None]) -> None:
        self.draft = draft
        self.choice = Choice(draft)
        self.say = say
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
            provider=self.say(stranger.title),
        )

    def refresh(self, settings: Snapshot) -> None:
        """Take away the messages about other settings than these."""
        state = (values_of(settings), dict(self.draft.refused))
        for message in self._messages:
            message.refresh(state)

    def close(self) -> None:
        """Take every widget away."""
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
        """Make a widget of ipywidgets."""
        return self.keep(kind(layout=self._layout, **options))

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
                tell(error.text.worded(self.say))
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
        """Show a mistake."""
        self._state = None
        self.widget.value = f'<div role="alert" class="llm-error">{escape(text)}</div>'

    def note(self, text: str) -> None:
        """Show that something was done."""
        self._state = None
        self.widget.value = f'<div role="status">{escape(text)}</div>'


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
    """A part of the panel.

    Attributes:
        box: Its widget.
    """

    box: Any

    def refresh(self, settings: Snapshot) -> None:
        """Show the settings, edits that are not applied yet included."""
