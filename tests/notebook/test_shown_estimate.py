"""What a notebook and a terminal show of what a task would cost OpenHands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel import Kernel

SHOW = """
from openhands_llm_magic import load_settings
from openhands_llm_magic.notebook.estimate import show_estimate
show_estimate(get_ipython(), load_settings(env={env}), {steps})
"""

WITH_A_PRICE = {
    "LLM_MODEL": "openai/of-my-own",
    "LLM_INPUT_COST_PER_TOKEN": "0.000001",
    "LLM_OUTPUT_COST_PER_TOKEN": "0.000003",
}


def test_a_table_of_both_versions_and_what_it_assumes(kernel: Kernel) -> None:
    """0.41 takes 49,000 tokens in ten steps, 45 times what a step adds, and 1,000 to 4,000 more.

    That is $0.049, $0.009 to $0.036, and $0.003 to $0.012.
    """
    shown = kernel.run(SHOW.format(env=WITH_A_PRICE, steps=10)).outputs[0]
    lines = shown["text/plain"].splitlines()
    assert [re.split(r"  +", line) for line in lines[:3]] == [
        ["version", "first request, tokens", "10 steps, no cache", "10 steps, cached"],
        ["OpenHands 0.41", "4,900, tools in the prompt", "$0.061 to $0.097", "unknown"],
        ["OpenHands SDK 1.58", "7,100", "$0.083 to $0.12", "unknown"],
    ]
    assert lines[3].startswith("It is a guess for 10 steps with openai/of-my-own: each adds 200 to")
    assert "<table>" in shown["text/html"]
    assert "It is a guess for 10 steps" in shown["text/html"]


def test_a_local_server_and_a_version_that_refuses(kernel: Kernel) -> None:
    """The one has figures of tokens alone, and the other none."""
    env = {"LLM_MODEL": "moonshot/kimi", "LLM_BASE_URL": "http://localhost:1/v1"}
    text = kernel.run(SHOW.format(env=env, steps=5)).outputs[0]["text/plain"]
    _, old, new, why, *_ = text.splitlines()
    assert old.split() == ["OpenHands", "0.41", "-", "-", "-"]
    assert new.split()[-2:] == ["local", "local"]
    assert why.startswith("OpenHands 0.41 would fail")
