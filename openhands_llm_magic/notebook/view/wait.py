"""The waits of a request in a cell's live area, with buttons where clicks get through."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.events import Held, Waiting
from openhands_llm_magic.notebook.view.words import (
    TOLD_FROM_S,
    bar,
    countdown_words,
    held_words,
    said_words,
)

if TYPE_CHECKING:
    from openhands_llm_magic.llm.control import Control
    from openhands_llm_magic.llm.retry import Clock
    from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons

Bundle = dict[str, Any]
"""What an output shows, by MIME type."""

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

WORTH_A_CLICK_S = 2.5
"""The shortest wait that buttons are made for, in seconds."""

MOST_IN_VAIN = 2
"""How often in a row buttons are made that no click reaches."""

PATIENCE_S = 5.0
"""How long a front end may take to load the buttons, in seconds."""

NO_MATH = 'class="mathjax_ignore tex2jax_ignore"'
"""Keeps MathJax from what a server says between two dollars."""

HOW_TO_STOP = "Stop it with the interrupt button."


def status(words: str) -> dict[str, str]:
    """Give a line that stands in an output until there is something better."""
    return {"text/html": f"<p {NO_MATH}>{html.escape(words)}</p>", "text/plain": words}


def note_html(note: str) -> str:
    """Write a note below an answer or a status; none if it is empty."""
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
    """Shows the waits of one request.

    Args:
        clicks: Whether there may be buttons.
        control: What they switch.
        clock: Tells when the front end has had its time.
    """

    def __init__(self, clicks: Clicks, control: Control, clock: Clock) -> None:
        self._clicks = clicks
        self._control = control
        self._clock = clock
        self._buttons: WaitButtons | None = None
        self._made_at_s = 0.0

    def bundle(self, event: Waiting | Held) -> Bundle:
        """Give what the output shows now.

        After a bundle with a `WIDGET_VIEW` another need not be sent: the widget shows it already.
        """
        words, said = _words(event)
        shown = status(words)
        if isinstance(event, Held) and event.remaining_s < TOLD_FROM_S:
            return shown
        buttons = self._buttons_for(event.remaining_s)
        if buttons is None:
            shown["text/html"] += note_html(f"{said} {HOW_TO_STOP}".strip())
            return shown
        shown["text/html"] += note_html(said)
        with buttons.hold_sync():
            buttons.html = shown["text/html"]
            buttons.now_text = "Send now" if isinstance(event, Held) else "Retry now"
            buttons.waiting = event.remaining_s > 0
        return {**shown, WIDGET_VIEW: buttons.view}

    def close(self) -> None:
        """Leave nothing of the buttons."""
        if self._buttons is not None:
            self._buttons.close()
            self._buttons = None

    def _buttons_for(self, remaining_s: float) -> WaitButtons | None:
        """Give the buttons if they work; make them if that is not known yet."""
        if self._buttons is None:
            if remaining_s >= WORTH_A_CLICK_S and self._clicks.may_get_through:
                self._make_buttons()
        elif self._buttons.heard:
            self._clicks.heard()
            return self._buttons
        elif self._clock.now() - self._made_at_s >= PATIENCE_S:
            self._clicks.give_up()
            self.close()
        return None

    def _make_buttons(self) -> None:
        # Widgets take 0.1 s to import.
        from openhands_llm_magic.notebook.view import wait_buttons  # noqa: PLC0415

        self._buttons = wait_buttons.WaitButtons(self._control.retry_now, self._control.cancel)
        self._made_at_s = self._clock.now()


def _words(event: Waiting | Held) -> tuple[str, str]:
    """Write how a wait stands, and what the server said."""
    match event:
        case Waiting(retrying, remaining_s):
            counted = f"{countdown_words(retrying, remaining_s)} {bar(retrying, remaining_s)}"
            return counted, said_words(retrying)
        case Held():
            return held_words(event), ""
