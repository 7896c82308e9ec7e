"""What the benchmarks run inside the kernel: the same question asked in three ways."""

from __future__ import annotations

import gc
import os
import time
from itertools import cycle, islice
from typing import Any

import litellm
from IPython import get_ipython

PROMPT = "How does a retry work?"
SETTLE_S = 0.03
"""Pause after each call, in which other threads finish what it left to them."""


def bare(base_url: str, model: str) -> None:
    """Ask as a person would without this package, and put the answer together."""
    stream = litellm.completion(
        model=f"openai/{model}",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        base_url=base_url,
    )
    pieces = [choice.delta.content for chunk in stream for choice in chunk.choices]
    assert "".join(filter(None, pieces))


def magic(base_url: str, model: str, display: str) -> None:
    """Ask with `%%llm`, shown "live" or "final"."""
    os.environ["LLM_MAGIC_DISPLAY"] = display
    shell: Any = get_ipython()
    reply = shell.run_cell_magic("llm", f"-m openai/{model} --base-url {base_url}", PROMPT)
    assert reply.text


def ask(way: str, base_url: str, model: str) -> None:
    """Ask in one of the ways "bare", "final" and "live"."""
    if way == "bare":
        bare(base_url, model)
    else:
        magic(base_url, model, way)


def seconds_of_calls(base_url: str, rounds: int) -> list[dict[str, tuple[float, float]]]:
    """Ask for a short answer in each way in turn.

    Returns:
        For each round and way, the seconds until the call came back, and the seconds of CPU time
        of this process, with what LiteLLM's and the kernel's threads still did afterwards.
    """
    forth = ["bare", "final", "live"]
    orders = islice(cycle((forth, forth[::-1])), rounds)  # none always follows the same one
    return [{way: _seconds_of_call(way, base_url) for way in order} for order in orders]


def _seconds_of_call(way: str, base_url: str) -> tuple[float, float]:
    began_s, cpu_s = time.perf_counter(), time.process_time()
    ask(way, base_url, "short")
    took_s = time.perf_counter() - began_s
    time.sleep(SETTLE_S)
    return took_s, time.process_time() - cpu_s


def cpu_seconds_of_stream(way: str, base_url: str) -> tuple[float, float]:
    """Ask for the long answer; give the CPU seconds of this process, and the seconds it took."""
    gc.collect()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    ask(way, base_url, "long")
    took_s = time.perf_counter() - began_s
    time.sleep(10 * SETTLE_S)
    return time.process_time() - cpu_s, took_s
