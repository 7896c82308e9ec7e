"""The guides to a LiteLLM Proxy and to llama.cpp: their cells run with the real servers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from kernel import Kernel
from servers.llama_cpp.server import HELLO, llama_cpp, write_tiny
from servers.proxy.server import CONTEXT_TOKENS, KEY, MODELS, PRICES, litellm_proxy

from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDES = Path(__file__).parents[2] / "notebooks" / "providers"

NOBODY = "http://localhost:9/v1"
"""An address at which nothing listens."""

pytestmark = pytest.mark.timeout(600)


def run(guide: str, variables: Mapping[str, str], folder: Path) -> list[tuple[str, str]]:
    """Run the cells of a guide; return each with the text that it shows.

    A cell fails only where the guide expects it to.

    Args:
        guide: The notebook's name.
        variables: What was set before Jupyter starts.
        folder: Where the home folder is to be, of a person who has nothing else.
    """
    home = folder / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LLM_MAGIC_FOOTER": "on", **variables}
    cells = nbformat.read(GUIDES / f"{guide}.ipynb", as_version=4).cells
    shown = []
    with Kernel(env, cwd=str(home)) as kernel:
        for cell in cells:
            if cell.cell_type != "code":
                continue
            ran = kernel.run(cell.source)
            may_fail = "raises-exception" in cell.metadata.get("tags", ())
            assert ran.error is None or may_fail, ran.error
            outputs = [output.get("text/plain", "") for output in ran.outputs]
            shown.append((cell.source, "\n".join([ran.stdout, *outputs])))
    return shown


def shown_by(word: str, shown: list[tuple[str, str]]) -> list[str]:
    """Return what those cells show that have a line that begins with a word."""
    return [
        text for source, text in shown if any(line.startswith(word) for line in source.splitlines())
    ]


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
