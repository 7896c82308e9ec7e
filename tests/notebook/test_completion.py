"""What Tab offers on our lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.notebook.completion import MOST, candidates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kernel import Kernel

VARIABLES = {"answer": 1, "key": "sk-x", "_hidden": 2}


def offered(line: str, *, first_line: bool = True) -> tuple[str, list[str]] | None:
    def groups() -> Iterable[str]:
        return ("quick", "deep")

    return candidates(line, first_line=first_line, variables=VARIABLES, groups=groups)


@pytest.mark.parametrize("magic", ["%%llm ", "%llm ", "x = %llm ", "  %llm "])
def test_flags(magic: str) -> None:
    assert offered(magic + "--temp") == ("--temp", ["--temperature"])
    found = offered(magic)
    assert found is not None
    assert {setting.flag for setting in SETTINGS.values()} <= set(found[1])
    assert offered(magic + "-m practice/echo --num") == ("--num", ["--num-retries"])


def test_models() -> None:
    prefixes = offered("%%llm -m ")
    assert prefixes is not None
    assert set(prefixes[1]) == {each.prefix for each in PROVIDERS.values()}
    assert offered("%%llm -m prac") == ("prac", ["practice/"])
    found = offered("%%llm --model=practice/rate")
    assert found == ("practice/rate", ["practice/rate-limited"])
    many = offered("%%llm -m openai/")
    assert many is not None
    assert 20 < len(many[1]) <= MOST


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%llm -g ", ("", ["quick", "deep"])),
        ("%%llm --group de", ("de", ["deep"])),
        ("%%llm -o an", ("an", ["answer"])),
        ("%%llm --api-key ", ("", ["$answer", "$key"])),
        ("%%llm --api-key $k", ("$k", ["$key"])),
        ("%%llm --reasoning-effort h", ("h", ["high"])),
        ("%llm_config num_r", ("num_r", ["num_retries="])),
    ],
)
def test_values(line: str, expected: tuple[str, list[str]]) -> None:
    assert offered(line) == expected


@pytest.mark.parametrize(
    "line", ["%%llm -s ", "%llm Hello wor", "%llm -- --temp", "%%llmx -", "llm -", "%%llm --nope "]
)
def test_free_text_and_other_lines_are_left_alone(line: str) -> None:
    found = offered(line)
    assert found is None or line.endswith("--nope ")


def test_a_body_that_looks_like_our_line_is_left_alone() -> None:
    assert offered("%%llm --temp", first_line=False) is None
    assert offered("x = %llm --temp", first_line=False) is not None


def test_it_answers_the_kernels_complete_request(kernel: Kernel) -> None:
    """Nothing of IPython's own is mixed in, and other code is completed as ever."""
    kernel.run("answer_of_mine = 1")
    assert kernel.complete("%%llm --temp") == ["--temperature"]
    assert kernel.complete("%%llm -m practice/rate") == ["practice/rate-limited"]
    assert kernel.complete("%%llm -o answer_of") == ["answer_of_mine"]
    assert "answer_of_mine" in kernel.complete("answer_of")
