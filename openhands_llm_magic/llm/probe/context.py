"""How many tokens OpenHands needs room for."""

from __future__ import annotations

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.probe.probes import CONTEXT_CURE, Finding

LEAST_TOKENS = 16_384
"""The current OpenHands refuses a context that it knows to be smaller."""

ENOUGH_TOKENS = 22_000
"""What its documentation asks for at least."""


def judged_window(tokens: int) -> Finding:
    """Judge the size of a context."""
    shown = Text("{tokens} tokens", tokens=f"{tokens:,}")
    if tokens >= ENOUGH_TOKENS:
        return Finding(note=shown)
    did = Text("its context has {tokens} tokens", tokens=f"{tokens:,}")
    if tokens < LEAST_TOKENS:
        effect = Text("the current OpenHands refuses it, and 0.41 is lost after a few steps")
    else:
        effect = Text("OpenHands' documentation asks for 22,000 or more")
    return Finding(did, effect, CONTEXT_CURE)
