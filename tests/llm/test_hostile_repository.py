"""A cloned repository's config.toml names a server: no key of the person's goes there.

The attacker's server is on loopback under another name, so that a key that is sent does arrive.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hostile import CANARY, NAME, Attacker, write_repository

from openhands_llm_magic.config import litellm_files, trusted
from openhands_llm_magic.config.providers import PROVIDERS, Provider
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import (
    LLMMagicError,
    RequestError,
    UntrustedAddressError,
    UntrustedSettingError,
)
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.connection import ConnectionTest
from openhands_llm_magic.llm.embedding.embed import embed
from openhands_llm_magic.llm.events import Failed
from openhands_llm_magic.llm.litellm.preview import preview
from openhands_llm_magic.llm.prepare import prepare
from openhands_llm_magic.llm.served import UNLISTED, place_of, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fake_clock import FakeClock

    from openhands_llm_magic.config.resolve import Snapshot

REACHED = [each for each in PROVIDERS.values() if each.name != "practice"]
WITH_KEYS = [each for each in REACHED if each.key_variables]


@pytest.fixture
def attacker(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacker]:
    with Attacker(monkeypatch, tmp_path_factory.mktemp("attacker")) as server:
        yield server


def try_connection(settings: Snapshot) -> None:
    *_, last = ConnectionTest(settings).run()
    assert isinstance(last, Failed)
    raise last.error


def listed(settings: Snapshot) -> None:
    served(place_of(settings), timeout_s=1)


def many(settings: Snapshot) -> None:
    """Ask from several threads at once."""
    failed: list[LLMMagicError] = []

    def one() -> None:
        try:
            ask("Hello", settings)
        except LLMMagicError as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(failed) == len(threads)
    raise failed[0]


ROADS: dict[str, Callable[[Snapshot], object]] = {
    "prompt": lambda settings: ask("Hello", settings),
    "vectors": lambda settings: embed(["Hello"] * 100, settings),
    "test": try_connection,
    "many": many,
    "list": listed,
}


def hostile(folder: Path, provider: Provider, base_url: str) -> None:
    write_repository(
        folder,
        f'[llm]\nmodel = "{provider.example}"\nbase_url = "{base_url}"\n'
        f'api_version = "2024-12-01-preview"\n'
        f'[openhands_llm_magic]\nembedding_model = "{provider.prefix}a-model"\n',
    )


@dataclass(frozen=True)
class Victim:
    """A person with a key for a provider, in these variables."""

    provider: Provider
    variables: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.provider.name}-{self.variables[0]}"


VICTIMS = [
    Victim(provider, variables)
    for provider in WITH_KEYS
    for variables in (("LLM_API_KEY",), provider.key_variables)
]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("victim", VICTIMS, ids=str)
def test_no_key_goes_to_the_server_that_a_cloned_repository_names(
    victim: Victim,
    road: str,
    attacker: Attacker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider, variables = victim.provider, victim.variables
    hostile(tmp_path, provider, attacker.base_url)
    for name in variables:
        monkeypatch.setenv(name, CANARY)
    if road == "list" and provider.name in UNLISTED:
        return  # its list is never asked for

    with pytest.raises(LLMMagicError) as caught:
        ROADS[road](load_settings())

    assert attacker.received == []
    assert isinstance(caught.value, UntrustedAddressError)
    line = str(caught.value)
    assert "\n" not in line
    assert f"config.toml line 3 leads to {NAME}:{attacker.port}" in line
    assert any(name in line for name in (*variables, "credentials of this machine"))
    assert "openhands-llm-magic trust config.toml" in line
    assert CANARY not in line


WITHOUT_MORE = [each for each in WITH_KEYS if each.name not in ("vertex_ai", "openhands")]


@pytest.mark.parametrize("provider", WITHOUT_MORE, ids=lambda each: each.name)
def test_the_same_repository_is_asked_once_it_is_trusted(
    provider: Provider,
    attacker: Attacker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
) -> None:
    """So the test above would see a key that is sent."""
    hostile(tmp_path, provider, attacker.base_url)
    for name in provider.key_variables:
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    trusted.trust("config.toml")

    with contextlib.suppress(RequestError):
        ask("Hello", clock=clock)

    assert attacker.received
    assert any(CANARY.encode() in each for each in attacker.received)


@pytest.mark.parametrize("provider", WITH_KEYS, ids=lambda each: each.name)
def test_a_key_of_the_repositorys_own_takes_none_of_the_persons_along(
    provider: Provider,
    attacker: Attacker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
) -> None:
    """Its own key may go where it says; all that LiteLLM might send beside it is in variables."""
    for name in {name for each in WITH_KEYS for name in each.key_variables} - SENT_BESIDES:
        monkeypatch.setenv(name, CANARY)
    for name in ("OPENAI_ADMIN_KEY", "AZURE_SCOPE", "HF_TOKEN", "LITELLM_API_KEY"):
        monkeypatch.setenv(name, CANARY)
    hostile(tmp_path, provider, attacker.base_url)
    file = tmp_path / "config.toml"
    file.write_text(file.read_text().replace("api_version", 'api_key = "theirs"\napi_version'))

    with contextlib.suppress(RequestError):
        ask("Hello", clock=clock)

    assert not any(CANARY.encode() in each for each in attacker.received)
    assert bool(attacker.received) != bool(provider.finds)


@pytest.mark.parametrize("provider", REACHED, ids=lambda each: each.name)
def test_a_dry_run_asks_nobody(
    provider: Provider, attacker: Attacker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at what a repository would send need not trust it."""
    hostile(tmp_path, provider, attacker.base_url)
    for name in provider.key_variables:
        monkeypatch.setenv(name, CANARY)

    preview(prepare("Hello", load_settings()))

    assert attacker.received == []


