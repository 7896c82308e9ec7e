"""What a page does that nobody asked it for, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from browser.lab import Notebook
    from playwright.sync_api import Dialog, Request, Route

COUNT_HITS = """() => {
    let hits = 0;
    Object.defineProperty(window, "hit", {get: () => hits, set: () => { hits += 1; }});
}"""

LABS_OWN = ("static/", "lab/extensions/", "lab/api/", "kernelspecs/", "api/", "lsp/")
"""Paths of the server from which JupyterLab itself loads."""


class Watch:
    """Watches an open notebook from now on, and lets nothing out to the network.

    Attributes:
        acts: What the page loaded and opened, one line for each.
    """

    def __init__(self, notebook: Notebook) -> None:
        self.acts: list[str] = []
        self._page = page = notebook.page
        self._home = f"{notebook.lab.url}/"
        page.context.add_init_script(f"({COUNT_HITS})()")  # for frames, and for the page reloaded
        page.evaluate(COUNT_HITS)
        page.context.route(lambda url: not url.startswith(self._home), self._keep_in)
        page.context.on("request", self._on_request)
        page.context.on("page", lambda made: self.acts.append(f"page {made.url}"))
        page.on("frameattached", lambda frame: self.acts.append(f"frame {frame.url}"))
        page.on("dialog", self._on_dialog)

    def _keep_in(self, route: Route) -> None:
        route.fulfill(status=204)  # with which the browser stays on the page that it shows

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(tuple(self._home + path for path in LABS_OWN)):
            self.acts.append(f"{request.resource_type} {request.url}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.acts.append("dialog")
        dialog.dismiss()

    @property
    def hits(self) -> int:
        """How often the global `hit` was set, in the page and in its frames."""
        return sum(frame.evaluate("() => window.hit") for frame in self._page.frames)
