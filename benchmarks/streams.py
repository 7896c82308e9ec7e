"""What 20,000 streamed chunks cost: CPU time beside bare LiteLLM, and bytes sent to the browser.

The server sends as fast as it can. How often an output is updated depends on the clock alone, so
a slower model makes more updates of the same answer: what they come to is reckoned on a simulated
clock.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.model import CHUNKS, long_answer
from benchmarks.table import Line, at_most
from openhands_llm_magic.llm.events import TextDelta
from openhands_llm_magic.llm.reply import ReplyBuilder
from openhands_llm_magic.llm.worker import Control

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from kernel import Ran

    from benchmarks.session import Session

ANSWER = "".join(long_answer())
OUTPUTS = 25
"""How many the answer may have; JupyterLab shows 50."""


def lines(session: Session) -> Iterator[Line]:
    """Measure one bare stream between two of `%%llm`, shown live."""
    runs = [
        session.call("cpu_seconds_of_stream", way, session.base_url)
        for way in ("live", "bare", "live")
    ]
    (first_s, _), (bare_s, _), (second_s, _) = (result for result, _ in runs)
    ratio = (first_s + second_s) / 2 / bare_s
    note = f"{(first_s + second_s) / 2:.1f} s, bare {bare_s:.1f} s"
    yield at_most(f"{CHUNKS:,} chunks: CPU time, bare = 1", ratio, 0.5, "x", note=note)
    (_, took_s), ran = runs[0]
    live = _shown(ran)
    pace = f"at {CHUNKS / took_s:,.0f} chunks/s, {len(live)} messages"
    what = f"{CHUNKS:,} chunks: live updates"
    yield at_most(what, _bytes(live) / took_s / 1000, 100, "kB/s", note=pace)
    for chunks_per_s in (1000, 100):
        rate = _bytes(_reckoned(chunks_per_s)) / (CHUNKS / chunks_per_s) / 1000
        what = f"the same, reckoned for a model with {chunks_per_s:,} chunks/s"
        yield at_most(what, rate, 100, "kB/s")
    shown = "".join(output["text/plain"] for output in ran.outputs)
    what = f"{CHUNKS:,} chunks: outputs, which hold the answer once"
    whole = shown.rstrip() == ANSWER.rstrip()
    yield Line(what, str(len(ran.outputs)), f"{OUTPUTS}", met=whole and len(ran.outputs) <= OUTPUTS)


def _shown(ran: Ran) -> list[dict[str, Any]]:
    """Return the data of all that was displayed."""
    return [each["data"] for each in ran.contents("display_data", "update_display_data")]


def _bytes(shown: Iterable[dict[str, Any]]) -> int:
    """Count what goes over the wire, without the messages' headers."""
    return sum(len(json.dumps(data, ensure_ascii=False).encode()) for data in shown)


class _Clock:
    """A clock that is set by hand."""

    now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def wait(self, wake: threading.Event, duration_s: float) -> None:
        """Let the time pass, unless the wait is over before."""
        if not wake.is_set():
            self.sleep(duration_s)

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


def _reckoned(chunks_per_s: float) -> list[dict[str, Any]]:
    """Return what a live area would show of the answer at some pace."""
    from IPython.core.displaypub import CapturingDisplayPublisher  # noqa: PLC0415 - IPython is
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415 - not needed before

    from openhands_llm_magic.notebook.buttons import Clicks, Waits  # noqa: PLC0415 - so does this
    from openhands_llm_magic.notebook.view import display  # noqa: PLC0415 - it needs a shell

    shell: Any = InteractiveShell.instance()
    shell.display_pub = publisher = CapturingDisplayPublisher()
    clock, builder = _Clock(), ReplyBuilder("a model")
    view = display.view_on("live", "a model", clock, Waits(Clicks(shell), Control(), clock))
    for chunk in long_answer():
        clock.sleep(1 / chunks_per_s)
        builder.add(event := TextDelta(chunk))
        view.update(event, builder)
    return [output["data"] for output in publisher.outputs]
