"""Making the probes, one after the other, each request on the one road of all requests.

Several models at one host are probed one after the other too: a server of one's own may hold one
model at a time, and two that share a processor or a limit would spoil each other's times. Models
of different hosts are probed at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import errors
from openhands_llm_magic.config.providers import is_loopback
from openhands_llm_magic.config.secret import Redactor
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.events import (
    AttemptEnded,
    Failed,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolCallBegun,
    Usage,
)
from openhands_llm_magic.llm.litellm.send import send
from openhands_llm_magic.llm.meaning import is_unread_call
from openhands_llm_magic.llm.prepare import prepare
from openhands_llm_magic.llm.probe.context import CONTEXT, DECLARED, context_of, declared
from openhands_llm_magic.llm.probe.course import NOTHING, WELL, Finding, Turn
from openhands_llm_magic.llm.probe.metadata import UNKNOWN, metadata_of
from openhands_llm_magic.llm.probe.probes import PROBES, TOO_LONG, UNREAD
from openhands_llm_magic.llm.probe.result import Report, Result, Spent, summed, with_cures_that_help
from openhands_llm_magic.llm.probe.setup import setup_of
from openhands_llm_magic.llm.probe.verdict import verdicts
from openhands_llm_magic.llm.run import Requests, worded
from openhands_llm_magic.llm.spending import budget
from openhands_llm_magic.llm.spending.attempt import is_free
from openhands_llm_magic.llm.tools.calls import masked
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Cancelled, Control, Run, Runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.prepare import Prepared
    from openhands_llm_magic.llm.probe.course import Ask, Probe
    from openhands_llm_magic.llm.probe.metadata import Metadata
    from openhands_llm_magic.llm.worker import Clock, Emit

ANSWER_TOKENS = 4096
"""Tokens that an answer may have where nobody has set another limit, so that a model that does not
end costs little; the longest answer that is waited for has a third of it."""

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

HOLDING = ("held", "partly")
"""Outcomes with which a model does what it was asked, if not always."""

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
class OfModel:
    """An event of one of several models, with the model's place among them."""

    number: int
    event: Any


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is probed.

    Attributes:
        is_full: Whether it is asked as well what stands at the beginning of 26,000 tokens.
        repeats: How often each probe of what the model itself does is made.
    """

    is_full: bool = False
    repeats: int = 1

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The probes, in the order in which they are made."""
        return tuple(each for each in PROBES if self.is_full or not each.is_long)

    def times(self, probe: Probe) -> int:
        """Return how often a probe is made."""
        return self.repeats if probe.is_sampled else 1


