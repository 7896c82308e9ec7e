"""Nothing of an HTTP request is left to the garbage collector.

That may end an open stream at any moment, on any thread. Where it does so within httpcore, which
holds a lock then that closing needs, the thread waits for itself for ever
(https://github.com/encode/httpcore/pull/1108).
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from httpcore._sync.connection_pool import PoolByteStream
from model_server import LITELLM_MODELS, Answer, Cut, Refuse
from sending import request_to, send_once

from openhands_llm_magic.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server import ModelServer

pytestmark = [pytest.mark.usefixtures("litellm"), pytest.mark.slow]

STEPS = (Answer(), Refuse(429), Refuse(500, after_chunks=2), Cut(), Cut(how="reset"))


def open_streams() -> list[PoolByteStream]:
    streams = [each for each in gc.get_objects() if isinstance(each, PoolByteStream)]
    return [each for each in streams if not each._closed]


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Leave everything as it is, so that it can be found."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collector_off")
@pytest.mark.parametrize("provider", LITELLM_MODELS)
def test_every_stream_is_closed(model_server: ModelServer, provider: str) -> None:
    for step in STEPS:
        model_server.script(step)
        try:
            list(send_once(request_to(model_server, provider)))
        except RequestError:
            continue
    assert open_streams() == []


@pytest.mark.usefixtures("collector_off")
def test_a_stream_that_is_left_off_is_closed(model_server: ModelServer) -> None:
    events = send_once(request_to(model_server))
    next(events)
    events.close()
    assert open_streams() == []
