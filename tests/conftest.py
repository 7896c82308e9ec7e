"""Fixtures that all tests share."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from fake_clock import FakeClock
from hypothesis import HealthCheck, settings
from jupyter_core.utils import ensure_event_loop
from keyring_in_memory import InMemory
from model_server import ModelServer

from openhands_llm_magic.config import withdrawn
from openhands_llm_magic.llm.limits import limiter, seen
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.spending import budget, ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# How long an example takes says nothing on a machine that does other work, too. A person runs the
# tests often, each time with other examples; CI tries as many as Hypothesis does by default.
settings.register_profile(
    "shared machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=100 if os.environ.get("CI") else 30,
)
settings.load_profile("shared machine")

# A script that runs the tests in the background, as `make test &`, has them ignore interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test-interrupts` interrupt more cells than `make test-slow` does."""
    parser.addoption("--interrupts", type=int, default=40, help="cells to interrupt at random")


@pytest.fixture(scope="session", autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Close the event loop that Jupyter's client and LiteLLM would else make and leave open.

    The garbage collector would complain of it in the middle of another test.
    """
    loop = ensure_event_loop()
    asyncio.set_event_loop(loop)
    yield
    _close_clients()
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the keys, settings and shell of whoever runs the tests, and start in an empty folder.

    The home folder does not exist until something writes to it.
    """
    for name in list(os.environ):
        settings_of_ours = name.startswith(("LLM_", "LITELLM_", "IPYTHON", "JUPYTER"))
        # A company's proxy does not reach the servers of tests, which listen on loopback.
        if settings_of_ours or name.upper().endswith(("_API_KEY", "_PROXY")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # another than ours: IPython warns of it
    monkeypatch.setenv("LLM_MAGIC_LEDGER", "off")  # a test of it names one
    monkeypatch.setenv("LC_ALL", "C.UTF-8")  # what is said is in English
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_model_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test on a day before the ends of all models, so that no test changes with the days."""
    monkeypatch.setattr(withdrawn, "today", lambda: date(2020, 1, 1))


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    """Forget what earlier tests have taught about a server's limit, and what they have spent."""
    limiter.forget()
    seen.forget()
    budget.forget()
    yield
    ledger.close_all()  # each test has one of its own, in its home folder


def _close_clients() -> None:
    """Close the HTTP clients that LiteLLM keeps, one for each address it was sent to."""
    if "litellm" in sys.modules:
        cache = sys.modules["litellm"].in_memory_llm_clients_cache
        for kept in cache.cache_dict.values():
            if hasattr(kept, "close") and not inspect.iscoroutinefunction(kept.close):
                kept.close()
        cache.flush_cache()


@pytest.fixture
def forget_clients() -> Callable[[], None]:
    """Makes LiteLLM as it is before its first request."""
    return _close_clients


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A loopback server that plays the model."""
    with ModelServer() as server:
        yield server
    _close_clients()


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch, model_server: ModelServer) -> None:
    """Settings that reach the server, from the environment."""
    monkeypatch.setenv("LLM_MODEL", "openai/gpt-4o")
    monkeypatch.setenv("LLM_BASE_URL", model_server.openai_base)
    monkeypatch.setenv("LLM_API_KEY", "sk-canary-0123456789abcdef")


@pytest.fixture
def clock() -> FakeClock:
    """A clock on which waits take no time."""
    return FakeClock()


@pytest.fixture
def litellm() -> Any:
    """LiteLLM, imported as the package does it, which takes seconds the first time."""
    return load()


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[str, str], str]]:
    """What a keyring in memory holds: service and name, then password."""
    before = keyring.get_keyring()
    monkeypatch.setattr(InMemory, "passwords", {}, raising=False)
    keyring.set_keyring(InMemory())  # type: ignore[no-untyped-call]  # keyring's own
    yield InMemory.passwords
    keyring.set_keyring(before)
