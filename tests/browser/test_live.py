"""An answer in JupyterLab while it arrives: it grows downward, and nothing of it goes away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from model_server import ModelServer, paced

if TYPE_CHECKING:
    from browser.conftest import OpenNotebook
    from browser.lab import Notebook

FIRST_LINE = "How a retry works"
SECTION = """\
## Section {number}

A request that fails for a *passing* reason is sent again after a wait, as the policy says.

1. the server refuses with status 429 and `Retry-After: 7`
2. the same request is sent again

```python
def wait_before(retry: int) -> float:
    return min(30, 5 * 2 ** (retry - 1))
```

| retry | after |
|-------|------:|
| 1     | 5 s   |
| 2     | 10 s  |

"""


def answer_of(size: int) -> str:
    """Write an answer of some length with all that answers have."""
    sections = (SECTION.format(number=n) for n in range(1, size // len(SECTION) + 2))
    return f"# {FIRST_LINE}\n\n{''.join(sections)}"[:size]


LOOK = """() => {
    const outputs = [...document.querySelectorAll(".jp-CodeCell")].at(-1)
        .querySelector(".jp-Cell-outputArea");
    const parts = [...outputs.querySelectorAll(".jp-OutputArea-output")];
    return [parts.map(part => part.innerText).join("\\n"), outputs.offsetHeight, parts.length];
}"""


def asking(notebook: OpenNotebook, server: ModelServer, options: str = "") -> Notebook:
    """Open a notebook whose last cell has just been started."""
    load = "%load_ext openhands_llm_magic\n%env LLM_MAGIC_FOOTER=off\nkey = 'sk-of-the-test'"
    prompt = f"%%llm -m openai/test --base-url {server.openai_base} --api-key $key {options}\nHi"
    opened = notebook(load, prompt)
    opened.run(0)
    opened.wait_for_idle()
    opened.run(1)
    return opened


def test_nothing_goes_away_while_an_answer_arrives(
    notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """20 kB at the pace at which people read along, looked at once a second."""
    answer = answer_of(20_000)
    model_server.script(paced(answer, bytes_per_s=300, piece=30))
    opened = asking(notebook, model_server)
    opened.output(1).get_by_text(FIRST_LINE).wait_for()

    # In the page, so that a slow machine does not stretch the time between two looks.
    opened.page.evaluate(
        f"() => {{ window.seen = []; setInterval(() => window.seen.push(({LOOK})()), 1000); }}"
    )
    while not opened.idle:
        time.sleep(1)
    seen = [*opened.page.evaluate("() => window.seen"), opened.page.evaluate(LOOK)]

    texts, heights, parts = zip(*seen, strict=True)
    lengths = list(map(len, texts))
    assert lengths == sorted(lengths)
    assert list(heights) == sorted(heights)
    assert all(text.strip().startswith(FIRST_LINE) for text in texts)
    assert heights[-1] - heights[-2] < 100
    assert 1 < parts[-1] < 10
    opened.save()
    outputs = opened.saved.cells[1].outputs
    assert "".join(each.data["text/plain"] for each in outputs) == answer.rstrip()
    assert opened.errors == []
