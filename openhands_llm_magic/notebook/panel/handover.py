"""Applying, saving and handing over the settings; a browser copies what is handed over."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import anywidget
import ipywidgets

from openhands_llm_magic.config import export, save
from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError, Text
from openhands_llm_magic.llm.openhands import folder, profile
from openhands_llm_magic.llm.openhands.sent import findings
from openhands_llm_magic.llm.practice import stand_in
from openhands_llm_magic.notebook.language import worded
from openhands_llm_magic.notebook.panel.parts import (
    Section,
    Workbench,
    show_if,
    values_of,
    with_code,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.notebook.panel.parts import Message


class FrontEnd(anywidget.AnyWidget):
    """An invisible widget, which does for the panel what only a browser can do.

    Inside the panel it keeps letters typed on a list or a button from the notebook, which would
    take them for its shortcuts and insert or delete cells. Every browser window that shows the
    notebook tries to copy, and the one in front succeeds.

    Args:
        on_copied: Called with whether a copy worked. True may follow False, when a window in the
            background answers first. Without a front end it is never called.
    """

    _esm = Path(__file__).with_name("browser.js")

    def __init__(self, on_copied: Callable[[bool], None]) -> None:
        super().__init__(layout={"display": "none"})
        self._on_copied = on_copied
        self._copies = 0
        self._worked: bool | None = None
        self.on_msg(self._receive)

    def copy(self, text: str) -> None:
        """Ask the browser to copy a text; it goes as a message, no trait holds it."""
        self._copies += 1
        self._worked = None
        self.send({"type": "copy", "copy": self._copies, "text": text})

    def _receive(self, _front_end: object, content: dict[str, object], _buffers: object) -> None:
        """Pass on what a window answers, unless it is about an earlier copy or nothing new."""
        match content:
            case {"type": "copied", "copy": self._copies, "ok": bool(ok)}:
                if self._worked is not True and ok is not self._worked:
                    self._worked = ok
                    self._on_copied(ok)


CURRENT = {"profile": "Copy profile", "shell": "Copy shell exports"}
"""The forms that the current OpenHands takes, with the texts of their buttons."""

EARLIER = {"docker": "Copy docker flags"}
"""Those of OpenHands 0.41, beside config.toml."""

PLACES = {
    "profile": "Save it as ~/.openhands/profiles/NAME.json: OpenHands' SDK loads it by that NAME.",
    "shell": (
        "Run it in a shell: LLM.load_from_env() of OpenHands' SDK takes all of it, its CLI with"
        " --override-with-envs the key, the base URL and the model alone."
    ),
    "docker": "Put it behind `docker run`, before the image of OpenHands 0.41.",
}
"""What is to be done with each form."""


class HandOver(Section):
    """The buttons that put the settings in force, into a file, or on the clipboard."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._shown_for: dict[str, object] | None = None
        self._message = bench.message()
        self._front_end = bench.keep(FrontEnd(self._copied))
        say, tell = bench.say, self._message.tell
        self._pending = bench.html("llm-pending")
        self._as_sent = bench.html("llm-guide")
        self._saving = Saving(bench, self._message, self._close)
        self._kept = bench.make(ipywidgets.Dropdown, description=say("What OpenHands has"))
        self._profile = bench.make(
            ipywidgets.Text, description=say("Profile"), placeholder=say("the name of the profile")
        )
        take = bench.button(
            "Take it into this session", self._take, tell, tip=say("It is in use at once")
        )
        self._taking = bench.box([self._kept, take], "llm-row")
        save_profile = bench.button("Save as a profile …", self._save_profile, tell)
        self._place = bench.html()
        self._text = bench.make(ipywidgets.Textarea, description=say("To copy"), rows=6)
        current = [
            bench.button(text, partial(self._export, form), tell) for form, text in CURRENT.items()
        ]
        earlier = [
            bench.button(text, partial(self._export, form), tell) for form, text in EARLIER.items()
        ]
        apply = bench.button("Apply to this session", self._apply, tell, style="primary")
        save = bench.button("Save to config.toml …", self._save, tell)
        self.box = bench.box(
            [
                bench.heading("Save and hand over"),
                self._pending,
                bench.box([apply], "llm-row"),
                self._caption("For the current OpenHands (CLI 1.16.0, SDK 1.58.2):"),
                self._taking,
                bench.box([self._profile, save_profile], "llm-row"),
                bench.box(current, "llm-row"),
                self._caption("For OpenHands 0.41 and this notebook, which read config.toml:"),
                bench.box([save, *earlier], "llm-row"),
                self._message.widget,
                self._saving.box,
                self._place,
                self._text,
                self._as_sent,
                self._front_end,
            ]
        )
        for shown in (self._place, self._text):
            show_if(shown, False)

    def _caption(self, english: str) -> Any:
        made = self._bench.html("llm-caption")
        made.value = escape(self._bench.say(english))
        return made

    def refresh(self, settings: Snapshot) -> None:
        """Take away what was said or asked about other settings than these."""
        values = values_of(settings)
        if self._shown_for not in (None, values):
            self._close()
        self._shown_for = values
        self._show_kept()
        say = self._bench.say
        edited = say(", ").join(say(SETTINGS[name].title) for name in self._bench.draft.edits)
        handed, _ = stand_in.handed_over(settings, with_keys=True)
        notes = (each.message.worded(say) for each in findings(handed))
        self._as_sent.value = "<br>".join(escape(say("{note}.", note=note)) for note in notes)
        self._pending.value = escape(say("Not applied yet: {fields}", fields=edited)) * bool(edited)

    def _show_kept(self) -> None:
        """Offer the files that OpenHands has now, if there are any."""
        names: tuple[str, ...] = ()
        with suppress(SettingError):  # a variable that names no folder; taking says so
            names = tuple(each.name for each in folder.kept())
        if self._kept.options != names:
            chosen = self._kept.value
            self._kept.options = names
            self._kept.value = chosen if chosen in names else next(iter(names), None)
        show_if(self._taking, names)

    def _take(self) -> None:
        """Take what OpenHands has, whole: no edit is mixed with it."""
        self._close()
        taken = folder.take(folder.named(self._kept.value or ""))
        draft, say = self._bench.draft, self._bench.say
        draft.settings.take(taken.layer)
        draft.forget(taken.layer.values)
        told = say("{file} is in use in this session.", file=shown_path(taken.path))
        notes = [say("{note}.", note=each) for each in worded(taken.notes, say)]
        self._message.note(" ".join([told, *notes]))

    def _save_profile(self) -> None:
        self._close()
        name = self._profile.value.strip()
        if not name:
            raise SettingError(self._bench.say("write the name of the profile first"))
        self._saving.open(self._bench.settings(), profile_name=name)

    def save_as(self, settings: Snapshot, group: str) -> None:
        """Offer to save settings as a new group."""
        self._close()
        self._saving.open(settings, group)

    def _apply(self) -> None:
        self._close()
        self._bench.settings()
        self._bench.draft.apply()
        self._message.note(self._bench.say("These settings are in force in this session."))

    def _save(self) -> None:
        self._close()
        self._saving.open(self._bench.settings())

    def _export(self, form: str) -> None:
        self._close()
        settings, left_out = stand_in.handed_over(self._bench.settings(), with_keys=False)
        self._text.value = export.export(settings, form)
        say = self._bench.say
        notes = [say("{note}.", note=each) for each in worded(left_out, say)]
        self._place.value = with_code(" ".join([say(PLACES[form]), *notes]))
        for shown in (self._place, self._text):
            show_if(shown, True)
        self._message.note(self._bench.say("Select the text below and copy it. No key is in it."))
        self._front_end.copy(self._text.value)

    def _copied(self, ok: bool) -> None:
        if ok:
            self._message.note(self._bench.say("Copied. No key is in it."))

    def _close(self) -> None:
        self._shown_for = None  # what is shown next belongs to the settings as they are then
        self._message.note("")
        self._saving.close()
        for shown in (self._place, self._text):
            show_if(shown, False)


