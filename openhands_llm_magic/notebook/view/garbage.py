"""Rendering without the pauses of Python's garbage collector.

Rendering a long answer makes so many objects that the collector looks through all there are. With
LiteLLM loaded that takes 0.15 s, in which no interrupt is heard, and it finds nothing: what
rendering makes is freed without it.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Leave the collector off for a block; also a decorator.

    Where two threads do so, it may be on for the one that is slower.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
