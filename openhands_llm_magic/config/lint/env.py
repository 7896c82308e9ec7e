"""Rules about environment variables: is each read, and with the value that is meant?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import BOM, Origin
from openhands_llm_magic.config.layers import env_layer
from openhands_llm_magic.config.lint import finding
from openhands_llm_magic.config.lint.value import COUNTED, WITHOUT_IT, Wrapping, wrapping_of
from openhands_llm_magic.config.openhands_file import (
    FORMER_NAMES,
    IGNORED_TOO,
    NOTHING,
    SECTIONS,
    section_of,
    titled,
)
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import OTHER_VARIABLES
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.setting import OURS, Setting, described
from openhands_llm_magic.config.settings import SETTINGS, closest
from openhands_llm_magic.config.width import wide_mark
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

BOOLEANS = ("true", "1", "false", "0", "no", "off", "n", "f")
"""The words that OpenHands reads as they are meant; every other one, "yes" too, is false."""

UNSET = Text("Unset it")


def unknown_variables(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find LLM_* variables that nothing reads."""
    known = {*OTHER_VARIABLES, *(setting.variable for setting in SETTINGS.values())}
    for name, text in subject.env.items():
        if name.startswith(BOM):
            yield finding.Finding(
                Origin("environment", name.strip(BOM)),
                Text("a byte order mark (BOM) stands before its name, so that nothing finds it"),
                Text('Save the file that it comes from as "UTF-8", not as "UTF-8 with BOM"'),
                finding.SILENTLY,
            )
        elif text and name.startswith("LLM_") and name not in known:
            yield _unknown_variable(subject, name, text)
        elif text and (fix := _field_meant(name)) is not None:
            origin = Origin("environment", name)
            message = Text("unknown variable")
            yield finding.Finding(origin, message, fix, finding.SILENTLY, "warning")


def _field_meant(name: str) -> Text | None:
    """Say what to set in place of a variable like one of another section, or None if it is read."""
    for section in SECTIONS.values():
        field = name.removeprefix(section.variable_prefix).lower()
        # Other programs read MCP_* variables, too.
        is_ours = section.variable_prefix and section.name != "mcp" and field != name.lower()
        if not is_ours or field in section.fields or secrecy(field) >= Secrecy.POSSIBLE:
            continue
        meant = FORMER_NAMES.get(
            name.lower(), FORMER_NAMES.get(field, closest(field, section.fields))
        )
        home = section if meant in section.fields else section_of(meant)
        return _set(home.variable_prefix + meant.upper()) if home else None
    return None


def _unknown_variable(subject: finding.Subject, name: str, text: str) -> finding.Finding:
    is_ours = name.startswith("LLM_MAGIC_")
    key = name.removeprefix("LLM_").removeprefix("MAGIC_").removeprefix("CONFIG_").lower()
    if group_fix := _of_group(subject, key):
        origin, message = Origin("environment", name), Text("unknown variable")
        return finding.Finding(origin, message, group_fix, finding.SILENTLY, "warning")
    meant = finding.meant_by(key, OURS if is_ours else "llm", text)
    fix = _set(meant.variable) if isinstance(meant, Setting) else meant
    if key not in SETTINGS and (home := section_of(key)) is not None:
        fix = _set(home.variable_prefix + key.upper())
    origin = Origin("environment", name)
    if fix or is_ours:
        openhands = NOTHING if is_ours else finding.SILENTLY
        message = Text("unknown variable")
        return finding.Finding(origin, message, fix or UNSET, openhands, "warning")
    message = Text("unknown variable, perhaps of another program")
    fix = Text("Unset it if it was meant for OpenHands")
    return finding.Finding(origin, message, fix, finding.SILENTLY, "note")


def _of_group(subject: finding.Subject, key: str) -> Text | None:
    """Say where to write the setting of a group, as LLM_FAST_MODEL means one of `[llm.fast]`."""
    for group in subject.document.groups:
        setting = key.removeprefix(re.sub(r"\W", "_", group.lower()) + "_")
        if setting != key and setting in SETTINGS:
            header = titled(("llm", group))
            return Text("Write {name} under {header}", name=setting, header=header)
    return None


