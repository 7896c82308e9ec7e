"""Nothing in a model's Markdown acts on the notebook, and ordinary Markdown looks right."""

# ruff: noqa: RUF001 - Japanese has punctuation and digits of its own
from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_attacks import ATTACKS, HTML_ATTACKS, MATH_ATTACKS
from shown_page import Page

from openhands_llm_magic.notebook.view.sanitize import (
    MAX_FORMULAS,
    MAX_RENDERED,
    plain_to_html,
    to_html,
    to_plain,
)


def cases(attacks: dict[str, str]) -> list[object]:
    return [pytest.param(attack, id=name) for name, attack in attacks.items()]


@pytest.mark.parametrize("attack", cases(ATTACKS))
def test_an_attack_leaves_only_allowed_elements(attack: str) -> None:
    for wrapped in (attack, f"> {attack}", f"text {attack} text", f"{attack}\n\n$x$ `y` **z**"):
        assert Page(to_html(wrapped)).forbidden == []
    assert Page(plain_to_html(attack)).forbidden == []


@pytest.mark.parametrize("attack", cases(MATH_ATTACKS))
def test_mathjax_gets_no_command_of_an_attack(attack: str) -> None:
    assert [it for it in Page(to_html(attack)).formulas if re.search(r"\\[a-zA-Z]", it)] == []


@pytest.mark.parametrize("attack", [it for it in HTML_ATTACKS.values() if it.startswith("<")])
def test_html_is_shown_as_text(attack: str) -> None:
    shown = re.sub(r"\s", "", Page(to_html(f"{attack}\n\nThe end.")).text)
    assert shown == re.sub(r"\s|\0", "", f"{attack}The end.")


def test_a_formula_that_reaches_out_is_shown_as_code() -> None:
    assert r"<code>$\href{javascript:x}{y}$</code>" in to_html(r"See $\href{javascript:x}{y}$.")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r"\xrightarrow{", "}"),
        (r"\left(", r"\right)"),
        (r"\begin{array}{c}", r"\end{array}"),
        ("{%}\n", "%{\n}"),
        (r"\{{", r"}\}"),
    ],
)
def test_a_formula_that_is_nested_too_deeply_is_shown_as_code(before: str, after: str) -> None:
    """A browser takes seconds for it, or its page crashes."""
    assert "mathjax_process" in to_html(f"$${before * 9}x{after * 9}$$")
    assert "mathjax_process" not in to_html(f"$${before * 11}x{after * 11}$$")


def test_an_image_is_a_link() -> None:
    link = 'target="_blank" rel="noopener noreferrer"'
    assert to_html("![A *cat*](http://a.example/c.png)").count(
        f'<a href="http://a.example/c.png" {link}>A *cat*</a>'
    )
    assert f'<a href="http://a.example" {link}>badge</a>' in to_html(
        "[![badge](http://a.example/b.svg)](http://a.example)"
    )


@pytest.mark.parametrize("formula", ["$x<y$", "$$\nx<y\n$$\n\n", "- $x<y$\n"])
def test_no_more_formulas_are_typeset_than_a_browser_can(formula: str) -> None:
    """What is more is shown as code, so that a notebook opens in some seconds."""
    shown = to_html("".join([f"{formula} "] * (MAX_FORMULAS + 2)))
    assert shown.count("mathjax_process") == MAX_FORMULAS
    assert len(re.findall(r"<code>\$*\s*x&lt;y\s*\$*\s*</code>", shown)) == 2


