"""Prompts to a LiteLLM Proxy that allows three requests a minute, sent faster than that.

What the package says of its requests is held against what the proxy's own log says. The waits are
real; the proxy counts by the minute of the system's clock.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import kernel as kernel_driver
import pytest
from kernel import Kernel
from servers.proxy.server import ANSWER, KEY, NAMED_WAIT_S, REQUESTS_PER_MINUTE

from openhands_llm_magic.llm.ask import ask

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from servers.proxy.server import Proxy

    from openhands_llm_magic.llm.reply import Reply

pytestmark = pytest.mark.timeout(600)

SOONER_S = 1.0
"""Seconds by which the proxy may note a request sooner after the one before it than it was sent: it
notes it after work of its own, which takes longer for a first one and on a busy machine."""


def start_early_in_a_minute() -> None:
    """Wait for the next minute of the system's clock if less than 20 s are left of this one."""
    left_s = 60 - time.time() % 60
    if left_s < 20:
        time.sleep(left_s)


def assert_the_log_agrees(proxy: Proxy, replies: Iterable[Reply]) -> None:
    """Each refusal and each answer in the proxy's log is one of ours, and each wait was kept."""
    replies = list(replies)
    waits = [wait for reply in replies for wait in reply.waits]
    handled = proxy.handled()
    statuses = Counter(one.status for one in handled)

    assert [reply.text for reply in replies] == [ANSWER] * len(replies)
    assert statuses == {200: len(replies), 429: len(waits)}
    assert sum(reply.attempts for reply in replies) == len(handled)
    assert {(wait.caused_by.status, wait.set_by, wait.wait_s) for wait in waits} == {
        (429, "server", NAMED_WAIT_S)
    }
    for refused in (one for one in handled if one.status == 429):
        answered_s = min(
            one.at_s for one in handled if one.at_s > refused.at_s and one.status == 200
        )
        assert answered_s >= refused.at_s + NAMED_WAIT_S - SOONER_S


def test_prompts_in_turn_are_all_answered(proxy: Proxy) -> None:
    """The fourth prompt in a minute is refused once, and waits."""
    start_early_in_a_minute()
    replies = [ask(f"Prompt {n}", **proxy.settings("asked-in-turn")) for n in range(5)]

    assert_the_log_agrees(proxy, replies)
    assert [one.status for one in proxy.handled()] == [200, 200, 200, 429, 200, 200]
    assert [reply.attempts for reply in replies] == [1, 1, 1, 2, 1]


def test_prompts_from_several_threads_are_all_answered(proxy: Proxy) -> None:
    start_early_in_a_minute()
    settings = proxy.settings("asked-at-once")
    with ThreadPoolExecutor(3) as threads:
        replies = list(threads.map(lambda n: ask(f"Prompt {n}", **settings), range(6)))

    assert_the_log_agrees(proxy, replies)
    assert 1 <= sum(len(reply.waits) for reply in replies) <= 3


def test_nothing_is_refused_when_the_limit_is_known(proxy: Proxy) -> None:
    """Prompts sent at once go at even distances, as many a minute as are allowed."""
    settings = proxy.settings("asked-slowly") | {"requests_per_minute": REQUESTS_PER_MINUTE}
    start_early_in_a_minute()
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda n: ask(f"Prompt {n}", **settings), range(4)))
    times_s = [one.at_s for one in proxy.handled()]
    distances_s = [after - before for before, after in itertools.pairwise(times_s)]

    assert [(reply.text, reply.attempts) for reply in replies] == [(ANSWER, 1)] * 4
    assert [one.status for one in proxy.handled()] == [200] * 4
    assert min(distances_s) >= 60 / REQUESTS_PER_MINUTE - SOONER_S
    assert sum(distances_s) <= 3 * 60 / REQUESTS_PER_MINUTE * 1.1


def test_a_cell_counts_the_minute_down(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait that the proxy named is shown second by second, and replaced by the answer."""
    monkeypatch.setattr(kernel_driver, "PATIENCE_S", 120)
    model = proxy.settings("asked-in-a-cell")["model"]
    cell = f"%%llm -m {model} --base-url {proxy.url} --api-key $key\nA prompt"
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with Kernel(env, cwd=str(tmp_path)) as kernel:
        kernel.run(f"%load_ext openhands_llm_magic\nkey = {KEY!r}")
        kernel.run("from openhands_llm_magic.llm.litellm.loading import load\nload()")
        start_early_in_a_minute()
        *_, ran = [kernel.run(cell) for _ in range(4)]
        reply = kernel.run("print(_.attempts, _.waited_s)").stdout.split()
    said = re.findall(r"retry 1 of 4 in (\d+) s, as the server asks", "".join(ran.updates))
    seconds = list(dict.fromkeys(map(int, said)))

    assert [one.status for one in proxy.handled()] == [200, 200, 200, 429, 200]
    assert reply == ["2", f"{NAMED_WAIT_S}"]
    assert (seconds[0], seconds[-1]) == (60, 1)
    assert seconds == sorted(seconds, reverse=True)
    assert len(seconds) >= 50  # a busy machine may skip some
    assert [ANSWER in shown["text/plain"] for shown in ran.outputs] == [True]
    assert "as the server asks" not in str(ran.outputs)
