"""How servers word their refusals, as public reports show it: the entries of wordings.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic import errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FILE = Path(__file__).with_name("wordings.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """One refusal, and what it means; the file says what each field holds."""

    provider: str
    about: str
    body: str
    expected: str
    source: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    words_only: bool = False
    settings: tuple[str, ...] = ()
    given_by: str = ""
    wait_s: float | None = None
    period: str | None = None

    @property
    def error(self) -> type[errors.RequestError]:
        """The class of the error."""
        kind: type[errors.RequestError] = getattr(errors, self.expected)
        return kind


_TABLE = tomllib.loads(FILE.read_text("utf-8"))

NOW: datetime = _TABLE["now"]
"""What the clock says where a wait ends at a date."""

WORDINGS: tuple[Wording, ...] = tuple(
    Wording(**each | {"settings": tuple(each.get("settings", ()))}) for each in _TABLE["wording"]
)
