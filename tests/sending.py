"""One prompt to the test server, by way of `send_once` or `session.ask`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from model_server import LITELLM_MODELS

from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.litellm.send import send as send_once
from openhands_llm_magic.llm.request import Request
from openhands_llm_magic.llm.session import ask

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from model_server import ModelServer, Step

    from openhands_llm_magic.llm.events import Event

DIALECTS = ("openai", "anthropic", "gemini", "ollama_chat")
"""One of LiteLLM's providers for each dialect of the server."""


def request_to(server: ModelServer, provider: str = "openai", **options: Any) -> Request:
    """Make the request of one prompt; `options` are those of `litellm.completion`."""
    options = {"base_url": server.base_for(provider), "api_key": "sk-test-key", **options}
    if provider == "azure":
        options["api_version"] = "2024-12-01-preview"
    model = f"{provider}/{LITELLM_MODELS.get(provider, 'a-model')}"
    return Request(model, [{"role": "user", "content": "Hello"}], options)


def send(server: ModelServer, step: Step, provider: str = "openai", **options: Any) -> list[Event]:
    """Send the prompt and give the events of the answer."""
    server.script(step)
    return list(send_once(request_to(server, provider, **options)))


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
