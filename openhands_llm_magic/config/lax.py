"""Values by pydantic's lax rules, which OpenHands reads its config files by."""

from __future__ import annotations

import math
import re

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0"), False),
}
_WHOLE_NUMBER = re.compile(r"([+-]?\d+(?:_\d+)*)(?:\.0+)?", re.ASCII)
_LARGEST_WHOLE_FLOAT = 2.0**63


def boolean(value: str | float) -> bool | None:
    """Read a truth value, or give None."""
    if isinstance(value, str):
        return _WORDS.get(value.lower())
    return bool(value) if value in (0, 1) else None


def whole(value: str | float) -> int | None:
    """Read a whole number, or give None."""
    if isinstance(value, str):
        match = _WHOLE_NUMBER.fullmatch(value.strip())
        value = match[1] if match else math.nan
    if isinstance(value, float) and not (value.is_integer() and abs(value) < _LARGEST_WHOLE_FLOAT):
        return None
    try:
        return int(value)
    except ValueError:  # thousands of digits
        return None


def number(value: str | float) -> float | None:
    """Read a number, or give None."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
