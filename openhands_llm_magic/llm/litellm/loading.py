"""The import of LiteLLM, which takes seconds: once, in silence, and apart from other imports of it.

Two threads that import different parts of LiteLLM at once break each other, so while one of ours
imports it, the others wait.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_loading = threading.Lock()

IMPORT_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it downloads prices, and warns into the cell
    "LITELLM_MODE": "PRODUCTION",  # else it loads a .env, and settings change by themselves
}
"""The environment that LiteLLM is imported in; it is put back afterwards."""


def load() -> Any:
    """Import LiteLLM, in silence and without a change to the environment."""
    with _loading:
        if "litellm" in sys.modules:
            import litellm  # noqa: PLC0415 - waits if another thread is in the middle of it

            return litellm
        before = {name: os.environ.get(name) for name in IMPORT_ENVIRONMENT}
        os.environ.update(IMPORT_ENVIRONMENT)
        try:
            with others_wait(_loading):
                import litellm  # noqa: PLC0415 - it takes seconds
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        warnings.filterwarnings("ignore", ".*`ReadOnly` qualifier", UserWarning)  # of its types
        return litellm


def is_loaded() -> bool:
    """Tell whether LiteLLM is there, and not in the middle of its import on another thread."""
    spec = getattr(sys.modules.get("litellm"), "__spec__", None)
    return "litellm" in sys.modules and not getattr(spec, "_initializing", False)


def load_in_background() -> threading.Thread:
    """Start to import LiteLLM, and to read its list of models, on a thread; return the thread."""
    thread = threading.Thread(target=_load_all, name="import litellm", daemon=True)
    thread.start()
    return thread


def _load_all() -> None:
    from openhands_llm_magic.llm.litellm import models  # noqa: PLC0415 - in the background, too

    load()
    models.prices()


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
