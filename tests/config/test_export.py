"""Handing the settings over to OpenHands: what arrives there, and that no key is in it."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from setting_values import KEYS, chosen, some, values_in

from openhands_llm_magic.config.export import FORMS, export
from openhands_llm_magic.config.layers import env_layer
from openhands_llm_magic.config.resolve import Snapshot, load_settings, resolve
from openhands_llm_magic.config.save import save
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError, UsageError

KEY = "sk-canary-0123456789"
POLICY = {
    "num_retries": 4,
    "retry_min_wait": 5,
    "retry_max_wait": 30,
    "retry_multiplier": 2,
}
"""The retry policy of the defaults, which every form for OpenHands but TOML has."""

VARIABLES = {f"LLM_{name.upper()}": f"{value}" for name, value in POLICY.items()}
TRICKY = 'it\'s "quoted" $HOME `id` \\ a\nb !x 日本語 *'


def run(script: str, shell: str = "bash", **env: str) -> list[str]:
    """Run a shell script and split what it prints at each NUL."""
    done = subprocess.run(  # noqa: S603 - our own script
        [shell, "-c", script],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **env},
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().split("\0")[:-1]


def docker_arguments(snapshot: Snapshot) -> list[str]:
    """Return the arguments that docker would get from a shell."""
    return run(f"printf '%s\\0' {export(snapshot, 'docker')}")


def without_policy(arguments: list[str]) -> list[str]:
    """Leave out the retry policy, which is among docker's arguments as it is by default."""
    policy = [part for each in VARIABLES.items() for part in ("-e", "=".join(each))]
    start = arguments.index(policy[1]) - 1
    assert arguments[start : start + len(policy)] == policy
    return arguments[:start] + arguments[start + len(policy) :]


