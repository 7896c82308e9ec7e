"""The panel's sections of settings: the basic ones, the retry policy, the others, and groups."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING

import ipywidgets

from openhands_llm_magic.config import keychain, schedule, verified, withdrawn
from openhands_llm_magic.config.check import check_settings
from openhands_llm_magic.config.layers import BASE_GROUP
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings, resolve
from openhands_llm_magic.config.settings import SETTINGS, TOPICS
from openhands_llm_magic.errors import SettingError, UsageError
from openhands_llm_magic.llm.limits.advice import taken_by
from openhands_llm_magic.llm.litellm.models import models_of
from openhands_llm_magic.llm.openhands.sdk import SDK
from openhands_llm_magic.llm.practice import stand_in
from openhands_llm_magic.notebook.panel.field import origin_words
from openhands_llm_magic.notebook.panel.parts import Section, Workbench, show_if, with_code
from openhands_llm_magic.notebook.panel.served import ServedModels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting
    from openhands_llm_magic.notebook.language import Language
    from openhands_llm_magic.notebook.panel.field import Field


UNLISTED = ("api_key", "base_url", "custom_llm_provider")
"""What a provider may ask for that is not in the catalogue."""


class Basic(Section):
    """Provider, model, key, and the rest of what the provider asks for."""

    def __init__(self, bench: Workbench, field: Callable[[str], Field]) -> None:
        self._bench = bench
        self._field = field
        self._shows_itself = False
        say = bench.say
        titles = [(say(each.title), name) for name, each in PROVIDERS.items()]
        options = [*titles, (say("Another provider"), "")]
        self._providers = bench.make(
            ipywidgets.Dropdown, options=options, description=say("Provider")
        )
        self._providers.observe(self._choose, "value")
        self._guide = bench.html("llm-guide")
        self._asked = bench.box([])
        self._served = ServedModels(bench, lambda names: field("model").offer(names))
        self._message = bench.message()
        self._keyring = self._keyring_buttons()
        self.box = bench.box(
            [
                bench.heading("Model and provider"),
                self._providers,
                self._guide,
                self._message.widget,
                self._asked,
                self._keyring,
            ]
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The settings that are shown here now."""
        return self._names(self._bench.draft.snapshot())

    def _names(self, settings: Snapshot) -> tuple[str, ...]:
        provider = self._bench.choice.provider(settings)
        if provider is None:
            asked: tuple[str, ...] = UNLISTED
        elif provider.local and provider is not PROVIDERS["practice"]:
            asked = ("base_url", "api_key")  # servers of one's own may be anywhere, and take a key
        else:
            asked = provider.asks_for
        return ("model", *asked)

    def refresh(self, settings: Snapshot) -> None:
        """Show the provider of these settings, and the fields that the provider needs."""
        provider = self._bench.choice.provider(settings)
        self._shows_itself = True
        try:
            self._providers.value = provider.name if provider else ""
        finally:
            self._shows_itself = False
        self._guide.value = self._guide_html(provider, settings)
        self._served.refresh(settings)
        known = self._served.names or (models_of(provider) if provider else ())
        whole = self._bench.choice.with_prefix(settings)
        self._field("model").offer((whole, *known) if whole else known)
        if provider:
            self._field("model").hint(provider.example)
            self._field("base_url").hint(provider.base_url_form)
        names = self._names(settings)
        show_if(self._keyring, keychain.is_installed() and "api_key" in names)
        model, *others = (self._field(name).box for name in names)
        fields = (model, self._served.box, *others)
        if self._asked.children != fields:
            self._asked.children = fields

    def _choose(self, change: Mapping[str, Any]) -> None:
        with self._bench.lock:
            if not self._shows_itself:
                self._bench.run(lambda: self._set_up(change["new"]), self._message.tell)

    def _set_up(self, name: str) -> None:
        """Lead the settings to a provider, and say what becomes of a key."""
        bench, say = self._bench, self._bench.say
        self._message.note("")
        if not name:
            raise UsageError(self._unlisted_guide())
        provider, typed = PROVIDERS[name], "api_key" in bench.draft.edits
        before = bench.choice.choose(provider)
        settings = bench.draft.snapshot()
        if before and typed:
            told = "The key that was typed for {provider} was taken away."
            self._message.note(say(told, provider=say(before.called)))
        elif before and settings.api_key and "api_key" in provider.asks_for:
            origin = origin_words(settings.origin("api_key"), say)
            told = "The API key is still the one from {origin}. Is it a key of {provider}?"
            self._message.note(say(told, origin=origin, provider=say(provider.called)))

    def _guide_html(self, provider: Provider | None, settings: Snapshot) -> str:
        say = self._bench.say
        lines = [with_code(say(provider.guide) if provider else self._unlisted_guide())]
        if provider:
            mistake = say("The usual mistake: {mistake}", mistake=say(provider.mistake))
            lines.append(with_code(mistake))
            lines += [escape(line) for line in verified_words(provider, say)]
        whole = self._bench.choice.with_prefix(settings)
        of_practice = stand_in.left_over(settings)
        if replaced := stand_in.stood_in_for(settings.base_url):
            told = (
                "The practice server on this machine answers in place of {provider}, and is not a"
                " language model. `%llm_config --reset` ends that."
            )
            line = with_code(say(told, provider=say(replaced.called)))
            lines.insert(0, f'<span class="llm-warning">{line}</span>')
        found = [
            each
            for each in check_settings(settings)
            if each.setting not in of_practice and not (whole and each.setting == "model")
        ]
        warnings: list[str] = [each.text.worded(say) for each in found if each.is_problem]
        if whole and provider:
            told = "Write {model}: without {prefix} in front, the model names no provider."
            warnings.insert(0, say(told, model=whole, prefix=provider.prefix))
        if stranger := self._bench.choice.stranger(settings):
            warnings.insert(0, self._bench.base_url_words(stranger))
        lines += [f'<span class="llm-warning">{with_code(warning)}</span>' for warning in warnings]
        notes = [each for each in found if each.setting == "base_url" and not each.is_problem]
        lines += [with_code(each.text.worded(say)) for each in notes]
        return "<br>".join(lines)

    def _unlisted_guide(self) -> str:
        return self._bench.say(
            "Write the model as LiteLLM names it, with its provider, as in cerebras/llama3.1-8b."
        )

    def _keyring_buttons(self) -> Any:
        bench, tell = self._bench, self._message.tell
        buttons = [
            bench.button("Keep the key in the keyring", self._keep, tell),
            bench.button("Take the key from the keyring", self._take, tell),
        ]
        return bench.box(buttons, "llm-row")

    def _keep(self) -> None:
        settings, say = self._bench.settings(), self._bench.say
        if not settings.api_key:
            raise SettingError(say("There is no API key to keep."))
        keychain.keep(keychain.name_for(settings), settings.api_key)
        self._message.note(say("The key is kept in the keyring."))

    def _take(self) -> None:
        draft, say = self._bench.draft, self._bench.say
        draft.edit("api_key", keychain.key_for(self._bench.settings()))
        self._message.note(say("The key was taken from the keyring."))


