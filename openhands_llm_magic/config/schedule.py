"""The waits between retries: those of this package, and those that OpenHands would make."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot


def wait_s(retry: int, min_wait_s: float, max_wait_s: float, multiplier: float) -> float:
    """Return the seconds before a retry, counted from 1, as OpenHands documents them."""
    try:
        return _seconds(min(max_wait_s, min_wait_s * multiplier ** (retry - 1)))
    except OverflowError:
        return _seconds(max_wait_s) if min_wait_s else 0.0


def our_wait_s(settings: Snapshot, retry: int) -> float:
    """Return the seconds that this package waits before a retry, counted from 1."""
    return wait_s(
        retry, settings.retry_min_wait, settings.retry_max_wait, settings.retry_multiplier
    )


def openhands_wait_s(settings: Snapshot, retry: int) -> float:
    """Return the seconds that OpenHands 0.41 waits before a retry, by tenacity's formula."""
    exponential_s = settings.retry_multiplier * 2 ** (retry - 1)
    return _seconds(max(settings.retry_min_wait, min(exponential_s, settings.retry_max_wait)))


def _seconds(whole: float) -> float:
    """Return a float, which is infinite for a whole number of too many digits."""
    try:
        return float(whole)
    except OverflowError:
        return math.inf
