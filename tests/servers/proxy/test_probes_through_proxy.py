"""The probes of practice models behind a LiteLLM Proxy, which come out as without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from servers.proxy.server import AGENTS, BEHIND, CONTEXT_TOKENS, MODELS, PRICES

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.probe.probes import PROBES
from openhands_llm_magic.llm.probe.result import Report
from openhands_llm_magic.llm.probe.run import probe
from openhands_llm_magic.llm.served import place_of, served

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from servers.proxy.server import Proxy

pytestmark = pytest.mark.timeout(300)


def probed(clock: FakeClock, **settings: Any) -> Report:
    *_, report = probe(load_settings().with_overrides(settings), clock)
    assert isinstance(report, Report)
    return report


def found(report: Report) -> dict[str, tuple[str, str]]:
    """Return what came of each probe that asks the model."""
    asking = {each.name for each in PROBES}
    results = [each for each in report.results if each.name in asking]
    return {each.name: (each.outcome, str(each.finding.did)) for each in results}


@pytest.mark.parametrize("model", AGENTS)
def test_a_model_does_as_without_the_proxy(
    model: str, running_proxy: Proxy, clock: FakeClock
) -> None:
    """It tells the size of the context and what each request has cost."""
    directly = probed(clock, model=f"practice/{model}")
    through = probed(clock, **running_proxy.settings(model))
    assert found(through) == found(directly)
    assert [each.answer for each in through.verdicts] == [each.answer for each in directly.verdicts]
    assert through["context"].finding.note.startswith(f"{CONTEXT_TOKENS:,} tokens")
    spent = through.spent
    assert (spent.unknown, spent.is_about) == (0, False)  # each told by the proxy itself
    assert spent.cost_usd == pytest.approx(
        spent.usage.prompt_tokens * PRICES["input_cost_per_token"]
        + spent.usage.completion_tokens * PRICES["output_cost_per_token"],
        rel=0.01,
    )


def test_it_lists_its_models(running_proxy: Proxy) -> None:
    """With the context that it tells."""
    settings = load_settings().with_overrides(running_proxy.settings(MODELS[0]))
    listed = {each.name: each.window_tokens for each in served(place_of(settings))}
    assert set(listed) == {f"litellm_proxy/{each}" for each in (*MODELS, *BEHIND)}
    assert listed["litellm_proxy/agent"] == CONTEXT_TOKENS


def terminal(command: str) -> str:
    """Run a command."""
    return f"{command} has run"


def test_a_function_is_called(running_proxy: Proxy) -> None:
    """The call comes from the model behind it, and what came of it goes back there."""
    prompt = 'call terminal {"command": "echo ready"}'
    reply = ask(prompt, tools=[terminal], **running_proxy.settings("tools"))
    [call] = reply.tool_calls
    assert call.answer == "echo ready has run"
    assert call.answer in reply.text


def test_a_model_that_it_does_not_have(running_proxy: Proxy) -> None:
    """It is told as that, and its words are quoted."""
    with pytest.raises(errors.ModelNotFoundError, match="400"):
        ask("Who is there?", **running_proxy.settings("agent-unheard-of"))


def test_a_wrong_key(running_proxy: Proxy) -> None:
    given = running_proxy.settings("agent") | {"api_key": "sk-wrong-0123456789"}
    with pytest.raises(errors.AuthenticationError):
        ask("Who is there?", **given)
