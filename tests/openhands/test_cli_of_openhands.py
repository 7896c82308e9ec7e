"""The real CLI of OpenHands: it does a task with what is handed over, and we take what it keeps."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer
from openhands.cases import KEY, POLICY
from openhands.real import NO_OTHER_SERVER

from openhands_llm_magic.config.export import export
from openhands_llm_magic.config.resolve import load_settings, resolve
from openhands_llm_magic.llm.openhands import folder
from openhands_llm_magic.llm.openhands.differences import CLI, TAKEN_BY_CLI, differences
from openhands_llm_magic.llm.practice.server import PracticeServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_server import ModelServer

pytestmark = pytest.mark.timeout(600)  # it takes ten seconds to start, and others run beside it

TASK = "Run the command `touch made.txt`."

SAVING = """
from openhands_cli.stores.agent_store import AgentStore
AgentStore().create_and_save_from_settings({key!r}, {settings!r})
"""
"""What the CLI does where a person fills in its settings."""


@dataclass(frozen=True)
class OpenHandsCLI:
    """The CLI in an environment of its own, without a network but this machine's.

    Attributes:
        programs: The folder of its programs.
        home: The person's home folder.
    """

    programs: Path
    home: Path

    @property
    def work(self) -> Path:
        """The folder that it works in."""
        return self.home / "work"

    def run(self, *words: str | Path, **env: str) -> str:
        """Run a program of its environment, and return all that it prints."""
        self.work.mkdir(exist_ok=True)
        own = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), **NO_OTHER_SERVER}
        own |= {"OPENHANDS_SUPPRESS_BANNER": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        made = subprocess.run(  # noqa: S603 - our own words
            words,
            cwd=self.work,
            env=own | env,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return made.stdout

    def do(self, task: str, *flags: str, **env: str) -> str:
        """Have it do a task."""
        return self.run(self.programs / "openhands", "--headless", *flags, "-t", task, **env)

    def keep(self, **settings: Any) -> None:
        """Have it keep settings as it does."""
        key = settings.pop("llm_api_key")
        script = SAVING.format(key=key, settings=settings)
        self.run(self.programs / "python", "-c", script)
        assert (self.home / ".openhands" / folder.CLI_FILE).exists()


@pytest.fixture
def cli(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHandsCLI:
    programs = request.config.getoption("--openhands-cli") / "bin"
    (tmp_path / "home").mkdir()
    return OpenHandsCLI(programs, tmp_path / "home")


def exported(**given: Any) -> Mapping[str, str]:
    """The variables of `--export shell`, as a shell has them afterwards."""
    settings = load_settings(env={}).with_overrides({"api_key": KEY, **POLICY, **given})
    script = f"{export(settings, 'shell')}\nenv -0"
    made = subprocess.run(  # noqa: S603 - our own script
        ["/bin/bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "LLM_API_KEY": KEY},
        check=True,
        capture_output=True,
        text=True,
    )
    pairs = (each.split("=", 1) for each in made.stdout.split("\0") if each.startswith("LLM_"))
    return dict(pairs)


def test_it_does_a_task_with_our_variables_and_its_flag(cli: OpenHandsCLI) -> None:
    """Its own retries stay, as the check says; without the flag it ignores all."""
    with PracticeServer(key=KEY) as server:
        env = exported(model="openai/agent", base_url=server.base_url)
        assert "detected" in cli.do(TASK, **env)
        assert not (cli.work / "made.txt").exists()
        told = cli.do(TASK, "--override-with-envs", **env)
    assert (cli.work / "made.txt").exists(), told
    assert KEY not in told
    [kept] = (cli.home / ".openhands" / "conversations").glob("*/base_state.json")
    assert json.loads(kept.read_text())["agent"]["llm"]["num_retries"] == 5 != POLICY["num_retries"]
    said = "\n".join(each.message for each in differences(load_settings(env=env), env))
    assert f"{CLI} ignores LLM_NUM_RETRIES" in said
    assert f"{CLI} ignores LLM_MODEL, LLM_API_KEY, LLM_BASE_URL without" in said
    assert {*TAKEN_BY_CLI} < env.keys()


def test_it_says_what_it_needs_as_the_check_does(cli: OpenHandsCLI) -> None:
    told = cli.do(TASK, "--override-with-envs", LLM_MODEL="openai/agent")
    assert "Missing required environment variable(s): LLM_API_KEY" in told


def test_what_it_keeps_is_taken_and_its_address_stays_beside_our_key(
    cli: OpenHandsCLI, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check warns of that."""
    base_url = model_server.openai_base
    cli.keep(llm_model="openai/gpt-4o", llm_base_url=base_url, llm_api_key="sk-its-own-canary-123")
    monkeypatch.setenv(folder.CLI_VARIABLE, str(cli.home / ".openhands"))
    taken = folder.take(folder.named(folder.CLI_FILE))
    found = resolve([taken.layer])
    assert (found.model, found.base_url, found.num_retries) == ("openai/gpt-4o", base_url, 5)
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == "sk-its-own-canary-123"
    assert taken.notes == ()
    path = cli.home / ".openhands" / folder.CLI_FILE
    kept = json.loads(path.read_text())
    kept["llm"] |= {"num_retries": 1, "temperature": 0.5, "extra_headers": {"X-Team": "research"}}
    path.write_text(json.dumps(kept))
    env = {"LLM_MODEL": "openai/mine", "LLM_API_KEY": KEY}
    model_server.script(Answer())
    cli.do(TASK, "--override-with-envs", **env)
    sent = model_server.received[0]
    assert sent.headers["x-team"] == "research"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body["model"] == "mine"
    assert {"reasoning_effort", "prompt_cache_key"} < sent.body.keys()
    whole = env | {folder.CLI_VARIABLE: str(cli.home / ".openhands")}
    said = "\n".join(each.message for each in differences(load_settings(env=env), whole))
    assert f"goes on to ask {base_url}, which its agent_settings.json names" in said
