"""The faults that a request can meet, as data: what the server does and what must come of it.

`tests/llm/test_fault_matrix.py` plays every row, and `docs/generate.py` writes them down::

    for fault in FAULTS:
        for dialect in fault.dialects:
            ...  # let the server do fault.step(dialect); expect fault.requests, fault.waits_s, ...
"""

from faults import answers, refusals, streams, vectors
from faults.fault import ANSWER, DIALECTS, UNREACHABLE, Fault

FAULTS: tuple[Fault, ...] = (*refusals.FAULTS, *streams.FAULTS, *answers.FAULTS)

VECTOR_FAULTS: tuple[Fault, ...] = vectors.FAULTS
"""Those of a request for vectors, which is played on every path; `FAULTS` are of prompts."""

__all__ = ["ANSWER", "DIALECTS", "FAULTS", "UNREACHABLE", "VECTOR_FAULTS", "Fault"]
