"""Waits that no honest server asks for: none is a traceback, and none is longer than a year."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from model_server import Answer, ModelServer, Refuse

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import stream
from openhands_llm_magic.llm.limits.headroom import number_in, seconds_until, since_1970_s
from openhands_llm_magic.llm.limits.waits import LONGEST_S, asked_s
from openhands_llm_magic.llm.refusals import read
from openhands_llm_magic.llm.reply import fold

HOSTILE = (
    *("", " ", "-1", "-0", "nan", "inf", "-inf", "1e400", "1e-400", "9" * 5000, "5, 10", "٣"),
    *("1_000", "0x10", "+5", "5s", "1e9999s", "\x1b[31m7", "7\u202e", "12:00", "1:", "Mon"),
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Sat, 01 Jan 0001 00:00:00 +2359",
    "Sat, 01 Jan 0000 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 -0000",
    "Mon, 01 Jan 2035 00:00:00 +99999999999",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 99 Foo 2035 99:99:99 GMT",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "0001-01-01",
    "99999999999999999999h",
    "9" * 400 + "s",
)
DATES = st.builds(
    "{}, {:02} {} {:04} {:02}:{:02}:{:02} {}".format,
    st.sampled_from(["Mon", "Xyz"]),
    st.integers(0, 40),
    st.sampled_from(["Jan", "Feb", "Dec", "Foo"]),
    st.integers(0, 99999),
    *[st.integers(0, 99)] * 3,
    st.sampled_from(["GMT", "-0000", "+2359", "-9999", "+99999999", "EST", ""]),
)
VALUES = (
    st.sampled_from(HOSTILE) | DATES | st.text() | st.floats().map(str) | st.integers().map(str)
)
NAMES = st.sampled_from(
    ["retry-after", "retry-after-ms", "date", "x-ratelimit-reset-requests",
     "x-ratelimit-remaining-requests", "anthropic-ratelimit-unified-status"]
)  # fmt: skip
WORDS = st.builds("{} {}".format, st.sampled_from(["try again in", "retry after", "wait"]), VALUES)


@given(st.dictionaries(NAMES, VALUES), VALUES | WORDS, st.lists(VALUES, max_size=3))
@example({"retry-after": HOSTILE[22]}, "", [])
def test_a_wait_is_none_or_within_a_year(
    headers: dict[str, str], words: str, delays: list[str]
) -> None:
    wait_s = asked_s(headers, words, delays)
    assert wait_s is None or 0 <= wait_s <= LONGEST_S


@given(VALUES, VALUES)
def test_what_is_read_of_a_header_is_a_number_or_nothing(text: str, date: str) -> None:
    for read_of in (number_in(text), seconds_until(text, date), since_1970_s(text)):
        assert read_of is None or math.isfinite(read_of)


@given(st.integers() | st.floats() | st.booleans() | VALUES)
def test_a_wait_in_a_body(value: float | str) -> None:
    body = {"error": {"message": "No.", "retry_after": value, "retryDelay": value}}
    wait_s = read(body, status=429).retry_after_s
    assert wait_s is None or 0 <= wait_s <= LONGEST_S


@pytest.mark.usefixtures("litellm")
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama_chat"])
def test_a_prompt_waits_no_longer_than_the_settings_say(
    model_server: ModelServer, clock: object, provider: str
) -> None:
    """The policy's wait comes in place of one that is nonsense."""
    sendable = [each for each in HOSTILE if each.isascii() and each.isprintable()]
    headers = [{name: value} for value in sendable for name in ("retry-after", "retry-after-ms")]
    settings = load_settings(
        env={
            "LLM_MODEL": f"{provider}/a-model",
            "LLM_BASE_URL": model_server.base_for(provider),
            "LLM_API_KEY": "sk-test-0123456789",
            "LLM_NUM_RETRIES": str(len(headers)),
        }
    )
    model_server.script(*[Refuse(429, each) for each in headers], Answer("At last."))
    reply = fold(stream("Hello", settings, clock=clock))  # type: ignore[arg-type]
    assert reply.error is None or "asks to wait" in str(reply.error)
    assert all(wait.wait_s <= settings.retry_after_limit for wait in reply.waits)
