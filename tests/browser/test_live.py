"""An answer of 50 kB in JupyterLab, while it arrives and when it is there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from browser.server import PATIENCE_S
from model_server import Answer, ModelServer
from playwright.sync_api import expect

if TYPE_CHECKING:
    from browser.conftest import OpenNotebook

SECTIONS = 100
SECTION = """\
## Section {number}

A request that fails for a *passing* reason is sent again after a wait.

```python
def wait_before(retry: int) -> float:
    return min(30, 5 * 2 ** (retry - 1))
```

| retry | after |
|-------|------:|
"""
ANSWER = "\n".join(
    SECTION.format(number=number) + "".join(f"| {row} | {row} s |\n" for row in range(20))
    for number in range(SECTIONS)
)
CHUNK = 40
CHUNKS = tuple(ANSWER[at : at + CHUNK] for at in range(0, len(ANSWER), CHUNK))
HALF = len(CHUNKS) // 2


def test_its_end_is_shown_while_it_arrives_and_then_all_of_it_once(
    notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """The half that has come is cut, with its end formatted; nothing of that is left."""
    seen = threading.Event()

    def wait_until_seen(sent: int) -> None:
        if sent == HALF:
            seen.wait(PATIENCE_S)

    model_server.script(Answer(chunks=CHUNKS, between_chunks=wait_until_seen))
    load = "%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'"
    prompt = f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key\nHi"
    opened = notebook(load, prompt)
    opened.run(0)
    opened.wait_for_idle()
    opened.run(1)
    output = opened.output(1)

    arrived = "".join(CHUNKS[:HALF])
    last = arrived.count("## Section") - 1
    output.get_by_role("heading", name=f"Section {last}", exact=True).wait_for()
    assert output.get_by_text("kB above").is_visible()
    assert output.get_by_role("heading").count() < last
    assert output.locator("pre").count()
    seen.set()
    opened.wait_for_idle()

    expect(output.get_by_role("heading")).to_have_text([f"Section {n}" for n in range(SECTIONS)])
    expect(output.get_by_text("kB above")).to_have_count(0)
    opened.save()
    (saved,) = opened.saved.cells[1].outputs
    assert saved.output_type == "display_data"
    assert saved.data["text/plain"].strip() == ANSWER.strip()
    assert opened.errors == []