class Saving:
    """What saving would change, and the button that does it.

    Attributes:
        box: Its widget, hidden until it is opened.

    Args:
        message: Where it tells what came of it.
        begin: Takes away what was said before.
    """

    def __init__(self, bench: Workbench, message: Message, begin: Callable[[], None]) -> None:
        self._bench = bench
        self._message = message
        self._begin = begin
        self._settings: Snapshot | None = None
        self._left_out: tuple[Text, ...] = ()
        self._group: str | None = None
        self._profile: str | None = None
        self._shown: save.Saved | None = None
        say, tell = bench.say, message.tell
        self._diff = bench.html("llm-diff")
        self._with_key = bench.make(
            ipywidgets.Checkbox,
            description=say("Write the key, too: as plain text, which you alone can read"),
            indent=False,
        )
        self._with_key.observe(self._ticked, "value")
        self._button = bench.button("Write the file", self._write, tell, style="primary")
        buttons = [self._button, bench.button("Cancel", begin, tell)]
        self.box = bench.box([self._diff, self._with_key, bench.box(buttons, "llm-row")])
        self.close()

    def open(
        self, settings: Snapshot, group: str | None = None, profile_name: str | None = None
    ) -> None:
        """Show what saving these settings would change.

        Args:
            settings: The settings.
            group: The group of config.toml that they are saved as, if they are.
            profile_name: The profile of the current OpenHands that they are saved as, if they are.

        Raises:
            SettingError: They cannot be saved.
        """
        settings, self._left_out = stand_in.handed_over(settings, with_keys=True)
        self._settings, self._group, self._profile = settings, group, profile_name
        self._with_key.value = False
        show_if(self._with_key, settings.secrets())
        self._show()
        show_if(self.box, True)

    def close(self) -> None:
        """Hide the diff and its buttons."""
        self._settings = None
        show_if(self.box, False)

    def _show(self) -> None:
        assert self._settings is not None  # noqa: S101 - for mypy: it is open
        say = self._bench.say
        plan = self._shown = self._plan(self._settings)
        self._button.disabled = not (plan.diff or plan.key_written)
        path = shown_path(plan.path)
        title = say("This would change in {path}:", path=path)
        if not plan.diff:
            title = say("Nothing would change in {path}.", path=path)
        lines = "".join(map(_line_html, plan.diff.splitlines()))
        told = worded((*self._left_out, *plan.notes), say)
        notes = "".join(f"<div>{escape(note)}</div>" for note in told)
        self._diff.value = f"<div>{escape(title)}</div><pre tabindex=0>{lines}</pre>{notes}"

    def _plan(self, settings: Snapshot, path: Path | None = None) -> save.Saved:
        with_key = self._with_key.value
        if self._profile is not None:
            return profile.preview(settings, self._profile, with_key=with_key)
        return save.preview(settings, path, group=self._group, with_key=with_key)

    def _ticked(self, change: Mapping[str, Any]) -> None:  # noqa: ARG002 - traitlets' signature
        if self._settings is not None:
            self._bench.run(self._show, self._message.tell)

    def _write(self) -> None:
        if self._settings is None or self._shown is None:
            return
        settings, say, path = self._settings, self._bench.say, self._shown.path
        if self._plan(settings, path) != self._shown:
            self._show()
            raise SettingError(say("The file has changed meanwhile. Look at the change again."))
        with_key = self._with_key.value
        if self._profile is not None:
            profile.save(settings, self._profile, with_key=with_key)
        else:
            save.save(settings, path, group=self._group, with_key=with_key)
        told = [say("Saved {path}.", path=shown_path(path))]
        draft = self._bench.draft
        if self._group is not None:
            draft.settings.use_group(self._group)
            if settings.api_key and not draft.snapshot().api_key:
                told.append(say("The group has no key: it takes none from the environment."))
        if self._profile is None:
            draft.settle()
        self._begin()
        self._message.note(" ".join(told))


def _line_html(line: str) -> str:
    name = {"+": "llm-added", "-": "llm-removed"}.get(line[:1], "")
    return f'<span class="{name}">{escape(line)}</span>\n'
