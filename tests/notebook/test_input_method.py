"""Lines of magics that were typed with an input method on."""

# ruff: noqa: RUF001 - these characters look like others, which is why they are typed
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.notebook.line import narrow_magics, words

if TYPE_CHECKING:
    from kernel import Kernel

narrowed = narrow_magics({"llm", "llm_config"})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("%%llm\u3000-m x\n", "%%llm -m x\n"),
        ("％％ｌｌｍ\u3000 -m x\n", "%%llm  -m x\n"),
        ("  ％llm_config\u3000a\u3000b\n", "  %llm_config a\u3000b\n"),
        ("a = %llm\u3000世界\u3000は\n", "a = %llm 世界\u3000は\n"),
        ("%llm", "%llm"),
        ("%timeit\u3000x\n", "%timeit\u3000x\n"),
        ("x = 5 ％llm\u3000y\n", "x = 5 ％llm\u3000y\n"),
    ],
)
def test_the_beginning_of_a_line(typed: str, meant: str) -> None:
    """The name of one of the magics and the blanks behind it alone."""
    assert narrowed([typed]) == [meant]


@given(st.lists(st.text("％%llm\u3000 x'\"\n")))
def test_nothing_in_the_body_of_a_cell_is_changed(body: list[str]) -> None:
    assert narrowed(["%%llm\u3000-m x\n", *body]) == ["%%llm -m x\n", *body]
    assert narrowed(["%%bash\n", *body]) == ["%%bash\n", *body]


def test_nothing_in_a_text_of_several_lines_is_changed() -> None:
    text = ["x = '''\n", "%llm\u3000hi\n", "'''\n"]
    assert narrowed([*text, "%llm\u3000hi\n"]) == [*text, "%llm hi\n"]


def test_a_full_width_blank_divides_words_but_in_quotes() -> None:
    assert words("a=1\u3000b='x\u3000y'\u3000“c\u3000d”") == ["a=1", "b=x\u3000y", "c\u3000d"]


def test_a_cell_is_run_as_it_is_meant(kernel: Kernel) -> None:
    line = "％llm_config\u3000model＝practice／echo\u3000ｎｕｍ_retries=３"
    assert kernel.run(line).error is None
    shown = kernel.run("%llm_config\u3000--show model num_retries", "console").stdout
    assert shown.splitlines()[1].split()[:2] == ["model", "practice/echo"]
    assert shown.splitlines()[2].split()[:2] == ["num_retries", "3"]
    answer = kernel.run("%%llm\u3000-m practice/echo\n%llm\u3000は", "console").stdout
    assert "> %llm\u3000は" in answer
    kernel.run("%llm_config --reset")


def test_unloading_takes_it_away(kernel: Kernel) -> None:
    ours = "[f for f in get_ipython().input_transformers_cleanup if 'openhands' in f.__module__]"
    count = f"print(len({ours}))"
    assert kernel.run(count).stdout == "1\n"
    assert kernel.run("%reload_ext openhands_llm_magic").error is None
    assert kernel.run(count).stdout == "1\n"
    assert kernel.run("%unload_ext openhands_llm_magic").error is None
    assert kernel.run(count).stdout == "0\n"
    assert kernel.run("%load_ext openhands_llm_magic").error is None
