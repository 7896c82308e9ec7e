"""The panel's texts about one setting: what it is, where it comes from, what it takes."""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING

from openhands_llm_magic.config.providers import provider_of
from openhands_llm_magic.config.resolve import EDIT
from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, masked
from openhands_llm_magic.errors import Text
from openhands_llm_magic.notebook.settings_table import shown

if TYPE_CHECKING:
    from openhands_llm_magic.config.document import Origin
    from openhands_llm_magic.config.resolve import Found, Snapshot
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
    return f'<span role="alert" class="llm-error">{escape(error)}</span>'


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
