"""The settings are typed from their declarations, for type checkers and for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CHECKED = {
    "reveal_type(load_settings().num_retries)": 'Revealed type is "int"',
    "reveal_type(load_settings().timeout)": 'Revealed type is "int | None"',
    "reveal_type(load_settings().api_key)": (
        'Revealed type is "openhands_llm_magic.config.secret.Secret | None"'
    ),
    "reveal_type(LLMSettings().temperature)": 'Revealed type is "float"',
    "load_settings().num_retry": '"Snapshot" has no attribute "num_retry"',
    "LLMSettings().num_retry": '"LLMSettings" has no attribute "num_retry"',
    "load_settings().num_retries = 6": 'Trying to assign name "num_retries"',
    "LLMSettings().num_retries = 6": "",
    "LLMSettings().num_retries = 'six'": "Incompatible types in assignment",
}
"""Statements, and what mypy says of each."""

IMPORT = "from openhands_llm_magic import LLMSettings, load_settings\n"


@pytest.mark.slow  # mypy reads the package anew
def test_mypy_knows_each_setting_and_no_other(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    program = tmp_path / "program.py"
    program.write_text(IMPORT + "\n".join(CHECKED), "utf-8")
    options = ["--follow-imports=silent", "--ignore-missing-imports", "--cache-dir", str(tmp_path)]
    out, err, _ = api.run([*options, str(program)])
    said = dict.fromkeys(range(2, len(CHECKED) + 2), "")
    for line in out.splitlines()[:-1]:
        _, number, _, message = line.split(":", 3)
        said[int(number)] += message
    assert err == ""
    for message, expected in zip(said.values(), CHECKED.values(), strict=True):
        assert expected in message
        assert bool(message) == bool(expected)


@pytest.mark.slow  # jedi reads the package anew
@pytest.mark.parametrize("what", ["load_settings()", "LLMSettings()"])
def test_editors_complete_a_setting_and_show_its_help(what: str) -> None:
    jedi = pytest.importorskip("jedi")  # IPython has it, and it has no types
    (completion,) = jedi.Script(f"{IMPORT}{what}.num_retr").complete()
    assert completion.name == "num_retries"
    assert (
        completion.docstring() == "How many times a prompt is sent again after a passing failure."
    )