@pytest.mark.parametrize(
    ("markdown", "formulas"),
    [
        (r"Let $a_1 * b_2 * c_1$ and \(x_1\) be.", ["$a_1 * b_2 * c_1$", r"\(x_1\)"]),
        (r"So $$y_1 < *z*$$ and \[w_1\] here", ["$$y_1 < *z*$$", r"\[w_1\]"]),
        ("$$\na\n= b\n- c\n# d\n$$", ["$$\na\n= b\n- c\n# d\n$$"]),
        ("So:\n$$\na\n- b\n$$", ["$$\na\n- b\n$$"]),
        ("So:\n\\[\n a \\\\[2pt]\n b\n\\]", ["\\[\n a \\\\[2pt]\n b\n\\]"]),
        ("\\begin{align*}\na &= 1\n\\end{align*}", ["\\begin{align*}\na &= 1\n\\end{align*}"]),
        ("> $$\n> a\n> $$\n\n- b\n\n  $$\n  c\n  $$", ["$$\na\n$$", "$$\nc\n$$"]),
        ("|a|\n|-|\n|$x_1$|", ["$x_1$"]),
        ("変数$x$は、25$^\\circ$C です", ["$x$", "$^\\circ$"]),
        (r"$$a \label{eq:1}$$ $\text{5\$}$", ["$$a $$", r"$\text{5\$}$"]),
        (r"$\left(\newline x\right)$", [r"$\left(\newline x\right)$"]),
        ("It costs $5 or $6, $5-$6, US$7 or 8$.", []),
        ("$HOME/$USER, ${A}${B}, $$ and $ $", []),
        ("`$x$` and ``a $y$``, $a `b$` c$", []),
        ("```\n$x$\n```\n\n    $y$", []),
        (r"\$x\$ and \\(x\\) and a\[0\]", []),
        ("$$\na\n\nb\n$$", []),
        ("> $$\n> a\n\n$$", []),
        ("- $$\n- a\n$$", []),
        (r"$a{b$ and \(\)", []),
        (f"${'x' * 6_000}$", []),
    ],
)
def test_mathjax_sees_the_formulas_and_nothing_else(markdown: str, formulas: list[str]) -> None:
    shown = to_html(markdown)
    assert Page(shown).formulas == formulas
    assert shown.count("mathjax_process") == len(formulas)


def test_code_is_coloured() -> None:
    shown = to_html('```python\nif x < 1: print("$x$")\n\n\n```')
    assert '<pre><code><span class="k">if</span>' in shown
    assert '<span class="s2">"$x$"</span><span class="p">)</span>\n\n\n</code></pre>' in shown


@pytest.mark.parametrize("fence", ["```", "```no-such-language", "```{python}", "~~~ "])
def test_code_of_an_unknown_language_is_plain(fence: str) -> None:
    shown = to_html(f"{fence}\nx < 1 <b>\n")
    assert (
        'style="margin: 1em 0" dir="ltr"><pre><code>x &lt; 1 &lt;b&gt;\n</code></pre></div>'
        in shown
    )


