"""A kernel whose cells are interrupted."""

from __future__ import annotations

import contextlib
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
            elif message["content"].get("execution_state") == "idle":
                pressing.join()
                self._client.kernel_info()  # its reply comes after the cell's, if there is one

        pressing = threading.Thread(target=press)
        pressing.start()
        ran = self.run(code, on_message=note)
        if "protocol_version" in ran.reply:
            ran.reply = {}
        else:
            self._client.get_shell_msg(timeout=PATIENCE_S)
        return ran

    def connected_to(self) -> list[int]:
        """Give the port at the other end of each TCP connection of its process (on Linux)."""
        provisioner: Any = self._manager.provisioner  # a LocalProvisioner, which has a pid
        process = Path("/proc", str(provisioner.pid))
        descriptors = set()
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                descriptors.add(str(descriptor.readlink()))
        rows = map(str.split, (process / "net/tcp").read_text().splitlines()[1:])
        return [int(row[2][-4:], 16) for row in rows if f"socket:[{row[9]}]" in descriptors]
