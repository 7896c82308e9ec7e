"""How often, and after which waits, a request is made again.

`RetryPolicy` is pure arithmetic. Each wait is told as an event, so that whoever shows it can count
down.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openhands_llm_magic.config import schedule
from openhands_llm_magic.errors import (
    DailyLimitError,
    RateLimitError,
    RequestError,
    ServerError,
    TransientError,
)
from openhands_llm_magic.llm.events import (
    Failed,
    Retrying,
    Waiting,
)
from openhands_llm_magic.llm.worker import (
    SYSTEM_CLOCK,
    TICK_S,
    Clock,
    Control,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openhands_llm_magic.config.resolve import Snapshot


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after which waits, a prompt is sent again, by the settings of these names.

    The defaults are those that OpenHands documents: 5, 10, 20 and 30 s.
    """

    num_retries: int = 4
    min_wait_s: float = 5
    max_wait_s: float = 30
    multiplier: float = 2
    retry_after_limit_s: float = 300
    deadline_s: float | None = None

    @classmethod
    def from_settings(cls, settings: Snapshot) -> RetryPolicy:
        """Return the policy that the settings describe."""
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
        if asked_s is None and isinstance(error, DailyLimitError):
            return None
        if asked_s is not None and asked_s > self.retry_after_limit_s:
            return None
        wait_s = self.wait_before_s(retry) if asked_s is None else asked_s
        if self.deadline_s is not None and took_s + wait_s >= self.deadline_s:
            return None
        set_by: Literal["server", "policy"] = "policy" if asked_s is None else "server"
        return Retrying(retry, self.num_retries, error, wait_s, set_by)


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
    """Call `attempt` until it succeeds, raises a permanent `RequestError`, or the policy gives up.

    The deadline counts from `began_s`, or from now. `Retrying` and `Waiting` come between attempts,
    and `Failed` at the end when there is no answer.

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


class Refusals:
    """Those of one prompt by a server that limits the rate or is busy."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self._is_waited_for = False
        """Whether there is but one, and its wait was named."""

    def note(self, error: TransientError, now_s: float) -> None:
        """Take in a failure."""
        if isinstance(error, RateLimitError | ServerError):
            self._is_waited_for = self._first_s is None and error.retry_after_s is not None
            self._first_s = now_s if self._first_s is None else self._first_s

    def since_s(self, now_s: float) -> float | None:
        """Return the seconds since the first, where it is not known by a wait that was named."""
        if self._first_s is None or self._is_waited_for:
            return None
        return now_s - self._first_s
