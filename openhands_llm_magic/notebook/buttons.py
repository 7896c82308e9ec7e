"""When a request has buttons, and which: "Stop", and in a wait one that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm import events
from openhands_llm_magic.notebook.language import cell_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from openhands_llm_magic.llm.worker import Clock, Control, Controls
    from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons


WORTH_A_CLICK_S = 2.5
"""How long a request lasts, or a wait of it, before buttons are made for it, in seconds."""

MOST_IN_VAIN = 2
"""How often in a row buttons are made that no click reaches."""

PATIENCE_S = 5.0
"""How long a front end may take to load the buttons, in seconds."""

HOW_TO_STOP = "Stop it with the interrupt button."

ENDS_IT = {events.Throttled: "Send now", events.Waiting: "Retry now"}
"""What the button says that ends a wait."""


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
        """Note that clicks get through."""
        self._in_vain = 0

    def give_up(self) -> None:
        """Note that clicks were tried in vain; once, a busy front end may be why."""
        self._in_vain += 1

    @property
    def may_get_through(self) -> bool:
        """Whether clicks may reach the kernel while this cell runs, so that buttons make sense."""
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
    """Has the buttons of a cell's requests: "Stop", and in a wait one that ends it.

    They switch their `control`, where `clicks` say that there may be buttons; `on_stop` is called
    in place of its `cancel`.
    """

    def __init__(
        self,
        clicks: Clicks,
        control: Control | Controls,
        clock: Clock,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self._clicks = clicks
        self._control = control
        self._on_stop = on_stop or control.cancel
        self._clock = clock
        self._began_s = clock.now()
        self._by_number: dict[int, events.Waiting | events.Throttled] = {}
        self._buttons: WaitButtons | None = None
        self._made_at_s = 0.0

    def see(self, event: events.Event, number: int = 0) -> None:
        """Take in an event of a request; of those only a wait can be ended by a button."""
        self._by_number.pop(number, None)
        if isinstance(event, events.Waiting | events.Throttled) and event.remaining_s > 0:
            self._by_number[number] = event

    @property
    def _wait(self) -> events.Waiting | events.Throttled | None:
        """The wait that lasts longest, of those that go on."""
        return max(self._by_number.values(), key=lambda wait: wait.remaining_s, default=None)

    def tick(self) -> None:
        """Make the buttons if it is time, show them if they work, or give them up."""
        if self._buttons is None:
            left_s = self._wait.remaining_s if self._wait else 0.0
            lasts_s = max(left_s, self._clock.now() - self._began_s)
            if lasts_s >= WORTH_A_CLICK_S and self._clicks.may_get_through:
                self._make_buttons()
        elif self._buttons.heard:
            self._clicks.heard()
            say, ends_it = cell_words(), ENDS_IT.get(type(self._wait))
            self._buttons.show(say(ends_it) if ends_it else "")
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
        if self._wait is None or has_buttons:
            return said
        return f"{said} {cell_words()(HOW_TO_STOP)}".strip()

    def close(self) -> None:
        """Leave nothing of the buttons."""
        if self._buttons is not None:
            self._buttons.close()
            self._buttons = None

    def _make_buttons(self) -> None:
        # Widgets take 0.1 s to import.
        from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons  # noqa: PLC0415

        stop_text = cell_words()("Stop")
        self._buttons = WaitButtons(self._control.retry_now, self._on_stop, stop_text)
        self._made_at_s = self._clock.now()
