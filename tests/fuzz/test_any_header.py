"""Whatever the headers of a response say: waits are finite, bounded and never below zero."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from faults.wordings import WORDINGS
from fuzz.mutating import mutated
from fuzz.roads import asked
from hypothesis import given
from hypothesis import strategies as st
from model_server import Answer, ModelServer, Refuse
from sending import DIALECTS

from openhands_llm_magic.llm.limits import waits
from openhands_llm_magic.llm.limits.headroom import left_in
from openhands_llm_magic.llm.limits.limiter import RateLimiter
from openhands_llm_magic.llm.litellm.stream import FinishTap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KNOWN = {name: value for each in WORDINGS for name, value in each.headers.items()} | {
    "retry-after": "7",
    "retry-after-ms": "494",
    "date": "Sun, 29 Nov 2026 13:00:00 GMT",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "6m0s",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-reset-tokens": "120ms",
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-requests-reset": "2026-11-29T13:01:00Z",
    "anthropic-ratelimit-unified-status": "rejected",
    "anthropic-ratelimit-unified-reset": "1796000000",
    "x-litellm-response-cost": "0.002",
    "llm_provider-retry-after": "60",
}
VALUES = (*KNOWN.values(), "Fri, 31 Dec 9999 23:59:59 -2300", "9999-12-31T23:59:59-23:59", "1e308")
PIECES = (
    "ms",
    "s",
    "m",
    "h",
    "d",
    ".",
    "-",
    "+",
    "e",
    "inf",
    "nan",
    "0",
    "999999999",
    "9" * 20,
    ":",
    " GMT",
)
HEADERS = st.dictionaries(
    st.sampled_from(sorted(KNOWN)), mutated(VALUES, PIECES, most=3), max_size=6
)


@given(HEADERS, st.text(max_size=20) | mutated(["try again in 7m12s", "retry after 5 s"], PIECES))
def test_any_headers_are_read(headers: Mapping[str, str], words: str) -> None:
    asked_s = waits.asked_s(headers, words, ["37s", words])
    assert asked_s is None or 0 <= asked_s <= waits.LONGEST_S
    for unit in ("requests", "tokens"):
        left = left_in(headers, unit)
        assert left is None or left.resets_in_s >= 0
    tap = FinishTap()
    tap.note_headers(headers)
    assert tap.told_usd is None or 0 <= tap.told_usd < math.inf


@given(st.lists(st.tuples(HEADERS, st.booleans()), max_size=5))
def test_the_limiter_learns_of_any_headers(told: list[tuple[Mapping[str, str], bool]]) -> None:
    """After any of them the next request goes out within a day, which the policy cuts short."""
    limiter = RateLimiter()
    now_s = 0.0
    for headers, accepted in told:
        with limiter.permit(10) as permit:
            permit.go(now_s)
            now_s += 0.1
            if accepted:
                permit.accepted(now_s, headers)
            else:
                permit.refused(now_s, waits.asked_s(headers, ""), 30)
    with limiter.permit(10) as permit:
        for _ in range(1_000):
            wait_s = permit.wait_s(now_s)
            assert 0 <= wait_s < math.inf
            now_s += wait_s
            if wait_s == 0:
                return
        raise AssertionError(f"still waiting after {now_s} s")


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """One server for all examples."""
    with ModelServer() as running:
        yield running


def sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that HTTP can carry."""
    return {
        name: value.strip()
        for name, value in headers.items()
        if value.isprintable() and value.isascii() and len(value) < 2_000 and name != "date"
    }


@pytest.mark.usefixtures("litellm")
@given(HEADERS, st.sampled_from([200, 429, 503]), st.sampled_from(DIALECTS))
def test_any_headers_on_the_way(
    server: ModelServer, headers: Mapping[str, str], status: int, provider: str
) -> None:
    """Of an answer that came whole, no header makes another."""
    headers = sendable(headers)
    step = Answer(headers=headers) if status == 200 else Refuse(status, headers)
    reply = asked(server, step, provider)
    assert (reply.error is None) == (status == 200)
    assert all(0 <= wait.wait_s <= 300 for wait in reply.waits)
