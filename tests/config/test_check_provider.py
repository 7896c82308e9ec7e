"""What a check says where the provider is not the one that is meant, or is asked in another way."""

from __future__ import annotations

import pytest
from checking import problems


@pytest.mark.parametrize("key", ["ollama", "lm-studio", "sk-1234"])
def test_a_key_that_is_a_common_word_is_not_masked_in_the_advice(key: str) -> None:
    """As in OpenHands issue 3960, where the key of Ollama's server is "ollama"."""
    env = {
        "LLM_API_KEY": key,
        "LLM_MODEL": f"{key}-model:latest",
        "LLM_BASE_URL": "http://localhost:11434",
    }
    [told] = [each for each in problems(env=env) if "names no provider" in each]
    assert f"/{key}-model:latest'" in told
    assert "Write 'ollama" in told
