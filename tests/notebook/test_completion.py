"""What Tab offers on our lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openhands_llm_magic.config.export import FORMS
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.notebook.completion import LINES, MOST, Known, candidates
from openhands_llm_magic.notebook.config_magic import ACTIONS
from openhands_llm_magic.notebook.magics import LLMMagics
from openhands_llm_magic.notebook.view.display import FORMATS

if TYPE_CHECKING:
    from kernel import Kernel
    from model_server import ModelServer

AGENTS = ["practice/agent-repeats", "practice/agent-retypes"]

KNOWN = Known(
    variables={"answer": 1, "key": "sk-x", "Person": type("Person", (), {}), "_hidden": 2},
    groups=lambda: ("quick", "deep"),
    chats=("trip", "taxes"),
    aliases=lambda: ("fast", "clever"),
)


FIRST = (
    "--model", "--system", "--out", "--format", "--attach", "--continue", "--chat", "--schema",
    "--cache", "--dry-run", "--help",
)  # fmt: skip
"""What people use first, which is also what the help explains."""


def offered(line: str, *, first_line: bool = True) -> tuple[str, list[str]] | None:
    return candidates(line, KNOWN, first_line=first_line)


def test_every_magic_has_a_line() -> None:
    assert LINES.keys() == LLMMagics.magics["line"].keys()


@pytest.mark.parametrize("magic", ["%%llm ", "%llm ", "x = %llm ", "  %llm ", "%llm_error "])
def test_flags(magic: str) -> None:
    assert offered(magic + "--temp") == ("--temp", ["--temperature"])
    for dashes in ("", "-", "--"):
        assert offered(magic + dashes) == (dashes, [*FIRST])
    used = [each.flag for each in SETTINGS.values() if each.topic != "embedding" and not each.kept]
    for flag in (*used, "--raw", "--block", "--group"):
        found = offered(magic + flag)
        assert found is not None
        assert flag in found[1]
    assert offered(magic + "--log-compl") == ("--log-compl", [])  # nothing here uses it
    assert offered(magic + "-m practice/echo --num") == ("--num", ["--num-retries"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%llm_embed texts --embedding-b", ["--embedding-base-url"]),
        ("%llm_chat -", ["--forget", "--export"]),
        ("%llm_config --", [*ACTIONS, "--group", "--with-key", "--force"]),
    ],
)
def test_flags_of_other_magics(line: str, expected: list[str]) -> None:
    found = offered(line)
    assert found is not None
    assert sorted(found[1]) == sorted(expected)


def test_models() -> None:
    prefixes = offered("%%llm -m ")
    assert prefixes is not None
    assert set(prefixes[1]) == {"fast", "clever", *(each.prefix for each in PROVIDERS.values())}
    assert offered("%%llm -m fas") == ("fas", ["fast"])
    assert offered("%%llm -m prac") == ("prac", ["practice/"])
    found = offered("%%llm --model=practice/rate")
    assert found == ("practice/rate", ["practice/rate-limited"])
    assert offered("%llm_config model=practice/rate") == found
    assert offered("%%llm -m openai/gpt-4o -m practice/rate") == found
    many = offered("%%llm -m openai/")
    assert many is not None
    assert 20 < len(many[1]) <= MOST
    assert offered("%llm_models openai/") == many


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%llm -g ", ("", ["quick", "deep"])),
        ("%%llm --group de", ("de", ["deep"])),
        ("%%llm -o an", ("an", ["answer"])),
        ("%%llm -f ", ("", [*FORMATS])),
        ("%%llm -c --format=j", ("j", ["json"])),
        ("%%llm --cache --chat t", ("t", ["trip", "taxes"])),
        ("%%llm --schema ", ("", ["Person"])),
        ("%%llm --api-key ", ("", ["$answer", "$key", "$Person"])),
        ("%%llm --api-key $k", ("$k", ["$key"])),
        ("%%llm --reasoning-effort h", ("h", ["high"])),
        ("%llm_embed an", ("an", ["answer"])),
        ("%llm_embed texts -o an", ("an", ["answer"])),
        ("%llm_embed texts --embedding-model l", ("l", ["local"])),
        ("%llm_usage --by d", ("d", ["day"])),
        ("%llm_probe -m practice/agent-re", ("practice/agent-re", AGENTS)),
        ("%llm_probe -m practice/agent -m practice/agent-re", ("practice/agent-re", AGENTS)),
        ("%llm_probe --rep", ("--rep", ["--repeat", "--report"])),
        ("%llm_usage --plot -o an", ("an", ["answer"])),
        ("%llm_chat ta", ("ta", ["taxes"])),
        ("%llm_chat --forget tr", ("tr", ["trip"])),
        ("%llm_config num_r", ("num_r", ["num_retries="])),
        ("%llm_config num_retries=3 num_r", ("num_r", ["num_retries="])),
        ("%llm_config cache=re", ("re", ["replay"])),
        ("%llm_config --show num_r", ("num_r", ["num_retries"])),
        ("%llm_config --export ", ("", [*FORMS])),
        ("%llm_config --use q", ("q", ["quick"])),
        ("%llm_config --alias c", ("c", ["clever"])),
    ],
)
def test_values(line: str, expected: tuple[str, list[str]]) -> None:
    assert offered(line) == expected


def test_what_openhands_has_is_offered() -> None:
    """Its CLI's file can only be taken from."""
    assert offered("%llm_config --from-openhands ") == ("", [])
    kept = Path.home() / ".openhands"
    (kept / "profiles").mkdir(parents=True)
    for name in ("agent_settings.json", "profiles/work.json", "profiles/.profiles.lock"):
        (kept / name).touch()
    assert offered("%llm_config --from-openhands ") == ("", ["agent_settings.json", "work"])
    assert offered("%llm_config --to-openhands w") == ("w", ["work"])