MOST_NAMES = 4
"""Verified models of one list that are named; the field offers all of them."""


def verified_words(provider: Provider, say: Language) -> list[str]:
    """Say which of a provider's models OpenHands lists as verified, a line for each list."""
    lines = []
    for listed in verified.LISTS:
        names = [model for model in provider.verified_models if model in listed.models]
        if names:
            named = say(", ").join(_with_remark(each, say) for each in names[:MOST_NAMES])
            named += " …" if len(names) > MOST_NAMES else ""
            told = "{title} lists as verified ({date}): {names}"
            lines.append(say(told, title=listed.title, date=listed.as_of, names=named))
    return lines


def _with_remark(model: str, say: Language) -> str:
    """Return a model's name, with what is to be said of its end."""
    remark = withdrawn.remark(model, withdrawn.today())
    return say("{model} ({remark})", model=model, remark=remark.worded(say)) if remark else model


RETRY_NAMES = ("num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier")

MOST_SHOWN = 8
"""Waits that are listed and drawn; the others are counted."""

MOST_ADDED = 1_000
"""Waits whose sum is told."""


class Retries(Section):
    """The four settings of the policy, and what they make of a rate limit."""

    def __init__(self, bench: Workbench, field: Callable[[str], Field]) -> None:
        self._say = bench.say
        self._preview = bench.html("llm-preview")
        fields = bench.box([field(name).box for name in RETRY_NAMES], "llm-pairs")
        self.box = bench.box([bench.heading("Retries"), self._preview, fields])

    def refresh(self, settings: Snapshot) -> None:
        """Show the waits before each retry, here and in OpenHands."""
        say, most = self._say, MOST_ADDED + 1
        retries = range(1, min(settings.num_retries, most) + 1)
        ours_s = [schedule.our_wait_s(settings, retry) for retry in retries]
        theirs_s = [*islice(schedule.openhands_waits_s(settings), most)]
        lines = [schedule_words(ours_s, say)]
        if ours_s != theirs_s:
            told = "OpenHands itself counts attempts, not retries. It would do: {schedule}"
            lines.append(say(told, schedule=schedule_words(theirs_s, say)))
        sdks_s = [*islice(schedule.openhands_waits_s(taken_by(SDK, settings)), most)]
        if sdks_s != theirs_s:
            told = "{version} takes other values for what nobody has set: {schedule}"
            words = schedule_words(sdks_s, say)
            lines.append(say(told, version=SDK.title, schedule=words))
        if schedule.has_client_retries(settings):
            all_s = [*islice(schedule.openhands_client_waits_s(settings), most)]
            told = (
                "OpenHands 0.41 waits as long between its attempts, and {more} s more within them,"
                " as its client sends each attempt three times: {schedule}. Within an attempt, the"
                " client waits as long as the server asks for."
            )
            more = f"{sum(schedule.CLIENT_WAITS_S) * max(settings.num_retries, 1):g}"
            lines.append(say(told, more=more, schedule=schedule_words(all_s, say)))
        self._preview.value = _bar(ours_s) + "".join(f"<div>{escape(line)}</div>" for line in lines)


