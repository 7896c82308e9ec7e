"""Running what was prepared: on a worker thread, whose events come out of one queue.

The thread that asks, which in a notebook is the main thread, only reads that queue. It never runs
LiteLLM, so an interrupt cannot land within LiteLLM or its HTTP clients and leave a connection open.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from openhands_llm_magic.config.secret import Redactor, throughout
from openhands_llm_magic.errors import (
    FormatError,
    LibraryError,
    RequestError,
    Stopped,
    TransientError,
)
from openhands_llm_magic.llm.answers.stored import Stored
from openhands_llm_magic.llm.control import SYSTEM_CLOCK, Cancelled, Clock, Control
from openhands_llm_magic.llm.events import (
    Accepted,
    AttemptEnded,
    CacheHit,
    Correcting,
    Done,
    Failed,
    Loading,
    ReasoningDelta,
    Retrying,
    Sending,
    TextDelta,
    Waiting,
)
from openhands_llm_magic.llm.explain import explained
from openhands_llm_magic.llm.limits.limiter import Throttle
from openhands_llm_magic.llm.litellm import loading
from openhands_llm_magic.llm.litellm.send import missing_key_variables, send
from openhands_llm_magic.llm.prepare import account_of
from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
from openhands_llm_magic.llm.retry import RetryPolicy, with_retries

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Self

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.answers.schema import Schema
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.events import Event, Outcome
    from openhands_llm_magic.llm.limits.limiter import Permit
    from openhands_llm_magic.llm.prepare import Prepared
    from openhands_llm_magic.llm.request import EmbeddingRequest, Request, Response

    Emit = Callable[[Any], None]
    R = TypeVar("R", Request, EmbeddingRequest)

BATCH_S = 0.01
"""Seconds in which pieces of text gather before the reader is woken for them."""

POLL_S = 0.05
"""Seconds after which a reader looks again by itself. A signal that comes just before the main
thread begins to wait does not wake it, and on Windows none does."""

TIDY_S = 0.5
"""Seconds that a cancelled run may take to end tidily before its reader leaves it behind."""


class Run:
    """A job on a worker thread, whose events come out of one queue.

    The thread starts with the first `take`. Close the run, or use it in a `with` statement: that
    cancels what still goes on.

    Args:
        job: What the thread does; it is called with the function that takes its events.
        control: The switches that the job asks.
    """

    def __init__(self, job: Callable[[Emit], None], control: Control | None = None) -> None:
        self.control = control or Control()
        self._job = job
        self._events: deque[Any] = deque()
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wake: Callable[[], None] = lambda: self._woken.put(None)
        self._woke_s = 0.0
        self._thread: threading.Thread | None = None
        self._over = False
        self._crash: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether the job is over and all of its events were taken."""
        return self._over and not self._events and self._crash is None

    def start(self, wake: Callable[[], None] | None = None) -> None:
        """Start the thread, unless it was started before.

        Args:
            wake: Called, on any thread, when there is something to take; by default `take` wakes
                up by itself.
        """
        if self._thread is None:
            self._wake = wake or self._wake
            # ipykernel knows by the context which cell an output belongs to.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(
                target=run, args=(self._work,), name="openhands-llm-magic", daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Let `take` return now; a signal handler may call this."""
        self._wake()

    def take(self, timeout_s: float = POLL_S) -> list[Any]:
        """Wait for events, and return those that there are, texts joined.

        Args:
            timeout_s: How long to wait for the first; 0 does not wait.

        Raises:
            Exception: The job failed in a way that no event tells: a mistake in our own code.
        """
        self.start()
        if timeout_s > 0 and not self._over:
            with contextlib.suppress(queue.Empty):
                self._woken.get(timeout=timeout_s)
        while not self._woken.empty():
            with contextlib.suppress(queue.Empty):
                self._woken.get_nowait()
        taken: list[Any] = []
        while self._events:
            event = self._events.popleft()
            if taken and type(event) is type(taken[-1]) and isinstance(event, _PIECES):
                event = type(event)(taken.pop().text + event.text)
            taken.append(event)
        if not taken and self._crash is not None:
            crash, self._crash = self._crash, None
            raise crash
        return taken

    def close(self) -> None:
        """Cancel what still goes on, and wait a little until it has ended tidily."""
        if self._thread is None:
            self._over = True
        elif not self._over:
            self.control.cancel()
            self._thread.join(TIDY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Generator[Any]:
        """Yield the events as they come; leaving off cancels the run."""
        with self:
            while not self.ended:
                yield from self.take()

    def _work(self) -> None:
        try:
            self._job(self._put)
        except BaseException as crash:  # noqa: BLE001 - it is raised where the events are taken
            self._crash = crash
        finally:
            self._over = True
            self._wake()

    def _put(self, event: Event) -> None:
        self._events.append(event)
        now_s = time.monotonic()
        if not isinstance(event, _PIECES) or now_s - self._woke_s >= BATCH_S:
            self._woke_s = now_s
            self._wake()


_PIECES = (TextDelta, ReasoningDelta)


class Masked:
    """Masks known keys in events, whatever pieces a key comes in, and passes them on.

    Args:
        redactor: Knows the keys.
        emit: Called with each event.
    """

    def __init__(self, redactor: Redactor, emit: Emit) -> None:
        self.redact = redactor.redact
        self._held = redactor.stream()
        self._kind: type[TextDelta | ReasoningDelta] = TextDelta
        self._emit = emit

    def __call__(self, event: Any) -> None:
        """Take the next event."""
        if not isinstance(event, self._kind):
            self.flush()
        match event:
            case TextDelta(text) | ReasoningDelta(text):
                self._kind = type(event)
                if text := self._held.feed(text):
                    self._emit(self._kind(text))
            case Correcting(problem):
                self._emit(replace(event, problem=self.redact(problem)))
            case Done(raw=raw):
                self._emit(replace(event, raw=throughout(raw, self.redact)))
            case _:
                self._emit(event)

    def flush(self) -> None:
        """Pass on the text that was held back, as it could have been the beginning of a key."""
        if text := self._held.flush():
            self._emit(self._kind(text))


@dataclass(slots=True)
class Attempt:
    """What is known so far of one HTTP request.

    Attributes:
        clock: Measures it.
        told: What is known.
        began_s: When it began, on the clock.
    """

    clock: Clock
    told: AttemptEnded
    began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_s = self.clock.now()

    def note(self, event: Event) -> None:
        """Take in an event of it."""
        if self.told.first_token_s is None and isinstance(event, _PIECES):
            self.told = replace(self.told, first_token_s=self.clock.now() - self.began_s)
        elif isinstance(event, Accepted):
            self.told = replace(self.told, status=200)

    def ended(self, response: Response) -> AttemptEnded:
        """Return the event that it is over."""
        error = response.error
        outcome: Outcome = "answered" if error is None else "failed"
        if isinstance(error, Stopped):
            outcome = "stopped"
        return replace(
            self.told,
            outcome=outcome,
            error=error,
            status=self.told.status if error is None else error.status or self.told.status,
            usage=response.usage,
            cost=response.cost,
            took_s=self.clock.now() - self.began_s,
            model_answered=response.model,
        )


class Requests:
    """Makes HTTP requests: each through the rate limiter, and under the retry policy.

    Args:
        settings: The retry policy and the limits.
        secrets: What must not show in errors.
        clock: Measures and makes the waits.
        control: Cancels the run, or ends a wait early.

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
        self.began_s: float | None = None

    @property
    def ends_at_s(self) -> float:
        """When the deadline is, on the clock; infinity before the first request or without one."""
        if self.began_s is None or self._policy.deadline_s is None:
            return math.inf
        return self.began_s + self._policy.deadline_s

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
            to: What `AttemptEnded` says of every attempt: the model and the host.

        Raises:
            Cancelled: The run was cancelled.
        """
        account = account_of(request.options)
        throttle = Throttle(request, account, self._settings, self._clock, self._control)
        answered: list[Response] = []
        waited_s, retries = 0.0, 0
        if self.began_s is None:
            self.began_s = self._clock.now()

        def attempt() -> None:
            load(emit)
            self._control.check()
            with throttle.permit() as permit:
                held_from_s = self._clock.now()
                for held in throttle.wait(permit, self.ends_at_s):
                    emit(held)
                self._control.begin_wait()  # "Send now" is about this attempt, and no later one
                self._attempts += 1
                throttled_s = self._clock.now() - held_from_s
                begin = replace(
                    to, number=self._attempts, throttled_s=throttled_s, waited_s=waited_s
                )
                response = self._send_once(request, send, emit, permit, begin)
                if response.error is None:
                    answered.append(response)
                    return
                if isinstance(response.error, TransientError):
                    pause_s = self._policy.wait_before_s(retries + 1)
                    throttle.learn(permit, response.error, pause_s)
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

    def _send_once(
        self,
        request: R,
        send: Callable[[R, Emit], Response],
        emit: Emit,
        permit: Permit,
        begin: AttemptEnded,
    ) -> Response:
        """Make one attempt; the limiter learns what the server says of its limits."""
        attempt = Attempt(self._clock, begin)

        def note(event: Event) -> None:
            attempt.note(event)
            if isinstance(event, Accepted):
                permit.accepted(self._clock.now(), event.headers)
            emit(event)

        emit(Sending(begin.model, begin.host))
        timed = request.within(self.ends_at_s - self._clock.now())
        response = self._control.on_socket(lambda: send(timed, note))
        if response.error is not None:
            # Some servers echo the key that they refuse; and a request that was hung up on has
            # failed for that.
            stopped = Stopped("stopped.") if self._control.cancelled else None
            response = replace(response, error=stopped or self._masked(response.error).alone())
        if response.model is not None:
            response = replace(response, model=self._redactor.redact(response.model))
        if response.usage is not None:
            permit.answered(response.usage.total_tokens)
            emit(response.usage)
        emit(attempt.ended(response))
        if response.error is not None:
            self._control.check()
        return response

    def _masked(self, error: RequestError) -> RequestError:
        return error.reworded(error.text.masked(self._redactor.redact))


def load(emit: Emit) -> None:
    """Import LiteLLM, ahead of the attempt's permit: the server counts a request when it comes."""
    if not loading.is_loaded():
        emit(Loading())
        loading.load()


