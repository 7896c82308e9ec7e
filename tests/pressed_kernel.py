"""A kernel whose cells are interrupted."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel import PATIENCE_S, Kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernel import Ran

BEGUN = "begun"
"""What a cell prints where it is first to be interrupted."""


class PressedKernel(Kernel):
    """A kernel with somebody at its interrupt button."""

    def run_pressed(self, code: str, after_s: Sequence[float]) -> Ran:
        """Run a cell and interrupt it, each time so many seconds after it has printed `BEGUN`.

        Its reply is empty where ipykernel sent none: it was interrupted on its own way.
        """
        begun = threading.Event()

        def press() -> None:
            begun.wait(PATIENCE_S)
            began_at_s = time.monotonic()
            for delay_s in after_s:
                time.sleep(max(0.0, began_at_s + delay_s - time.monotonic()))
                self.interrupt()

        def note(message: dict[str, Any]) -> None:
            if BEGUN in message["content"].get("text", ""):
                begun.set()

        pressing = threading.Thread(target=press)
        pressing.start()
        request_id = self._begin(code)
        ran = self._collect(request_id, note)
        pressing.join()
        self._come_to_rest()
        with contextlib.suppress(queue.Empty):
            ran.reply = self._reply_to(request_id, within_s=0.0)
        return ran

    def _come_to_rest(self) -> None:
        """Wait until the kernel has dealt with a message that was sent after all interrupts.

        One that comes between two cells ends ipykernel's event loop, which begins anew: a message
        that it had just taken may be lost.
        """
        for _ in range(int(PATIENCE_S)):
            with contextlib.suppress(queue.Empty):
                self._reply_to(self._client.kernel_info(), within_s=1.0)
                return
        raise AssertionError(f"the kernel answered nothing for {PATIENCE_S} s")

    def connected_to(self) -> list[int]:
        """Return the port at the other end of each TCP connection of its process (on Linux)."""
        provisioner: Any = self._manager.provisioner  # a LocalProvisioner, which has a pid
        process = Path("/proc", str(provisioner.pid))
        descriptors = set()
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                descriptors.add(str(descriptor.readlink()))
        rows = map(str.split, (process / "net/tcp").read_text().splitlines()[1:])
        return [int(row[2][-4:], 16) for row in rows if f"socket:[{row[9]}]" in descriptors]
