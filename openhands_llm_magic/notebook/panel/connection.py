"""The Test button: a tiny prompt under the settings shown, told step by step."""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from typing import TYPE_CHECKING

from openhands_llm_magic.llm.connection import ConnectionTest
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK
from openhands_llm_magic.notebook.connection_log import ConnectionLog
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.worker import Clock

THREAD = "test of the settings"
"""The name of a test's thread."""


class ConnectionSection(Section):
    """Runs a `ConnectionTest` on a thread of its own, which sets the value of a widget alone.

    Args:
        bench: What the sections share.
        ended: Called on that thread when a test is over.
        clock: Measures and makes the waits.
    """

    def __init__(
        self, bench: Workbench, ended: Callable[[], None], clock: Clock | None = None
    ) -> None:
        self._bench = bench
        self._tell_end = ended
        self._clock = clock or SYSTEM_CLOCK
        self._trial: ConnectionTest | None = None
        self._tested: dict[str, object] = {}
        self._lock = threading.Lock()  # of the test in place and what is shown of it
        self._message = bench.message()
        self._steps = bench.html("llm-steps")
        say, tell = bench.say, self._message.tell
        told = say("Sends a tiny prompt with the settings shown here")
        buttons = [
            bench.button("Test", self.start, tell, tip=told, style="primary"),
            bench.button("Stop", self.stop, tell, tip=say("Stop the test")),
        ]
        # The stylesheet shows it below the verdict of a fault that may pass.
        again = bench.button("Try again with retries", partial(self.start, retries=True), tell)
        again.add_class("llm-again")
        parts = [
            bench.heading("Test"),
            bench.box(buttons, "llm-row", "llm-trial"),
            self._steps,
            again,
            self._message.widget,
        ]
        self.box = bench.box(parts)

    def refresh(self, settings: Snapshot) -> None:
        """Stop a test of other settings than these, and take away what it has shown."""
        with self._lock:
            if self._trial is not None and self._tested != values_of(settings):
                self._trial.stop()
                self._trial = None
                self._steps.value = ""

    def start(self, *, retries: bool = False) -> None:
        """Begin a test, in place of one that still runs.

        Args:
            retries: Whether passing faults are waited out.

        Raises:
            SettingError: A value was refused.
        """
        settings = self._bench.settings()
        self.stop()
        self._message.note("")
        trial = ConnectionTest(settings, self._clock, retries=retries)
        with self._lock:
            self._tested, self._trial = values_of(settings), trial
        # ipykernel knows by the context where output would belong: to this click, not to a cell.
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(self._watch, trial), daemon=True)
        thread.name = THREAD
        thread.start()

    def stop(self) -> None:
        """Stop the test, if one runs."""
        if self._trial is not None:
            self._trial.stop()

    def _watch(self, trial: ConnectionTest) -> None:
        log = ConnectionLog(self._bench.errors)
        for event in trial.run():
            log.add(event)
            self._show(trial, log)
        log.end(trial.reply)
        self._show(trial, log)
        self._tell_end()

    def _show(self, trial: ConnectionTest, log: ConnectionLog) -> None:
        """Show how far a test is, unless another one has taken its place."""
        with self._lock:
            if self._trial is trial:
                self._steps.value = log.html
