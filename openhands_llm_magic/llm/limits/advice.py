"""Which settings of the retries would outlast what a server has been seen to refuse for.

A schedule outlasts a wait where its own waits come to more, without the time that requests take.
That is asked of three: this package's, and those of both versions of OpenHands, which count
attempts where this package counts retries, do not wait as a server asks, and have defaults of
their own for what nobody has set.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openhands_llm_magic.config import schedule
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.explain import OUTLASTS
from openhands_llm_magic.llm.limits.seen import LONGEST_S, RECENT_DAYS
from openhands_llm_magic.llm.openhands.sdk import SDK
from openhands_llm_magic.llm.openhands.v0_41 import V0_41
from openhands_llm_magic.llm.openhands.version import is_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.limits.seen import Seen
    from openhands_llm_magic.llm.openhands.version import Version

ROUNDING_S = 1.0
"""Servers tell whole seconds."""

SPARE = 3.0
MOST_SPARE_S = 120.0
"""What is advised lasts three times as long, or two minutes longer: where a window opens, other
requests have waited for it, too."""

LONGEST_FIRST_S = 15
"""Seconds of the longest first wait that is advised: most faults pass sooner."""

LONGEST_WAIT_S = 120
"""Seconds of the longest single wait that is advised."""

SLOWEST_MULTIPLIER = 1.5
"""With a smaller one waits hardly grow, or shrink."""

MOST_WAITS = 1_000
"""Waits that are looked at; there may be any number."""

POLICY = ("num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The waits of one program.

    Attributes:
        title: Whose they are.
        waits_s: Seconds before each further attempt, at most `MOST_WAITS` of them.
    """

    title: str
    waits_s: tuple[float, ...]

    @property
    def gives_up_s(self) -> float:
        """Seconds after which it gives up, without the time of the requests."""
        return sum(self.waits_s)

    def outlasts(self, wait_s: float) -> bool:
        """Return whether it makes an attempt when so many seconds are over."""
        return any(past_s >= wait_s + ROUNDING_S for past_s in itertools.accumulate(self.waits_s))


@dataclass(frozen=True, slots=True)
class Advice:
    """What to set so that all three outlast what was seen.

    Attributes:
        seen: What was seen.
        now: The schedules of the settings in force.
        values: The settings to change, with their values; none where the retries are enough.
        then: The schedules with these values.
        deadline_s: The deadline that is set, where it is sooner than what was seen is over.
    """

    seen: Seen
    now: tuple[Schedule, ...]
    values: Mapping[str, int | float]
    then: tuple[Schedule, ...]
    deadline_s: float | None = None


def schedules(settings: Snapshot) -> tuple[Schedule, ...]:
    """Return the schedules that settings make: this package's, OpenHands 0.41's, its SDK's."""
    retries = range(1, min(settings.num_retries, MOST_WAITS) + 1)
    ours = tuple(schedule.our_wait_s(settings, retry) for retry in retries)
    before = taken_by(V0_41, settings)
    earlier = schedule.openhands_waits_s(before)
    if schedule.has_client_retries(settings):
        earlier = schedule.openhands_client_waits_s(before, at_least=True)
    return (
        Schedule(Text("this package"), ours),
        Schedule(V0_41.title, _first(earlier)),
        Schedule(SDK.title, _first(schedule.openhands_waits_s(taken_by(SDK, settings)))),
    )


def taken_by(version: Version, settings: Snapshot) -> Snapshot:
    """Return the settings with a version's own defaults for what nobody has set of the retries."""
    return settings.with_overrides(
        {name: version.defaults[name] for name in POLICY if not is_set(settings, name)}
    )


def _first(waits_s: Iterator[float]) -> tuple[float, ...]:
    return tuple(itertools.islice(waits_s, MOST_WAITS))


def advice(settings: Snapshot, seen: Seen) -> Advice | None:
    """Return what to set, or None where nothing was seen that retries can outlast."""
    wait_s = seen.longest_s
    if wait_s is None or wait_s > LONGEST_S:
        return None
    now = schedules(settings)
    is_enough = all(each.outlasts(wait_s) for each in now)
    values = {} if is_enough else _outlasting(settings, wait_s)
    asked_s = math.ceil(seen.asked_s or 0)
    if asked_s > settings.retry_after_limit:  # this package makes no retry at all
        now = (Schedule(now[0].title, ()), *now[1:])
        values["retry_after_limit"] = float(asked_s)
    then = schedules(settings.with_overrides(values))
    is_early = settings.deadline is not None and settings.deadline < wait_s + ROUNDING_S
    return Advice(seen, now, values, then, settings.deadline if is_early else None)


