"""The models that the server itself offers, asked for on a thread."""

from __future__ import annotations

import contextvars
import threading
from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import RequestError, UsageError
from openhands_llm_magic.llm.served import place_of, served
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.served import Place

THREAD = "list of a server's models"
"""The name of the thread that asks."""


class ServedModels(Section):
    """Asks the server that prompts would go to, and offers its models.

    A server on this machine is asked as soon as the settings lead to it. One elsewhere is asked
    when the button is pressed, as it may be anybody's, and gets the key.

    Args:
        offer: Shows these names to choose from; it is called on the thread.
    """

    def __init__(self, bench: Workbench, offer: Callable[[Sequence[str]], None]) -> None:
        self._bench = bench
        self._offer = offer
        self._place: Place | None = None
        self._lock = threading.Lock()  # of the server in place and what it has said
        self.names: tuple[str, ...] = ()
        self._said = bench.html("llm-note")
        told = bench.say("Ask the server which models it has, with the key that is set for it")
        button = bench.button("List the server's models", self.ask, lambda _: None, tip=told)
        self.box = bench.box([button, self._said], "llm-served")
        show_if(self.box, False)

    def refresh(self, settings: Snapshot) -> None:
        """Forget the models of another server, and ask one that is on this machine."""
        place = _place_of(settings)
        with self._lock:
            if place == self._place:
                return
            self._place, self.names, self._said.value = place, (), ""
        show_if(self.box, place)
        if place is not None and place.is_on_this_machine:
            self.ask()

    def ask(self) -> None:
        """Begin to ask; what comes of it is shown when it is there."""
        place = self._place
        if place is None:
            return
        told = self._bench.say("Asking {address} …", address=place.shown)
        self._said.value = escape(told)
        run = contextvars.copy_context().run  # no output of it belongs to a cell
        threading.Thread(target=run, args=(self._ask, place), name=THREAD, daemon=True).start()

    def _ask(self, place: Place) -> None:
        names: tuple[str, ...] = ()
        try:
            names = tuple(model.name for model in served(place))
            told = self._told(place, names)
        except RequestError as error:
            told = error.text.worded(self._bench.errors)
        with self._lock:
            if self._place is not place:  # another server has taken its place
                return
            self.names = names
            self._said.value = f'<span role="status">{escape(told)}</span>'
            if names:
                self._offer(names)

    def _told(self, place: Place, names: Sequence[str]) -> str:
        say = self._bench.say
        if not names:
            return say("{address} names no model.", address=place.shown)
        return say(
            "{address} has these models: {names}",
            address=place.shown,
            names=say(", ").join(names[:MOST_SHOWN]) + (" …" if len(names) > MOST_SHOWN else ""),
        )


MOST_SHOWN = 8
"""Names that stand in the text; the field offers all of them."""


def _place_of(settings: Snapshot) -> Place | None:
    """Return the server that can be asked, or None where there is no such list."""
    try:
        return place_of(settings)
    except UsageError:
        return None
