"""A check of a config file that a test writes, and the sentences that its findings end with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.check import Finding, check

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "sk-canary-0123456789"

NOTHING = "OpenHands would take nothing from the file."
DROPS = "OpenHands would drop the whole [llm] section."
FAILS = "OpenHands would fail at the first prompt."
SILENT = "OpenHands would ignore it without a word."
LOGGED = "OpenHands would ignore it, and say so in its log."
STOPS = "OpenHands would not start."


def written(text: str | bytes, mode: int = 0o600) -> Path:
    file = Path.cwd() / "config.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(mode)
    return file


def found(
    text: str | bytes = "", env: Mapping[str, str] | None = None, *, in_docker: bool = False
) -> tuple[Finding, ...]:
    """Check a file, and that each finding can be said in other words.

    What is left of it without its templates, which are translated, is names and values; the words
    of tomllib are its own.
    """
    findings = check(written(text), env or {}, in_docker=in_docker)
    for each in findings:
        if "not valid TOML" not in each.message:
            assert not re.search(r"\b[a-z]{2,} [a-z]{2,}\b", each.text.worded(facts_alone)), each
    return findings


def facts_alone(_: str, /, **facts: object) -> str:
    return " | ".join(map(str, facts.values()))


def problems(*args: Any, **kwargs: Any) -> list[str]:
    return [str(each) for each in found(*args, **kwargs) if each.is_problem]


def notes(*args: Any, **kwargs: Any) -> list[str]:
    return [str(each) for each in found(*args, **kwargs) if not each.is_problem]
