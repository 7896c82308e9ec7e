"""A person who has set up OpenTelemetry sees a span for each attempt; nobody else pays for it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Refuse
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.embedding.embed import embed
from openhands_llm_magic.llm.spending import spans
from openhands_llm_magic.llm.spending.attempt import OTEL_NAMES, Attempt

if TYPE_CHECKING:
    from model_server import ModelServer

PROMPT = "a prompt that nobody else is to read"
ANSWER = "an answer that nobody else is to read"
KEY = "sk-canary-0123456789abcdef"


class Exporter(InMemorySpanExporter):
    """Keeps spans, and fails when it is told to."""

    fails = False

    def export(self, found: Any) -> Any:
        if self.fails:
            raise OSError("the collector is down")
        return super().export(found)


class FailingProcessor(SimpleSpanProcessor):
    """Fails where OpenTelemetry itself catches nothing."""

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - the name is OpenTelemetry's
        raise RuntimeError("the pipeline is broken")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """What the person has set; OpenTelemetry itself lets it be set once a process."""
    made = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", made)
    return made


@pytest.fixture
def exporter(provider: TracerProvider) -> Exporter:
    """Where spans go."""
    made = Exporter()
    provider.add_span_processor(SimpleSpanProcessor(made))
    return made


def known_of(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


@pytest.mark.usefixtures("set_up")
def test_each_attempt_is_a_span_of_the_callers(
    model_server: ModelServer, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that failed and one that answered, beside each other below the caller's own span."""
    monkeypatch.setenv("LLM_RETRY_MIN_WAIT", "0")
    monkeypatch.setenv("LLM_RETRY_MAX_WAIT", "0")
    model_server.script(Refuse(503), Answer(ANSWER))
    with trace.get_tracer("of the caller").start_as_current_span("report") as caller:
        assert ask(PROMPT) == ANSWER
    failed, answered, _ = exporter.get_finished_spans()
    for span in (failed, answered):
        assert span.name == "chat gpt-4o"
        assert span.kind is SpanKind.CLIENT
        assert span.parent is not None
        assert span.parent.span_id == caller.get_span_context().span_id
        assert span.instrumentation_scope is not None
        assert span.instrumentation_scope.name == "openhands_llm_magic"
    assert failed.status.status_code is StatusCode.ERROR
    assert known_of(failed)["error.type"] == "ServerError"
    assert known_of(failed)["http.response.status_code"] == 503
    assert answered.status.status_code is StatusCode.UNSET
    told = known_of(answered)
    assert 0 <= told.pop("gen_ai.response.time_to_first_chunk") < 60
    assert told.pop("gen_ai.usage.input_tokens") > 0
    assert told.pop("gen_ai.usage.output_tokens") > 0
    assert told.pop("gen_ai.response.model")
    assert told.pop("gen_ai.response.id")
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai_compatible",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": True,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
    }
    for secret in (PROMPT, ANSWER, KEY):
        assert secret not in failed.to_json() + answered.to_json()


@pytest.mark.usefixtures("set_up")
def test_a_refusals_words_are_no_part_of_its_span(
    model_server: ModelServer, exporter: Exporter
) -> None:
    """Servers quote the prompt and the key that they refuse."""
    model_server.script(Refuse(400, message=f"bad: {PROMPT} {KEY}"))
    with pytest.raises(RequestError, match="refused"):
        ask(PROMPT)
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert not span.status.description
    assert not span.events
    assert PROMPT not in span.to_json()
    assert KEY not in span.to_json()


def test_vectors_are_an_operation_of_their_own(
    model_server: ModelServer, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no stream."""
    monkeypatch.setenv("LLM_EMBEDDING_MODEL", "openai/text-embedding-3-small")
    monkeypatch.setenv("LLM_EMBEDDING_BASE_URL", model_server.openai_base)
    monkeypatch.setenv("LLM_EMBEDDING_API_KEY", KEY)
    embed(["one text"])
    (span,) = exporter.get_finished_spans()
    assert span.name == "embeddings text-embedding-3-small"
    assert "gen_ai.request.stream" not in known_of(span)


def test_a_span_lasts_as_long_as_its_attempt(exporter: Exporter) -> None:
    """It is told of when it is over, and says when it began."""
    spans.trace(attempt(ended_at_s=1_800_000_000.25, took_s=2.5))
    (span,) = exporter.get_finished_spans()
    assert span.start_time == 1_799_999_997_750_000_000
    assert span.end_time == 1_800_000_000_250_000_000


def test_an_attempt_that_was_stopped_has_not_succeeded(exporter: Exporter) -> None:
    """As a call that its client cancels has not; the class tells the two apart."""
    spans.trace(attempt(outcome="stopped", error_type="Stopped"))
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert known_of(span)["error.type"] == "Stopped"


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("openrouter/anthropic/claude-sonnet-4", "anthropic/claude-sonnet-4"),
        ("gpt-4o", "gpt-4o"),
        ("of-my-own/model", "of-my-own/model"),
    ],
)
def test_a_model_is_named_as_its_provider_names_it(model: str, named: str) -> None:
    """LiteLLM's prefix is no part of that name."""
    assert spans.attributes_of(attempt(model=model))["gen_ai.request.model"] == named


def test_nothing_is_told_that_is_not_known() -> None:
    """What OpenTelemetry requires is told in any case."""
    assert spans.attributes_of(attempt(model="gpt-4o")) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "_OTHER",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": True,
    }


def test_a_span_has_the_ledgers_names_and_no_other_words() -> None:
    """The names are in one place, and the notebook's path and the price are not among them."""
    told = spans.attributes_of(attempt(notebook="/home/me/secret.ipynb", cost_usd=1.0))
    assert set(told) - {"gen_ai.request.stream"} <= set(OTEL_NAMES.values())


@pytest.mark.usefixtures("set_up")
@pytest.mark.parametrize("broken", ["exporter", "processor"])
def test_a_pipeline_that_fails_costs_no_answer(
    model_server: ModelServer, provider: TracerProvider, exporter: Exporter, broken: str
) -> None:
    if broken == "exporter":
        exporter.fails = True
    else:
        provider.add_span_processor(FailingProcessor(exporter))
    model_server.script(Answer(ANSWER))
    assert ask(PROMPT) == ANSWER


def test_nothing_is_told_where_the_person_has_suppressed_it(exporter: Exporter) -> None:
    """As `suppress_instrumentation` of OpenTelemetry does."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        spans.trace(attempt())
    finally:
        detach(token)
    assert not exporter.get_finished_spans()


def test_without_a_provider_no_tracer_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry is imported, as other packages do it, and nobody has set it up."""
    asked: list[str] = []
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace.ProxyTracerProvider, "get_tracer", lambda *_: asked.append("tracer"))
    spans.trace(attempt())
    assert not asked


@pytest.mark.slow  # a process of its own imports LiteLLM anew
def test_nothing_of_opentelemetry_is_imported(model_server: ModelServer) -> None:
    """Neither to load the package nor to ask."""
    model_server.script(Answer(ANSWER))
    program = f"""
        import sys
        from openhands_llm_magic import ask
        ask({PROMPT!r}, model="openai/gpt-4o", base_url={model_server.openai_base!r}, api_key="k")
        print(*(name for name in sys.modules if name.partition(".")[0] == "opentelemetry"))
    """
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert model_server.count == 1
    assert not ended.stdout.strip()


def attempt(**told: Any) -> Attempt:
    """Return an attempt with what is told of it."""
    of_a_day: dict[str, Any] = {"ended_at_s": 1_800_000_000.0, "day": "2027-01-15"}
    return Attempt(**of_a_day | told)
