"""Reading LiteLLM and its list of models, which takes seconds, while the user reads on."""

from __future__ import annotations

import threading


def load_in_background() -> threading.Thread:
    """Start to read them in a thread, and return the thread."""
    thread = threading.Thread(target=_load, name="import litellm", daemon=True)
    thread.start()
    return thread


def _load() -> None:
    from openhands_llm_magic.llm import client, models  # noqa: PLC0415 - in the background, too

    client.load()
    models.prices()
