"""The waits between retries: those that are made here, and those that OpenHands would make."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot


def wait_s(retry: int, min_wait_s: float, max_wait_s: float, multiplier: float) -> float:
    """Give the seconds before a retry, counted from 1, as OpenHands documents them."""
    try:
        return _seconds(min(max_wait_s, min_wait_s * multiplier ** (retry - 1)))
    except OverflowError:
        return _seconds(max_wait_s) if min_wait_s else 0.0


def our_wait_s(settings: Snapshot, retry: int) -> float:
    """Give the seconds before a retry, counted from 1, as they are waited here."""
    return wait_s(
        retry, settings.retry_min_wait, settings.retry_max_wait, settings.retry_multiplier
    )


def openhands_wait_s(settings: Snapshot, retry: int) -> float:
    """Give the seconds before a retry of OpenHands 0.41: tenacity's `wait_exponential`."""
    exponential_s = settings.retry_multiplier * 2 ** (retry - 1)
    return _seconds(max(settings.retry_min_wait, min(exponential_s, settings.retry_max_wait)))


def _seconds(whole: float) -> float:
    """Give a number that may be a whole one of hundreds of digits."""
    try:
        return float(whole)
    except OverflowError:
        return math.inf
