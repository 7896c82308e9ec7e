"""The parts of an answer: below each other they are the whole, however it arrives."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openhands_llm_magic.notebook.view import parts, sanitize
from openhands_llm_magic.notebook.view.parts import Part, Parts

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKDOWN = [
    *("# One\n", "## Two\n", "Setext\n===\n\n", "Setext\n---\n", "---\n", "***\n"),
    *("a paragraph with [a link][ref]\n", "another, [ref]\n\n", "and $x^2$ **b** _c_ `d`\n"),
    *("- a\n- b\n", "- a\n\n  more\n\n- b\n\n", "* star\n  * nested\n    1. deep\n"),
    *("1. one\n2. two\n3. three\n", "1. loose\n\n2. also\n\n", "10. ten\n", "2) other\n"),
    *("```python\ndef f():\n    return 1\n\nclass A:\n    pass\n```\n", "~~~\n- x\n\n$$\n~~~\n\n"),
    *("    indented\n\n    more\n\n", "| a | b |\n|---|--:|\n| 1 | 2 |\n", "> quote\nlazy\n\n"),
    *("$$\nx = y\n+ c\n- d\n$$\n\n", "$$\nx\n- y\n", "\\[\na\n\\]\n", "\\begin{align}\na\n"),
    *(
        "[ref]: http://one.example\n\n",
        "[ref]: http://two.example\n",
        "\n",
        "\n\n",
        "é\U0001f600\r\n",
    ),
]
SEAM_IN_CODE = re.compile(
    r'</code></pre></div>\n<div class="highlight" style="[^"]*" dir="ltr"><pre><code>'
)
SEAM_IN_LIST = re.compile(r'</(ul|ol)>\n<\1(?: start="\d+")? dir="auto">\n')


def parts_of(text: str, pieces: list[int], form: str = "markdown") -> list[Part]:
    """Let a text arrive in pieces of some lengths, over and over; give its parts."""
    made: list[Part] = []
    answer, start = Parts(form), 0
    while start < len(text):
        length = pieces[len(made) % len(pieces)]
        pieces = pieces[1:] + pieces[:1]
        answer.add(text[start : start + length])
        start += length
        made += answer.ended()
        answer.growing()
    answer.flush()
    made += answer.ended()
    last = answer.growing(is_last=True)
    linked = [part or made[number] for number, part in enumerate(answer.linked())]
    return [*linked, last]


def joined(*rendered: str) -> str:
    """Join the HTML of parts without the elements around them, code and lists without seams."""
    html = "".join(re.sub(r"^<div class=.llm-reply[^>]*>|</div>$", "", each) for each in rendered)
    return SEAM_IN_LIST.sub("", SEAM_IN_CODE.sub("", html))


@pytest.fixture(autouse=True)
def short_parts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let parts end early, so that short texts have some."""
    with pytest.MonkeyPatch.context() as patch:
        if "long" not in request.node.name:
            patch.setattr(parts, "LEAST", 200)
        yield


A_LIST_IN_TWO = (
    "# One\n# One\n# One\n# One\n## Two\na paragraph with [a link][ref]\na paragraph with [a"
    " link][ref]\n1. one\n2. two\n3. three\n| a | b |\n|---|--:|\n| 1 | 2 |\na paragraph with [a"
    " link][ref]\n    indented\n\n    more\n\n"
)


@example(A_LIST_IN_TWO, [1])
@given(
    st.lists(st.sampled_from(MARKDOWN), max_size=30).map("".join),
    st.lists(st.sampled_from([1, 2, 7, 30, 300]), min_size=1, max_size=5),
)
def test_parts_are_rendered_as_the_whole_is(text: str, pieces: list[int]) -> None:
    """Links, lists, formulas and code, too; and their texts are the answer."""
    made = parts_of(text, pieces)
    assert "".join(part.text for part in made) == sanitize.to_plain(text)
    assert joined(*(part.html for part in made)) == joined(sanitize.to_html(text))


@given(
    st.lists(st.sampled_from(["a line\n", "\n", "no end", "<b>\n"]), min_size=1).map("".join),
    st.lists(st.integers(1, 50), min_size=1, max_size=3),
)
def test_text_is_cut_at_its_lines(text: str, pieces: list[int]) -> None:
    made = parts_of(text, pieces, "text")
    assert "".join(part.text for part in made) == text
    assert all(part.text.endswith("\n") for part in made[:-1])
    assert all(part.html.endswith(sanitize.plain_to_html(part.text)[5:]) for part in made)


@pytest.mark.parametrize("form", ["json", "html", "math"])
def test_what_changes_in_the_end_is_one_part(form: str) -> None:
    assert len(parts_of("[1, 2,\n3]\n\n" * 100, [50], form)) == 1


@pytest.mark.parametrize("piece", [200, 20_000])
def test_a_long_answer_has_far_fewer_than_50_parts(piece: int) -> None:
    """JupyterLab shows 50 outputs; an answer of a megabyte comes in blocks or all but at once."""
    text = ("A sentence of an answer, of some length. " * 5 + "\n\n") * 5_000
    made = parts_of(text[:1_000_000], [piece])
    assert len(made) <= 32
    assert len(parts_of(text[:20_000], [piece])) <= 6


def test_a_code_block_goes_on_where_its_lines_begin() -> None:
    """Each part is coloured by itself, so it begins where something does."""
    code = "".join(f"def f{n}():\n    '''Return {n}.'''\n\n    return {n}\n\n" for n in range(50))
    made = parts_of(f"```python\n{code}```\n", [13])
    assert len(made) > 3
    assert all(part.text.startswith("def f") for part in made[1:])
    assert all('class="k">def' in part.html for part in made)
    assert all('style="margin:-1em 0 -1em"' in part.html for part in made[1:-1])


def test_a_list_goes_on_with_its_number() -> None:
    """Also where the model counts 1, 1, 1; and its items keep their distance."""
    made = parts_of("1. an item of a list\n" * 100, [7])
    numbers = [int(found[1]) for part in made if (found := re.search('start="(.*?)"', part.html))]
    counted = [part.text.count("1.") for part in made]
    assert numbers == [1 + sum(counted[:n]) for n in range(1, len(made))]
    loose = parts_of("- an item of a list\n\n" * 100, [7])
    assert len(loose) > 3
    assert all(part.html.count("<li>\n<p>") == part.text.count("- ") for part in loose)


def test_a_heading_begins_a_part() -> None:
    made = parts_of("## A heading\n\nSome text below it.\n\n" * 50, [11])
    assert len(made) > 3
    assert all(part.text.startswith("## ") for part in made)


def test_formulas_are_counted_across_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openhands_llm_magic.notebook.view.sanitize.MAX_FORMULAS", 30)
    made = parts_of("A formula $x$ it is.\n\n" * 100, [9])
    assert sum(part.html.count("<span class=") for part in made) == 30


def test_space_between_parts_is_that_between_blocks() -> None:
    """Two outputs would add the space below a block to that above the next."""
    made = parts_of("A paragraph.\n\n- a list\n- of two\n\n" * 40, [9])
    assert len(made) > 3
    for _, part in pairwise(made):
        begins_with_list = part.text.startswith("-")
        assert ("margin:-1em 0 0" in part.html) is begins_with_list
