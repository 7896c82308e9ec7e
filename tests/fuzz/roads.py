"""The whole road of a prompt, over HTTP to a server of this machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fake_clock import FakeClock
from fuzz.mutating import KEY, told
from model_server import LITELLM_MODELS

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.ask import stream
from openhands_llm_magic.llm.limits import limiter
from openhands_llm_magic.llm.reply import fold

if TYPE_CHECKING:
    from model_server import ModelServer, Step

    from openhands_llm_magic.llm.reply import Reply


def asked(server: ModelServer, step: Step, provider: str = "openai") -> Reply:
    """Ask a server that does one thing, and require of the reply what always must hold."""
    limiter.forget()
    server.script(step)
    settings = load_settings(
        env={
            "LLM_MODEL": f"{provider}/{LITELLM_MODELS.get(provider, 'a-model')}",
            "LLM_BASE_URL": server.base_for(provider),
            "LLM_API_KEY": KEY,
            "LLM_NUM_RETRIES": "1",
        }
    )
    clock = FakeClock()
    reply = fold(stream("Hello", settings, clock=clock))
    assert reply.attempts <= 2
    assert 0 <= clock.now() < math.inf
    assert KEY not in f"{reply.text}{reply.reasoning}{reply.raw}{reply.waits}{reply.notes}"
    if reply.error is not None:
        assert isinstance(reply.error, RequestError)
        told(reply.error)
    return reply
