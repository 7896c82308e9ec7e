"""A failure's line names the setting to change and where its value comes from."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm import explain
from openhands_llm_magic.llm.explain import TEXTS, explained
from openhands_llm_magic.llm.litellm import faults
from openhands_llm_magic.notebook.language import CELLS, Language

if TYPE_CHECKING:
    from pathlib import Path

    from openhands_llm_magic.config.resolve import Snapshot

CONFIG = """\
[llm]
model = "openai/gpt-4o"
api_key = "sk-canary-0123456789"
base_url = "http://127.0.0.1:9/v1"
num_retries = 2
timeout = 60
max_output_tokens = 99
[openhands_llm_magic]
retry_after_limit = 120
"""


@pytest.fixture
def settings(tmp_path: Path) -> Snapshot:
    """Settings of which each has its line in a config file, but top_p."""
    (tmp_path / "config.toml").write_text(CONFIG)
    return load_settings()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (errors.AuthenticationError, ["api_key (now **********, from config.toml line 3)"]),
        (errors.ModelNotFoundError, ["model (now openai/gpt-4o, from config.toml line 2)"]),
        (errors.QuotaError, ["api_key (now **********, from config.toml line 3)"]),
        (errors.ContextLengthError, ["model (now openai/gpt-4o, from config.toml line 2)"]),
        (errors.BadRequestError, ["model (now openai/gpt-4o, from config.toml line 2)"]),
        (errors.ContentFilterError, ["model (now openai/gpt-4o, from config.toml line 2)"]),
        (errors.OutputLimitError, ["max_output_tokens (now 99, from config.toml line 7)"]),
        (errors.NoTextError, ["model (now openai/gpt-4o, from config.toml line 2)"]),
        (errors.RateLimitError, ["num_retries (now 2, from config.toml line 5)", "1 retry"]),
        (errors.ServerError, ["num_retries (now 2, from config.toml line 5)", "1 retry"]),
        (errors.NoAnswerInTimeError, ["timeout (now 60, from config.toml line 6)"]),
        (
            errors.ConnectionFailedError,
            ["base_url (now http://127.0.0.1:9/v1, from config.toml line 4)"],
        ),
        (errors.BrokenAnswerError, ["num_retries (now 2, from config.toml line 5)"]),
    ],
)
def test_it_names_the_setting_and_its_origin(
    settings: Snapshot, kind: type[errors.RequestError], names: list[str]
) -> None:
    """On one line, with the status and the server's words; the class and the facts stay."""
    said = kind("Not like {this}.", status=418, retry_after_s=7)
    error = explained(said, settings, retries=1)
    assert type(error) is kind
    assert (error.status, error.retry_after_s) == (418, 7)
    line = str(error)
    assert "(418: Not like {this})" in line
    assert [name for name in names if name not in line] == []
    assert len(line.splitlines()) == 1
    assert "canary" not in line


@pytest.mark.parametrize(
    ("address", "is_ones_own"),
    [("http://127.0.0.1:8080/v1", True), ("http://192.168.1.7/v1", True), (None, False)],
)
def test_what_gives_a_server_of_ones_own_more_context(
    address: str | None, is_ones_own: bool
) -> None:
    """Of another nobody but its provider decides that."""
    settings = load_settings().with_overrides({"base_url": address})
    line = str(explained(errors.ContextLengthError("Too long.", status=400), settings))
    assert ("llama.cpp: -c" in line) == is_ones_own


@pytest.mark.parametrize(
    ("words", "is_outside"),
    [
        ("Quota exceeded for metric: x/generate_content_free_tier_requests, limit: 0", True),
        ("Gemini 2.5 Pro Preview doesn't have a free quota tier.", True),
        ("Quota exceeded for metric: x/generate_requests_per_model, limit: 0", False),
    ],
)
def test_a_model_that_is_not_in_the_free_tier(
    settings: Snapshot, words: str, is_outside: bool
) -> None:
    """Neither credit nor another key of the same project helps: another model or billing does."""
    line = str(explained(errors.QuotaError(words, status=429), settings))
    assert line.startswith("openai/gpt-4o is not in the free tier (429: ") == is_outside
    assert ("add credit" in line.lower()) != is_outside


