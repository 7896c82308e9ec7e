"""How long a server asks to wait, from the headers and the words of its refusal."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import RateLimitError, TransientError
from openhands_llm_magic.llm.limits.headroom import (
    LONGEST_WAIT_S,
    number_in,
    seconds_until,
    since_1970_s,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openhands_llm_magic.errors import RequestError

_UNIT = r"(?:ms|d(?:ays?)?|h(?:(?:ou)?rs?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)(?![a-z])"
_DURATION = re.compile(
    r"(?:(?:try again|retry|reset)\w{0,3}(?: your request)? (?:in|after)|\bwait(?: for)?)"
    rf" ~?((?:\d{{1,9}}(?:\.\d+)? ?(?:{_UNIT})? ?){{1,8}})",
    re.IGNORECASE,
)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?: at |T| )(\d\d:\d\d(?::\d\d)?)(?:\.\d+)? ?(?:UTC|Z)")
_DATE_IN_CHINA = re.compile(
    r"(?:limit will reset at|将在) ?(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?! ?(?:UTC|Z|[+-]\d))",
    re.IGNORECASE,
)
"""What Zhipu and z.ai write, which name no time zone, and mean their own."""

_CHINA = timezone(timedelta(hours=8))
_UNITS_S = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

LONGEST_S = 366 * 86400
"""A year: what is asked beyond it is nonsense, and would end at no date that there is."""


def asked_s(headers: Mapping[str, str], words: str, delays: Iterable[str] = ()) -> float | None:
    """Return the seconds until it is worth asking again, or None where that is not told.

    They stand in `retry-after-ms`, in `Retry-After` as seconds or as a date (RFC 9110, 10.2.3), in
    the body, in the reset of a limit of which nothing remains, or in the words.

    Args:
        headers: Of the response, by lower-case name.
        words: Of the refusal, on one line.
        delays: What the body tells, as Google's `RetryInfo` does ("37s").
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    found = (
        None if milliseconds is None else milliseconds / 1000,
        _retry_after_s(headers),
        *(_number(each.removesuffix("s")) for each in delays),
        _reset_s(headers),
        _in_words_s(words),
    )
    return next((min(each, LONGEST_S) for each in found if each is not None), None)


def _number(text: str | None) -> float | None:
    """Read a number of seconds, 0 or more, or return None."""
    number = number_in(text)
    return number if number is not None and number >= 0 else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    asked = headers.get("retry-after")
    seconds = _number(asked)
    then_s = since_1970_s(asked) if asked and seconds is None else None
    if then_s is None:
        return seconds
    now_s = since_1970_s(headers.get("date")) or _now().timestamp()  # by the server's own clock
    return max(0.0, then_s - now_s)


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """Return when the last of the limits opens that are used up, in seconds from now.

    Anthropic tells of a subscription's limit by a status.
    """
    used_up = [
        name.replace("remaining", "reset").replace("-status", "-reset")
        for name, value in headers.items()
        if "ratelimit" in name
        and (("remaining" in name and number_in(value) == 0) or value == "rejected")
    ]
    resets = [seconds_until(headers.get(name), headers.get("date")) for name in used_up]
    return max((max(0.0, each) for each in resets if each is not None), default=None)


def _in_words_s(words: str) -> float | None:
    """Return the seconds that words name, as a duration ("7m12s") or as a date."""
    if match := _DURATION.search(words):
        parts = re.findall(r"(\d+(?:\.\d+)?) ?(ms|d|h|m|s|)", match[1].lower())
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    for pattern, zone in ((_DATE, UTC), (_DATE_IN_CHINA, _CHINA)):
        if match := pattern.search(words):
            with contextlib.suppress(ValueError):  # there is no such day
                then = datetime.fromisoformat(f"{match[1]}T{match[2]}").replace(tzinfo=zone)
                return max(0.0, (then - _now()).total_seconds())
    return None


def opens_s(headers: Mapping[str, str]) -> float | None:
    """Return when a limit opens of which an answer says that nothing remains, in seconds.

    What is longer than a minute may be when a whole day's bucket is full again, of which the next
    request needs a drop; a refusal would say more.
    """
    reset_s = _reset_s(headers)
    return reset_s if reset_s is not None and reset_s <= LONGEST_WAIT_S else None


_WINDOWS = (
    (re.compile(r"per[ _-]?min|/ ?min(?:ute)?\b|\b[RT]PM\b|每分钟", re.IGNORECASE), 60.0),
    (re.compile(r"per[ _-]?hour|/ ?hour\b", re.IGNORECASE), 3600.0),
)
"""How limits are worded whose window is known by that, and its seconds."""


def told_s(error: RequestError | None) -> float | None:
    """Return the seconds that a refusal asks to wait, or else those that its limit counts."""
    asked_s = error.retry_after_s if isinstance(error, TransientError) else None
    if asked_s is not None or not isinstance(error, RateLimitError):
        return asked_s
    found = (seconds for pattern, seconds in _WINDOWS if pattern.search(str(error)))
    return next(found, None)


def until_midnight_s(zone: str) -> float | None:
    """Return the seconds until the next day begins in a time zone, or None if it is not known."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - rarely needed

    try:
        now = _now().astimezone(ZoneInfo(zone))
    except ZoneInfoNotFoundError:  # Windows has no list of its own
        return None
    tomorrow = (now + timedelta(days=1)).date()
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=now.tzinfo)
    # In one zone Python subtracts the clocks' times, and takes every day to have 24 hours.
    return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def _now() -> datetime:
    return datetime.now(UTC)
