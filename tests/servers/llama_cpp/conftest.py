"""Fixtures of the tests with llama.cpp's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.llama_cpp.server import LlamaCpp, llama_cpp, write_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that says what it was told to say."""
    return write_tiny(tmp_path_factory.mktemp("llama.cpp") / "tiny.gguf")


@pytest.fixture(scope="session")
def nonsense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that writes nonsense without end."""
    return write_tiny(tmp_path_factory.mktemp("llama.cpp") / "nonsense.gguf", is_nonsense=True)


@pytest.fixture
def server(tiny: Path) -> Iterator[LlamaCpp]:
    """A server of that model, with nothing in its cache."""
    with llama_cpp(tiny) as server:
        yield server
