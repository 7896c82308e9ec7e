"""`Reply`: what came of one prompt, the fold of its events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import StoreError, Text
from openhands_llm_magic.llm.events import (
    Correcting,
    Done,
    Event,
    Failed,
    ReasoningDelta,
    Retrying,
    Sending,
    TextDelta,
    Throttled,
    Usage,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openhands_llm_magic.errors import RequestError


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one prompt. It prints as the model's text.

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
        notes: What a person should know of how the prompt was made, such as what was cut.
        format: How it is shown, a key of `notebook.formats.FORMATS`.
        data: What the answer is in its format: a value of JSON, or code; None for a text.
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
    reasoning: str = field(default="", repr=False)
    format: str = "markdown"
    data: Any = None

    def __str__(self) -> str:
        """The answer's text."""
        return self.text

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Show the text and, if it is not whole, why, in an IPython without the magics."""
        printer.text(self.text if self.error is None else f"{self.text}\n({self.error})".lstrip())

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete, though it may be one that could not be stored."""
        return self.error is None or isinstance(self.error, StoreError)

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting for retries."""
        return sum(wait.wait_s for wait in self.waits)


@dataclass(slots=True)
class ReplyBuilder:
    """Folds events into a `Reply`, one at a time.

    It starts again at `Retrying` and `Correcting`, and keeps the longest partial answer for the
    case that no attempt succeeds. `data` is for whoever reads the answer.
    """

    model: str = ""
    messages: Sequence[Mapping[str, Any]] = ()
    notes: tuple[str, ...] = ()
    format: str = "markdown"
    data: Any = None
    _reply: Reply = field(init=False)
    _deltas: list[str] = field(init=False, default_factory=list)
    _thoughts: list[str] = field(init=False, default_factory=list)
    _longest_partial: str = field(init=False, default="")
    _unwaited_s: float = field(init=False, default=0.0)
    _throttled_before_s: float = field(init=False, default=0.0)
    _corrects: bool = field(init=False, default=False)
    _corrected_usage: Usage | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        told = {"messages": self.messages, "notes": self.notes, "format": self.format}
        self._reply = Reply(model=self.model, **told)  # type: ignore[arg-type]

    def add(self, event: Event) -> None:
        """Take in the next event."""
        unwaited_s, self._unwaited_s = self._unwaited_s, 0.0
        match event:
            case Throttled():
                self._hold(event)
            case Sending():
                self._reply = replace(self._reply, attempts=self._reply.attempts + 1)
            case TextDelta(text) | ReasoningDelta(text):
                pieces = self._deltas if isinstance(event, TextDelta) else self._thoughts
                pieces.append(text)
            case Retrying():
                self._start_again()
                self._reply = replace(
                    self._reply, waits=(*self._reply.waits, event), usage=self._corrected_usage
                )
                self._unwaited_s = event.wait_s
            case Usage():
                usage = event if self._corrected_usage is None else self._corrected_usage + event
                self._reply = replace(self._reply, usage=usage)
            case Correcting():
                self._correct(event)
            case Done():
                self._finish(event)
            case Failed(error):
                self._cut_last_wait(unwaited_s)
                self._fail(error)
            case Waiting(_, remaining_s, skipped_s):
                self._unwaited_s = remaining_s
                self._cut_last_wait(skipped_s)

    def _hold(self, event: Throttled) -> None:
        self._reply = replace(self._reply, throttled_s=self._throttled_before_s + event.throttled_s)
        if event.remaining_s <= 0:
            self._throttled_before_s = self._reply.throttled_s

    def _correct(self, event: Correcting) -> None:
        self._start_again()
        self._corrects, self._corrected_usage = True, self._reply.usage
        told = "asked once more, as the answer did not fit ({problem})"
        notes = (*self._reply.notes, Text(told, problem=event.problem))
        self._reply = replace(self._reply, cost_usd=event.cost_usd, notes=notes)

    def _finish(self, event: Done) -> None:
        cost_usd, before_usd = event.cost_usd, self._reply.cost_usd
        if self._corrects and cost_usd is not None:
            cost_usd = None if before_usd is None else before_usd + cost_usd
        self._reply = replace(
            self._reply, finish_reason=event.finish_reason, cost_usd=cost_usd, raw=event.raw
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
            cost_usd=error.cost_usd or self._reply.cost_usd,
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
