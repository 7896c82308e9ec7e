"""What of a prompt is replaced by the notebook's variables, and what is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.llm.content import Attachment
from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook.variables import filled

PNG = b"\x89PNG\r\n\x1a\n rest"
NAMES = {
    "name": "Ada",
    "n": 7,
    "rows": [{"id": 1}, "second"],
    "obj": SimpleNamespace(attr="deep", _hidden="no", nested=SimpleNamespace(items=[1, 2])),
    "In": ["", "1 + 1"],
    "Out": {1: 2},
    "語": "word",
    "braces": "{name} {{n}}",
    "__private": "no",
}


def text(prompt: str, limit_chars: int = 30_000) -> str:
    parts = filled(prompt, NAMES, limit_chars=limit_chars).parts
    assert all(isinstance(part, str) for part in parts)
    return "".join(map(str, parts))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Hello {name}!", "Hello Ada!"),
        ("{name}{name}{n}", "AdaAda7"),
        ("{obj.attr} {obj.nested.items[1]}", "deep 2"),
        ("{rows[0]} {rows[-1]} {rows[0]['id']} {rows[0][\"id\"]}", "{'id': 1} second 1 1"),
        ("{In[1]} = {Out[1]}", "1 + 1 = 2"),
        ("{語}", "word"),
        ("{{name}} {{rows[0]}}", "{name} {rows[0]}"),
        ("{{{name}}}", "{{name}}"),
    ],
)
def test_a_variable_is_replaced_by_its_value(prompt: str, expected: str) -> None:
    assert text(prompt) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        '{"name": "x", "n": [1, 2]}',
        "{unknown} {{unknown}} {unknown.name}",
        r"\frac{1}{2} \text{if } x_{i}",
        "{} { name } {name!r} {name:>5} {name=}",
        "f'{name.upper()}' {len(name)} {obj.nested.items[n]} {n + 1}",
        "{obj._hidden} {__private} {name.__class__} {obj.nested._x}",
        "{'a': 1} {name: 1} { } }{ {name {",
        "${name.x",
    ],
)
def test_all_other_braces_reach_the_model_as_they_are(prompt: str) -> None:
    assert text(prompt) == prompt


def test_what_was_put_in_is_not_looked_at_again() -> None:
    assert text("{braces}{name}") == "{name} {{n}}Ada"


@given(st.text())
def test_a_prompt_without_variables_arrives_byte_for_byte(prompt: str) -> None:
    assert "".join(map(str, filled(prompt, {}, limit_chars=1).parts)) == prompt


@given(st.text(alphabet="{}a.[]0'\"_é🎌\n", max_size=60), st.text(max_size=8))
def test_nothing_but_the_fields_changes(prompt: str, value: str) -> None:
    """What is left when the values are taken out again is what stood there before."""
    marked = "\x00" + value + "\x00"
    done = "".join(map(str, filled(prompt, {"a": marked}, limit_chars=100).parts))
    assert done.replace(marked, "{a}").count("{a}") >= prompt.count("{a}") - prompt.count("{{a}}")
    if "{a}" not in prompt:
        assert marked not in done


def test_what_cannot_be_looked_up_stays_and_is_told() -> None:
    done = filled("{rows[9]} {obj.missing}", NAMES, limit_chars=100)
    assert "".join(map(str, done.parts)) == "{rows[9]} {obj.missing}"
    assert [note.split(" (")[0] for note in done.notes] == [
        "{rows[9]} was left as it is",
        "{obj.missing} was left as it is",
    ]


def test_a_long_value_is_cut_and_told() -> None:
    done = filled("See {name}.", {"name": "x" * 5000}, limit_chars=1000)
    assert str(done.parts[1]).startswith("x" * 1000 + "\n… (cut: 1,000 of 5,000 characters)")
    assert done.notes == ("{name} was cut to 1,000 of 5,000 chars",)


def test_some_values_are_written_as_a_model_reads_them_best() -> None:
    try:
        raise ValueError("no luck")  # noqa: TRY301 - a traceback is wanted
    except ValueError as error:
        caught = error
    names = {"reply": Reply("the answer"), "error": caught, "key": Secret("sk-canary-0123456789")}
    done = str(filled("{reply}|{error}|{key}", names, limit_chars=10_000).parts[0])
    done = "".join(map(str, filled("{reply}|{error}|{key}", names, limit_chars=10_000).parts))
    assert done.startswith("the answer|Traceback (most recent call last):")
    assert "ValueError: no luck" in done
    assert "canary" not in done


class Image:
    """Stands for Pillow's class of that name."""

    def save(self, where: object, format: str) -> None:  # noqa: A002 - as Pillow has it
        assert format == "png"
        where.write(PNG)  # type: ignore[attr-defined]


Image.__module__ = "PIL.Image"


def test_an_image_becomes_an_attachment_in_its_place() -> None:
    done = filled("What is {picture}?", {"picture": Image()}, limit_chars=10)
    assert done.parts == ("What is ", Attachment("picture", "image/png", PNG), "?")
