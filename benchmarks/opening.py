"""How long `%llm_config` takes to open the panel."""

from __future__ import annotations

import tempfile
from statistics import median
from typing import TYPE_CHECKING

from kernel import Kernel

from benchmarks.session import clean_environment
from benchmarks.table import Line, at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 7
LIMIT_S = 0.3

IMPORTED = """
import threading
for thread in threading.enumerate():
    if thread.daemon and "import" in thread.name:
        thread.join()
"""


def lines() -> Iterator[Line]:
    """Open it in fresh kernels, after LiteLLM's import in the background and during it."""
    opened_s, again_s = zip(*(_seconds(IMPORTED) for _ in range(TIMES)), strict=True)
    note = f"again {median(again_s) * 1000:.0f} ms"
    yield at_most("`%llm_config` opens the panel within", median(opened_s), LIMIT_S, "s", note=note)
    during_s = [_seconds("")[0] for _ in range(TIMES)]
    measured = f"{median(during_s):.2f} s"
    yield Line("the same, while LiteLLM is being imported in the background", measured)


def _seconds(before: str) -> tuple[float, float]:
    """Open it twice in a fresh kernel; give the seconds by the kernel's own clock."""
    with tempfile.TemporaryDirectory() as home, Kernel(clean_environment(home), home) as kernel:
        kernel.run("%load_ext openhands_llm_magic")
        kernel.run(before)
        took_s = []
        for _ in range(2):
            cell = "import time; began_s = time.perf_counter()\n%llm_config\n"
            ran = kernel.run(cell + "print(time.perf_counter() - began_s)")
            took_s.append(float(ran.stdout))
        return took_s[0], took_s[1]
