"""Which pairs of parameters `make test` plays; `make test-slow` plays the others.

Where two parameters are told apart by different code, each of both with any of the other says most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from faults.fault import Fault


def paired(
    faults: Iterable[Fault], providers_of: Callable[[Fault], Sequence[str]], others: int = 1
) -> list[Any]:
    """Pair each fault with all its providers; quick are those with the first and some in turn.

    Args:
        faults: The faults.
        providers_of: Names the providers of a fault.
        others: How many beside the first are quick, others for each fault.
    """
    pairs = []
    for number, fault in enumerate(faults):
        first, *rest = providers_of(fault)
        begins = number * others
        quick = {first, *(rest[(begins + n) % len(rest)] for n in range(others) if rest)}
        for provider in (first, *rest):
            marks = () if provider in quick else pytest.mark.slow
            pairs.append(pytest.param(fault, provider, marks=marks, id=f"{fault.name}-{provider}"))
    return pairs


def in_turn(firsts: Iterable[object], seconds: Sequence[object]) -> list[Any]:
    """Pair each of the first with all of the second; quick is the one whose turn it is."""
    return [
        pytest.param(first, second, marks=() if at == number % len(seconds) else pytest.mark.slow)
        for number, first in enumerate(firsts)
        for at, second in enumerate(seconds)
    ]
