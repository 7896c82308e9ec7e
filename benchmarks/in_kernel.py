"""What the benchmarks run inside the kernel: the same question asked in several ways."""

from __future__ import annotations

import gc
import json
import os
import time
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import litellm
from IPython import get_ipython
from IPython.display import Markdown, display

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT = "How does a retry work?"
SETTLE_S = 0.03
"""Pause after each call, in which other threads finish what it left to them."""


def bare(base_url: str, model: str) -> None:
    """Ask as a person would without this package, and put the answer together."""
    assert "".join(_pieces(base_url, model))


def each_chunk(base_url: str, model: str) -> None:
    """Ask as a person would who wants to see the answer grow."""
    shown, text = display(Markdown(""), display_id=True), ""
    for piece in _pieces(base_url, model):
        text += piece
        shown.update(Markdown(text))


def _pieces(base_url: str, model: str) -> Iterator[str]:
    stream = litellm.completion(
        model=f"openai/{model}",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        base_url=base_url,
    )
    return (
        choice.delta.content for chunk in stream for choice in chunk.choices if choice.delta.content
    )


def magic(base_url: str, model: str, display: str) -> None:
    """Ask with `%%llm`, shown "live" or "final"."""
    os.environ["LLM_MAGIC_DISPLAY"] = display
    shell: Any = get_ipython()
    reply = shell.run_cell_magic("llm", f"-m openai/{model} --base-url {base_url}", PROMPT)
    assert reply.text


def ask(way: str, base_url: str, model: str) -> None:
    """Ask in one of the ways "bare", "each chunk", "final" and "live"."""
    if way == "bare":
        bare(base_url, model)
    elif way == "each chunk":
        each_chunk(base_url, model)
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


def cost_of_showing(way: str, base_url: str, model: str) -> str:
    """Ask, and measure.

    Returns:
        As JSON: the CPU seconds of this process, the seconds it took, and when each output was
        published or updated, with the bytes of the message.
    """
    published: list[tuple[float, int]] = []
    session = get_ipython().kernel.session
    serialize = session.serialize

    def serialize_and_count(message: dict[str, Any], ident: Any = None) -> list[bytes]:
        parts: list[bytes] = serialize(message, ident)
        if message["header"]["msg_type"] in {"display_data", "update_display_data"}:
            published.append((time.perf_counter(), sum(map(len, parts))))
        return parts

    gc.collect()
    session.serialize = serialize_and_count
    began_s, cpu_s = time.perf_counter(), time.process_time()
    try:
        ask(way, base_url, model)
        took_s = time.perf_counter() - began_s
        time.sleep(10 * SETTLE_S)
        cpu_s = time.process_time() - cpu_s
    finally:
        session.serialize = serialize
    return json.dumps({"cpu_s": cpu_s, "took_s": took_s, "published": published})
