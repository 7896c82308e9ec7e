"""What is read from rate-limit headers, and what is made of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.llm.limits.headroom import Headroom, Left, left_in

DATE = "Wed, 01 Jan 2025 00:00:00 GMT"


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("6m0s", 360),
        ("120ms", 0.12),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723),
        ("10", 10),
        ("0.5", 0.5),
        ("2025-01-01T00:00:30Z", 30),
        ("1735689630", 30),
        ("1735689630000", 30),
        ("2024-12-31T23:59:00Z", 0),
    ],
)
def test_a_reset_is_read_in_every_form(reset: str, seconds: float) -> None:
    """Dates and times since 1970 are by the server's own clock."""
    left = left_in(
        {
            "X-RateLimit-Remaining-Requests": "0",
            "X-RateLimit-Reset-Requests": reset,
            "Date": DATE,
        },
        "requests",
    )

    assert left
    assert left.resets_in_s == pytest.approx(seconds)


def test_without_the_servers_date_our_own_clock_counts() -> None:
    headers = {
        "x-ratelimit-remaining-tokens": "5",
        "x-ratelimit-reset-tokens": str(time.time() + 30),
    }

    left = left_in(headers, "tokens")

    assert left
    assert left.resets_in_s == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-ratelimit-tokens-remaining": "7", "anthropic-ratelimit-tokens-reset": "3s"},
        {
            "llm_provider-x-ratelimit-remaining-tokens": "7",
            "llm_provider-x-ratelimit-reset-tokens": "3s",
        },
    ],
)
def test_other_names_of_the_headers_are_known(headers: dict[str, str]) -> None:
    assert left_in(headers, "tokens") == Left(7, 3)
    assert left_in(headers, "requests") is None


@pytest.mark.parametrize("reset", ["", "soon", "s"])
def test_what_does_not_say_when_says_nothing(reset: str) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}

    assert left_in(headers, "requests") is None


@given(st.text(), st.text())
def test_no_header_breaks_it(remaining: str, reset: str) -> None:
    left = left_in(
        {"x-ratelimit-remaining-requests": remaining, "x-ratelimit-reset-requests": reset},
        "requests",
    )

    assert left is None or left.resets_in_s >= 0


def answered(headroom: Headroom, at_s: float, left: Left) -> None:
    headroom.sent(at_s, 1)
    headroom.ended(at_s, 1)
    headroom.told(at_s, at_s, left)


def test_a_window_opens_when_it_resets() -> None:
    """Its reset stays where it is while what remains goes down."""
    headroom = Headroom()
    answered(headroom, 0.0, Left(59, 60, limit=60))
    answered(headroom, 30.0, Left(0, 30, limit=60))

    assert headroom.wait_s(31.0, 1) == pytest.approx(29)
    assert headroom.wait_s(60.0, 1) == 0


def test_a_bucket_opens_bit_by_bit() -> None:
    """Its reset moves on with each request; to wait for a full bucket would be far too long."""
    headroom = Headroom()
    answered(headroom, 0.0, Left(59, 1, limit=60))
    answered(headroom, 30.0, Left(0, 60, limit=60))

    assert headroom.wait_s(30.0, 1) == pytest.approx(1)
    assert headroom.wait_s(30.0, 5) == pytest.approx(5)
    assert headroom.wait_s(31.0, 1) == 0


def test_requests_under_way_count_until_they_are_answered() -> None:
    headroom = Headroom()
    for at_s in (0.0, 0.1, 0.2):
        headroom.sent(at_s, 1)
    headroom.ended(0.0, 1)
    headroom.told(0.0, 1.0, Left(2, 10))

    assert headroom.wait_s(1.0, 1) == pytest.approx(10)
    headroom.ended(0.1, 1)  # refused, or lost
    assert headroom.wait_s(1.0, 1) == 0


def test_an_older_answer_that_comes_late_tells_nothing() -> None:
    headroom = Headroom()
    headroom.told(5.0, 5.0, Left(0, 10))

    headroom.told(1.0, 6.0, Left(50, 10))

    assert headroom.wait_s(6.0, 1) == pytest.approx(9)


def test_a_limit_of_a_day_holds_nothing_back() -> None:
    """The next refusal names its wait, and the request fails at once instead of hanging."""
    headroom = Headroom()

    answered(headroom, 0.0, Left(0, 40_000, limit=100))

    assert headroom.wait_s(0.0, 1) == 0


def test_a_prompt_larger_than_the_limit_waits_for_all_of_it_only() -> None:
    headroom = Headroom()

    answered(headroom, 0.0, Left(50, 5, limit=100))

    assert headroom.wait_s(0.0, 1000) == pytest.approx(5)
