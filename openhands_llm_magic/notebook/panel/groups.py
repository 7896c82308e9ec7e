"""Which group of the config file is in use, and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from openhands_llm_magic.config.resolve import BASE_GROUP
from openhands_llm_magic.errors import SettingError
from openhands_llm_magic.notebook.panel.parts import Message, Section, Workbench, show_if

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
        self._chosen = ipywidgets.Dropdown(description=say("Group"), layout=bench.layout)
        self._chosen.observe(self._choose, "value")
        self._name = ipywidgets.Text(
            description=say("New group"), placeholder=say("its name"), layout=bench.layout
        )
        self._message = Message(bench)
        tell = self._message.tell
        buttons = [
            bench.button(
                "Create", self._create, tell, tip=say("Create it with the values of [llm]")
            ),
            bench.button(
                "Duplicate", self._duplicate, tell, tip=say("Create it with the values shown here")
            ),
        ]
        self.box = bench.box([self._chosen])
        self.new = bench.box([bench.box([self._name, *buttons], "llm-row"), self._message.widget])

    def refresh(self, settings: Snapshot) -> None:
        """Show the groups that the file has now, if there are any."""
        groups = self._bench.draft.settings.groups
        show_if(self.box, groups)
        options = [("[llm]", BASE_GROUP), *((f"[llm.{name}]", name) for name in groups)]
        self._shows_itself = True
        if self._chosen.options != tuple(options):
            self._chosen.options = options
        self._chosen.value = settings.group or BASE_GROUP
        self._shows_itself = False

    def _choose(self, change: Mapping[str, Any]) -> None:
        if not self._shows_itself:
            use_group = self._bench.draft.settings.use_group
            self._bench.run(lambda: use_group(change["new"]), self._message.tell)

    def _create(self) -> None:
        self._make(self._bench.draft.settings.snapshot(group=BASE_GROUP))

    def _duplicate(self) -> None:
        self._make(self._bench.settings())

    def _make(self, settings: Snapshot) -> None:
        name, say = self._name.value.strip(), self._bench.say
        if not name:
            raise SettingError(say("write the name of the new group first"))
        if name == BASE_GROUP or name in self._bench.draft.settings.groups:
            raise SettingError(say("there is a group {name} already: choose it", name=name))
        self._message.note("")
        self._save_as(settings, name)
        self._name.value = ""
