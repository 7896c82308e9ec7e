"""Importing LiteLLM, which takes seconds, while the user reads on."""

from __future__ import annotations

import builtins
import threading
from typing import Any


def load_in_background() -> threading.Thread:
    """Start to import LiteLLM in a thread, and return the thread.

    Two threads that import different parts of LiteLLM at once break each other. So until it is
    there, whoever else imports a part of it waits: before any import lock is taken, which is why
    this wraps `__import__` and is no import hook.
    """
    original = builtins.__import__

    def waiting_import(name: str, *args: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "litellm" and threading.current_thread() is not thread:
            thread.join()
        return original(name, *args, **options)

    def run() -> None:
        from openhands_llm_magic.llm import client  # noqa: PLC0415 - in the background, too

        try:
            client.load()
        finally:
            if builtins.__import__ is waiting_import:
                builtins.__import__ = original

    thread = threading.Thread(target=run, name="import litellm", daemon=True)
    builtins.__import__ = waiting_import
    thread.start()
    return thread
