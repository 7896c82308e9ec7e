"""What went wrong is told from what the server really said, on every path through LiteLLM."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal

import pytest
from model_server import LITELLM_MODELS, Answer, Hang, ModelServer, Raw, Refuse
from sending import DIALECTS, failure, request_to, send_once

from openhands_llm_magic import errors
from openhands_llm_magic.llm.limits import waits
from openhands_llm_magic.llm.litellm import faults
from openhands_llm_magic.llm.prepare import Request

if TYPE_CHECKING:
    from collections.abc import Mapping


pytestmark = pytest.mark.usefixtures("litellm")

each_dialect = pytest.mark.parametrize("provider", DIALECTS)
each_provider = pytest.mark.parametrize("provider", LITELLM_MODELS)

CLASSES = {
    401: errors.AuthenticationError,
    409: errors.BadRequestError,
    500: errors.ServerError,
    520: errors.ServerError,
}
LATER = datetime.now(UTC) + timedelta(hours=1)
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@each_dialect
@pytest.mark.parametrize("status", [409, 520])
def test_the_status_decides(model_server: ModelServer, provider: str, status: int) -> None:
    error = failure(model_server, Refuse(status, message="Not like this."), provider)
    assert type(error) is CLASSES[status]
    assert (error.status, str(error)) == (status, "Not like this.")


@each_provider
@pytest.mark.parametrize("status", [401, 500])
def test_words_about_a_rate_limit_do_not(
    model_server: ModelServer, provider: str, status: int
) -> None:
    """LiteLLM takes them for a 429 on some paths."""
    refuse = Refuse(status, message="Rate limit: RESOURCE_EXHAUSTED, quota exceeded, 429.")
    error = failure(model_server, refuse, provider)
    assert (type(error), error.status) == (CLASSES[status], status)


@each_provider
def test_a_429_that_only_sounds_like_it_is_not(model_server: ModelServer, provider: str) -> None:
    """Gemini words its rate limits like OpenAI's billing errors."""
    words = "You exceeded your current quota, please check your plan and billing details."
    error = failure(model_server, Refuse(429, message=words), provider)
    assert (type(error), str(error)) == (errors.RateLimitError, words)


@pytest.mark.parametrize("provider", ["openai", "azure", "groq", "hosted_vllm", "litellm_proxy"])
def test_a_prompt_too_long_by_its_code(model_server: ModelServer, provider: str) -> None:
    refuse = Refuse(400, code="context_length_exceeded", message="Too many tokens.")
    assert type(failure(model_server, refuse, provider)) is errors.ContextLengthError


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("anthropic", "prompt is too long: 300000 tokens > 200000 maximum"),
        ("gemini", "The input token count (7) exceeds the maximum number of tokens allowed (6)."),
        ("openrouter", "This endpoint's maximum context length is 6 tokens. However, you [...]"),
    ],
)
def test_a_prompt_too_long_by_its_words(
    model_server: ModelServer, provider: str, words: str
) -> None:
    """These have no code for it."""
    error = failure(model_server, Refuse(400, message=words), provider)
    assert type(error) is errors.ContextLengthError


@each_provider
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_the_server_asks_for(
    model_server: ModelServer, provider: str, status: int
) -> None:
    assert failure(model_server, Refuse(status), provider).retry_after_s is None
    refuse = Refuse(status, {"Retry-After": "7"})
    assert failure(model_server, refuse, provider).retry_after_s == 7


@pytest.mark.parametrize(
    ("headers", "asked_s"),
    [
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"llm_provider-retry-after": "60"}, 60),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"x-ratelimit-reset-requests": "6m0s"}, None),
    ],
)
def test_forms_of_that_wait(
    model_server: ModelServer, headers: Mapping[str, str], asked_s: float | None
) -> None:
    """Seconds, milliseconds, a date; nonsense is no wait."""
    assert failure(model_server, Refuse(429, headers)).retry_after_s == asked_s


