"""The versions of OpenHands that `make test-openhands` installs, each run by its own Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from openhands.real import OpenHands
from openhands.record import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the environments."""
    for name in (*FORMS, "openhands-cli"):
        parser.addoption(f"--{name}", type=_folder, help=f"the environment with {name}")


def _folder(text: str) -> Path:
    """Return the folder that an option names, whatever folder a test goes to."""
    return Path(text).absolute()


@pytest.fixture(scope="session", params=FORMS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a version after `--as`."""
    return str(request.param)


@pytest.fixture(scope="session")
def openhands(
    name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenHands]:
    """That version."""
    python = request.config.getoption(f"--{name}") / "bin" / "python"
    with OpenHands(python, tmp_path_factory.mktemp(name)) as running:
        yield running


@pytest.fixture(scope="session")
def sdk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenHands]:
    """The SDK of the current OpenHands."""
    python = request.config.getoption("--openhands-sdk") / "bin" / "python"
    with OpenHands(python, tmp_path_factory.mktemp("sdk")) as running:
        yield running
