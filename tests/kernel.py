"""A real ipykernel, driven over jupyter_client as a front end drives it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

Front = Literal["lab", "console", "nobody"]

REQUESTS: dict[Front, tuple[dict[str, Any], bool]] = {
    "lab": ({"cellId": "cell-1"}, True),
    "console": ({}, True),
    "nobody": ({}, False),  # nbclient and nbval
}
"""What tells the front ends apart: an execute request's metadata and its `allow_stdin`."""

PATIENCE_S = 60

_DUMPS_STACKS = """\
import faulthandler, signal
faulthandler.register(signal.SIGUSR1, open({!r}, "w"))
del faulthandler, signal
"""
"""Lets a kernel that hangs be asked where."""


@dataclass
class Ran:
    """What came of one cell.

    Attributes:
        messages: Every iopub message of it, in order.
        times_s: When each arrived, on the monotonic clock.
        reply: The content of the kernel's execute reply.
        asked: What the cell has asked the person. Where nothing is typed, it is interrupted.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def contents(self, *kinds: str) -> list[dict[str, Any]]:
        """The contents of the messages of some kinds."""
        return [m["content"] for m in self.messages if m["header"]["msg_type"] in kinds]

    @property
    def error(self) -> str | None:
        """The one traceback that a front end shows, or None."""
        shown = ["\n".join(content["traceback"]) for content in self.contents("error")]
        assert len(shown) <= 1
        return shown[0] if shown else None

    @property
    def stdout(self) -> str:
        """All that was written to the streams."""
        return "".join(content["text"] for content in self.contents("stream"))

    @property
    def terminal(self) -> str:
        """The text that stands in a terminal at the end, each line as it was last overwritten.

        How far a request has come is written for a while on a slow machine, and never on a fast
        one, so only this is the same on both.
        """
        return "\n".join(map(_overwritten, self.stdout.split("\n")))

    @property
    def updates(self) -> list[str]:
        """The texts of every state of the live area, each of its updates one."""
        return [
            content["data"].get("text/plain", "") + content["data"].get("text/html", "")
            for content in self.contents("display_data", "update_display_data")
        ]

    @property
    def outputs(self) -> list[dict[str, str]]:
        """The MIME bundles that stand below the cell at the end, updates applied."""
        shown: dict[object, dict[str, str]] = {}
        for number, message in enumerate(self.messages):
            kind, content = message["header"]["msg_type"], message["content"]
            if kind in ("display_data", "execute_result", "update_display_data"):
                key = content.get("transient", {}).get("display_id", number)
                shown[key] = content["data"]
        return list(shown.values())

    @property
    def everything(self) -> str:
        """All that the kernel published and replied, as JSON."""
        return json.dumps([self.messages, self.reply], default=str)


def _overwritten(line: str) -> str:
    """Return what stands in a line of a terminal once all of it is written."""
    standing = ""
    for written in line.split("\r"):
        standing = written + standing[len(written) :]
    return standing.rstrip() if "\r" in line else line


class Kernel:
    """A running kernel.

    Args:
        env: Its whole environment, but for a PYTHONPATH that names the copy to test.
        cwd: Its working directory.
        python: The Python that runs it; by default the one of the tests.
    """

    def __init__(self, env: dict[str, str], cwd: str, python: str = sys.executable) -> None:
        self._manager = KernelManager(kernel_name="python3")
        assert self._manager.kernel_spec is not None
        self._manager.kernel_spec.argv[0] = python
        named = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        # Of a footer the tests that ask for one look at it.
        self._manager.start_kernel(env={"LLM_MAGIC_FOOTER": "off", **named, **env}, cwd=cwd)
        self._client = self._manager.blocking_client()
        self._client.start_channels(hb=False)  # it would leave an event loop open
        self._client.wait_for_ready(timeout=PATIENCE_S)
        self._typed: Iterator[str] = iter(())
        self._replies: dict[str, dict[str, Any]] = {}
        self._stacks = tempfile.NamedTemporaryFile("r")  # noqa: SIM115 - closed with the kernel
        self.run(_DUMPS_STACKS.format(self._stacks.name), silent=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        self._stacks.close()

    def interrupt(self) -> None:
        """Do what the interrupt button does."""
        provisioner: Any = self._manager.provisioner  # a LocalProvisioner, which has a pid
        os.kill(provisioner.pid, signal.SIGINT)

    def run(
        self,
        code: str,
        front: Front = "lab",
        on_message: Callable[[dict[str, Any]], None] | None = None,
        *,
        silent: bool = False,
        typed: Iterable[str] = (),
    ) -> Ran:
        """Run a cell to its end.

        Args:
            code: The cell.
            front: The front end to be.
            on_message: Called with each iopub message of the cell as it arrives.
            silent: Whether it is to leave no trace in the history, as front ends' own code does.
            typed: What is typed where the cell asks for something, in order.
        """
        self._typed = iter(typed)
        request_id = self._begin(code, front, silent=silent)
        ran = self._collect(request_id, on_message)
        ran.reply = self._reply_to(request_id)
        return ran

    def _begin(self, code: str, front: Front = "lab", *, silent: bool = False) -> str:
        """Send a cell; give the id of the request."""
        metadata, allow_stdin = REQUESTS[front]
        content = {"code": code, "silent": silent, "store_history": not silent}
        content |= {"user_expressions": {}, "allow_stdin": allow_stdin, "stop_on_error": False}
        request = self._client.session.msg("execute_request", content, metadata=metadata)
        self._client.shell_channel.send(request)
        return str(request["header"]["msg_id"])

    def _reply_to(self, request_id: str, within_s: float | None = None) -> dict[str, Any]:
        """Wait for the reply to a request, and keep others for whoever asks for them.

        Raises:
            queue.Empty: There was none.
        """
        until_s = time.monotonic() + (PATIENCE_S if within_s is None else within_s)
        while request_id not in self._replies:
            left_s = max(0.01, until_s - time.monotonic())
            message = self._client.get_shell_msg(timeout=left_s)
            self._replies[message["parent_header"].get("msg_id")] = message["content"]
        return self._replies.pop(request_id)

    def complete(self, code: str) -> list[str]:
        """Press Tab at the end of a cell; give what stands in place of the last word for each."""
        content = self._reply_to(self._client.complete(code, len(code)))
        start = content["cursor_start"]
        last = code[start:].rfind(" ") + 1
        return [match[last:] for match in content["matches"]]

    def click(self, model_id: str) -> Ran:
        """Click a button and give what came of it."""
        return self._collect(self.send_click(model_id))

    def send_click(self, model_id: str, subshell_id: str | None = None) -> str:
        """Click a button, as its JavaScript does; give the message's id."""
        data = {"method": "custom", "content": {"event": "click"}}
        return self.send_to_widget(model_id, data, subshell_id)

    def send_to_widget(
        self, model_id: str, data: dict[str, Any], subshell_id: str | None = None
    ) -> str:
        """Send what the front end of a widget sends, past a running cell if a subshell is named."""
        message = self._client.session.msg("comm_msg", {"comm_id": model_id, "data": data})
        message["header"]["subshell_id"] = subshell_id
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def new_subshell(self) -> str:
        """Ask for a thread that takes messages while a cell runs, as JupyterLab does."""
        self._client.control_channel.send(self._client.session.msg("create_subshell_request"))
        reply = self._client.get_control_msg(timeout=PATIENCE_S)
        return str(reply["content"]["subshell_id"])

    def _collect(
        self, request_id: str, on_message: Callable[[dict[str, Any]], None] | None = None
    ) -> Ran:
        ran = Ran()
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            try:
                message = self._client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                self._type(ran)
                continue
            if message["parent_header"].get("msg_id") != request_id:
                continue
            ran.messages.append(message)
            ran.times_s.append(time.monotonic())
            if on_message is not None:
                on_message(message)
            if message["content"].get("execution_state") == "idle":
                return ran
        raise AssertionError(
            f"the cell did not end within {PATIENCE_S} s: {ran.everything}\n{self._where_it_is()}"
        )

    def _type(self, ran: Ran) -> None:
        """Answer a question of the cell, if there is one."""
        with contextlib.suppress(queue.Empty):
            asked = self._client.get_stdin_msg(timeout=0)
            ran.asked.append(asked["content"]["prompt"])
            if (answer := next(self._typed, None)) is None:
                self.interrupt()
            else:
                self._client.input(answer)

    def _where_it_is(self) -> str:
        """Return the stack of every thread of the kernel."""
        provisioner: Any = self._manager.provisioner
        os.kill(provisioner.pid, signal.SIGUSR1)
        time.sleep(1)  # nothing tells when it has written them
        return self._stacks.read()
