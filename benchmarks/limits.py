"""Many prompts from 8 threads, where the server limits the rate: how fast, how rarely refused.

For every kind of limit by simulation, around the real rate limiter; then for real, beside what else
people use. `python benchmarks/run.py limits` measures this part alone.
"""

from __future__ import annotations

import math
import multiprocessing
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from model_server import Answer, ModelServer, Refuse

from benchmarks import policies
from benchmarks.limited_servers import TokenBucket
from benchmarks.scenarios import BURSTS, SERVERS, runs
from benchmarks.simulation import Load, ideal_s
from benchmarks.table import cell, grid
from openhands_llm_magic.llm.limits.limiter import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from model_server import Received, Step

    from benchmarks.limited_servers import RetryAfter
    from benchmarks.scenarios import Run

HEADING = "## Rate limits"
TEXT = """\
## Rate limits

Prompts are asked from 8 threads. 1 x is the time of somebody who knows just when the server will
accept each request, (prompts - burst) / rate and the last answer. What misses its goal is **bold**.

### Simulated, the limit not known

The worst over 37, 60, 120, 300 and 600 requests a minute and over fast and slow answers (0.05 s,
and 0.05 to 3 s), with the limit at which it is that bad. A *bucket* saves up 1 request, those of a
second or those of a minute; *begun* is a window of which 35 s are over at the first request.

{unknown}

Why some goals are missed:

- `Retry-After: 1` is all that whole seconds can say of a bucket that takes a request every 0.1 s:
  each refusal costs the time of 10 requests, and there are but 60. A rate that was read too high
  from that costs some refusals more.
- Where no wait is named, a refused prompt waits the 5 s of the retry policy, and it takes refusals
  to find out when a minute ends.

### Simulated, the limit known

With `requests_per_minute` alone they go at even distances, and 1 x is the time of somebody who
sends just so; the caution of 2 % is for requests that do not all travel equally long. The burst of
a bucket can be told in Python only (`Limits`); then 1 x is as above.

{known}

### For real, beside others

{prompts} prompts, over HTTP on this machine, to a server that lets {rates} requests a minute
through and {burst} at once after a pause; an answer takes {latency_s} s. A refusal names its wait
as OpenAI's servers do, in `retry-after-ms` and, rounded up, in `Retry-After`. Each policy runs in a
process of its own, and has asked other prompts before.

{real}

- This package is somewhat slower here than in the simulation: a thread wakes up some milliseconds
  late while others work, 5 % of the time between two requests at 600 a minute. And
  `requests_per_minute` does not tell the burst, which is then not used: that is 3 % of the time.
- OpenHands' policy is that of its version 0.41, with its default settings: four attempts with waits
  of 5, 5 and 8 s, on a rate limit whatever the server says. It leaves LiteLLM's own retries on, so
  each attempt is up to three requests. (OpenHands does not stream; all stream here.)
- The openai client makes two retries unless told otherwise, after the wait that the server names.
- LiteLLM's Router reads `Retry-After` alone and adds up to 0.75 s by chance.
- The last column counts prompts that were left without an answer; where there are some, the time
  says little.
"""

PROMPTS = 60
RATES = (600, 300, 120)
BURST = 2
UNLIMITED = 60_000
CHUNKS = 4
LATENCY_S = 0.4
GOALS = {60: (1.3, 10.0), 500: (1.05, 3.0)}
"""The time as x ideal, and % refused, for so many prompts and a limit that is not known."""

GOAL_KNOWN = (1.05, 0.0)
RETRY_AFTER: tuple[RetryAfter, ...] = ("exact", "rounded up", "none")


def section(note: Callable[[str], None]) -> str:
    """Simulate and measure all; `note` is told each row as it is known."""
    return TEXT.format(
        unknown=_unknown(note),
        known=_known(note),
        real="\n\n".join(_real(note)),
        prompts=PROMPTS,
        rates=f"{', '.join(map(str, RATES[:-1]))} or {RATES[-1]}",
        burst=BURST,
        latency_s=LATENCY_S,
    )


def _unknown(note: Callable[[str], None]) -> str:
    head = ["Server", "Wait named", *_heads()]
    goals = ["goal", "", *(f"{goal:g}" for of_prompts in GOALS.values() for goal in of_prompts)]

    def rows() -> Iterator[list[str]]:
        for server in SERVERS:
            for retry_after in RETRY_AFTER:
                cells = [server, retry_after]
                for prompts, goal in GOALS.items():
                    tried = runs(server, prompts, lambda _: Limits(), retry_after=retry_after)
                    cells += _worst(tried, goal)
                yield cells

    return grid(head, [goals, *_noted(rows(), note)])


