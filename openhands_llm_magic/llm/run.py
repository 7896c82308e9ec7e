"""Running what was prepared: attempts through the rate limiter, under the retry policy.

`Requests` makes one HTTP request until it succeeds or is given up. `Prompt` adds the stored answer,
the rounds in which functions are called, and the correction of an answer that does not fit its
schema.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from openhands_llm_magic.config import trust
from openhands_llm_magic.config.secret import Redactor, throughout
from openhands_llm_magic.errors import (
    AddressError,
    BrokenAnswerError,
    FormatError,
    LibraryError,
    ModelNotFoundError,
    OverBudgetError,
    RequestError,
    Stopped,
    TransientError,
    UntrustedAddressError,
)
from openhands_llm_magic.llm import astray, counts
from openhands_llm_magic.llm.answers.stored import Stored
from openhands_llm_magic.llm.events import (
    Accepted,
    AttemptEnded,
    Correcting,
    Cost,
    Done,
    Failed,
    Loading,
    ReasoningDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolCallBegun,
    ToolRound,
    Waiting,
)
from openhands_llm_magic.llm.explain import explained
from openhands_llm_magic.llm.limits import waits
from openhands_llm_magic.llm.limits.limiter import Throttle
from openhands_llm_magic.llm.litellm import loading
from openhands_llm_magic.llm.litellm.clients import ours
from openhands_llm_magic.llm.litellm.send import missing_key_variables, send
from openhands_llm_magic.llm.prepare import Response, account_of
from openhands_llm_magic.llm.refusals import one_line
from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
from openhands_llm_magic.llm.retries import Refusals, RetryPolicy, with_retries
from openhands_llm_magic.llm.spending import budget
from openhands_llm_magic.llm.spending.attempt import is_free
from openhands_llm_magic.llm.tools.messages import messages_of
from openhands_llm_magic.llm.tools.rounds import Rounds
from openhands_llm_magic.llm.worker import (
    PIECES,
    SYSTEM_CLOCK,
    Cancelled,
    Clock,
    Control,
    Run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Text
    from openhands_llm_magic.llm.answers.extract import Schema
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.events import Event, Outcome
    from openhands_llm_magic.llm.limits.limiter import Permit
    from openhands_llm_magic.llm.prepare import EmbeddingRequest, Prepared, Request
    from openhands_llm_magic.llm.worker import Emit

    R = TypeVar("R", Request, EmbeddingRequest)


GRACE_S = 0.2
"""Seconds beyond the deadline after which an answer that still comes is broken off. A server that
is silent by then is known by the timeout, which says so."""


BEGINNINGS = (*PIECES, ToolCallBegun)
"""The events of which the first tells that an answer begins."""


class Masked:
    """Masks known keys in events, whatever pieces a key comes in, and passes the events on."""

    def __init__(self, redactor: Redactor, emit: Emit) -> None:
        self.redact = redactor.redact
        self._held = redactor.stream()
        self._kind: type[TextDelta | ReasoningDelta] = TextDelta
        self._emit = emit

    def __call__(self, event: Any) -> None:
        """Pass on the next event, with the keys in it masked."""
        if not isinstance(event, self._kind):
            self.flush()
        match event:
            case TextDelta(text) | ReasoningDelta(text):
                self._kind = type(event)
                if text := self._held.feed(text):
                    self._emit(self._kind(text))
            case Correcting(problem):
                self._emit(replace(event, problem=self.redact(problem)))
            case ToolCallBegun(name):
                self._emit(ToolCallBegun(self.redact(name)))
            case Done(raw=raw):
                self._emit(replace(event, raw=throughout(raw, self.redact)))
            case _:
                self._emit(event)

    def flush(self) -> None:
        """Pass on the text that was held back, as it could have been the beginning of a key."""
        if text := self._held.flush():
            self._emit(self._kind(text))


class Requests:
    """Makes HTTP requests: each through the rate limiter, and under the settings' retry policy.

    Attributes:
        began_s: When the first of them began, on the clock, or None before it.
    """

    def __init__(
        self, settings: Snapshot, secrets: Sequence[str], clock: Clock, control: Control
    ) -> None:
        self._settings = settings
        self._policy = RetryPolicy.from_settings(settings)
        self._redactor = Redactor(secrets)
        self._clock = clock
        self._control = control
        self._attempts = 0
        self._note: Text | None = None
        self.began_s: float | None = None

    @property
    def ends_at_s(self) -> float:
        """When the deadline is, on the clock; infinity before the first request or without one."""
        if self.began_s is None or self._policy.deadline_s is None:
            return math.inf
        return self.began_s + self._policy.deadline_s

    def put_off_deadline(self, by_s: float) -> None:
        """Leave a time out of what the deadline limits."""
        if self.began_s is not None:
            self.began_s += by_s

    def make(
        self,
        request: R,
        send: Callable[[R, Emit], Response],
        explain: Callable[[RequestError, int], RequestError],
        emit: Emit,
        to: AttemptEnded,
    ) -> Response | Failed:
        """Make a request until it succeeds or is given up.

        Args:
            request: What is sent.
            send: Makes one attempt.
            explain: Words the last failure for the person, after so many retries.
            emit: Called with each event.
            to: What `AttemptEnded` says of every attempt: the model, the host and the most that
                one can cost.

        Raises:
            Cancelled: The run was cancelled.
        """
        account = account_of(request.options)
        throttle = Throttle(request, account, self._settings, self._clock, self._control)
        answered: list[Response] = []
        refusals = Refusals()
        waited_s, retries = 0.0, 0
        if self.began_s is None:
            self.began_s = self._clock.now()

        def attempt() -> None:
            self._require_trusted(request, to)
            load(emit)
            self._control.check()
            with throttle.permit() as permit:
                throttled_s = self._wait_for_turn(throttle, permit, emit)
                self._attempts += 1
                begin = replace(
                    to,
                    number=self._attempts,
                    throttled_s=throttled_s,
                    waited_s=waited_s,
                    refused_s=refusals.since_s(self._clock.now()),
                )
                with contextlib.closing(budget.book(self._settings, begin)) as booking:
                    response = self._send_once(request, send, booking.noting(emit), permit, begin)
                if response.error is None:
                    answered.append(response)
                    return
                if isinstance(response.error, TransientError):
                    refusals.note(response.error, self._clock.now())
                    throttle.learn(permit, response.error, self._policy.wait_before_s(retries + 1))
                raise response.error

        for event in with_retries(attempt, self._policy, self._clock, self._control, self.began_s):
            match event:
                case Failed(error):
                    return Failed(self._masked(explain(error, retries)))
                case Retrying(retry=retries, wait_s=waited_s):
                    pass
                case Waiting(skipped_s=skipped_s):
                    waited_s -= skipped_s
            emit(event)
        return answered[0]

    def _require_trusted(self, request: Request | EmbeddingRequest, to: AttemptEnded) -> None:
        """Let no key go where it must not, and note what is to be said of the way.

        Raises:
            UntrustedAddressError: One would go there.
        """
        note = trust.require_trusted(
            self._settings,
            to.model,
            request.options,
            for_vectors=to.operation == "embeddings",
            held=loading.keys_set_by_hand(),
        )
        self._note = _once_a_session(note)

    def _wait_for_turn(self, throttle: Throttle, permit: Permit, emit: Emit) -> float:
        """Wait until a request may go; return for how many seconds it was held back."""
        began_s = self._clock.now()
        for held in throttle.wait(permit, self.ends_at_s):
            emit(held)
        self._control.begin_wait()  # "Send now" is about this attempt, and no later one
        return self._clock.now() - began_s

    def _send_once(
        self,
        request: R,
        send: Callable[[R, Emit], Response],
        emit: Emit,
        permit: Permit,
        told: AttemptEnded,
    ) -> Response:
        """Make one attempt; the limiter learns what the server says of its limits."""
        began_s = self._clock.now()

        def note(event: Event) -> None:
            nonlocal told
            self._control.check()  # a fast server's text may be far ahead of the reader
            if isinstance(event, BEGINNINGS) and told.first_token_s is None:
                told = replace(told, first_token_s=self._clock.now() - began_s)
            elif isinstance(event, Accepted):
                told = replace(told, status=200, asked_s=waits.opens_s(event.headers))
                permit.accepted(self._clock.now(), event.headers)
            emit(event)

        emit(Sending(told.model, told.host, self._note))
        self._note = None
        left_s = self.ends_at_s - self._clock.now()
        timed = request.within(left_s)
        with ours.hiding(self._redactor.redact):
            response = self._control.on_socket(
                lambda: _to_its_end(send, timed, note), left_s + GRACE_S
            )
        response = self._judged(response)
        if response.usage is not None:
            permit.answered(response.usage.total_tokens)
            emit(response.usage)
        told = replace(told, took_s=self._clock.now() - began_s)
        emit(self._ended(told, response))
        if response.error is not None:
            self._control.check()
        return response

    def _judged(self, response: Response) -> Response:
        """Say why an attempt has failed, and mask the keys in what its server has told."""
        error, model = response.error, response.model
        if error is not None:
            if self._control.overdue:
                error = BrokenAnswerError("it had not ended by the deadline")
            # Some servers echo the key that they refuse; and a request that was hung up on has
            # failed for that.
            stopped = Stopped("stopped.") if self._control.cancelled else None
            error = stopped or self._masked(error).alone()
        if model is not None:
            model = one_line(self._redactor.redact(model))
        return replace(response, error=error, model=model)

    def _ended(self, told: AttemptEnded, response: Response) -> AttemptEnded:
        """Complete what is told of an attempt by how it has ended."""
        error = response.error
        outcome: Outcome = "stopped" if isinstance(error, Stopped) else "failed"
        if error is None:
            outcome = "answered"
        status = error.status if error else None
        told = replace(
            told,
            outcome=outcome,
            error=error,
            usage=response.usage,
            asked_s=told.asked_s or waits.told_s(error),
            status=status or told.status,
            model_answered=response.model,
            response_id=self._id_in(response.raw),
        )
        is_local = response.cost.told_by == "unknown" and is_free(told, self._settings)
        return replace(told, cost=Cost(None, "local") if is_local else response.cost)

    def _id_in(self, raw: Mapping[str, Any]) -> str | None:
        told = raw.get("id")
        return one_line(self._redactor.redact(told)) if isinstance(told, str) else None

    def _masked(self, error: RequestError) -> RequestError:
        masked = error.reworded(error.text.masked(self._redactor.redact))
        masked.url = self._redactor.redact(error.url)
        return masked


def _to_its_end(send: Callable[[R, Emit], Response], request: R, emit: Emit) -> Response:
    """Make an attempt; one that is cancelled while an event is passed on has been made, too."""
    try:
        return send(request, emit)
    except Cancelled:
        return Response(Stopped("stopped."))


_said_once: set[str] = set()


def _once_a_session(note: Text | None) -> Text | None:
    """Return a note, or None where the session has been told it already."""
    if note is None or note in _said_once:
        return None
    _said_once.add(note)
    return note


def load(emit: Emit) -> None:
    """Import LiteLLM, ahead of the attempt's permit: the server counts a request when it comes."""
    if not loading.is_loaded():
        emit(Loading())
        loading.load()


