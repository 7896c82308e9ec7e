"""The panel: its sections, put together and kept up to date."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.languages import of_system
from openhands_llm_magic.config.pending import PendingEdits
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError, MissingKeyError, RequestError, Stopped
from openhands_llm_magic.notebook.language import Language, language_names, own_name, spoken
from openhands_llm_magic.notebook.panel.advice import AdviceSection
from openhands_llm_magic.notebook.panel.connection import ConnectionSection
from openhands_llm_magic.notebook.panel.field import Field, origin_words
from openhands_llm_magic.notebook.panel.handover import HandOver
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, with_code
from openhands_llm_magic.notebook.panel.probe import ProbeSection
from openhands_llm_magic.notebook.panel.sections import Advanced, Basic, Groups, Retries
from openhands_llm_magic.notebook.panel.trust import TrustSection
from openhands_llm_magic.notebook.panel.usage import UsageSection
from openhands_llm_magic.notebook.settings_table import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.worker import Clock

LANGUAGE = SETTINGS["language"]
"""The setting that is in force as soon as it is chosen, as whoever chooses it reads no other."""

STYLE = Path(__file__).with_name("style.css")

PLAIN = "The settings panel. `%llm_config --show` lists the settings as text."
"""What is shown where no widget can be; it never changes, so that notebooks compare equal."""


RUN_AGAIN = "Run this cell again to open the panel."

SAVED = """\
<style>
.llm-panel-saved { display: none; }
.jp-OutputArea-child .llm-panel-saved { display: block; }
.jp-OutputArea-child:has(.llm-panel-saved):has(+ .jp-OutputArea-child .llm-panel),
.jp-OutputArea-child:has(.llm-panel-saved) + .jp-OutputArea-child:not(:has(.llm-panel)) {
  display: none;
}
</style>
<p class="llm-panel-saved">{hint}</p>"""
"""What stands above the panel, in an output of its own.

