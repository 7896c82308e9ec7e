"""Nothing of an HTTP request is left to the garbage collector.

That may end an open stream at any moment, on any thread. Where it does so within httpcore, which
holds a lock then that closing needs, the thread waits for itself for ever
(https://github.com/encode/httpcore/pull/1108).
"""

from __future__ import annotations

import gc
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from httpcore._sync.connection_pool import PoolByteStream
from model_server import LITELLM_MODELS, Answer, Cut, Refuse
from sending import request_to, send_once

from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.litellm.embed import _close_unless_kept, embed
from openhands_llm_magic.llm.prepare import EmbeddingRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.mark.usefixtures("collector_off")
@pytest.mark.parametrize(
    "provider", ["cohere", "gemini", "lm_studio", "mistral", "openai", "voyage"]
)
def test_every_connection_for_vectors_is_closed(
    model_server: ModelServer, forget_clients: Callable[[], None], provider: str
) -> None:
    """But for those of clients that LiteLLM keeps, which are closed here."""
    for step in (Answer(), Refuse(500), Refuse(401)):
        model_server.script(step)
        options = {"base_url": model_server.base_for(provider), "api_key": "sk-test-key"}
        embed(EmbeddingRequest(f"{provider}/a-model", ("one", "two"), options), lambda _: None)
    forget_clients()
    found = [each for each in gc.get_objects() if isinstance(each, socket.socket)]
    assert [
        each for each in found if _leads_to(each, urlsplit(model_server.openai_base).port)
    ] == []


def test_a_client_of_the_persons_own_is_not_closed(
    litellm: Any, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM sends with `client_session` where somebody has set it."""
    with httpx.Client() as own:
        monkeypatch.setattr(litellm, "client_session", own)
        _close_unless_kept(litellm, own)
        assert own.get(model_server.openai_base).status_code


def _leads_to(found: socket.socket, port: int | None) -> bool:
    try:
        return found.fileno() >= 0 and found.getpeername()[1] == port
    except (OSError, IndexError):  # closed by now; of another family
        return False
