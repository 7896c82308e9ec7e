"""What the check and the panel say of 0.41 and the current OpenHands over the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openhands.cases import POLICY

from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.llm.openhands.differences import REFUSE, differences
from openhands_llm_magic.llm.openhands.sent import checked, findings

ADDRESS = "http://127.0.0.1:9/v1"


def settings(**given: Any) -> Snapshot:
    whole = {"model": "openai/gpt-4o", **POLICY, "timeout": 60, **given}
    return load_settings(env={}).with_overrides(whole)


def said(snapshot: Snapshot, **env: str) -> list[str]:
    return [each.message for each in differences(snapshot, env)]


def test_nothing_is_said_where_nothing_differs() -> None:
    assert said(settings()) == []
    assert said(settings(model="litellm_proxy/mine", base_url=ADDRESS)) == []
    assert said(settings(base_url="https://api.openai.com/v1")) == []
    assert said(settings(model="hosted_vllm/mine", base_url="http://127.0.0.1:8000/v1")) == []


def test_defaults_that_nobody_has_set_are_told_of_both_versions() -> None:
    alone = load_settings(env={}).with_overrides({"model": "openai/gpt-4o"})
    assert said(alone) == [
        (
            "nobody has set num_retries, retry_min_wait, retry_max_wait, retry_multiplier, timeout:"
            " OpenHands 0.41 takes 4, 5, 30, 2, none, and OpenHands SDK 1.58 5, 8, 64, 8, 300"
        )
    ]
    assert said(alone.with_overrides(dict(POLICY))) == [
        "nobody has set timeout: OpenHands 0.41 takes none, and OpenHands SDK 1.58 300"
    ]


def test_variables_that_a_version_does_not_take_are_named() -> None:
    env = {
        "LLM_MODEL": "openai/gpt-4o",
        "LLM_API_KEY": "sk-canary-0123456789",
        "LLM_NUM_RETRIES": "many",
        "LLM_TIMEOUT": "60",
        "LLM_CUSTOM_LLM_PROVIDER": "openai",
        "LLM_SAFETY_SETTINGS": "[]",
        "LLM_TEMPERATURE": "",
        "LLM_MAGIC_DEADLINE": "3",
        "MAX_BUDGET_PER_TASK": "1",
    }
    told = said(settings(), **env)
    assert told == [
        "OpenHands CLI 1.16 ignores LLM_MODEL, LLM_API_KEY without --override-with-envs",
        (
            "OpenHands CLI 1.16 ignores LLM_NUM_RETRIES, LLM_TIMEOUT, LLM_CUSTOM_LLM_PROVIDER,"
            " LLM_SAFETY_SETTINGS in any case"
        ),
        (
            "OpenHands SDK 1.58 ignores LLM_NUM_RETRIES, LLM_CUSTOM_LLM_PROVIDER,"
            " LLM_SAFETY_SETTINGS without a word"
        ),
        "OpenHands 0.41 ignores LLM_SAFETY_SETTINGS without a word",
    ]


@pytest.mark.parametrize(
    ("model", "api_version", "told"),
    [
        ("azure/gpt-5-mini", "2024-10-21", True),
        ("azure/gpt-5-mini", "2025-03-01-preview", False),
        ("azure/gpt-5-mini", "2025-04-01-preview", False),
        ("azure/gpt-5-mini", "preview", False),
        ("azure/gpt-5-mini", None, False),
        ("azure/my-deployment", "2024-10-21", False),  # asked for its chat completions
        ("openai/gpt-5-mini", "2024-10-21", False),
    ],
)
def test_an_api_version_of_azure_before_the_responses_api_is_told(
    model: str, api_version: str | None, told: bool
) -> None:
    """The SDK asks GPT-5 on the Responses API, which Azure has from 2025-03-01-preview on."""
    given = {"model": model, "base_url": "https://x.openai.azure.com", "api_version": api_version}
    found = [each for each in differences(settings(**given), {}) if each.setting == "api_version"]
    assert [each.level for each in found] == ["warning"] * told


def test_no_profile_is_proposed_for_the_cli_which_reads_none() -> None:
    env = {"LLM_MODEL": "openai/gpt-4o", "LLM_API_KEY": "sk-canary-0123456789", "LLM_SEED": "1"}
    found = [each for each in differences(settings(), env) if "CLI" in each.message]
    assert [str(each.fix) for each in found] == [
        "Start it with --override-with-envs",
        'Write what it has a field for into "llm" of its agent_settings.json',
    ]


def put_cli(folder: Path, content: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agent_settings.json").write_text(content)


def test_what_the_cli_needs_with_its_flag_is_told_where_it_has_no_settings() -> None:
    """It does not start; with settings of its own, it takes the rest from them."""
    told = "OpenHands CLI 1.16 does not start with --override-with-envs and without LLM_API_KEY"
    assert told in said(settings(), LLM_MODEL="openai/gpt-4o")
    assert not any("start" in each for each in said(settings(), LLM_TIMEOUT="60"))
    both = {"LLM_MODEL": "openai/gpt-4o", "LLM_API_KEY": "sk-canary-0123456789"}
    assert not any("start" in each for each in said(settings(), **both))
    put_cli(Path.home() / ".openhands", "{")
    assert told in said(settings(), LLM_MODEL="openai/gpt-4o"), "it takes none from a broken file"
    put_cli(Path.home() / ".openhands", '{"llm": {"model": "openai/gpt-4o"}}')
    assert told not in said(settings(), LLM_MODEL="openai/gpt-4o")


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("LLM_API_KEY", "Set the variable"),
        ("LLM_MODEL", "Set it; any text is a key for a server that asks for none"),
    ],
)
def test_only_of_a_missing_key_it_is_told_what_may_be_one(given: str, fix: str) -> None:
    found = differences(settings(), {given: "openai/gpt-4o"})
    assert [str(each.fix) for each in found if "does not start" in each.message] == [fix]


def test_the_address_that_the_cli_keeps_is_told(tmp_path: Path) -> None:
    """A key of the environment would go there."""
    put_cli(tmp_path / "cli", f'{{"llm": {{"model": "x", "base_url": "{ADDRESS}"}}}}')
    env = {"OPENHANDS_PERSISTENCE_DIR": str(tmp_path / "cli"), "LLM_MODEL": "openai/gpt-4o"}
    [line] = [each for each in said(settings(), **env) if "goes on" in each]
    assert f"goes on to ask {ADDRESS}, which its agent_settings.json names" in line
    assert not any("goes on" in each for each in said(settings(), **env, LLM_BASE_URL=ADDRESS))
    env["OPENHANDS_PERSISTENCE_DIR"] = "cli"
    assert not any("goes on" in each for each in said(settings(), **env))


def test_a_config_file_is_one_that_the_current_openhands_does_not_read() -> None:
    """Keys of which no profile has a field are named."""
    Path("config.toml").write_text('[llm]\nmodel = "openai/gpt-4o"\ntimeout = 60\n')
    told = "the current OpenHands reads no config.toml, and ignores all of it"
    assert told in said(load_settings(env={}))
    Path("config.toml").write_text('[llm]\nmodel = "x"\ncustom_llm_provider = "openai"\n')
    [first, *_] = said(load_settings(env={}))
    assert first.endswith("a profile of it has no custom_llm_provider")
    further = 'completion_kwargs = {stop = ["x"], extra_body = {a = 1}}'
    Path("config.toml").write_text(f'[llm.g]\nmodel = "x"\n{further}\n')
    [first, *_] = said(load_settings(env={}, group="g"))
    assert first.endswith("a profile of it has no completion_kwargs.stop")
    Path("config.toml").write_text("[openhands_llm_magic]\ndeadline = 60\n")
    assert not any("config.toml" in each for each in said(settings()))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("openai/mine", "prompt_cache_key and reasoning_effort = 'high' to this server"),
        ("hosted_vllm/mine", "prompt_cache_key and reasoning_effort = 'high' to this server"),
        ("lm_studio/mine", "prompt_cache_key to this server"),
    ],
)
def test_what_is_sent_to_a_server_that_may_refuse_it_is_told(model: str, told: str) -> None:
    [line] = said(settings(model=model, base_url=ADDRESS))
    assert told in line
    [line] = said(settings(model=model, base_url=ADDRESS, reasoning_effort=""))
    assert "reasoning_effort" not in line, "it is not sent when that is unset on purpose"


def test_a_server_that_is_known_to_refuse_a_parameter_is_a_warning() -> None:
    """And the same model by another prefix is not."""
    [host] = REFUSE
    address = f"https://{host}/v1"
    [found] = differences(settings(model="openai/z-ai/glm4.7", base_url=address), {})
    assert (found.level, found.is_problem) == ("warning", True)
    assert f"{host} refuses prompt_cache_key" in found.message
    assert "nvidia_nim/" in found.fix
    assert not said(settings(model="nvidia_nim/z-ai/glm4.7", base_url=address))


def test_check_and_panel_say_it_of_a_model_that_somebody_chose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_MODEL", "openai/mine")
    monkeypatch.setenv("LLM_BASE_URL", ADDRESS)
    for found in (checked(), [*findings(load_settings())]):
        told = "\n".join(each.message for each in found)
        assert "nobody has set num_retries" in told
        assert "ignores LLM_MODEL, LLM_BASE_URL without --override-with-envs" in told
        assert "sends prompt_cache_key" in told
    assert not [*findings(load_settings(env={}).with_overrides({"model": "practice/echo"}))]


@pytest.mark.parametrize(
    ("model", "address", "instead"),
    [
        ("openai/openai/gpt-oss-120b", ADDRESS, "litellm_proxy/openai/gpt-oss-120b"),
        (
            "openai/openai/gpt-oss-120b",
            "https://api.groq.com/openai/v1",
            "groq/openai/gpt-oss-120b",
        ),
        ("openai/qwen/qwen3", ADDRESS, ""),
        ("openrouter/openrouter/auto", "https://openrouter.ai/api/v1", ""),
    ],
)
def test_a_name_of_which_the_sdk_loses_the_beginning(
    model: str, address: str, instead: str
) -> None:
    """It takes the prefix off, and LiteLLM takes it off again; see the recordings."""
    found = differences(settings(model=model, base_url=address), {})
    told = [each for each in found if "takes the prefix off twice" in each.message]
    assert [str(each.fix) for each in told] == ([f"Write '{instead}' for it"] if instead else [])
    assert all(each.is_problem for each in told)
