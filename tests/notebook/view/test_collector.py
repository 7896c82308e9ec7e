"""The garbage collector while something is rendered."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from openhands_llm_magic.notebook.view import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[True, False])
def was_on(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the user has the collector on."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_it_is_off_meanwhile_and_as_it_was_afterwards(*, was_on: bool) -> None:
    """Also when the rendering is broken off."""

    @sanitize.collector_off()
    def render() -> None:
        assert not gc.isenabled()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render()
    assert gc.isenabled() is was_on
