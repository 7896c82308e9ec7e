"""Where a key may go: which servers, whose keys, and what was trusted."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hostile import CANARY, write_repository
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.cli import main
from openhands_llm_magic.config import trusted
from openhands_llm_magic.config.providers import PROVIDERS, plain_server, server_of
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import save
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.config.trust import require_harmless, require_trusted, shown_host
from openhands_llm_magic.errors import SettingError, UntrustedAddressError

if TYPE_CHECKING:
    from pathlib import Path

    from openhands_llm_magic.config.resolve import Snapshot

ELSEWHERE = "https://attacker.test/v1"


def sent(settings: Snapshot, env: dict[str, str] | None = None) -> str:
    """Ask the rule about a prompt; return its note, or "" where it may simply go."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    options = {"base_url": settings.base_url, "api_key": key}
    given = {name: value for name, value in options.items() if value}
    return str(require_trusted(settings, settings.model, given, env or {}) or "")


def project(folder: Path, base_url: str, model: str = "openai/x", more: str = "") -> Path:
    """Write a project's config.toml that names a server."""
    lines = ["[llm]", f'model = "{model}"', f"base_url = {json.dumps(base_url)}", more]
    return write_repository(folder, "\n".join(lines))


OPENAI = {"OPENAI_API_KEY": CANARY}

STRANGE = [
    "https://attacker.test/v1",
    "http://attacker.test/v1",
    "https://api.openai.com@attacker.test/v1",
    "https://api.openai.com:x@attacker.test/v1",
    "https://127.0.0.1:80@attacker.test/v1",
    "https://attacker.test#@api.openai.com/v1",
    "https://attacker.test\\@api.openai.com/v1",
    "https://api.openai.com\\@attacker.test/v1",
    "https://api.openai.com.attacker.test/v1",
    "https://attacker.test/api.openai.com",
    "https://attacker-api.openai.com.test/v1",
    "https://xapi.openai.com/v1",
    "https://api.openai.com%2eattacker.test/v1",
    "https://api.openai.com%00.attacker.test/v1",
    "https://\u0430pi.openai.com/v1",  # the first letter is Cyrillic
    "https://api\u3002openai\u3002com/v1",  # full stops of Chinese
    "https://\uff41pi.openai.com/v1",  # a wide letter
    "https://xn--pi-6kc.openai.com/v1",
    "https://api.openai.com\u200b/v1",
    "http://api.openai.com/v1",
    "ftp://api.openai.com/v1",
    "//attacker.test/v1",
    "attacker.test/v1",
    "https:attacker.test/v1",
    "https:///attacker.test/v1",
    "http://localhost.attacker.test/v1",
    "http://127.0.0.1.attacker.test/v1",
    "http://2130706433/v1",
    "http://0x7f000001/v1",
    "http://0177.0.0.1/v1",
    "http://127.1/v1",
    "http://[::ffff:8.8.8.8]/v1",
    "http://[::1%25eth0]/v1",
    "http://[::1",
    "http://[::1]attacker.test/v1",
    "http://169.254.169.254/v1",
    "https://api.openai.com:99999/v1",
    "https://api.openai.com/v1\nhttps://attacker.test",
    "https://api.openai.com\t.attacker.test/v1",
    " https://api.openai.com/v1",
    "https://evil.openai.azure.com/v1",
    "https://api.groq.com/openai/v1",
]


@pytest.mark.parametrize("base_url", STRANGE)
def test_a_host_in_other_letters_is_strange(tmp_path: Path, base_url: str) -> None:
    """The key of OpenAI goes to OpenAI's own host alone, and what is not surely that is not."""
    project(tmp_path, base_url)

    with pytest.raises(UntrustedAddressError) as caught:
        sent(load_settings(env={}), OPENAI)

    line = str(caught.value)
    assert line.isprintable()
    assert line.isascii()
    assert "OPENAI_API_KEY" in line


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.openai.com/v1",
        "HTTPS://API.OpenAI.com/v1",
        "https://api.openai.com./v1",
        "https://api.openai.com:443/v1",
        "https://user:pw@api.openai.com/v1",
        "http://localhost:1234/v1",
        "http://LOCALHOST./v1",
        "http://127.0.0.2:8000/v1",
        "http://[::1]:8000/v1",
        "http://[0:0:0:0:0:0:0:1]/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://0.0.0.0:8000",
    ],
)
def test_the_providers_own_host_and_this_machine_need_no_trust(
    tmp_path: Path, base_url: str
) -> None:
    project(tmp_path, base_url)

    assert sent(load_settings(env={}), OPENAI) == ""
    assert sent(load_settings(env={"LLM_API_KEY": CANARY})) == ""


