"""JupyterLab in a real browser: one notebook, in a page that shows nothing else."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import nbformat
from browser.server import PATIENCE_S
from nbformat.v4 import new_code_cell, new_notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from browser.server import Lab
    from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Playwright

LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"

SCALE = 2
"""Pixels of a picture for one CSS pixel."""

CHROMIUM_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

THEMES = "@jupyterlab/apputils-extension:themes"
WIDGETS = "@jupyter-widgets/jupyterlab-manager:plugin"

READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    return context?.isReady && context.session?.kernel?.status === "idle";
}"""  # Running a cell before this asks which kernel to use.

IDLE = """() => {
    const context = jupyterapp.shell.currentWidget.sessionContext;
    return !window.running && context.session?.kernel?.status === "idle";
}"""

RUN = """command => {
    window.running = (window.running ?? 0) + 1;
    void jupyterapp.commands.execute(command).finally(() => { window.running -= 1; });
}"""

SELECT = """index => {
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.deselectAll();
    notebook.activeCellIndex = index;
}"""

DRAWN = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    await frame();  // now the fonts that are needed are asked for
    await document.fonts.ready;
    await frame();
}"""

_numbers = itertools.count(1)


def chromium(playwright: Playwright) -> Browser:
    """Start the Chromium of this machine; close it after use."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Chromium is not installed: run the tests with `make test-browser`"
    # Chromium refuses to sandbox itself as root.
    flags = [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    return playwright.chromium.launch(executable_path=path, args=flags)


class Notebook:
    """A notebook of JupyterLab in a page of its own.

    Attributes:
        page: The page, for all that is not here.
        path: The notebook's file, in a folder of its own: the kernel's working folder.
        errors: What the page complained of: errors on its console, and uncaught exceptions.
    """

    def __init__(self, lab: Lab, page: Page) -> None:
        self.lab = lab
        self.page = page
        self.path = lab.files / str(next(_numbers)) / "notebook.ipynb"
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("console", self._on_console)
        page.on("pageerror", self._on_exception)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def _on_exception(self, error: Error) -> None:
        self.errors.append(error.stack or str(error))

    def open(
        self,
        cells: Sequence[str],
        theme: str = LIGHT,
        *,
        startup: str = "",
        save_widget_state: bool = False,
    ) -> None:
        """Write a notebook with these code cells and open it, its kernel started.

        Args:
            cells: The source of each cell.
            theme: `LIGHT`, `DARK` or the name of another theme.
            startup: Code that the kernel runs before any cell.
            save_widget_state: Whether JupyterLab saves the state of widgets in the notebook.
        """
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=kernel)
        self.path.parent.mkdir()
        nbformat.write(notebook, self.path)
        self.lab.use_startup(startup)
        self.lab.use_settings({THEMES: {"theme": theme}, WIDGETS: {"saveState": save_widget_state}})
        # A workspace that was used before would bring its tabs back.
        name = self.path.parent.name
        self.page.goto(f"{self.lab.url}/lab/workspaces/{name}/tree/{name}/{self.path.name}")
        self._wait_until_ready(theme)
        self.command("application:toggle-left-area")

    def _wait_until_ready(self, theme: str) -> None:
        self.page.wait_for_selector(f'body[data-jp-theme-name="{theme}"]', state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        self.page.wait_for_function(READY)

    def reload(self, *, new_kernel: bool = False) -> None:
        """Load the page again: it shows the notebook as it was saved.

        Args:
            new_kernel: Whether its kernel ends before; else it has the same.
        """
        theme = self.theme
        if new_kernel:
            self.page.goto("about:blank")
            self.lab.shut_down_kernels()
            self.page.go_back()
        else:
            self.page.reload()
        self._wait_until_ready(theme)

    def command(self, name: str, **arguments: object) -> None:
        """Carry out a command of JupyterLab to its end."""
        self.page.evaluate(
            "([name, arguments]) => jupyterapp.commands.execute(name, arguments).then(() => null)",
            [name, arguments],
        )

    def run_all(self) -> None:
        """Start all cells, one after the other; `wait_for_idle` waits for the last."""
        self.page.evaluate(RUN, "notebook:run-all-cells")

    def select(self, cell: int) -> None:
        """Make one cell the active one, the first being 0."""
        self.page.evaluate(SELECT, cell)

    def run(self, cell: int) -> None:
        """Start one cell, the first being 0; `wait_for_idle` waits for its end."""
        self.select(cell)
        self.page.evaluate(RUN, "notebook:run-cell")

    @property
    def idle(self) -> bool:
        """Whether every cell that was started has ended and the kernel has nothing to do."""
        answer: bool = self.page.evaluate(IDLE)
        return answer

    def wait_for_idle(self) -> None:
        """Return when it is idle."""
        self.page.wait_for_function(IDLE)

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    @property
    def saved(self) -> Any:
        """The notebook's file, read again: an nbformat notebook."""
        return nbformat.read(self.path, as_version=4)

    @property
    def trusted(self) -> bool:
        """Whether JupyterLab shows the outputs of every cell as they are."""
        answer: bool = self.page.evaluate(
            """() => [...jupyterapp.shell.currentWidget.content.model.cells]
                .every(cell => cell.trusted)"""
        )
        return answer

    @property
    def theme(self) -> str:
        """The name of the theme; setting it changes the open page."""
        name: str = self.page.evaluate("() => document.body.dataset.jpThemeName")
        return name

    @theme.setter
    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=name)
        self._wait_until_ready(name)

    def cell(self, index: int) -> Locator:
        """Find a cell, the first being 0 and the last -1."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def output(self, index: int) -> Locator:
        """Find all that is shown below the code of a cell."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    @property
    def outputs(self) -> list[str]:
        """What a person reads below each cell."""
        areas = self.page.locator(".jp-Notebook .jp-Cell-outputArea")
        texts: list[str] = areas.all_inner_texts()
        return texts

    def area(self, first: int = 0, last: int = -1) -> dict[str, float]:
        """Return where some cells are, to the end of the last one: x, y, width and height.

        Args:
            first: The first of them.
            last: The last of them.
        """
        begin, end = self.cell(first).bounding_box(), self.cell(last).bounding_box()
        return {**begin, "height": end["y"] + end["height"] - begin["y"]}

    def picture(self, first: int = 0, last: int = -1) -> bytes:
        """Take a PNG of some cells, to the end of the last one."""
        return self.picture_of(self.area(first, last))

    def picture_of(self, area: dict[str, float]) -> bytes:
        """Take a PNG of an area of the page."""
        self.page.evaluate(DRAWN)
        below = area["y"] + area["height"] - self.page.viewport_size["height"]
        assert below <= 0, f"the window is {below} pixels too low for the picture"
        taken: bytes = self.page.screenshot(clip=area)
        return taken
