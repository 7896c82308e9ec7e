"""Rules about environment variables: is each read, and with the value that is meant?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import BOM, Origin
from openhands_llm_magic.config.lint import finding
from openhands_llm_magic.config.lint.value import wrapping_of
from openhands_llm_magic.config.openhands_file import section_of
from openhands_llm_magic.config.resolve import OTHER_VARIABLES, env_layer
from openhands_llm_magic.config.setting import OURS, Setting, described
from openhands_llm_magic.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

BOOLEANS = ("true", "1", "false", "0", "no", "off", "n", "f")
"""The words that OpenHands reads as they are meant; every other one, "yes" too, is false."""


def unknown_variables(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find LLM_* variables that nothing reads."""
    known = {*OTHER_VARIABLES, *(setting.variable for setting in SETTINGS.values())}
    for name, text in subject.env.items():
        if name.startswith(BOM):
            yield finding.Finding(
                Origin("environment", name.strip(BOM)),
                "a byte order mark (BOM) stands before its name, so that nothing finds it",
                'Save the file that it comes from as "UTF-8", not as "UTF-8 with BOM"',
                finding.SILENTLY,
            )
        elif text and name.startswith("LLM_") and name not in known:
            key = name.removeprefix("LLM_").removeprefix("MAGIC_").lower()
            section = OURS if name.startswith("LLM_MAGIC_") else "llm"
            meant = finding.meant_by(key, section, text)
            fix = f"Set {meant.variable}" if isinstance(meant, Setting) else meant
            if (home := section_of(key)) is not None:
                fix = f"Set {home.variable_prefix}{key.upper()}"
            ours = section == OURS
            yield finding.Finding(
                Origin("environment", name),
                "unknown variable" + ("" if fix or ours else ", perhaps of another program"),
                fix or "Unset it" + " if it was meant for OpenHands" * (not ours),
                "" if ours else finding.SILENTLY,
                "warning" if fix or ours else "note",
            )


def bad_variables(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find variables whose values are of another type or out of bounds."""
    for setting, text in _variables(subject.env):
        fault = finding.fault_of(setting, setting.from_env, text)
        taken = "OpenHands would ignore it, too" if fault == "type" else "OpenHands would take it"
        # What it makes of a bad list depends on the list.
        openhands = "" if setting.ours or setting.kind in ("list", "dict") else taken
        if setting.kind not in ("str", "secret") and wrapping_of(text) == "quotes":
            message = f"the quotes around {setting.name} count as part of it"
            yield finding.Finding(_origin(setting), message, "Set it without quotes", openhands)
        elif text in finding.NONE_WORDS and setting.kind != "bool":
            message = f'it is the text "{text}", which is not the same as none'
            yield finding.Finding(_origin(setting), message, "Unset it", openhands)
        elif fault:
            fix = f"Set it to {setting.takes.removesuffix(', or none')}, or unset it"
            yield finding.Finding(
                _origin(setting), finding.cannot_be(setting, text), fix, openhands
            )
        elif setting.kind == "bool" and text.lower() not in BOOLEANS:
            message = f"{described(text)} counts as false: only true and 1 are true"
            fix = "Set it to true or false, or unset it"
            yield finding.Finding(_origin(setting), message, fix, level="warning")


def embedding_variables(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find variables that OpenHands' documentation names and that OpenHands no longer reads."""
    for setting, _ in _variables(subject.env):
        if setting.topic == "embedding":
            message = "OpenHands' documentation names it, and OpenHands 0.41 does not read it"
            yield finding.Finding(_origin(setting), message, "Unset it, or keep it", level="note")


def variables_beside_groups(subject: finding.Subject) -> Iterator[finding.Finding]:
    """Find variables that do not apply to a group, although the group does not set them itself."""
    groups = {name: each for name, each in subject.settings.items() if name is not None}
    llm = subject.document.table("llm")
    for name, found in env_layer(subject.env).values.items():
        missed = [
            finding.titled(("llm", group))
            for group, settings in groups.items()
            if name not in llm[group] and getattr(settings, name) != found.value
        ]
        if missed and SETTINGS[name].section == "llm":
            yield finding.Finding(
                found.origin,
                f"it does not reach {', '.join(missed)}: groups take nothing from LLM_* variables",
                f"Write {name} under [llm], which groups inherit, or in the group",
                "OpenHands would leave it out there, too",
                "warning",
            )


RULES: tuple[Callable[[finding.Subject], Iterable[finding.Finding]], ...] = (
    unknown_variables,
    bad_variables,
    embedding_variables,
    variables_beside_groups,
)


def _variables(env: Mapping[str, str]) -> Iterator[tuple[Setting, str]]:
    for setting in SETTINGS.values():
        if text := env.get(setting.variable):
            yield setting, text


def _origin(setting: Setting) -> Origin:
    return Origin("environment", setting.variable)
