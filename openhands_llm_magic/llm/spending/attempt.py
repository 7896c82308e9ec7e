"""One HTTP request as the ledger keeps it: in OpenTelemetry's words, without prompt, answer or key.

The names are those of its semantic conventions for generative AI, with underscores for the dots,
where there is one: `gen_ai.usage.input_tokens` is the column `gen_ai_usage_input_tokens`.
"""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import is_loopback, provider_of
from openhands_llm_magic.errors import on_one_line

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import AttemptEnded, Usage

SESSION = secrets.token_hex(8)
"""Tells this process, which is the notebook's session, from all others."""

LOST = "lost"
"""The outcome of an attempt whose process ended before it did: what it cost is not known."""

PROVIDER_NAMES = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""OpenTelemetry's names of providers that the catalogue has by another name."""


@dataclass(slots=True)
class _Here:
    """What only the top floor knows: which notebook runs in this process."""

    notebook: str = ""


here = _Here()

gateways: set[tuple[str, str]] = set()
"""Hosts of this machine, and models there, that have told a cost: they pass prompts on."""


def _named(otel: str, default: Any = None) -> Any:
    return field(default=default, metadata={"otel": otel})


def _since(version: int) -> Any:
    """Make a field that ledgers have from a version of theirs on."""
    return field(default=None, metadata={"since": version})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of the ledger; see `AttemptEnded` for what is not explained here.

    Attributes:
        ended_at_s: When it was over, in seconds since 1970.
        day: The date of that where the person is, as "2026-11-29".
        session: The process that made it.
        notebook: The path of the notebook that it was made in, or "" where that is not known.
        llm_group: The NAME of the `[llm.NAME]` that it was made with, or "".
        source: Who made it: "" for this package, "openhands" for what OpenHands has logged.
        source_id: What tells it apart at another source, or None.
        provider: The provider, as OpenTelemetry calls it where it does, or "".
        input_tokens: Tokens of the prompt, as the provider counted them.
        output_tokens: Those of the answer, its reasoning included.
        cached_tokens: Those of the prompt that the provider had cached.
        cache_write_tokens: Those of the prompt that it wrote to its cache.
        reasoning_tokens: Those of the answer that went into reasoning.
        cost_usd: What it cost, or None where that is not known.
        cost_told_by: Who told that: "provider", "price list", "by hand" or "unknown"; "local" for a
            server on this machine that tells no price, "not charged" for what was refused or never
            reached a server, and "openhands" for a cost that OpenHands has made out.
        price_list: Which price list the cost is from, or "".
        counted_usd: What budgets count for it: its cost, and where that is not known the most that
            it can have cost.
        outcome: "answered", "failed" or "stopped"; "lost" where its process ended before it did.
        error_type: The class of its error, or "".
        asked_s: Seconds that the server asked to wait, or that the limit which it named counts, or
            None where it told neither.
        refused_s: Seconds from its prompt's first refusal, for a limit or a busy server, to this
            attempt, or None.
    """

    ended_at_s: float
    day: str
    session: str = SESSION
    notebook: str = ""
    llm_group: str = ""
    source: str = ""
    source_id: str | None = None
    operation: str = _named("gen_ai.operation.name", "chat")
    provider: str = _named("gen_ai.provider.name", "")
    model: str = _named("gen_ai.request.model", "")
    model_answered: str | None = _named("gen_ai.response.model")
    response_id: str | None = _named("gen_ai.response.id")
    input_tokens: int | None = _named("gen_ai.usage.input_tokens")
    output_tokens: int | None = _named("gen_ai.usage.output_tokens")
    cached_tokens: int | None = _named("gen_ai.usage.cache_read.input_tokens")
    cache_write_tokens: int | None = _named("gen_ai.usage.cache_creation.input_tokens")
    reasoning_tokens: int | None = _named("gen_ai.usage.reasoning.output_tokens")
    first_token_s: float | None = _named("gen_ai.response.time_to_first_chunk")
    host: str = _named("server.address", "")
    status: int | None = _named("http.response.status_code")
    error_type: str = _named("error.type", "")
    number: int = 1
    outcome: str = "answered"
    cost_usd: float | None = None
    cost_told_by: str = "unknown"
    price_list: str = ""
    counted_usd: float = 0.0
    took_s: float = 0.0
    waited_s: float = 0.0
    throttled_s: float = 0.0
    asked_s: float | None = _since(2)
    refused_s: float | None = _since(2)


OTEL_NAMES = {
    each.name: each.metadata["otel"] for each in fields(Attempt) if "otel" in each.metadata
}
"""OpenTelemetry's name of each field that has one."""

