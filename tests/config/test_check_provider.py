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


@pytest.mark.parametrize("prefix", ["vllm_hosted", "vllm-hosted", "Hosted-vLLM"])
def test_a_provider_with_its_words_in_another_order(prefix: str) -> None:
    env = {"LLM_MODEL": f"{prefix}/llama3.3", "LLM_BASE_URL": "http://localhost:8000/v1"}
    [told] = problems(env=env)
    assert "Write 'hosted_vllm/llama3.3'." in told


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        ({"MODEL": "vllm/m", "BASE_URL": "http://gpu:8000/v1"}, "model = 'hosted_vllm/m'"),
        (
            {"MODEL": "vllm/m", "BASE_URL": "http://gpu:8000"},
            "base_url = 'http://gpu:8000/v1' and model = 'hosted_vllm/m'",
        ),
        (
            {"MODEL": "m", "CUSTOM_LLM_PROVIDER": "vllm", "BASE_URL": "http://gpu:8000/v1"},
            "custom_llm_provider = 'hosted_vllm'",
        ),
    ],
)
def test_vllm_in_this_process_is_not_the_server_that_base_url_names(
    settings: dict[str, str], fix: str
) -> None:
    [told] = problems(env={f"LLM_{name}": value for name, value in settings.items()})
    what = "base_url is not used by vllm/, which would load the model into this process"
    assert told.startswith(f"LLM_BASE_URL: {what}")
    assert told.endswith(f" Write {fix}. OpenHands would fail at the first prompt.")


def test_vllm_in_this_process_may_be_meant() -> None:
    assert problems(env={"LLM_MODEL": "vllm/facebook/opt-125m"}) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("claude-sonnet-4", "anthropic/claude-sonnet-4"),
        ("deepseek-r1:free", "deepseek/deepseek-r1:free"),
    ],
)
@pytest.mark.parametrize("base_url", ["", "https://openrouter.ai/api/v1"])
def test_a_model_of_openrouter_without_its_maker(name: str, meant: str, base_url: str) -> None:
    env = {"LLM_MODEL": f"openrouter/{name}", "LLM_BASE_URL": base_url}
    assert problems(env=env) == [
        f"LLM_MODEL: the model 'openrouter/{name}' leaves its maker out."
        f" Write 'openrouter/{meant}'. OpenHands would fail at the first prompt."
    ]


def test_a_bare_model_at_openrouter_gets_the_maker_that_openrouter_writes() -> None:
    env = {"LLM_MODEL": "gemini-2.5-pro", "LLM_BASE_URL": "https://openrouter.ai/api/v1"}
    assert any("'openrouter/google/gemini-2.5-pro'" in told for told in problems(env=env))


@pytest.mark.parametrize(
    "env",
    [
        *({"LLM_MODEL": f"openrouter/{name}"} for name in ("auto", "free", "horizon-alpha")),
        {"LLM_MODEL": "openrouter/openrouter/auto"},
        {"LLM_MODEL": "openrouter/gpt-4o", "LLM_BASE_URL": "https://gateway.example/api/v1"},
    ],
)
def test_a_model_of_openrouter_that_needs_no_maker(env: dict[str, str]) -> None:
    assert problems(env=env) == []
