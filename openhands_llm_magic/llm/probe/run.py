"""Making the probes, one after the other, each request on the one road of all requests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.config.secret import Redactor
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm import served
from openhands_llm_magic.llm.events import (
    AttemptEnded,
    Failed,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolCallBegun,
    Usage,
)
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.litellm.send import send
from openhands_llm_magic.llm.prepare import prepare
from openhands_llm_magic.llm.probe.context import judged_window
from openhands_llm_magic.llm.probe.probes import NOTHING, PROBES, WELL, Finding, Turn
from openhands_llm_magic.llm.probe.result import Report, Result, Spent
from openhands_llm_magic.llm.probe.verdict import verdicts
from openhands_llm_magic.llm.run import Requests, worded
from openhands_llm_magic.llm.spending.attempt import is_free
from openhands_llm_magic.llm.tools.calls import masked
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Cancelled, Control, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.prepare import Prepared
    from openhands_llm_magic.llm.probe.probes import Ask, Probe
    from openhands_llm_magic.llm.worker import Clock, Emit

ANSWER_TOKENS = 4096
"""Tokens that an answer may have where nobody has set another limit, so that a model that does not
end costs little; the longest answer that is waited for has a third of it."""

CONTEXT = Text("has room for a task")
"""The title of the one probe that asks for no tokens."""

HOPELESS = (
    errors.AuthenticationError,
    errors.AddressError,
    errors.CertificateError,
    errors.ConnectionFailedError,
    errors.DailyLimitError,
    errors.LibraryError,
    errors.MissingKeyError,
    errors.ModelNotFoundError,
    errors.OverBudgetError,
    errors.ProxyError,
    errors.QuotaError,
    errors.RedirectError,
    errors.UnsendableError,
    errors.UntrustedAddressError,
)
"""Faults that every other request would meet as well."""

OF_THE_MODEL = (errors.NoTextError, errors.OutputLimitError, errors.OversizedError)
"""What only the model can be blamed for."""


@dataclass(frozen=True, slots=True)
class ProbeBegan:
    """A probe begins."""

    name: str
    title: Text


@dataclass(frozen=True, slots=True)
class ProbeEnded:
    """A probe is over."""

    result: Result


@dataclass(frozen=True, slots=True)
class Estimate:
    """What all probes take at most, without retries.

    Attributes:
        requests: HTTP requests.
        most_usd: US dollars, about; None where that is not known.
        is_local: Whether a server on this machine answers, which takes no money.
    """

    requests: int
    most_usd: float | None
    is_local: bool


def limited(settings: Snapshot) -> Snapshot:
    """Return the settings that probes are made with."""
    if settings.max_output_tokens is not None:
        return settings
    return settings.with_overrides({"max_output_tokens": ANSWER_TOKENS})


def estimate(settings: Snapshot) -> Estimate:
    """Reckon what the probes take at most; nothing is sent.

    Raises:
        SettingError: No request can be made of the settings.
    """
    settings = limited(settings)
    first = [(each, _prepared(next(each.course()), settings)) for each in PROBES]
    requests = sum(each.most_requests for each, _ in first)
    host = first[0][1].host
    is_local = is_free(AttemptEnded(0, "stopped", host=host), settings)
    most = [
        None if made.most_usd is None else made.most_usd * each.most_requests
        for each, made in first
    ]
    known = [each for each in most if each is not None]
    return Estimate(requests, sum(known) if len(known) == len(most) else None, is_local)


def _prepared(ask: Ask, settings: Snapshot) -> Prepared:
    made = prepare(ask.messages, settings)
    tools: Mapping[str, Any] = {"tools": list(ask.tools)} if ask.tools else {}
    options = {**made.request.options, **ask.options, **tools}
    return replace(made, request=replace(made.request, options=options, has_tools=bool(ask.tools)))


class _FaultError(Exception):
    """No answer came."""

    def __init__(self, error: errors.RequestError) -> None:
        super().__init__(error.text)
        self.error = error


class Probing:
    """The job of probing a model; its last event is the `Report`.

    Args:
        settings: The settings.
        clock: Measures and makes the waits.
        control: The switches of the run.
    """

    def __init__(self, settings: Snapshot, clock: Clock, control: Control) -> None:
        self._settings = limited(settings)
        self._clock = clock
        self._control = control
        self._results: list[Result] = []
        self._over: Text | None = None
        """Why no other probe is made."""

    def __call__(self, emit: Emit) -> None:
        """Make the probes."""
        emit(ProbeBegan("context", CONTEXT))
        self._end(self._context(), emit)
        for probe in PROBES:
            if why := self._why_not(probe):
                self._end(Result(probe.name, probe.title, "not asked", why=why), emit)
                continue
            emit(ProbeBegan(probe.name, probe.title))
            self._end(self._made(probe, emit), emit)
        results = tuple(self._results)
        emit(Report(self._settings.model, results, verdicts(results, self._settings)))

    def _end(self, result: Result, emit: Emit) -> None:
        self._results.append(result)
        emit(ProbeEnded(result))

    def _why_not(self, probe: Probe) -> Text | None:
        """Return why a probe is not made, or None."""
        if self._control.cancelled:
            return Text("stopped")
        if self._over:
            return self._over
        needed = next((each for each in self._results if each.name == probe.needs), None)
        if needed is None or needed.outcome == "held":
            return None
        return Text("it needs one that did not hold: {title}", title=needed.title)

    def _context(self) -> Result:
        """Ask the server, or else LiteLLM's list, for the size of the context."""
        settings, why = self._settings, Text("the server tells no size of the context")
        tokens = None
        try:
            found = served.served(served.place_of(settings))
        except (errors.UsageError, errors.RequestError) as error:
            why = error.text
        else:
            named = {each.name: each.window_tokens for each in found}
            tokens = named.get(settings.model) or named.get(f"{settings.model}:latest")
        if tokens is None and not settings.base_url:
            tokens = abilities_of(settings.model).window_tokens
        if tokens is None:
            return Result("context", CONTEXT, "not asked", why=why)
        finding = judged_window(tokens)
        return Result("context", CONTEXT, "failed" if finding.did else "held", finding)

    def _made(self, probe: Probe, emit: Emit) -> Result:
        """Make one probe; a fault of the way ends it, and the others go on."""
        spent = Spent()

        def tell(event: Any) -> None:
            nonlocal spent
            if isinstance(event, AttemptEnded):
                spent = spent.with_attempt(event, self._settings)
            emit(event)

        def ended(outcome: Any, finding: Finding = WELL, why: Text = NOTHING) -> Result:
            return Result(probe.name, probe.title, outcome, finding, why, spent)

        try:
            finding = self._found(probe, tell)
        except Cancelled:
            return ended("not asked", why=Text("stopped"))
        except errors.SettingError as error:
            self._over = error.text
            return ended("fault", why=error.text)
        except _FaultError as fault:
            told = fault.error.text
            if isinstance(fault.error, probe.refusals):
                return ended("failed", replace(probe.if_refused, note=told))
            if isinstance(fault.error, OF_THE_MODEL):
                return ended("held") if probe.takes_any_answer else ended("failed", Finding(told))
            if isinstance(fault.error, HOPELESS):
                self._over = Text("it would meet the same fault")
            return ended("fault", why=told)
        return ended("failed" if finding.did else "held", finding)

    def _found(self, probe: Probe, emit: Emit) -> Finding:
        """Lead a probe through its requests.

        Raises:
            Cancelled: The run was cancelled.
            SettingError: No request can be made of the settings.
            _FaultError: No answer came.
        """
        course = probe.course()
        ask = next(course)
        prepared = _prepared(ask, self._settings)
        requests = Requests(prepared.settings, prepared.secrets, self._clock, self._control)
        while True:
            turn = self._turn(prepared, requests, emit)
            try:
                ask = course.send(turn)
            except StopIteration as end:
                found: Finding = end.value
                return found
            prepared = _prepared(ask, self._settings)

    def _turn(self, prepared: Prepared, requests: Requests, emit: Emit) -> Turn:
        """Make one request, with its retries.

        Raises:
            Cancelled: The run was cancelled.
            _FaultError: No answer came.
        """
        pieces: list[str] = []

        def tell(event: Any) -> None:
            match event:
                case TextDelta(text):
                    pieces.append(text)
                case ReasoningDelta() | ToolCallBegun() | Usage():
                    pass
                case Retrying():
                    pieces.clear()
                    emit(event)
                case _:
                    emit(event)

        to = AttemptEnded(
            0,
            "stopped",
            model=prepared.settings.model,
            host=prepared.host,
            most_usd=prepared.most_usd,
        )
        explain = partial(worded, prepared=prepared)
        response = requests.make(prepared.request, send, explain, tell, to)
        if isinstance(response, Failed):
            raise _FaultError(response.error)
        redact = Redactor(prepared.answer_secrets).redact
        calls = tuple(masked(each, redact) for each in response.calls)
        return Turn(redact("".join(pieces)), calls, response.finish_reason, response.usage)


def probe(settings: Snapshot, clock: Clock = SYSTEM_CLOCK, control: Control | None = None) -> Run:
    """Return the run of all probes; its last event is the `Report`.

    Nothing is sent before its events are taken.
    """
    control = control or Control()
    return Run(Probing(settings, clock, control), control)
