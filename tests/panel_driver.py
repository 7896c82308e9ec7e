"""Looks at a panel and works it as a person does, without a browser."""

from __future__ import annotations

import html
import re
import threading
from typing import TYPE_CHECKING, Any

import ipywidgets

from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.notebook.panel import advice, probe, served, usage
from openhands_llm_magic.notebook.panel.connection import THREAD
from openhands_llm_magic.notebook.panel.panel import Panel
from openhands_llm_magic.notebook.panel.parts import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openhands_llm_magic.llm.worker import Clock

PATIENCE_S = 30


class Driver:
    """A person at a panel.

    Args:
        clock: That of the panel's tests.
        language: The panel's.
    """

    def __init__(self, clock: Clock | None = None, language: str = "en") -> None:
        self.settings = LLMSettings()
        if language != "en":
            self.settings.set(language=language)
        self.panel = Panel(self.settings, clock)

    @property
    def widgets(self) -> list[Any]:
        """Every widget that is not hidden, from top to bottom."""
        return list(_shown(self.panel.box))

    @property
    def text(self) -> str:
        """What can be read, without the texts on controls."""
        read = [each.value for each in self.widgets if isinstance(each, ipywidgets.HTML)]
        return html.unescape(re.sub(r"<[^>]+>", " ", "\n".join(read)))

    @property
    def labels(self) -> list[str]:
        """The labels of the controls."""
        return [getattr(each, "description", "") or each.label for each in self.controls]

    @property
    def controls(self) -> list[Any]:
        """All that a person can set."""
        kinds = (ipywidgets.HTML, ipywidgets.Box, ipywidgets.Button)
        return [
            each
            for each in self.widgets
            if hasattr(each, "description") or _is_key(each)
            if not isinstance(each, kinds)
        ]

    def control(self, label: str) -> Any:
        """Find a control by its label."""
        [found] = [
            each for each, name in zip(self.controls, self.labels, strict=True) if name == label
        ]
        return found

    def type(self, label: str, value: object) -> None:
        """Set a control."""
        self.control(label).value = value

    def choose(self, provider: str) -> None:
        """Choose a provider by its title."""
        self.control("Provider").label = provider

    def key(self, text: str, label: str = "API key") -> None:
        """Type a key, as the field's JavaScript sends it."""
        data = {"method": "custom", "content": {"type": "secret", "value": text}}
        self.control(label)._handle_msg({"content": {"data": data}, "buffers": []})

    def press(self, name: str) -> None:
        """Press a button by what stands on it, or by its tooltip."""
        [button] = [each for each in self.buttons if name in (each.description, each.tooltip)]
        button.click()

    @property
    def buttons(self) -> list[Any]:
        """The buttons that are not hidden."""
        return [each for each in self.widgets if isinstance(each, ipywidgets.Button)]

    def test(self, button: str = "Test") -> None:
        """Press a button that begins a test, and wait until the test is over."""
        self.press(button)
        self.wait()

    @staticmethod
    def wait() -> None:
        """Wait until nothing is tested or probed, no server is asked, and no ledger is read."""
        for thread in threading.enumerate():
            if thread.name in (THREAD, *(each.THREAD for each in (advice, probe, served, usage))):
                thread.join(PATIENCE_S)
                assert not thread.is_alive()


def _is_key(widget: Any) -> bool:
    return type(widget).__name__ == "SecretField"


def _shown(widget: Any) -> Iterator[Any]:
    if HIDDEN in widget._dom_classes:
        return
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _shown(child)
