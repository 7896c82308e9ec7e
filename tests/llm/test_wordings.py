"""Real refusals of real servers, and what is made of them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from faults.wordings import NOW, WORDINGS, Wording
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic import errors
from openhands_llm_magic.config.setting import python_literal
from openhands_llm_magic.llm import refusals
from openhands_llm_magic.llm.limits import waits
from openhands_llm_magic.llm.meaning import meaning


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "_now", lambda: NOW)


@pytest.mark.parametrize(
    "wording", WORDINGS, ids=lambda each: f"{each.provider}: {each.about} ({each.status})"
)
def test_a_refusal_means(wording: Wording) -> None:
    """The class, the settings it names, who gave it, and how long to wait."""
    refusal = refusals.read(wording.body, status=wording.status, headers=wording.headers)
    meant = meaning(refusal)
    assert meant.__name__ == wording.expected, refusal
    assert refusal.settings == wording.settings
    assert refusal.given_by == wording.given_by
    assert refusal.retry_after_s == (wording.wait_s and pytest.approx(wording.wait_s))
    if meant is errors.DailyLimitError:
        assert refusal.period == wording.period


def said(words: str, **more: object) -> str:
    return json.dumps({"error": {"message": words} | more})


@pytest.mark.parametrize("body", ["\ufeff not found", " not\u2028\x1bfound\r\n", "not\u00a0found"])
def test_the_words_are_one_line_without_what_does_not_show(body: str) -> None:
    assert refusals.read(body, status=404).words == "not found"


@pytest.mark.parametrize("body", ['{ {"code": "1113"}}', "{[]: 1}", "{{}, b'x'}"])
def test_what_looks_like_a_dictionary_of_python_need_not_be_one(body: str) -> None:
    assert refusals.read(body, status=404).words == body


ASKED = "Please tell me why a context length is exceeded, and whether my credit balance is too low."


@pytest.mark.parametrize("status", [400, 422, 429, 500, 503])
def test_the_prompt_that_a_refusal_quotes_does_not_decide(status: int) -> None:
    """Servers quote a part of the request after their own words."""
    own = "The request could not be read. " * 20
    assert len(own) > refusals.LOOKED_AT
    plain = refusals.read(said(own), status=status)
    quoting = refusals.read(said(own + ASKED), status=status)
    assert meaning(quoting) is meaning(plain)
    assert quoting.words.endswith(ASKED)


@pytest.mark.parametrize("form", ["detail", "message"])
def test_nor_does_the_input_that_a_validation_quotes(form: str) -> None:
    """FastAPI puts the request's text beside its own, and vLLM into it."""
    mistake = {"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}
    quoting = mistake | {"input": {"prompt": ASKED}}
    text = f"1 validation error:\n  {quoting} [{quoting}]"
    body = {"detail": [quoting]} if form == "detail" else {"error": {"message": text}}
    refusal = refusals.read(json.dumps(body), status=400)
    assert meaning(refusal) is errors.BadRequestError
    assert "Field required" in refusal.words


LATER = NOW + timedelta(seconds=90)


@pytest.mark.parametrize(
    ("words", "headers", "wait_s"),
    [
        ("Please try again in 1m0.052s.", {}, 60.052),
        ("Please try again in 6ms.", {}, 0.006),
        ("Please try again in 9m38.016s.", {}, 578.016),
        ("Please try again in 1h2m3s.", {}, 3723),
        ("Try again in 5 days 22 hours 11 minutes.", {}, 511860),
        ("Please retry after 60 seconds.", {}, 60),
        ("Please retry in 45.578569677s.", {}, 45.578569677),
        ("Please wait 5631 seconds before retrying.", {}, 5631),
        ("Wait for 2 minutes.", {}, 120),
        (f"Limit resets at: {LATER:%Y-%m-%d %H:%M:%S} UTC", {}, 90),
        ("Limit resets at: 2026-13-99 25:61:61 UTC", {}, None),
        ("Please wait a moment and try again.", {}, None),
        ("Try again in 7s.", {"retry-after": "5", "retry-after-ms": "494"}, 0.494),
        ("Try again in 7s.", {"retry-after": "5"}, 5),
        ("Try again in 7s.", {"retry-after": "-1"}, 7),
        ("Try again in 7s.", {"retry-after": "1e300"}, waits.LONGEST_S),
        ("", {"retry-after": "Fri, 31 Dec 9999 23:59:59 -2300"}, waits.LONGEST_S),
        ("", {"retry-after": "Fri, 31 Dec 99999999999 23:59:59 GMT"}, None),
        ("", {"retry-after": "7", "date": "Fri, 31 Dec 99999999999 23:59:59 GMT"}, 7),
        ("", {"retry-after": "Mon, 01 Jan 2026 00:00:00 +99999999999999999999"}, None),
        ("", {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}, None),
        ("", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m0.052s"}, 60.052),
        ("", {"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "1m0.052s"}, None),
    ],
)
def test_the_forms_of_a_wait(words: str, headers: dict[str, str], wait_s: float | None) -> None:
    asked_s = refusals.read(said(words), status=429, headers=headers).retry_after_s
    assert asked_s == (wait_s and pytest.approx(wait_s))


@pytest.mark.parametrize(
    ("remaining", "name", "reset"),
    [
        ("0", "anthropic-ratelimit-tokens-", f"{LATER:%Y-%m-%dT%H:%M:%SZ}"),
        ("rejected", "anthropic-ratelimit-unified-", str(int(LATER.timestamp()))),
        ("0", "x-ratelimit-", str(int(LATER.timestamp()))),
        ("0", "x-ratelimit-", str(int(LATER.timestamp() * 1000))),
    ],
)
def test_the_forms_of_a_reset(remaining: str, name: str, reset: str) -> None:
    """RFC 3339, and seconds or milliseconds since 1970, by the server's own clock."""
    used_up = name + ("status" if remaining == "rejected" else "remaining")
    headers = {
        used_up: remaining,
        f"{name}reset": reset,
        "date": f"{NOW:%a, %d %b %Y %H:%M:%S} GMT",
    }
    if "tokens" in name:
        headers = {**headers, "anthropic-ratelimit-tokens-remaining": "0"}
    assert refusals.read(said("Slow down."), status=429, headers=headers).retry_after_s == 90


@pytest.mark.parametrize("where", ["error", "metadata"])
def test_a_wait_in_a_field_of_the_body(where: str) -> None:
    asked = {"retry_after_seconds": 3}
    more = asked if where == "error" else {"metadata": asked}
    assert refusals.read(said("Slow down.", **more), status=429).retry_after_s == 3


@pytest.mark.parametrize(
    ("words", "given_by", "inner"),
    [
        ('litellm.X: {"message": "m"}', "", "m"),
        ('litellm.XError: AnthropicException - {"error": {"message": "m"}}', "Anthropic", "m"),
        ("litellm.XError: YError: OpenAIException - m. Received Model Group=a", "OpenAI", "m"),
        (
            'litellm.XError: VertexAIException XError - b\'{\\n  "message": "m"}\'',
            "VertexAI",
            "m",
        ),
        ("litellm.XError: something: went wrong", "", "something: went wrong"),
        ("TypeError: m", "", "TypeError: m"),
    ],
)
def test_the_words_of_a_provider_behind_a_litellm_proxy(
    words: str, given_by: str, inner: str
) -> None:
    refusal = refusals.read({"error": {"message": words}}, status=400)
    assert (refusal.given_by, refusal.words) == (given_by, inner)


def test_midnight_comes_sooner_on_the_day_that_loses_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At one in the morning of 8 March 2026 in California, an hour before the clocks change."""
    monkeypatch.setattr(waits, "_now", lambda: datetime(2026, 3, 8, 9, tzinfo=UTC))
    assert waits.until_midnight_s("America/Los_Angeles") == 22 * 3600


def test_the_name_of_whoever_refused_is_one_short_line() -> None:
    """A server can send any text for it, and it is shown in a terminal."""
    metadata = {"provider_name": "A\n\x1b[31mB" + "c" * 1000}
    given_by = refusals.read({"error": {"message": "No.", "metadata": metadata}}).given_by
    assert given_by.startswith("A [31mBccc")
    assert len(given_by) < 100


def test_an_error_without_words_is_told_by_its_codes() -> None:
    for body in ('{"error": {"code": 402}}', {"error": {"code": 402}}):
        refusal = refusals.read(body)
        assert (refusal.is_told, "402" in refusal.words) == (True, True)
    assert not refusals.read({"choices": [], "error": None}).is_told


def test_a_limit_in_the_body_as_openrouter_tells_it() -> None:
    """Seven hours ahead, in milliseconds, and nowhere but in the body."""
    reset = int(NOW.timestamp() + 7 * 3600) * 1000
    metadata = {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}}
    body = said("Rate limit exceeded: free-models-per-day.", code=429, metadata=metadata)
    date = {"date": f"{NOW:%a, %d %b %Y %H:%M:%S} GMT"}
    refusal = refusals.read(body, status=429, headers=date)
    assert meaning(refusal) is errors.DailyLimitError
    assert (refusal.period, refusal.retry_after_s) == ("day", 7 * 3600)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, "<!doctype html><title>Blocked</title>", errors.ProxyError),
        (403, "Blocked by policy.", errors.ProxyError),
        (403, "Access denied by the company's firewall.", errors.ProxyError),
        (403, "", errors.AuthenticationError),
        (403, '{"ok": false}', errors.AuthenticationError),
        (403, said("No."), errors.AuthenticationError),
        (401, "<h1>401</h1>", errors.ProxyError),
        (404, "<h1>404</h1>", errors.AddressError),
        (404, "404 - Not Found", errors.AddressError),
        (404, said("The agent is not there."), errors.ModelNotFoundError),
        (503, said("This model is currently unavailable."), errors.ServerError),
        (500, said("This model is currently unavailable."), errors.ServerError),
        (400, said("This model is no longer available."), errors.ModelNotFoundError),
        (429, said("Limit 10, Requested 11."), errors.RequestTooLargeError),
        (429, said("Limit 10, Used 9, Requested 10."), errors.RateLimitError),
        (429, said("Limit 30,000, Requested 36,278."), errors.RequestTooLargeError),
        (429, said("Upgrade to Dev Tier today at x."), errors.RateLimitError),
        (400, "Client sent an HTTP request to an HTTPS server.\n", errors.AddressError),
        (404, '{"message": "Route POST:/x not found", "error": "Not Found"}', errors.AddressError),
        (404, said("The requested URL was not found on this server."), errors.AddressError),
        (511, "<html><title>Log in to the network</title>", errors.ProxyError),
        (400, said("'temperature' is not supported with this model."), errors.BadRequestError),
        (400, said("For this model, 'top_k' is not supported."), errors.BadRequestError),
        (400, said("It fills the context window.", param="max_tokens"), errors.BadRequestError),
        (400, said("Your request exceeded model token limit: 9."), errors.ContextLengthError),
        (400, said("Missing API key"), errors.AuthenticationError),
        (403, said("Daily Limit Exceeded."), errors.DailyLimitError),
        (402, said("x", metadata={"reason": "in_flight_budget_exhausted"}), errors.RateLimitError),
        (None, '{"error": {"code": 402}}', errors.QuotaError),
        (None, said("x", code="402"), errors.QuotaError),
        (None, said("x", code=402), errors.QuotaError),
        (None, said("x"), errors.ServerError),
        (None, said("Too many tokens, please wait before trying again."), errors.RateLimitError),
        (None, '{"error": "Rate limit exceeded: free-models-per-day."}', errors.DailyLimitError),
        (None, '{"error": "Insufficient credits"}', errors.QuotaError),
        (
            429,
            said("Over the limit of 10,000 tokens: requested 12,000."),
            errors.RequestTooLargeError,
        ),
        (418, said("x"), errors.BadRequestError),
    ],
)
def test_a_rule(status: int | None, body: str, kind: type[errors.RequestError]) -> None:
    assert meaning(refusals.read(body, status=status)) is kind


NAMES = """
    error errors detail details message metadata raw headers code type status reasons param loc msg
    violations retryDelay @type limit_source provider_name response quotaId
"""
KEYS = st.sampled_from(NAMES.split()) | st.integers()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(KEYS, each, max_size=4),
    max_leaves=20,
)
STATUSES = st.none() | st.integers(100, 599)
CUT_OFF = st.builds(
    lambda wording, end: wording.body[:end], st.sampled_from(WORDINGS), st.integers(0, 400)
)
HEADER_NAMES = """
    retry-after retry-after-ms date x-ratelimit-remaining x-ratelimit-reset
    anthropic-ratelimit-unified-status anthropic-ratelimit-unified-reset
"""
HEADERS = st.dictionaries(
    st.sampled_from(HEADER_NAMES.split()),
    st.sampled_from(["0", "-1", "1e999", "nan", "rejected", "0001-01-01", "9" * 400])
    | st.from_regex(re.compile(r"[0-9]{1,4}-[0-9]{2}-[0-9]{2}T[0-9:]{5,8}Z?", re.ASCII))
    | st.datetimes().map(lambda each: f"{each:%a, %d %b %Y %H:%M:%S} GMT")
    | st.text(max_size=10),
)


@given(body=VALUES | st.text() | CUT_OFF, status=STATUSES, headers=HEADERS)
def test_whatever_a_server_sends_is_read(
    body: object, status: int | None, headers: dict[str, str]
) -> None:
    """Nothing raises, as an error about an error would hide what the server says."""
    for each in (body, repr(body)):
        refusal = refusals.read(each, status=status, headers=headers)
        assert issubclass(meaning(refusal), errors.RequestError)
        assert refusal.retry_after_s is None or 0 <= refusal.retry_after_s <= waits.LONGEST_S


LONG = 100_000
PIECES = ["{", "[", " ", "a", "<", "<a", "<title>", '{"error":', "[1,", "1", "limit 1, ", "model "]
PIECES += [".", "retry in 1", "try again in 1 ", "litellm.", "-", "(", "text ", "429 ", "https://"]
AROUND = ["{}", '{{"message": "{}"}}', "<html>{}", "{{'error': '{}'}}"]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("around", AROUND)
def test_a_long_body_costs_no_more_than_its_length(
    piece: str, around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patterns see a part that is short, and nothing is parsed that is long and not JSON."""
    body = around.format(piece * (LONG // len(piece)))
    heard: list[str] = []
    literals: list[str] = []
    evaluate = python_literal

    def by_words(words: str, _: object) -> None:
        heard.append(words)

    def literal(text: str) -> object:
        literals.append(text)
        return evaluate(text)

    monkeypatch.setattr("openhands_llm_magic.llm.meaning._by_words", by_words)
    monkeypatch.setattr("openhands_llm_magic.llm.refusals.python_literal", literal)
    for status in (None, 400, 404, 429):
        meaning(refusals.read(body, status=status))
    assert max(map(len, heard), default=0) <= refusals.LOOKED_AT
    assert max(map(len, literals), default=0) <= refusals.LONGEST_LITERAL
