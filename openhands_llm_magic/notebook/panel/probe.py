"""The panel's probes: whether the model that is shown will do for OpenHands."""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import LLMMagicError, Text
from openhands_llm_magic.llm.events import Throttled, Waiting
from openhands_llm_magic.llm.probe.result import Report
from openhands_llm_magic.llm.probe.run import ProbeBegan, ProbeEnded, estimate, probe, require_room
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Control
from openhands_llm_magic.notebook import probe_table, wording
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.probe.result import Result
    from openhands_llm_magic.llm.worker import Clock

THREAD = "probes of the model"
"""The name of the thread that reckons, and of the one that probes."""

CURES = ("native_tool_calling", "model")
"""The settings that can cure what probes find, each with a button of its own."""


class ProbeSection(Section):
    """Says what probes would take at most, makes them, and sets what cures a failure.

    It reckons and probes on a thread, which sets traits of widgets alone.

    Args:
        bench: What the sections share.
        ended: Called on that thread when the probes are over.
        clock: Measures and makes the waits.
    """

    def __init__(
        self, bench: Workbench, ended: Callable[[], None], clock: Clock | None = None
    ) -> None:
        self._bench = bench
        self._tell_end = ended
        self._clock = clock or SYSTEM_CLOCK
        self._control = Control()  # of what runs
        self._settings: Snapshot | None = None  # that were reckoned or probed with
        self._report: Report | None = None
        self._lock = threading.Lock()  # of what runs and what is shown of it
        say = bench.say
        self._message = bench.message()
        tell = self._message.tell
        self._shown = bench.html("llm-probes")
        self._others = bench.html("llm-warning")
        tip = say("Says first what it takes at most; nothing is sent yet")
        ask = bench.button("Probe the model …", self._ask, tell, tip=tip, style="primary")
        self._stop = bench.button("Stop the probes", self.stop, tell)
        self._asking = bench.box([ask, self._stop], "llm-row", "llm-probing")
        begin = bench.button("Send them", self._begin, tell, style="primary")
        cancel = bench.button("Cancel", self._cancel, tell, tip=say("Send no probes"))
        self._sure = bench.box([begin, cancel], "llm-row")
        self._cures = {name: self._cure(name) for name in CURES}
        self.box = bench.box(
            [
                bench.heading("Will it work for OpenHands?"),
                self._asking,
                self._others,
                self._shown,
                self._sure,
                *(box for box, _ in self._cures.values()),
                self._message.widget,
            ]
        )
        for part in (self._sure, self._stop, *(box for box, _ in self._cures.values())):
            show_if(part, False)

    def _cure(self, name: str) -> tuple[Any, Any]:
        """Make the row that sets a setting, with its text."""
        title = self._bench.say(SETTINGS[name].title)
        tip = self._bench.say("Put it into the field {title}", title=title)
        use = partial(self._use, name)
        button = self._bench.button("Use this", use, self._message.tell, tip=tip)
        text = self._bench.html("llm-text")
        return self._bench.box([text, button], "llm-row"), text

    def refresh(self, settings: Snapshot) -> None:
        """Say whether what is shown is of other settings, and which cures are not set yet."""
        say, probed = self._bench.say, self._settings
        self._others.value = ""
        if probed and self._shown.value and values_of(probed) != values_of(settings):
            told = "This is of {model}, with other settings than those that are shown here now."
            self._others.value = escape(say(told, model=probed.model))
        cures = self._report.cures if self._report else {}
        for name, (box, text) in self._cures.items():
            value = cures.get(name)
            is_new = name in cures and value != getattr(settings, name)
            shown = str(value).lower() if isinstance(value, bool) else value
            title = say(SETTINGS[name].title)
            cured = say("{title} = {value} would cure it:", title=title, value=shown)
            text.value = escape(cured) if is_new else ""
            show_if(box, is_new)

    def _ask(self) -> None:
        """Begin to reckon what the probes would take.

        Raises:
            SettingError: A value was refused.
        """
        settings = self._bench.settings()
        control = self._replace(settings)
        self._shown.value = escape(self._bench.say("Reckoning …"))
        self._start(self._reckon, settings, control)

    def _begin(self) -> None:
        """Begin to probe, with the settings that were reckoned with."""
        if self._settings is not None:
            settings = self._settings
            control = self._replace(settings)
            show_if(self._stop, True)
            self._start(self._probe, settings, control)

    def _cancel(self) -> None:
        self._replace(None)

    def stop(self) -> None:
        """Stop the probes, if they run; what came of them is shown."""
        self._control.cancel()

    def _replace(self, settings: Snapshot | None) -> Control:
        """Take away what was shown, and let nothing go on that shows more."""
        self.stop()
        self._message.note("")
        with self._lock:
            self._control, self._settings, self._report = Control(), settings, None
            self._shown.value = ""
            for part in (self._sure, self._stop):
                show_if(part, False)
            return self._control

    def _start(self, work: Callable[..., None], settings: Snapshot, control: Control) -> None:
        run = contextvars.copy_context().run  # no output of it belongs to a cell
        args = (work, settings, control)
        threading.Thread(target=run, args=args, name=THREAD, daemon=True).start()

    def _reckon(self, settings: Snapshot, control: Control) -> None:
        try:
            most = estimate(settings)
            require_room(settings, [most])
            told = probe_table.estimated(most)
        except LLMMagicError as error:
            words = error.text.worded(self._bench.errors)
            self._tell(control, f'<div role="alert" class="llm-error">{escape(words)}</div>')
            return
        words = escape(told.worded(self._bench.say))
        self._tell(control, f'<div role="status">{words}</div>', sure=True)

    def _probe(self, settings: Snapshot, control: Control) -> None:
        results: list[Result] = []
        title: Text | None = None
        say = self._bench.say
        for event in probe(settings, self._clock, control):
            wait = ""
            match event:
                case Report():
                    self._end(event, control)
                case ProbeBegan(title=title):
                    pass
                case ProbeEnded(result):
                    results.append(result)
                    title = None
                case Waiting(retrying, remaining_s):
                    wait = wording.countdown_words(retrying, remaining_s, say)
                case Throttled():
                    wait = wording.throttled_words(event, say)
                case _:
                    continue
            if not isinstance(event, Report):
                told = (probe_table.progress(results, title, say), wait)
                self._tell(control, "".join(f"<div>{escape(each)}</div>" for each in told))

    def _end(self, report: Report, control: Control) -> None:
        shown = probe_table.shown(report, self._bench.errors)
        with self._lock:
            if self._control is not control:
                return
            self._report = report
            self._shown.value = f'<div role="status">{shown.html}</div>'
            show_if(self._stop, False)
        self._tell_end()

    def _tell(self, control: Control, shown: str, *, sure: bool = False) -> None:
        """Show how far it is, unless something else has taken its place."""
        with self._lock:
            if self._control is control:
                self._shown.value = shown
                show_if(self._sure, sure)

    def _use(self, name: str) -> None:
        """Put a cure into its field; it is in force once the person applies it."""
        if self._report is not None and name in self._report.cures:
            self._bench.draft.edit(name, self._report.cures[name])
            title = self._bench.say(SETTINGS[name].title)
            told = self._bench.say("{title} is set here, not applied yet.", title=title)
            self._message.note(told)
