"""Measure speed and memory, print the tables and write docs/benchmarks.md: `make benchmarks`.

It takes a quarter of an hour. `python benchmarks/run.py rendering` or `limits` measures one part
alone, in six minutes, and leaves the rest of the file as it is. Everything is asked of a model on
this machine, in a process of its own. What is compared is measured side by side, in turn, in one
run: on a shared machine the ratios and differences hold, and the seconds do not.
"""

from __future__ import annotations

import os
import platform
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))  # its kernel and its model server

from benchmarks import (  # noqa: E402 - found there
    calls,
    completing,
    first_answer,
    interrupts,
    limits,
    loading,
    model,
    opening,
    rendering,
    session,
    spending,
    starting,
    streams,
    trust,
    usage,
)
from benchmarks.table import Line, markdown  # noqa: E402 - found there

REPORT = ROOT / "docs" / "benchmarks.md"

TEXT = """\
# Speed and memory

Written by `make benchmarks`, which measures it again in a quarter of an hour. What is compared is
measured side by side, in turn, in one run. On a machine that others use too the clock measures
their work as well, so CPU time judges what is work, and the clock what is waited for.

{table}

- `%load_ext`: the median of {loads} fresh processes with IPython's shell alone. LiteLLM's import is
  what follows in the background.
- `autoload`: the median of the differences of {starts} kernels with its file and as many without.
- The first answer: the median of the ratios of {firsts} rounds. Bare is `import litellm` and one
  streamed `litellm.completion`, of the same answer from the same server, in a fresh kernel, too.
- The panel: the median of {openings} fresh kernels, from the call to its return. What the browser
  then takes to draw it is not in it.
- Whether a key may go: the median of {decisions} decisions on a file that was trusted, its entry
  read each time, among 100 variables.
- The ledger: the median of {bookings} prompts that are not sent: what is reserved, the row, and
  whether a limit is near.
- `%llm_usage`: the median of {usages} times, from what is in the file to a table as HTML. In the
  ledger are {sessions} sessions a day, of as many notebooks, and {models} models.
- Calls: the median of {calls} rounds in a real kernel. All stream the same short answer from the
  same server, which is another process.
- Chunks: {characters:.1f} characters each, sent as fast as the server can. CPU time is that of the
  kernel's process, the messages to the browser included.
- Live updates come five times a second at most, and take at most 100 kB in each: a long answer is
  shown in parts, and only the last of them is sent again.
  Paces other than the server's own are reckoned on a simulated clock. Headers are not counted here.
- Interrupts: from the signal until the kernel is idle, {interrupts} each, sooner and later; the
  longest counts.

Measured with {machine}.
"""


def main() -> None:
    """Measure every part of the report, or only the one that is named."""
    parts: dict[str, Callable[[], str]] = {
        "speed": _speed,
        "rendering": partial(rendering.section, _note),
        "limits": partial(limits.section, _note),
    }
    named = sys.argv[1:] or list(parts)
    written = dict(zip(parts, _split(REPORT.read_text(encoding="utf-8")), strict=True))
    for name in named:
        written[name] = parts[name]()
    text = "\n\n".join(part.strip() for part in written.values() if part) + "\n"
    REPORT.write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {REPORT.relative_to(ROOT)}")


def _split(text: str) -> tuple[str, str, str]:
    """Take the report apart."""
    rest, limits_heading, of_limits = text.partition(limits.HEADING)
    speed, rendering_heading, of_rendering = rest.partition(rendering.HEADING)
    return speed, rendering_heading + of_rendering, limits_heading + of_limits


def _note(words: str) -> None:
    print(words, flush=True)


def _speed() -> str:
    """Measure all but rendering and rate limits."""
    machine = _machine()
    lines: list[Line] = []

    def note(line: Line) -> None:
        lines.append(line)
        print(f"{line.what}: {line.measured}" + "; not met" * (not line.met), flush=True)

    for first in (loading, starting, first_answer, opening, trust, spending, usage):
        for line in first.lines():
            note(line)
    with session.running() as kernel_and_model:
        for question in (calls, streams, interrupts, completing):
            for line in question.lines(kernel_and_model):
                note(line)
    return TEXT.format(
        table=markdown(lines),
        loads=loading.TIMES,
        starts=starting.ROUNDS,
        firsts=first_answer.ROUNDS,
        openings=opening.TIMES,
        decisions=trust.TIMES,
        bookings=spending.TIMES,
        usages=usage.TIMES,
        sessions=usage.SESSIONS_A_DAY,
        models=usage.MODELS,
        calls=calls.ROUNDS,
        characters=len(streams.ANSWER) / model.CHUNKS,
        interrupts=interrupts.TIMES,
        machine=machine,
    )


def _machine() -> str:
    """Describe where this runs, in general terms."""
    cores = os.cpu_count() or 1
    versions = ", ".join(f"{name} {version(name)}" for name in ("litellm", "ipython", "ipykernel"))
    load = f" ({os.getloadavg()[0]:.1f} of them busy with other work at the start)"
    return (
        f"{cores} cores{load}, {platform.system()}, Python {platform.python_version()}, {versions}"
    )


if __name__ == "__main__":
    main()
