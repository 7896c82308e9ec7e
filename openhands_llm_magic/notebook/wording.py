"""What a cell shows of a request while it runs: words in the person's language, and buttons.

The texts are in English in the code, in the words for a script. What a notebook says in other words
is in `CELLS`; `locale/` has the texts of each other language, in the files that translators work
with.
"""

from __future__ import annotations

import html
import json
import math
import os
import re
from collections import defaultdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import save, trust
from openhands_llm_magic.config.providers import Server, is_loopback, provider_of
from openhands_llm_magic.config.resolve import LANGUAGE_VARIABLE
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm import events, explain
from openhands_llm_magic.llm.explain import THROTTLED_BY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.events import Reply, ReplyBuilder, Retrying
    from openhands_llm_magic.llm.worker import Clock, Control, Controls
    from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons


LOCALE = Path(__file__).with_name("locale")

LANGUAGES = ("en", *sorted(path.stem for path in LOCALE.glob("*.po")))

OF_SYSTEM: Mapping[str, str] = {
    "No such file or directory": "there is no such file or folder",
    "Permission denied": "you may not read or write it",
    "Is a directory": "it is a folder",
    "Not a directory": "a folder on its path is a file",
    "File exists": "there is such a file already",
    "File name too long": "its name is too long",
    "Read-only file system": "its disk cannot be written to",
    "No space left on device": "there is no space left on its disk",
    "No closing quotation": "a quotation is not closed",
    "No escaped character": "nothing follows the last backslash",
}
"""What is said in place of the words of the operating system, and of Python."""

CELLS: Mapping[str, str] = {
    **OF_SYSTEM,
    explain.GIVE_KEY: "give one with `%llm_config api_key`",
    explain.OR_GIVE_KEY: "or with `%llm_config api_key`",
    explain.TRY_PRACTICE: "try `-m practice/echo`",
    explain.GIVE_EMBEDDING_KEY: "give one with `--api-key $NAME`",
    explain.TRY_PRACTICE_VECTORS: "try `-m practice/embed`",
    explain.KEPT_IN: "`_`",
    explain.LIFT: "`--over-budget` lets this one pass",
    explain.MORE_ROUNDS: "`--max-rounds` allows more",
    explain.WITHOUT_TOOLS: "leave out `-t`",
    explain.STORE_IT: "Run the cell once with `--cache`",
    trust.TRUST_IT: "If you trust that file, run `%llm_config --trust {path}`",
    explain.THE_SCHEMA: "--schema {name}",
    explain.OUTLASTS: "`%llm_config {command}` would outlast it: they give up after {waits}.",
    explain.EMPTY_PROMPT: "the prompt is empty: write it below `%%llm` or after `%llm`.",
    explain.NO_EMBEDDING_MODEL: (
        "embedding_model is not set: write `-m openai/text-embedding-3-small`, or"
        " `-m practice/embed`, which needs no account."
    ),
    explain.REQUEST_REFUSED: (
        "the request was refused {said}. `%llm_config` shows the settings it was made with, such as"
        " model ({model_from})."
    ),
    explain.SETTING_REFUSED: (
        "the request was refused {said}. Set {named} to another value, or leave it out with"
        " `%llm_config NAME=none`."
    ),
    save.FORCE: "add `--force`",
    save.FORCE_PROFILE: "add `--force`",
    save.KEY_INTO_PROFILE: "add `--with-key` to write the key in use",
    save.WRITE_PROFILE: "Write a profile for it with `%llm_config --to-openhands NAME`",
}
"""What is said in a cell in place of the words for a script."""

PANELS: Mapping[str, str] = {
    **OF_SYSTEM,
    explain.GIVE_KEY: "write it into the field API key",
    explain.OR_GIVE_KEY: "or in the field API key",
    explain.TRY_PRACTICE: "choose the provider Practice",
    explain.LIFT: "empty the field of the limit",
    save.FORCE: "write it with `%llm_config --save --with-key --force`",
    save.FORCE_PROFILE: "use `%llm_config --to-openhands NAME --force`",
    save.KEY_INTO_PROFILE: "use `%llm_config --to-openhands NAME --with-key`",
    trust.TRUST_IT: "If you trust {path}, press the button Trust this file",
}
"""What is said in the settings panel in place of the words for a script."""