def _known(note: Callable[[str], None]) -> str:
    head = ["Server", "Known", *_heads()]

    def rows() -> Iterator[list[str]]:
        for server in SERVERS:
            cells = [server, "rate"]
            for prompts in GOALS:
                cells += _worst(runs(server, prompts, Limits, ideal_of="bucket of 1"), GOAL_KNOWN)
            yield cells
        for server in BURSTS:
            cells = [server, "rate and burst"]
            for prompts in GOALS:
                cells += _worst(runs(server, prompts, partial(_with_burst, server)), GOAL_KNOWN)
            yield cells

    goals = ["goal", "", *(f"{goal:g}" for _ in GOALS for goal in GOAL_KNOWN)]
    return grid(head, [goals, *_noted(rows(), note)])


def _with_burst(server: str, per_minute: int) -> Limits:
    return Limits(per_minute, burst=BURSTS[server](per_minute))


def _heads() -> Iterator[str]:
    for prompts in GOALS:
        yield f"{prompts} prompts: x ideal"
        yield "% refused"


def _worst(tried: Iterable[Run], goal: tuple[float, float]) -> Iterator[str]:
    """Write the longest time and the greatest share of refusals."""
    all_runs = list(tried)
    slowest = max(all_runs, key=lambda run: run.ratio)
    refused = max(all_runs, key=lambda run: run.refused_percent)
    yield cell(f"{slowest.ratio:.2f}", slowest.ratio, goal[0], f" at {slowest.per_minute}")
    share = refused.refused_percent
    yield cell(f"{share:.1f}", share, goal[1], f" at {refused.per_minute}")


@dataclass(slots=True)
class Limited:
    """A model behind a limit, on real time; its threads are those of its server.

    Attributes:
        limit: The limit.
        requests: Requests that came.
        refused: Those that were refused.
    """

    limit: TokenBucket
    requests: int = 0
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, _received: Received) -> Step:
        """Answer in `LATENCY_S`, or refuse."""
        with self._lock:
            now_s = time.monotonic()
            self.requests += 1
            wait_s = self.limit.wait_s(now_s)
            if not wait_s:
                self.limit.take(now_s)
                return Answer(
                    chunks=("so ",) * CHUNKS,
                    between_chunks=lambda _: time.sleep(LATENCY_S / CHUNKS),
                )
            self.refused += 1
        named = {"retry-after-ms": f"{1000 * wait_s:.0f}", "retry-after": f"{math.ceil(wait_s)}"}
        return Refuse(429, named)


def _real(note: Callable[[str], None]) -> Iterator[str]:
    """Write one table for each rate; each policy meets all rates in turn, in one process."""
    tables: dict[int, list[list[str]]] = {per_minute: [] for per_minute in RATES}
    for policy in policies.POLICIES:
        for per_minute, cells in zip(RATES, _measured(policy), strict=True):
            note(f"{per_minute}/min, {', '.join(cells)}")
            tables[per_minute].append(cells)
    head = ["Policy", "Seconds", "x ideal", "Requests", "% refused", "Given up"]
    for per_minute, rows in tables.items():
        yield f"At {per_minute} a minute:\n\n{grid(head, rows)}"


def _measured(policy: str) -> Iterator[list[str]]:
    """Run one policy at all rates, after a server without a limit: it has much to import."""
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as home,
        ProcessPoolExecutor(1, spawn, policies.clean, (home,)) as process,
    ):

        def ask_all(step: Callable[[Received], Step], per_minute: int) -> policies.Ended:
            with ModelServer() as server:
                server.script(step)
                arguments = (policy, server.openai_base, per_minute, PROMPTS)
                return process.submit(policies.ask_all, *arguments).result()

        ask_all(lambda _: Answer(), UNLIMITED)
        for per_minute in RATES:
            model = Limited(TokenBucket(per_minute, BURST))
            yield _row(policy, per_minute, model, ask_all(model.step, per_minute))


def _row(policy: str, per_minute: float, model: Limited, ended: policies.Ended) -> list[str]:
    load = Load(PROMPTS, latency_s=(LATENCY_S, LATENCY_S), transit_s=(0, 0))
    ratio = ended.took_s / ideal_s(TokenBucket(per_minute, BURST), load)
    share = 100 * model.refused / model.requests
    goals = {policies.OURS: GOALS[PROMPTS], policies.OURS_TOLD: GOAL_KNOWN}
    slowest, most_refused = goals.get(policy, (math.inf, math.inf))
    return [
        policy,
        f"{ended.took_s:.1f}",
        cell(f"{ratio:.2f}", ratio, slowest),
        f"{model.requests}",
        cell(f"{share:.1f}", share, most_refused),
        cell(f"{ended.gave_up}", ended.gave_up, 0),
    ]


def _noted(rows: Iterable[list[str]], note: Callable[[str], None]) -> Iterator[list[str]]:
    for cells in rows:
        note(", ".join(cells))
        yield cells
