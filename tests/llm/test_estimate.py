"""What a task would cost OpenHands: arithmetic by hand, and what others have published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.litellm import models
from openhands_llm_magic.llm.openhands.estimate import (
    FAST,
    SLOW,
    Estimate,
    Pace,
    Price,
    Request,
    estimate,
    estimates,
    notes,
    price_of,
    requests,
)
from openhands_llm_magic.llm.openhands.sent import VERSIONS

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot

NEVER = 10**9
"""Events above which a history is summed up: it is not."""

CLAUDE = {
    "input_cost_per_token": 3e-6,
    "output_cost_per_token": 15e-6,
    "cache_read_input_token_cost": 0.3e-6,
    "cache_creation_input_token_cost": 3.75e-6,
    "supports_prompt_caching": True,
    "max_input_tokens": 200_000,
}
LISTED: dict[str, dict[str, Any]] = {
    "claude-sonnet-4-20250514": CLAUDE,
    "claude-sonnet-4-5": CLAUDE,
    "gpt-4o": {
        "input_cost_per_token": 2.5e-6,
        "output_cost_per_token": 10e-6,
        "cache_read_input_token_cost": 1.25e-6,
    },
    "mistral/large": {"input_cost_per_token": 2e-6, "output_cost_per_token": 6e-6},
    "retired": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
}


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of prices that does not change with LiteLLM's."""
    for module in (litellm_files, models):
        monkeypatch.setattr(module, "prices", lambda: LISTED)


def settings_of(model: str, **env: str) -> Snapshot:
    """Return settings of a model."""
    return load_settings(env={"LLM_MODEL": model} | env)


def said_of(settings: Snapshot, steps: int = 50) -> str:
    """Return what is said of the estimates for settings."""
    return "\n".join(notes(estimates(settings, steps), settings))


def of_both(settings: Snapshot, steps: int = 50) -> tuple[Estimate, Estimate]:
    """Return the estimates of 0.41 and of the SDK."""
    old, new = estimates(settings, steps)
    return old, new


def test_each_step_sends_the_history_again() -> None:
    """1,000 tokens at first, and 100 more with each step."""
    made = [*requests(1000, Pace(100, 10), 3, NEVER)]
    assert made == [
        Request(1, 1000, 0, 10),
        Request(2, 1100, 1000, 10),
        Request(3, 1200, 1100, 10),
    ]
    price = Price(0.001, 0.002, cached_usd=0.0001, written_usd=0.00125)
    plain_usd = sum(each.usd(price, cached=False) for each in made)
    assert plain_usd == pytest.approx(3300 * 0.001 + 30 * 0.002)  # 3.36
    cached_usd = sum(each.usd(price, cached=True) for each in made)
    assert cached_usd == pytest.approx(2100 * 0.0001 + 1200 * 0.00125 + 30 * 0.002)  # 1.77


def test_a_long_history_is_summed_up() -> None:
    """Above four events, which are two steps, the older half is; the cache keeps the beginning."""
    made = [*requests(1000, Pace(100, 10), 5, 4)]
    assert made[3:] == [
        Request(4, 200, 0, 100),  # two of three steps are read, and half of that is written
        Request(4, 1000 + 100 + 100, 1000, 10),
        Request(5, 1000 + 100 + 200, 1200, 10),
    ]


def test_a_history_that_does_not_fit_is_cut() -> None:
    made = [*requests(1000, Pace(100, 10), 3, NEVER, window_tokens=1150)]
    assert made[2:] == [Request(3, 100, 0, 50), Request(3, 1150, 1000, 10, is_cut=True)]


def test_a_task_of_0_41_by_hand() -> None:
    """Ten steps of Claude: 33,000 tokens of first requests, and 45 times what a step adds."""
    old, _ = of_both(settings_of("anthropic/claude-sonnet-4-20250514"), 10)
    assert (old.first_tokens, old.gives_tools, old.asks_for_cache) == (3300, True, True)
    assert old.plain_usd == pytest.approx(
        (42_000 * 3e-6 + 1000 * 15e-6, 69_000 * 3e-6 + 4000 * 15e-6)  # $0.141 and $0.267
    )
    # All but the last prompt is read again; what is new is 3,300 tokens and nine times a step's.
    assert old.cached_usd == pytest.approx(
        (
            (42_000 - 5_100) * 0.3e-6 + 5_100 * 3.75e-6 + 1000 * 15e-6,
            (69_000 - 10_500) * 0.3e-6 + 10_500 * 3.75e-6 + 4000 * 15e-6,
        )
    )


