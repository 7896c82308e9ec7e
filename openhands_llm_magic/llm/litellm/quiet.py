"""LiteLLM's global switches and its log, kept as our requests need them while one runs."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOGGERS = ("LiteLLM", "LiteLLM Router")
"""LiteLLM's loggers; each prints to stderr, which is the cell."""

LOG_VARIABLE = "LITELLM_LOG"
"""Who sets it wants to see what LiteLLM logs."""


class _Quiet:
    """Sets LiteLLM up for our requests, and puts back what the user's own code had set.

    Several requests may run at once on threads; the first to begin saves and the last to end
    restores. Where they differ, the last to begin counts. What LiteLLM logs about a request of
    ours is dropped: an answer or an error of ours says it.
    """

    OURS = {  # noqa: RUF012 - a constant
        "suppress_debug_info": True,  # else each failure prints "Give Feedback / Get Help"
        "REPEATED_STREAMING_CHUNK_LIMIT": sys.maxsize,  # else 100 equal chunks are an error
        "disable_hf_tokenizer_download": True,  # else counting Llama's tokens waits for a download
        "model_fallbacks": None,  # else a failure is sent again to other models
        "num_retries": None,  # a failure resets it, and the user's would be added to ours
        "disable_streaming_logging": True,  # else each chunk is a job for another thread
    }

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[str, object] = {}
        self._newest: Mapping[str, object] = {}
        self._threads: Counter[int] = Counter()

    @contextlib.contextmanager
    def __call__(self, litellm: Any, *, modify_params: bool = True) -> Iterator[None]:
        ours = self.OURS | {"modify_params": modify_params}
        thread = threading.get_ident()
        with self._lock:
            if not self._threads:
                self._users = {n: getattr(litellm, n) for n in ours if hasattr(litellm, n)}
                self._drop_log(on=True)
            self._threads[thread] += 1
            self._newest = ours
            self._set(litellm, {name: ours[name] for name in self._users})
        try:
            yield
        finally:
            with self._lock:
                self._threads -= Counter([thread])
                if not self._threads:
                    # What somebody has changed meanwhile stays changed.
                    ours = self._newest
                    kept = {n: v for n, v in self._users.items() if getattr(litellm, n) == ours[n]}
                    self._set(litellm, kept)
                    self._drop_log(on=False)

    @staticmethod
    def _set(litellm: Any, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            setattr(litellm, name, value)

    def _drop_log(self, *, on: bool) -> None:
        for logger in map(logging.getLogger, LOGGERS):
            if on:
                logger.addFilter(self._is_wanted)
            else:
                logger.removeFilter(self._is_wanted)

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        return record.thread not in self._threads or bool(os.environ.get(LOG_VARIABLE))


quiet = _Quiet()
"""`with quiet(litellm):` around each use of LiteLLM."""
