"""One setting in the panel: its control, where its value comes from, and a way back."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from openhands_llm_magic.errors import SettingError
from openhands_llm_magic.notebook.panel.descriptions import (
    error_html,
    field_text,
    note_html,
)
from openhands_llm_magic.notebook.panel.parts import Workbench, show_if

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.secret import Secret
    from openhands_llm_magic.config.setting import Setting

_LIVE_TOPIC = "retries"
"""The topic whose fields count with each keystroke, for the preview beside them."""


class Field:
    """A setting's control.

    Attributes:
        box: The control, its buttons and its note.
        control: The ipywidgets control, or the `SecretField` of a key.
    """

    def __init__(self, setting: Setting, bench: Workbench) -> None:
        self.setting = setting
        self._bench = bench
        self._shows_itself = False
        self.control = self._made()
        self._note = bench.html("llm-note")
        self._problem: str | None = None
        title = bench.say(setting.title)
        self._clear = bench.button(
            "Clear", self._unset, self._tell, tip=bench.say("Clear {title}", title=title)
        )
        self._back = bench.button(
            "Put back", self._put_back, self._tell, tip=bench.say("Put back {title}", title=title)
        )
        of_key = [self._clear, self._fallback()] if setting.kind == "secret" else []
        self.box = bench.box([self.control, self._back, *of_key, self._note], "llm-field")

    def refresh(self, settings: Snapshot) -> None:
        """Show the value, or what is wrong with what was typed."""
        name, draft, say = self.setting.name, self._bench.draft, self._bench.say
        refused = draft.refused.get(name)
        problem, self._problem = self._problem or refused, None
        if not refused:
            self._show(settings)
        if problem:
            self._note.value = error_html(self.setting, problem, say)
        else:
            self._note.value = note_html(self.setting, settings, say)
        show_if(self._back, draft.can_be_put_back(name, settings))
        show_if(self._clear, getattr(settings, name))

    def offer(self, values: Sequence[str]) -> None:
        """Name the values to choose from."""
        if self.control.options != tuple(values):
            self.control.options = values

    def hint(self, example: str) -> None:
        """Show an example while nothing stands in the control."""
        self.control.placeholder = example

    def _made(self) -> Any:
        setting, bench = self.setting, self._bench
        if setting.kind == "secret":
            return self._secret_field()
        options: dict[str, Any] = {"description": bench.say(setting.title)}
        if setting.kind == "bool" and not setting.optional:
            control = bench.make(ipywidgets.Checkbox, indent=False, **options)
        elif setting.kind == "bool":
            words = {"not set": "", "yes": "true", "no": "false"}
            choices = [(bench.say(word), value) for word, value in words.items()]
            control = bench.make(ipywidgets.Dropdown, options=choices, **options)
        else:
            options["placeholder"] = setting.takes.worded(bench.say)
            options["continuous_update"] = setting.topic == _LIVE_TOPIC
            if setting.kind in ("list", "dict"):
                control = bench.make(ipywidgets.Textarea, rows=2, **options)
            elif setting.choices or setting.name == "model":
                control = bench.make(ipywidgets.Combobox, options=setting.choices, **options)
            else:
                control = bench.make(ipywidgets.Text, **options)
        control.observe(self._edited, "value")
        return control

    def _fallback(self) -> Any:
        """Make the text that the stylesheet shows where the key's field cannot load."""
        told = self._bench.say(
            "The field for the key could not load. Run `%llm_config {name}` in a cell: it asks for"
            " the key without showing it.",
            name=self.setting.name,
        )
        made = self._bench.html("llm-fallback")
        made.value = f'<span class="llm-warning">{escape(told)}</span>'
        return made

    def _secret_field(self) -> Any:
        from openhands_llm_magic.notebook.panel.secret_field import (  # noqa: PLC0415 - anywidget's import takes long, and most settings are no keys
            SecretField,
        )

        say = self._bench.say
        texts = {"show_text": "Show", "hide_text": "Hide", "set_text": "Set"}
        return self._bench.keep(
            SecretField(
                label=say(self.setting.title),
                on_secret=self._edit,
                on_refused=self._refuse,
                texts={trait: say(text) for trait, text in texts.items()},
            )
        )

    def _show(self, settings: Snapshot) -> None:
        """Show the value, unless what stands in the control means it already."""
        if self.setting.kind == "secret":
            return
        value = getattr(settings, self.setting.name)
        self._shows_itself = True
        try:
            if isinstance(self.control, ipywidgets.Checkbox):
                self.control.value = value
            elif not self._means(value):
                self.control.value = field_text(value, settings)
        finally:
            self._shows_itself = False

    def _means(self, value: object) -> bool:
        try:
            return self.setting.from_text(self.control.value) == value
        except SettingError:
            return False

    def _edited(self, change: Mapping[str, Any]) -> None:
        with self._bench.lock:
            if not self._shows_itself:
                new = change["new"]
                self._edit(str(new).lower() if isinstance(new, bool) else new)

    def _refuse(self) -> None:
        def refuse() -> None:
            raise SettingError(self._bench.say("This is too long for a key."))

        self._bench.run(refuse, self._tell)

    def _edit(self, value: str | Secret | None) -> None:
        draft, name = self._bench.draft, self.setting.name
        self._bench.run(lambda: draft.edit(name, value), self._tell)

    def _tell(self, problem: str) -> None:
        self._problem = problem

    def _unset(self) -> None:
        self._bench.draft.edit(self.setting.name, None)

    def _put_back(self) -> None:
        self._bench.draft.put_back(self.setting.name)
