"""Whatever stands on the line of a magic and below it: it is read, or refused in one line."""

# ruff: noqa: RUF001 - the quotes of a phone
from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fuzz.mutating import KEY, mutated, only_our_errors, told
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import LLMMagicError
from openhands_llm_magic.llm.litellm.loading import load
from openhands_llm_magic.notebook import arguments, embed_magic, from_ai, prompt_options
from openhands_llm_magic.notebook.asking import _body
from openhands_llm_magic.notebook.line import words
from openhands_llm_magic.notebook.placeholders import filled

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES: dict[str, Any] = {
    "name": "Ada",
    "n": 7,
    "price": 1234.5,
    "rows": [{"id": 1}, "second"],
    "obj": SimpleNamespace(attr="deep", items=[1, 2]),
    "day": dt.date(2026, 11, 29),
    "key": KEY,
    "hidden": Secret(KEY),
    "語": "word",
    "_": "the last",
}
LINES = (
    "-m openai/gpt-4o Hello {name}",
    "--model={name} -t 0.5 --num-retries {n} What is 1 + 1?",
    "-c --system 'be \"{name}\"' -f json -- -m x",
    "-o answer.text --chat trip -f code --block 2 write it",
    "--completion-kwargs {'user': 'me'} --raw {name}",
    "--api-key $key -g fast -n x",
    "openai-chat:gpt-4 -f math",
    "alias fast openai/gpt-4o",
    "\u2014model “openai/gpt\u20114o” «a b» ‘c’ Hi",
    "list all",
    "help me with pandas",
    "--reset -r --region-name us-east-1 --as openhands",
)
BODIES = (
    "Hello {name}, {price:,.2f} of {obj.items[1]} and {rows[0]['id']} {{name}} {nmae}",
    "$\\frac{a}{b}$ {'a': 1} {x for x in y} f\"{n:>10}\" {_} {day:%d.%m.} {語!r}",
    "%%llm\n>>> print({n})\nIn [1]: x\n\n!ls {name}\n%cd ..\n",
)
PIECES = (
    *("-", "--", "\u2014", " -- ", "=", " ", "'", '"', "“", "”", "\\", "$key", "{key}", "{hidden}"),
    *(
        "{name",
        "}",
        "{{",
        "}}",
        "{n!r:>9}",
        "{n:,}",
        "{price:.3f}",
        "{obj.__class__}",
        "{rows[-1]}",
    ),
    *(
        "-m ",
        "-f ",
        "-o ",
        "-s ",
        "--raw ",
        "--schema ",
        "--help",
        "--no-cache ",
        "\u00a0",
        "\u3000",
    ),
    *("?", "!", "%", "%%llm ", "\n", "\t", "list ", "fix ", "x" * 300),
)
TEXTS = mutated((*LINES, *BODIES), PIECES)
ONE_LINE = mutated(LINES, PIECES).map(lambda text: " ".join(text.split("\n")))


@given(ONE_LINE, st.booleans(), TEXTS)
def test_any_line_is_read(line: str, in_cell: bool, body: str) -> None:
    line, names = line.replace(KEY, "key"), {**NAMES, "key": "k"}  # it is the magic that masks
    with only_our_errors():
        options = prompt_options.parse(line, names, in_cell=in_cell)
        assert options.prompt in line
        _body(options, body if in_cell else None, {"fast": "openai/gpt-4o"})
    with only_our_errors():
        arguments.read(words(line, arguments.flags_of(embed_magic.parser())), embed_magic.parser())
    if line.split():
        hint = from_ai.on_cell_line(line, {})
        told(hint or "")


@given(TEXTS)
def test_a_prompt_behind_dashes_is_sent_as_it_was_typed(text: str) -> None:
    prompt = " ".join(text.split("\n")).strip()
    assert prompt_options.parse(f"-- {prompt}", NAMES).prompt == prompt


@given(TEXTS)
def test_any_text_is_filled(text: str) -> None:
    """What names no variable stays as it was typed, and a key that hides is not put in."""
    with only_our_errors():
        found = filled(text, NAMES, limit_chars=1_000)
        if not found.put_in and "{{" not in text:
            assert "".join(map(str, found.parts)) == text
        for note in found.notes:
            assert len(note.splitlines()) <= 1
    with only_our_errors():
        found = filled(text, {"hidden": Secret(KEY)}, limit_chars=1_000)
        assert ("".join(map(str, found.parts))).count(KEY) == text.count(KEY)


@pytest.fixture(scope="module")
def shell() -> Iterator[Any]:
    """A session with the extension loaded."""
    load()  # it is told by a variable, which the next test would take away, not to ask the web
    InteractiveShell.clear_instance()
    running: Any = InteractiveShell.instance()
    running.run_line_magic("load_ext", "openhands_llm_magic")
    running.user_ns |= {name: value for name, value in NAMES.items() if name != "_"}
    running.run_line_magic("llm_config", "api_key=$key")
    yield running
    running.run_line_magic("unload_ext", "openhands_llm_magic")
    InteractiveShell.clear_instance()


@given(ONE_LINE, TEXTS)
def test_any_cell_is_shown_or_refused_in_one_line(shell: Any, line: str, body: str) -> None:
    """A dry run: nothing is sent."""
    if not body or "-a" in line or "$" in line:  # IPython's error, a file, or a key
        return
    with capture_output():
        ran = shell.run_cell(f"%%llm --dry-run {line}\n{body}")
    error = ran.error_in_exec or ran.error_before_exec
    assert error is None or isinstance(error, LLMMagicError), repr(error)
    if error is not None:
        told(error)
