"""Whatever is repeated: four times as much of it takes four times as long, and not sixteen."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from faults.wordings import WORDINGS
from fuzz.mutating import as_bytes, part_of
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_attacks import ATTACKS

from openhands_llm_magic.config.check import check
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.errors import LLMMagicError
from openhands_llm_magic.llm import refusals
from openhands_llm_magic.llm.answers import extract
from openhands_llm_magic.llm.limits import waits
from openhands_llm_magic.llm.litellm.stream import whole_lines
from openhands_llm_magic.llm.meaning import meaning
from openhands_llm_magic.notebook import prompt_options
from openhands_llm_magic.notebook.placeholders import filled
from openhands_llm_magic.notebook.view import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _config_file(text: str) -> None:
    file = Path("config.toml")
    file.write_bytes(as_bytes(text))
    load_settings(file, {})
    check(file, {}, in_docker=False)


READERS: Mapping[str, Callable[[str], object]] = {
    "config.toml": _config_file,
    "a variable": lambda text: load_settings(env={"LLM_MODEL": text, "LLM_TIMEOUT": text}),
    "an answer": sanitize.to_html,
    "an answer in HTML": sanitize.html_to_html,
    "JSON in an answer": extract.json_in,
    "code in an answer": extract.code_in,
    "a refusal": lambda text: meaning(refusals.read(text, status=429)),
    "words of a refusal": lambda text: refusals.read({"error": {"message": text}}, status=400),
    "a wait": lambda text: waits.asked_s({"retry-after": text}, text),
    "a line": lambda text: prompt_options.parse(text, {}, in_cell=True),
    "a prompt": lambda text: filled(text, {"a": 1}, limit_chars=1_000),
    "a stream": lambda text: list(whole_lines(text.splitlines())),
    "what is masked": masked,
}
SEEDS = (
    *ATTACKS.values(),
    *(wording.body for wording in WORDINGS),
    *('{a} {{b}} "x" ', "“a” -m ", "[llm]\n", "a = 1\n", "try again in 1h ", 'data: {"a": 1}\n'),
    *("sk-", "http://u:p@h ", "```\n", '{"a": [', "\\(", "$$", "<b>", "1 ", "-", "\t", "\\", "'"),
)
TIMES = 500
NOTICED_S = 0.3
GROWTH = 9.0


def cpu_s(read: Callable[[str], object], text: str) -> float:
    """Return the seconds of computing that it takes to read a text, at the least of two tries."""
    taken = []
    for _ in range(2):
        began_s = time.thread_time()
        # What is nested too deep is told as such by whoever reads the stream.
        with contextlib.suppress(LLMMagicError, ValueError, RecursionError):
            read(text)
        taken.append(time.thread_time() - began_s)
    return min(taken)


@example("an answer", "", "[x](file://", "")
@given(st.sampled_from(sorted(READERS)), part_of(SEEDS), part_of(SEEDS), part_of(SEEDS))
def test_time_grows_with_the_text(name: str, before: str, repeated: str, after: str) -> None:
    read = READERS[name]
    many = cpu_s(read, before + repeated * TIMES * 4 + after)
    if many > NOTICED_S:
        few = cpu_s(read, before + repeated * TIMES + after)
        assert many < GROWTH * few, f"{name}: {few:.2f} s, then {many:.2f} s for {repeated!r}"
