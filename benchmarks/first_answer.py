"""How long the first answer takes in a fresh kernel, beside a bare `import litellm` and one call.

Both ask the same model for the same short answer, each in a kernel of its own, in turn: the other
way round in every second round. What counts is the median of the ratios within a round.

`python benchmarks/first_answer.py [CHECKOUT]` prints the table alone. With another checkout of this
package it measures that one, too, in the same rounds, and names it "before".
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from kernel import Kernel  # noqa: E402 - found there

from benchmarks import model  # noqa: E402 - found there
from benchmarks.session import clean_environment  # noqa: E402 - found there
from benchmarks.table import Line, at_most, markdown  # noqa: E402 - found there

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 9
LIMIT = 0.85
"""How long ours may take, as a part of what the bare one takes."""

CPU = "import json, time; print(json.dumps(time.process_time()))"

LOAD = "%load_ext openhands_llm_magic"
ASK = "%%llm -m openai/short --base-url {base_url}\nHow does a retry work?"

BARE_LOAD = "import litellm"
BARE_ASK = """
for chunk in litellm.completion(
    model="openai/short",
    messages=[{{"role": "user", "content": "How does a retry work?"}}],
    stream=True,
    stream_options={{"include_usage": True}},
    base_url="{base_url}",
):
    for choice in chunk.choices:
        print(choice.delta.content or "", end="")
"""

REST = """
import threading
for thread in threading.enumerate():
    if thread.name == "import litellm":
        thread.join()
"""
"""A person who reads for some seconds between the two cells."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the first answer: its two cells, and where the package is imported from."""

    load: str
    ask: str
    checkout: Path = ROOT


WAYS = {"ours": Way(LOAD, ASK), "bare": Way(BARE_LOAD, BARE_ASK)}


@dataclass(frozen=True, slots=True)
class Took:
    """What a first answer took.

    Attributes:
        clock_s: Seconds by the clock, from the first cell's start to the last one's end.
        cpu_s: Seconds of the kernel's CPU time, that of all of its threads.
    """

    clock_s: float
    cpu_s: float


def lines() -> Iterator[Line]:
    """Measure in fresh kernels: at once, and after a person has read for a while."""
    yield from _lines(WAYS)


def _lines(ways: dict[str, Way]) -> Iterator[Line]:
    for first in ways.values():
        _first_answer(first, "", rests=False)  # writes the compiled files
    for rests, when in (
        (False, "`%load_ext` and the first answer"),
        (True, "the first answer alone"),
    ):
        rounds = list(_rounds(ways, rests=rests))
        for name in (each for each in ways if each != "bare"):
            by_clock, by_cpu = (
                median(getattr(each[name], unit) / getattr(each["bare"], unit) for each in rounds)
                for unit in ("clock_s", "cpu_s")
            )
            seconds, bare_s = (
                median(each[way].clock_s for each in rounds) for way in (name, "bare")
            )
            note = f"{by_cpu:.2f} of its CPU time; {seconds:.1f} s and {bare_s:.1f} s"
            what = f"{when}, beside a bare one" + (f" ({name})" if name != "ours" else "")
            yield at_most(what, by_clock, LIMIT, "of its time", note=note)


def _rounds(ways: dict[str, Way], *, rests: bool) -> Iterator[dict[str, Took]]:
    with model.running() as base_url:
        for number in range(ROUNDS):
            names = list(ways)[:: 1 if number % 2 else -1]
            yield {name: _first_answer(ways[name], base_url, rests=rests) for name in names}


def _first_answer(way: Way, base_url: str, *, rests: bool) -> Took:
    """Ask in a kernel of its own.

    Args:
        way: How.
        base_url: The model's address; with "" nothing is asked.
        rests: Whether what goes on in the background after the first cell comes to its end, and
            the second one alone counts.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = clean_environment(home) | {
            "PYTHONPATH": str(way.checkout),
            "OPENAI_API_KEY": "sk-of-the-benchmarks",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        with Kernel(environment, home) as kernel:
            cpu_s, began_s = _cpu_s(kernel), time.monotonic()
            _run(kernel, way.load)
            if rests or not base_url:
                _run(kernel, REST)
                cpu_s, began_s = _cpu_s(kernel), time.monotonic()
            if base_url:
                _run(kernel, way.ask.format(base_url=base_url))
            took_s = time.monotonic() - began_s
            return Took(took_s, _cpu_s(kernel) - cpu_s)


def _run(kernel: Kernel, cell: str) -> str:
    ran = kernel.run(cell)
    assert ran.error is None, ran.error
    return ran.stdout


def _cpu_s(kernel: Kernel) -> float:
    return float(json.loads(_run(kernel, CPU)))


if __name__ == "__main__":
    before = {"before": Way(LOAD, ASK, Path(sys.argv[1]).resolve())} if sys.argv[1:] else {}
    print(markdown(_lines(WAYS | before)))
