"""What it costs to watch a long answer arrive in JupyterLab, in a real browser.

`python benchmarks/run.py rendering` measures this part alone. It needs Chromium, as the tests in
`tests/browser` do.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from browser.lab import Notebook, chromium
from browser.server import jupyterlab

from benchmarks import model
from benchmarks.table import cell, grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser.server import Lab
    from playwright.sync_api import Browser

HEADING = "## Rendering"
TEXT = """\
## Rendering

An answer of {kilobytes:.0f} kB with headings, lists and code comes at {per_s} chunks a second,
and somebody watches it in JupyterLab. What misses its goal is **bold**.

{table}

- The browser's main thread: the CPU seconds of the page from the start of the cell until it is
  quiet again (Chromium's `TaskDuration` by the thread's own clock), the final output included.
- The kernel: the CPU time of its process in that of the cell, reading the stream with LiteLLM
  included.
- Live updates: the bytes of all messages before the final output, headers and all, in each second
  of the answer. Outputs above the last one are not sent again.
- Messages: the most in any one second. The server drops what is above 1,000.
- Chunks of 5 bytes take 100 s, each with as many updates as a second of the others.
- What was measured more than once was measured in turn, each time in a new page with a new kernel;
  the medians of {rounds}. *Updated with every chunk* is `display(Markdown(…), display_id=True)` and
  `update` around a bare `litellm.completion`, as people write it.
"""

GOALS = (3.0, 15.0, 100.0, 1000)
"""Seconds of the main thread, % of a core, kB a second, messages a second: at most."""

SLOW_GOALS = (math.inf, *GOALS[1:])
"""The same for an answer that takes so long that the updates of each second are what counts."""

ROUNDS = 3
QUIET_S = 0.5
QUIET_SHARE = 0.05
"""How much of a core a page takes that has nothing to do, at most."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to show an answer.

    Attributes:
        words: What it is called.
        way: One of `in_kernel.ask`.
        model: The model that answers.
        goals: What it is to meet.
        rounds: How often it is measured.
    """

    words: str
    way: str
    model: str
    goals: tuple[float, ...] = (math.inf,) * len(GOALS)
    rounds: int = 1


WAYS = (
    Way("`%%llm`, live, chunks of 40 bytes", "live", "fast", GOALS, rounds=ROUNDS),
    Way("`%%llm`, once at the end, chunks of 40 bytes", "final", "fast", rounds=ROUNDS),
    Way("`%%llm`, live, chunks of 5 bytes", "live", "slow", SLOW_GOALS),
    Way("Markdown updated with every chunk of 40 bytes", "each chunk", "fast"),
)


def section(note: Callable[[str], None]) -> str:
    """Measure all; `note` is told each figure as it is known."""
    measured: dict[Way, list[tuple[float, ...]]] = {way: [] for way in WAYS}
    with _browser() as (lab, browser), model.running() as base_url:
        for number in range(ROUNDS):
            for way in WAYS:
                if number < way.rounds:
                    figures = _figures(lab, browser, way, base_url)
                    note(f"{way.words}: {', '.join(f'{figure:.3g}' for figure in figures)}")
                    measured[way].append(figures)
    head = ["", "browser's main thread, s", "kernel, % of a core", "live updates, kB/s"]
    goals = ["at most", *(f"{goal:g}" for goal in GOALS)]
    return TEXT.format(
        kilobytes=model.STREAMED / 1000,
        per_s=model.PER_S,
        table=grid([*head, "messages / s"], [goals, *map(_row, measured, measured.values())]),
        rounds=ROUNDS,
    )


def _row(way: Way, measured: list[tuple[float, ...]]) -> list[str]:
    medians = map(median, zip(*measured, strict=True))
    formats = ("{:.1f}", "{:.1f}", "{:.1f}", "{:.0f}")
    figures = zip(formats, medians, way.goals, strict=True)
    return [way.words, *(cell(form.format(value), value, goal) for form, value, goal in figures)]


@contextlib.contextmanager
def _browser() -> Iterator[tuple[Lab, Browser]]:
    """Run JupyterLab and Chromium."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only this part needs it

    with (
        tempfile.TemporaryDirectory() as home,
        jupyterlab(Path(home)) as lab,
        sync_playwright() as playwright,
        chromium(playwright) as browser,
    ):
        yield lab, browser


def _figures(lab: Lab, browser: Browser, way: Way, base_url: str) -> tuple[float, ...]:
    """Measure one answer, in a page and a kernel of its own, after a short one."""
    root = str(Path(__file__).parents[1])
    setup = f"""\
%load_ext openhands_llm_magic
import os, sys
sys.path.insert(0, {root!r})
os.environ["OPENAI_API_KEY"] = "sk-of-the-benchmarks"
from benchmarks import in_kernel
in_kernel.ask({way.way!r}, {base_url!r}, "short")"""
    call = f"print(in_kernel.cost_of_showing({way.way!r}, {base_url!r}, {way.model!r}))"
    with browser.new_context(viewport={"width": 1000, "height": 900}) as context:
        opened = Notebook(lab, context.new_page())
        opened.open([setup, call])
        opened.run(0)
        opened.wait_for_idle()
        main_thread = _MainThread(context.new_cdp_session(opened.page))
        began_s = main_thread.quiet_s()
        opened.select(1)
        opened.command("notebook:run-cell")  # to its end
        busy_s = main_thread.quiet_s() - began_s
        assert opened.errors == []
        told = json.loads(opened.output(1).inner_text().splitlines()[-1])
    lab.shut_down_kernels()
    at_s = [at_s for at_s, _ in told["published"]]
    sent = sum(size for _, size in told["published"][:-1])
    return (
        busy_s,
        100 * told["cpu_s"] / told["took_s"],
        sent / told["took_s"] / 1000,
        max(bisect_left(at_s, first_s + 1) - number for number, first_s in enumerate(at_s)),
    )


class _MainThread:
    """The main thread of a page.

    Args:
        devtools: A session of the Chrome DevTools Protocol with the page.
    """

    def __init__(self, devtools: Any) -> None:
        self._devtools = devtools
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def quiet_s(self) -> float:
        """Wait until it has nothing to do; give the CPU seconds it has taken up to then."""
        before_s, now_s = -math.inf, self._busy_s()
        while now_s - before_s > QUIET_SHARE * QUIET_S:
            time.sleep(QUIET_S)
            before_s, now_s = now_s, self._busy_s()
        return now_s

    def _busy_s(self) -> float:
        metrics = self._devtools.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))
