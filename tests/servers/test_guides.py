"""The guides to a LiteLLM Proxy and to llama.cpp: their cells run with the real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from guides import run, shown_by
from servers.llama_cpp.server import HELLO, llama_cpp, write_tiny
from servers.proxy.server import CONTEXT_TOKENS, KEY, MODELS, PRICES, litellm_proxy

from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "http://localhost:9/v1"
"""An address at which nothing listens."""

pytestmark = pytest.mark.timeout(600)


def test_the_guide_to_a_proxy(tmp_path: Path) -> None:
    """It goes by the proxy's models, context and prices, and nothing stands in for it."""
    with PracticeServer(pause_s=0) as practice, litellm_proxy(tmp_path, practice) as proxy:
        variables = {
            "LLM_MODEL": "litellm_proxy/agent",
            "LLM_BASE_URL": proxy.url,
            "LLM_API_KEY": KEY,
        }
        shown = run("litellm_proxy", variables, tmp_path)
    assert all("api_key is from LLM_API_KEY" in text for text in shown_by("%llm_config --p", shown))
    assert f"litellm_proxy/{MODELS[0]}" in shown_by("print(", shown)[0]
    first = shown_by("%%llm", shown)[0]
    tokens_in, tokens_out = 7, 35
    cost_usd = (
        tokens_in * PRICES["input_cost_per_token"] + tokens_out * PRICES["output_cost_per_token"]
    )
    assert f"{tokens_in} tokens in, {tokens_out} out · ${cost_usd:.6f}" in first
    (probed,) = shown_by("%llm_probe", shown)
    assert probed.count("it will do") == 2
    assert f"{CONTEXT_TOKENS:,} tokens" in probed


def test_the_guide_to_llama_cpp(tmp_path: Path) -> None:
    """Its part about llama.cpp asks that server; the practice server stands in for LM Studio."""
    with llama_cpp(write_tiny(tmp_path / "tiny.gguf")) as server:
        reached = server.settings()
        variables = {
            "LLM_BASE_URL": NOBODY,
            "LLAMA_CPP_MODEL": reached["model"],
            "LLAMA_CPP_ADDRESS": reached["base_url"],
        }
        shown = run("local_lm_studio_llama_cpp", variables, tmp_path)
    answers = shown_by("%%llm", shown)
    assert [HELLO in answer for answer in answers] == [False, False, True, True]
    _, probed = shown_by("%llm_probe", shown)
    assert probed.count("it will do") == 2
    assert "32,768 tokens" in probed