def test_files_and_variables_can_be_attached() -> None:
    for name in ("answer.png", "notes.txt", ".hidden", "with space.txt", "plots/a.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    everything = ["answer", "key", "Person", "answer.png", "notes.txt", "plots/"]

    assert offered("%%llm -a ") == ("", everything)
    assert offered("%%llm -a answer.png -a plots/") == ("plots/", ["plots/a.png"])
    assert offered("%%llm --attach .h") == (".h", [".hidden"])
    assert offered("%%llm -a nowhere/") == ("nowhere/", [])
    assert offered("%llm_config --file no") == ("no", ["notes.txt"])


@pytest.mark.parametrize(
    "line",
    [
        "%%llm",
        "%%llm -s ",
        "%llm_embed texts[0]",
        "%llm Hello wor",
        "%llm -- --temp",
        "%%llmx -",
        "%llm_nothing -",
        "llm -",
        "%llm_config --show num_retries num",
        "%llm_chat --export trip fi",
        "%llm_config timeout=",
    ],
)
def test_free_text_and_other_lines_are_left_alone(line: str) -> None:
    assert offered(line) is None


def test_a_body_that_looks_like_our_line_is_left_alone() -> None:
    assert offered("%%llm --temp", first_line=False) is None
    assert offered("x = %llm --temp", first_line=False) is not None


def test_it_answers_the_kernels_complete_request(kernel: Kernel, model_server: ModelServer) -> None:
    """Nothing of IPython's own is mixed in, and other code is completed as ever."""
    at = f"-m openai/test --base-url {model_server.openai_base} --api-key $answer_of_mine"
    kernel.run("answer_of_mine = 'sk-x'")
    kernel.run(f"%llm --chat my-chat {at} Hello")

    assert kernel.complete("%%llm --temp") == ["--temperature"]
    assert kernel.complete("%%llm -m practice/rate") == ["practice/rate-limited"]
    assert kernel.complete("%%llm -o answer_of") == ["answer_of_mine"]
    assert kernel.complete("%%llm -f ma") == ["markdown", "math"]
    assert kernel.complete("%%llm --chat my") == ["my-chat"]
    assert kernel.complete("%llm_chat my") == ["my-chat"]
    assert "In" not in kernel.complete("%%llm -o ")
    assert "answer_of_mine" in kernel.complete("%llm_embed answer_of")
    assert "answer_of_mine" in kernel.complete("answer_of")
