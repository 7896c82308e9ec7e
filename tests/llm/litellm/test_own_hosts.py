"""The hosts that the catalogue has for the providers' own are those that LiteLLM asks."""

from __future__ import annotations

import pytest

from openhands_llm_magic.config.providers import PROVIDERS, Provider, server_of
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.litellm.preview import preview
from openhands_llm_magic.llm.prepare import prepare

OWN = [
    each
    for each in PROVIDERS.values()
    if not each.local and "base_url" not in each.asks_for and each.name != "vertex_ai"
]
"""Vertex AI's address is made beside Google's credentials, which tests do not have."""


@pytest.mark.parametrize("provider", OWN, ids=lambda each: each.name)
def test_the_host_that_litellm_asks_is_the_providers_own(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in provider.key_variables:
        monkeypatch.setenv(name, "eu-west-1" if "REGION" in name else "a key")
    settings = load_settings(env={"LLM_MODEL": provider.example})

    server = server_of(preview(prepare("Hello", settings)).address)

    assert server is not None
    assert provider.runs(server), server
