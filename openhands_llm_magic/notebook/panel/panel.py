"""The panel: its sections, put together and kept up to date."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.pending import PendingEdits
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError
from openhands_llm_magic.notebook.panel.connection import ConnectionSection
from openhands_llm_magic.notebook.panel.field import Field
from openhands_llm_magic.notebook.panel.handover import HandOver
from openhands_llm_magic.notebook.panel.parts import Section, Workbench
from openhands_llm_magic.notebook.panel.sections import Advanced, Basic, Groups, Retries
from openhands_llm_magic.notebook.settings_table import problems

if TYPE_CHECKING:
    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.wording import Language

STYLE = Path(__file__).with_name("style.css")

PLAIN = "The settings panel. `%llm_config --show` lists the settings as text."
"""What is shown where no widget can be; it never changes, so that notebooks compare equal."""


class Panel:
    """The settings of one session, to be looked at, changed, tested and saved.

    Attributes:
        draft: What has been edited and is not in force yet.
        box: Its widget.

    Args:
        clock: Measures and makes the waits of a test; None means the system's.
    """

    def __init__(self, settings: LLMSettings, say: Language, clock: Clock | None = None) -> None:
        self.draft = PendingEdits(settings)
        self._bench = bench = Workbench(self.draft, say, self.refresh)
        self._fields: dict[str, Field] = {}
        self._head = bench.html("llm-head")
        style = bench.html("llm-style")
        style.value = f"<style>{STYLE.read_text('utf-8')}</style>"
        self.basic = Basic(bench, self.field)
        self.connection = ConnectionSection(bench, clock)
        self.retries = Retries(bench, self.field)
        self.advanced = Advanced(bench, self.field, lambda: self.basic.names)
        self.handover = HandOver(bench)
        self.groups = Groups(bench, self.handover.save_as)
        self._sections: list[Section] = [
            self.groups,
            self.basic,
            self.connection,
            self.retries,
            self.advanced,
            self.handover,
        ]
        boxes = [*(section.box for section in self._sections), self.groups.new]
        self.box = bench.box([style, self._head, *boxes], "llm-panel")
        self.refresh()

    def field(self, name: str) -> Field:
        """Return a setting's field, the same each time."""
        if name not in self._fields:
            self._fields[name] = Field(SETTINGS[name], self._bench)
            self._fields[name].refresh(self.draft.snapshot())
        return self._fields[name]

    def refresh(self) -> None:
        """Show the settings as they are now, wherever they have been changed."""
        with self._bench.lock:
            try:
                settings = self.draft.snapshot()
                for section in self._sections:
                    section.refresh(settings)
                for field in [*self._fields.values()]:
                    field.refresh(settings)
                self._bench.refresh(settings)
                self._head.value = self._head_html(settings)
            except LLMMagicError as error:  # the file or the group is gone
                self._fail(error.text.worded(self._bench.say))
            except Exception as error:  # noqa: BLE001 - it runs after every cell, which is not to blame
                self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, problem: str) -> None:
        """Say at the head of the panel why it cannot show the settings."""
        self._head.value = f'<div role="alert" class="llm-error">{escape(problem)}</div>'

    @property
    def closed(self) -> bool:
        """Whether the panel's widget is gone, as after `Widget.close_all()`."""
        return self.box.comm is None

    def close(self) -> None:
        """Take it off the page, and stop the test that may run."""
        self.connection.stop()
        self._bench.close()

    def bundle(self, *, watched: bool) -> dict[str, Any]:
        """Return what shows it in a notebook, or a text alone where nobody can press a button."""
        view = self.box._repr_mimebundle_() if watched else {}
        return {**view, "text/plain": PLAIN}

    def _head_html(self, settings: Snapshot) -> str:
        say = self._bench.say
        file = settings.config_file
        told = say("Read from {path}.", path=shown_path(file)) if file else say("No config.toml.")
        warnings = "".join(
            f'<div class="llm-warning">{escape(problem)}</div>' for problem in problems(settings)
        )
        return f"<div>{escape(told)}</div>{warnings}"
