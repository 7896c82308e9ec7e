"""What came of a prompt: the `Reply`, and the builder that folds its events into one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import is_loopback
from openhands_llm_magic.errors import StoreError, Text
from openhands_llm_magic.llm.events import (
    AttemptEnded,
    CacheHit,
    Correcting,
    Done,
    Event,
    Failed,
    ReasoningDelta,
    Retrying,
    Sending,
    TextDelta,
    Throttled,
    ToolCall,
    ToolResult,
    ToolRound,
    Usage,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from openhands_llm_magic.errors import RequestError


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
