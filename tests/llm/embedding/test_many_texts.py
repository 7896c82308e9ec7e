"""Many texts into vectors: retries, the rate limiter, and what comes of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from fake_clock import SteppedClock
from model_server import Answer, Hang, ModelServer, Raw, Refuse

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.embedding.embed import Embeddings, embed, prepare, run
from openhands_llm_magic.llm.events import (
    Accepted,
    AttemptEnded,
    Failed,
    Retrying,
    Sending,
    Throttled,
    Usage,
    Waiting,
)
from openhands_llm_magic.llm.worker import Control

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from model_server import Step

    from openhands_llm_magic.config.resolve import Snapshot

pytestmark = pytest.mark.usefixtures("set_up", "litellm")

KEY = "sk-canary-0123456789abcdef"  # of the fixture `set_up`
MODEL = "openai/text-embedding-3-small"
TEXTS = [f"text {number}" for number in range(70)]  # 32, 32 and 6


def settings(**values: Any) -> Snapshot:
    return load_settings().with_overrides({"embedding_model": MODEL, **values})


def failure(
    server: ModelServer, clock: FakeClock, *steps: Step, **values: Any
) -> errors.RequestError:
    server.script(*steps)
    with pytest.raises(errors.RequestError) as caught:
        embed(TEXTS, settings(**values), clock=clock)
    return caught.value


def test_each_text_gets_its_vector(model_server: ModelServer) -> None:
    """In order, over several requests; tokens and cost are those of all."""
    made = embed(TEXTS, settings())
    assert [each.body["input"] for each in model_server.received] == [
        TEXTS[:32],
        TEXTS[32:64],
        TEXTS[64:],
    ]
    assert made.vectors.shape == (70, 2)
    numbers = [*range(32), *range(32), *range(6)]
    assert made.vectors.tolist() == [[number + 0.5, -0.5] for number in numbers]
    assert made.usage == Usage(21, 0)
    assert made.cost_usd == pytest.approx(21 * 2e-8)


def test_the_request_carries_what_it_needs(model_server: ModelServer) -> None:
    """The key and the model; nothing of what is for prompts alone."""
    embed(["one"], settings(temperature=0.5, completion_kwargs={"user": "x"}))
    [received] = model_server.received
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.body["model"] == "text-embedding-3-small"
    assert received.body["input"] == ["one"]
    assert not {"temperature", "top_p", "user"} & received.body.keys()


@pytest.mark.parametrize(
    ("texts", "told"),
    [([], "no texts"), (["one", " \n"], "text 2 of 2 is empty"), ([""], "the text is empty")],
)
def test_texts_that_are_none(model_server: ModelServer, texts: list[str], told: str) -> None:
    with pytest.raises(errors.UsageError, match=told):
        embed(texts, settings())
    assert model_server.count == 0


def test_the_events_are_those_of_prompts(model_server: ModelServer, clock: FakeClock) -> None:
    """A rate limit is waited out as the server asks, and only that request goes again."""
    model_server.script(Answer(), Refuse(429, {"retry-after": "2"}), Answer())
    events = list(run(prepare(TEXTS[:40], settings()), clock))
    assert [type(event) for event in events] == [
        *(Sending, Accepted, Usage, AttemptEnded, Embeddings),
        *(Sending, AttemptEnded, Retrying, Waiting, Waiting, Waiting),
        *(Sending, Accepted, Usage, AttemptEnded, Embeddings),
    ]
    assert sum(clock.sleeps_s) == 2
    assert [len(each.body["input"]) for each in model_server.received] == [32, 8, 8]


def test_a_wait_can_be_cut_short(model_server: ModelServer) -> None:
    clock = SteppedClock()
    model_server.script(Refuse(429, {"retry-after": "200"}), Answer())
    control = Control()
    for event in run(prepare(["one"], settings()), clock, control):
        if isinstance(event, Waiting):
            control.retry_now()
    assert clock.now() == 0


def test_send_now_is_about_one_request_and_no_later_one(model_server: ModelServer) -> None:
    """The limit holds for the rest."""
    clock, control, throttled = SteppedClock(), Control(), 0
    model_server.script(Answer())
    for event in run(prepare(TEXTS, settings(requests_per_minute=6)), clock, control):
        if isinstance(event, Throttled) and event.remaining_s > 0:
            throttled += 1
            if throttled == 1:
                control.retry_now()
            else:
                clock.let_time_pass()
    assert model_server.count == 3
    assert clock.now() > 9


def test_each_request_has_all_the_retries(model_server: ModelServer, clock: FakeClock) -> None:
    passing = Refuse(503)
    model_server.script(passing, passing, Answer(), passing, passing, Answer())
    made = embed(TEXTS[:40], settings(num_retries=2, retry_min_wait=1), clock=clock)
    assert len(made.vectors) == 40


def test_what_came_before_a_failure_is_kept(model_server: ModelServer, clock: FakeClock) -> None:
    error = failure(model_server, clock, Answer(), Answer(), Refuse(400, message="Too odd"))
    assert type(error) is errors.BadRequestError
    assert str(error).startswith("texts 65 to 70: the request was refused (400: Too odd). Check")
    assert error.reply.vectors.shape == (64, 2)
    assert error.reply.usage == Usage(14, 0)
    assert model_server.count == 3


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Refuse(401), r"refused the key \(401: .*\); the key is api_key, from LLM_API_KEY."),
        (Refuse(404), r"the embedding model openai/text-.* Set embedding_model \(now openai/text"),
        (Refuse(429), r"still rate limited .* raise num_retries \(now 4, from default\)"),
        (
            Refuse(429, message="Rate limit reached on requests per day."),
            r"the limit of the day .* another embedding_model \(now .*\); the key is api_key, from",
        ),
        (
            Raw(b"<h1>Hi", "text/html"),
            r"page .* Hi\). Check base_url \(now http.*, from LLM_BASE_URL",
        ),
        (Raw(b"{}", "text/json"), "texts 1 to 32: no vectors came"),
        (Refuse(429, code="insufficient_quota"), "no credit left .* the key is api_key, from LLM_"),
        (
            Refuse(400, code="context_length_exceeded", message="maximum context length is 8192"),
            "texts 1 to 32: one is longer than openai/text-embedding-3-small takes",
        ),
    ],
)
def test_a_failure_names_the_setting_and_its_origin(
    model_server: ModelServer, clock: FakeClock, step: Step, told: str
) -> None:
    error = failure(model_server, clock, step)
    assert re.search(told, str(error)), str(error)
    assert "\n" not in str(error)


def test_a_server_that_is_not_there(clock: FakeClock) -> None:
    told = "Check that it runs, and embedding_base_url"
    with pytest.raises(errors.ConnectionFailedError, match=told):
        embed(["one"], settings(embedding_base_url="http://127.0.0.1:9/v1"), clock=clock)


def test_a_key_that_a_server_echoes_is_masked(model_server: ModelServer, clock: FakeClock) -> None:
    error = failure(model_server, clock, Refuse(401, message=f"Bad key {KEY}"))
    assert KEY not in str(error)
    assert "Bad key **********" in str(error)


def test_a_login_in_an_address_is_masked(clock: FakeClock) -> None:
    address = "http://me:pass-of-mine@127.0.0.1:9/v1"
    with pytest.raises(errors.ConnectionFailedError) as caught:
        embed(["one"], settings(embedding_base_url=address), clock=clock)
    assert "pass-of-mine" not in str(caught.value)


def test_a_page_of_a_firewall_names_the_address_for_vectors(
    model_server: ModelServer, clock: FakeClock
) -> None:
    model_server.script(Raw(b"<title>Blocked by the firm</title>", "text/html", 403))
    address = {"embedding_base_url": model_server.openai_base}
    with pytest.raises(errors.ProxyError, match="and embedding_base_url"):
        embed(["one"], settings(base_url="http://other.invalid/v1", **address), clock=clock)


@pytest.mark.usefixtures("forget_clients")
def test_the_deadline_bounds_each_request(model_server: ModelServer) -> None:
    """It has as long as a prompt has."""
    model_server.script(Hang())
    with pytest.raises(errors.NoAnswerInTimeError):
        embed(["one"], settings(deadline=1, num_retries=0))


def test_the_gate_keeps_the_pace(model_server: ModelServer, clock: FakeClock) -> None:
    """The same as for prompts: all requests to a model go through one."""
    events = list(run(prepare(TEXTS, settings(requests_per_minute=60)), clock))
    assert any(isinstance(event, Throttled) for event in events)
    assert sum(clock.sleeps_s) == pytest.approx(2 / 0.98, rel=0.05)
    assert model_server.count == 3


def test_the_tokens_of_the_texts_count(model_server: ModelServer, clock: FakeClock) -> None:
    """About 100 tokens each, of 6,000 a minute; the server does not count them."""
    rows = [{"index": index, "embedding": [1]} for index in range(32)]
    model_server.script(Raw(json.dumps({"data": rows}).encode(), "application/json"))
    made = embed(["x" * 400] * 64, settings(tokens_per_minute=6_000), clock=clock)
    assert made.usage is None
    assert 30 < sum(clock.sleeps_s) < 40


def test_what_the_server_says_is_left_is_kept_to(
    model_server: ModelServer, clock: FakeClock
) -> None:
    limits = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "20s",
    }
    model_server.script(Answer(headers=limits), Answer())
    events = list(run(prepare(TEXTS[:40], settings()), clock))
    assert any(isinstance(event, Throttled) and event.by == "headroom" for event in events)


def test_nothing_is_sent_before_the_first_event_is_asked_for(model_server: ModelServer) -> None:
    events = run(prepare(TEXTS, settings()))
    assert model_server.count == 0
    assert isinstance(next(iter(events)), Sending)
    events.close()
    assert model_server.count <= 1


def test_replaying_sends_nothing(model_server: ModelServer) -> None:
    """Practice costs nothing, and leaves the machine alone."""
    with pytest.raises(errors.NotStoredError, match="vectors are not stored"):
        embed(["one"], settings(cache="replay"))
    assert model_server.count == 0
    assert embed(["one"], settings(cache="replay", embedding_model="practice/embed"))


def test_a_failure_is_the_last_event(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Refuse(401))
    *_, last = run(prepare(TEXTS, settings()), clock)
    assert isinstance(last, Failed)


def test_practice_needs_no_account() -> None:
    """The same text has the same vector, and texts with words in common are near."""
    texts = ["retry after a rate limit", "Rate limits and retries", "a cat on the mat"]
    first, again = (embed(texts, settings(embedding_model="practice/embed")) for _ in range(2))
    assert first == again
    assert first.usage == Usage(14, 0)
    one, two, three = first.vectors

    def near(a: Any, b: Any) -> float:
        return sum(float(x * y) for x, y in zip(a, b, strict=True))

    assert near(one, one) == pytest.approx(1)
    assert near(one, two) > 0.4 > near(one, three)