@pytest.mark.parametrize("kind", TEXTS)
def test_a_setting_that_is_not_set_is_named_too(kind: type[errors.RequestError]) -> None:
    """As with nothing but the defaults."""
    line = str(explained(kind("No."), load_settings(), missing_variables=["A_KEY", "B_KEY"]))
    assert len(line.splitlines()) == 1
    assert "None" not in line
    assert line.endswith(".")


def test_every_failure_of_a_request_has_a_text() -> None:
    """But for those that are raised in words of their own, as no server has any part in them."""
    kinds = [
        kind
        for parent in (errors.RequestError, errors.TransientError, errors.RateLimitError)
        for kind in parent.__subclasses__()
    ]
    own_words = {errors.LibraryError, errors.Stopped, errors.StoreError, errors.NotStoredError}
    own_words |= {errors.OverBudgetError, errors.UntrustedAddressError}
    assert set(TEXTS) == {*kinds} - {errors.TransientError, *own_words}


@pytest.mark.parametrize("kind", [errors.AuthenticationError, errors.BadRequestError])
def test_a_refusal_for_want_of_a_key(kind: type[errors.RequestError]) -> None:
    """It names the variables that could hold one, and the way without an account."""
    settings = load_settings(env={"LLM_MODEL": "openai/gpt-4o"})
    error = explained(kind("No key."), settings, missing_variables=["A_KEY", "B_KEY"])
    assert type(error) is errors.MissingKeyError
    for name in ("A_KEY or B_KEY", "give api_key", "openai/gpt-4o", "practice/echo"):
        assert name in str(error)


def test_another_failure_without_a_key_stays_what_it_is() -> None:
    error = explained(errors.ServerError("busy"), load_settings(), missing_variables=["A_KEY"])
    assert type(error) is errors.ServerError


@pytest.mark.parametrize(
    ("model", "variable", "told"),
    [
        ("groq/llama3-70b-8192", "GROQ_API_KEY", "now from GROQ_API_KEY"),
        ("groq/llama3-70b-8192", "", "now not set"),
        ("an-unknown-provider/m", "", "now from the provider's own variable, if there is one"),
    ],
)
def test_a_key_that_is_not_set_here_is_told_by_where_it_is(
    monkeypatch: pytest.MonkeyPatch, model: str, variable: str, told: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, "gsk-canary-0123456789")
    settings = load_settings(env={"LLM_MODEL": model})
    error = explained(errors.AuthenticationError("No.", status=401), settings)
    assert f"api_key ({told})" in str(error)


def test_a_wait_that_is_too_long_names_the_limit(settings: Snapshot) -> None:
    error = explained(errors.RateLimitError("slow down", retry_after_s=300), settings)
    assert "asks to wait 300 s, longer than 120 s" in str(error)
    assert "retry_after_limit (now 120, from config.toml line 9)" in str(error)
    assert "num_retries" not in str(error)


def refused(
    kind: type[errors.RequestError], *named: str, given_by: str = ""
) -> errors.RequestError:
    """Return a refusal that names settings, or who refused behind a gateway."""
    error = kind("No.", status=400)
    error.named, error.given_by = named, given_by
    return error


def test_a_setting_that_the_server_names_is_named_with_its_origin(settings: Snapshot) -> None:
    """Not the model, which has nothing to do with it; and how to leave it out."""
    line = str(explained(refused(errors.BadRequestError, "max_output_tokens", "top_p"), settings))
    assert "max_output_tokens (now 99, from config.toml line 7)" in line
    assert "or to none, which leaves it out" in line
    assert "such as model" not in line


def test_a_parameter_that_no_setting_has_made_is_not_blamed_on_one(settings: Snapshot) -> None:
    """As max_tokens where LiteLLM adds it; the default of a temperature is not sent."""
    line = str(explained(refused(errors.BadRequestError, "seed", "temperature"), settings))
    assert "seed" not in line
    assert "temperature" not in line
    assert "such as model" in line


def test_credit_that_does_not_cover_a_long_answer(settings: Snapshot) -> None:
    line = str(explained(refused(errors.QuotaError, "max_output_tokens"), settings))
    assert "Lower max_output_tokens (now 99, from config.toml line 7), add credit" in line


