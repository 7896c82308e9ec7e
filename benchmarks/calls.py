"""How much a warm `%%llm` call takes on top of a bare `litellm.completion`.

All stream the same short answer from the same server, in turn, in one real kernel. `%%llm` is run
as IPython runs it, from its line's parsing to its last output; JupyterLab gets it live. What counts
is how long a person waits for the call to come back.
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
    bare_ms, bare_cpu_ms = (
        median(each["bare"][clock] for each in rounds) * 1000 for clock in (0, 1)
    )
    note = f"{bare_cpu_ms:.0f} ms of CPU time, that of its threads included"
    yield Line("a warm `litellm.completion`", f"{bare_ms:.0f} ms ({note})")
    for way, shown in (("final", "once, at the end"), ("live", "live")):
        longer_ms, cpu_ms = (
            median(each[way][clock] - each["bare"][clock] for each in rounds) * 1000
            for clock in (0, 1)
        )
        what = f"a warm `%%llm` takes longer by, its answer shown {shown}"
        yield at_most(what, longer_ms, 5, "ms", note=f"{cpu_ms:+.1f} ms of CPU time")
