"""The model that the benchmarks ask, in a process of its own, so that its work is not counted.

It listens on 127.0.0.1 and answers by the name of the model that is asked for.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from model_server import Answer, Hang, ModelServer, Refuse, paced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model_server import Received, Step

CHUNKS = 20_000
"""Chunks of the long answer."""

STREAMED = 50_000
"""Characters, and bytes, of the answers that come at `PER_S` chunks a second."""

PER_S = 100

MARKDOWN = """\
## How a retry works

A request that fails for a *passing* reason is sent again after a wait, and each wait is longer
than the one before it, up to a limit. The server may name a wait itself: then **that** one counts.

1. the server refuses with status 429 and `Retry-After: 7`
2. the client waits, and tells the person how long
3. the same request is sent again, at most `num_retries` times

```python
def wait_before(retry: int) -> float:
    return min(30, 5 * 2 ** (retry - 1))
```

"""


def long_answer() -> tuple[str, ...]:
    """Cut an endless Markdown text into chunks like a model's tokens, 5 characters on average."""
    pieces = re.findall(r"\s*[^\w\s]*\w{1,7}[^\w\s]*|\W+", MARKDOWN)
    return tuple(islice(cycle(pieces), CHUNKS))


def streamed() -> str:
    """Return the answer that comes at `PER_S` chunks a second."""
    return "".join(long_answer())[:STREAMED]


def _at_pace(characters: int) -> Answer:
    """Stream `streamed` in chunks of so many characters."""
    return paced(streamed(), bytes_per_s=characters * PER_S, piece=characters)


SHORT = Answer("Hello from the model, which has little to say.")
STEPS: dict[str, Step | Callable[[], Step]] = {
    "short": SHORT,
    "page": Answer(chunks=("**emphasis** " * 7_000,)),
    "long": Answer(chunks=long_answer(), usage=(7, CHUNKS)),
    "fast": partial(_at_pace, 40),
    "slow": partial(_at_pace, 5),
    "busy": Refuse(429, {"retry-after": "60"}),
    "silent": Hang(),
}
"""What each model does, and those that have its name with a number: "busy-2"."""


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run this file and give the base URL of its OpenAI protocol."""
    tests = Path(__file__).parents[1] / "tests"
    with subprocess.Popen(  # noqa: S603 - this very file
        [sys.executable, __file__],
        env={"PYTHONPATH": str(tests)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()  # the end of its input is its end


def serve() -> None:
    """Print the address and answer until the standard input ends."""

    def step(received: Received) -> Step:
        # Of a request that was interrupted while it was sent, nothing but the head may arrive.
        made = STEPS[received.model.partition("-")[0]] if received.body else SHORT
        return made() if callable(made) else made

    with ModelServer() as server:
        server.script(step)
        print(server.openai_base, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    serve()
