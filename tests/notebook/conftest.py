"""Fixtures of the notebook floor: a panel, and one kernel for the whole run, whose start costs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from kernel import Kernel
from panel_driver import Driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_clock import FakeClock
    from model_server import ModelServer

FRESH = (
    "%reset_selective -f .",
    "%llm_chat --forget",
    "%llm_config --reset",
    "from openhands_llm_magic.llm.limits import limiter\nlimiter.forget()\ndel limiter",
    "from openhands_llm_magic.llm.limits import seen\nseen.forget()\ndel seen",
    "from openhands_llm_magic.llm.spending import budget\nbudget.forget()\ndel budget",
    "%llm_config model=practice/echo",
)
"""What makes of a used kernel one in which nobody has set, asked or learned anything."""


@pytest.fixture(scope="session")
def running_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the extension loaded."""
    home = tmp_path_factory.mktemp("home")
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with Kernel(env, cwd=str(tmp_path_factory.mktemp("folder"))) as kernel:
        loaded = kernel.run("%load_ext openhands_llm_magic")
        assert loaded.reply["status"] == "ok"
        yield kernel


@pytest.fixture
def kernel(running_kernel: Kernel) -> Kernel:
    """The kernel as a fresh session has it: no variables, conversations or learned limits."""
    ran = running_kernel.run("\n".join(FRESH))
    assert ran.reply["status"] == "ok", ran.error
    return running_kernel


@pytest.fixture
def at_server(model_server: ModelServer, clock: FakeClock) -> Driver:
    """A panel whose settings lead to the loopback server."""
    driver = Driver(clock)
    driver.choose("A server compatible with OpenAI")
    driver.type("Model", "openai/gpt-4o")
    driver.type("Base URL", model_server.openai_base)
    driver.key("sk-canary-0123456789abcdef")
    return driver
