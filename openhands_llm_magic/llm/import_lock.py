"""Keeps other threads' imports of LiteLLM apart from ours.

Two threads that import different parts of LiteLLM at once break each other, so while one of ours
imports it, the others wait.
"""

from __future__ import annotations

import builtins
import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60
"""How long an import elsewhere waits for ours."""


@contextlib.contextmanager
def others_wait(loading: threading.Lock) -> Iterator[None]:
    """Let other threads that import a part of LiteLLM wait until this one releases `loading`.

    They must wait before they take an import lock that this thread may need: so this wraps
    `__import__` and is no import hook.
    """
    ours = threading.current_thread()
    original = builtins.__import__

    def waiting_import(name: str, *args: Any, **options: Any) -> Any:
        elsewhere = name.partition(".")[0] == "litellm" and threading.current_thread() is not ours
        if elsewhere and loading.acquire(timeout=PATIENCE_S):
            loading.release()
        return original(name, *args, **options)

    builtins.__import__ = waiting_import
    try:
        yield
    finally:
        if builtins.__import__ is waiting_import:
            builtins.__import__ = original