def _set(variable: str) -> Text:
    return Text("Set {variable}", variable=variable)


def bad_variables(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find variables whose values are of another type or out of bounds."""
    for setting, text in _variables(subject.env):
        fault = finding.fault_of(setting, setting.from_env, text)
        openhands = finding.TAKEN
        if fault == "type":
            openhands = IGNORED_TOO
        if setting.ours or setting.kind in ("list", "dict"):
            openhands = NOTHING  # what it makes of a bad list depends on the list
        if setting.kind not in ("str", "secret") and wrapping_of(text) is Wrapping.QUOTES:
            message = Text("the quotes around {name} count as part of it", name=setting.name)
            yield _about(setting, message, Text("Set it without quotes"), openhands)
        elif text in finding.NONE_WORDS and setting.kind != "bool":
            message = Text('it is the text "{text}", which is not the same as none', text=text)
            yield _about(setting, message, UNSET, openhands)
        elif fault:
            fix = Text("Set it to {kind}, or unset it", kind=setting.value_kind)
            yield _about(setting, finding.cannot_be_of(setting, text), fix, openhands)
        elif setting.kind == "bool" and text.lower() not in BOOLEANS:
            told = "{value} counts as false: only true and 1 are true"
            fix = Text("Set it to true or false, or unset it")
            yield _about(setting, Text(told, value=described(text)), fix, level="warning")


def embedding_variables(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find variables that OpenHands' documentation names and that OpenHands no longer reads."""
    for setting, _ in _variables(subject.env):
        if setting.topic == "embedding":
            message = Text("OpenHands' documentation names it, and OpenHands 0.41 does not read it")
            yield _about(setting, message, Text("Unset it, or keep it"), level="note")


def variables_beside_groups(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find variables that do not apply to a group, although the group does not set them itself."""
    groups = {name: each for name, each in subject.settings.items() if name is not None}
    llm = subject.document.table("llm")
    for name, found in env_layer(subject.env).values.items():
        missed = [
            titled(("llm", group))
            for group, settings in groups.items()
            if name not in llm[group] and getattr(settings, name) != found.value
        ]
        if missed and SETTINGS[name].section == "llm":
            yield finding.Finding(
                found.origin,
                Text(
                    "it does not reach {groups}: groups take nothing from LLM_* variables",
                    groups=", ".join(missed),
                ),
                Text("Write {name} under [llm], which groups inherit, or in the group", name=name),
                Text("OpenHands would leave it out there, too"),
                "warning",
                name,
            )


def providers_keys(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find a provider's own variable of a key, such as AZURE_API_KEY, with marks around the key."""
    names = dict.fromkeys(name for each in PROVIDERS.values() for name in each.key_variables)
    for name in names:
        text = subject.env.get(name, "")
        around = wrapping_of(text)
        if around is not None:
            message = Text(COUNTED[around], name=name)
            fix = Text(WITHOUT_IT[around])
        elif mark := wide_mark(text):
            message = finding.has_full_width(name, mark)
            fix = Text("Write it again, with the input method off")
        else:
            continue
        openhands = Text("OpenHands would take them, too")
        if around is None:
            openhands = finding.TAKEN_AS_IT_STANDS
        origin = Origin("environment", name)
        yield finding.Finding(origin, message, fix, openhands, "warning")


RULES: tuple[Callable[[finding.Subject], Iterable[finding.Finding]], ...] = (
    unknown_variables,
    bad_variables,
    embedding_variables,
    variables_beside_groups,
    providers_keys,
)


def _variables(env: Mapping[str, str]) -> Iterator[tuple[Setting, str]]:
    for setting in SETTINGS.values():
        if text := env.get(setting.variable):
            yield setting, text


def _about(
    setting: Setting,
    message: Text,
    fix: Text,
    openhands: Text = NOTHING,
    level: finding.Level = "error",
) -> finding.Finding:
    origin = Origin("environment", setting.variable)
    return finding.Finding(origin, message, fix, openhands, level, setting.name)
