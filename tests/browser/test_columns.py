"""Several models side by side in JupyterLab: two columns that grow, and stay as they are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import nbformat
import pytest
from browser.lab import DARK, LIGHT
from browser.server import PATIENCE_S
from model_server import Answer, ModelServer, Refuse
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from browser.conftest import OpenNotebook
    from browser.lab import Notebook
    from model_server import Received, Step
    from playwright.sync_api import Page

ANSWER = """\
### Retries

A request that fails for a *passing* reason is sent again, by **{model}**.

| retry | after |
|-------|------:|
| 1     | 5 s   |

```python
def wait_before_a_retry_of_a_request(retry_number: int) -> float:
    return min(30.0, 5.0 * 2 ** (retry_number - 1))
```

"""

PLACES = """() => {
    const titles = [...document.querySelectorAll(".jp-OutputArea p > b")]
        .filter(title => title.textContent.startsWith("openai/"));
    return titles.map(title => {
        const {left, top, width} = title.closest("div").getBoundingClientRect();
        return [left, top, width].map(Math.round);
    });
}"""


@pytest.fixture
def going_on() -> threading.Event:
    """What the second halves of the answers wait for."""
    return threading.Event()


@pytest.fixture
def asking(
    notebook: OpenNotebook, model_server: ModelServer, going_on: threading.Event
) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook whose last cell asks three models, one of which is refused."""

    def step(received: Received) -> Step:
        if received.model == "third":
            return Refuse(401, message="There is no such key.")
        text = ANSWER.format(model=received.model)
        half = text.index("```")

        def pause(sent: int) -> None:
            if sent == 1:
                going_on.wait(PATIENCE_S)

        chunks = (text[:half], *text[half:].splitlines(keepends=True), "The end.")
        return Answer(chunks=chunks, between_chunks=pause)

    def open_asking(theme: str = LIGHT, *, width: int) -> Notebook:
        model_server.script(step)
        load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
        models = "-m openai/first -m openai/second -m openai/third"
        line = f"{models} --base-url {model_server.openai_base} --api-key $key"
        opened = notebook(load, f"%%llm {line}\nHow does a retry work?", theme=theme, width=width)
        opened.run(0)
        opened.wait_for_idle()
        opened.run(1)
        return opened

    yield open_asking
    going_on.set()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_two_columns_grow_at_once(
    asking: Callable[..., Notebook],
    going_on: threading.Event,
    images: Path,
    axe: Callable[[Page, str], list[str]],
    theme: str,
) -> None:
    """Both stand beside each other while they arrive, and after the notebook is opened again."""
    opened = asking(theme, width=1100)
    output = opened.output(1)
    for model in ("first", "second"):
        output.get_by_role("group", name=f"openai/{model}").get_by_text("by " + model).wait_for()
    (left, top, width), (beside, same_top, same_width), _ = opened.page.evaluate(PLACES)
    assert beside >= left + width
    assert (same_top, same_width) == (top, width)
    name = "columns-dark" if theme == DARK else "columns"
    opened.page.screenshot(path=images / f"{name}-live.png")

    going_on.set()
    opened.wait_for_idle()
    expect(output.get_by_text("The end.")).to_have_count(2)
    expect(output.get_by_text("No answer:")).to_have_count(1)
    opened.page.screenshot(path=images / f"{name}.png")
    assert axe(opened.page, ".jp-CodeCell:last-of-type .jp-OutputArea") == []
    opened.save()
    assert len(opened.saved.cells[1].outputs) == 1

    shown = output.inner_text()
    places = opened.page.evaluate(PLACES)
    opened.reload(new_kernel=True)
    output.get_by_text("The end.").first.wait_for()
    assert output.inner_text() == shown
    assert opened.page.evaluate(PLACES) == places
    assert opened.trusted

    changed = opened.saved
    changed.cells[1].outputs[0].data["text/html"] += "<i>added</i>"
    nbformat.write(changed, opened.path)
    opened.reload(new_kernel=True)
    output.get_by_text("The end.").first.wait_for()
    assert not opened.trusted
    assert opened.page.evaluate(PLACES) == places
    assert opened.errors == []


def test_the_buttons_are_those_of_all(
    notebook: OpenNotebook, model_server: ModelServer, images: Path
) -> None:
    """The one that ends a wait ends the waits of all that wait."""
    waits: dict[str, Step] = {}

    def step(received: Received) -> Step:
        if received.model in waits:
            return Answer(f"I am {received.model}.")
        waits[received.model] = Refuse(429, {"retry-after": "50"}, message="Slow down.")
        return waits[received.model]

    model_server.script(step)
    line = f"-m openai/a -m openai/b --base-url {model_server.openai_base} --api-key $key"
    load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
    opened = notebook(load, f"%%llm {line}\nWho?")
    opened.run(0)
    opened.wait_for_idle()
    opened.run(1)
    expect(opened.output(1).get_by_text("Rate limit (429)")).to_have_count(2)
    button = opened.output(1).get_by_role("button", name="Retry now")
    button.wait_for()
    opened.page.screenshot(path=images / "columns-wait.png")
    button.click()
    for name in "ab":
        opened.output(1).get_by_text(f"I am {name}.").wait_for()
    opened.wait_for_idle()
    assert opened.page.locator(".llm-wait").count() == 0
    assert opened.errors == []


def test_a_narrow_window_puts_them_below_each_other(
    asking: Callable[..., Notebook], going_on: threading.Event, images: Path
) -> None:
    """None is wider than the window."""
    going_on.set()
    opened = asking(width=500)
    opened.wait_for_idle()
    columns = opened.page.evaluate(PLACES)
    opened.page.screenshot(path=images / "columns-narrow.png")
    assert len({left for left, _, _ in columns}) == 1
    assert [top for _, top, _ in columns] == sorted({top for _, top, _ in columns})
    assert all(left + width <= 500 for left, _, width in columns)
    assert opened.errors == []
