"""What follows from what a server tells of a model: room for a task, and tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.probe.course import CONTEXT_CURE, NOTHING, Finding
from openhands_llm_magic.llm.probe.result import Result

if TYPE_CHECKING:
    from openhands_llm_magic.llm.probe.metadata import Metadata

LEAST_TOKENS = 16_384
"""The current OpenHands refuses a context that it knows to be smaller."""

ENOUGH_TOKENS = 22_000
"""What its documentation asks for at least."""

CONTEXT = Text("has room for a task")
DECLARED = Text("is said to call functions")
"""The titles of what is asked without a token."""

CURES = {
    "Ollama": Text("Start Ollama with OLLAMA_CONTEXT_LENGTH=32768 or more"),
    "LM Studio": Text("Load it again: lms load MODEL --context-length 32768, or more"),
    "llama.cpp": Text("Start it with -c 32768 or more for each slot of --parallel"),
    "vLLM": Text("Start it with --max-model-len 32768 or more"),
    "SGLang": Text("Start it with --context-length 32768 or more"),
}
"""How each kind of server is given more context."""


def context_of(told: Metadata, why: Text = NOTHING) -> Result:
    """Judge the size of a context.

    Args:
        told: What the server tells.
        why: Why it tells nothing, or nothing.
    """
    window, most = told.window_tokens, told.most_window_tokens
    if window is not None or (most is not None and most < ENOUGH_TOKENS):
        finding = judged_window(window or most or 0, most, told.server)
        if told.is_loaded is not None:
            finding = _noted(finding, Text("loaded") if told.is_loaded else Text("not loaded yet"))
        return Result("context", CONTEXT, "failed" if finding.did else "held", finding)
    if most is not None:
        why = Text(
            "it is not loaded, and the server decides when it is; it could have {most} tokens",
            most=f"{most:,}",
        )
    return Result(
        "context", CONTEXT, "not asked", why=why or Text("the server tells no size of the context")
    )


def judged_window(tokens: int, most: int | None = None, server: str = "") -> Finding:
    """Judge the size of a context.

    Args:
        tokens: What it has.
        most: What it could have, or None where that is not known.
        server: The kind of the server, or "".
    """
    known = {"tokens": f"{tokens:,}", "most": f"{most or tokens:,}"}
    could_have_more = most is not None and most > tokens
    if tokens >= ENOUGH_TOKENS:
        if could_have_more:
            return Finding(note=Text("{tokens} tokens, and it could have {most}", **known))
        return Finding(note=Text("{tokens} tokens", **known))
    did = Text("its context has {tokens} tokens", **known)
    if could_have_more:
        did = Text("its context has {tokens} tokens, and it could have {most}", **known)
    if tokens < LEAST_TOKENS:
        effect = Text("The current OpenHands refuses it, and 0.41 is lost after a few steps")
    else:
        effect = Text("OpenHands' documentation asks for 22,000 or more")
    cure = CURES.get(server, CONTEXT_CURE)
    if most is not None and most < ENOUGH_TOKENS:
        cure = Text("Take a model with a larger context")
    return Finding(did, effect, cure)


def _noted(finding: Finding, state: Text) -> Finding:
    if finding.did:
        return finding
    return Finding(note=Text.listed([finding.note, state]))


def declared(told: Metadata, *, calls: bool | None = None) -> Result:
    """Compare what is said of a model's calls with what it does, which counts more.

    A proxy's list may be wrong, and so may a template; but Ollama refuses functions where its
    template has none, and llama.cpp drops them without a word.

    Args:
        told: What the server tells.
        calls: Whether the model has called one, or None where that is not known yet.
    """
    says = {"server": told.server}
    if told.knows_tools is None:
        why = Text("the server does not tell")
        return Result("declared", DECLARED, "not asked", why=why)
    if told.knows_tools:
        note = Text("{server} says so", **says) if told.server else Text("LiteLLM's list says so")
        return Result("declared", DECLARED, "held", Finding(note=note))
    if calls:
        note = Text("{server} says that it does not, and it does", **says)
        return Result("declared", DECLARED, "held", Finding(note=note))
    did = Text("{server} says that it does not", **says)
    effect = Text("Functions may be refused, or dropped without a word")
    cure = Text("Take a model that is made for tools, or set native_tool_calling = false")
    return Result("declared", DECLARED, "failed", Finding(did, effect, cure))
