"""What a rule of the check says, and the mistakes that files and variables share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from openhands_llm_magic.config.openhands_file import NOTHING, on_bad_key, titled
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import FILE_VARIABLE
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.setting import MCP, OURS, Setting, described, shorten
from openhands_llm_magic.config.settings import SETTINGS, closest
from openhands_llm_magic.config.width import BLANK
from openhands_llm_magic.errors import SettingError, Text, on_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from openhands_llm_magic.config.document import Document, Origin
    from openhands_llm_magic.config.resolve import Snapshot


SILENTLY = Text("OpenHands would ignore it without a word")
LOGGED = Text("OpenHands would ignore it, and say so in its log")
FAILS = Text("OpenHands would fail at the first prompt")
FAILS_IN_0_41 = Text("OpenHands 0.41 would fail at the first prompt")
TAKEN = Text("OpenHands would take it")
TAKEN_AS_IT_STANDS = Text("OpenHands would take it as it stands, too")
REMOVE = Text("Remove it")
WHAT_IS_NOT_SET = Text("Remove the line: what is not set is none")

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the check found; its texts hold no key.

    Attributes:
        origin: The file and line, or the variable, that the finding is about.
        message: What is wrong, in words.
        fix: What to write instead, in words.
        openhands: What OpenHands would do, in words, or "" where that is not known or the same.
        level: "error" for a value that is ignored or fails, "warning" for one that is probably not
            meant, and "note" for a fact that is good to know.
        setting: The name of the setting that the finding is about, or "" if it is about none.
    """

    origin: Origin
    message: Text
    fix: Text
    openhands: Text = NOTHING
    level: Level = "error"
    setting: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether something should be changed."""
        return self.level != "note"

    @property
    def text(self) -> Text:
        """What is wrong and what to do, in one line that does not say where."""
        told = "{message}. {fix}. {openhands}." if self.openhands else "{message}. {fix}."
        text = Text(told, message=self.message, fix=self.fix, openhands=self.openhands)
        return text.masked(on_one_line)

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table of a config file that holds settings.

    Attributes:
        path: The names in its header, such as ("llm", "fast") for `[llm.fast]`.
        values: Its keys and values, without those that are not for this package to check.
    """

    path: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)

    def consequence(self, openhands: str = "OpenHands") -> Text:
        """Say what a version of OpenHands does about one bad key in this table, or nothing."""
        return on_bad_key(self.path, openhands)


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """What the rules of the check look at: a config file, variables, and what they add up to.

    Attributes:
        document: The config file; without one, an empty document.
        env: The environment.
        in_docker: Whether the process runs in a container.
        settings: The settings in force: those of each group by its name, those of `[llm]` by None.
    """

    document: Document
    env: Mapping[str, str]
    in_docker: bool
    settings: Mapping[str | None, Snapshot]

    @property
    def tables(self) -> Iterator[CheckedTable]:
        """The tables of the config file that hold settings."""
        llm = self.document.table("llm")
        yield CheckedTable(
            ("llm",), {key: each for key, each in llm.items() if not isinstance(each, dict)}
        )
        for group in groups_of(self.document):
            yield CheckedTable(("llm", group), llm[group])
        core = self.document.table("core")  # most of what is in it is not for us
        yield CheckedTable(("core",), {key: each for key, each in core.items() if key in SETTINGS})
        ours = self.document.table(OURS)
        yield CheckedTable((OURS,), {key: each for key, each in ours.items() if key != MCP})


def groups_of(document: Document) -> list[str]:
    """Return the groups, without the tables that a dot in a name, or a dictionary, made."""
    llm = document.table("llm")
    return [
        group
        for group in document.groups
        if not is_dictionary_setting(group)
        and not (llm[group] and all(is_split(document, group, key) for key in llm[group]))
    ]


def is_dictionary_setting(name: str) -> bool:
    """Return whether a setting of this name has a dictionary, and so a table, for its value."""
    return name in SETTINGS and SETTINGS[name].kind == "dict"


def is_split(document: Document, group: str, key: str) -> bool:
    """Return whether a value in a group is a table that a dot in the group's header made."""
    return (
        key not in SETTINGS
        and isinstance(document.table("llm")[group][key], dict)
        and document.has_header("llm", group, key)
    )


RENAMED = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "context_window": "max_input_tokens",
    "context_length": "max_input_tokens",
    "api_base": "base_url",
    "url": "base_url",
    "endpoint": "base_url",
    "host": "base_url",
    "model_name": "model",
    "model_id": "model",
    "retries": "num_retries",
    "max_retries": "num_retries",
    "request_timeout": "timeout",
}
"""The setting that people mean by each key that is not a setting."""

_NAME_PROVIDER = Text("Remove it: the provider stands before the model's name, as in openai/gpt-4o")
_NAME_DEPLOYMENT = Text("Write the deployment's name in model, as in azure/my-deployment")
_WRITE_KEY = Text("Write the key in api_key, or set the variable LLM_API_KEY to it")

