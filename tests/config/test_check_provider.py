"""What a check says where the provider is not the one that is meant, or is asked in another way."""

from __future__ import annotations

import pytest
from checking import notes, problems
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.lint.provider import is_slip


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
    [told] = problems(env=env)
    assert told == (
        f"LLM_MODEL: the model 'openrouter/{name}' leaves its maker out."
        f" Write 'openrouter/{meant}'. OpenHands would fail at the first prompt."
    )


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


@pytest.mark.parametrize("base_url", ["http://litellm:4000", "https://gateway.example/api/v1"])
def test_a_server_that_is_asked_as_openrouter_is_gets_a_note(base_url: str) -> None:
    """As in OpenHands issue 13049; a gateway that speaks as OpenRouter does may be meant."""
    env = {"LLM_MODEL": "openrouter/openai/gpt-4o", "LLM_BASE_URL": base_url}
    assert problems(env=env) == []
    told = notes(env=env)[0]
    assert told.startswith("LLM_BASE_URL: base_url is not that of OpenRouter")
    assert "litellm_proxy/" in told
    assert "openai/" in told


def test_openrouter_s_own_address_gets_no_note() -> None:
    base_url = "https://openrouter.ai/api/v1"
    env = {"LLM_MODEL": "openrouter/openai/gpt-4o", "LLM_BASE_URL": base_url}
    assert [told for told in notes(env=env) if "OpenRouter" in told] == []


@pytest.mark.parametrize(
    ("name", "address", "server"),
    [
        ("base_url", "https://localhost:1234/v1", "LM Studio"),
        ("base_url", "https://127.0.0.1:8000/v1", "vLLM"),
        ("base_url", "https://[::1]:8080/v1", "llama.cpp"),
        ("embedding_base_url", "https://localhost:11434", "Ollama"),
    ],
)
def test_https_to_a_server_on_this_machine_that_speaks_http(
    name: str, address: str, server: str
) -> None:
    env = {"LLM_MODEL": "openai/m", f"LLM_{name.upper()}": address}
    told = f"{name} begins with https://, and {server} at port"
    assert len([each for each in notes(env=env) if told in each]) == 1


@pytest.mark.parametrize(
    "address", ["http://localhost:1234/v1", "https://gpu.example:8000/v1", "https://localhost/v1"]
)
def test_https_elsewhere_gets_no_note(address: str) -> None:
    told = notes(env={"LLM_MODEL": "openai/m", "LLM_BASE_URL": address})
    assert [each for each in told if "https://, and" in each] == []


@pytest.mark.parametrize("model", ["ollama/q", "ollama_chat/q"])
def test_ollama_s_address_where_models_are_only_listed(model: str) -> None:
    """OpenHands reads ollama_base_url for its list of models alone, and never for a prompt."""
    env = {"LLM_MODEL": model, "LLM_OLLAMA_BASE_URL": "http://gpu.example:11434"}
    [told] = problems(env=env)
    assert told == (
        "LLM_OLLAMA_BASE_URL: ollama_base_url is only where models are listed from, and prompts go"
        " to http://localhost:11434. Set base_url to the same address. OpenHands would ask there,"
        " too."
    )


@pytest.mark.parametrize(
    "others",
    [
        {"LLM_BASE_URL": "http://gpu.example:11434"},
        {"OLLAMA_API_BASE": "http://gpu.example:11434"},
        {"LLM_OLLAMA_BASE_URL": "http://127.0.0.1:11434/"},
        {"LLM_MODEL": "openai/gpt-4o"},
    ],
)
@pytest.mark.parametrize("prefix", ["ollama/", "ollama_chat/"])
def test_prompts_that_go_to_the_ollama_that_is_meant(prefix: str, others: dict[str, str]) -> None:
    env = {"LLM_MODEL": prefix + "q", "LLM_OLLAMA_BASE_URL": "http://gpu.example:11434", **others}
    assert [each for each in problems(env=env) if "ollama_base_url" in each] == []


def test_a_bare_model_at_ollama_s_address_gets_the_prefix_with_which_functions_work() -> None:
    """LiteLLM passes no functions on with ollama/, which is right all the same."""
    env = {"LLM_BASE_URL": "http://localhost:11434"}
    [told] = problems(env={**env, "LLM_MODEL": "qwen3"})
    assert "Write 'ollama_chat/qwen3'." in told
    for prefix in ("ollama/", "ollama_chat/"):
        assert problems(env={**env, "LLM_MODEL": prefix + "qwen3"}) == []


def listing(monkeypatch: pytest.MonkeyPatch, *providers: str) -> None:
    """Let LiteLLM's list have a model "x1" of each of these providers, and one that embeds."""
    listed = {f"{each}/x1": {"litellm_provider": each, "mode": "chat"} for each in providers}
    listed["jina_ai/x1"] = {"litellm_provider": "jina_ai", "mode": "embedding"}
    monkeypatch.setattr(litellm_files, "prices", lambda: listed)


