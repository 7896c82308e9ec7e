"""All other settings, grouped by what they are about, with a search."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from openhands_llm_magic.config.settings import SETTINGS, TOPICS
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if
from openhands_llm_magic.notebook.panel.retries import NAMES as RETRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting
    from openhands_llm_magic.notebook.language import Language
    from openhands_llm_magic.notebook.panel.field import Field


class Advanced(Section):
    """The settings that are shown nowhere else; their fields are made when it is opened.

    Args:
        bench: What the sections share.
        field: Gives a setting's field.
        elsewhere: Gives the names of the settings that are shown above.
    """

    def __init__(
        self,
        bench: Workbench,
        field: Callable[[str], Field],
        elsewhere: Callable[[], Collection[str]],
    ) -> None:
        self._bench = bench
        self._field = field
        self._elsewhere = elsewhere
        self._titles: dict[str, Any] = {}
        say = bench.say
        self._toggle = bench.make(ipywidgets.ToggleButton, description=say("Advanced settings"))
        self._search = bench.make(
            ipywidgets.Text,
            description=say("Search"),
            placeholder=say("a name, a variable, or a word"),
        )
        self._toggle.observe(self._changed, "value")
        self._search.observe(self._changed, "value")
        self._none = bench.html("llm-note")
        self._none.value = escape(say("No other setting has this in its name or its help."))
        self._found = bench.box([])
        self.box = bench.box([self._toggle, self._search, self._found])

    def refresh(self, settings: Snapshot) -> None:  # noqa: ARG002 - a Section's
        """Show the fields that the search finds."""
        opened = self._toggle.value
        show_if(self._search, opened)
        shown = tuple(self._widgets() if opened else self._refused())
        if self._found.children != shown:
            self._found.children = shown

    def _refused(self) -> list[Any]:
        """Return the fields that are to be corrected, which show also when the rest is folded."""
        elsewhere = {*RETRIES, *self._elsewhere()}
        refused = self._bench.draft.refused
        return [self._field(name).box for name in refused if name not in elsewhere]

    def _widgets(self) -> list[Any]:
        taken = {*RETRIES, *self._elsewhere()}
        widgets = []
        for topic in TOPICS:
            found = [
                self._field(each.name).box
                for each in SETTINGS.values()
                if each.topic == topic and each.name not in taken
                if matches(each, self._search.value, self._bench.say)
            ]
            widgets += [self._title(topic), *found] if found else []
        return widgets or [self._none]

    def _title(self, topic: str) -> Any:
        if topic not in self._titles:
            self._titles[topic] = self._bench.heading(TOPICS[topic])
        return self._titles[topic]

    def _changed(self, change: Mapping[str, Any]) -> None:  # noqa: ARG002 - traitlets' signature
        self._bench.run(lambda: None, lambda _: None)


def matches(setting: Setting, searched: str, say: Language) -> bool:
    """Tell whether each word of a search is in a setting's names, its variable or its help."""
    texts = (setting.name, setting.variable, setting.title, setting.help, TOPICS[setting.topic])
    known = " ".join([*texts, *map(say, texts)]).casefold()
    return all(word in known for word in searched.casefold().split())