def test_the_cells_of_a_table_are_aligned() -> None:
    shown = to_html("|a|b|c|\n|---|:-:|--:|\n|1|**2**|3|")
    assert '<td><div style="text-align: start">1</div></td>' in shown
    assert '<td><div align="center"><strong>2</strong></div></td>' in shown
    assert '<td><div align="right">3</div></td>' in shown


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("|a|\n|-|\n|x<br>y<br/>z|", "x<br>\ny<br>\nz</div></td>"),
        ("H<sub>2</sub>O, x<sup>**2**</sup>", "H<sub>2</sub>O, x<sup><strong>2</strong></sup>"),
        ("<KBD>Ctrl</KBD>+<kbd>`C`</kbd>", "<kbd>Ctrl</kbd>+<kbd><code>C</code></kbd>"),
        ("<b>a</b> <u>b</u> <mark>c</mark>", "<b>a</b> <u>b</u> <mark>c</mark>"),
        ("a <sub>b", "a &lt;sub&gt;b"),
        ("a</sub> <T> x<y>z</y>", "a&lt;/sub&gt; &lt;T&gt; x&lt;y&gt;z&lt;/y&gt;"),
        ("`<br>`", "<code>&lt;br&gt;</code>"),
        ("- a\n\n<!-- end list -->\n\nb", '</ul>\n<p dir="auto"></p>\n<p dir="auto">b</p>'),
        ("See https://a.example/b_c_d?e=1&f=2.", ">https://a.example/b_c_d?e=1&amp;f=2</a>."),
        ("(http://127.0.0.1:8000/x_(y))", ">http://127.0.0.1:8000/x_(y)</a>)"),
        ("**https://a.example**", ">https://a.example</a></strong>"),
        ("https://a.exampleを見て、https://a.example/日本。", ">https://a.example</a>を見て"),
        ("https://a.exampleを見て、https://a.example/日本。", ">https://a.example/日本</a>。"),
        ("[https://a.example](https://b.example)", ">https://a.example</a></p>"),
        ("- [ ] to do\n- [x] done", "☐ to do</li>\n"),
        ("- [ ] to do\n- [x] done", "☑ done</li>\n"),
        ("- [link]\n- [x]", "<li>[link]</li>\n<li>[x]</li>"),
        ("So[^1].\n\n[^1]: It *is*.\n[^n]: No.", "So<sup>[1]</sup>."),
        ("So[^1].\n\n[^1]: It *is*.\n[^n]: No.", "<sup>[1]</sup> It <em>is</em>.</p>"),
        ("So[^1].\n\n[^1]: It *is*.\n[^n]: No.", "<sup>[n]</sup> No.</p>"),
        ("All but [^abc]", "All but [^abc]"),
        ("これは**「重要」**な点です。", "これは<strong>「重要」</strong>な点です。"),
        ("**重要です。**次の文。", "<strong>重要です。</strong>次の文。"),
        ("**日本語（括弧付き）。**この文", "<strong>日本語（括弧付き）。</strong>この文"),
        (
            "**「A」**なので**「B」**",
            "<strong>「A」</strong>なので<strong>「B」</strong></p>",
        ),
        (
            "この*（斜体）*と***（両方）***の字",
            "この<em>（斜体）</em>と<em><strong>（両方）</strong></em>の字",
        ),
        ("~~古い。~~新しい", "<s>古い。</s>新しい"),
        ("**価格：**`x`円", "<strong>価格：</strong><code>x</code>円"),
        ("**“引用”**です。", "<strong>“引用”</strong>です。"),
        ("**`code`**を使う", "<strong><code>code</code></strong>を使う"),
        ("3 ** 4 は 81、２ ** ３ は ８", "3 ** 4 は 81、２ ** ３ は ８"),
        ("** 強調ではない **です", "** 強調ではない **です"),
        ('a**"b"**c', 'a**"b"**c</p>'),
        ("> [!NOTE]\n> Take *care*.", "<strong>Note</strong><br>\nTake <em>care</em>."),
        ("> [!warning] Hot!\n> - a", "<strong>Hot!</strong></p>\n<ul>"),
        ("> [!NOTE]", "<strong>Note</strong></p>"),
        ("<details>\n<summary>More</summary>\n\n*x*\n\n</details>\n\ny", "<summary>More</summary>"),
        (
            "<details>\n<summary>More</summary>\n\n*x*\n\n</details>\n\ny",
            "<p><em>x</em></p>\n</details>",
        ),
        ("<details><summary>a</summary>b</details>", "<summary>a</summary>\n<p>b</p>\n</details>"),
        (
            "- a\n  <details>\n  <summary>b</summary>\n\n  c\n  </details>\n- d",
            "<p>c</p>\n</details>",
        ),
        ("<details>\n\n```\n</details>\n```\n</details>\nx", "</code></pre></div>\n</details>"),
        ("<details>\nends never", '<details dir="auto" open="">\n<p>ends never'),
    ],
)
def test_what_models_write_beyond_commonmark(markdown: str, shown: str) -> None:
    assert shown in to_html(markdown)


