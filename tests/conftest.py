"""Fixtures that all tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from model_server import ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the keys, settings and profile of whoever runs the tests, and start in an empty folder.

    The home folder does not exist until something writes to it.
    """
    for name in list(os.environ):
        if name.startswith(("LLM_", "LITELLM_", "IPYTHON", "JUPYTER")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A loopback server that plays the model."""
    with ModelServer() as server:
        yield server
