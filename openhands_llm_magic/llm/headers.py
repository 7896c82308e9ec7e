"""The headers of a response, as LiteLLM keeps them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMITS = re.compile("ratelimit|^date$")
"""The headers that `headroom.py` reads. No other is passed on: a gateway may echo a key in one."""


def plain(headers: Mapping[str, Any]) -> dict[str, str]:
    """Give headers by the names that the provider gave them, in lower case."""
    return {
        name.lower().removeprefix("llm_provider-"): str(value)
        for name, value in dict(headers).items()
    }


def limits_in(headers: Mapping[str, Any]) -> dict[str, str]:
    """Give those headers alone that tell of limits."""
    return {name: value for name, value in plain(headers).items() if _LIMITS.search(name)}