@given(st.text(max_size=30), st.sampled_from(["api.openai.com", "localhost", "127.0.0.1", "[::1]"]))
def test_an_address_is_plain_only_if_its_host_is_what_it_seems(text: str, host: str) -> None:
    """Whatever stands around a host, it is that host's only where nothing else could be."""
    for address in (f"https://{text}{host}/v1", f"https://{host}{text}/v1"):
        server = plain_server(address)
        if server is None:
            continue
        netloc = address[8:].split("/")[0].split("?")[0].split("#")[0].rpartition("@")[2]
        shown = netloc if netloc.startswith("[") else netloc.split(":")[0]
        assert shown.strip("[]").removesuffix(".").lower() in (server.host, server.host.strip("[]"))


OWN = [
    ("anthropic/x", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    ("azure/x", "https://mine.openai.azure.com", "AZURE_API_KEY"),
    ("bedrock/x", "https://bedrock-runtime.eu-west-1.amazonaws.com", "AWS_ACCESS_KEY_ID"),
    ("vertex_ai/x", "https://europe-west1-aiplatform.googleapis.com", "VERTEX_AI_KEY"),
    ("openhands/x", "https://llm-proxy.app.all-hands.dev/", "LITELLM_PROXY_API_KEY"),
]


@pytest.mark.parametrize(("model", "base_url", "variable"), OWN)
def test_the_hosts_of_regions_are_the_providers_own(
    tmp_path: Path, model: str, base_url: str, variable: str
) -> None:
    project(tmp_path, base_url, model)
    assert sent(load_settings(env={}), {variable: CANARY}) == ""

    project(tmp_path, base_url.replace("https://", "https://x.y."), model)
    with pytest.raises(UntrustedAddressError):
        sent(load_settings(env={}), {variable: CANARY})


def test_every_provider_with_an_address_of_its_own_runs_it() -> None:
    """So LiteLLM's own default, which the catalogue has, is known for the provider's."""
    for provider in PROVIDERS.values():
        server = server_of(provider.base_url_form)
        assert server is not None
        elsewhere = provider.local or "base_url" in provider.asks_for
        assert provider.runs(server) != elsewhere or provider.name == "azure", provider.name
        assert not provider.runs(server._replace(scheme="http"))


@pytest.mark.parametrize("source", ["environment", "session", "argument", "own file"])
def test_what_a_person_gives_may_lead_anywhere(tmp_path: Path, source: str) -> None:
    env = {"LLM_API_KEY": CANARY}
    if source == "own file":
        home = tmp_path / "home" / ".openhands"
        home.mkdir(parents=True)
        project(home, ELSEWHERE)
        settings = load_settings(env=env)
        assert settings.base_url == ELSEWHERE
    elif source == "environment":
        settings = load_settings(env={**env, "LLM_BASE_URL": ELSEWHERE, "LLM_MODEL": "openai/x"})
    else:
        given = {"base_url": ELSEWHERE, "model": "openai/x"}
        settings = load_settings(env=env).with_overrides(given)

    assert sent(settings, env) == ""


def test_a_file_may_send_its_own_key_where_it_names(tmp_path: Path) -> None:
    """Another key of the environment does not go along; a group inherits key and address."""
    project(tmp_path, ELSEWHERE, more='api_key = "of the file"\n[llm.g]\nmodel = "openai/y"')

    assert sent(load_settings(env={}), OPENAI) == ""
    assert sent(load_settings(env={}, group="g"), OPENAI) == ""
    with pytest.raises(UntrustedAddressError, match=r"api_key \(LLM_API_KEY\) would go there"):
        sent(load_settings(env={"LLM_API_KEY": CANARY}), OPENAI)


@pytest.mark.parametrize(
    ("model", "env"),
    [
        ("azure/x", {"AZURE_AD_TOKEN": CANARY}),
        ("azure/x", {"AZURE_CLIENT_SECRET": CANARY}),
        ("openai/x", {"OPENAI_CUSTOM_HEADERS": f"x: {CANARY}"}),
        ("bedrock/x", {}),
        ("vertex_ai/x", {}),
        ("sagemaker/x", {}),
        ("azure_ai/x", {}),
        ("vertex_ai_beta/x", {}),
        ("Vertex_ai/x", {}),
        ("text-embedding-004", {}),  # one of Vertex AI's, as LiteLLM's own lists say
        ("meta.llama3-8b-instruct-v1:0", {}),  # Amazon's
        ("nobody-knows/x", {}),
    ],
)
def test_what_litellm_sends_beside_a_key_of_the_file_does_not_go_there(
    tmp_path: Path, model: str, env: dict[str, str]
) -> None:
    project(tmp_path, ELSEWHERE, model, 'api_key = "of the file"')

    with pytest.raises(UntrustedAddressError):
        sent(load_settings(env={}), env)


def test_a_file_may_send_its_own_key_to_a_provider_outside_the_catalogue(tmp_path: Path) -> None:
    project(tmp_path, ELSEWHERE, "xai/grok", 'api_key = "of the file"')

    assert sent(load_settings(env={})) == ""


def test_a_provider_outside_the_catalogue_counts_as_one_with_a_key(tmp_path: Path) -> None:
    project(tmp_path, ELSEWHERE, "xai/grok")
    with pytest.raises(UntrustedAddressError, match="any key that LiteLLM finds for xai/"):
        sent(load_settings(env={}))


@pytest.mark.parametrize("model", ["my-model", "unsloth/qwen3"])
def test_a_name_without_a_provider_is_made_none(tmp_path: Path, model: str) -> None:
    project(tmp_path, ELSEWHERE, model)
    with pytest.raises(UntrustedAddressError, match="any key that LiteLLM finds for this model"):
        sent(load_settings(env={}))


@pytest.mark.parametrize("named", ["openai", "OpenAI", "groq", "custom_openai", "bedrock", "xai"])
def test_the_provider_that_a_file_names_apart_is_no_way_around(tmp_path: Path, named: str) -> None:
    env = {**OPENAI, "GROQ_API_KEY": CANARY}
    project(tmp_path, ELSEWHERE, "hosted_vllm/x", f'custom_llm_provider = "{named}"')

    with pytest.raises(UntrustedAddressError):
        sent(load_settings(env={}), env)


def test_headers_that_a_person_gives_are_keys(tmp_path: Path) -> None:
    project(tmp_path, ELSEWHERE)
    headers = {"completion_kwargs": {"extra_headers": {"x-team": "a key"}}}

    with pytest.raises(UntrustedAddressError, match="completion_kwargs"):
        sent(load_settings(env={}).with_overrides(headers))


HTTP = "http://gpu.example:8000/v1"


def test_over_plain_http_a_key_goes_only_where_its_own_source_sends_it() -> None:
    env = {"LLM_BASE_URL": HTTP, "LLM_MODEL": "openai/x", "LLM_API_KEY": CANARY}
    assert "gpu.example:8000 over plain http" in sent(load_settings(env=env), env)
    assert "plain http" in sent(load_settings(env=env), {**env, **OPENAI})

    own = load_settings(env=env).with_overrides({"api_key": "of the session"})
    with pytest.raises(UntrustedAddressError, match=r"LLM_BASE_URL leads to gpu.* over plain http"):
        sent(own, env)
    both = load_settings(env=env).with_overrides({"api_key": "of here", "base_url": HTTP})
    assert "plain http" in sent(both, env)
    keyless = load_settings(env={"LLM_BASE_URL": HTTP, "LLM_MODEL": "openai/x"})
    assert sent(keyless) == ""


def test_over_plain_http_a_trusted_file_gets_no_key_but_its_own(tmp_path: Path) -> None:
    file = project(tmp_path, HTTP)
    trusted.trust(file)

    with pytest.raises(UntrustedAddressError, match=r"over plain http.* Write https://"):
        sent(load_settings(file, env={}), OPENAI)
    file.write_text(file.read_text() + 'api_key = "of the file"\n')
    assert "plain http" in sent(load_settings(file, env={}))


def test_every_setting_of_ours_says_whether_a_project_may_set_it() -> None:
    """Those that it may not are named here, so that a new one is thought about."""
    refused = {each.name for each in SETTINGS.values() if each.ours and not each.in_projects}

    assert refused == {"footer", "budget_per_day", "budget_per_month", "ledger", "ledger_days"}
    assert not [each.name for each in SETTINGS.values() if each.in_projects and not each.ours]


# What was trusted.


def test_what_a_person_saves_need_not_be_trusted_again(tmp_path: Path) -> None:
    """Nor does it stop being trusted; what a project's file gave is not trusted by saving it."""
    given = {"model": "openai/x", "base_url": ELSEWHERE, "footer": "off"}
    mine = load_settings(env={}).with_overrides(given)
    save(mine, "config.toml")
    assert sent(load_settings(env={}), OPENAI) == ""
    require_harmless(load_settings(env={}))
    save(mine.with_overrides({"base_url": "https://other.test/v1"}), "config.toml")
    assert sent(load_settings(env={}), OPENAI) == ""

    other = tmp_path / "other"
    other.mkdir()
    strange = load_settings(project(other, ELSEWHERE), env={})
    save(strange, "copy.toml")
    save(strange.with_overrides({"seed": 1}))
    for file in ("copy.toml", other / "config.toml"):
        with pytest.raises(UntrustedAddressError):
            sent(load_settings(file, env={}), OPENAI)


def test_a_trusted_file_may_lead_where_it_does_until_it_changes(tmp_path: Path) -> None:
    file = project(tmp_path, ELSEWHERE, more="[openhands_llm_magic]\nfooter = 'off'")
    with pytest.raises(SettingError):
        require_harmless(load_settings(env={}))

    trusted.trust(file)
    require_harmless(load_settings(env={}))
    assert sent(load_settings(env={}), OPENAI) == ""
    assert [entry.hosts for entry in trusted.listed()] == [("https://attacker.test:443",)]

    settings = load_settings(env={})
    file.write_text(file.read_text() + "# another line\n")
    assert sent(settings, OPENAI) == "", "what was read before is what was trusted"
    with pytest.raises(UntrustedAddressError):
        sent(load_settings(env={}), OPENAI)

    trusted.trust(tmp_path)  # a folder stands for its file
    assert sent(load_settings(env={}), OPENAI) == ""
    assert trusted.untrust(file)
    assert not trusted.untrust(file)
    with pytest.raises(UntrustedAddressError):
        sent(load_settings(env={}), OPENAI)


def test_a_copy_of_a_trusted_file_is_not_trusted(tmp_path: Path) -> None:
    trusted.trust(project(tmp_path, ELSEWHERE))
    other = tmp_path / "other"
    other.mkdir()
    copy = project(other, ELSEWHERE)

    with pytest.raises(UntrustedAddressError):
        sent(load_settings(copy, env={}), OPENAI)


def test_the_variable_trusts_files_and_folders(tmp_path: Path) -> None:
    file = project(tmp_path, ELSEWHERE)
    settings = load_settings(env={})

    for named in (str(file), str(tmp_path), f"/nowhere{os.pathsep}{file}", "config.toml", "."):
        assert sent(settings, {**OPENAI, "LLM_MAGIC_TRUST": named}) == ""
    for named in ("", os.pathsep, "/nowhere", str(tmp_path.parent)):
        with pytest.raises(UntrustedAddressError):
            sent(settings, {**OPENAI, "LLM_MAGIC_TRUST": named})


@pytest.mark.parametrize(
    "kept",
    [b"", b"{", b"[]", b"\xff", b"null", b"[" * 99_999, b'{"path": 1, "digest": "", "hosts": 0}'],
)
def test_a_corrupt_entry_is_no_trust(tmp_path: Path, kept: bytes) -> None:
    """It costs no other, and trusting the file again mends it."""
    file = project(tmp_path, ELSEWHERE)
    trusted.trust(file)
    (place,) = entries()
    place.write_bytes(kept)

    with pytest.raises(UntrustedAddressError):
        sent(load_settings(env={}), OPENAI)
    assert trusted.listed() == []
    trusted.trust(file)
    assert sent(load_settings(env={}), OPENAI) == ""


def entries() -> list[Path]:
    return list((trusted.data_folder() / "trusted").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_an_entry_is_the_users_alone(tmp_path: Path) -> None:
    trusted.trust(project(tmp_path, ELSEWHERE))
    (place,) = entries()

    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700
    place.chmod(0o666)
    with pytest.raises(UntrustedAddressError):
        sent(load_settings(env={}), OPENAI)


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project(tmp_path, ELSEWHERE)
    monkeypatch.setenv("XDG_DATA_HOME", str(file))  # below a file there can be no folder

    with pytest.raises(SettingError, match=r"^config\.toml could not be kept as trusted: .*\.$"):
        trusted.trust(file)
    assert trusted.listed() == []
    assert not trusted.untrust(tmp_path / "no such file")


def test_kernels_that_trust_at_once_lose_nothing(tmp_path: Path) -> None:
    files = []
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        files.append(project(folder, ELSEWHERE))
    threads = [threading.Thread(target=trusted.trust, args=(file,)) for file in files for _ in "ab"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert {entry.path for entry in trusted.listed()} == {os.path.realpath(file) for file in files}
    assert all(place.suffix == ".json" for place in entries())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_a_path_with_a_line_end_is_shown_on_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb\x1b[31m\u202ec"
    folder.mkdir()
    file = project(folder, ELSEWHERE)

    with pytest.raises(UntrustedAddressError) as caught:
        sent(load_settings(file, env={}), OPENAI)
    assert str(caught.value).isprintable()
    trusted.trust(file)
    assert sent(load_settings(file, env={}), OPENAI) == ""
    assert trusted.told(trusted.listed()[0]).isprintable()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust"]) == 1
    assert "there is no config.toml here" in capsys.readouterr().err
    project(tmp_path, "http://attacker.test/v1")

    assert main(["trust", "config.toml"]) == 0
    said = capsys.readouterr().out
    assert said == (
        "config.toml is trusted as it is now, with http://attacker.test:80. Over plain http, which"
        " others can read, no key goes there but the file's own.\n"
    )
    assert main(["trusted"]) == 0
    assert capsys.readouterr().out == said
    assert main(["untrust"]) == 0
    assert capsys.readouterr().out == "config.toml is no longer trusted.\n"
    assert main(["trusted"]) == 0
    assert capsys.readouterr().out == "no config file is trusted.\n"
    assert main(["trust", "nowhere.toml"]) == 1


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://\u0430pi.openai.com/v1", "xn--pi-6kc.openai.com"),
        ("https://api.openai.com@evil.test:8443/", "evil.test:8443"),
        ("https://me:secret@evil.test/", "evil.test"),
        ("no address", "no address"),
    ],
)
def test_a_host_is_shown_so_that_it_can_be_told_from_another(address: str, shown: str) -> None:
    assert shown_host(address) == shown


def test_a_host_is_always_shown_on_one_line_of_ascii() -> None:
    for address in STRANGE:
        shown: Any = shown_host(address)
        assert shown.isascii()
        assert shown.isprintable()


@pytest.mark.parametrize(
    ("address", "advice"),
    [("attacker.test", "with http:// or https://"), ("https://[a", "in plain letters and digits")],
)
def test_an_address_that_leads_nowhere_for_sure_gets_no_key(
    tmp_path: Path, address: str, advice: str
) -> None:
    file = project(tmp_path, address)
    with pytest.raises(UntrustedAddressError) as caught:
        sent(load_settings(file, env={}), OPENAI)
    assert str(caught.value).endswith(f"Write it {advice}.")