def _outlasting(settings: Snapshot, wait_s: float) -> dict[str, int | float]:
    """Return what to set so that all schedules outlast a wait, with some to spare.

    One of their waits lasts as long as what was seen, for servers that count what they refuse.
    """
    now = {name: getattr(settings, name) for name in POLICY}
    target_s = min(SPARE * wait_s, wait_s + MOST_SPARE_S)
    longest_s = min(math.ceil(wait_s), LONGEST_WAIT_S)
    first_s = min(math.ceil(wait_s / 4), LONGEST_FIRST_S)
    values: dict[str, int | float] = {
        "retry_min_wait": max(settings.retry_min_wait, first_s),
        "retry_max_wait": max(settings.retry_max_wait, longest_s),
    }
    if settings.retry_multiplier < SLOWEST_MULTIPLIER:
        values["retry_multiplier"] = 2.0
    for retries in itertools.count(settings.num_retries):
        values["num_retries"] = retries
        # What stays as it is stays unset, and each version then has a default of its own for it.
        changed = {name: it for name in POLICY if (it := values.get(name, now[name])) != now[name]}
        then = schedules(settings.with_overrides(changed))
        if all(each.outlasts(target_s) and max(each.waits_s) >= longest_s for each in then):
            break
    return changed


def told(made: Advice | None) -> list[Text]:
    """Say what was seen, and what to set, a line each; nothing where nothing is to be set."""
    if made is None or not made.values:
        return []
    return [gives_up(made), outlasts(made), *early_end(made)]


def told_in_full(settings: Snapshot, seen: Seen) -> list[Text]:
    """Say the same, and also that the retries are enough, or that no retry helps."""
    made = advice(settings, seen)
    lines = told(made)
    if made is not None and not lines:
        enough = Text("That is enough: nothing is to be set.")
        lines = [gives_up(made), *(early_end(made) or [enough])]
    if seen.is_closed:
        lines.append(Text(NO_RETRY_HELPS))
    unseen = "{model} has refused no request for a limit, in this session or the last {days} days."
    return lines or [Text(unseen, model=settings.model, days=RECENT_DAYS)]


NO_RETRY_HELPS = (
    "The server also told of a limit that no retry outlasts, such as one of a day: ask when it"
    " opens, or set another model or api_key."
)


def gives_up(made: Advice) -> Text:
    """Say what was seen, and when each gives up."""
    (ours, ours_s), (earlier, earlier_s), (later, later_s) = (
        (each.title, _shown(each)) for each in made.now
    )
    return Text(
        "{seen}: {ours} gives up after {ours_s} s, {earlier} after {earlier_s} s, {later} after"
        " {later_s} s.",
        seen=_longest(made.seen),
        ours=ours,
        ours_s=ours_s,
        earlier=earlier,
        earlier_s=earlier_s,
        later=later,
        later_s=later_s,
    )


def _longest(seen: Seen) -> Text:
    told = "It took {seconds} s until the server answered again"
    if seen.longest_s == seen.refused_s:
        told = "The server still refused after {seconds} s"
    if seen.longest_s == seen.asked_s:
        told = "The server asks for {seconds} s"
    return Text(told, seconds=f"{seen.longest_s or 0:,.3g}")


def outlasts(made: Advice) -> Text:
    """Say what to set."""
    command = " ".join(f"{name}={value:g}" for name, value in made.values.items())
    return Text(OUTLASTS, command=command, waits=lasting(made))


def early_end(made: Advice) -> list[Text]:
    """Say where the deadline that is set ends a prompt before a retry could help."""
    if made.deadline_s is None:
        return []
    told = "deadline = {seconds} s ends a prompt of this package before that, whatever the retries."
    return [Text(told, seconds=f"{made.deadline_s:g}")]


def lasting(made: Advice) -> Text:
    """Return when each gives up with what is advised."""
    told = "{seconds} s ({title})"
    return Text.listed(Text(told, seconds=_shown(each), title=each.title) for each in made.then)


def _shown(each: Schedule) -> str:
    return f"{each.gives_up_s:,.0f}"
