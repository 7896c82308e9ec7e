"""Set up, test and use the language model of OpenHands from a Jupyter notebook.

In a notebook: `%load_ext openhands_llm_magic`, then `%%llm`. From Python: `ask` and `stream`, with
`async` forms of both, `embed`, `load_settings`, `practice_in_place_of`; `errors` and `events` are
modules with what can go wrong and what happens. Every name is imported on first use, so that
loading the extension is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openhands_llm_magic import errors as errors
    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot, load_settings
    from openhands_llm_magic.config.secret import Secret
    from openhands_llm_magic.llm import events as events
    from openhands_llm_magic.llm.answers.extract import Schema
    from openhands_llm_magic.llm.ask import ask, ask_async, stream, stream_async
    from openhands_llm_magic.llm.embedding.embed import Embeddings, embed
    from openhands_llm_magic.llm.events import Usage
    from openhands_llm_magic.llm.practice.stand_in import practice_in_place_of
    from openhands_llm_magic.llm.prepare import Prepared, prepare
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.llm.run import run
    from openhands_llm_magic.llm.tools.declared import tool
    from openhands_llm_magic.llm.tools.mcp import mcp_tools
    from openhands_llm_magic.llm.worker import Control, Run

__all__ = [
    "Control",
    "Embeddings",
    "LLMSettings",
    "Prepared",
    "Reply",
    "Run",
    "Schema",
    "Secret",
    "Snapshot",
    "Usage",
    "ask",
    "ask_async",
    "embed",
    "errors",
    "events",
    "load_ipython_extension",
    "load_settings",
    "mcp_tools",
    "practice_in_place_of",
    "prepare",
    "run",
    "stream",
    "stream_async",
    "tool",
    "unload_ipython_extension",
]

_HOMES = {
    "Control": "llm.worker",
    "Embeddings": "llm.embedding.embed",
    "LLMSettings": "config.configurable",
    "Prepared": "llm.prepare",
    "Reply": "llm.reply",
    "Run": "llm.worker",
    "Schema": "llm.answers.extract",
    "Secret": "config.secret",
    "Snapshot": "config.resolve",
    "Usage": "llm.events",
    "ask": "llm.ask",
    "ask_async": "llm.ask",
    "embed": "llm.embedding.embed",
    "errors": "",
    "events": "llm",
    "load_settings": "config.resolve",
    "mcp_tools": "llm.tools.mcp",
    "practice_in_place_of": "llm.practice.stand_in",
    "prepare": "llm.prepare",
    "run": "llm.run",
    "stream": "llm.ask",
    "stream_async": "llm.ask",
    "tool": "llm.tools.declared",
}
"""The module that each public name is in; `errors` and `events` are modules themselves."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _take_nothing_from_the_working_folder()
    home = f"{__name__}.{_HOMES[name]}".rstrip(".")
    if name in ("errors", "events"):
        return importlib.import_module(f"{home}.{name}")
    return getattr(importlib.import_module(home), name)


def _take_nothing_from_the_working_folder() -> None:
    from openhands_llm_magic.imports import guard  # noqa: PLC0415 - importing a name changes nothing

    guard()


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Make `%llm`, `%%llm` and `%llm_config` known: `%load_ext openhands_llm_magic` calls this."""
    _take_nothing_from_the_working_folder()
    from openhands_llm_magic.notebook.magics import load  # noqa: PLC0415 - IPython alone needs it

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again: `%unload_ext openhands_llm_magic` calls this."""
    from openhands_llm_magic.notebook.magics import unload  # noqa: PLC0415 - see above

    unload(shell)
