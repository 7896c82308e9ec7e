"""Ordinary Markdown of a model looks as it should in JupyterLab, in both themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser.lab import DARK, LIGHT
from model_server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from browser.conftest import OpenNotebook
    from model_server import ModelServer
    from playwright.sync_api import Page

THEMES = {"light": LIGHT, "dark": DARK}

MARKDOWN = r"""## Roots of a *quadratic*

The roots of $ax^2 + bx + c = 0$ with \(a \neq 0\) are

$$
x_{1,2} = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
$$

It costs $5 or $6, and `$HOME/$USER` is code. See [the article](https://example.org/roots "title"),
<https://example.org> or ![a plot](https://example.org/plot.png).

| left | centre | right | code |
|:-----|:------:|------:|------|
| a | b | 1.25 | `x` |
| longer text | **bold** | 100 | $x_1$ |

1. First
   - nested
     - twice nested
   - with ~~two~~ three items
2. Second

       indented code

> A quotation
> > in a quotation

```python
from math import sqrt

def roots(a: float, b: float, c: float) -> tuple[float, float]:
    '''Solve it for $a$.'''
    d = sqrt(b**2 - 4 * a * c)  # may fail
    return (-b - d) / 2, f"{d:.2f}"
```

```
no language, <b>no tags</b>
```

---

The end.
"""

STYLES = """(elements, name) => elements.map(element => getComputedStyle(element)[name])"""


@pytest.mark.parametrize("name", THEMES)
def test_ordinary_markdown_looks_right(
    notebook: OpenNotebook,
    model_server: ModelServer,
    images: Path,
    axe: Callable[[Page, str], list[str]],
    name: str,
) -> None:
    model_server.script(Answer(chunks=(MARKDOWN[:400], MARKDOWN[400:])))
    load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
    prompt = f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key\nHi"
    opened = notebook(load, prompt, theme=THEMES[name], height=1500)
    opened.run_all()
    opened.wait_for_idle()
    shown = opened.output(1)
    shown.locator("mjx-container").nth(3).wait_for()
    (images / f"markdown-{name}.png").write_bytes(opened.picture())

    def styles(selector: str, style: str) -> list[str]:
        found: list[str] = shown.locator(selector).evaluate_all(STYLES, style)
        return found

    assert shown.locator("mjx-container").count() == 4
    assert "It costs $5 or $6, and $HOME/$USER is code." in shown.inner_text()
    assert shown.locator("p code").inner_text() == "$HOME/$USER"
    aligned = ["-webkit-left", "-webkit-center", "-webkit-right", "start"]
    assert styles("th > div", "textAlign") == aligned
    assert styles("td > div", "textAlign") == aligned * 2
    links = shown.locator("a")
    assert links.all_inner_texts() == ["the article", "https://example.org", "a plot"]
    for link in links.all():
        assert link.get_attribute("target") == "_blank"
        assert "noopener" in str(link.get_attribute("rel"))
    kinds = [styles(f".highlight .{kind}", "color")[0] for kind in ("kn", "nf", "mi", "c1", "sd")]
    assert len(set(kinds)) >= 4
    assert shown.locator(".highlight").count() == 3
    items = [shown.locator(f"{lists} > li").first for lists in ("ol", "ol > li > ul", "ul ul")]
    lefts = [item.bounding_box()["x"] for item in items]
    assert lefts == sorted(set(lefts))
    assert set(styles("ol > li", "listStyleType")) == {"decimal"}
    assert axe(opened.page, ".jp-Notebook .jp-Cell-outputArea") == []
    assert opened.errors == []


BEYOND = """שלום *עולם*

- שלום

| key | meaning |
|-----|---------|
| <kbd>Esc</kbd> | stops<br>all |

- [x] done

> [!WARNING]
> See https://example.org.

<details>
<summary>More</summary>

Folded up[^1].

</details>

[^1]: A note.
"""


def test_what_models_write_beyond_commonmark(
    notebook: OpenNotebook, model_server: ModelServer, axe: Callable[[Page, str], list[str]]
) -> None:
    """Hebrew runs from right to left, and what is folded up opens with a click."""
    model_server.script(Answer(chunks=(BEYOND[:60], BEYOND[60:])))
    load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
    prompt = f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key\nHi"
    opened = notebook(load, prompt)
    opened.run_all()
    opened.wait_for_idle()
    shown = opened.output(1)

    directions = [
        shown.locator(each).evaluate_all(STYLES, "direction")[0]
        for each in ("p", "ul", "table", "blockquote")
    ]
    assert directions == ["rtl", "rtl", "ltr", "ltr"]
    text = shown.inner_text()
    assert "☑ done" in text
    assert "[1] A note." in text
    assert not any(sign in text for sign in ("<", "[!", "[x]", "[^"))
    assert shown.get_by_role("link", name="https://example.org").count() == 1
    folded = shown.get_by_text("Folded up")
    assert not folded.is_visible()
    shown.get_by_text("More").click()
    assert folded.is_visible()
    assert axe(opened.page, ".jp-Notebook .jp-Cell-outputArea") == []
    assert opened.errors == []
