"""Set up, test and use the language model of OpenHands from a Jupyter notebook.

In a notebook: `%load_ext openhands_llm_magic`, then `%%llm`. From Python: `ask`, `stream`,
`load_settings`. Every name is imported on first use, so that loading the extension is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot, load_settings
    from openhands_llm_magic.config.secret import Secret
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.llm.session import ask, stream

__all__ = [
    "LLMSettings",
    "Reply",
    "Secret",
    "Snapshot",
    "ask",
    "load_ipython_extension",
    "load_settings",
    "stream",
    "unload_ipython_extension",
]

_HOMES = {
    "LLMSettings": "config.configurable",
    "Snapshot": "config.resolve",
    "load_settings": "config.resolve",
    "Secret": "config.secret",
    "Reply": "llm.reply",
    "ask": "llm.session",
    "stream": "llm.session",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Make `%llm`, `%%llm` and `%llm_config` known: `%load_ext openhands_llm_magic` calls this."""
    from openhands_llm_magic.notebook.extension import load  # noqa: PLC0415 - IPython alone needs it

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again: `%unload_ext openhands_llm_magic` calls this."""
    from openhands_llm_magic.notebook.extension import unload  # noqa: PLC0415 - see above

    unload(shell)
