"""llama.cpp's own HTTP server, with a model that is made on the spot."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers.llama_cpp.tiny_model import write_model

from openhands_llm_magic.llm.probe import probes, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent

PATIENCE_S = 60
"""How long its start may take, in seconds."""

KEY = "sk-of-llama-cpp-0123456789abcdef"
MODEL = "tiny"


def _called(name: str, **arguments: object) -> str:
    """Write a call as the chat template tells it."""
    written = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{written}\n</tool_call>"


COMMENT = "\t# the default"
"""What the line that is edited ends with."""

HELLO = "Hello, this is a model that says what it was told to say."

TEXTS = {
    "hello": HELLO,
    "call": _called("terminal", command=probes.ECHO, security_risk="LOW"),
    "count": _called("execute_bash", command=probes.COUNTED),
    "finish": _called("finish", message="The file has 42 lines.", task_completed="true"),
    "edit": _called(
        "file_editor",
        command="str_replace",
        path=probes.PATH,
        security_risk="LOW",
        old_str=probes.BELOW + COMMENT,
        new_str=f"{probes.BELOW}{COMMENT}\n\t\t{probes.ADDED}",
    ),
    "file": _called(
        "file_editor",
        command="create",
        path="/workspace/hard.txt",
        security_risk="LOW",
        file_text=probes.HARD_FILE,
    ),
    "written": (
        f"<function=execute_bash>\n<parameter=command>{probes.ECHO}</parameter>\n"
        f"{schemas.STOP_WORD}>\nEXECUTION RESULT of [execute_bash]: all is well"
    ),
    "key": probes.KEY,
}
"""What the model writes, by the marks of its chat template."""


@dataclass(frozen=True)
class LlamaCpp:
    """A running server.

    Attributes:
        url: Its address, without a slash at the end.
    """

    url: str

    def settings(self, **changed: Any) -> dict[str, Any]:
        """Return the settings that reach it."""
        given = {"model": f"openai/{MODEL}", "base_url": f"{self.url}/v1", "api_key": "none"}
        return given | changed


def write_tiny(path: Path, *, is_nonsense: bool = False, is_slow: bool = False) -> Path:
    """Write the model, and return its path.

    Args:
        path: The file.
        is_nonsense: Whether what it writes makes no sense.
        is_slow: Whether it takes a second to load: then the server tries the template.
    """
    template = (HERE / "template.jinja").read_text("utf-8")
    if is_slow:
        template = f"{{%- for _ in range(5000) -%}}{{%- endfor -%}}{template}"
    words = probes.LONG.replace(probes.KEY, "")  # nonsense must not name it
    write_model(path, template, TEXTS, words=words, is_nonsense=is_nonsense)
    return path


@contextlib.contextmanager
def llama_cpp(model: Path, *, is_awaited: bool = True, **parameters: Any) -> Iterator[LlamaCpp]:
    """Run the server.

    Args:
        model: The file of its model.
        is_awaited: Whether to wait until it has loaded its model.
        parameters: Its parameters, by the names of xllamacpp.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {
        "model": str(model),
        "port": port,
        "n_ctx": 32_768,
        "n_parallel": 1,
        "model_alias": [MODEL],
    }
    command = [sys.executable, str(HERE / "serve.py"), json.dumps(given | parameters)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(model.parent), "GGML_NO_BACKTRACE": "1"}
    output = model.with_suffix(".log")
    with (
        output.open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own
            command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
        ) as server,
    ):
        try:
            running = LlamaCpp(f"http://127.0.0.1:{port}")
            _wait(running.url, server, output, is_awaited=is_awaited)
            yield running
        finally:
            server.terminate()


def _wait(url: str, server: subprocess.Popen[bytes], output: Path, *, is_awaited: bool) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/health").close()
        except urllib.error.HTTPError as refused:
            refused.close()
            if not is_awaited:
                return
        except OSError:
            pass
        else:
            return
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"no llama.cpp: {output.read_text('utf-8')}")
        time.sleep(0.005)
