"""What the server says is left of its limit, and for how long that holds a request back.

Headers tell it: OpenAI, Azure, Groq and OpenRouter send `x-ratelimit-remaining-requests`,
Anthropic sends `anthropic-ratelimit-requests-remaining`; `-limit-` and `-reset-` come with them,
and the same for tokens. A reset is a number of seconds, a duration such as `6m0s` or `120ms`, a
date, or seconds or milliseconds since 1970.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


Unit = Literal["requests", "tokens"]

UNITS: tuple[Unit, ...] = ("requests", "tokens")

LONGEST_WAIT_S = 60.0
"""No header holds a request back for longer: the server's own refusal then says what to do."""

STEADY = 0.5
"""The time that a unit takes stays nearly the same in a bucket; a window's goes towards none."""

_DURATION = re.compile(
    r"(?:(N)d)?(?:(N)h)?(?:(N)m)?(?:(N(?:\.N)?)s)?(?:(N)ms)?".replace("N", r"\d{1,12}"), re.ASCII
)

_SECONDS = (86400, 3600, 60, 1, 0.001)

_EPOCH_S, _EPOCH_MS = 1e9, 1e12


@dataclass(frozen=True, slots=True)
class Left:
    """What a response says is left.

    Attributes:
        remaining: Requests or tokens.
        resets_in_s: Seconds until the server's count is as it was at first.
        limit: Requests or tokens at first, or None when it does not say.
    """

    remaining: float
    resets_in_s: float
    limit: float | None = None


def left_in(headers: Mapping[str, str], unit: Unit) -> Left | None:
    """Read what is left, or None if the headers do not say both how much and until when.

    The LiteLLM Proxy's `llm_provider-` in front of a name is skipped.
    """
    found: dict[str, str] = {}
    for name, value in headers.items():
        found.setdefault(name.lower().removeprefix("llm_provider-"), value)

    def value_of(what: str) -> str | None:
        return found.get(f"x-ratelimit-{what}-{unit}") or found.get(
            f"anthropic-ratelimit-{unit}-{what}"
        )

    remaining, limit = number_in(value_of("remaining")), number_in(value_of("limit"))
    resets_in_s = seconds_until(value_of("reset"), found.get("date"))
    if remaining is None or resets_in_s is None:
        return None
    return Left(remaining, max(0.0, resets_in_s), limit)


def number_in(text: str | None) -> float | None:
    """Read a header that is a number, or return None, also for an infinite one and for none."""
    if not text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def seconds_until(text: str | None, servers_now: str | None) -> float | None:
    """Read a reset as seconds from now; `servers_now` is the response's `Date`."""
    if not text:
        return None
    if match := _DURATION.fullmatch(text.strip()):
        parts = zip(match.groups(), _SECONDS, strict=True)
        return sum(float(part or 0) * unit_s for part, unit_s in parts)
    number = number_in(text)
    if number is None:
        try:
            number = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):  # OSError: beyond the platform's dates
            return None
    elif number < _EPOCH_S:
        return number
    elif number >= _EPOCH_MS:
        number /= 1000
    return number - (since_1970_s(servers_now) or time.time())


def since_1970_s(date: str | None) -> float | None:
    """Read an HTTP date, such as a response's `Date`, as seconds since 1970, or return None."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - 10 ms at import

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError, OSError, IndexError):
        return None


class Headroom:
    """Holds back what would go over the limit that the server's answers tell.

    Pure, like `LearnedRate`: times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._left: Left | None = None
        self._told_s = 0.0
        self._told_of_s = -math.inf
        self._unit_s: float | None = None
        self._first_unit_s = 0.0
        self._first_ends_s = -math.inf
        self._under_way: list[tuple[float, float]] = []

    def wait_s(self, now_s: float, amount: float) -> float:
        """Return the seconds until `amount` requests or tokens are free."""
        if self._left is None:
            return 0.0
        resets_s = self._told_s + self._left.resets_in_s
        if now_s >= resets_s:
            self._left = None
            return 0.0
        taken = sum(other for sent_s, other in self._under_way if sent_s >= self._told_of_s)
        missing = min(amount, self._left.limit or amount) + taken - self._left.remaining
        if missing <= 0:
            return 0.0
        if self._unit_s is None:
            return resets_s - now_s
        return max(0.0, min(resets_s, self._told_s + missing * self._unit_s) - now_s)

    def sent(self, now_s: float, amount: float) -> None:
        """Note that a request of so many requests or tokens is sent now."""
        self._under_way.append((now_s, amount))

    def ended(self, sent_s: float, amount: float) -> None:
        """Note that the server knows of the request sent then, or never will."""
        if (sent_s, amount) in self._under_way:
            self._under_way.remove((sent_s, amount))

    def told(self, sent_s: float, now_s: float, left: Left) -> None:
        """Take in what the answer to the request sent then says is left."""
        if sent_s < self._told_of_s:
            return  # the answer to a newer one has come already
        if sent_s == self._told_of_s and self._left and left.remaining > self._left.remaining:
            return
        self._told_of_s, self._told_s = sent_s, now_s
        self._unit_s = self._steady_unit_s(now_s, left)
        next_s = left.resets_in_s if self._unit_s is None else self._unit_s
        self._left = left if next_s <= LONGEST_WAIT_S else None

    def _steady_unit_s(self, now_s: float, left: Left) -> float | None:
        """Return the seconds that one unit takes to come back, or None if all come back at once.

        A bucket's reset moves on with each request, by the time that one takes to refill; a
        window's stays where it is.
        """
        used = (left.limit or 0) - left.remaining
        if used <= 0:
            return None
        unit_s = left.resets_in_s / used
        if now_s >= self._first_ends_s:
            self._first_unit_s = unit_s
            self._first_ends_s = now_s + left.resets_in_s
        return unit_s if unit_s >= STEADY * self._first_unit_s else None