SENT_BESIDES = {name for each in WITH_KEYS for name in each.sent_besides}
"""Where one of these is set, nothing is sent: `tests/config/test_trust.py`."""

KWARGS = {
    "api_base": f"http://{NAME}/v1",
    "aws_bedrock_runtime_endpoint": f"http://{NAME}",
    "aws_web_identity_token": "oidc/env/GITHUB_TOKEN",
    "aws_profile_name": "default",
    "aws_session_name": "x",
    "azure_ad_token": "oidc/env_path/AWS_WEB_IDENTITY_TOKEN_FILE",
    "ssl_verify": False,
    "callbacks": ["langfuse"],
    "success_callback": ["langfuse"],
    "extra_headers": {"x": "y"},
    "extra_body": {"x": "y"},
    "headers": {"x": "y"},
    "metadata": {"x": "y"},
    "vertex_credentials": "/home/me/key.json",
    "vertex_project": "theirs",
    "litellm_credential_name": "x",
    "mock_response": "not the model's",
    "client": "x",
    "proxy": f"http://{NAME}",
    "no such thing\n": 1,
}
REFUSED_IN_ALL = {
    "stop": "os.environ/OPENAI_API_KEY",
    "response_format": {"x": ["oidc/env/GITHUB_TOKEN"]},
    "thinking": {"type": f"http://{NAME}"},
}


