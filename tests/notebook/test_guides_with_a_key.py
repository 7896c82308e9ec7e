"""The guides for those who have an account, or a server of their own: nothing stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from guides import GUIDES, run, shown_by
from model_server import Answer

from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from pathlib import Path

    from model_server import ModelServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TEXT = "Hello from the provider."

ACCOUNTS = {
    "azure": "azure",
    "google": "gemini",
    "groq": "groq",
    "openai": "openai",
    "openrouter": "openrouter",
}
"""The guides to providers that take a key, with LiteLLM's names of these."""

OWN = ("litellm_proxy", "local_lm_studio_llama_cpp", "local_ollama", "local_sglang_vllm")


def stands_in(shown: list[tuple[str, str]]) -> bool:
    return any("answers in its place" in text for _, text in shown)


def test_each_guide_is_run_with_a_key() -> None:
    assert {each.stem for each in GUIDES.glob("*.ipynb")} == {*ACCOUNTS, *OWN}


@pytest.mark.parametrize("guide", ACCOUNTS)
def test_a_guide_with_a_key(guide: str, model_server: ModelServer, tmp_path: Path) -> None:
    """Its prompts go to the provider, and none of its cells needs the practice server's answers."""
    model_server.script(Answer(TEXT))
    address = model_server.base_for(ACCOUNTS[guide])
    variables = {
        "LLM_API_KEY": "sk-of-a-person-0123456789",
        "LLM_BASE_URL": address,
        "LLM_EMBEDDING_BASE_URL": address,
    }
    shown = run(guide, variables, tmp_path)
    assert not stands_in(shown)
    assert TEXT in shown_by("%%llm", shown)[0]
    assert all("sk-of-a-person" not in text for _, text in shown)


@pytest.mark.parametrize("guide", OWN)
def test_a_guide_with_a_server_of_ones_own(guide: str, tmp_path: Path) -> None:
    """A practice server that runs beforehand is that server: each of its models is an agent."""
    with PracticeServer(pause_s=0) as server:

        def at(provider: str) -> str:
            return server.base_url_for(provider, "agent")

        addresses = {
            "litellm_proxy": {"LLM_BASE_URL": at("litellm_proxy")},
            "local_lm_studio_llama_cpp": {
                "LLM_BASE_URL": at("lm_studio"),
                "LLAMA_CPP_ADDRESS": at("llama_cpp"),
            },
            "local_ollama": {"LLM_BASE_URL": server.base_url_for("ollama", "agent", with_key=True)},
            "local_sglang_vllm": {
                "LLM_BASE_URL": at("vllm"),
                "LLM_EMBEDDING_BASE_URL": at("vllm"),
                "SGLANG_ADDRESS": at("sglang"),
            },
        }
        key = {} if guide == "local_ollama" else {"LLM_API_KEY": server.key}
        shown = run(guide, {**key, **addresses[guide]}, tmp_path)
    assert not stands_in(shown)
    assert "Its model `agent`" in shown_by("%%llm", shown)[0]
    assert all(server.key not in text for _, text in shown if guide != "local_ollama")
