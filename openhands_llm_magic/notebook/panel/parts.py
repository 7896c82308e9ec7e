"""What the panel's sections are made of."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from openhands_llm_magic.config.draft import Draft
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.notebook.language import Language

HIDDEN = "llm-hidden"


@dataclass(slots=True)
class Workbench:
    """What the sections of one panel share.

    Attributes:
        draft: The edited settings.
        say: Translates a text of the panel.
        changed: Shows everything anew; called after each action.
        lock: Held during an action: some kernels run it on a thread while a cell runs.
        layout: The one layout of all widgets, which the stylesheet arranges; one for each would
            double what they cost.
    """

    draft: Draft
    say: Language
    changed: Callable[[], None]
    lock: threading.RLock = field(default_factory=threading.RLock)
    layout: Any = field(default_factory=lambda: ipywidgets.Layout(width="auto"))

    def settings(self) -> Snapshot:
        """Give the settings as they would be with the edits.

        Raises:
            SettingError: A field was refused; it names each.
        """
        refused = [self.say(SETTINGS[name].title) for name in self.draft.refused]
        if refused:
            raise SettingError(self.say("Correct first: {fields}", fields=", ".join(refused)))
        return self.draft.snapshot()

    def html(self, name: str = "llm-text") -> Any:
        """Make a text, empty for now, that the stylesheet knows by a class name."""
        return self.styled(ipywidgets.HTML(layout=self.layout), name)

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
        made = ipywidgets.Button(
            description=text, tooltip=tip or text, button_style=style, layout=self.layout
        )
        made.on_click(lambda _: self.run(action, tell))
        return made

    def box(self, children: Iterable[Any], *names: str) -> Any:
        """Put widgets into one that the stylesheet knows by class names."""
        return self.styled(ipywidgets.Box(tuple(children), layout=self.layout), *names)

    def styled(self, widget: Any, *names: str) -> Any:
        """Give a widget class names; setting them one by one sends a message for each."""
        widget._dom_classes = names  # noqa: SLF001 - ipywidgets has no public way for several
        return widget

    def run(self, action: Callable[[], None], tell: Callable[[str], None]) -> None:
        """Do what a person asked for; a mistake of his is told in one line."""
        with self.lock:
            try:
                action()
            except LLMMagicError as error:
                tell(str(error))
            self.changed()


class Message:
    """One line about what came of an action, announced by screen readers."""

    def __init__(self, bench: Workbench) -> None:
        self.widget = bench.html("llm-message")

    def tell(self, text: str) -> None:
        """Show a mistake."""
        self.widget.value = f'<div role="alert" class="llm-error">{escape(text)}</div>'

    def note(self, text: str) -> None:
        """Show that something was done."""
        self.widget.value = f'<div role="status">{escape(text)}</div>'


def show_if(widget: Any, visible: object) -> None:
    """Show a widget or take it away, also from the keyboard."""
    if visible:
        widget.remove_class(HIDDEN)
    else:
        widget.add_class(HIDDEN)


def values_of(settings: Snapshot) -> dict[str, object]:
    """Give each setting's value, wherever it comes from."""
    return {name: found[0].value for name, found in settings.found.items()}


class Section:
    """A part of the panel.

    Attributes:
        box: Its widget.
    """

    box: Any

    def refresh(self, settings: Snapshot) -> None:
        """Show the settings as they would be with the edits."""
