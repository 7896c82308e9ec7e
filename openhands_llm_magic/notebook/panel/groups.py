"""Which group of the config file is in use, and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from openhands_llm_magic.config.resolve import BASE_GROUP, load_settings, resolve
from openhands_llm_magic.errors import SettingError
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from openhands_llm_magic.config.resolve import Snapshot


class Groups(Section):
    """The group in use, and the buttons that make one.

    Attributes:
        new: The widget of a new group.

    Args:
        bench: What the sections share.
        save_as: Offers to save settings as a new group.
    """

    def __init__(self, bench: Workbench, save_as: Callable[[Snapshot, str], None]) -> None:
        self._bench = bench
        self._save_as = save_as
        self._shows_itself = False
        say = bench.say
        self._chosen = bench.make(
            ipywidgets.Dropdown, description=say("Group"), tooltip=say("It is in use at once")
        )
        self._chosen.observe(self._choose, "value")
        self._name = bench.make(
            ipywidgets.Text, description=say("New group"), placeholder=say("its name")
        )
        self._message = bench.message()
        self._problem = bench.message()
        tell = self._problem.tell
        buttons = [
            bench.button(
                "Create", self._create, tell, tip=say("Create it with the values of [llm]")
            ),
            bench.button(
                "Duplicate", self._duplicate, tell, tip=say("Create it with the values shown here")
            ),
        ]
        self.box = bench.box([self._chosen, self._message.widget])
        self.new = bench.box([bench.box([self._name, *buttons], "llm-row"), self._problem.widget])

    def refresh(self, settings: Snapshot) -> None:
        """Show the groups that the file has now, if there are any."""
        groups = self._names()
        show_if(self.box, groups)
        options = [("[llm]", BASE_GROUP), *((f"[llm.{name}]", name) for name in groups)]
        self._shows_itself = True
        try:
            if self._chosen.options != tuple(options):
                self._chosen.options = options
            self._chosen.value = settings.group or BASE_GROUP
        finally:
            self._shows_itself = False

    def _names(self) -> list[str]:
        groups = self._bench.draft.settings.groups
        return [name for name in groups if name != BASE_GROUP]  # OpenHands never reads [llm.llm]

    def _choose(self, change: Mapping[str, Any]) -> None:
        with self._bench.lock:
            if not self._shows_itself:
                self._bench.run(lambda: self._use(change["new"]), self._message.tell)

    def _use(self, name: str) -> None:
        self._bench.draft.settings.use_group(name)
        group = "[llm]" if name == BASE_GROUP else f"[llm.{name}]"
        self._message.note(self._bench.say("{group} is in use in this session.", group=group))

    def _create(self) -> None:
        file = self._bench.draft.settings.snapshot(group=BASE_GROUP).config_file
        self._make(load_settings(file, env={}) if file else resolve([]))

    def _duplicate(self) -> None:
        self._make(self._bench.settings())

    def _make(self, settings: Snapshot) -> None:
        name, say = self._name.value.strip(), self._bench.say
        if not name:
            raise SettingError(say("write the name of the new group first"))
        if name == BASE_GROUP or name in self._names():
            raise SettingError(say("there is a group {name} already: choose it", name=name))
        self._problem.note("")
        self._save_as(settings, name)
        self._name.value = ""