COLUMNS = {
    each.name: OTEL_NAMES.get(each.name, each.name).replace(".", "_") for each in fields(Attempt)
}
"""The column of the ledger for each field, in the order of the table."""


_IS_OPTIONAL = {each.name: "None" in str(each.type) for each in fields(Attempt)}

LONGEST_TEXT = 500
"""Characters of a text that are kept; a server may call its model whatever it likes."""

LARGEST_INTEGER = 2**63 - 1
"""SQLite has no larger one, and a server may tell any."""


def values_of(attempt: Attempt) -> tuple[str | float | None, ...]:
    """Return the values of an attempt's columns as SQLite takes them, whatever a server told."""
    return tuple(
        storable(getattr(attempt, name), is_optional=is_optional)
        for name, is_optional in _IS_OPTIONAL.items()
    )


def storable(value: Any, *, is_optional: bool = False) -> Any:
    """Return a value as it can be kept: not too long, not too large, and a number if it is one."""
    match value:
        case str():  # a name from a file system can have lone surrogates
            encodable = value.encode("utf-8", "backslashreplace").decode("utf-8")
            return on_one_line(encodable)[:LONGEST_TEXT]
        case int():
            return min(max(value, -LARGEST_INTEGER), LARGEST_INTEGER)
        case float() if not math.isfinite(value):
            return None if is_optional else 0.0
    return value


def day_of(at_s: float) -> str:
    """Return the date of a moment, in seconds since 1970, where the person is."""
    return time.strftime("%Y-%m-%d", time.localtime(at_s))


def has_price_by_hand(attempt: AttemptEnded, settings: Snapshot) -> bool:
    """Return whether a person has set what its tokens cost; nobody can for those of vectors."""
    by_hand = (settings.input_cost_per_token, settings.output_cost_per_token)
    return attempt.operation == "chat" and None not in by_hand


def is_free(attempt: AttemptEnded, settings: Snapshot) -> bool:
    """Return whether a server on this machine takes no money, as far as is known.

    Its model's name may have a price elsewhere. One that a person has set counts, also where the
    tokens were not counted, and so does what a gateway tells, which is none that is free again.
    """
    if (attempt.host, attempt.model) in gateways:
        return False
    if not is_loopback(attempt.host) or attempt.cost.told_by in {"provider", "by hand"}:
        return False
    return attempt.cost.told_by == "price list" or not has_price_by_hand(attempt, settings)


def is_uncharged(attempt: AttemptEnded) -> bool:
    """Return whether nobody takes money: the server refused it, or it never reached one."""
    if attempt.cost.usd is not None or attempt.error is None:
        return False
    was_refused = attempt.status is not None and attempt.status != 200  # noqa: PLR2004 - taken
    return was_refused or not attempt.error.was_sent


def attempt_of(
    ended: AttemptEnded, settings: Snapshot, *, counted_usd: float, ended_at_s: float
) -> Attempt:
    """Return the row of an attempt.

    Args:
        ended: How it ended.
        settings: What it was made with.
        counted_usd: What budgets count for it.
        ended_at_s: When it was over, in seconds since 1970.
    """
    usage = ended.usage
    counted: dict[str, Any] = {} if usage is None else _tokens(usage)
    provider = provider_of(ended.model, settings.base_url, settings.custom_llm_provider)
    name = provider.name if provider else ""
    is_local = is_free(ended, settings)
    told_by: str = "not charged" if is_uncharged(ended) else ended.cost.told_by
    return Attempt(
        ended_at_s=ended_at_s,
        day=day_of(ended_at_s),
        notebook=here.notebook,
        llm_group=settings.group or "",
        operation=ended.operation,
        provider=PROVIDER_NAMES.get(name, name),
        model=ended.model,
        model_answered=ended.model_answered,
        response_id=ended.response_id,
        first_token_s=ended.first_token_s,
        host=ended.host,
        status=ended.status,
        error_type=type(ended.error).__name__ if ended.error else "",
        number=ended.number,
        outcome=ended.outcome,
        cost_usd=None if is_local else ended.cost.usd,
        cost_told_by="local" if is_local else told_by,
        price_list=ended.cost.price_list if not is_local else "",
        counted_usd=counted_usd,
        took_s=ended.took_s,
        waited_s=ended.waited_s,
        throttled_s=ended.throttled_s,
        asked_s=ended.asked_s,
        refused_s=ended.refused_s,
        **counted,
    )


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
