"""Fixtures of the notebook floor: one kernel for the whole run, as its start is what costs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    running_kernel.run("%reset_selective -f .")
    running_kernel.run("%llm_chat --forget")
    running_kernel.run("%llm_config --reset")
    running_kernel.run(
        "from openhands_llm_magic.llm.limits import limiter\ngate.forget()\ndel limiter"
    )
    running_kernel.run("%llm_config model=practice/echo")
    return running_kernel
