"""Fixtures of the tests with a real proxy, which runs for all tests of a worker."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from servers.proxy.server import Proxy, litellm_proxy

from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A LiteLLM Proxy."""
    with (
        PracticeServer(pause_s=0) as practice,
        litellm_proxy(tmp_path_factory.mktemp("proxy"), practice) as proxy,
    ):
        yield proxy


@pytest.fixture
def proxy(running_proxy: Proxy) -> Proxy:
    """The proxy, with the part of its log that begins now.

    It and LiteLLM have handled one prompt before: the first takes each of them a second longer.
    """
    ask("The first prompt", **running_proxy.settings("asked-first"))
    return dataclasses.replace(running_proxy, skip=len(running_proxy.handled()))
