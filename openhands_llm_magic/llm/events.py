"""What happens while a model is asked, as frozen events, and the `Reply` that they make.

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
`ReplyBuilder` folds them into a `Reply`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config.providers import is_loopback
from openhands_llm_magic.errors import StoreError, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from openhands_llm_magic.errors import RequestError
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


@dataclass(frozen=True, slots=True, eq=False)
class Reply(str):  # noqa: SLOT000 - the dataclass makes them
    """What came of one prompt: the model's text, and all that is known of it.

    It is a `str`, so that it goes wherever a text does: into `+`, `"".join`, a format, a file, JSON
    or a column of pandas. There, and in every text that is made of it, only the text is left. Two
    replies with the same text are equal.

    Attributes:
        text: The model's answer; on failure the longest partial answer of all attempts.
        model: The model that was asked, as the settings name it.
        reasoning: What the model thought before it answered, where it says so.
        usage: Tokens of the attempt that answered, or None when the provider counted none.
        cost_usd: What it cost, or None (never 0) when the price is unknown. A stored answer tells
            what it cost when it was asked for.
        attempts: HTTP requests made; 0 for a stored answer.
        waits: Each retry that was waited for, in order, with the wait as long as it lasted.
        throttled_s: Seconds for which requests were held back to keep within a limit.
        finish_reason: Why the model stopped, or None when it did not get that far. An answer that
            was finished without text has one, and an error.
        error: Why there is no complete answer, or None when there is one.
        messages: What was asked, in OpenAI's form.
        raw: What else the provider told: the answer's id, the model's exact name, its own count.
        notes: What a person should know of how the prompt was made, such as what was cut, and of
            the answer.
        truncated_input: Whether the server has read only a part of the prompt, by its own count.
        model_answered: The model that answered, as the provider names it, or None.
        cost_told_by: Who told what it cost, as in `Cost`.
        took_s: Seconds of the attempt that answered, without the waits, or None without one.
        host: The host name of the server that answered, or "" where it is not known.
        has_footer: Whether a line under it tells its model, tokens, cost and seconds.
        shown_as: How it is shown, a key of `notebook.view.display.FORMATS`.
        data: What the answer is in its format: a value of JSON, or code; None for a text.
        tool_calls: The calls of functions that the model asked for on the way to its answer.
    """

    text: str = ""
    model: str = ""
    usage: Usage | None = None
    cost_usd: float | None = None
    attempts: int = 0
    waits: tuple[Retrying, ...] = ()
    throttled_s: float = 0.0
    finish_reason: str | None = None
    error: RequestError | None = None
    messages: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    notes: tuple[str, ...] = ()
    truncated_input: bool = False
    reasoning: str = field(default="", repr=False)
    model_answered: str | None = field(default=None, repr=False)
    cost_told_by: str = field(default="unknown", repr=False)
    took_s: float | None = field(default=None, repr=False, compare=False)
    host: str = field(default="", repr=False)
    has_footer: bool = field(default=False, repr=False)
    shown_as: str = "markdown"
    data: Any = None
    tool_calls: tuple[ToolCall, ...] = field(default=(), repr=False)

    def __new__(cls, text: str = "", *_: object, **__: object) -> Self:
        """Make the text; the dataclass adds the rest."""
        return str.__new__(cls, text)

    def __str__(self) -> str:
        """The answer's text."""
        return self.text

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Show the text and, if it is not whole, why, in an IPython without the magics."""
        printer.text(self.text if self.error is None else f"{self.text}\n({self.error})".lstrip())

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete, though it may be one that could not be stored."""
        is_finished = self.finish_reason is not None
        return is_finished and (self.error is None or isinstance(self.error, StoreError))

    @property
    def is_local(self) -> bool:
        """Whether it is from a server on this machine; a list's price is none of such a one."""
        is_told = self.cost_told_by in ("provider", "by hand")
        return self.cost_told_by == "local" or (is_loopback(self.host) and not is_told)

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting for retries."""
        return sum(wait.wait_s for wait in self.waits)


@dataclass(slots=True)
class ReplyBuilder:
    """Folds events into a `Reply`, one at a time.

    It starts again at `Retrying`, `Correcting` and `ToolRound`, and keeps the longest partial
    answer for the case that no attempt succeeds. `data` is for whoever reads the answer, and
    `has_footer` for whoever shows it.
    """

    model: str = ""
    messages: Sequence[Mapping[str, Any]] = ()
    notes: tuple[str, ...] = ()
    format: str = "markdown"
    data: Any = None
    has_footer: bool = False
    _reply: Reply = field(init=False)
    _deltas: list[str] = field(init=False, default_factory=list)
    _thoughts: list[str] = field(init=False, default_factory=list)
    _longest_partial: str = field(init=False, default="")
    _unwaited_s: float = field(init=False, default=0.0)
    _throttled_before_s: float = field(init=False, default=0.0)
    _asks_again: bool = field(init=False, default=False)
    _usage_before: Usage | None = field(init=False, default=None)
    _usd_before: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        told = {"messages": self.messages, "notes": self.notes, "shown_as": self.format}
        told |= {"has_footer": self.has_footer}  # type: ignore[dict-item]
        self._reply = Reply(model=self.model, **told)  # type: ignore[arg-type]

    def add(self, event: Event) -> None:
        """Take in the next event."""
        unwaited_s, self._unwaited_s = self._unwaited_s, 0.0
        match event:
            case Throttled():
                self._hold(event)
            case Sending(note=note):
                notes = (*self._reply.notes, *filter(None, [note]))
                self._reply = replace(self._reply, attempts=self._reply.attempts + 1, notes=notes)
            case TextDelta(text) | ReasoningDelta(text):
                pieces = self._deltas if isinstance(event, TextDelta) else self._thoughts
                pieces.append(text)
            case Retrying():
                self._start_again()
                self._reply = replace(
                    self._reply, waits=(*self._reply.waits, event), usage=self._usage_before
                )
                self._unwaited_s = event.wait_s
            case CacheHit() | AttemptEnded() | Usage() | ToolResult():
                self._count(event)
            case Correcting() | ToolRound():
                self._ask_again(event)
            case Done():
                self._finish(event)
            case Failed(error):
                self._cut_last_wait(unwaited_s)
                self._fail(error)
            case Waiting(_, remaining_s, skipped_s):
                self._unwaited_s = remaining_s
                self._cut_last_wait(skipped_s)

    def note(self, text: Text) -> None:
        """Add what a person should know of the answer."""
        self._reply = replace(self._reply, notes=(*self._reply.notes, text))

    def _count(self, event: CacheHit | AttemptEnded | Usage | ToolResult) -> None:
        if isinstance(event, CacheHit):
            self._reply = replace(self._reply, cost_told_by=event.cost_told_by)
        elif isinstance(event, ToolResult):
            calls = (*self._reply.tool_calls, event.call)
            self._reply = replace(self._reply, tool_calls=calls)
        elif isinstance(event, Usage):
            usage = event if self._usage_before is None else self._usage_before + event
            self._reply = replace(self._reply, usage=usage)
        elif event.outcome == "answered":
            self._reply = replace(
                self._reply,
                model_answered=event.model_answered,
                cost_told_by=event.cost.told_by,
                took_s=event.took_s,
                host=event.host,
            )

    def _hold(self, event: Throttled) -> None:
        self._reply = replace(self._reply, throttled_s=self._throttled_before_s + event.throttled_s)
        if event.remaining_s <= 0:
            self._throttled_before_s = self._reply.throttled_s

    def _ask_again(self, event: Correcting | ToolRound) -> None:
        """Begin another answer, and keep what was asked so far has taken and cost."""
        self._start_again()
        cost_usd = event.cost_usd
        if isinstance(event, Correcting):
            told = "asked once more, as the answer did not fit ({problem})"
            self.note(Text(told, problem=event.problem))
        else:  # it tells of the last answer alone
            cost_usd = self._with_before(cost_usd)
        self._asks_again, self._usage_before = True, self._reply.usage
        self._usd_before = cost_usd
        self._reply = replace(self._reply, cost_usd=cost_usd)

    def _with_before(self, cost_usd: float | None) -> float | None:
        """Add what the answers before have cost; nothing is known of a sum with an unknown."""
        if not self._asks_again:
            return cost_usd
        known = cost_usd is not None and self._usd_before is not None
        return cost_usd + self._usd_before if known else None  # type: ignore[operator] # both are

    def _finish(self, event: Done) -> None:
        self._reply = replace(
            self._reply,
            finish_reason=event.finish_reason,
            cost_usd=self._with_before(event.cost_usd),
            raw=event.raw,
            truncated_input=event.truncated_input,
            notes=(*self._reply.notes, *event.notes),
        )

    def _start_again(self) -> None:
        self._longest_partial = max(self._longest_partial, self.text, key=len)
        self._deltas.clear()
        self._thoughts.clear()

    def _fail(self, error: RequestError) -> None:
        self._reply = replace(
            self._reply,
            error=error,
            finish_reason=error.finish_reason or self._reply.finish_reason,
            cost_usd=self._with_before(error.cost_usd) if error.cost_usd else self._reply.cost_usd,
        )

    def _cut_last_wait(self, unwaited_s: float) -> None:
        if unwaited_s:
            *waits, last = self._reply.waits
            last = replace(last, wait_s=max(0.0, last.wait_s - unwaited_s))
            self._reply = replace(self._reply, waits=(*waits, last))

    @property
    def text(self) -> str:
        """The current attempt's text so far."""
        if len(self._deltas) > 1:
            self._deltas = ["".join(self._deltas)]
        return self._deltas[0] if self._deltas else ""

    @property
    def words_thought(self) -> int:
        """How many words the model has thought, roughly."""
        return sum(len(piece.split()) for piece in self._thoughts)

    @property
    def reply(self) -> Reply:
        """The reply as far as it is known."""
        text = self.text
        if self._reply.finish_reason is None or (self._reply.error is not None and not text):
            text = max(text, self._longest_partial, key=len)
        thoughts = "".join(self._thoughts)
        return replace(self._reply, text=text, reasoning=thoughts, data=self.data)


def fold(
    events: Iterable[Event], model: str = "", messages: Sequence[Mapping[str, Any]] = ()
) -> Reply:
    """Fold a whole stream of events into its `Reply`."""
    builder = ReplyBuilder(model, messages)
    for event in events:
        builder.add(event)
    return builder.reply
