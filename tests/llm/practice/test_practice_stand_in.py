"""The practice server in place of a provider: only without a key, and without a person's key."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from openhands_llm_magic import ask, load_settings, practice_in_place_of
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.errors import ModelNotFoundError, UsageError
from openhands_llm_magic.llm.practice import routes, server, stand_in
from openhands_llm_magic.llm.practice.routes import can_stand_in
from openhands_llm_magic.llm.practice.shared import running

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fake_clock import FakeClock

KEY = "sk-of-the-person-0123"
AWAY = [name for name in PROVIDERS if can_stand_in(name) and not PROVIDERS[name].local]


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("provider", AWAY)
def test_without_a_key_it_stands_in(provider: str) -> None:
    settings = practice_in_place_of(provider, load_settings(env={}))
    assert str(settings.base_url).startswith(f"http://127.0.0.1:{running().port}/{provider}")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == running().key


@pytest.mark.parametrize("provider", AWAY)
def test_with_a_key_nothing_changes(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the key is in the provider's own variable or in the settings."""
    settings = load_settings(env={"LLM_API_KEY": KEY})
    assert practice_in_place_of(provider, settings) is settings or provider == "bedrock"
    variable = next(name for name in PROVIDERS[provider].key_variables if name.endswith("KEY"))
    monkeypatch.setenv(variable, KEY)
    settings = load_settings(env={})
    assert practice_in_place_of(provider, settings) is settings


def test_a_key_of_another_provider_is_left_where_it_is() -> None:
    """The practice server does not get it, either."""
    env = {"LLM_MODEL": "anthropic/claude-sonnet-4-20250514", "LLM_API_KEY": KEY}
    settings = practice_in_place_of("azure", load_settings(env=env))
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == running().key
    assert load_settings(env=env).api_key is not None


