"""Every fault of `tests/faults`: the requests that are made, the waits, and what comes of it."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import openai
import pytest
from faults import ANSWER, DIALECTS, FAULTS, Fault
from model_server import LITELLM_MODELS, Refuse
from pairs import paired
from sending import DIALECTS as PROVIDERS
from sending import request_to

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import stream
from openhands_llm_magic.llm.limits import waits
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.llm.reply import Reply, fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fake_clock import FakeClock
    from faults.fault import Dialect
    from model_server import ModelServer

    from openhands_llm_magic.config.resolve import Snapshot

pytestmark = pytest.mark.usefixtures("litellm")


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no limit of a day open within minutes."""
    monkeypatch.setattr(waits, "_now", lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))


HIS_RETRIES = [fault for fault in FAULTS if fault.name in {"429 that names no wait", "500"}]
"""What the OpenAI client would try again by itself."""

DIALECT_OF: dict[str, Dialect] = dict.fromkeys(LITELLM_MODELS, "openai")
DIALECT_OF |= zip(PROVIDERS, DIALECTS, strict=True)
"""The dialect that each of LiteLLM's providers speaks to the server."""


def providers_of(fault: Fault) -> list[str]:
    """Name one provider for each dialect of a fault; of a decisive one, every provider."""
    providers = LITELLM_MODELS if fault.decisive else PROVIDERS
    return [each for each in providers if DIALECT_OF[each] in fault.dialects]


def settings_for(server: ModelServer, provider: str, fault: Fault) -> Snapshot:
    """Return settings that lead to the server, with the default policy of retries."""
    base_url = server.base_for(provider)
    if fault.step(DIALECT_OF[provider]) is None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        base_url = f"http://127.0.0.1:{port}/v1"
    settings = load_settings(
        env={
            "LLM_MODEL": f"{provider}/{LITELLM_MODELS[provider]}",
            "LLM_BASE_URL": base_url,
            "LLM_API_KEY": "sk-canary-0123456789abcdef",
            "LLM_API_VERSION": "2024-12-01-preview",
        }
    )
    return settings.with_overrides(fault.settings)


def waits_of(reply: Reply) -> list[tuple[float, str]]:
    return [(wait.wait_s, wait.set_by) for wait in reply.waits]


def abridged(text: str) -> str:
    """Keep a failing test from comparing 20 MB for its message."""
    return text if len(text) < 1000 else f"{text[:10]}... ({len(text)}, {hash(text)})"


def told(reply: Reply) -> str:
    """The line that IPython shows for a failure."""
    return reply.error._render_traceback_()[0] if reply.error else ""


@pytest.mark.parametrize(
    ("fault", "provider"),
    paired((fault for fault in FAULTS if not fault.takes_seconds), providers_of),
)
def test_a_fault_that_goes_on(
    model_server: ModelServer, clock: FakeClock, fault: Fault, provider: str
) -> None:
    """A permanent one is asked once; a transient one as often, and after the waits, as it says."""
    if step := fault.step(DIALECT_OF[provider]):
        model_server.script(step)
    settings = settings_for(model_server, provider, fault)
    reply = fold(stream("Hello", settings, clock=clock))
    set_by = "policy" if fault.server_wait_s is None else "server"
    assert waits_of(reply) == [(wait_s, set_by) for wait_s in fault.waits_s]
    assert clock.now() == sum(fault.waits_s)
    assert reply.attempts == fault.requests
    assert model_server.count == (fault.requests if step else 0)
    assert type(reply.error) is (fault.error or type(None))
    shown = fault.shown.format(model=settings.model, base_url=settings.base_url)
    assert told(reply).startswith(f"{fault.error.__name__}: {shown}" if fault.error else "")
    assert fault.names.format(base_url=settings.base_url) in told(reply)
    assert len(told(reply).splitlines()) <= 1
    assert abridged(reply.text) == abridged(fault.text)
    assert reply.finish_reason == fault.finish_reason


@pytest.mark.parametrize(
    ("fault", "provider"), paired((fault for fault in FAULTS if fault.passes), providers_of)
)
def test_a_fault_that_passes(
    model_server: ModelServer, clock: FakeClock, fault: Fault, provider: str
) -> None:
    """Two requests and one wait, and nothing of the first attempt is left in the answer."""
    step = fault.step(DIALECT_OF[provider])
    assert step is not None
    model_server.script(step, ANSWER)
    reply = fold(stream("Hello", settings_for(model_server, provider, fault), clock=clock))
    assert (told(reply), reply.text, reply.finish_reason) == ("", ANSWER.text, "stop")
    assert [wait.wait_s for wait in reply.waits] == [fault.waits_s[0]]
    assert [type(wait.caused_by) for wait in reply.waits] == [fault.error]
    assert model_server.count == reply.attempts == 2
    assert clock.now() == fault.waits_s[0]


@pytest.fixture
def his_requests(
    model_server: ModelServer, litellm: Any, provider: str
) -> Iterator[Callable[[], int]]:
    """Let the user ask by himself, with a client of his own, and give his number of requests."""
    request = request_to(model_server, provider)
    kinds = {"openai": openai.OpenAI, "azure": openai.AzureOpenAI}
    names = {"base_url": "azure_endpoint"} if provider == "azure" else {}
    options = {names.get(name, name): value for name, value in request.options.items()}
    his = kinds[provider](**options, max_retries=3)

    def ask_in_vain() -> int:
        model_server.script(Refuse(500, {"retry-after-ms": "1"}))
        before = model_server.count
        with suppress(openai.APIError):
            litellm.completion(request.model, list(request.messages), client=his, **request.options)
        return model_server.count - before

    with closing(his):
        yield ask_in_vain


@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize("fault", HIS_RETRIES, ids=lambda fault: fault.name)
def test_the_users_own_litellm_makes_no_difference(
    model_server: ModelServer,
    clock: FakeClock,
    his_requests: Callable[[], int],
    fault: Fault,
    provider: str,
) -> None:
    """Nor do our requests to it: his client's retries and his switches are as before.

    `litellm/test_send.py` has the same for the clients that LiteLLM keeps, and for each path.
    """
    litellm = load()
    usual = his_requests()
    assert usual > 1
    with pytest.MonkeyPatch.context() as his:
        his.setattr(litellm, "num_retries", 2)
        his.setattr(litellm, "model_fallbacks", ["openai/other"])
        model_server.script(fault.step("openai") or ANSWER)
        reply = fold(stream("Hello", settings_for(model_server, provider, fault), clock=clock))
        assert type(reply.error) is fault.error
        assert model_server.count == usual + fault.requests
        assert clock.now() == sum(fault.waits_s)
        assert (litellm.num_retries, litellm.model_fallbacks) == (2, ["openai/other"])
    assert his_requests() == usual