def test_a_bare_model_that_few_providers_list(monkeypatch: pytest.MonkeyPatch) -> None:
    listing(monkeypatch, "nebius", "cerebras")
    [told] = problems(env={"LLM_MODEL": "x1"})
    assert " Write the provider before it; LiteLLM lists 'cerebras/x1', 'nebius/x1'." in told


def test_of_those_that_list_a_bare_model_the_catalogues_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In its order; a seller that LiteLLM lists and sends nothing to is not."""
    listing(monkeypatch, "cerebras", "mistral", "groq", "nebius", "inferenceapis")
    [told] = problems(env={"LLM_MODEL": "x1"})
    assert " LiteLLM lists 'groq/x1', 'mistral/x1'." in told
    listing(monkeypatch, "inferenceapis")
    [told] = problems(env={"LLM_MODEL": "x1"})
    assert "inferenceapis" not in told


def test_a_model_without_the_maker_that_its_provider_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where LiteLLM's list leaves no doubt which is meant; a region is no maker."""
    listed = {
        name: {"litellm_provider": name.partition("/")[0], "mode": "chat"}
        for name in (
            "groq/openai/x3", "groq/a/x4", "groq/b/x4", "groq/x5", "groq/a/x5", "bedrock/us/x3",
        )
    }  # fmt: skip
    monkeypatch.setattr(litellm_files, "prices", lambda: listed)
    [told] = problems(env={"LLM_MODEL": "groq/x3"})
    assert "leaves its maker out. Write 'groq/openai/x3'." in told
    for model in ("groq/openai/x3", "groq/x4", "groq/x5", "bedrock/x3", "groq/new"):
        assert [each for each in problems(env={"LLM_MODEL": model}) if "maker" in each] == []
    elsewhere = {"LLM_MODEL": "groq/x3", "LLM_BASE_URL": "https://proxy.example/v1"}
    assert [each for each in problems(env=elsewhere) if "maker" in each] == []


@pytest.mark.parametrize(
    ("provider", "named"),
    [("groq", "lists 'groq/qwen/x2'"), ("nebius", "as in 'openrouter/qwen/x2'")],
)
def test_a_name_as_openrouter_has_them_that_one_of_the_catalogue_lists(
    provider: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groq names some of its models by their makers, too."""
    facts = {"litellm_provider": provider, "mode": "chat"}
    monkeypatch.setattr(litellm_files, "prices", lambda: {f"{provider}/qwen/x2": facts})
    monkeypatch.setattr(litellm_files, "makers", lambda: {"qwen"})  # else kept for later tests
    [told] = problems(env={"LLM_MODEL": "qwen/x2"})
    assert named in told


@pytest.mark.parametrize("providers", [[], ["a", "b", "c", "d"]])
def test_a_bare_model_that_many_providers_list_or_none(
    monkeypatch: pytest.MonkeyPatch, providers: list[str]
) -> None:
    listing(monkeypatch, *providers)
    [told] = problems(env={"LLM_MODEL": "x1"})
    assert " Write the provider before it, as in 'openai/gpt-4o'." in told


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("openai/gtp-4o", "openai/gpt-4o"),
        ("openai/gpt-4o-mni", "openai/gpt-4o-mini"),
        ("gemini/gemni-2.5-pro", "gemini/gemini-2.5-pro"),
        ("deepseek/deepsek-chat", "deepseek/deepseek-chat"),
    ],
)
def test_a_slip_in_the_name_of_a_makers_model(model: str, near: str) -> None:
    """It is told with the name that is meant, which LiteLLM lists."""
    told = f"LLM_MODEL: LiteLLM's list has no '{model}', but '{near}'. Write '{near}' if that is"
    [line] = problems(env={"LLM_MODEL": model})
    assert line.startswith(told)


@pytest.mark.parametrize(
    "env",
    [
        {"LLM_MODEL": "openai/gpt-4o"},
        {"LLM_MODEL": "openai/gpt-4q"},
        {"LLM_MODEL": "openai/gpt-4o-nova"},
        {"LLM_MODEL": "deepseek/deepseek-v9"},
        {"LLM_MODEL": "openai/gtp-4o", "LLM_BASE_URL": "http://localhost:8000/v1"},
        {"LLM_MODEL": "groq/gtp-4o"},
    ],
)
def test_a_new_name_is_no_slip(env: dict[str, str]) -> None:
    """Nor is any at a server of one's own, or at one that has the models of others."""
    assert problems(env=env) == []


@given(st.text("abcdefgh", min_size=4, max_size=8), st.data())
def test_a_slip_is_one_letter_or_two_that_changed_places(word: str, data: st.DataObject) -> None:
    """It can be made in either direction, and a word is no slip of itself."""
    at = data.draw(st.integers(0, len(word) - 2))
    slips = {
        word[:at] + word[at + 1 :],
        word[:at] + "z" + word[at:],
        word[:at] + "z" + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    } - {word}
    for slip in slips:
        assert is_slip(f"gpt-{slip}", f"gpt-{word}")
        assert is_slip(f"gpt-{word}", f"gpt-{slip}")
    assert not is_slip(word, word)
    assert not is_slip(word + "zz", word)
    assert not is_slip(f"{word}4", f"{word}5")