def variables_of(pairs: list[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def shell_variables(snapshot: Snapshot, shell: str = "bash", **env: str) -> dict[str, str]:
    """Return the environment of a program that is started after the commands."""
    return variables_of(run(export(snapshot, "shell") + "\nenv -0", shell, **env))


def values_read(variables: dict[str, str]) -> dict[str, Any]:
    layer = env_layer(variables)
    assert layer.problems == ()
    return values_in(resolve([layer]))


# docker


def test_docker_takes_the_key_from_the_environment() -> None:
    snapshot = chosen(
        model="openai/gpt-4o",
        api_key=KEY,
        temperature=0.5,
        drop_params=False,
        max_budget_per_task=2,
        retry_after_limit=9,
        embedding_model="local",
    )
    assert export(snapshot, "docker") == (
        "-e LLM_MODEL=openai/gpt-4o \\\n"
        "-e LLM_API_KEY \\\n"
        "-e LLM_NUM_RETRIES=4 \\\n"
        "-e LLM_RETRY_MIN_WAIT=5 \\\n"
        "-e LLM_RETRY_MAX_WAIT=30 \\\n"
        "-e LLM_RETRY_MULTIPLIER=2 \\\n"
        "-e LLM_TEMPERATURE=0.5 \\\n"
        "-e LLM_DROP_PARAMS=false \\\n"
        "-e MAX_BUDGET_PER_TASK=2 \\\n"
        "-e LLM_EMBEDDING_MODEL=local"
    )


OWN_VARIABLES = [
    ("azure/my-deployment", "AZURE_API_KEY"),
    ("azure/my-deployment", "AZURE_OPENAI_API_KEY"),
    ("gemini/gemini-3.8-flash", "GEMINI_API_KEY"),
    ("litellm_proxy/my-model", "LITELLM_PROXY_API_KEY"),
    ("openai/gpt-4o", "OPENAI_API_KEY"),
    ("hosted_vllm/my-model", "HOSTED_VLLM_API_KEY"),
]


@pytest.mark.parametrize(("model", "variable"), OWN_VARIABLES)
def test_the_key_of_the_provider_s_own_variable_goes_along(
    monkeypatch: pytest.MonkeyPatch, model: str, variable: str
) -> None:
    """As LLM_API_KEY: it alone sets OpenHands 0.41 up, and the current CLI needs it."""
    monkeypatch.setenv(variable, KEY)
    snapshot = chosen(model=model)
    assert KEY not in export(snapshot, "docker") + export(snapshot, "shell")
    script = f"printf '%s\\0' {export(snapshot, 'docker')}"
    assert variables_of(run(script, **{variable: KEY}))["LLM_API_KEY"] == KEY
    assert shell_variables(snapshot, **{variable: KEY})["LLM_API_KEY"] == KEY
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(script)
    assert f"{variable}: is not set".encode() in caught.value.stderr


def test_a_key_that_is_set_counts_more_than_the_provider_s_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_API_KEY", KEY)
    snapshot = chosen(model="azure/my-deployment", api_key=KEY)
    for form in ("docker", "shell"):
        lines = [each for each in export(snapshot, form).splitlines() if "API_KEY" in each]
        assert len(lines) == 1
        assert "AZURE" not in lines[0]


@pytest.mark.parametrize(
    ("model", "variables"),
    [
        ("azure/my-deployment", ["AZURE_AD_TOKEN"]),
        ("bedrock/amazon.nova-pro-v1:0", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
    ],
)
def test_a_login_that_is_no_api_key_goes_into_docker_by_its_name(
    monkeypatch: pytest.MonkeyPatch, model: str, variables: list[str]
) -> None:
    for each in variables:
        monkeypatch.setenv(each, KEY)
    arguments = docker_arguments(chosen(model=model))
    assert "LLM_API_KEY" not in arguments
    assert [each for each in arguments if each in variables] == variables
    assert "LLM_API_KEY" not in export(chosen(model=model), "shell")


@pytest.mark.parametrize("model", ["ollama_chat/qwen3", "practice/echo", "vertex_ai/gemini-3.5"])
def test_a_provider_without_a_key_is_handed_over_without_one(model: str) -> None:
    for form in ("docker", "shell"):
        assert "KEY" not in export(chosen(model=model), form)


def test_docker_arguments_survive_the_shell() -> None:
    arguments = docker_arguments(chosen(model=TRICKY))
    assert without_policy(arguments) == ["-e", f"LLM_MODEL={TRICKY}"]


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("http://localhost:8000/v1", "http://host.docker.internal:8000/v1"),
        ("http://127.0.0.1", "http://host.docker.internal"),
        ("https://LOCALHOST/v1", "https://host.docker.internal/v1"),
        ("http://[::1]:80/localhost", "http://host.docker.internal:80/localhost"),
        ("http://0.0.0.0:1234", "http://host.docker.internal:1234"),
        ("http://host.docker.internal:1234", "http://host.docker.internal:1234"),
    ],
)
@pytest.mark.parametrize("name", ["base_url", "ollama_base_url"])
def test_inside_docker_this_machine_has_another_name(name: str, url: str, inside: str) -> None:
    assert without_policy(docker_arguments(chosen(model="m", **{name: url}))) == [
        *("--add-host", "host.docker.internal:host-gateway"),
        *("-e", "LLM_MODEL=m"),
        *("-e", f"LLM_{name.upper()}={inside}"),
    ]


@pytest.mark.parametrize(
    "url", ["https://api.example/v1", "http://localhost.example", "http://example/127.0.0.1"]
)
def test_other_machines_keep_theirs(url: str) -> None:
    arguments = docker_arguments(chosen(model="localhost/m", base_url=url))
    told = ["-e", "LLM_MODEL=localhost/m", "-e", f"LLM_BASE_URL={url}"]
    assert without_policy(arguments) == told


# shell


def test_shell_commands() -> None:
    assert export(chosen(model="a b", api_key=KEY), "shell") == (
        "export LLM_MODEL='a b'\n"
        'export LLM_API_KEY="${LLM_API_KEY:?is not set: type it after read -rs LLM_API_KEY}"\n'
        "export LLM_NUM_RETRIES=4\n"
        "export LLM_RETRY_MIN_WAIT=5\n"
        "export LLM_RETRY_MAX_WAIT=30\n"
        "export LLM_RETRY_MULTIPLIER=2"
    )


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_shell_commands_work_when_the_key_is_set(shell: str) -> None:
    snapshot = chosen(model=TRICKY, api_key=KEY)
    variables = shell_variables(snapshot, shell, LLM_API_KEY=KEY)
    assert variables["LLM_MODEL"] == TRICKY
    assert variables["LLM_API_KEY"] == KEY


def test_the_shell_commands_say_when_the_key_is_not_set() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        shell_variables(chosen(api_key=KEY))
    assert b"LLM_API_KEY: is not set: type it after read -rs LLM_API_KEY" in caught.value.stderr


# toml and profile


def test_toml_is_what_saving_writes() -> None:
    snapshot = chosen("g", model="m", api_key=KEY, top_p=0.5, retry_after_limit=9, num_retries=4)
    save(snapshot, "config.toml", group="llm")
    assert export(snapshot, "toml") == Path("config.toml").read_text()
    assert tomllib.loads(export(snapshot, "toml")) == {
        "llm": {"model": "m", "top_p": 0.5},
        "openhands_llm_magic": {"retry_after_limit": 9.0},
    }


def test_a_profile_has_the_fields_that_the_sdk_knows() -> None:
    profile = export(
        chosen(
            model="openai/日本",
            api_key=KEY,
            aws_access_key_id=KEY,
            base_url="http://x",
            num_retries=6,
            caching_prompt=False,
            modify_params=False,
            custom_llm_provider="openai",
            retry_after_limit=9,
            max_budget_per_task=2,
        ),
        "profile",
    )
    assert profile == (
        "{\n"
        '  "model": "openai/日本",\n'
        '  "base_url": "http://x",\n'
        '  "num_retries": 6,\n'
        '  "retry_min_wait": 5,\n'
        '  "retry_max_wait": 30,\n'
        '  "retry_multiplier": 2,\n'
        '  "caching_prompt": false\n'
        "}"
    )


# Every form


def test_nothing_set_gives_the_model_and_the_retry_policy() -> None:
    """The SDK and later versions of OpenHands have other defaults, such as 5 attempts."""
    model = "claude-sonnet-4-20250514"
    nothing = resolve([])
    assert export(nothing, "toml") == f'[llm]\nmodel = "{model}"\n'
    assert json.loads(export(nothing, "profile")) == {"model": model, **POLICY}
    told = {"LLM_MODEL": model, "LLM_API_KEY": KEY, **VARIABLES}
    assert shell_variables(nothing, LLM_API_KEY=KEY).items() >= told.items()
    in_docker = ["-e", f"LLM_MODEL={model}", "-e", "LLM_API_KEY"]
    assert without_policy(docker_arguments(nothing)) == in_docker


def test_a_default_that_somebody_has_set_is_handed_over_too() -> None:
    """The SDK sends no temperature and no top_p by default."""
    snapshot = chosen(temperature=0.0, top_p=1.0, base_url=None)
    assert "-e LLM_TEMPERATURE=0 " in export(snapshot, "docker")
    assert json.loads(export(snapshot, "profile")).keys() == {
        "model", "temperature", "top_p", *POLICY
    }  # fmt: skip


def test_the_api_version_that_openhands_adds_to_a_file_is_handed_over() -> None:
    """From variables alone, OpenHands would not add it."""
    Path("config.toml").write_text('[llm]\nmodel = "azure/deployment"\n')
    assert "LLM_API_VERSION=2024-12-01-preview" in export(load_settings(env={}), "docker")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        export(resolve([]), "dokcer")
    assert str(caught.value) == (
        "there is no form 'dokcer'; did you mean docker? There are profile, shell, docker, toml"
    )


@pytest.mark.parametrize("form", ["docker", "shell"])
@pytest.mark.parametrize("character", ["\0", "\udcff"])
def test_what_no_variable_can_hold_is_refused(form: str, character: str) -> None:
    with pytest.raises(SettingError, match=r"model holds a character .* \(from this session\)"):
        export(chosen(model=f"a{character}"), form)


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        (None, "http://host.docker.internal:11434"),
        ("http://127.0.0.1:4000", "http://host.docker.internal:4000"),
        ("http://ollama.example", "http://ollama.example"),
    ],
)
def test_in_docker_the_usual_address_of_this_machine_is_another(
    variable: str | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM would ask the container itself, where nobody names an address."""
    if variable:
        monkeypatch.setenv("OLLAMA_API_BASE", variable)
    text = docker_arguments(chosen(model="ollama_chat/qwen3"))
    assert f"LLM_BASE_URL={address}" in text
    assert "LLM_BASE_URL" not in repr(docker_arguments(chosen(model="practice/echo")))


@pytest.mark.parametrize("form", FORMS)
def test_an_address_with_a_password_is_refused(form: str) -> None:
    """Masked it would not work, and without it prompts could go to another server."""
    with pytest.raises(SettingError, match=r"^base_url has a user or password") as caught:
        export(chosen(base_url="http://bob:hunter2secret@host/v1"), form)
    assert "hunter2" not in str(caught.value)


@given(some("secret"))
def test_what_arrives_is_what_was_handed_over(values: dict[str, Any]) -> None:
    snapshot = chosen(**values)
    arrived = shell_variables(snapshot, LLM_API_KEY=KEY)
    assert arrived.pop("LLM_API_KEY") == KEY
    assert values_read(arrived) == values_in(snapshot)
    unknown_there = {
        name: each.default
        for name, each in SETTINGS.items()
        if each.variable.startswith("LLM_MAGIC_")
    }
    assert values_read(variables_of(docker_arguments(snapshot))) == (
        values_in(snapshot) | unknown_there
    )


@given(KEYS, some("dict"), st.sampled_from(sorted(FORMS)))
def test_no_key_is_in_what_is_handed_over(key: str, values: dict[str, Any], form: str) -> None:
    keys: dict[str, Any] = {n: key for n, each in SETTINGS.items() if each.kind == "secret"}
    keys["base_url"] = f"http://x?key={key}"
    keys["completion_kwargs"] = {"extra_headers": {"Authorization": f"Bearer {key}"}}
    text = export(chosen(**{**values, **keys}), form)
    assert "sk-" not in text
    assert "**" not in text


@pytest.mark.parametrize("form", ["profile", "shell", "docker"])
def test_a_default_is_written_as_the_same_value_of_a_file(form: str, tmp_path: Path) -> None:
    """Nobody sees from a text whether `retry_multiplier` is set, and OpenHands reads both."""
    (tmp_path / "config.toml").write_text("[llm]\nretry_multiplier = 2.0\n")
    by_default = export(load_settings(env={}), form)
    assert export(load_settings(tmp_path / "config.toml", env={}), form) == by_default
