"""A real JupyterLab server, with no one's settings, keys or kernels."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATIENCE_S = 60
"""How long the server, or anything in a page, may take before the test fails."""

# A cell that is out of sight is in the page all the same.
SETTINGS = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab server.

    Attributes:
        url: Its address, without a slash at the end.
        home: The folder that holds all that the server, its kernels and JupyterLab write.
        settings: Settings of JupyterLab that every page has: plugin, then name, then value.
    """

    url: str
    home: Path
    settings: Mapping[str, Mapping[str, Any]]

    @property
    def files(self) -> Path:
        """The folder that the server shows."""
        return self.home / "files"

    def use_startup(self, code: str) -> None:
        """Let every kernel that starts from now on run this code before any cell."""
        file = self.home / ".ipython" / "profile_default" / "startup" / "begin.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, "utf-8")

    def use_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Open pages from now on with these settings beside `self.settings`, and no other."""
        folder = self.home / "user-settings"
        shutil.rmtree(folder, ignore_errors=True)
        for plugin, values in {**SETTINGS, **self.settings, **settings}.items():
            file = folder / f"{plugin.replace(':', '/')}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values), "utf-8")

    def files_with(self, text: str) -> list[Path]:
        """Name the files below `home` that hold a text: notebooks, checkpoints, history, logs."""
        wanted = text.encode()
        files = (path for path in self.home.rglob("*") if path.is_file())
        return [path for path in files if wanted in path.read_bytes()]

    def shut_down_kernels(self) -> None:
        """Shut down every kernel of the server."""
        with urllib.request.urlopen(f"{self.url}/api/kernels") as answer:
            kernels = json.load(answer)
        same = {"Cookie": "_xsrf=same", "X-XSRFToken": "same"}  # what the server compares
        for kernel in kernels:
            address = f"{self.url}/api/kernels/{kernel['id']}"
            request = urllib.request.Request(address, headers=same, method="DELETE")
            urllib.request.urlopen(request).close()


@contextlib.contextmanager
def jupyterlab(
    home: Path, *, settings: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Lab]:
    """Run JupyterLab on an empty folder, with no one's settings, keys or kernels.

    Of the caller's environment it gets a PYTHONPATH that names the copy to test.

    Args:
        home: Where all that it writes goes; nobody else's files may be there.
        settings: Settings of JupyterLab for every page: plugin, then name, then value.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab = Lab(f"http://127.0.0.1:{port}", home, settings or {})
    lab.files.mkdir()
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": lab.files}
    root = ["--allow-root"] if os.geteuid() == 0 else []
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", *root]
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    command += ["--IdentityProvider.token=", "--LabApp.news_url="]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    named = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {**named, "HOME": str(home)}
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        environment[f"JUPYTER_{kind}_DIR"] = str(home / f"jupyter-{kind.lower()}")
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(home / "user-settings")
    environment["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "workspaces")
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stderr=log)  # noqa: S603 - our own
        try:
            _wait_for_server(lab.url, server)
            yield lab
        finally:
            server.terminate()
            server.wait()


def _wait_for_server(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/api").close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
