"""How much `%load_ext` adds to a bare IPython."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.session import clean_environment
from benchmarks.table import Line, at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 15
IMPORTS = 3


def lines() -> Iterator[Line]:
    """Measure in fresh processes, the median of `TIMES`."""
    _load_once()  # writes the compiled files
    costs = [_load_once("import") for _ in range(IMPORTS)]
    costs += [_load_once() for _ in range(TIMES - IMPORTS)]

    def middle(key: str) -> float:
        return median(cost[key] for cost in costs if key in cost)

    took = f"{middle('took_ms'):.0f} ms by the clock"
    yield at_most("`%load_ext` adds, CPU time", middle("cpu_ms"), 30, "ms", note=took)
    yield at_most("`%load_ext` adds, memory", middle("mb"), 10, "MB")
    imported = f"{middle('import_s'):.1f} s CPU, {middle('import_mb'):.0f} MB"
    yield Line("LiteLLM's import, in the background after that", imported)


def _load_once(*arguments: str) -> dict[str, float]:
    script = Path(__file__).with_name("load_once.py")
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(  # noqa: S603 - a file of ours
            [sys.executable, str(script), *arguments],
            env=clean_environment(home),
            cwd=home,
            capture_output=True,
            text=True,
            check=True,
        )
    cost: dict[str, float] = json.loads(done.stdout)
    return cost