class Prompt:
    """The job of a prompt: its stored answer or its requests, and a correction where it misfits."""

    def __init__(self, prepared: Prepared, clock: Clock, control: Control) -> None:
        self._prepared = prepared
        self._clock = clock
        self._redact = Redactor(prepared.answer_secrets).redact
        self._requests = Requests(prepared.settings, prepared.secrets, clock, control)
        self._rounds = Rounds(prepared, self._redact, clock, control)

    def __call__(self, emit: Emit) -> None:
        """Do the job; the last event is `Done` or `Failed`."""
        masked = Masked(Redactor(self._prepared.answer_secrets), emit)
        try:
            self._converse(masked)
        except Cancelled:
            masked(Failed(Stopped("stopped.")))

    def _converse(self, emit: Emit) -> None:
        request, schema = self._prepared.request, self._prepared.schema
        reply, end = self._answer(request, emit)
        if schema is not None and isinstance(end[0], Done) and end[0].finish_reason == "stop":
            answer = self._redact(reply.text)  # so that a stored answer is sent back as it is kept
            problem = _problem(schema, answer)
            # A stored answer has taken no time of the deadline.
            if problem and self._clock.now() < self._requests.ends_at_s:
                emit(Correcting(problem, reply.cost_usd))
                called = messages_of(reply.tool_calls)
                messages = [*request.messages, *called, *_sent_back(answer, problem)]
                _, end = self._answer(self._prepared.with_messages(messages), emit)
        for event in end:
            emit(event)

    def _answer(self, request: Request, emit: Emit) -> tuple[Reply, list[Event]]:
        """Get the answer to one request, from its file or from the server.

        Returns:
            The answer, and the events that end it, which were not emitted yet.
        """
        settings = self._prepared.settings
        builder = ReplyBuilder(settings.model)

        def tell(event: Event) -> None:
            builder.add(event)
            emit(event)

        place = None
        if settings.cache != "off":
            place = Stored(request, settings, self._prepared.answer_secrets)
            if found := place.find():
                *events, end = found
                for event in events:
                    tell(event)
                builder.add(end)
                return builder.reply, [end]
            if settings.cache == "replay":
                return builder.reply, [Failed(place.why_not())]
        asked, response = self._responded(request, builder, tell)
        if isinstance(response, Failed):
            return builder.reply, [response]
        is_cut = counts.is_cut(asked.messages, response.usage)
        notes = counts.notes_on(asked, response.usage)
        notes = (*notes, *budget.notes(settings))
        if place is not None and place.problem is not None:
            notes = (*notes, place.problem)
        done = Done(response.finish_reason, response.cost.usd, response.raw, is_cut, notes)
        builder.add(done)
        whole = not is_cut and done.finish_reason != "context"
        unkept = place.keep(builder.reply) if place and whole else None
        return builder.reply, [done, Failed(unkept)] if unkept else [done]

    def _responded(
        self, request: Request, builder: ReplyBuilder, tell: Emit
    ) -> tuple[Request, Response | Failed]:
        """Make requests until an answer asks for no function; return the last one and its end."""
        first, settings = request, self._prepared.settings
        while True:
            asked = replace(self._prepared, request=request)
            to = AttemptEnded(
                0, "stopped", model=settings.model, host=asked.host, most_usd=asked.most_usd
            )
            explain = partial(worded, prepared=self._prepared)
            response = self._requests.make(request, send, explain, tell, to)
            if isinstance(response, Failed) or not response.calls:
                return request, response
            said, thought = map(self._redact, (builder.text, builder.reply.reasoning))
            tell(ToolRound(self._rounds.count + 1, response.cost.usd))
            before_s = self._rounds.off_the_clock_s
            if problem := self._rounds.run(response, said, thought, tell):
                return request, Failed(explained(problem, settings))
            self._requests.put_off_deadline(self._rounds.off_the_clock_s - before_s)
            messages = [*first.messages, *self._rounds.messages]
            request = self._prepared.with_messages(messages)