def test_a_date_is_read_by_the_servers_clock(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose own clock is wrong waits no longer for it."""
    monkeypatch.setattr(waits, "_now", lambda: LATER)
    then = datetime.now(UTC) + timedelta(seconds=100)
    refuse = Refuse(429, {"retry-after": format_datetime(then, usegmt=True)})
    assert failure(model_server, refuse).retry_after_s == pytest.approx(100, abs=10)


@pytest.mark.parametrize(
    ("details", "asked_s"),
    [
        ([{"@type": RETRY_INFO, "retryDelay": "37s"}], 37),
        ([{"@type": "type.googleapis.com/google.rpc.Help"}, {"retryDelay": "37.25s"}], 37.25),
        ([{"@type": RETRY_INFO, "retryDelay": "-1s"}], None),
        ([{"@type": RETRY_INFO, "retryDelay": None}], None),
        ([{"@type": RETRY_INFO}, "?"], None),
    ],
)
def test_gemini_names_its_wait_in_the_body(
    model_server: ModelServer, details: list[dict[str, str]], asked_s: float | None
) -> None:
    error = failure(model_server, Refuse(429, details=tuple(details)), "gemini")
    assert (type(error), error.retry_after_s) == (errors.RateLimitError, asked_s)


@each_provider
def test_a_server_that_is_not_there(provider: str) -> None:
    with ModelServer() as server:
        request = request_to(server, provider)
    with pytest.raises(errors.ConnectionFailedError) as caught:
        list(send_once(request))
    assert caught.value.status is None
    assert "litellm" not in str(caught.value).lower()


@each_provider
def test_silence_ends_with_the_timeout(model_server: ModelServer, provider: str) -> None:
    error = failure(model_server, Hang(), provider, timeout=0.2)
    assert type(error) is errors.NoAnswerInTimeError
    assert "litellm" not in str(error).lower()
    assert model_server.count <= 1  # it may be over before the server has read the request


@each_dialect
def test_silence_in_the_middle_of_an_answer(model_server: ModelServer, provider: str) -> None:
    error = failure(model_server, Hang(after_chunks=2), provider, timeout=0.5)
    assert type(error) is errors.BrokenAnswerError


@pytest.mark.parametrize("how", ["nothing", "half"])
def test_a_request_that_was_never_sent_is_not_sent_again(
    model_server: ModelServer, how: Literal["nothing", "half"]
) -> None:
    """LiteLLM refuses it by itself: without a key, or with a parameter that it cannot send."""
    bad = {"api_key": None} if how == "nothing" else {"reasoning_effort": object()}
    error = failure(model_server, Answer(), **bad)
    assert type(error) is errors.BadRequestError
    assert model_server.count == 0


def test_a_model_without_a_provider(model_server: ModelServer) -> None:
    request = Request("no-such-model", [], {})
    with pytest.raises(errors.ModelNotFoundError, match="no provider"):
        list(send_once(request))
    assert model_server.count == 0


@each_dialect
@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Two\nlines  and a\ttab.", "Two lines and a tab."),
        ("Errors: see {braces} and litellm.", "Errors: see {braces} and litellm."),
        ("It steers\x1b[2J\x07 a \u202eterminal. 日本語", "It steers[2J a terminal. 日本語"),
    ],
)
def test_the_servers_words_are_one_line(
    model_server: ModelServer, provider: str, message: str, words: str
) -> None:
    assert str(failure(model_server, Refuse(400, message=message), provider)) == words


@each_provider
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<style>h1 {}</style>\n<h1 id=x>Bad gateway</h1> <!-- x -->", "Bad gateway"),
        (b"upstream connect error", "upstream connect error"),
        (b'{"detail": "Not ready"}', "Not ready"),
        (b'{"error": {"message": "Not ready"}} and more', "Not ready"),
        (b'{"error": {"type": "busy"}}', '{"error": {"type": "busy"}}'),
        (b"<p></p>", "Service Unavailable"),
        (b"", "Service Unavailable"),
    ],
)
def test_a_refusal_in_another_form(
    model_server: ModelServer, provider: str, body: bytes, words: str
) -> None:
    """A proxy's page, FastAPI's `detail`, or nothing but the status: never LiteLLM's own words."""
    error = failure(model_server, Raw(body, "text/html", 503), provider)
    assert (type(error), error.status, str(error)) == (errors.ServerError, 503, words)


def test_a_long_body_is_cut_between_words(model_server: ModelServer) -> None:
    """Half a key, at the end of what is looked at, would not be masked."""
    longest = faults.LONGEST_BODY
    words = str(failure(model_server, Refuse(500, body=b"word " * longest)))
    assert len(words) < longest
    assert set(words.split()) == {"word"}
    assert str(failure(model_server, Refuse(500, body=b"x" * 2 * longest))).startswith("Internal")


@pytest.mark.parametrize("provider", [name for name in LITELLM_MODELS if name != "anthropic"])
@pytest.mark.parametrize("error", ["Queue full", {"message": "Queue full", "code": 503}])
def test_an_error_in_place_of_an_answer(
    model_server: ModelServer, provider: str, error: object
) -> None:
    """Some servers send a bare text, of which OpenAI's client only says that there was an error."""
    event = f"data: {json.dumps({'error': error})}\n\ndata: [DONE]\n\n"
    said = failure(model_server, Raw(event.encode(), "text/event-stream"), provider)
    assert (type(said), str(said)) == (errors.ServerError, "Queue full")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("insufficient_quota", errors.QuotaError),
        ("content_filter", errors.ContentFilterError),
        ("invalid_prompt", errors.ContentFilterError),
        ("server_error", errors.BrokenAnswerError),
    ],
)
def test_an_error_within_an_answer(
    model_server: ModelServer, code: str, kind: type[errors.RequestError]
) -> None:
    """One that would come again is not asked for again: each partial answer is paid for."""
    error = failure(model_server, Refuse(400, code=code, after_chunks=2))
    assert type(error) is kind


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_url": "localhost:9/v1"}, "base_url is no http"),
        ({"api_key": "sk-test-key\n"}, "a character in the key"),
        ({"api_key": "sk-test-鍵"}, "a character in the key"),
    ],
)
def test_what_cannot_be_sent_is_not_tried_again(
    model_server: ModelServer, options: dict[str, str], words: str
) -> None:
    """Nothing reaches the server, and nothing of the key is quoted."""
    error = failure(model_server, Answer(), **options)
    assert type(error) is errors.UnsendableError
    assert words in str(error)
    assert "sk-test" not in str(error)
    assert model_server.count == 0