ADVICE = {
    "provider": _NAME_PROVIDER,
    "deployment": _NAME_DEPLOYMENT,
    "deployment_name": _NAME_DEPLOYMENT,
    "api_key_env": _WRITE_KEY,
    "api_key_env_var": _WRITE_KEY,
    "draft_editor": Text("Write its settings as a group, [llm.draft_editor]"),
    "config": Text("Name the config file in {variable}", variable=FILE_VARIABLE),
}
"""Advice for each key that people write and that no setting stands for."""

NONE_WORDS = ("None", "null")


def quoted(text: str) -> str:
    """Return a name in quotes, on one line and not too long, for a message."""
    return shorten(repr(text))


def to_copy(value: str) -> str:
    """Return a value in quotes, on one line and whole: half of it would be copied as if it were."""
    return repr(value)


def write(value: str) -> Text:
    """Say what to write, as it is written or in words."""
    return Text("Write {value}", value=value)


def write_kind(kind: Text) -> Text:
    """Say what kind of value to write."""
    return Text("Write {kind}", kind=kind)


def write_one_of(names: Iterable[str]) -> Text:
    """Say that one of these names is to be written."""
    return Text("Write one of: {names}", names=", ".join(names))


def write_under(table: str) -> Text:
    """Say in which table to write a key."""
    return Text("Write it under [{table}]", table=table)


def unknown_key(key: str) -> Text:
    """Say that a table has no such key."""
    return Text("unknown key {key}", key=quoted(key))


def misplaced(key: str, path: tuple[str, ...]) -> Text:
    """Say that a key belongs under another table than that of these names."""
    return Text("{key} does not belong under {header}", key=key, header=titled(path))


def cannot_be(name: str, value: object, *, is_secret: bool = False) -> Text:
    """Say that a field cannot have a value; that of a secret is not shown."""
    shown = Text("this value") if is_secret else described(value)
    return Text("{name} cannot be {value}", name=name, value=shown)


def has_full_width(name: str, mark: str) -> Text:
    """Say that a setting, or a variable, has a full-width character in its value."""
    if mark == BLANK:
        return Text("{name} has a full-width blank (U+3000)", name=name)
    return Text("{name} has a full-width {mark}", name=name, mark=mark)


def cannot_be_of(setting: Setting, value: object) -> Text:
    """Say that a setting cannot have a value."""
    return cannot_be(setting.name, value, is_secret=setting.kind == "secret")


def fault_of(
    setting: Setting, read: Callable[[Any], Any], value: object
) -> Literal["type", "bounds"] | None:
    """Return what is wrong with a value, or None if nothing is.

    Args:
        setting: The setting.
        read: The method of `setting` that converts the value.
        value: The value as the source has it.

    Returns:
        "type" when OpenHands refuses the value, "bounds" when only this package does.
    """
    try:
        result = read(value)
    except SettingError:
        return "type"
    try:
        setting.check(result)
    except SettingError:
        return "bounds"
    return None


NO_GUESS = Text("Remove it: api_key is for the key of the model's own server alone")
"""Advice about a secret under an unknown name; no guess may hand it to the model's server."""


def meant_by(key: str, section: str, value: object = None) -> Setting | Text | None:
    """Return what is meant by an unknown key: a setting, a sentence of advice, or None.

    A key whose name and value may be a secret's is never taken for another setting by its
    spelling: the setting could send it to a server that it is not for.

    Args:
        key: The key, in any case and with any punctuation.
        section: The table that it stands in, or that its variable belongs to.
        value: What it is set to.
    """
    key = key.lower().removeprefix("llm_")
    if section == "llm":
        if key in ADVICE:
            return ADVICE[key]
        key = RENAMED.get(key, key)
    if same := _BY_LETTERS.get(_letters(key)):
        return same
    near = _closest(key, section)
    if isinstance(value, str) and not value.isdecimal() and secrecy(key) >= Secrecy.POSSIBLE:
        alike = near is not None and secrecy(near.name) >= Secrecy.POSSIBLE  # custom_tokeniser
        return near if alike and secrecy(key) < Secrecy.LIKELY else _about_secret(key)
    return near


def _about_secret(key: str) -> Text:
    """Say what to do with a secret that is no setting."""
    variable = key.upper()
    owner = next((each for each in PROVIDERS.values() if variable in each.key_variables), None)
    if owner is None:
        return NO_GUESS
    told = "Remove it, and set the variable {variable}, which LiteLLM reads for {provider}"
    return Text(told, variable=variable, provider=Text(owner.called))


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


_BY_LETTERS = {_letters(name): each for name, each in SETTINGS.items()}


def _closest(key: str, section: str) -> Setting | None:
    names = [
        each.name for each in SETTINGS.values() if each.section == section and each.kind != "secret"
    ]
    close = closest(key, names)
    return SETTINGS[close] if close else None
