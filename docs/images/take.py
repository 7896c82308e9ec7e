"""Take the pictures of the README: `make images`, with Chromium installed.

A real JupyterLab runs the cells, and a real browser shows them. A wait is filmed: one picture each
time the cell's output changes, put together as an animated PNG.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
THEMES = {"": "JupyterLab Light", "-dark": "JupyterLab Dark"}
"""What is added to the film's name, and the theme it is taken in."""

LOAD = "%load_ext openhands_llm_magic"
WAIT = '%%llm -m practice/rate-limited\nWhat does {"temperature": 0} change?'
ANSWER = "%%llm -m practice/markdown\nShow me some Markdown."

WIDTH = 800
"""Width of the browser's window, in CSS pixels; below 760, JupyterLab lays it out for a phone."""

SCALE = 1.3
"""Pixels of a picture for one CSS pixel."""

FILM_HEIGHT = 285
"""Height of every frame of the film, in CSS pixels: room for the cells and the answer."""

LAST_FRAME_S = 5.0
"""How long the film shows its end before it starts again."""

DEADLINE_S = 60

CHROMIUM_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def jupyterlab(home: Path) -> Iterator[str]:
    """Run JupyterLab on a folder, with no one's settings or keys, and give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    root = ["--allow-root"] if os.geteuid() == 0 else []
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", *root]
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": home}
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    command += ["--IdentityProvider.token=", "--LabApp.news_url="]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stderr=log)  # noqa: S603 - our own
        try:
            wait_for_server(url, server)
            yield url
        finally:
            server.terminate()
            server.wait()


def wait_for_server(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/api").close()  # noqa: S310 - loopback
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def open_notebook(page: Any, url: str, home: Path, cell: str, theme: str) -> None:
    """Open a new notebook with one cell after the one that loads the extension, and run both."""
    name = f"{time.monotonic_ns()}"
    cells = [new_code_cell(LOAD), new_code_cell(cell)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), home / f"{name}.ipynb")
    page.goto(f"{url}/lab/workspaces/{name}/tree/{name}.ipynb")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.wait_for_function(  # else running the cells asks which kernel to use
        """() => {
            const context = window.jupyterapp.shell.currentWidget?.sessionContext;
            return context?.isReady && context.session?.kernel?.status === "idle";
        }"""
    )
    page.evaluate(
        """async (theme) => {
            await jupyterapp.commands.execute("application:toggle-left-area");
            await jupyterapp.commands.execute("apputils:change-theme", {theme});
            void jupyterapp.commands.execute("notebook:run-all-cells");
        }""",
        theme,
    )


def picture(page: Any, height: float | None = None) -> bytes:
    """Take the cells, down to the end of the last one or to a height."""
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    clip, last = cells.first.bounding_box(), cells.last.bounding_box()
    clip["height"] = height or last["y"] + last["height"] - clip["y"]
    taken: bytes = page.screenshot(clip=clip)
    return taken


def film(page: Any) -> list[tuple[bytes, float]]:
    """Film the first wait to the end of the cell: each picture, and the seconds it was shown.

    The first frame, which is all that some viewers show, is one of the countdown.
    """
    frames: list[bytes] = []
    times_s: list[float] = []
    cell = page.locator(".jp-Notebook .jp-CodeCell").last
    deadline = time.monotonic() + DEADLINE_S
    text = ""
    while "[2]:" not in text:
        if time.monotonic() > deadline:
            raise TimeoutError(page.locator(".jp-Notebook").inner_text())
        text = cell.inner_text()
        frame = picture(page, FILM_HEIGHT)
        if (frames or "retry" in text) and [frame] != frames[-1:]:
            frames.append(frame)
            times_s.append(time.monotonic())
    shown_s = [after - before for before, after in pairwise(times_s)] + [LAST_FRAME_S]
    return list(zip(frames, shown_s, strict=True))


def animated(frames: list[tuple[bytes, float]]) -> bytes:
    """Put PNG pictures of one size together, as the third edition of the PNG specification says."""
    header = next(png_chunks(frames[0][0]))[1]
    out = [(b"IHDR", header), (b"acTL", struct.pack(">II", len(frames), 0))]
    number = count()
    for index, (frame, shown_s) in enumerate(frames):
        times = (round(shown_s * 1000), 1000)
        control = struct.pack(">I8s2I2H2B", next(number), header[:8], 0, 0, *times, 0, 0)
        out.append((b"fcTL", control))
        pixels = (data for kind, data in png_chunks(frame) if kind == b"IDAT")
        out += (
            (b"fdAT", struct.pack(">I", next(number)) + data) if index else (b"IDAT", data)
            for data in pixels
        )
    out.append((b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in out
    )


def png_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the data of each chunk."""
    at = 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += length + 12


def main() -> None:
    """Take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed; on Debian and Ubuntu: apt-get install chromium")
    flags = [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyterlab(Path(folder)) as url,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=flags) as browser,
    ):
        home = Path(folder)
        window = {"width": WIDTH, "height": 900}
        page = browser.new_page(viewport=window, device_scale_factor=SCALE)
        for suffix, theme in THEMES.items():
            open_notebook(page, url, home, WAIT, theme)
            (HERE / f"wait{suffix}.png").write_bytes(animated(film(page)))
        open_notebook(page, url, home, ANSWER, THEMES[""])
        page.wait_for_selector(".llm-reply mjx-container")
        page.wait_for_timeout(1_000)  # for the fonts of the formulas
        (HERE / "answer.png").write_bytes(picture(page))


if __name__ == "__main__":
    main()
