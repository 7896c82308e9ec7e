"""How much a warm `%%llm` call takes on top of a bare `litellm.completion`.

Both stream the same short answer from the same server, in turn, in one real kernel. `%%llm` is run
as IPython runs it, from its line's parsing to its last output; JupyterLab gets it live. The cost is
all work and no waiting, and on a busy machine the clock measures the work of others too: so CPU
time judges, of all threads of the kernel.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.table import Line, at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.session import Session

ROUNDS = 100


def lines(session: Session) -> Iterator[Line]:
    """Measure the medians, and the medians of the differences within each round."""
    rounds, _ = session.call("seconds_of_calls", session.base_url, ROUNDS)
    bare_ms = median(each["bare"][0] for each in rounds) * 1000
    yield Line("a warm `litellm.completion`", f"{bare_ms:.1f} ms")
    for way, shown in (("final", "once, at the end"), ("live", "live")):
        took_ms, cpu_ms = (
            median(each[way][clock] - each["bare"][clock] for each in rounds) * 1000
            for clock in (0, 1)
        )
        what = f"a warm `%%llm` costs more than that, CPU time, the answer shown {shown}"
        yield at_most(what, cpu_ms, 5, "ms", note=f"{took_ms:.1f} ms by the clock")
