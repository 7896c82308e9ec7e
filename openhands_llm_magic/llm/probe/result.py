"""What came of probes: one result each, and the report of all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.events import Usage
from openhands_llm_magic.llm.probe.course import NATIVE_CURE, NOTHING, READ_CALLS, WELL
from openhands_llm_magic.llm.probe.metadata import UNKNOWN, Metadata
from openhands_llm_magic.llm.probe.setup import Setup
from openhands_llm_magic.llm.spending.attempt import is_free

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Value
    from openhands_llm_magic.llm.events import AttemptEnded
    from openhands_llm_magic.llm.probe.course import Finding
    from openhands_llm_magic.llm.probe.verdict import Verdict

Outcome = Literal["held", "partly", "failed", "fault", "not asked"]
"""Whether the model does it, does it half of the times or more and not always, does it not, was not
heard for a fault of the way, or not asked."""

NATIVE = "native_tool_calling"

FEWEST_TOKENS = 20
"""Tokens of an answer whose speed is measured; a shorter one says little."""

AT_ONCE_S = 1.0
"""An answer that comes in less than this, and in less than was waited for it, may have been held
back by the server until it was whole: its time is that of the whole request then."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What requests have taken.

    Attributes:
        requests: HTTP requests, the failed ones among them.
        usage: Tokens, as far as the provider counted them.
        cost_usd: US dollars, as far as they are known.
        unknown: Answered requests of unknown cost.
        is_local: Whether all were answered by a server on this machine that tells no price.
        is_about: Whether a price of a list is in the sum.
        first_tokens_s: Seconds to the first piece of each answer.
        rates: Tokens a second of each answer of 20 tokens or more, after its first piece.
        took_s: Seconds of all requests, without the waits.
    """

    requests: int = 0
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    cost_usd: float = 0.0
    unknown: int = 0
    is_local: bool = False
    is_about: bool = False
    first_tokens_s: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    took_s: float = 0.0

    @property
    def first_token_s(self) -> float | None:
        """The median of the seconds to the first piece of an answer, or None."""
        return median(self.first_tokens_s) if self.first_tokens_s else None

    @property
    def tokens_per_s(self) -> float | None:
        """The median of the tokens a second, or None."""
        return median(self.rates) if self.rates else None

    def with_attempt(self, attempt: AttemptEnded, settings: Snapshot) -> Spent:
        """Add one request, if it came to one."""
        if attempt.error is not None and not attempt.error.was_sent:
            return self
        free = is_free(attempt, settings)
        cost = attempt.cost
        was_answered = attempt.status == 200  # noqa: PLR2004 - the server took it
        unknown = was_answered and not free and cost.usd is None
        return replace(
            self,
            requests=self.requests + 1,
            usage=self.usage + attempt.usage if attempt.usage else self.usage,
            cost_usd=self.cost_usd + (0.0 if free else cost.usd or 0.0),
            unknown=self.unknown + unknown,
            is_local=free and (self.is_local or not self.requests),
            is_about=self.is_about or (not free and cost.told_by == "price list"),
            first_tokens_s=self.first_tokens_s + _first_token_of(attempt),
            rates=self.rates + _rate_of(attempt),
            took_s=self.took_s + attempt.took_s,
        )

    def __add__(self, other: Spent) -> Spent:
        """Add up what two probes have taken."""
        if not (self.requests and other.requests):
            return self if self.requests else other
        return Spent(
            self.requests + other.requests,
            self.usage + other.usage,
            self.cost_usd + other.cost_usd,
            self.unknown + other.unknown,
            self.is_local and other.is_local,
            self.is_about or other.is_about,
            self.first_tokens_s + other.first_tokens_s,
            self.rates + other.rates,
            self.took_s + other.took_s,
        )


def _first_token_of(attempt: AttemptEnded) -> tuple[float, ...]:
    return () if attempt.first_token_s is None else (attempt.first_token_s,)


def _rate_of(attempt: AttemptEnded) -> tuple[float, ...]:
    """Return the speed of an answer, if it can be told."""
    usage, first_s = attempt.usage, attempt.first_token_s
    if attempt.outcome != "answered" or usage is None or first_s is None:
        return ()
    writing_s = attempt.took_s - first_s
    if writing_s < min(first_s, AT_ONCE_S):
        writing_s = attempt.took_s
    if usage.completion_tokens < FEWEST_TOKENS or writing_s <= 0:
        return ()
    return (usage.completion_tokens / writing_s,)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one probe.

    Attributes:
        name: The probe's name.
        title: What it asked, for people.
        outcome: How it ended.
        finding: What the model did, what OpenHands would make of it, what cures it.
        why: Why there is nothing to be found, or nothing.
        spent: What it has taken.
        held: How often it held.
        answered: How often it was answered.
    """

    name: str
    title: Text
    outcome: Outcome
    finding: Finding = WELL
    why: Text = NOTHING
    spent: Spent = field(default_factory=Spent)
    held: int = 0
    answered: int = 0

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it, in English."""
        found = self.finding
        told = {"did": found.did, "effect": found.effect, "cure": found.cure, "note": found.note}
        texts = {name: str(text) for name, text in (told | {"why": self.why}).items() if text}
        how_often = {"held": self.held, "answered": self.answered}
        cured = {"settings": dict(found.settings)} if found.settings else {}
        spent = _spent_data(self.spent)
        named = {"name": self.name, "outcome": self.outcome}
        return {**named, **how_often, **texts, **cured, **spent}


def with_cures_that_help(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return the results without the cures that lead to a way of calling that has failed, too."""
    failed = {each.name for each in results if each.outcome == "failed"}
    is_vain = {True: "call" in failed, False: "written" in failed}

    def helping(found: Finding) -> Finding:
        if NATIVE not in found.settings or not is_vain[bool(found.settings[NATIVE])]:
            return found
        cure = READ_CALLS if found.cure == NATIVE_CURE else Text("Take another model")
        return replace(found, cure=cure, settings={})

    return tuple(replace(each, finding=helping(each.finding)) for each in results)


