"""How long it takes to decide whether a prompt's key may go where a config file leads."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.table import Line, at_most
from openhands_llm_magic.config import trust, trusted
from openhands_llm_magic.config.resolve import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 200

CONFIG = """\
[llm]
model = "openai/gpt-4o"
base_url = "https://gateway.example/v1"

[openhands_llm_magic]
requests_per_minute = 60
"""

VARIABLES = {f"SOME_VARIABLE_{number}": "x" for number in range(100)}


def lines() -> Iterator[Line]:
    """Measure the median for a file that was trusted, whose entry is read each time."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(CONFIG, "utf-8")
        env = {**VARIABLES, "OPENAI_API_KEY": "a key", "XDG_DATA_HOME": folder}
        settings = load_settings(file, env)
        trusted.trust(file, env)
        took_s = []
        for _ in range(TIMES):
            began_s = time.perf_counter()
            trust.require_harmless(settings, env)
            trust.require_trusted(settings, settings.model, {"base_url": settings.base_url}, env)
            took_s.append(time.perf_counter() - began_s)
    yield at_most("deciding whether a key may go to a server takes", median(took_s) * 1000, 1, "ms")
