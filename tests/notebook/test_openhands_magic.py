"""`%llm_config --from-openhands` and `--to-openhands` in a real kernel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernel import Kernel

KEY = "sk-canary-of-the-profile-98765"


@pytest.fixture
def profiles(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """The folder of profiles that the kernel's OpenHands would have."""
    folder = tmp_path / "openhands"
    (folder / "profiles").mkdir(parents=True)
    names = "OH_PERSISTENCE_DIR", "OPENHANDS_PERSISTENCE_DIR"
    kernel.run(f"import os; os.environ.update(dict.fromkeys({names}, {str(folder)!r}))")
    yield folder / "profiles"
    kernel.run(f"[os.environ.pop(name) for name in {names}]\n%llm_config --reset")


def put(profiles: Path, name: str, **fields: object) -> None:
    made = {"model": "openai/gpt-4o", "api_key": KEY, "num_retries": 7, **fields}
    (profiles / f"{name}.json").write_text(json.dumps(made))


def test_the_only_profile_is_taken_and_shown_with_its_origin(
    kernel: Kernel, profiles: Path
) -> None:
    put(profiles, "work", stream=True)
    ran = kernel.run("%llm_config --from-openhands", "console")
    assert ran.error is None
    assert f"num_retries in {profiles / 'work.json'}" in ran.stdout
    assert "do not count: stream" in ran.stdout
    assert KEY not in ran.stdout
    shown = kernel.run("%llm_config --show num_retries api_key", "console").stdout
    assert "7 " in shown
    assert "**********" in shown


def test_of_several_one_has_to_be_named(kernel: Kernel, profiles: Path) -> None:
    """The cell fails, so that Run All does not go on with the wrong model."""
    put(profiles, "one")
    put(profiles, "two", model="anthropic/claude-sonnet-4-5")
    (profiles.parent / "agent_settings.json").write_text("{")
    ran = kernel.run("%llm_config --from-openhands")
    assert ran.stdout.splitlines()[0].startswith("agent_settings.json  (")
    assert ran.stdout.splitlines()[1:] == ["one  openai/gpt-4o", "two  anthropic/claude-sonnet-4-5"]
    assert "which of them?" in str(ran.error)
    assert kernel.run("%llm_config --from-openhands two").error is None
    assert "claude" in kernel.run("%llm_config --show model", "console").stdout
    ran = kernel.run("%llm_config --from-openhands tow")
    assert "did you mean two?" in str(ran.error)


def test_the_model_of_the_gui_is_taken_and_its_profiles_by_their_names(
    kernel: Kernel, profiles: Path
) -> None:
    put(profiles, "one")
    of_gui = {"model": "openai/gpt-4.1", "api_key": KEY, "extra_headers": {"X-Team": "research"}}
    others = {"profiles": {"mine": {"model": "gemini/gemini-2.5-pro"}}, "active": None}
    content = {"agent_settings": {"llm": of_gui}, "llm_profiles": others}
    (profiles.parent / "settings.json").write_text(json.dumps(content))
    ran = kernel.run("%llm_config --from-openhands")
    assert ran.stdout.splitlines() == [
        "settings.json  openai/gpt-4.1", "settings.json/mine  gemini/gemini-2.5-pro",
        "one  openai/gpt-4o",
    ]  # fmt: skip
    ran = kernel.run("%llm_config --from-openhands settings.json", "console")
    assert ran.error is None
    assert f"extra_headers in {profiles.parent / 'settings.json'}" in ran.stdout
    assert KEY not in ran.stdout
    assert kernel.run("%llm_config --from-openhands settings.json/mine").error is None
    assert "gemini" in kernel.run("%llm_config --show model", "console").stdout


def test_where_there_is_none_that_is_said(kernel: Kernel, profiles: Path) -> None:
    told = str(kernel.run("%llm_config --from-openhands").error)
    assert f"OpenHands has no profile in {profiles}, its CLI no agent_settings.json, and" in told
    told = str(kernel.run("%llm_config --from-openhands a b").error)
    assert "write `%llm_config --from-openhands [NAME]`" in told


def test_a_profile_is_written_and_the_key_only_when_asked_for(
    kernel: Kernel, profiles: Path
) -> None:
    put(profiles, "work")
    kernel.run("%llm_config --from-openhands work\n%llm_config temperature=0.5")
    path = profiles / "fresh.json"
    ran = kernel.run("%llm_config --to-openhands fresh")
    assert '+  "temperature": 0.5' in ran.stdout
    assert "the key is not written" in ran.stdout
    assert ran.stdout.rstrip().endswith(f"saved {path}")
    assert "api_key" not in json.loads(path.read_text())
    ran = kernel.run("%llm_config --to-openhands fresh --with-key")
    assert json.loads(path.read_text())["api_key"] == KEY
    assert KEY not in ran.stdout
    assert "nothing to change" in kernel.run("%llm_config --to-openhands fresh").stdout


def test_what_is_refused_tells_the_flag_that_does_it(kernel: Kernel, profiles: Path) -> None:
    put(profiles, "work")
    kernel.run("%llm_config model=anthropic/claude-sonnet-4-5")
    told = str(kernel.run("%llm_config --to-openhands work").error)
    assert "add `--with-key` to write the key in use, or add `--force`" in told
    assert kernel.run("%llm_config --to-openhands work --force").error is None
    assert "no profile can be called" in str(kernel.run("%llm_config --to-openhands ../x").error)
    assert kernel.run("%llm_config --to-openhands").error is not None