def summed(runs: Sequence[Result]) -> Result:
    """Return what came of a probe that was made once or several times.

    It holds where each answer did, it holds partly where half of them or more did, and it has
    failed where fewer did. Faults of the way do not count, unless there was nothing else.
    """
    answered = [each for each in runs if each.outcome in {"held", "failed"}]
    spent = sum((each.spent for each in runs), Spent())
    if not answered:
        return replace(runs[-1], spent=spent)
    failed = [each for each in answered if each.outcome == "failed"]
    held = len(answered) - len(failed)
    outcome: Outcome = "failed" if 2 * held < len(answered) else "partly" if failed else "held"
    told = (failed or answered)[0]
    told = replace(told, outcome=outcome, spent=spent, why=runs[-1].why)
    return replace(told, held=held, answered=len(answered))


def _spent_data(spent: Spent) -> dict[str, Any]:
    return {
        "requests": spent.requests,
        "prompt_tokens": spent.usage.prompt_tokens,
        "completion_tokens": spent.usage.completion_tokens,
        "cost_usd": None if spent.unknown else spent.cost_usd,
        "first_token_s": spent.first_token_s,
        "tokens_per_s": spent.tokens_per_s,
        "took_s": spent.took_s,
    }


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What came of all probes of a model.

    Attributes:
        model: The model, as the settings name it.
        results: One for each probe, in order.
        verdicts: One for each version of OpenHands.
        setup: What it was asked with.
        metadata: What the server tells of the model.
    """

    model: str
    results: tuple[Result, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    setup: Setup = field(default_factory=Setup)
    metadata: Metadata = UNKNOWN

    def __repr__(self) -> str:
        """Say what the verdicts are; all that was found would fill pages."""
        told = ", ".join(f"{each.version}: {each.answer}" for each in self.verdicts)
        return f"<Report of {self.model}: {told or 'no verdict'}>"

    @property
    def spent(self) -> Spent:
        """What all of them have taken."""
        return sum((each.spent for each in self.results), Spent())

    @property
    def cures(self) -> dict[str, Value]:
        """The settings that cure what failed, with their values.

        What a verdict needs counts first; where failures ask for opposite values, none is named.
        """
        outcomes = ("failed", "partly")
        failed = [each.finding.settings for each in self.results if each.outcome in outcomes]
        asked: dict[str, list[Value]] = {}
        for name, value in (item for settings in failed for item in settings.items()):
            asked.setdefault(name, []).append(value)
        agreed = {name: found[0] for name, found in asked.items() if len({*found}) == 1}
        return agreed | {name: it for each in self.verdicts for name, it in each.settings.items()}

    def __getitem__(self, name: str) -> Result:
        """Return the result of a probe."""
        for each in self.results:
            if each.name == name:
                return each
        raise KeyError(name)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it, in English."""
        return {
            "model": self.model,
            "setup": asdict(self.setup),
            "server": asdict(self.metadata),
            "verdicts": [each.as_data() for each in self.verdicts],
            "probes": [each.as_data() for each in self.results],
            **_spent_data(self.spent),
        }
