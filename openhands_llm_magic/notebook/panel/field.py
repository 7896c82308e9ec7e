"""One setting in the panel: its control, what it is, where its value comes from, and a way back."""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from openhands_llm_magic.config.layers import EDIT
from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, Secret, masked
from openhands_llm_magic.errors import SettingError, Text
from openhands_llm_magic.notebook.panel.parts import Workbench, show_if, with_code
from openhands_llm_magic.notebook.settings_table import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.document import Origin
    from openhands_llm_magic.config.layers import Found
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting
    from openhands_llm_magic.notebook.language import Language


def field_text(value: object, settings: Snapshot) -> str:
    """Write a value as a person would type it, with what may be a key in it masked."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return str(value).removesuffix(".0")
        case _:
            return masked(str(value), keys_of(settings))


def keys_of(settings: Snapshot) -> list[str]:
    """Return the keys to be masked in what is shown."""
    return [key for key in settings.secrets() if len(key) >= SHORTEST_REAL_KEY]


def origin_words(origin: Origin, say: Language) -> str:
    """Write where a value comes from."""
    if origin == EDIT:
        return say("edited, not applied yet")
    return origin.text.worded(say)


def note_html(setting: Setting, settings: Snapshot, say: Language) -> str:
    """Say what a setting is for, where its value comes from, and what that overrides."""
    found, *below = settings.found[setting.name]
    where = _secret_words(settings, setting, say) or _from(found, say)
    keys = keys_of(settings)
    over = [
        say(
            "instead of {value} ({origin})",
            value=say("not set") if each.value is None else shown(each.value, keys),
            origin=origin_words(each.origin, say),
        )
        for each in below
        if each.origin.kind != "default" or (found.origin == EDIT and each.value is not None)
    ]
    told = "; ".join([where, *over])
    state = "llm-origin llm-edited" if found.origin == EDIT else "llm-origin"
    return (
        f'{escape(say(setting.help))}<span class="{state}"><code>{setting.name}</code>'
        f" {escape(told)}</span>"
    )


def error_html(setting: Setting, error: str, say: Language) -> str:
    """Say why what was typed is refused, with the setting by its title."""
    if isinstance(error, Text) and error.facts:
        error = Text(error.template, **{**error.facts, "name": Text(setting.title)}).worded(say)
    return f'<span role="alert" class="llm-error">{with_code(error)}</span>'


def _from(found: Found, say: Language) -> str:
    if found.origin.kind in ("default", "edit"):
        return origin_words(found.origin, say)
    return say("from {origin}", origin=origin_words(found.origin, say))


def _secret_words(settings: Snapshot, setting: Setting, say: Language) -> str:
    """Say whether a key is set, and where it comes from; "" for other settings."""
    if setting.kind != "secret":
        return ""
    origin = settings.origin(setting.name)
    is_set = bool(getattr(settings, setting.name))
    if origin == EDIT:
        return say("set here, not applied yet") if is_set else say("cleared here, not applied yet")
    if is_set:
        return say("set, from {origin}", origin=origin_words(origin, say))
    provider = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    if provider and setting.name in provider.asks_for:
        variable = provider.stand_in(setting.name, os.environ)
        if variable:
            return say("not set; {variable} is set and is used", variable=variable)
    return say("not set")


_LIVE_TOPIC = "retries"
"""The topic whose fields count with each keystroke, for the preview beside them."""


class Field:
    """The control of one setting, with its note and its buttons.

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
        show_if(self._back, draft.can_be_put_back(name))
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
            options["placeholder"] = setting.example or setting.takes.worded(bench.say)
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
        made.value = f'<span class="llm-warning">{with_code(told)}</span>'
        return made

    def _secret_field(self) -> Any:
        # anywidget's import takes long, and most settings are no keys.
        from openhands_llm_magic.notebook.panel.secret_field import SecretField  # noqa: PLC0415

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
