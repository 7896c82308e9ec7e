"""One verdict for each version of OpenHands, from what the probes have found.

Where probes are made several times, a version's way of calling functions has to hold each time, as
a call that does not come ends the task or stops it. What only costs a step, such as an edit that is
refused and made again, has to hold half of the times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config.schedule import BY_OPENAI_CLIENT
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.openhands.differences import SENDS_CACHE_KEY
from openhands_llm_magic.llm.openhands.sdk import SDK
from openhands_llm_magic.llm.openhands.v0_41 import V0_41

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Value
    from openhands_llm_magic.llm.openhands.version import Version
    from openhands_llm_magic.llm.probe.result import Outcome, Result

Answer = Literal["yes", "with a setting", "hardly", "no", "unknown"]

ESSENTIAL = "context", "needle"
"""Probes whose failure ends a task, however the tools are given."""

QUALITY = "finish", "edit", "file"
"""Probes whose failure costs steps and breaks files; they are made with tools given as tools."""

LONG = ("long",)
"""The probe whose failure costs steps late in a task, and which is not always made."""

UNANSWERED = Text("not all probes that it needs were answered")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model will do for a version of OpenHands.

    Attributes:
        version: The version's title.
        answer: The verdict.
        why: The reason, or the setting that it needs.
        settings: The settings that it needs, with their values, as far as they are known.
    """

    version: str
    answer: Answer
    why: Text
    settings: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it, in English."""
        needed = {"settings": dict(self.settings)} if self.settings else {}
        return {"version": self.version, "answer": self.answer, "why": str(self.why), **needed}


def verdicts(results: Sequence[Result], settings: Snapshot) -> tuple[Verdict, ...]:
    """Judge a model for each version of OpenHands."""
    outcomes = {each.name: each.outcome for each in results}
    titles = {each.name: each.title for each in results}
    return tuple(_verdict(each, outcomes, titles, settings) for each in (V0_41, SDK))


def _verdict(
    version: Version,
    outcomes: Mapping[str, Outcome],
    titles: Mapping[str, Text],
    settings: Snapshot,
) -> Verdict:
    answer, why, needed = _judged(version, outcomes, titles, settings)
    return Verdict(version.title, answer, why, needed)


def _judged(
    version: Version,
    outcomes: Mapping[str, Outcome],
    titles: Mapping[str, Text],
    settings: Snapshot,
) -> tuple[Answer, Text, Mapping[str, Value]]:
    def named(outcome: Outcome, *names: str) -> Text:
        return Text.listed(titles[name] for name in names if outcomes.get(name) == outcome)

    is_native = version.gives_tools(version.draft(settings))
    native, written = _all(("call",), outcomes), _all(("written",), outcomes)
    own, other = (native, written) if is_native else (written, native)
    quality = _all(QUALITY, outcomes)
    needed: Mapping[str, Value] = {}
    how = _how(outcomes, named("partly", *QUALITY), is_native=is_native)
    if probes := named("failed", *ESSENTIAL):
        verdict: tuple[Answer, Text] = "no", Text("fails here: {probes}", probes=probes)
    elif own in {"failed", "partly"} and other == "held":
        value = str(not is_native).lower()
        verdict = "with a setting", Text("works with native_tool_calling = {value}", value=value)
        needed = {"native_tool_calling": not is_native}
    elif own in {"failed", "partly"} and "partly" in {own, other}:
        verdict = "hardly", Text("calls functions only sometimes")
    elif own == other == "failed":
        verdict = "no", Text("calls no functions in the form that it needs")
    elif own != "held" or (is_native and quality == "unknown"):
        verdict = "unknown", UNANSWERED
    elif probes := named("failed", *QUALITY, *LONG):
        verdict = "hardly", Text("loses its way: {probes}", probes=probes)
    elif version is SDK and outcomes.get("extras") == "failed":
        verdict = "with a setting", Text("works where it does not send what the server refuses")
        needed = _without_extras(settings)
    elif quality == "unknown":
        verdict = "yes", Text("{how}; how well it edits was not asked", how=how)
    else:
        verdict = "yes", how
    return *verdict, needed


def _without_extras(settings: Snapshot) -> Mapping[str, Value]:
    """Return the model by the name with which the SDK adds nothing, where that is known."""
    prefix, _, name = settings.model.partition("/")
    speaks_openais = prefix in (SENDS_CACHE_KEY & BY_OPENAI_CLIENT) - {"azure"}
    return {"model": f"litellm_proxy/{name}"} if settings.base_url and speaks_openais else {}


def _how(outcomes: Mapping[str, Outcome], sometimes: Text, *, is_native: bool) -> Text:
    """Say how a model calls functions, and what is to be known of that."""
    how = Text("calls functions as tools") if is_native else Text("calls functions in its text")
    if is_native and outcomes.get("history") == "failed":
        # LiteLLM itself refuses it for some providers, whose models hardly ever break a call.
        how = Text("{how}; one broken call would end the task", how=how)
    if sometimes:
        how = Text("{how}; only sometimes: {probes}", how=how, probes=sometimes)
    return how


def _all(
    names: Sequence[str], outcomes: Mapping[str, Outcome]
) -> Literal["held", "partly", "failed", "unknown"]:
    """Return whether all probes of some names held, one did not always, or that is not known."""
    found = {outcomes.get(name, "not asked") for name in names}
    if "failed" in found:
        return "failed"
    if found <= {"held", "partly"}:
        return "partly" if "partly" in found else "held"
    return "unknown"