@pytest.mark.parametrize(
    "text",
    ["<sub>", "<details>\n", "<details></details>\n", "[^1]", "あ**", "**「", "~~あ", "あ*い **"],
)
def test_no_shape_of_it_takes_long(text: str) -> None:
    """Twice as much of it takes twice as many steps, and not four times as many."""

    def steps(times: int) -> int:
        count = 0

        def note(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(note)
        try:
            to_html(text * times)
        finally:
            sys.setprofile(None)
        return count

    assert steps(2000) < 2.5 * steps(1000)


def test_each_block_runs_in_the_direction_of_its_text() -> None:
    """Code runs from left to right in any."""
    hello = "שלום"
    shown = to_html(
        f"# {hello}\n\n{hello}\n\n- {hello}\n\n> {hello}\n\n```\nx\n```\n\n|{hello}|\n|-|"
    )
    for tag in ("h1", "p", "ul", "blockquote", "table"):
        assert f'<{tag} dir="auto">' in shown
    assert 'style="margin: 1em 0" dir="ltr">' in shown


def test_lists_nest_and_keep_their_numbers() -> None:
    shown = re.sub(r"\s", "", to_html("3. a\n   - b\n     - c\n4. d"))
    assert 'start="3"' in shown
    assert "<li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ol>" in shown


def test_other_markdown_is_rendered_as_usual() -> None:
    shown = to_html("## 日本 🎉\n\n**b** *e* ~~s~~ `c`<me@a.example>\\\nnew\n\n> q\n\n---")
    for piece in (
        '<h2 dir="auto">日本 🎉</h2>',
        "<strong>b</strong> <em>e</em> <s>s</s> <code>c</code>",
        '<a href="mailto:me@a.example" ',
        "<br>",
        '<blockquote dir="auto">\n<p>q</p>\n</blockquote>',
        "<hr>",
    ):
        assert piece in shown


@pytest.mark.parametrize(
    "text",
    ["a" * (MAX_RENDERED + 1), "[" * 50_000, "> " * 50 + "x", "- " * 60 + "deepest"],
    ids=["too long", "slow brackets", "slow quotes", "deeper than the renderer goes"],
)
def test_a_text_that_cannot_be_rendered_is_shown_as_it_is(text: str) -> None:
    assert to_html(text) == plain_to_html(text)


def test_a_text_too_deep_for_the_stack_is_shown_as_it_is() -> None:
    text = "- " * 45 + "x"
    assert to_html(text) != plain_to_html(text)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 50)
    try:
        shown = to_html(text)
    finally:
        sys.setrecursionlimit(limit)
    assert shown == plain_to_html(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**é** 日本 👩‍🚀\tx\n", "**é** 日本 👩‍🚀\tx\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x1b]0;title\x07\x1b[2J\x9b2Kx\x08\x7f", "]0;title[2J2Kx"),
        ("a\u202eb\u2066c\u200f", "abc\u200f"),
        ("\ud83d\ude00 \ud83d", "😀 �"),
        ("\ufeff\ufeffa", "a"),
    ],
    ids=["ordinary", "line ends", "escape sequences", "bidi", "surrogates", "byte order marks"],
)
def test_plain_text_is_what_a_terminal_does_not_obey(text: str, plain: str) -> None:
    assert to_plain(text) == plain


def test_plain_html_is_escaped() -> None:
    assert plain_to_html("<b>\x1b&") == '<pre dir="auto"><code>&lt;b&gt;&amp;</code></pre>'


PIECES = st.sampled_from([*"[]()<>!*_`~$\\{}|-#>&\"'=:; \n\t1.ax", *ATTACKS.values()])
PIECES |= st.sampled_from(
    ["```", "\n\n", "$$", "\\[", "\\]", "\n- ", "\n> ", "    ", "javascript:"]
)


@given(st.text(st.characters(codec=None)) | st.lists(PIECES, max_size=60).map("".join))
def test_any_text_is_rendered_and_only_with_allowed_elements(text: str) -> None:
    page = Page(to_html(text))
    assert page.forbidden == []
    assert not re.search(r"\\(href|style|def|newcommand)(?![a-z])", " ".join(page.formulas))


def test_importing_the_module_imports_no_renderer() -> None:
    code = (
        "import sys, openhands_llm_magic.notebook.view.sanitize;"
        "print({'nh3', 'markdown_it', 'pygments'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert done.stdout == "set()\n"
