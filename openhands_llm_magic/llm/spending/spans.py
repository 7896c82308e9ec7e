"""A span of OpenTelemetry for each attempt, where the person has set up tracing.

Whoever wants spans sets a tracer provider, with an exporter of their choice, before they ask; until
then nothing of OpenTelemetry is imported here. A span has what the ledger has under OpenTelemetry's
names, so neither a prompt nor an answer nor a key, and belongs to the span that the caller is in.

A span is made when its attempt is over, with the times of the attempt. With OpenTelemetry's
`BatchSpanProcessor` an exporter that is slow or down is not waited for; with `SimpleSpanProcessor`,
which is for tests, each attempt waits for it.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.llm.spending.attempt import OTEL_NAMES

if TYPE_CHECKING:
    from openhands_llm_magic.llm.spending.attempt import Attempt

TRACER = "openhands_llm_magic"
"""The instrumentation scope, by which a person's pipeline can tell these spans from others."""

UNKNOWN_PROVIDER = "_OTHER"
"""OpenTelemetry's word for what has no name of its own; it requires a provider."""


def trace(attempt: Attempt) -> None:
    """Hand an attempt that is over to the person's tracer, if there is one.

    What goes wrong there, such as in an exporter, costs no answer.
    """
    otel = sys.modules.get("opentelemetry.trace")
    if otel is None:
        return
    with contextlib.suppress(Exception):
        provider = otel.get_tracer_provider()
        unset = (otel.ProxyTracerProvider, otel.NoOpTracerProvider)
        if not isinstance(provider, unset) and not _is_suppressed():
            _record(attempt, provider.get_tracer(TRACER), otel)


def _is_suppressed() -> bool:
    """Return whether the person has suppressed instrumentation here, as its tools let them."""
    context = sys.modules["opentelemetry.context"]
    return bool(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))  # noqa: SLF001 - there is no public name


def _record(attempt: Attempt, tracer: Any, otel: Any) -> None:
    attributes = attributes_of(attempt)
    span = tracer.start_span(
        f"{attempt.operation} {attributes.get(OTEL_NAMES['model'], '')}".rstrip(),
        kind=otel.SpanKind.CLIENT,
        attributes=attributes,
        start_time=_ns(attempt.ended_at_s - attempt.took_s),
    )
    if attempt.error_type:  # whose text stays here: servers quote prompts in it
        span.set_status(otel.StatusCode.ERROR)
    span.end(_ns(attempt.ended_at_s))


def attributes_of(attempt: Attempt) -> dict[str, Any]:
    """Return what is known of an attempt, by OpenTelemetry's names.

    The model is named as the provider is asked for it: LiteLLM's prefix is taken off.
    """
    known = {name: getattr(attempt, field) for field, name in OTEL_NAMES.items()}
    prefix, _, rest = attempt.model.partition("/")
    if rest and prefix in litellm_files.providers():
        known[OTEL_NAMES["model"]] = rest
    known[OTEL_NAMES["provider"]] = attempt.provider or UNKNOWN_PROVIDER
    if attempt.operation == "chat":
        known["gen_ai.request.stream"] = True
    return {name: value for name, value in known.items() if value not in (None, "")}


def _ns(at_s: float) -> int:
    return round(at_s * 1e6) * 1000  # a float of this size has no more digits