def test_what_was_published_lies_between() -> None:
    """The prompts of seven steps of OpenHands 0.25, and tasks of the SDK on SWE-bench."""

    def between(first_tokens: int, steps: int, tokens: float) -> bool:
        slow, fast = (
            sum(each.prompt_tokens for each in requests(first_tokens, pace, steps, NEVER))
            for pace in (SLOW, FAST)
        )
        return slow <= tokens <= fast

    prompts = [3567, 3849, 4092, 4408, 5207, 5355, 5604]
    assert between(prompts[0], len(prompts), sum(prompts))
    assert SLOW.answer_tokens <= 882 / 7 <= FAST.answer_tokens
    for events, million in ((122, 0.8), (195, 2.6), (342, 11.5)):
        assert between(7100, events // 2, million * 1e6)


def test_a_model_that_0_41_does_not_list_gets_its_tools_in_the_prompt_and_no_cache() -> None:
    """The SDK gives it both."""
    old, new = of_both(settings_of("anthropic/claude-sonnet-4-5"))
    assert (old.first_tokens, old.gives_tools, old.cached_usd) == (4900, False, None)
    assert (new.first_tokens, new.gives_tools) == (7100, True)
    assert new.plain_usd is not None
    assert new.cached_usd is not None
    assert new.cached_usd[1] < new.plain_usd[0]
    said = said_of(settings_of("anthropic/claude-sonnet-4-5"))
    assert "OpenHands 0.41 asks for no cache with this model." in said
    assert "OpenHands SDK 1.58 asks for no cache" not in said


def test_settings_decide_on_tools_and_cache() -> None:
    model = "anthropic/claude-sonnet-4-20250514"
    settings = settings_of(model, LLM_NATIVE_TOOL_CALLING="false", LLM_CACHING_PROMPT="false")
    for found, first_tokens in zip(of_both(settings), (4900, 9000), strict=True):
        assert (found.first_tokens, found.cached_usd) == (first_tokens, None)


def test_a_provider_that_caches_by_itself_is_asked_for_nothing() -> None:
    """OpenAI has no price of its own for what it writes."""
    _, new = of_both(settings_of("openai/gpt-4o"), 2)
    assert new.cached_usd is not None
    assert new.cached_usd[0] == pytest.approx(7100 * 1.25e-6 + 7300 * 2.5e-6 + 200 * 10e-6)


def test_a_list_without_a_price_of_cached_tokens() -> None:
    settings = settings_of("mistral/large")
    assert [each.cached_usd for each in of_both(settings)] == [None, None]
    assert "$2 in, $6 out, by LiteLLM's list, which has none for cached ones." in said_of(settings)


@pytest.mark.parametrize("model", ["openai/of-my-own", "openai/retired"])
def test_without_a_price_it_is_said_what_to_set(model: str) -> None:
    """A price of 0 is one that the list does not know."""
    settings = settings_of(model, LLM_BASE_URL="https://models.example/v1")
    assert [each.plain_usd for each in of_both(settings)] == [None, None]
    told = f"The price of {model} is not known: set input_cost_per_token and output_cost_per_token."
    assert told in said_of(settings)


def test_a_price_by_hand_counts_for_cached_tokens_too() -> None:
    """As OpenHands has it; also at a server on this machine."""
    by_hand = {"LLM_INPUT_COST_PER_TOKEN": "0.001", "LLM_OUTPUT_COST_PER_TOKEN": "0.002"}
    settings = settings_of("openai/gpt-4o", LLM_BASE_URL="http://localhost:1/v1", **by_hand)
    old, _ = of_both(settings, 1)
    assert old.plain_usd == pytest.approx((3300 * 0.001 + 0.2, 3300 * 0.001 + 0.8))
    assert old.cached_usd is None
    assert "$1000 in, $2000 out, set by hand" in said_of(settings)


@pytest.mark.parametrize(
    "env",
    [
        {"LLM_MODEL": "openai/gpt-4o", "LLM_BASE_URL": "http://127.0.0.1:8000/v1"},
        {"LLM_MODEL": "openai/gpt-4o", "LLM_BASE_URL": "http://host.docker.internal:8000/v1"},
        {"LLM_MODEL": "ollama/qwen3"},
    ],
    ids=["an address", "from docker", "Ollama"],
)
def test_a_server_on_this_machine_takes_no_money(env: dict[str, str]) -> None:
    """Whatever its model's name costs elsewhere."""
    settings = load_settings(env=env)
    for found in of_both(settings):
        assert found.is_local
        assert found.plain_usd is None
    assert "The server is on this machine" in said_of(settings)
    assert "is not known" not in said_of(settings)


def test_a_version_that_would_send_nothing_says_why() -> None:
    """It has no figures, and the other one has."""
    settings = settings_of("moonshot/kimi")
    old, new = of_both(settings)
    assert old.refused
    assert not new.refused
    assert said_of(settings).startswith("OpenHands 0.41 would fail: neither it nor")
    assert "\nIt is a guess" not in said_of(settings_of("practice/echo"))


def test_a_context_without_room_for_the_first_request() -> None:
    """Nothing is reckoned, and it is said."""
    settings = settings_of("mistral/large", LLM_MAX_INPUT_TOKENS="4096")
    old, _ = of_both(settings)
    assert not old.fits
    assert old.plain_usd is None
    told = "OpenHands 0.41 cannot work with mistral/large: its first request alone is about 4,900"
    assert f"{told} tokens, and the context has 4,096." in said_of(settings)


def test_a_history_that_outgrows_the_context_is_told() -> None:
    """At 800 tokens a step, 16,384 have room for 14 steps beside 4,900."""
    settings = settings_of("mistral/large", LLM_MAX_INPUT_TOKENS="16384")
    old, _ = of_both(settings)
    assert old.is_cut_at == 16
    assert "From step 16 on the history of OpenHands 0.41 may not fit" in said_of(settings)
    assert of_both(settings, 15)[0].is_cut_at is None


@pytest.mark.parametrize(
    ("limit", "stops_at", "said"),
    [
        ("0.01", (1, 1), "would stop OpenHands 0.41 at step 1."),
        ("0.05", (3, 12), "would stop OpenHands 0.41 between steps 3 and 12."),
        ("0.30", (11, None), "may stop OpenHands 0.41, at step 11 at the earliest."),
        ("99", (None, None), "leaves OpenHands 0.41 all of these steps."),
    ],
)
def test_a_budget_stops_it(limit: str, stops_at: tuple[int | None, int | None], said: str) -> None:
    """At the earliest where the history grows fast and nothing is cached.

    Then three steps cost 12,300 tokens of prompts and 1,200 of answers, $0.0549. Eleven slow ones
    with a cache cost 42,000 tokens that are read, 5,300 that are written and 1,100 of answers,
    $0.0490.
    """
    settings = settings_of("anthropic/claude-sonnet-4-20250514", MAX_BUDGET_PER_TASK=limit)
    old, _ = of_both(settings, 20)
    assert old.stops_at == stops_at
    assert f"max_budget_per_task (now {float(limit):g}, from " in said_of(settings, 20)
    assert said in said_of(settings, 20)


@given(
    steps=st.integers(1, 300),
    more=st.integers(1, 50),
    model=st.sampled_from(["claude-sonnet-4-20250514", "gpt-4o", "mistral/large"]),
    window=st.none() | st.integers(10_000, 300_000),
)
def test_more_steps_cost_more_and_a_cache_less(
    steps: int, more: int, model: str, window: int | None
) -> None:
    """Whatever the context is; and no prompt is larger than that, but for what is never cut."""
    env = {} if window is None else {"LLM_MAX_INPUT_TOKENS": str(window)}
    settings = settings_of(model, **env)
    for version in VERSIONS.values():
        less, greater = (estimate(settings, each, version) for each in (steps, steps + more))
        if less.plain_usd is None or greater.plain_usd is None:
            assert less.refused
            continue
        assert less.plain_usd[0] <= less.plain_usd[1]
        assert less.plain_usd < greater.plain_usd
        if less.cached_usd is not None and steps > 2:
            assert less.cached_usd[0] < less.plain_usd[0]


def test_a_half_of_a_price_is_none() -> None:
    """Nothing is made up for the other half."""
    settings = settings_of("openai/of-my-own", LLM_INPUT_COST_PER_TOKEN="0.001")
    assert price_of(settings, {}) is None
