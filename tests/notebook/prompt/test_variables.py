"""What of a prompt is replaced by the notebook's variables, and what is not."""

from __future__ import annotations

import datetime as dt
import io
import re
import time
from types import SimpleNamespace

import IPython.display
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import ServerError, UsageError
from openhands_llm_magic.llm.conversations import Attachment
from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook.placeholders import filled
from openhands_llm_magic.notebook.prompt import attachment

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
    "_hidden": "no",
    "_": "the last",
    "__": SimpleNamespace(attr="deep"),
    "_2": "two",
    "price": 1234.5,
    "share": 0.25,
    "big": 1_000_000,
    "day": dt.date(2026, 11, 29),
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
        ("{_} {__.attr} {_2}", "the last deep two"),
        ("{name!r} {name!s:>5} {{name!r}}", "'Ada'   Ada {name!r}"),
        ("{price:.2f} {price:8.1f}| {share:.1%} {n:05d} {n:d}", "1234.50   1234.5| 25.0% 00007 7"),
        (
            "{big:,} {price:,.0f} {n:>+5} {name:*^7} {day:%d.%m.%Y}",
            "1,000,000 1,234    +7 **Ada** 29.11.2026",
        ),
        ("{rows[0]['id']:03d} {obj.attr:.2}", "001 de"),
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
        "{} { name } {name=} {_hidden} {name!x} {name:}",
        "{name:d} {n:5} {n:b} {name:n} {n: 1} {name: name, n}",  # sets and dictionaries of code
        "{v:k for k,v in dic.items()} {name:n for n in rows}",
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
        rules = {"{{a}}": "{a}", "{{a!r}}": "{a!r}", "{a}": value, "{a!r}": repr(value)}
        for written, becomes in (*rules.items(), (prompt[0], prompt[0])):
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
def test_the_time_grows_as_the_prompt_does(piece: str) -> None:
    """Four times the prompt takes four times as long, and not sixteen times."""

    def took_s(size_chars: int) -> float:
        """Return the least of three: the machine may be busy."""

        def once_s() -> float:
            began_s = time.process_time()
            filled(piece * (size_chars // len(piece)), {"a": "x"}, limit_chars=100)
            return time.process_time() - began_s

        return min(once_s() for _ in range(3))

    assert took_s(400_000) < 9 * took_s(100_000)


def test_what_cannot_be_looked_up_stays_and_is_told() -> None:
    done = filled("{rows[9]} {obj.missing} {name:.2f}", NAMES, limit_chars=100)
    assert "".join(map(str, done.parts)) == "{rows[9]} {obj.missing} {name:.2f}"
    assert [note.split(" (")[0] for note in done.notes] == [
        "{rows[9]} was left as it is",
        "{obj.missing} was left as it is",
        "{name:.2f} was left as it is",
    ]
    assert done.put_in == ()
    assert done.left == ("{rows[9]}", "{obj.missing}", "{name:.2f}")


def test_what_was_put_in_and_what_was_left_is_told() -> None:
    done = filled("{n} {n} {rows[1]} {{n}} {price:.1f} {unknown} {'a': 1}", NAMES, limit_chars=100)
    assert done.put_in == ("n", "rows[1]", "price:.1f")
    assert done.left == ("{unknown}",)


@pytest.mark.parametrize(
    ("field", "note"),
    [
        ("{nmae}", "; did you mean {name}?"),
        ("{Name.attr}", "; did you mean {name}?"),
        ("{userid}", "; did you mean {user_id}?"),
        ("{user_di:>5}", "; did you mean {user_id}?"),
        ("{tpoic}", "; did you mean {topic}?"),
        ("{topci}", "; did you mean {topic}?"),
        ("{topic.upper()}", ": names, items, attributes and formats are put in"),
        ("{topic + '!'}", ": names, items, attributes and formats are put in"),
        ("{len(topic)}", ": names, items, attributes and formats are put in"),
        ("{rows[i]}", ": names, items, attributes and formats are put in"),
        ("{topic=}", ": names, items, attributes and formats are put in"),
        ("{rows:5}", ": names, items, attributes and formats are put in"),
        ("{word}", ": word is a variable of outer, and Python keeps it for the function inside"),
        ("{_}", ": there is no last value"),
        ("{Err[3]}", ": `%llm_error` asks about an error"),
    ],
)
def test_what_looks_meant_is_told(field: str, note: str) -> None:
    """A name close to one that there is, or an expression with one; it goes out as it is."""
    names = {"topic": "tea", "rows": [], "name": "Ada", "user_id": 7, "_": ""}
    done = filled(f"Of {field}.", names, limit_chars=100, unkept={"word": "outer"})
    assert "".join(map(str, done.parts)) == f"Of {field}."
    (told,) = done.notes
    assert told.startswith(f"{field} was left as it is{note}")


@pytest.mark.parametrize(
    "prompt",
    [
        r"\begin{topics} x_{topix} ${topix} f{topix} \text{topix}",
        '{"topi": 1} {topi: 1} {topi, rows} {x} {to} {ro}',
        "{completely} {other} {len} {list} {i + 1} {f(x)}",
        "{ topi } {{topi}}",
    ],
)
def test_code_and_formulas_are_no_near_misses(prompt: str) -> None:
    done = filled(prompt, {"topic": "tea", "rows": [], "x1": 1}, limit_chars=100)
    assert done.parts == (prompt,)
    assert done.notes == ()


def test_a_long_value_is_cut_and_told() -> None:
    done = filled("See {name}.", {"name": "x" * 5000}, limit_chars=1000)
    assert str(done.parts[1]).startswith("x" * 1000 + "\n… (cut: 1,000 of 5,000 characters)")
    assert done.notes == ("{name} was cut to 1,000 of 5,000 chars",)


def test_an_array_goes_in_whole() -> None:
    """NumPy's own dots would tell neither the model nor the person what they stand for."""
    numbers = np.arange(2000)
    for value in (numbers, [numbers], {"a": numbers}):
        done = filled("{a}", {"a": value}, limit_chars=30_000)
        assert str(done.parts[0]).count(" ") >= 1999
        assert "..." not in str(done.parts[0])
        assert done.notes == ()
    assert np.get_printoptions()["threshold"] == 1000


class Summarised:
    """Has a `str` as those of pandas, PyTorch and xarray have."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


@pytest.mark.parametrize(
    "value",
    [
        np.arange(2000),
        [np.arange(2000)],
        Summarised("[1, 2, ..., 8, 9]"),
        Summarised("0  1\n.. ..\n9  1"),
        Summarised("[1, …, 9]"),
        [pd.DataFrame({"a": range(100)})],
    ],
    ids=str,
)
def test_what_a_class_leaves_out_by_itself_is_told(value: object) -> None:
    """Nothing is cut without a note, whoever cuts it."""
    done = filled("{a}", {"a": value}, limit_chars=1000)
    assert any("is not whole: its class" in note for note in done.notes)


@pytest.mark.parametrize("value", ["and so on ...", ["a ... b", "…"], {"x": "1 … 2"}, 0.5, (1, 2)])
def test_dots_of_a_text_are_its_own(value: object) -> None:
    assert filled("{a}", {"a": value}, limit_chars=1000).notes == ()


FAILED = Reply("half an", error=ServerError("it went down"))


@pytest.mark.parametrize(
    ("value", "expected", "notes"),
    [
        ([Reply("one"), Reply("two")], "one\n\n---\n\ntwo", 0),
        ((Reply("one"), "two", 3), "one\n\n---\n\ntwo\n\n---\n\n3", 0),
        ({"a": Reply("one"), "b": [Reply("two")]}, "a:\n\none\n\n---\n\nb:\n\ntwo", 0),
        (FAILED, "half an\n(no whole answer: it went down)", 1),
        ([Reply("one"), FAILED], "one\n\n---\n\nhalf an\n(no whole answer: it went down)", 1),
        (pd.Series([Reply("one")], name="r"), "(1 row and 1 column)\n\n| r |\n| --- |\n| one |", 0),
    ],
)
def test_replies_go_in_as_their_texts(value: object, expected: str, notes: int) -> None:
    done = filled("{both}", {"both": value}, limit_chars=1000)
    assert done.parts == (expected,)
    assert len(done.notes) == notes
    assert all("no whole answer (it went down)" in note for note in done.notes)


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
