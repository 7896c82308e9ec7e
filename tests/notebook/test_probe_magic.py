"""`%llm_probe` in a real kernel: what it shows, stores and prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Call, Refuse, asks

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.events import Usage
from openhands_llm_magic.llm.probe.result import Report, Result, Spent
from openhands_llm_magic.notebook import probe_table
from openhands_llm_magic.notebook.wording import Language

if TYPE_CHECKING:
    from kernel import Kernel
    from model_server import ModelServer

ENGLISH = Language("en")


def test_a_good_model(kernel: Kernel) -> None:
    """The estimate comes first; then the verdicts, a row for each probe, and what it took."""
    ran = kernel.run("%llm_probe -m practice/agent -o found")
    assert ran.error is None
    assert ran.stdout == "probing practice/agent: up to 11 requests without retries, local\n"
    shown = ran.outputs[-1]["text/plain"].split("\n")
    assert shown[0] == "OpenHands 0.41: it will do (calls functions in its text)"
    assert shown[1] == "OpenHands SDK 1.58: it will do (calls functions as tools)"
    assert ["✓", "calls", "a", "function", "held"] in [each.split() for each in shown]
    assert shown[-1].startswith("10 requests, ")
    assert shown[-1].endswith(" tokens, local")
    assert kernel.run("print(found['edit'].outcome)").stdout == "held\n"


def test_a_failure_says_what_cures_it(kernel: Kernel) -> None:
    """What the model did stands in its row; what OpenHands makes of it, and the cure, below."""
    ran = kernel.run("%llm_probe -m practice/agent-writes")
    shown = ran.outputs[-1]["text/plain"]
    assert "OpenHands SDK 1.58: it will do with a setting (works with native_tool_calling" in shown
    assert "failed     its call came as text, unread" in shown
    assert "not asked  it needs one that did not hold: calls a function" in shown
    assert "--enable-auto-tool-choice and --tool-call-parser" in shown
    assert "<strong>OpenHands 0.41: it will do" in ran.outputs[-1]["text/html"]


def test_json(kernel: Kernel) -> None:
    """It is all that is printed."""
    ran = kernel.run("%llm_probe -m practice/agent-retypes --json")
    data = json.loads(ran.stdout)
    assert [each["answer"] for each in data["verdicts"]] == ["hardly", "hardly"]
    assert [each["name"] for each in data["probes"] if each["outcome"] == "failed"] == ["edit"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--full", "there is no option --full"),
        ("-o 1st", "--out takes a variable's name, not '1st'."),
        ("-m", "-m"),
    ],
)
def test_a_bad_line(kernel: Kernel, line: str, told: str) -> None:
    """It gets one line, and nothing is sent."""
    ran = kernel.run(f"%llm_probe {line}")
    assert told in str(ran.error)
    assert ran.outputs == []


def test_an_interrupt_keeps_what_came(kernel: Kernel, model_server: ModelServer) -> None:
    """In the middle of a wait, the table is shown and stored, and *Run all* stops."""
    call = Call("terminal", '{"command": "echo ready", "security_risk": "LOW"}')
    model_server.script(asks(call), Refuse(429, {"retry-after": "60"}))
    pressed: list[bool] = []

    def interrupt(message: dict[str, Any]) -> None:
        if "retry 1 of 4" in str(message["content"].get("data", "")) and not pressed:
            pressed.append(True)
            kernel.interrupt()

    kernel.run(f"%env LLM_BASE_URL={model_server.openai_base}")
    kernel.run("%env LLM_API_KEY=sk-canary-0123456789abcdef")
    try:
        ran = kernel.run("%llm_probe -m openai/test -o left", on_message=interrupt)
    finally:
        kernel.run("import os\ndel os.environ['LLM_BASE_URL'], os.environ['LLM_API_KEY']")
    assert ran.error == "Stopped: stopped before all probes were made."
    shown = [each.split() for each in ran.outputs[-1]["text/plain"].split("\n")]
    assert ["✓", "calls", "a", "function", "held"] in shown
    assert kernel.run("print(left['call'].outcome, left['edit'].why)").stdout == "held stopped\n"


def test_hostile_words_are_shown_as_text() -> None:
    """What a model or a server says is no HTML of the page."""
    title, why = Text("calls a function"), Text("{said}", said="<img src=x onerror=alert(1)>")
    shown = probe_table.shown(Report("m", (Result("call", title, "fault", why=why),)), ENGLISH)
    assert "<img" not in shown.html


def test_costs() -> None:
    """What is not known is counted; a list's price is about right; local is local."""
    usage, say = Usage(1_200, 34), probe_table.costs
    assert say(Spent(1, usage, 0.01)) == "1 request, 1,234 tokens, $0.01"
    assert say(Spent(2, usage, 0.01, is_about=True)) == "2 requests, 1,234 tokens, about $0.01"
    assert say(Spent(2, usage, 0.01, unknown=1)).endswith("$0.01, 1 of unknown cost")
    assert say(Spent(2, usage, unknown=2)).endswith("cost unknown")
    assert say(Spent(2, usage, is_local=True)).endswith("local")


def test_a_limit_that_was_met_gives_advice_on_retries(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """Below the result, and not in what is read by programs."""
    model_server.script(Refuse(429, {"retry-after": "1"}))
    kernel.run(f"%llm_config model=hosted_vllm/of-a-second base_url={model_server.openai_base}")
    kernel.run("%llm_config num_retries=0")
    ran = kernel.run("%llm_probe")
    assert "`%llm_config num_retries=2` would outlast it" in ran.stdout
    assert json.loads(kernel.run("%llm_probe --json").stdout)["model"] == "hosted_vllm/of-a-second"