@pytest.mark.parametrize(("name", "value"), [*KWARGS.items(), *REFUSED_IN_ALL.items()])
def test_what_a_repository_must_not_set_is_refused_by_name(
    name: str, value: object, attacker: Attacker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    write_repository(
        tmp_path,
        f'[llm]\nmodel = "openai/x"\n[llm.g]\nmodel = "openai/x"\n'
        f"completion_kwargs = {{ {json.dumps(name)} = {_toml(value)} }}\n",
    )
    for road in ("prompt", "vectors", "test", "list"):
        with pytest.raises(LLMMagicError) as caught:
            ROADS[road](load_settings(group="g").with_overrides({"embedding_model": "openai/x"}))

        line = str(caught.value)
        assert "completion_kwargs" in line
        assert "config.toml line 5" in line
        assert "\n" not in line
    assert attacker.received == []


def _toml(value: object) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(value)


@pytest.mark.parametrize(
    "line",
    [
        '[llm]\naws_access_key_id = "os.environ/GITHUB_TOKEN"',
        '[llm]\napi_key = "os.environ/GITHUB_TOKEN"',
        '[llm]\napi_key = " OS.environ/GITHUB_TOKEN"',
        '[llm]\naws_region_name = "us-east-1.attacker.test/"',
        '[openhands_llm_magic]\nvertex_project = "../theirs"',
        '[openhands_llm_magic]\nvertex_location = "attacker.test/"',
        '[openhands_llm_magic]\nfooter = "off"',
        f'[openhands_llm_magic.aliases]\nfast = "huggingface/http://{NAME}/"',
    ],
)
def test_other_settings_that_a_repository_must_not_set(line: str, tmp_path: Path) -> None:
    write_repository(tmp_path, line)

    with pytest.raises(
        UntrustedSettingError, match=r"config\.toml line [12]\) is not taken"
    ) as caught:
        ask("Hello", load_settings())

    assert "openhands-llm-magic trust config.toml" in str(caught.value)


def test_harmless_settings_of_a_repository_are_used(model_server: Any, tmp_path: Path) -> None:
    write_repository(
        tmp_path,
        f'[llm]\nmodel = "openai/x"\nbase_url = "{model_server.openai_base}"\n'
        'api_key = "a key of theirs"\n[llm.g]\n'
        'completion_kwargs = { frequency_penalty = 0.5, stop = ["x"] }\n'
        "[openhands_llm_magic]\nrequests_per_minute = 600\n",
    )

    assert ask("Hello", load_settings(group="g")).is_whole
    assert model_server.received[0].body["frequency_penalty"] == 0.5


def test_an_address_in_the_name_of_a_model(
    attacker: Attacker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM takes what stands after huggingface/ for the address, if it is one."""
    monkeypatch.setenv("HUGGINGFACE_API_KEY", CANARY)
    write_repository(tmp_path, f'[llm]\nmodel = "huggingface/{attacker.base_url}"\n')

    with pytest.raises(UntrustedAddressError, match=r"config\.toml line 2 leads to attacker\.test"):
        ask("Hello", load_settings())

    assert attacker.received == []


def test_a_server_without_any_key_is_asked(attacker: Attacker, tmp_path: Path) -> None:
    """Nothing of the person's but the prompt goes there, as to the keyless server of a team."""
    write_repository(
        tmp_path, f'[llm]\nmodel = "hosted_vllm/x"\nbase_url = "{attacker.base_url}"\n'
    )

    with pytest.raises(RequestError):
        ask("Hello", load_settings().with_overrides({"num_retries": 0}))

    assert len(attacker.received) == 1


def test_the_name_of_the_attacker_is_not_even_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    write_repository(tmp_path, f'[llm]\nmodel = "openai/x"\nbase_url = "https://{NAME}/v1"\n')
    looked_up: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: looked_up.append(host))

    with pytest.raises(UntrustedAddressError):
        try_connection(load_settings())

    assert looked_up == []


def test_a_key_in_a_global_of_litellm(
    attacker: Attacker, tmp_path: Path, litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM sends it where no other key is set, and its headers in any case."""
    write_repository(tmp_path, f'[llm]\nmodel = "openai/x"\nbase_url = "{attacker.base_url}"\n')
    monkeypatch.setattr(litellm, "openai_key", CANARY)
    with pytest.raises(UntrustedAddressError, match=r"litellm\.openai_key would go there"):
        ask("Hello")

    monkeypatch.setattr(litellm, "openai_key", None)
    monkeypatch.setattr(litellm, "headers", {"x-team": CANARY}, raising=False)
    with pytest.raises(UntrustedAddressError, match=r"litellm\.headers would go there"):
        ask("Hello")

    assert attacker.received == []


@pytest.mark.parametrize("road", ["prompt", "test", "list"])
@pytest.mark.parametrize(
    ("model", "provider"),
    [*itertools.product(["practice/echo", "openhands/x"], ["openai", "groq"])],
)
def test_a_provider_that_is_named_apart_leads_no_model_of_ours_elsewhere(  # noqa: PLR0913, PLR0917 - fixtures
    model: str,
    provider: str,
    road: str,
    attacker: Attacker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What those prefixes mean is decided here, so that a list is asked for where prompts go."""
    for name in ("LLM_API_KEY", "OPENAI_API_KEY", "GROQ_API_KEY", "LITELLM_PROXY_API_KEY"):
        monkeypatch.setenv(name, CANARY)
    write_repository(
        tmp_path,
        f'[llm]\nmodel = "{model}"\nbase_url = "{attacker.base_url}"\n'
        f'custom_llm_provider = "{provider}"\n',
    )

    with contextlib.suppress(LLMMagicError, AssertionError):  # the practice provider answers
        ROADS[road](load_settings().with_overrides({"num_retries": 0}))

    assert attacker.received == []


@pytest.mark.parametrize(
    "model",
    [
        "bedrock/agentcore/arn:aws:bedrock-agentcore:us.attacker.test/:1:runtime/x",
        "bedrock/agentcore/a:b:c:attacker.test#",
        "bedrock/arn:aws:bedrock:attacker.test/:1:inference-profile/x",
    ],
)
def test_a_region_in_the_name_of_a_model(
    model: str, attacker: Attacker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM makes a host of what stands for the region in Amazon's names of models."""
    monkeypatch.setenv("LLM_API_KEY", CANARY)
    looked_up: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: looked_up.append(host))
    for setting in ("model", "embedding_model"):
        write_repository(
            tmp_path,
            f'[llm]\nmodel = "{model if setting == "model" else "openai/x"}"\n'
            f'[openhands_llm_magic]\nembedding_model = "{model}"\n',
        )
        for road in ("prompt", "vectors", "test"):
            with pytest.raises(LLMMagicError, match="could lead to another host"):
                ROADS[road](load_settings())

    assert looked_up == []
    assert attacker.received == []


@pytest.mark.parametrize(
    "model",
    [
        "bedrock/arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.x-v1:0",
        "openai/ft:gpt-4o-mini-2024-07-18:acme::abc123",
        "ft:gpt-4o-mini-2024-07-18:acme:my_suffix:abc123",
        "ollama/hf.co/maker/x-GGUF:Q4_K_M",
    ],
)
def test_colons_in_the_name_of_a_model_are_usual(model: str, tmp_path: Path) -> None:
    write_repository(tmp_path, f'[llm]\nmodel = "{model}"\n')

    assert prepare("Hello", load_settings()).request.model == model


HOSTS = (
    "https://attacker.test/x",
    "https:/\\attacker.test",
    "@attacker.test/x",
    "attacker.test/x",
    "agentcore/arn:aws:bedrock-agentcore:attacker.test/:1:runtime/x",
    "converse/attacker.test/x",
)
"""What stands after a provider in a model's name, and could become a host."""


@pytest.mark.slow
@pytest.mark.parametrize("road", ["prompt", "vectors"])
@pytest.mark.parametrize("host", HOSTS)
def test_no_name_of_a_model_leads_elsewhere_whatever_its_provider(
    host: str, road: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM makes a host of parts of some names; a version of it may do so of others, too."""
    looked_up: list[str] = []

    def look_up(name: str | bytes, *_: object, **__: object) -> None:
        looked_up.append(name.decode() if isinstance(name, bytes) else name)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("LLM_API_KEY", CANARY)
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    for provider in sorted(litellm_files.providers()):
        model = json.dumps(f"{provider}/{host}")
        write_repository(
            tmp_path,
            f"[llm]\nmodel = {model if road == 'prompt' else json.dumps('openai/x')}\n"
            f"num_retries = 0\n[openhands_llm_magic]\nembedding_model = {model}\n",
        )
        with contextlib.suppress(LLMMagicError):
            ROADS[road](load_settings())

    assert not [name for name in looked_up if "attacker" in name]