def worded(error: RequestError, retries: int, *, prepared: Prepared) -> RequestError:
    """Return the last failure of a request in words for the person, after so many retries."""
    if isinstance(error, OverBudgetError | UntrustedAddressError):
        return error
    request = prepared.request
    if isinstance(error, LibraryError):  # LiteLLM itself may be what is missing
        return explained(error, prepared.settings)
    settings = prepared.settings
    if isinstance(error, AddressError | ModelNotFoundError):
        from openhands_llm_magic.llm.practice import stand_in  # noqa: PLC0415 - rarely needed

        if told := stand_in.another_providers_model(settings):
            return error.reworded(told, ModelNotFoundError)
    missing = () if "api_key" in request.options else missing_key_variables(request.model)
    listed = None
    if isinstance(error, ModelNotFoundError) and not astray.found_by_check(error, settings):
        listed = astray.models_instead(settings) if astray.has_provider(settings) else None
    return explained(error, settings, retries=retries, missing_variables=missing, listed=listed)


def _problem(schema: Schema, answer: str) -> str:
    """Say where an answer does not fit a schema, or return ""."""
    try:
        schema.read(answer)
    except FormatError as error:
        return error.problem
    return ""


def _sent_back(answer: str, problem: str) -> list[Message]:
    told = f"That does not fit: {problem}. Answer again, with the corrected JSON alone."
    return [{"role": "assistant", "content": answer}, {"role": "user", "content": told}]


def run(prepared: Prepared, clock: Clock = SYSTEM_CLOCK, control: Control | None = None) -> Run:
    """Return the run of a prompt; nothing is sent before its events are taken."""
    control = control or Control()
    return Run(Prompt(prepared, clock, control), control)
