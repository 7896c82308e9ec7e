"""The panel's texts about one setting: what it is, where it comes from, what it takes."""

from __future__ import annotations

import os
import re
from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.config.layers import EDIT, Origin
from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, masked
from openhands_llm_magic.notebook.settings_table import shown

if TYPE_CHECKING:
    from openhands_llm_magic.config.layers import Found
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting
    from openhands_llm_magic.notebook.language import Language

_TAKES = re.compile(
    r"(?P<kind>.*?)"
    r"(?: from (?P<low>\S+) to (?P<high>\S+)|, (?P<least>\S+) or more)?"
    r"(?P<none>, or none)?"
)


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
    """Give the keys to be masked in what is shown."""
    return [key for key in settings.secrets() if len(key) >= SHORTEST_REAL_KEY]


def origin_words(origin: Origin, say: Language) -> str:
    """Write where a value comes from."""
    match origin.kind:
        case "default" | "session":
            return say(str(origin))
        case "edit":
            return say("edited, not applied yet")
        case "file" if origin.line:
            path = str(origin).removesuffix(f" line {origin.line}")
            return say("{file} line {line}", file=path, line=origin.line)
        case _:
            return str(origin)


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
    """Say why what was typed is refused."""
    text = error
    begins = f"{setting.name} takes {setting.takes}"
    if error.startswith(begins):
        title, kind = say(setting.title), takes_words(setting, say)
        value = error.removeprefix(begins).removeprefix(", not ")
        told = "{title} takes {kind}, not {value}" if value else "{title} takes {kind}"
        text = say(told, title=title, kind=kind, value=value)
    return f'<span role="alert" class="llm-error">{escape(text)}</span>'


def takes_words(setting: Setting, say: Language) -> str:
    """Say what values a setting takes; the parts of `Setting.takes` are translated one by one."""
    parts = _TAKES.fullmatch(setting.takes)
    assert parts is not None  # noqa: S101 - it matches every text
    text = say(parts["kind"])
    if parts["low"]:
        text = say("{kind} from {low} to {high}", kind=text, low=parts["low"], high=parts["high"])
    elif parts["least"]:
        text = say("{kind}, {least} or more", kind=text, least=parts["least"])
    return say("{kind}, or none", kind=text) if parts["none"] else text


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
