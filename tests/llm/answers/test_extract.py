"""JSON and code in answers."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.errors import FormatError
from openhands_llm_magic.llm.answers.extract import code_in, json_in, unfenced

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from(["{}", "```json\n{}\n```", "~~~\n{}\n~~~", "```\n{}", "  {}\n"]))
def test_json_is_found_in_and_out_of_a_code_block(value: object, around: str) -> None:
    assert json_in(around.replace("{}", json.dumps(value))) == value


@pytest.mark.parametrize(
    "text", ['Here you are:\n{"n": [1, 2]}', 'Sure.\n```json\n{"n": [1, 2]}\n```\nAnything else?']
)
def test_json_after_a_sentence_is_found(text: str) -> None:
    assert json_in(text) == {"n": [1, 2]}


@pytest.mark.parametrize("text", ["I cannot.", "[" * 100_000, "", '{"n": 1', "f(x) = {x}", "[1, 2"])
def test_prose_is_one_line_that_says_where_the_answer_is(text: str) -> None:
    with pytest.raises(FormatError, match=r"no JSON: .* in the error's reply") as caught:
        json_in(text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["See [1].", "A long sentence with a note {and} a [2]."])
def test_a_footnote_is_no_json(text: str) -> None:
    with pytest.raises(FormatError, match="no JSON"):
        json_in(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Try\n```python\na = 1\n```\nand\n````py\nb = '```'\n````\n", "a = 1\n\nb = '```'"),
        ("1. Do\n   ```python\n   a = 1\n   if a:\n       b\n   ```\n", "a = 1\nif a:\n    b"),
        ("```bash\nls\n```\n```python\na = 1\n```", "a = 1"),
        ("```bash\nls\n```\n```text\na.txt\n```", "ls"),
        ("```python\n\n```\n```\na = 1\n```", "a = 1"),
        ("```py\r\na = 1\r\nb = 2\r\n```", "a = 1\nb = 2"),
        ("```py\ncut off\n", "cut off"),
        (" a = 1 ", "a = 1"),
        ("%pip install x\nimport x\n!ls", "%pip install x\nimport x\n!ls"),
    ],
)
def test_the_code_of_an_answer(text: str, code: str) -> None:
    """Python if there is any; blocks within lists count; an answer may be all code."""
    assert code_in(text) == code


@pytest.mark.parametrize("text", ["I would rather not.", "", "```\n```", "Use ```x = 1``` here."])
def test_prose_is_no_code(text: str) -> None:
    with pytest.raises(FormatError, match=r"no code: .* in the error's reply"):
        code_in(text)


def test_what_stands_in_a_block_or_alone() -> None:
    assert unfenced("Here:\n```html\n<p>Hi</p>\n```") == "<p>Hi</p>"
    assert unfenced(" <p>Hi</p> ") == "<p>Hi</p>"


def test_code_is_told_without_a_warning_about_it() -> None:
    """Python warns of an escape that it does not know, and such code is Python all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert code_in("x = '\\d'") == "x = '\\d'"
