"""The events of one request; `reply.py` folds them into a `Reply`.

A request yields `Accepted`, `ReasoningDelta` from some models, `TextDelta`, `Usage` and then
`Done`; a transient failure puts a `Retrying` in between, followed by `Waiting` events that count
down; `Held` comes before an attempt that waits for its turn; the last event of a request without an
answer is `Failed`. `Correcting` stands where an answer did not fit its schema. Whoever shows a
request only consumes this stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.errors import RequestError


HeldBy = Literal["requests_per_minute", "tokens_per_minute", "headroom", "pause", "pace"]
"""What holds a request back: a limit that is set, what the server says is left of its own, a wait
that it named to another request, or what its refusals have taught."""


@dataclass(frozen=True, slots=True)
class Held:
    """The attempt is not sent yet, so that the server need not refuse it; about one a second.

    Attributes:
        by: What holds it back.
        held_s: Seconds for which this attempt has been held back.
        remaining_s: Seconds that are left as far as is known; 0 in the last event, when it goes.
    """

    by: HeldBy
    held_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Recalled:
    """The answer that follows was stored before; no request is made.

    Attributes:
        path: Its file.
    """

    path: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server has accepted the request; its answer follows.

    Attributes:
        headers: Those of its response that tell of limits, by lower-case name.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, in order."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of what the model thinks before it answers, in order."""

    text: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed, and after `wait_s` the prompt is sent again.

    Attributes:
        retry: Which retry this will be, counted from 1.
        of: How many retries the policy allows.
        caused_by: The failure.
        wait_s: Seconds until the next attempt.
        set_by: Who chose the wait: the server (Retry-After) or the retry policy.
    """

    retry: int
    of: int
    caused_by: RequestError
    wait_s: float
    set_by: Literal["server", "policy"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait goes on; at least one a second.

    Attributes:
        retrying: What is being waited for.
        remaining_s: Seconds left of the wait; 0 in the last event, when it is over.
        skipped_s: Seconds by which somebody cut it short, in the last event.
    """

    retrying: Retrying
    remaining_s: float
    skipped_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them.

    Attributes:
        prompt_tokens: Those of the prompt, cached ones included.
        completion_tokens: Those of the answer, its reasoning included.
        cached_tokens: Those of the prompt that the provider had cached.
        reasoning_tokens: Those of the answer that went into reasoning, as far as the provider tells
            (for Anthropic, which does not, LiteLLM's estimate).
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """Count two requests together."""
        return Usage(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )


@dataclass(frozen=True, slots=True)
class Correcting:
    """The answer is complete and does not fit; the model is told so and asked once more.

    Attributes:
        problem: Where it does not fit.
        cost_usd: What it cost, or None when the price is unknown.
    """

    problem: str
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is complete.

    Attributes:
        finish_reason: As the provider gave it: "stop", "length", "content_filter", ...
        cost_usd: What the answer cost, or None when the price is unknown.
        raw: What else the provider told: the answer's id, the model's exact name, its own count.
    """

    finish_reason: str
    cost_usd: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no complete answer; `error` says why in one line."""

    error: RequestError


Event = (
    Held
    | Recalled
    | Accepted
    | ReasoningDelta
    | TextDelta
    | Retrying
    | Waiting
    | Usage
    | Correcting
    | Done
    | Failed
)