class Prompt:
    """The job of a prompt: its stored answer or its requests, and a correction where it misfits.

    Args:
        prepared: The prompt.
        clock: Measures and makes the waits.
        control: Cancels the run, or ends a wait early.
    """

    def __init__(self, prepared: Prepared, clock: Clock, control: Control) -> None:
        self._prepared = prepared
        self._clock = clock
        self._redact = Redactor(prepared.secrets).redact
        self._requests = Requests(prepared.settings, prepared.secrets, clock, control)

    def __call__(self, emit: Emit) -> None:
        """Do the job; the last event is `Done` or `Failed`."""
        masked = Masked(Redactor(self._prepared.secrets), emit)
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
            if problem and self._in_time():
                emit(Correcting(problem, reply.cost_usd))
                messages = [*request.messages, *_sent_back(answer, problem)]
                _, end = self._answer(self._prepared.with_messages(messages), emit)
        for event in end:
            emit(event)

    def _in_time(self) -> bool:
        """Tell whether the deadline lies ahead; a stored answer has taken no time."""
        return self._clock.now() < self._requests.ends_at_s

    def _answer(self, request: Request, emit: Emit) -> tuple[Reply, list[Event]]:
        """Get the answer to one request, stored or sent.

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
            place = Stored(request, settings, self._prepared.secrets)
            if found := place.find():
                *events, end = found
                for event in (CacheHit(str(place.path)), *events):
                    tell(event)
                builder.add(end)
                return builder.reply, [end]
            if settings.cache == "replay":
                return builder.reply, [Failed(place.why_not())]
        to = AttemptEnded(0, "stopped", model=settings.model, host=self._prepared.host)
        response = self._requests.make(request, send, self._explain, tell, to)
        if isinstance(response, Failed):
            return builder.reply, [response]
        done = Done(response.finish_reason, response.cost.usd, response.raw)
        builder.add(done)
        unkept = place.keep(builder.reply) if place else None
        return builder.reply, [done, Failed(unkept)] if unkept else [done]

    def _explain(self, error: RequestError, retries: int) -> RequestError:
        if isinstance(error, LibraryError):
            return error
        request = self._prepared.request
        missing = () if "api_key" in request.options else missing_key_variables(request.model)
        return explained(error, self._prepared.settings, retries=retries, missing_variables=missing)


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
