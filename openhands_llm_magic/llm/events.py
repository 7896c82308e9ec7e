"""What happens while a model is asked, as frozen events.

The events of a prompt, in the order in which they happen::

    Loading                 LiteLLM is still being imported
    Throttled ...           the attempt waits for its turn, to keep within a limit
    Sending                 an attempt begins: one HTTP request
      Accepted              the server took it
      ReasoningDelta ...    what the model thinks, where it says so
      TextDelta ...         the answer
      Usage                 the tokens, where the provider counted them
      ToolCallBegun ...     it begins to write that it wants a function called
    AttemptEnded            the attempt is over, however it ended
    ToolRound               the answer asks for functions; they are called, and it is asked again
    ToolCalled, ToolResult  one of them waits for being called, and what came of it
    Retrying, Waiting ...   it failed and is made again after a wait
    Correcting              the answer did not fit its schema; the model is asked once more
    Done or Failed          the last event

A stored answer has `CacheHit` in place of an attempt. Whoever shows a prompt only reads these;
`ReplyBuilder` in `reply.py` folds them into a `Reply`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.errors import RequestError, Text
    from openhands_llm_magic.llm.tools.calls import Call


ThrottledBy = Literal["requests_per_minute", "tokens_per_minute", "headroom", "pause", "pace"]
"""What holds a request back: a limit that is set, what the server says is left of its own, a wait
that it named to another request, or what its refusals have taught."""


Outcome = Literal["answered", "failed", "stopped"]
"""How an attempt ended: with a whole answer, with a fault (its answer may have begun), or because
the person stopped it."""


@dataclass(frozen=True, slots=True)
class Loading:
    """LiteLLM is being imported, which takes seconds; the attempt follows."""


@dataclass(frozen=True, slots=True)
class Sending:
    """An attempt begins: one HTTP request, which the server has not answered yet.

    Attributes:
        model: The model that is asked, as the settings name it.
        host: The server's host name, or "" where only LiteLLM knows it.
        note: What a person should know of the way there, or None.
    """

    model: str
    host: str = ""
    note: Text | None = None


@dataclass(frozen=True, slots=True)
class Throttled:
    """The attempt is not sent yet, so that the server need not refuse it; about one a second.

    Attributes:
        by: What holds it back.
        throttled_s: Seconds for which this attempt has been held back.
        remaining_s: Seconds that are left as far as is known; 0 in the last event, when it goes.
    """

    by: ThrottledBy
    throttled_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The answer that follows was stored before; no request is made.

    Attributes:
        path: Its file.
        cost_told_by: Who told what it cost when it was asked for, as in `Cost`.
    """

    path: str
    cost_told_by: str = "unknown"


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
class ToolCallBegun:
    """The model begins to write that it wants a function called; that may take it a while."""

    name: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function that a model has asked for, and what came of it.

    Attributes:
        name: The function's name, as the model is told it.
        arguments: Its arguments, as JSON has them.
        result: What the function returned, as the model was told it.
        problem: Why there is no result, such as what the function raised, or "".
        took_s: Seconds that the function ran, or None where it was not called.
        left_out: What the model is told of further calls of the round, which were not made.
        id: What the provider calls it.
        round: Which round of calls it belongs to, counted from 1.
        written: Its arguments as the model wrote them, where they cannot be read; else "".
        said: What the model said before the first call of the round, in that call alone.
        thought: What it thought before, in the same place.
        told: What else the provider wants back with it, in its own terms.
        told_of_round: The same for the whole round, in the first call of it.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: str = ""
    problem: str = ""
    took_s: float | None = None
    left_out: str = ""
    id: str = ""
    round: int = 1
    written: str = field(default="", repr=False)
    said: str = field(default="", repr=False)
    thought: str = field(default="", repr=False)
    told: Mapping[str, Any] = field(default_factory=dict, repr=False)
    told_of_round: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def answer(self) -> str:
        """What the model is told of it."""
        answer = f"error: {self.problem}" if self.problem else self.result
        return f"{answer}\n({self.left_out})" if self.left_out else answer


