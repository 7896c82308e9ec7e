"""What the config file of a project would be trusted with, and the button that trusts it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.config import trust, trusted
from openhands_llm_magic.config.document import read_file, shown_path
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if

if TYPE_CHECKING:
    from pathlib import Path

    from openhands_llm_magic.config.resolve import Snapshot


class TrustSection(Section):
    """Says why nothing would be sent, where trusting the config file would change that."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._file: Path | None = None
        self._why = bench.html("llm-warning")
        self._message = bench.message()
        button = bench.button("Trust this file", self._trust, self._message.tell, style="warning")
        self._asking = bench.box([self._why, button])
        self.box = bench.box([self._asking, self._message.widget])

    def refresh(self, settings: Snapshot) -> None:
        """Show the question as long as the file is not trusted."""
        error = trust.refused(settings)
        self._file = settings.config_file
        curable = error is not None and "trust_it" in error.text.facts and self._file
        self._why.value = ""
        if error is not None and self._file is not None and curable:
            programs = trusted.programs_in(read_file(self._file).data)
            why = trusted.with_programs(error.text, programs)
            self._why.value = escape(why.worded(self._bench.errors))
        show_if(self._asking, curable)

    def _trust(self) -> None:
        """Trust the file as it is now.

        Raises:
            SettingError: It cannot be read, or the trust cannot be kept.
        """
        if self._file is not None:
            entry = trusted.trust(self._file)
            told = self._bench.say(
                "Trusted, with {hosts}.", hosts=", ".join(entry.hosts) or shown_path(self._file)
            )
            self._message.note(told)
