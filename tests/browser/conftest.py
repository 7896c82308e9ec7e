"""Fixtures of the browser tests: one server and one browser for all, a page for each notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser.lab import LIGHT, SCALE, Notebook, chromium
from browser.server import PATIENCE_S, Lab, jupyterlab
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

WIDTH = 800
"""Width of the window, in CSS pixels; below 760, JupyterLab lays it out for a phone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--images", metavar="FOLDER", help="where the tests put their pictures")


@pytest.fixture(scope="session")
def images(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pictures are written to."""
    chosen = request.config.getoption("--images")
    if chosen is None:
        return tmp_path_factory.mktemp("images")
    folder = Path(request.config.invocation_params.dir, chosen)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The JupyterLab server of all browser tests."""
    with jupyterlab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of all browser tests."""
    expect.set_options(timeout=PATIENCE_S * 1000)  # as pages wait; its own is 5 s
    with sync_playwright() as playwright, chromium(playwright) as browser:
        yield browser


class OpenNotebook(Protocol):
    """Opens a notebook in a page of its own; the rest is said at `Notebook.open`."""

    def __call__(
        self,
        *cells: str,
        theme: str = LIGHT,
        startup: str = "",
        save_widget_state: bool = False,
        width: int = WIDTH,
        height: int = 900,
    ) -> Notebook: ...


@pytest.fixture
def notebook(lab: Lab, browser: Browser) -> Iterator[OpenNotebook]:
    """Opens notebooks; their pages and kernels end with the test."""
    contexts: list[Any] = []

    def open_notebook(
        *cells: str,
        theme: str = LIGHT,
        startup: str = "",
        save_widget_state: bool = False,
        width: int = WIDTH,
        height: int = 900,
    ) -> Notebook:
        window = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=window, device_scale_factor=SCALE))
        opened = Notebook(lab, contexts[-1].new_page())
        opened.open(cells, theme, startup=startup, save_widget_state=save_widget_state)
        return opened

    yield open_notebook
    for context in contexts:
        context.close()
    lab.shut_down_kernels()


@pytest.fixture(scope="session")
def axe() -> Callable[[Page, str], list[str]]:
    """Looks for what keeps people out: `axe(page, selector)`.

    It gives one line for each serious or critical violation of axe-core's rules within what the
    selector finds.
    """
    checker = Axe()

    def violations(page: Page, selector: str) -> list[str]:
        assert page.locator(selector).count(), f"nothing to check: {selector}"
        found = checker.run(page, selector).response["violations"]
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {node['html']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    return violations
