"""A real kernel with the extension loaded, and a model for it to ask."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel import Kernel

from benchmarks import model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Ran

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Session:
    """The kernel, and the base URL of the model."""

    kernel: Kernel
    base_url: str

    def call(self, function: str, *arguments: object) -> tuple[Any, Ran]:
        """Call a function of `in_kernel` in a cell of its own; give its result, and the cell."""
        text = ", ".join(map(repr, arguments))
        ran = self.kernel.run(f"import json; print(json.dumps(in_kernel.{function}({text})))")
        assert ran.error is None, ran.error
        return json.loads(ran.stdout), ran


def clean_environment(home: str) -> dict[str, str]:
    """Return an environment without the settings and keys of whoever runs this."""
    return {"PATH": os.environ["PATH"], "HOME": home, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def running() -> Iterator[Session]:
    """Start a kernel and the model; everything is imported, and each way was used once."""
    with tempfile.TemporaryDirectory() as home, model.running() as base_url:
        environment = clean_environment(home) | {"OPENAI_API_KEY": "sk-of-the-benchmarks"}
        with Kernel(environment, home) as kernel:
            kernel.run("%load_ext openhands_llm_magic")
            kernel.run("from benchmarks import in_kernel")
            session = Session(kernel, base_url)
            session.call("seconds_of_calls", base_url, 5)
            yield session