@dataclass(frozen=True, slots=True)
class ToolRound:
    """The answer asks for functions; after they were called, the model is asked again.

    Attributes:
        number: Which round it is, counted from 1.
        cost_usd: What the answer cost, or None when the price is unknown.
    """

    number: int
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A function waits for being called by whoever reads the events: `call.run()`.

    A loop over a `Run` does that by itself, unless the loop's body has run or refused it.
    """

    call: Call


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call."""

    call: ToolCall


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
    """A wait for a retry goes on; this event comes at least once a second.

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
        cache_write_tokens: Those of the prompt that the provider wrote to its cache, where it
            counts them (Anthropic).
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt tokens plus completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """Add up the tokens of two requests."""
        return Usage(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request cost, and who told it.

    Attributes:
        usd: US dollars, or None when the price is unknown.
        told_by: The provider's own figure, LiteLLM's price list, a price that a person set
            (`input_cost_per_token`), or nobody; "local" where nobody tells a price, and the server
            is on this machine.
        price_list: Which list it was, as in "litellm 1.106.2"; "" for a cost that no list tells.
    """

    usd: float | None = None
    told_by: Literal["provider", "price list", "by hand", "local", "unknown"] = "unknown"
    price_list: str = ""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """One HTTP request is over; there is one such event for each, however it ended.

    Attributes:
        number: Which attempt of its prompt it was, counted from 1.
        outcome: How it ended.
        error: Why there is no whole answer, or None when there is one.
        status: The HTTP status of the server's refusal; 200 where it took the request, or None
            where no answer came.
        usage: Tokens as the provider counted them, or None where it counted none.
        cost: What it cost.
        throttled_s: Seconds for which it was held back, to keep within a limit.
        waited_s: Seconds of the wait before it, after the attempt before had failed.
        first_token_s: Seconds from its beginning to the first piece of text or reasoning, or None
            where there was not one.
        took_s: Seconds from its beginning to its end, without the waits.
        model: The model that was asked, as the settings name it.
        model_answered: The model that answered, as the provider names it, or None.
        host: The server's host name, or "" where only LiteLLM knows it.
        operation: What was asked for, in OpenTelemetry's words.
        response_id: The provider's own name of the answer, or None.
        most_usd: US dollars that it could cost at most, or None where that is not known.
        asked_s: Seconds that the server asked to wait, or that the limit which it named counts, or
            None where it told neither.
        refused_s: Seconds from its prompt's first refusal, for a limit or a busy server, to this
            attempt; None where there was none, or one whose wait was named and was enough.
    """

    number: int
    outcome: Outcome
    error: RequestError | None = None
    status: int | None = None
    usage: Usage | None = None
    cost: Cost = field(default_factory=Cost)
    throttled_s: float = 0.0
    waited_s: float = 0.0
    first_token_s: float | None = None
    took_s: float = 0.0
    model: str = ""
    model_answered: str | None = None
    host: str = ""
    operation: Literal["chat", "embeddings"] = "chat"
    response_id: str | None = None
    most_usd: float | None = None
    asked_s: float | None = None
    refused_s: float | None = None


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
        finish_reason: In OpenAI's words: "stop", "length", "content_filter", "tool_calls"; or
            "context" where the model's context is full.
        cost_usd: What the answer cost, or None when the price is unknown.
        raw: What else the provider told: the answer's id, the model's exact name, its own count.
        truncated_input: Whether the server has read only a part of the prompt, by its own count.
        notes: What a person should know of the answer.
    """

    finish_reason: str
    cost_usd: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    truncated_input: bool = False
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no complete answer; `error` says why in one line."""

    error: RequestError


Event = (
    Loading
    | Throttled
    | Sending
    | CacheHit
    | Accepted
    | ReasoningDelta
    | TextDelta
    | ToolCallBegun
    | ToolRound
    | ToolCalled
    | ToolResult
    | Retrying
    | Waiting
    | Usage
    | AttemptEnded
    | Correcting
    | Done
    | Failed
)
