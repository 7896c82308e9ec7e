"""Prompts, threads and a rate-limited server on a simulated clock, around the real limiter.

Each worker does what a thread does: it takes a prompt, waits for its turn, sends, and
when it is refused waits as the real `RetryPolicy` says. Nothing sleeps, so minutes take
milliseconds, and a seed gives the same run every time.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.limited_servers import RetryAfter, Server, named_wait_s
from openhands_llm_magic.errors import RateLimitError
from openhands_llm_magic.llm.retries import RetryPolicy
from openhands_llm_magic.llm.worker import TICK_S

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from openhands_llm_magic.llm.limits.limiter import RateLimiter


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, and over what network.

    Attributes:
        prompts: How many prompts.
        workers: How many are asked at once.
        latency_s: The shortest and the longest time to the end of an answer, in seconds.
        transit_s: The shortest and the longest way to the server or back, in seconds.
        seed: Chooses latencies and transits.
        retry_after: The wait that a refusal names.
        tells: Whether answers tell what is left of the limit, in their headers.
        late: Whether an answer begins only when it is complete, as when it is not streamed.
    """

    prompts: int
    workers: int = 8
    latency_s: tuple[float, float] = (0.05, 3.0)
    transit_s: tuple[float, float] = (0.01, 0.01)
    seed: int = 0
    retry_after: RetryAfter = "exact"
    tells: bool = False
    late: bool = False


@dataclass(slots=True)
class Result:
    """What came of it.

    Attributes:
        took_s: Seconds until the last answer.
        requests: Requests that reached the server.
        refused: Those answered with status 429.
        gave_up: Prompts without an answer after all of their retries.
        longest_in_line_s: The longest that a request waited at the limiter, in seconds.
    """

    took_s: float = 0.0
    requests: int = 0
    refused: int = 0
    gave_up: int = 0
    longest_in_line_s: float = 0.0

    @property
    def refused_share(self) -> float:
        """Refusals, as a part of all requests."""
        return self.refused / self.requests if self.requests else 0.0


@dataclass(slots=True)
class World:
    """The clock, the server and the prompts still to be asked."""

    server: Server
    load: Load
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    now_s: float = 0.0
    result: Result = field(default_factory=Result)
    _todo: deque[int] = field(init=False)
    _latencies_s: list[float] = field(init=False)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.load.seed)  # noqa: S311 - no secret
        self._todo = deque(range(self.load.prompts))
        self._latencies_s = [self._random.uniform(*self.load.latency_s) for _ in self._todo]

    def run(self, worker: Callable[[], Generator[float]]) -> Result:
        """Let all workers work until they have nothing left to do."""
        order = itertools.count()
        agenda = [(0.0, next(order), worker()) for _ in range(self.load.workers)]
        while agenda:
            self.now_s, _, one = heapq.heappop(agenda)
            if (wait_s := next(one, None)) is not None:
                heapq.heappush(agenda, (self.now_s + wait_s, next(order), one))
        return self.result

    def through(self, limiter: RateLimiter) -> Generator[float]:
        """Work through `limiter`; yields the seconds to the next step."""
        while self._todo:
            prompt = self._todo.popleft()
            retry = 0
            while (refused := (yield from self._attempt(limiter, prompt))) is not None:
                retry += 1
                retrying = self.policy.retrying(retry, refused)
                if retrying is None:
                    self.result.gave_up += 1
                    break
                yield retrying.wait_s

    def _attempt(
        self, limiter: RateLimiter, prompt: int
    ) -> Generator[float, None, RateLimitError | None]:
        with limiter.permit() as permit:
            came_s = self.now_s
            while wait_s := permit.wait_s(self.now_s):
                yield min(wait_s, TICK_S)
            longest_s = max(self.result.longest_in_line_s, self.now_s - came_s)
            self.result.longest_in_line_s = longest_s
            yield self._random.uniform(*self.load.transit_s)
            refusal_s = self._arrive()
            headers = self.server.left(self.now_s) if self.load.tells else {}
            yield self._random.uniform(*self.load.transit_s)
            if refusal_s:
                retry_after_s = named_wait_s(refusal_s, self.load.retry_after)
                permit.refused(self.now_s, retry_after_s)
                return RateLimitError("slow down", status=429, retry_after_s=retry_after_s)
            if not self.load.late:
                permit.accepted(self.now_s, headers)
            yield from self._answer(prompt)
            if self.load.late:
                permit.accepted(self.now_s, headers)
        return None

    def knowing_all(self) -> Generator[float]:
        """Work as nobody can: send just when the server will accept, and never be refused."""
        while self._todo:
            prompt = self._todo.popleft()
            transit_s = self._random.uniform(*self.load.transit_s)
            yield transit_s
            while wait_s := self.server.wait_s(self.now_s):
                yield wait_s
            self._arrive()
            yield transit_s
            yield from self._answer(prompt)

    def _arrive(self) -> float:
        """Reach the server; gives the seconds to wait that it refuses with, or 0."""
        self.result.requests += 1
        wait_s = self.server.wait_s(self.now_s)
        if wait_s:
            self.result.refused += 1
        else:
            self.server.take(self.now_s)
        return wait_s

    def _answer(self, prompt: int) -> Generator[float]:
        yield self._latencies_s[prompt]
        self.result.took_s = self.now_s


def simulate(server: Server, limiter: RateLimiter, load: Load) -> Result:
    """Ask all prompts through `limiter`."""
    world = World(server, load)
    return world.run(lambda: world.through(limiter))


def ideal_s(server: Server, load: Load) -> float:
    """Return the seconds that nobody can beat: each request is sent as soon as it is accepted.

    For a token bucket and answers without latency this is (prompts - burst) / rate.
    """
    world = World(server, load)
    return world.run(world.knowing_all).took_s