def test_a_key_of_the_gateways_own_is_not_the_persons(settings: Snapshot) -> None:
    line = str(explained(refused(errors.AuthenticationError, given_by="OpenAI"), settings))
    assert line.startswith("OpenAI refused the key of the gateway in between (400, OpenAI: No).")
    assert "Set another api_key" not in line


@pytest.mark.parametrize(
    ("base_url", "any_will_do"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:1234/v1", True),
        ("http://192.168.1.7:8000/v1", True),
        ("http://gpu-box:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("https://gateway.example/v1", False),
        (None, False),
    ],
)
def test_a_server_of_ones_own_takes_any_key(base_url: str | None, any_will_do: bool) -> None:
    """Nothing is sent without one, and OPENAI_API_KEY is not for it."""
    settings = load_settings(env={"LLM_MODEL": "openai/m"}).with_overrides({"base_url": base_url})
    error = explained(errors.AuthenticationError("No."), settings, missing_variables=["A_KEY"])
    assert type(error) is errors.MissingKeyError
    assert ("takes any text for one" in str(error)) == any_will_do


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
def test_a_limit_of_a_day_opens_in_the_persons_own_time(
    settings: Snapshot, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    error = errors.DailyLimitError("Used up.", status=429, retry_after_s=7 * 3600)
    then = datetime.now(ZoneInfo(zone)) + timedelta(hours=7)
    line = str(explained(error, settings))
    opens = [f"{then + timedelta(minutes=late):%Y-%m-%d %H:%M %Z}" for late in (0, 1)]
    assert any(
        f"it opens again at {each}. Ask then, or set another model" in line for each in opens
    )
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29 04:00 CEST"),
        ("W. Europe Standard Time", "2026-03-29 02:00 UTC"),
    ],
)
def test_a_time_of_day_is_that_of_its_own_day(
    zone: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the clocks have changed, too; and Windows' names of time zones are told as offsets."""

    class Saturday(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(2026, 3, 28, 13, tzinfo=tz)

        def astimezone(self, tz: Any = None) -> Any:
            here = super().astimezone(tz)
            return (
                here.replace(tzinfo=timezone(here.utcoffset() or timedelta(), zone))
                if " " in zone
                else here
            )

    monkeypatch.setattr(explain, "datetime", Saturday)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert explain._clock_time(13 * 3600) == told
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("words", ["day", "the model sent an empty answer", "{status}", "it {"])
def test_a_servers_words_are_the_same_in_every_language(settings: Snapshot, words: str) -> None:
    """Also where they are those of a text that is translated."""
    error = faults.refused("accepted", {"error": {"message": words}})
    assert error is not None
    japanese = Language("ja", CELLS)
    assert japanese("day") != "day"
    assert error.text.worded(japanese) == words
    assert f"\N{FULLWIDTH LEFT PARENTHESIS}{words}" in explained(error, settings).text.worded(
        japanese
    )


def test_a_limit_of_a_day_of_which_no_end_is_told(settings: Snapshot) -> None:
    line = str(explained(errors.DailyLimitError("Used up.", status=429), settings))
    assert "the server does not say when it opens again" in line


def test_an_address_without_prompts_is_told_with_what_the_check_finds() -> None:
    env = {"LLM_MODEL": "openai/m", "LLM_BASE_URL": "http://localhost:8000"}
    error = errors.AddressError("Not Found", status=404)
    error.url = "http://localhost:8000/chat/completions"
    line = str(explained(error, load_settings(env=env)))
    assert "no model answers at http://localhost:8000/chat/completions (404: Not Found)" in line
    assert "http://localhost:8000/v1" in line


def test_a_header_that_cannot_be_sent_may_be_one_of_the_person_s(settings: Snapshot) -> None:
    """Of a key alone, the line does not speak of headers."""
    fault = errors.UnsendableError("a character in the key does not fit into HTTP headers")
    assert "completion_kwargs" not in str(explained(fault, settings))
    given = {"completion_kwargs": {"extra_headers": {"X-Ä": "1"}}}
    told = str(explained(fault, settings.with_overrides(given)))
    assert "Check extra_headers in completion_kwargs (" in told
    assert "api_key (now **********, from config.toml line 3)" in told