@pytest.mark.usefixtures("litellm", "nothing_learned")
@pytest.mark.parametrize("provider", AWAY)
def test_keys_of_other_providers_stay_here(
    provider: str, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """No header and no path of what the practice server gets has one of them in it."""
    own = {*PROVIDERS[provider].key_variables, *PROVIDERS[provider].sent_besides}
    for each in PROVIDERS.values():
        for variable in {*each.key_variables, *each.sent_besides} - own:
            monkeypatch.setenv(variable, KEY)
    received: list[str] = []

    def noted(headers: Mapping[str, str], target: str) -> list[str]:
        received.append(f"{dict(headers)} {target}")
        return routes.keys_in(headers, target)

    monkeypatch.setattr(server, "keys_in", noted)
    settings = practice_in_place_of(provider, load_settings(env={}))
    reply = ask("Hello", settings, model=PROVIDERS[provider].example, clock=clock)
    assert reply.is_whole
    assert received
    assert KEY not in "".join(received)


def test_credentials_of_aws_are_found(tmp_path: Path) -> None:
    bedrock, settings = PROVIDERS["bedrock"], load_settings(env={})
    assert stand_in.found_in(settings, bedrock) is None
    given = settings.with_overrides({"aws_access_key_id": "AKIA0123"})
    assert stand_in.found_in(given, bedrock) is not None
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\n")
    assert "~/.aws/credentials" in str(stand_in.found_in(settings, bedrock))


def test_a_server_of_this_machine_that_runs_is_not_replaced() -> None:
    settings = load_settings(env={})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        base = settings.with_overrides({"base_url": f"http://127.0.0.1:{port}/v1"})
        assert practice_in_place_of("vllm", base) is base
    assert practice_in_place_of("vllm", base) is not base


def test_llama_cpp_is_known_though_it_is_in_no_catalogue() -> None:
    """It is one of the servers compatible with OpenAI, and runs on this machine."""
    settings = practice_in_place_of("llama_cpp", load_settings(env={"LLM_BASE_URL": nowhere()}))
    assert str(settings.base_url).endswith("/llama_cpp/v1")
    assert stand_in.is_model_of(
        settings.with_overrides({"model": "openai/my-model"}), stand_in.LLAMA_CPP
    )


@pytest.mark.parametrize("provider", ["vllm", "llama_cpp"])
def test_the_second_time_the_persons_own_server_is_found(provider: str) -> None:
    """It may run by now, at the address of the variable and not at that of the catalogue."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        outside = load_settings(env={"LLM_BASE_URL": address})
        stood_in = outside
        for acts_as in ("busy", "echo"):
            stood_in = stood_in.with_overrides(stand_in.in_place_of(outside, provider, acts_as))
        found = stand_in.found_in(stood_in, stand_in.STAND_INS[provider])
        assert found is not None
        assert address.split("/")[2] in str(found)
    assert stand_in.found_in(stood_in, stand_in.STAND_INS[provider]) is None


def nowhere() -> str:
    """An address of this machine at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_it_can_be_done_twice() -> None:
    """Its own key is no person's: the second time leads to the second provider."""
    first = practice_in_place_of("azure", load_settings(env={}))
    second = practice_in_place_of("gemini", first)
    assert str(second.base_url).endswith("/gemini/v1beta")
    assert set(stand_in.left_over(second)) == {"base_url", "embedding_base_url", "api_key"}
    assert stand_in.left_over(load_settings(env={"LLM_API_KEY": KEY})) == []


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("nobody", "it does for: anthropic"),
        ("vertex_ai", "Take gemini, which speaks the same protocol; a dry run"),
        ("practice", "it does for"),
        ("azure/gpt-4o", "there are: echo, rate-limited"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(named: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        practice_in_place_of(named, load_settings(env={}))
    assert "\n" not in str(caught.value)


OWN = {
    "sglang": "http://localhost:30000/v1",
    "groq_openai": "https://api.groq.com/openai/v1",
    "ollama": None,
    "groq": None,
    "azure": None,
}


@pytest.mark.parametrize(("provider", "address"), OWN.items())
def test_what_is_handed_over_leads_to_the_provider(provider: str, address: str | None) -> None:
    """The practice server ends with the kernel, and so does what only that knows."""
    settings = load_settings(env={}).with_overrides(
        stand_in.in_place_of(load_settings(env={}), provider)
    )
    kept, notes = stand_in.handed_over(settings, with_keys=True)
    assert (kept.base_url, kept.embedding_base_url, kept.api_key) == (address, None, None)
    assert str(notes[0]).endswith("ends with this kernel: base_url, embedding_base_url, api_key")
    wants = ["Azure OpenAI needs an address: set base_url, such as https://your-resource"]
    assert [str(each)[:74] for each in notes[1:]] == (wants if provider == "azure" else [])
    named, _ = stand_in.handed_over(settings, with_keys=False)
    assert (named.base_url, named.api_key) == (address, settings.api_key)


def test_the_persons_own_address_is_handed_over() -> None:
    """It stands below that of the practice server; what is the person's own stays as it is."""
    own = load_settings(env={"LLM_BASE_URL": "https://mine.openai.azure.com"})
    stood_in = own.with_overrides(stand_in.in_place_of(own, "azure"))
    kept, notes = stand_in.handed_over(stood_in, with_keys=True)
    assert kept.base_url == "https://mine.openai.azure.com"
    assert len(notes) == 1
    for settings in (own, own.with_overrides({"base_url": nowhere(), "api_key": KEY})):
        assert stand_in.handed_over(settings, with_keys=True) == (settings, ())


def test_a_model_that_nobody_chose_is_replaced_by_one_of_the_provider() -> None:
    """And once more for the next provider; one that a person chose stays."""
    settings = practice_in_place_of("openai", load_settings(env={}))
    assert settings.model == PROVIDERS["openai"].example
    settings = practice_in_place_of("Azure", settings)
    assert settings.model == PROVIDERS["azure"].example
    chosen = load_settings(env={"LLM_MODEL": "anthropic/claude-sonnet-4-20250514"})
    assert practice_in_place_of("openai", chosen).model == chosen.model
    claude = load_settings(env={})
    assert practice_in_place_of("anthropic", claude).model == claude.model


@pytest.mark.usefixtures("litellm", "nothing_learned")
def test_a_prompt_to_another_providers_model_says_so(clock: FakeClock) -> None:
    """The address is right, and so nothing is said of it."""
    settings = load_settings(env={"LLM_MODEL": "anthropic/claude-sonnet-4-20250514"})
    settings = practice_in_place_of("openai/rate-limited", settings)
    told = "The model now set, anthropic/claude-sonnet-4-20250514, is none of OpenAI's: name one"
    with pytest.raises(ModelNotFoundError, match=told):
        ask("Hello", settings=settings, clock=clock)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("google", "gemini"),
        ("Google AI Studio", "gemini"),
        ("lmstudio", "lm_studio"),
        ("LM Studio", "lm_studio"),
        ("llama.cpp", "llama_cpp"),
        ("llamacpp", "llama_cpp"),
        ("litellm", "litellm_proxy"),
        ("proxy", "litellm_proxy"),
        ("open-router", "openrouter"),
        ("Azure OpenAI", "azure"),
    ],
)
def test_another_name_of_a_provider_is_known(name: str, meant: str) -> None:
    """Titles, common names and slips; one that is like none lists those that there are."""
    with pytest.raises(UsageError, match=rf"did you mean {meant}\?$"):
        stand_in.provider_named(name)


def test_a_name_that_is_like_none() -> None:
    with pytest.raises(UsageError, match="it does for: anthropic"):
        stand_in.provider_named("zzz")
