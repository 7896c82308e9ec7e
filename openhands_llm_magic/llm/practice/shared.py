"""The process's own practice server: started when it is first asked, known without its sockets."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from openhands_llm_magic.config.providers import is_loopback, server_of

if TYPE_CHECKING:
    from openhands_llm_magic.llm.practice.server import PracticeServer


class _Shared:
    """The server of the whole process, and the lock held while it starts."""

    lock = threading.Lock()
    server: PracticeServer | None = None


def running() -> PracticeServer:
    """Return the process's own practice server, started if it is not running.

    It ends with the process. A forked child gets its own.

    Raises:
        OSError: No port could be opened.
    """
    with _Shared.lock:
        if _Shared.server is None or not _Shared.server.alive:
            from openhands_llm_magic.llm.practice.server import PracticeServer  # noqa: PLC0415 - imports tornado

            server = PracticeServer()
            server.start()
            atexit.register(server.stop)
            _Shared.server = server
        return _Shared.server


def is_own_key(key: object) -> bool:
    """Return whether a key is that of the process's own practice server."""
    return _Shared.server is not None and key == _Shared.server.key


def is_own_address(address: object) -> bool:
    """Return whether an address leads to the process's own practice server."""
    own, server = _Shared.server, server_of(address if isinstance(address, str) else None)
    if own is None or server is None:
        return False
    return is_loopback(server.host) and server.port == own.port


def _unlock_in_child() -> None:
    """Replace the lock: the thread that held it is not in the child."""
    _Shared.lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_unlock_in_child)