ONCE = Extent()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What all probes of a model take at most, without retries.

    Attributes:
        model: The model.
        host: The server's host name, or "" where only LiteLLM knows it.
        requests: HTTP requests.
        prompt_tokens: Tokens of their prompts, about.
        most_usd: US dollars, about; None where that is not known.
        is_local: Whether a server on this machine answers, which takes no money.
    """

    model: str
    host: str
    requests: int
    prompt_tokens: int
    most_usd: float | None
    is_local: bool


def limited(settings: Snapshot) -> Snapshot:
    """Return the settings that probes are made with."""
    if settings.max_output_tokens is not None:
        return settings
    return settings.with_overrides({"max_output_tokens": ANSWER_TOKENS})


RESULT_CHARS = 1_000
"""Characters at most of the result that a probe gives back after a call."""


def estimate(settings: Snapshot, extent: Extent = ONCE) -> Estimate:
    """Reckon what the probes take at most; nothing is sent.

    Raises:
        SettingError: No request can be made of the settings.
    """
    settings = limited(settings)
    made = [(_at_most(each, settings), extent.times(each)) for each in extent.probes]
    host = made[0][0][0].host
    costs = [(each.most_usd, times) for asked, times in made for each in asked]
    known = [usd * times for usd, times in costs if usd is not None]
    return Estimate(
        settings.model,
        host,
        sum(times for _, times in costs),
        round(sum(_prompt_tokens(asked[0]) * len(asked) * times for asked, times in made)),
        sum(known) if len(known) == len(costs) else None,
        is_free(AttemptEnded(0, "stopped", host=host), settings),
    )


def _prompt_tokens(prepared: Prepared) -> float:
    return prepared.request.tokens - _limit(prepared)


def _limit(prepared: Prepared) -> int:
    return prepared.request.most_answer_tokens or 0


def _at_most(probe: Probe, settings: Snapshot) -> list[Prepared]:
    """Return the dearest requests of a probe: those after the first take its answer along."""
    first = next(probe.course())
    prepared = [_prepared(first, settings)]
    answer = "x" * (_limit(prepared[0]) + RESULT_CHARS)  # a token has a letter or more
    later = [*first.messages, {"role": "assistant", "content": answer}]
    more = _prepared(replace(first, messages=later), settings)
    return prepared + [more] * (probe.most_requests - 1)


def require_room(settings: Snapshot, estimates: Sequence[Estimate]) -> None:
    """Hold what all probes can cost against the limits, before the first request.

    Raises:
        OverBudgetError: It could pass a limit, or is not known where one is set.
    """
    budget.require_room(
        settings,
        [
            AttemptEnded(0, "stopped", model=each.model, host=each.host, most_usd=each.most_usd)
            for each in estimates
        ],
    )


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


def _without_a_line(refused: Text) -> Text:
    """Return what is said of a refusal with a setting to change: there is no line with tools."""
    if "without_tools" not in refused.facts:
        return refused
    facts = {**refused.facts, "without_tools": Text("set native_tool_calling = false")}
    return Text(refused.template, **facts)


def _said_by(error: errors.RequestError, probe: Probe) -> Finding | None:
    """Return what a failure tells of the model or its server; None for a fault of the way."""
    if isinstance(error, probe.refusals):
        return replace(probe.if_refused, note=_without_a_line(error.text))
    if isinstance(error, errors.ContextLengthError):
        return replace(TOO_LONG, note=error.text)
    if is_unread_call(error):
        return replace(UNREAD, note=error.text)
    if isinstance(error, OF_THE_MODEL):
        return WELL if probe.takes_any_answer else Finding(error.text)
    return None


class Probing:
    """The job of probing a model; its last event is the `Report`.

    Args:
        settings: The settings.
        extent: How much is probed.
        clock: Measures and makes the waits.
        control: The switches of the run.
    """

    def __init__(self, settings: Snapshot, extent: Extent, clock: Clock, control: Control) -> None:
        self._setup = setup_of(settings)
        self._settings = limited(settings)
        self._extent = extent
        self._clock = clock
        self._control = control
        self._results: list[Result] = []
        self._over: Text | None = None
        """Why no other probe is made."""

    def __call__(self, emit: Emit) -> None:
        """Make the probes."""
        emit(ProbeBegan("context", CONTEXT))
        metadata, why = self._told()
        self._end(context_of(metadata, why), emit)
        self._end(declared(metadata), emit)
        for probe in self._extent.probes:
            if why_not := self._why_not(probe):
                self._end(Result(probe.name, probe.title, "not asked", why=why_not), emit)
                continue
            emit(ProbeBegan(probe.name, probe.title))
            self._end(self._repeated(probe, emit), emit)
        if metadata.is_loaded is False:  # by now the requests have loaded it
            metadata, why = self._told()
        by_name = {each.name: each for each in self._results}
        calls = by_name["call"].outcome in HOLDING
        by_name |= {
            "context": context_of(metadata, why),
            "declared": declared(metadata, calls=calls),
        }
        results = with_cures_that_help(tuple(by_name.values()))
        judged = verdicts(results, self._settings)
        emit(Report(self._settings.model, results, judged, self._setup, metadata))

    def _repeated(self, probe: Probe, emit: Emit) -> Result:
        """Make a probe as often as it is to be made, or until there is no sense in it."""
        runs = [self._made(probe, emit)]
        while len(runs) < self._extent.times(probe) and not (self._over or self._control.cancelled):
            runs.append(self._made(probe, emit))
        return summed(runs)

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
        if needed is None or needed.outcome in HOLDING:
            return None
        return Text("it needs one that did not hold: {title}", title=needed.title)

    def _told(self) -> tuple[Metadata, Text]:
        """Ask what the server tells of the model; return that, and why it tells nothing."""
        if self._control.cancelled:
            return UNKNOWN, Text("stopped")
        try:
            return metadata_of(self._settings), NOTHING
        except (errors.UsageError, errors.RequestError) as error:
            return UNKNOWN, error.text

    def _made(self, probe: Probe, emit: Emit) -> Result:
        """Make one probe; a fault of the way ends it, and the others go on."""
        spent = Spent()

        def tell(event: Any) -> None:
            nonlocal spent
            if isinstance(event, AttemptEnded):
                spent = spent.with_attempt(event, self._settings)
            emit(event)

        def ended(outcome: Any, finding: Finding = WELL, why: Text = NOTHING) -> Result:
            counted = (outcome == "held", outcome in {"held", "failed"})
            return Result(probe.name, probe.title, outcome, finding, why, spent, *map(int, counted))

        try:
            finding = self._found(probe, tell)
        except Cancelled:
            return ended("not asked", why=Text("stopped"))
        except errors.SettingError as error:
            self._over = error.text
            return ended("fault", why=error.text)
        except _FaultError as fault:
            said = _said_by(fault.error, probe)
            if said is None:
                if isinstance(fault.error, HOPELESS):
                    self._over = Text("it would meet the same fault")
                return ended("fault", why=fault.error.text)
            finding = said
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


def probe(
    settings: Snapshot,
    clock: Clock = SYSTEM_CLOCK,
    control: Control | None = None,
    extent: Extent = ONCE,
) -> Run:
    """Return the run of all probes of a model; its last event is the `Report`.

    Nothing is sent before its events are taken.
    """
    control = control or Control()
    return Run(Probing(settings, extent, clock, control), control)


def cut_short(settings: Snapshot, extent: Extent, results: Sequence[Result]) -> Report:
    """Return the report of a run that was left behind, from what had come of it."""
    made = {each.name: each for each in results}
    stopped = Text("stopped")
    for name, title in (("context", CONTEXT), ("declared", DECLARED)):
        made.setdefault(name, Result(name, title, "not asked", why=stopped))
    for each in extent.probes:
        made.setdefault(each.name, Result(each.name, each.title, "not asked", why=stopped))
    every = with_cures_that_help(tuple(made.values()))
    return Report(settings.model, every, verdicts(every, settings), setup_of(settings))


def probe_each(
    settings: Sequence[Snapshot], extent: Extent = ONCE, clock: Clock = SYSTEM_CLOCK
) -> Runs:
    """Return the runs of all probes of several models, whose events are `OfModel`.

    Nothing is sent before their events are taken.

    Raises:
        SettingError: No request can be made of the settings.
    """
    by_host: dict[str, list[int]] = {}
    for number, each in enumerate(settings):
        host = estimate(each).host
        known = "this machine" if is_loopback(host) else host or each.model.partition("/")[0]
        by_host.setdefault(known, []).append(number)

    def run(numbers: Sequence[int]) -> Run:
        control = Control()

        def job(emit: Emit) -> None:
            for number in numbers:
                probing = Probing(settings[number], extent, clock, control)
                probing(partial(_told_of, emit, number))

        return Run(job, control)

    return Runs([run(numbers) for numbers in by_host.values()])


def _told_of(emit: Emit, number: int, event: Any) -> None:
    emit(OfModel(number, event))