_FIELDS = re.compile(rf"\b(?:{'|'.join(name for name in SETTINGS if '_' in name)})\b")
"""The names of settings that cannot be taken for ordinary words."""


class Language:
    """Says texts in one language.

    Args:
        name: A name in `LANGUAGES`.
        place: The words of the place where they are shown, by those for a script.
    """

    def __init__(self, name: str, place: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._place = place or {}
        self._texts = texts_in(name)

    def __call__(self, english: str, /, **values: object) -> str:
        """Translate a text, and put values in the place of the names in its braces.

        A text without a translation, or with one that names other values, stays English.
        """
        english = self._place.get(english, english)
        text = self._texts.get(english, english)
        try:
            return self._filled(text, values)
        except (KeyError, IndexError, ValueError, AttributeError):
            return self._filled(english, values)

    def _filled(self, template: str, values: Mapping[str, object]) -> str:
        return _spaced(template, values).format_map(values) if values else template


_JAPANESE = r"[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]"
_BLANK_AFTER = re.compile(rf"({{(\w+)}}) (?={_JAPANESE})")
_BLANK_BEFORE = re.compile(rf"(?<={_JAPANESE}) ({{(\w+)}})")
_ENDS_JAPANESE = re.compile(rf"{_JAPANESE}\Z")
_BEGINS_JAPANESE = re.compile(_JAPANESE)


def _spaced(template: str, values: Mapping[str, object]) -> str:
    """Leave out the blanks between Japanese and a value that is Japanese itself, such as a title.

    Translations have them for names in Latin letters.
    """

    def after(found: re.Match[str]) -> str:
        return found[1] if _ENDS_JAPANESE.search(str(values[found[2]])) else found[0]

    def before(found: re.Match[str]) -> str:
        return found[1] if _BEGINS_JAPANESE.match(str(values[found[2]])) else found[0]

    return _BLANK_BEFORE.sub(before, _BLANK_AFTER.sub(after, template))


class PanelLanguage(Language):
    """Says errors in the panel's words: settings are called by the titles of their fields.

    Args:
        name: A name in `LANGUAGES`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, PANELS)

    def _filled(self, template: str, values: Mapping[str, object]) -> str:
        if not values:  # they may be a server's own words
            return template
        named = {name: self._title(str(values[name])) for name in values if name == "limit_name"}
        titled = _FIELDS.sub(lambda found: self._title(found[0]), template)
        return super()._filled(titled, {**values, **named})

    def _title(self, setting: str) -> str:
        title = SETTINGS[setting].title
        return self._texts.get(title, title)


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """Return the finished translations into a language, by the English texts."""
    if language == "en":
        return {}
    import polib  # noqa: PLC0415 - English needs it not

    entries = polib.pofile(str(LOCALE / f"{language}.po"), encoding="utf-8")
    return {entry.msgid: entry.msgstr for entry in entries if entry.translated()}


def preferred(env: Mapping[str, str] = os.environ) -> str:
    """Name the language that a person prefers, by LLM_MAGIC_LANG or else by the locale.

    Raises:
        UsageError: LLM_MAGIC_LANG names another than those in `LANGUAGES`.
    """
    if chosen := env.get(LANGUAGE_VARIABLE):
        if chosen not in LANGUAGES:
            told = "{variable} takes {languages}, not {given}."
            known = {"variable": LANGUAGE_VARIABLE, "languages": " or ".join(LANGUAGES)}
            raise UsageError(Text(told, given=repr(chosen), **known))
        return chosen
    # The first that is set counts, as for gettext.
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((env[name] for name in names if env.get(name)), "")
    language = locale[:2].lower()
    return language if language in LANGUAGES else "en"


def prefer(language: str) -> None:
    """Speak a language from now on in this session, whatever the environment began with."""
    os.environ[LANGUAGE_VARIABLE] = language


def language_names() -> list[tuple[str, str]]:
    """Return each language's name in that language, and its name in `LANGUAGES`."""
    return [(_own_name(name), name) for name in LANGUAGES]


def _own_name(language: str) -> str:
    """Return a language's name, or its code where its file has no translation of "English"."""
    say = Language(language)
    told = say("English")
    return language if told == "English" and language != "en" else told


def cell_words() -> Language:
    """Return the words for what a cell shows: English where LLM_MAGIC_LANG names no language."""
    return Language(_preferred_or_english(), CELLS)


def script_words() -> Language:
    """Return the words for what a command prints; see `cell_words` for the language."""
    return Language(_preferred_or_english(), {**OF_SYSTEM, explain.LIFT: CELLS[explain.LIFT]})


def _preferred_or_english() -> str:
    try:
        return preferred()
    except UsageError:  # it is told where a language is asked for, which is the panel
        return "en"


def print_texts(*lines: str) -> None:
    """Print lines of a magic: texts in the person's language, other words as they are."""
    for line in worded(lines, cell_words()):
        print(line)  # noqa: T201 - a magic's output


def worded(lines: Iterable[str], say: Say) -> list[str]:
    """Return lines in other words, where they are texts."""
    return [each.worded(say) if isinstance(each, Text) else each for each in lines]


SET_BY = {"server": "as the server asks", "policy": "by the retry policy"}

CUT_OFF = {
    "length": "cut off at the limit of the answer's tokens: raise max_output_tokens, if it is set",
    "content_filter": "cut off by the provider's content filter",
    "context": "cut off where the model's context, or a limit of the server, was full",
}
"""What is said of an answer with text, by its finish_reason."""

BAR_WIDTH = 10
"""Characters of the bar of a wait."""

TOLD_FROM_S = 0.5
"""Seconds for which a request is held back that are told."""

NOTED_FROM_S = 1.0
"""Seconds for which a request was held back that are worth a note."""

MOST_SAID = 160
"""Characters of a server's words that are shown during a wait."""


def seconds(duration_s: float, say: Say | None = None) -> str:
    """Write a duration with its unit, to a tenth of a second."""
    return (say or cell_words())("{seconds} s", seconds=f"{round(duration_s, 1):g}")


def countdown_words(retrying: Retrying, remaining_s: float, say: Say | None = None) -> str:
    """Write a wait as it is counted down.

    Example: "Rate limit (429): retry 1 of 4 in 3 s, as the server asks".
    """
    say = say or cell_words()
    fault = retrying.caused_by
    told = say(fault.label).removeprefix("a ")
    what = told[:1].upper() + told[1:] + (f" ({fault.status})" if fault.status else "")
    if remaining_s <= 0:
        asking = "{fault}: retry {retry} of {of}, asking again …"
        return say(asking, fault=what, retry=retrying.retry, of=retrying.of)
    return say(
        "{fault}: retry {retry} of {of} in {seconds} s, {set_by}",
        fault=what,
        retry=retrying.retry,
        of=retrying.of,
        seconds=math.ceil(remaining_s),
        set_by=say(SET_BY[retrying.set_by]),
    )


def throttled_words(held: events.Throttled, say: Say | None = None) -> str:
    """Write for how long a request is held back, and why; a moment is not worth a word."""
    say = say or cell_words()
    if held.remaining_s < TOLD_FROM_S:
        return say("asking …")
    left_s = math.ceil(held.remaining_s)
    return say("Held back for {seconds} s, {why}", seconds=left_s, why=say(THROTTLED_BY[held.by]))


def call_words(name: str, arguments: Mapping[str, Any], limit_chars: int) -> str:
    """Write a call as Python does, with values in JSON: `weather(city="Kyoto")`.

    A model may write anything for the name of an argument, so that is in JSON, too, where it could
    be taken for something else.
    """
    written = partial(json.dumps, ensure_ascii=False)
    given = (
        f"{key if key.isidentifier() else written(key)}={written(each)}"
        for key, each in arguments.items()
    )
    words = f"{name}({', '.join(given)})"
    return words if len(words) <= limit_chars else f"{words[:limit_chars]}… ({len(words):,})"


def again_words() -> str:
    """Write what stands between a partial answer, which stays where it is, and the next one."""
    return cell_words()("the answer broke off; asking again")


def correcting_words(problem: str) -> str:
    """Write what stands between an answer that did not fit, and the next."""
    return cell_words()("the answer did not fit ({problem}); asking once more", problem=problem)


def bar(retrying: Retrying, remaining_s: float) -> str:
    """Draw how much of a wait is over, as in "▰▰▰▱▱▱▱▱▱▱"."""
    share = remaining_s / retrying.wait_s if retrying.wait_s > 0 else 0.0
    left = math.ceil(BAR_WIDTH * min(max(share, 0.0), 1.0))
    return "▰" * (BAR_WIDTH - left) + "▱" * left


def said_words(retrying: Retrying, say: Say | None = None) -> str:
    """Return what the server said about the fault, in short, on one line."""
    told = retrying.caused_by.text.worded(say or cell_words())
    return shorten(" ".join(told.split()), MOST_SAID)


def note_words(reply: Reply) -> str:
    """Write the note that stays: how the answer was cut off, and what was waited for.

    Example: "waited 12 s for a rate limit, 2 retries". There is none for an answer as it should be.
    """
    say = cell_words()
    notes = worded(reply.notes, say)
    if reply.error is None and reply.finish_reason in CUT_OFF:
        notes.append(say(CUT_OFF[reply.finish_reason]))
    if reply.throttled_s >= NOTED_FROM_S:
        notes.append(say("held back {duration}", duration=seconds(reply.throttled_s, say)))
    return "; ".join(filter(None, [*notes, waits_words(reply, say)]))


def footer_words(reply: Reply, *, with_time: bool = True) -> str:
    """Write what an answer was made by, took and cost, or "" where that is not to be told.

    Example: "gpt-4o · 1,234 tokens in (1,000 cached), 56 out · about $0.0123 · 2.3 s".

    Args:
        reply: The answer.
        with_time: Whether the seconds are told; a text that nbval compares must not have them.
    """
    if not (reply.has_footer and reply.is_whole and reply.text):
        return ""
    say = cell_words()
    parts = [
        reply.model_answered or reply.model,
        *_host_words(reply, say),
        tokens_words(reply, say),
        cost_words(reply, say),
    ]
    if reply.attempts == 0:
        parts.append(say("stored answer"))
    elif with_time and reply.took_s is not None:
        parts.append(seconds(reply.took_s, say))
    return " · ".join(parts)


def _host_words(reply: Reply, say: Say) -> list[str]:
    """Name the host of an answer that came neither from the provider's own nor this machine."""
    provider = provider_of(reply.model)
    is_own = provider is not None and provider.runs(Server("https", reply.host, 443))
    if not reply.host or is_own or is_loopback(reply.host):
        return []
    return [say("from {host}", host=trust.shown_host(f"https://{reply.host}"))]


def tokens_words(reply: Reply, say: Say) -> str:
    """Write the tokens that an answer took, with those that were cached."""
    usage = reply.usage
    if usage is None:
        return say("tokens not counted")
    counts = {"given": f"{usage.prompt_tokens:,}", "answered": f"{usage.completion_tokens:,}"}
    if not usage.cached_tokens:
        return say("{given} tokens in, {answered} out", **counts)
    cached = f"{usage.cached_tokens:,}"
    return say("{given} tokens in ({cached} cached), {answered} out", cached=cached, **counts)


def cost_words(reply: Reply, say: Say) -> str:
    """Write what an answer cost; a list's price is no price of a server on this machine."""
    if reply.is_local:
        return say("local")
    if reply.cost_usd is None:
        return say("cost unknown")
    usd = explain.usd(reply.cost_usd)
    return say("about {usd}", usd=usd) if reply.cost_told_by == "price list" else usd


def waits_words(reply: Reply, say: Say) -> str:
    """Write what was waited for between attempts, or "" where nothing was."""
    if not reply.waits:
        return ""
    waited: defaultdict[str, float] = defaultdict(float)
    for wait in reply.waits:
        waited[wait.caused_by.label] += wait.wait_s
    causes = say(" and ").join(
        say("{duration} for {fault}", duration=seconds(wait_s, say), fault=say(label))
        for label, wait_s in waited.items()
    )
    if len(reply.waits) == 1:
        return say("waited {causes}, 1 retry", causes=causes)
    return say("waited {causes}, {count} retries", causes=causes, count=len(reply.waits))


AT_ONCE_S = 0.5
"""A step that takes no longer is not shown; for most requests that is each of them."""

QUIET_S = 2.0
"""Seconds without text after which that is said."""


class Progress:
    """Follows the events of a request, and says with seconds what it is doing.

    Attributes:
        said: The server's own words about a fault that is waited for, or "".
        done: How much of the work is done, which stands in front of each step, or "".
    """

    def __init__(self, model: str, clock: Clock) -> None:
        self._clock = clock
        self._say = say = cell_words()
        self._asking = say("asking {model}", model=model)
        self._what = self._fixed = self._before = self.said = self.done = ""
        self._began_s = clock.now()
        self._thinking: ReplyBuilder | None = None
        self._thought = (0, "")  # at which second
        self._begin(self._asking)

    def see(self, event: events.Event, builder: ReplyBuilder) -> None:
        """Take in the next event."""
        match event:
            case events.TextDelta():
                if self._what:
                    self._begin("")
                self._began_s = self._clock.now()
            case events.ReasoningDelta() if self._thinking is None:
                self._begin(self._say("thinking"))
                self._thinking = builder
            case events.Loading() | events.Sending() | events.Accepted():
                self._see_request(event)
            case events.Throttled():
                self._see_held(event)
            case events.Waiting(retrying, remaining_s):
                counted = countdown_words(retrying, remaining_s)
                self._fix(f"{counted} {bar(retrying, remaining_s)}", said_words(retrying))
            case events.Correcting() | events.ToolResult():
                self._begin(self._asking)
            case events.ToolCallBegun() | events.ToolCalled():
                self._see_call(event)
            case _:
                pass

    def _see_call(self, event: events.ToolCallBegun | events.ToolCalled) -> None:
        if isinstance(event, events.ToolCallBegun):
            self._begin(self._say("writing a call of {name}", name=event.name))
        else:
            self._fix(self._say("calling {name} …", name=event.call.tool.name))

    def _see_request(self, event: events.Loading | events.Sending | events.Accepted) -> None:
        match event:
            case events.Loading():
                self._begin(self._say("loading LiteLLM"))
            case events.Sending(model, host):
                self._begin(self._say("connecting to {host}", host=host or model))
            case events.Accepted():
                self._begin(self._say("waiting for the first token"))

    def _see_held(self, held: events.Throttled) -> None:
        if held.remaining_s >= TOLD_FROM_S:
            self._fix(throttled_words(held))
        elif self._fixed:
            self._begin(self._asking)

    def _fix(self, words: str, said: str = "") -> None:
        """Show these words until something else happens."""
        self._begin(words)
        self._fixed, self.said = words, said

    def _begin(self, what: str) -> None:
        self._before = self._step
        self._what, self._began_s = what, self._clock.now()
        self._fixed = self.said = ""
        self._thinking = None

    @property
    def words(self) -> str:
        """What is to be shown now; "" while text comes."""
        return " · ".join(filter(None, (self.done, self._step)))

    @property
    def _step(self) -> str:
        if self._fixed:
            return self._fixed
        lasted_s = self._clock.now() - self._began_s
        second = int(lasted_s)
        if not self._what:
            quiet = self._say("… nothing for {seconds} s", seconds=second)
            return quiet if lasted_s >= QUIET_S else ""
        if self._before and lasted_s < AT_ONCE_S:
            return self._before
        if self._thinking is not None:
            if self._thought[0] != second or not self._thought[1]:  # counting takes a while
                count = f"{self._thinking.words_thought:,}"
                self._thought = second, self._say("thinking … {count} words", count=count)
            return self._thought[1]
        if not second:
            return f"{self._what} …"
        return self._say("{what} … {seconds} s", what=self._what, seconds=second)


Bundle = dict[str, str]
"""What an output shows, by MIME type."""

NO_MATH = 'class="mathjax_ignore tex2jax_ignore"'
"""Keeps MathJax from what a server says between two dollars."""


def status_html(words: str) -> str:
    """Write a line that stands in an output until there is something better."""
    return f"<p {NO_MATH}>{html.escape(words)}</p>"


def note_html(note: str) -> str:
    """Write a note below an answer or a status; an empty one is left out."""
    return f"<p {NO_MATH}><small>{html.escape(note)}</small></p>" if note else ""


def footer_html(footer: str) -> str:
    """Write the quiet line that ends an answer; an empty one is left out."""
    style = 'style="opacity: 0.7"'
    return f"<p {NO_MATH}><small {style}>{html.escape(footer)}</small></p>" if footer else ""


def below_answer(reply: Reply) -> tuple[str, str]:
    """Return what stands below an answer, its note and its footer, as HTML and as text."""
    note = note_words(reply)
    html = note_html(note) + footer_html(footer_words(reply))
    plain = (note, footer_words(reply, with_time=False))
    return html, "\n\n".join(filter(None, plain))


WORTH_A_CLICK_S = 2.5
"""How long a request lasts, or a wait of it, before buttons are made for it, in seconds."""

MOST_IN_VAIN = 2
"""How often in a row buttons are made that no click reaches."""

PATIENCE_S = 5.0
"""How long a front end may take to load the buttons, in seconds."""

HOW_TO_STOP = "Stop it with the interrupt button."

ENDS_IT = {events.Throttled: "Send now", events.Waiting: "Retry now"}
"""What the button says that ends a wait."""


class Clicks:
    """Whether clicks in an output reach the kernel while a cell runs, as one session knows it.

    They do where the kernel has subshells and the front end uses them for widgets: ipykernel 7 with
    JupyterLab 4.4 or Notebook 7.4. Elsewhere a click arrives when the cell has ended. Where they
    were tried in vain twice in a row they are not tried again.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._in_vain = 0

    def heard(self) -> None:
        """Note that clicks get through."""
        self._in_vain = 0

    def give_up(self) -> None:
        """Note that clicks were tried in vain; once, a busy front end may be why."""
        self._in_vain += 1

    @property
    def may_get_through(self) -> bool:
        """Whether clicks may reach the kernel while this cell runs, so that buttons make sense."""
        kernel: Any = getattr(self._shell, "kernel", None)
        if self._in_vain >= MOST_IN_VAIN or "kernel subshells" not in _features(kernel):
            return False
        # Without a cell, nobody watches whatever the settings say; and a notebook that is run by
        # nbclient would keep the widget's state.
        return "cellId" in kernel.get_parent("shell").get("metadata", {})


def _features(kernel: Any) -> list[str]:
    info: dict[str, Any] = getattr(kernel, "kernel_info", {})
    features: list[str] = info.get("supported_features", [])
    return features


class Waits:
    """Has the buttons of a cell's requests: "Stop", and in a wait one that ends it.

    They switch their `control`, where `clicks` say that there may be buttons; `on_stop` is called
    in place of its `cancel`.
    """

    def __init__(
        self,
        clicks: Clicks,
        control: Control | Controls,
        clock: Clock,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self._clicks = clicks
        self._control = control
        self._on_stop = on_stop or control.cancel
        self._clock = clock
        self._began_s = clock.now()
        self._by_number: dict[int, events.Waiting | events.Throttled] = {}
        self._buttons: WaitButtons | None = None
        self._made_at_s = 0.0

    def see(self, event: events.Event, number: int = 0) -> None:
        """Take in an event of a request; of those only a wait can be ended by a button."""
        self._by_number.pop(number, None)
        if isinstance(event, events.Waiting | events.Throttled) and event.remaining_s > 0:
            self._by_number[number] = event

    @property
    def _wait(self) -> events.Waiting | events.Throttled | None:
        """The wait that lasts longest, of those that go on."""
        return max(self._by_number.values(), key=lambda wait: wait.remaining_s, default=None)

    def tick(self) -> None:
        """Make the buttons if it is time, show them if they work, or give them up."""
        if self._buttons is None:
            left_s = self._wait.remaining_s if self._wait else 0.0
            lasts_s = max(left_s, self._clock.now() - self._began_s)
            if lasts_s >= WORTH_A_CLICK_S and self._clicks.may_get_through:
                self._make_buttons()
        elif self._buttons.heard:
            self._clicks.heard()
            say, ends_it = cell_words(), ENDS_IT.get(type(self._wait))
            self._buttons.show(say(ends_it) if ends_it else "")
        elif self._clock.now() - self._made_at_s >= PATIENCE_S:
            self._clicks.give_up()
            self.close()

    @property
    def marker(self) -> str:
        """The class of the element by which the buttons find the cell; "" for no buttons."""
        return self._buttons.marker if self._buttons is not None else ""

    def words_beside(self, said: str) -> str:
        """Add to a server's words how to end a wait, where there are no buttons."""
        has_buttons = self._buttons is not None and self._buttons.heard
        if self._wait is None or has_buttons:
            return said
        return f"{said} {cell_words()(HOW_TO_STOP)}".strip()

    def close(self) -> None:
        """Leave nothing of the buttons."""
        if self._buttons is not None:
            self._buttons.close()
            self._buttons = None

    def _make_buttons(self) -> None:
        # Widgets take 0.1 s to import.
        from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons  # noqa: PLC0415

        stop_text = cell_words()("Stop")
        self._buttons = WaitButtons(self._control.retry_now, self._on_stop, stop_text)
        self._made_at_s = self._clock.now()
