"""Write what follows from the code: `make docs` runs this.

The page and the types of the settings come from their declarations, the page of faults from the
table that the tests play.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic import config
from openhands_llm_magic.config.resolve import OTHER_VARIABLES
from openhands_llm_magic.config.settings import SETTINGS, TOPICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faults import Fault

    from openhands_llm_magic.config.setting import Setting

SETTINGS_PAGE = Path(__file__).parent / "settings.md"
FAULTS_PAGE = Path(__file__).parent / "faults.md"
SETTINGS_TYPES = Path(config.__file__).with_name("setting_attributes.pyi")
TESTS = Path(__file__).parents[1] / "tests"

INTRODUCTION = """\
# Settings

Written by `make docs` from the declarations in `openhands_llm_magic/config/`.

A setting comes, from the lowest to the highest, from its default, the table of config.toml that is
named below it, a group `[llm.NAME]`, its environment variable, ipython_config.py
(`c.LLMSettings.NAME`), this session (`%llm_config NAME=VALUE`), and its flag on the line of a
`%%llm` cell. As in OpenHands, the variables of `[llm]` do not count in a group.

OpenHands drops the whole `[llm]` section for one key that it does not know. So what it does not
know is in `[openhands_llm_magic]`, and a setting marked * makes OpenHands 0.41 drop the section,
while later versions know it. In a file a dictionary can only be set inside a group, because
OpenHands takes every table in `[llm]` for a group; in a variable it is a Python literal.
"""

COLUMNS = ("Setting", "Table", "Variable", "Flag", "Takes", "Default", "Meaning", "Here it is")

FAULTS_INTRODUCTION = """\
# Faults

Written by `make docs` from `tests/faults/`; `tests/llm/test_fault_matrix.py` plays each row against
a server and counts its requests.

What is made of each fault with the default policy of four retries. *Requests* and *waits* are those
of a fault that goes on for ever. One that passes after the first attempt takes two requests and the
first wait, and nothing of the first attempt is left in the answer. A row marked * is played on
every path that LiteLLM treats differently, the others once in each dialect of the providers' APIs;
those that wait for a timeout are played only until they pass.

"""

FAULT_COLUMNS = ("Fault", "Dialects", "Requests", "Waits", "What comes of it")


def settings_page() -> str:
    """Return the text of docs/settings.md."""
    parts = [INTRODUCTION]
    for topic, title in TOPICS.items():
        rows = [_row(setting) for setting in SETTINGS.values() if setting.topic == topic]
        parts.append("\n".join([f"## {title}", _line(COLUMNS), _line(["---"] * 8), *rows, ""]))
    others = [f"- `{name}`: {use}." for name, use in OTHER_VARIABLES.items()]
    return "\n".join([*parts, "## Other variables", *others, ""])


TYPES = {"secret": "Secret", "list": "list[dict[str, str]]", "dict": "dict[str, Any]"}

TYPES_INTRODUCTION = '''\
"""The type of each setting's value: `make docs` writes this file from the declarations."""

from typing import Any

from openhands_llm_magic.config.secret import Secret

class SettingAttributes:
    """The settings as attributes, for editors and type checkers."""

    __slots__ = ()

'''


def settings_types() -> str:
    """Return the text of config/setting_attributes.pyi."""
    lines: list[str] = []
    for name, setting in SETTINGS.items():
        kind = TYPES.get(setting.kind, setting.kind) + " | None" * setting.optional
        lines += [f"    {name}: {kind}", f'    """{setting.help}"""']
    return TYPES_INTRODUCTION + "\n".join([*lines, ""])


def _row(setting: Setting) -> str:
    flag = setting.flag if setting.short is None else f"{setting.short}, {setting.flag}"
    default = "none" if setting.default is None else f"`{setting.default}`"
    return _line(
        [
            f"`{setting.name}`" + "*" * setting.newer,
            f"`[{setting.section}]`",
            f"`{setting.variable}`",
            f"`{flag}`",
            setting.takes,
            default,
            setting.help,
            setting.use,
        ]
    )


def faults_page() -> str:
    """Return the text of docs/faults.md."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from faults import FAULTS  # noqa: PLC0415 - it is found only now

    rows = [_fault_row(fault) for fault in FAULTS]
    lines = [_line(FAULT_COLUMNS), _line(["---"] * len(FAULT_COLUMNS)), *rows, ""]
    dialects = sum(len(fault.dialects) for fault in FAULTS)
    count = f"{len(FAULTS)} faults, {dialects} with each dialect counted.\n\n"
    return FAULTS_INTRODUCTION + count + "\n".join(lines)


def _fault_row(fault: Fault) -> str:
    from faults import DIALECTS  # noqa: PLC0415 - see above

    dialects = "all" if fault.dialects == DIALECTS else ", ".join(fault.dialects)
    waits = " + ".join(f"{wait_s:g}" for wait_s in fault.waits_s)
    named = ", as the server asks" if fault.server_wait_s is not None and waits else ""
    return _line(
        [
            fault.name + " *" * fault.decisive,
            dialects,
            str(fault.requests),
            f"{waits} s{named}" if waits else "none",
            _outcome(fault),
        ]
    )


def _outcome(fault: Fault) -> str:
    """Return what the person and the reply get, in a few words."""
    if fault.error is None:
        whole = fault.finish_reason == "stop"
        return "the answer" if whole else f"the text, with finish_reason {fault.finish_reason}"
    parts = [f"`{fault.error.__name__}`: {fault.shown.rstrip(' (:')} …"]
    if fault.text:
        parts.append("the reply keeps the longest part that came")
    if fault.finish_reason:
        parts.append(f"the reply has finish_reason {fault.finish_reason}")
    return "; ".join(parts)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    SETTINGS_PAGE.write_text(settings_page(), "utf-8")
    SETTINGS_TYPES.write_text(settings_types(), "utf-8")
    FAULTS_PAGE.write_text(faults_page(), "utf-8")
