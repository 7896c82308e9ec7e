"""The retry policy, and the loop that makes attempts under it.

`RetryPolicy` is pure arithmetic. `with_retries` runs attempts under it and yields the waits as
events, so that whoever shows them can count down.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openhands_llm_magic.config import schedule
from openhands_llm_magic.errors import RequestError, TransientError
from openhands_llm_magic.llm.control import SYSTEM_CLOCK, Clock, Control
from openhands_llm_magic.llm.events import Failed, Retrying, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openhands_llm_magic.config.resolve import Snapshot

TICK_S = 1.0
"""The longest time between two `Waiting` events, in seconds."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after which waits, a prompt is sent again.

    The defaults are those that OpenHands documents: 5, 10, 20 and 30 s.

    Attributes:
        num_retries: Retries after the first attempt.
        min_wait_s: The wait before the first retry, in seconds.
        max_wait_s: The longest wait that the policy chooses, in seconds.
        multiplier: What each wait is multiplied by to give the next.
        retry_after_limit_s: The longest wait that a server may ask for, in seconds.
        deadline_s: Seconds from the beginning after which nothing is sent again, or None.
    """

    num_retries: int = 4
    min_wait_s: float = 5
    max_wait_s: float = 30
    multiplier: float = 2
    retry_after_limit_s: float = 300
    deadline_s: float | None = None

    @classmethod
    def from_settings(cls, settings: Snapshot) -> RetryPolicy:
        """The policy that the settings describe."""
        return cls(
            num_retries=settings.num_retries,
            min_wait_s=settings.retry_min_wait,
            max_wait_s=settings.retry_max_wait,
            multiplier=settings.retry_multiplier,
            retry_after_limit_s=settings.retry_after_limit,
            deadline_s=settings.deadline,
        )

    def wait_before_s(self, retry: int) -> float:
        """Seconds to wait before a retry, counted from 1."""
        return schedule.wait_s(retry, self.min_wait_s, self.max_wait_s, self.multiplier)

    def retrying(self, retry: int, error: TransientError, took_s: float = 0) -> Retrying | None:
        """What to do about a transient failure: the retry to wait for, or None to give up.

        Args:
            retry: Which retry it would be, counted from 1.
            error: The failure.
            took_s: Seconds since the beginning.
        """
        if retry > self.num_retries:
            return None
        asked_s = error.retry_after_s
        if asked_s is not None and asked_s > self.retry_after_limit_s:
            return None
        wait_s = self.wait_before_s(retry) if asked_s is None else asked_s
        if self.deadline_s is not None and took_s + wait_s >= self.deadline_s:
            return None
        set_by: Literal["server", "policy"] = "policy" if asked_s is None else "server"
        return Retrying(
            retry=retry,
            of=self.num_retries,
            caused_by=error,
            wait_s=wait_s,
            set_by=set_by,
        )


def countdown(
    retrying: Retrying, clock: Clock, control: Control | None = None
) -> Iterator[Waiting]:
    """Wait, telling the seconds left at the start of each second, and 0 when the wait is over.

    Raises:
        Cancelled: The run was cancelled meanwhile.
    """
    control = control or Control()
    control.begin_wait()
    ends_at = clock.now() + retrying.wait_s
    while (remaining_s := ends_at - clock.now()) > 0 and not control.retrying_now:
        yield Waiting(retrying, remaining_s)
        remaining_s = ends_at - clock.now()
        to_next_second_s = remaining_s - (math.ceil(remaining_s) - TICK_S)
        control.sleep(clock, max(0.0, min(remaining_s, to_next_second_s)))
    yield Waiting(retrying, 0.0, skipped_s=max(0.0, remaining_s))


def with_retries(
    attempt: Callable[[], object],
    policy: RetryPolicy,
    clock: Clock = SYSTEM_CLOCK,
    control: Control | None = None,
    began_s: float | None = None,
) -> Iterator[Retrying | Waiting | Failed]:
    """Run `attempt` until it succeeds, fails for good, or the policy gives up.

    Args:
        attempt: Sends the prompt once; raises a `RequestError`.
        policy: How often and how long to wait.
        clock: Measures and makes the waits.
        control: Cancels the run, or ends a wait early.
        began_s: When the prompt began that the deadline is counted from; None means now.

    Yields:
        `Retrying` and `Waiting` between the attempts, and `Failed` at the end when there is no
        answer.

    Raises:
        Cancelled: The run was cancelled.
    """
    began_s = clock.now() if began_s is None else began_s
    for retry in itertools.count(1):
        retrying = None
        try:
            attempt()
        except RequestError as error:
            if isinstance(error, TransientError):
                retrying = policy.retrying(retry, error, clock.now() - began_s)
            failed = error.alone()
        else:
            return
        if retrying is None:
            yield Failed(failed)
            return
        yield retrying
        yield from countdown(retrying, clock, control)
