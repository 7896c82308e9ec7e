"""Importing LiteLLM, which takes seconds, while the user reads on."""

from __future__ import annotations

import threading


def load_in_background() -> threading.Thread:
    """Start to import LiteLLM in a thread, and return the thread."""
    thread = threading.Thread(target=_load, name="import litellm", daemon=True)
    thread.start()
    return thread


def _load() -> None:
    from openhands_llm_magic.llm import client  # noqa: PLC0415 - in the background, too

    client.load()
