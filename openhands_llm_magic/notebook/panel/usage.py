"""What requests have cost, read on a thread."""

from __future__ import annotations

import contextvars
import threading
import time
from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import LLMMagicError
from openhands_llm_magic.notebook.panel.parts import Section, Workbench

if TYPE_CHECKING:
    from openhands_llm_magic.notebook.language import Language

THREAD = "reading of the ledger"
"""The name of the thread that reads."""


class UsageSection(Section):
    """Shows what requests have cost when the panel opens, and anew when the button is pressed.

    The ledger may be locked for seconds, so it is read on a thread; the last to begin is shown.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._lock = threading.Lock()  # of the thread in place and what is shown of it
        self._reading: threading.Thread | None = None
        self._shown = bench.html("llm-usage")
        told = bench.say("Reads again what is kept of all requests, also those of other notebooks")
        button = bench.button("Show what was spent", self.read, lambda _: None, tip=told)
        self.box = bench.box([bench.heading("Usage"), bench.box([button], "llm-row"), self._shown])

    def read(self) -> None:
        """Begin to read; what comes of it is shown when it is there."""
        run = contextvars.copy_context().run  # no output of it belongs to a cell
        thread = threading.Thread(target=run, args=(self._read,), name=THREAD, daemon=True)
        with self._lock:
            self._reading = thread
        thread.start()

    def _read(self) -> None:
        try:
            shown = self._html(self._bench.say)
        except LLMMagicError as error:
            told = error.text.worded(self._bench.errors)
            shown = f'<div role="alert" class="llm-error">{escape(told)}</div>'
        with self._lock:
            if self._reading is threading.current_thread():
                self._shown.value = shown

    def _html(self, say: Language) -> str:
        from openhands_llm_magic.llm.spending import summary  # noqa: PLC0415 - the panel opens without
        from openhands_llm_magic.notebook import usage_table  # noqa: PLC0415 - as above

        settings = self._bench.draft.settings.snapshot()  # what requests of cells are made with
        ledger = summary.ledger_in_use(settings)
        tables = usage_table.overview(settings, ledger, time.time(), say)
        return f'<div role="status">{"".join(each.html for each in tables)}</div>'
