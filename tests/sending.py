"""One prompt to the test server, as one request or under the retry policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from model_server import LITELLM_MODELS

from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.events import Done
from openhands_llm_magic.llm.litellm import embed as litellm_embed
from openhands_llm_magic.llm.litellm import send as litellm_send
from openhands_llm_magic.llm.prepare import Request
from openhands_llm_magic.llm.worker import Control, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from fake_clock import FakeClock
    from model_server import ModelServer, Step

    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.prepare import EmbeddingRequest, Response

DIALECTS = ("openai", "anthropic", "gemini", "ollama_chat")
"""One of LiteLLM's providers for each dialect of the server."""


def request_to(server: ModelServer, provider: str = "openai", **options: Any) -> Request:
    """Make the request of one prompt; `options` are those of `litellm.completion`."""
    options = {"base_url": server.base_for(provider), "api_key": "sk-test-key", **options}
    if provider == "azure":
        options["api_version"] = "2024-12-01-preview"
    model = f"{provider}/{LITELLM_MODELS.get(provider, 'a-model')}"
    return Request(model, [{"role": "user", "content": "Hello"}], options)


def send_once(request: Request) -> Generator[Event]:
    """Send a prompt once, on a thread as a run has it; leaving off hangs up.

    Raises:
        RequestError: There is no whole answer.
    """
    control = Control()

    def job(emit: Callable[[Any], None]) -> None:
        response = control.on_socket(lambda: litellm_send.send(request, emit))
        if response.usage is not None:
            emit(response.usage)
        done = Done(response.finish_reason, response.cost.usd, response.raw)
        emit(response.error or done)

    for event in Run(job, control):
        if isinstance(event, RequestError):
            raise event
        yield event


def sent(request: Request) -> list[Event]:
    """Send a prompt once, on this thread, and return the events, no texts joined.

    Raises:
        RequestError: There is no whole answer.
    """
    events: list[Event] = []
    response = litellm_send.send(request, events.append)
    if response.usage is not None:
        events.append(response.usage)
    if response.error is not None:
        raise response.error
    return [*events, Done(response.finish_reason, response.cost.usd, response.raw)]


def embed_once(request: EmbeddingRequest) -> Response:
    """Ask for vectors once.

    Raises:
        RequestError: There are no vectors.
    """
    response = litellm_embed.embed(request, lambda _event: None)
    if response.error is not None:
        raise response.error
    return response


def send(server: ModelServer, step: Step, provider: str = "openai", **options: Any) -> list[Event]:
    """Send the prompt and give the events of the answer."""
    server.script(step)
    return sent(request_to(server, provider, **options))


def failure(
    server: ModelServer, step: Step, provider: str = "openai", **options: Any
) -> RequestError:
    """Send the prompt and give the error."""
    with pytest.raises(RequestError) as caught:
        send(server, step, provider, **options)
    return caught.value


def ask_in_vain(clock: FakeClock, **overrides: Any) -> RequestError:
    """Ask with the settings that are found, and give the error."""
    with pytest.raises(RequestError) as caught:
        ask("Hello", clock=clock, **overrides)
    return caught.value


def takes_sampling(model: str) -> bool:
    """Return whether this LiteLLM sends temperature and top_p to a model of Google AI Studio.

    From 1.110 on it leaves them out for Gemini 3.6 and later, which do not take them; for other
    providers the answer is true, as nothing has changed there.
    """
    import litellm  # noqa: PLC0415 - takes a second

    provider, _, name = model.partition("/")
    if provider != "gemini":
        return True
    return "temperature" in (litellm.get_supported_openai_params(name, "gemini") or ())
