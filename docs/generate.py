"""Write docs/settings.md from the declarations of the settings: `make docs` runs this."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.settings import SETTINGS, TOPICS
from openhands_llm_magic.config.sources import OTHER_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.setting import Setting

SETTINGS_PAGE = Path(__file__).parent / "settings.md"

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


def settings_page() -> str:
    """Give the text of docs/settings.md."""
    parts = [INTRODUCTION]
    for topic, title in TOPICS.items():
        rows = [_row(setting) for setting in SETTINGS.values() if setting.topic == topic]
        parts.append("\n".join([f"## {title}", _line(COLUMNS), _line(["---"] * 8), *rows, ""]))
    others = [f"- `{name}`: {use}." for name, use in OTHER_VARIABLES.items()]
    return "\n".join([*parts, "## Other variables", *others, ""])


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


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    SETTINGS_PAGE.write_text(settings_page(), "utf-8")
