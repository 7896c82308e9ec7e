"""The buttons of a request, where clicks get through, and how a wait is written."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.events import Event, Throttled, Waiting

if TYPE_CHECKING:
    from openhands_llm_magic.llm.worker import Clock, Control
    from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons

Bundle = dict[str, str]
"""What an output shows, by MIME type."""

WORTH_A_CLICK_S = 2.5
"""How long a request lasts, or a wait of it, before buttons are made for it, in seconds."""

MOST_IN_VAIN = 2
"""How often in a row buttons are made that no click reaches."""

PATIENCE_S = 5.0
"""How long a front end may take to load the buttons, in seconds."""

NO_MATH = 'class="mathjax_ignore tex2jax_ignore"'
"""Keeps MathJax from what a server says between two dollars."""

HOW_TO_STOP = "Stop it with the interrupt button."


def status_html(words: str) -> str:
    """Write a line that stands in an output until there is something better."""
    return f"<p {NO_MATH}>{html.escape(words)}</p>"


def note_html(note: str) -> str:
    """Write a note below an answer or a status; an empty one is left out."""
    return f"<p {NO_MATH}><small>{html.escape(note)}</small></p>" if note else ""


class Clicks:
    """Whether clicks in an output reach the kernel while a cell runs, as one session knows it.

    They do where the kernel has subshells and the front end uses them for widgets: ipykernel 7 with
    JupyterLab 4.4 or Notebook 7.4. Elsewhere a click arrives when the cell has ended. Where they
    were tried in vain twice in a row they are not tried again.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._in_vain = 0

    def heard(self) -> None:
        """Take it that clicks get through."""
        self._in_vain = 0

    def give_up(self) -> None:
        """Note that they were tried in vain; once may have been a front end that was busy."""
        self._in_vain += 1

    @property
    def may_get_through(self) -> bool:
        """Whether they are worth a try in the cell that runs."""
        kernel: Any = getattr(self._shell, "kernel", None)
        if self._in_vain >= MOST_IN_VAIN or "kernel subshells" not in _features(kernel):
            return False
        # Without a cell, nobody watches whatever the settings say; and a notebook that is run by
        # nbclient would keep the widget's state.
        return "cellId" in kernel.get_parent("shell").get("metadata", {})


def _features(kernel: Any) -> list[str]:
    info: dict[str, Any] = getattr(kernel, "kernel_info", {})
    features: list[str] = info.get("supported_features", [])
    return features


class Waits:
    """Has the buttons of one request: "Stop", and in a wait one that ends it.

    Args:
        clicks: Whether there may be buttons.
        control: What the buttons switch.
        clock: Tells how long the request lasts, and when the front end has had its time.
    """

    def __init__(self, clicks: Clicks, control: Control, clock: Clock) -> None:
        self._clicks = clicks
        self._control = control
        self._clock = clock
        self._began_s = clock.now()
        self._wait: Waiting | Throttled | None = None
        self._buttons: WaitButtons | None = None
        self._made_at_s = 0.0

    def see(self, event: Event) -> None:
        """Take in an event; of those only a wait can be ended by a button."""
        self._wait = None
        if isinstance(event, Waiting | Throttled) and event.remaining_s > 0:
            self._wait = event

    def tick(self) -> None:
        """Make the buttons if it is time, show them if they work, or give them up."""
        if self._buttons is None:
            left_s = self._wait.remaining_s if self._wait else 0.0
            lasts_s = max(left_s, self._clock.now() - self._began_s)
            if lasts_s >= WORTH_A_CLICK_S and self._clicks.may_get_through:
                self._make_buttons()
        elif self._buttons.heard:
            self._clicks.heard()
            self._buttons.show(self._first_button())
        elif self._clock.now() - self._made_at_s >= PATIENCE_S:
            self._clicks.give_up()
            self.close()

    @property
    def marker(self) -> str:
        """The class of the element by which the buttons find the cell; "" for no buttons."""
        return self._buttons.marker if self._buttons is not None else ""

    def words_beside(self, said: str) -> str:
        """Add to a server's words how to end a wait, where there are no buttons."""
        has_buttons = self._buttons is not None and self._buttons.heard
        return said if self._wait is None or has_buttons else f"{said} {HOW_TO_STOP}".strip()

    def close(self) -> None:
        """Leave nothing of the buttons."""
        if self._buttons is not None:
            self._buttons.close()
            self._buttons = None

    def _first_button(self) -> str:
        """Tell what the button says that ends the wait; "" where there is nothing to end."""
        match self._wait:
            case Throttled():
                return "Send now"
            case Waiting():
                return "Retry now"
        return ""

    def _make_buttons(self) -> None:
        # Widgets take 0.1 s to import.
        from openhands_llm_magic.notebook.view import wait_buttons  # noqa: PLC0415

        self._buttons = wait_buttons.WaitButtons(self._control.retry_now, self._control.cancel)
        self._made_at_s = self._clock.now()
