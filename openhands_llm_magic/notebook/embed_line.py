"""What stands on a `%llm_embed` line: options, and a Python expression that gives the texts."""

from __future__ import annotations

import functools
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.notebook import flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

OWN_SETTINGS = [
    *(setting for setting in SETTINGS.values() if setting.topic == "embedding"),
    *(SETTINGS[name] for name in ("api_key", "api_version")),
    *(setting for setting in SETTINGS.values() if setting.topic == "retries"),
]
"""The settings that a line can set for itself, the model first."""

_FLAG = re.compile(r"(?:^|\s)(?=(-\w|--[a-z][\w-]*)(?:[\s=]|$))")


@dataclass(frozen=True, slots=True)
class Options:
    """What stands on a line.

    Attributes:
        expression: What gives the texts, in Python.
        out: The variable that the vectors are stored in.
        group: The NAME of the `[llm.NAME]` whose settings apply.
        settings: Settings for this line alone, by name.
    """

    expression: str
    out: str | None
    group: str | None
    settings: Mapping[str, Any]


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser of the line's options."""
    made = flags.Parser(prog="%llm_embed", add_help=False, allow_abbrev=False)
    made.add_argument("-o", "--out", metavar="NAME")
    made.add_argument("-g", "--group", metavar="NAME")
    for setting in OWN_SETTINGS:
        flags.add_flag(made, setting, "-m" if setting.name == "embedding_model" else None)
    return made


def parse(line: str, variables: Mapping[str, object]) -> Options:
    """Read a line: options before or after a Python expression, which may look like one.

    Raises:
        UsageError: There is an unknown option, no expression, or a key typed as plain text.
        SettingError: A setting's value is not one that it takes.
    """
    words, expression = _parted(line.strip())
    given = flags.read(words, parser())
    if not expression:
        raise UsageError("name the texts, as in `%llm_embed texts -o vectors`; see its help.")
    out = given.pop("out", None)
    if out is not None:
        flags.require_name(out)
    group = given.pop("group", None)
    return Options(expression, out, group, flags.settings_in(given, variables))


def _parted(line: str) -> tuple[list[str], str]:
    """Part a line into its options and the expression between them."""
    known = flags.flags_of(parser())
    words, rest = flags.split(line, parser())
    found = [(match.start(), match[1]) for match in _FLAG.finditer(rest)]
    for start, flag in found:
        after, left = flags.split(rest[start:], parser())
        if flag in known and not left and is_python(rest[:start]):
            return [*words, *after], rest[:start].strip()
    if not is_python(rest):
        # Not that the text is no Python, but that the option is none.
        words += [flag for start, flag in found if flag not in known and is_python(rest[:start])]
    return words, rest


def is_python(text: str) -> bool:
    """Tell whether a text is a Python expression."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about it is said when it runs
        try:
            compile(text.strip(), "", "eval")
        except (SyntaxError, ValueError):
            return False
    return True
