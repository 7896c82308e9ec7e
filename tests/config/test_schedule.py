"""The waits between retries: ours, and those of OpenHands on each path of LiteLLM's."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from setting_values import chosen
from tenacity import RetryCallState, wait_exponential

from openhands_llm_magic.config import schedule

POLICY: dict[str, Any] = {
    "num_retries": 3,
    "retry_min_wait": 1,
    "retry_max_wait": 4,
    "retry_multiplier": 2.0,
}


@pytest.mark.parametrize(
    ("model", "provider", "by_client"),
    [
        ("openai/m", None, True),
        ("gpt-4o", None, True),
        ("hosted_vllm/m", None, True),
        ("azure/m", None, True),
        ("litellm_proxy/m", None, True),
        ("lm_studio/m", None, True),
        ("mistral/m", None, True),
        ("m", "openai", True),
        ("maker/m", "litellm_proxy", True),
        ("anthropic/m", None, False),
        ("claude-sonnet-4-20250514", None, False),
        ("gemini/m", None, False),
        ("openrouter/openai/m", None, False),
        ("groq/m", None, False),
        ("deepseek/m", None, False),
        ("ollama/m", None, False),
        ("bedrock/m", None, False),
        ("openai/m", "anthropic", False),
        ("m", None, False),
    ],
)
def test_openais_client_lies_below_some_paths(
    model: str, provider: str | None, by_client: bool
) -> None:
    """Those of LiteLLM 1.72.0, which OpenHands 0.41.0 is locked to."""
    settings = chosen(model=model, custom_llm_provider=provider)
    assert schedule.has_client_retries(settings) == by_client


def test_what_openhands_0_41_was_seen_to_wait() -> None:
    """9 requests in 10.2 s on these paths, where the client takes up to a quarter off its waits."""
    waits_s = [*schedule.openhands_client_waits_s(chosen(**POLICY))]
    assert waits_s == [0.5, 1, 2, 0.5, 1, 4, 0.5, 1]
    own_s = sum(schedule.openhands_waits_s(chosen(**POLICY)))
    assert own_s + 0.75 * (sum(waits_s) - own_s) <= 10.2 <= sum(waits_s)


def test_one_attempt_has_no_waits_but_the_clients() -> None:
    """As with 0, which ends after the first attempt, too."""
    for count in (0, 1):
        settings = chosen(**(POLICY | {"num_retries": count}))
        assert [*schedule.openhands_waits_s(settings)] == []
        assert [*schedule.openhands_client_waits_s(settings)] == [0.5, 1]


def test_waits_of_many_retries_are_made_as_they_are_asked_for() -> None:
    settings = chosen(**(POLICY | {"num_retries": 10**9}))
    assert [*islice(schedule.openhands_waits_s(settings), 3)] == [2, 4, 4]


def test_the_thousandth_retry_waits_as_long_as_any_may() -> None:
    """Its power of two is more than a number with a point can hold."""
    settings = chosen(**(POLICY | {"retry_multiplier": 2.5}))
    assert schedule.openhands_wait_s(settings, 3000) == POLICY["retry_max_wait"]


@given(
    st.integers(0, 100),
    st.integers(0, 100),
    st.floats(0, 100),
    st.integers(1, 20),
)
def test_the_formula_is_tenacitys(least_s: int, most_s: int, multiplier: float, retry: int) -> None:
    """OpenHands 0.41 and the SDK hand it their settings as they are."""
    settings = chosen(retry_min_wait=least_s, retry_max_wait=most_s, retry_multiplier=multiplier)
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.attempt_number = retry
    theirs = wait_exponential(multiplier=multiplier, min=least_s, max=most_s)
    assert schedule.openhands_wait_s(settings, retry) == theirs(state)