A widget that is saved without its kernel is "Error displaying widget" in JupyterLab, whatever else
its output holds. So of the two outputs only the second is shown while the panel is there, and only
the first when it is not. Front ends with other class names show the second alone.
"""


class Panel:
    """The settings of one session, to be looked at, changed, tested and saved.

    Attributes:
        draft: What has been edited and is not in force yet.
        box: Its widget.

    Args:
        clock: Measures and makes the waits of a test; None means the system's.
    """

    def __init__(self, settings: LLMSettings, clock: Clock | None = None) -> None:
        say = Language(spoken(settings))
        self.draft = PendingEdits(settings)
        self._clock = clock
        self._shows_itself = False
        self._frame = frame = Workbench(self.draft, say, self.refresh)
        style = frame.html("llm-style")
        style.value = f"<style>{STYLE.read_text('utf-8')}</style>"
        self._languages = frame.make(ipywidgets.Dropdown)
        self._languages.add_class("llm-language")
        self._head = frame.html("llm-head")
        self._content = frame.box([])
        self._make(say)
        self._languages.observe(self._choose_language, "value")
        top = frame.box([self._head, self._languages], "llm-top")
        self.box = frame.box([style, top, self._content], "llm-panel")

    def _make(self, say: Language) -> None:
        """Make the sections, in a language."""
        self._bench = bench = Workbench(self.draft, say, self.refresh)
        bench.choice = self._frame.choice  # a provider stays chosen in another language
        self._fields: dict[str, Field] = {}
        self.basic = Basic(bench, self.field)
        self.trust = TrustSection(bench)
        self.connection = ConnectionSection(bench, self._look_again, self._clock)
        self.probe = ProbeSection(bench, self._look_again, self._clock)
        self.retries = Retries(bench, self.field)
        self.advice = AdviceSection(bench)
        shown = lambda: (*self.basic.names, LANGUAGE.name)  # noqa: E731 - it is read on use
        self.advanced = Advanced(bench, self.field, shown)
        self.handover = HandOver(bench)
        self.usage = UsageSection(bench)
        self.groups = Groups(bench, self.handover.save_as)
        self._sections: list[Section] = [
            self.groups,
            self.basic,
            self.trust,
            self.connection,
            self.probe,
            self.retries,
            self.advice,
            self.advanced,
            self.handover,
            self.usage,
        ]
        self._languages.description = say(LANGUAGE.title)
        self.refresh()
        boxes = (section.box for section in self._sections)
        self._content.children = (*boxes, self.groups.new)

    @property
    def language(self) -> str:
        """The name of the language that it speaks."""
        return self._bench.say.name

    def _speak(self, name: str) -> None:
        """Show all of it in another language; what was edited stays."""
        before = self._bench
        self.connection.stop()
        self.probe.stop()
        self._make(Language(name))
        self.usage.read()
        before.close()

    def _choose_language(self, change: Mapping[str, Any]) -> None:
        """Speak the language that was chosen, here and in the cells of the session, at once."""
        if not self._shows_itself:
            self.draft.settings.set(language=change["new"] or None)
            self.refresh()

    def _show_language(self, settings: Snapshot) -> None:
        """Show which language is set, and where that comes from."""
        say = self._bench.say
        system = own_name(of_system())
        as_system = (say("As the system: {language}", language=system), "")
        options = (as_system, *language_names())
        origin = origin_words(settings.origin(LANGUAGE.name), say)
        self._shows_itself = True
        try:
            if self._languages.options != options:
                self._languages.options = options
            self._languages.value = settings.language or ""
            self._languages.tooltip = f"{say(LANGUAGE.help)} ({origin})"
        finally:
            self._shows_itself = False

    def _look_again(self) -> None:
        """Show what requests of a thread have told and cost; called on it when they are over."""
        self.usage.read()
        with self._bench.lock, suppress(LLMMagicError):  # the file or the group is gone
            settings = self.draft.snapshot()
            self.advice.refresh(settings)
            self.probe.refresh(settings)

    def field(self, name: str) -> Field:
        """Return a setting's field, the same each time."""
        if name not in self._fields:
            self._fields[name] = Field(SETTINGS[name], self._bench)
            self._fields[name].refresh(self.draft.snapshot())
        return self._fields[name]

    def refresh(self) -> None:
        """Show the settings as they are now, wherever they have been changed."""
        with self._bench.lock:
            if (name := spoken(self.draft.settings)) != self.language:
                self._speak(name)
                return
            try:
                if "model" in self.draft.forget_overtaken():
                    self._bench.choice.forget()
                settings = self.draft.snapshot()
                for section in self._sections:
                    section.refresh(settings)
                for field in [*self._fields.values()]:
                    field.refresh(settings)
                self._bench.refresh(settings)
                self._show_language(settings)
                self._head.value = self._head_html(settings)
            except LLMMagicError as error:  # the file or the group is gone
                self._fail(error.text.worded(self._bench.errors))
            except Exception as error:  # noqa: BLE001 - it runs after every cell, which is not to blame
                self._fail(f"{type(error).__name__}: {error}")

    def add_pending(self, error: LLMMagicError, say: Language) -> None:
        """Add to the error of a cell's request that edits wait to be applied, which may be why."""
        with suppress(LLMMagicError):  # the file or the group is gone
            self.draft.forget_overtaken()
        edits = self.draft.edits
        if not edits or isinstance(error, Stopped) or not isinstance(error, RequestError):
            return
        button = say("Apply to this session")
        if isinstance(error, MissingKeyError) and "api_key" in edits:
            told = say(
                "the API key that was set in the panel is not in force yet: press “{button}”"
                " there.",
                button=button,
            )
            error.args = (told,)
            return
        fields = say(", ").join(say(SETTINGS[name].title) for name in edits)
        told = say(
            "Not applied yet in the panel: {fields}. Press “{button}” there if they are meant.",
            fields=fields,
            button=button,
        )
        error.args = (f"{error} {told}",)

    def _fail(self, problem: str) -> None:
        """Say at the head of the panel why it cannot show the settings."""
        self._head.value = f'<div role="alert" class="llm-error">{with_code(problem)}</div>'

    @property
    def closed(self) -> bool:
        """Whether the panel's widget is gone, as after `Widget.close_all()`."""
        return self.box.comm is None

    def close(self) -> None:
        """Take it off the page, and stop the test and the probes that may run."""
        self.connection.stop()
        self.probe.stop()
        self._bench.close()
        self._frame.close()

    def bundles(self, *, watched: bool) -> list[dict[str, Any]]:
        """Return what shows it in a notebook, or a text alone where nobody can press a button."""
        if not watched:
            return [{"text/plain": self._bench.say(PLAIN)}]
        self.usage.read()
        hint = SAVED.replace("{hint}", escape(self._bench.say(RUN_AGAIN)))
        plain = self._bench.say(PLAIN)
        view = {**self.box._repr_mimebundle_(), "text/plain": plain}
        return [{"text/html": hint, "text/plain": ""}, view]

    def _head_html(self, settings: Snapshot) -> str:
        say = self._bench.say
        file = settings.config_file
        told = say("Read from {path}.", path=shown_path(file)) if file else say("No config.toml.")
        warnings = "".join(
            f'<div class="llm-warning">{with_code(problem.worded(say))}</div>'
            for problem in problems(settings)
        )
        return f"<div>{escape(told)}</div>{warnings}"
