"""What of a prompt is replaced by the notebook's variables, and what is not."""

from __future__ import annotations

import io
import re
import time
from types import SimpleNamespace

import IPython.display
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.conversations import Attachment
from openhands_llm_magic.llm.events import Reply
from openhands_llm_magic.notebook.prompt import attachment, filled

NAMES = {
    "name": "Ada",
    "n": 7,
    "rows": [{"id": 1}, "second"],
    "obj": SimpleNamespace(attr="deep", _hidden="no", nested=SimpleNamespace(items=[1, 2])),
    "In": ["", "1 + 1"],
    "Out": {1: 2},
    "語": "word",
    "braces": "{name} {{n}}",
    "मूल्य": "price",
    "fi": "ligature",
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
        ("{मूल्य} {ﬁ} {obj.\uff41ttr}", "price ligature deep"),
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
        "{obj.\uff3fhidden} {obj.\uff3f\uff3fclass__} {name\u200b} {“name”} {٣}",
    ],
)
def test_all_other_braces_reach_the_model_as_they_are(prompt: str) -> None:
    assert text(prompt) == prompt


def test_what_was_put_in_is_not_looked_at_again() -> None:
    assert text("{braces}{name}") == "{name} {{n}}Ada"


@given(st.text())
def test_a_prompt_without_variables_arrives_byte_for_byte(prompt: str) -> None:
    assert "".join(map(str, filled(prompt, {}, limit_chars=1).parts)) == prompt


PIECES = ["{a}", "{{a}}", "{", "}", "a", "{b}", "{a.", "{a[", "{a!r}", "0", " ", "\n", "é", "🎌"]


def filled_by_hand(prompt: str, value: str) -> str:
    """The rule for one variable: from left to right, what is longest at each place."""
    done = ""
    while prompt:
        for written, becomes in (("{{a}}", "{a}"), ("{a}", value), (prompt[0], prompt[0])):
            if prompt.startswith(written):
                done += becomes
                prompt = prompt.removeprefix(written)
                break
    return done


@given(
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=4).map("".join),
)
def test_nothing_but_the_fields_changes(prompt: str, value: str) -> None:
    done = "".join(map(str, filled(prompt, {"a": value}, limit_chars=100).parts))
    assert done == filled_by_hand(prompt, value)


@pytest.mark.parametrize(
    "piece", ["{", "{a", "{a.", "{a[0]", "{a['", '{a["', "{é", "{a.a", "a\u0301"]
)
def test_a_long_prompt_takes_no_longer_than_it_is(piece: str) -> None:
    """A second for a megabyte is a hundred times what it takes."""
    begun = time.perf_counter()
    filled(piece * (1_000_000 // len(piece)), {"a": "x"}, limit_chars=100)
    assert time.perf_counter() - begun < 1


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
    done = "".join(map(str, filled("{reply}|{error}|{key}", names, limit_chars=10_000).parts))
    assert done.startswith("the answer|Traceback (most recent call last):")
    assert "ValueError: no luck" in done
    assert "canary" not in done


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "I;16", "CMYK", "F", "HSV", "PA"])
def test_an_image_becomes_an_attachment_in_its_place(mode: str) -> None:
    """In colours that PNG has, the size and the transparency kept."""
    picture = PIL.Image.new(mode, (3, 2))
    before, sent, after = filled("What is {it}?", {"it": picture}, limit_chars=10).parts
    assert (before, after) == ("What is ", "?")
    assert isinstance(sent, Attachment)
    assert (sent.name, sent.media_type) == ("it", "image/png")
    seen = PIL.Image.open(io.BytesIO(sent.data))
    assert seen.size == (3, 2)
    assert seen.mode == {"CMYK": "RGB", "F": "RGB", "HSV": "RGB", "PA": "RGBA"}.get(mode, mode)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (PIL.Image.new("La", (1, 1)), "it cannot be saved as a PNG (ValueError: "),
        (IPython.display.SVG("<svg/>"), "it: no model takes SVG"),
        (IPython.display.Image(data=b"none", format="png"), "it is no image that models take"),
    ],
)
def test_an_image_that_cannot_be_sent_is_refused(value: object, told: str) -> None:
    """Its name in braces, sent in its place, would be answered and paid for."""
    with pytest.raises(UsageError) as caught:
        filled("{it}", {"it": value}, limit_chars=9)
    assert str(caught.value).startswith(told)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UsageError, match=re.escape(str(caught.value))):
        attachment("it", {"it": value})
