"""How much `openhands-llm-magic autoload` adds to the start of a kernel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from kernel import Kernel

from benchmarks.session import clean_environment
from benchmarks.table import Line, at_most
from openhands_llm_magic.notebook.autoload import FILE_NAME, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 15
LIMIT_MS = 30


def lines() -> Iterator[Line]:
    """Start kernels with the file and without it, in turn; compare their CPU time until a cell."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / ".ipython" / "profile_default" / "startup"
        folder.mkdir(parents=True)
        place = Place("user", Path(home), folder / FILE_NAME)
        place.file.write_text(place.text(), "utf-8")
        _cpu_s(home)  # writes the compiled files
        with_s, without_s = [], []
        for _ in range(ROUNDS):
            with_s.append(_cpu_s(home))
            place.file.rename(folder / "off")
            without_s.append(_cpu_s(home))
            (folder / "off").rename(place.file)
    added_ms = median(a - b for a, b in zip(with_s, without_s, strict=True)) * 1000
    ratio = median(with_s) / median(without_s)
    note = f"{ratio:.2f} of a start of {median(without_s) * 1000:.0f} ms"
    yield at_most(
        "`autoload` adds to a kernel's start, CPU time", added_ms, LIMIT_MS, "ms", note=note
    )


def _cpu_s(home: str) -> float:
    """Start a kernel; return the CPU seconds that it has taken until a cell can ask for them."""
    with Kernel(clean_environment(home), home) as kernel:
        return float(kernel.run("import time; print(time.process_time())").stdout)