def schedule_words(waits_s: Sequence[float], say: Language) -> str:
    """Write the waits, as in "5 s, 10 s, 20 s, 30 s: gives up after 65 s"."""
    if not waits_s:
        return say("no retry: gives up at the first failure")
    listed = [say("{seconds} s", seconds=f"{wait_s:g}") for wait_s in waits_s[:MOST_SHOWN]]
    if len(waits_s) > MOST_ADDED:
        return say(
            "{waits} … more than {count} retries", waits=say(", ").join(listed), count=MOST_ADDED
        )
    if len(waits_s) > MOST_SHOWN:
        listed.append(say("… ({count} retries)", count=len(waits_s)))
    total = f"{sum(waits_s):g}"
    return say("{waits}: gives up after {total} s", waits=say(", ").join(listed), total=total)


def _bar(waits_s: Sequence[float]) -> str:
    """Draw the waits in proportion, with the attempts between them."""
    shown_s = waits_s[:MOST_SHOWN]
    waits = "".join(f'<i style="flex-grow:{wait_s:g}"></i><b></b>' for wait_s in shown_s)
    return f'<div class="llm-bar" aria-hidden="true"><b></b>{waits}</div>'


class Advanced(Section):
    """The settings that are shown nowhere else; their fields are made when it is opened.

    Args:
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
        elsewhere = {*RETRY_NAMES, *self._elsewhere()}
        refused = self._bench.draft.refused
        return [self._field(name).box for name in refused if name not in elsewhere]

    def _widgets(self) -> list[Any]:
        taken = {*RETRY_NAMES, *self._elsewhere()}
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


class Groups(Section):
    """The group in use, and the buttons that make one.

    Attributes:
        new: The widget of a new group.

    Args:
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
        return [name for name in groups if name != BASE_GROUP]  # [llm.llm] is [llm] itself

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
