"""Interrupts at random moments: nothing hangs, nothing is lost, and nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from full_port import full_port
from model_server import Answer, Call, Hang, ModelServer, Refuse, asks
from pressed_kernel import PressedKernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kernel import Ran
    from model_server import Received, Step

HANG_S = 30
"""A cell that has not ended by then hangs. `benchmarks/` measures how soon it ends."""

ENDING_S = 5.0
"""How long the threads of a request may take to end."""

OUT_OF_REACH = 0.1
"""The part of the interrupts that may meet IPython on its way to our magic or back from it."""


def words(size: int) -> str:
    """Return a text of some length in Markdown, of words whose numbers show how far it goes."""
    numbered = (f"**w{n}** " + "\n\n" * (n % 30 == 0) for n in range(1, size // 5))
    return "".join(numbered)[:size].rpartition(" ")[0]


def last_word(text: str) -> int:
    """Return the number of a text's last word."""
    return max(map(int, re.findall(r"w(\d+)", text)), default=0)


def pieces(size: int, of: int) -> tuple[str, ...]:
    """Return a text of some length in pieces."""
    text = words(size)
    return tuple(text[start : start + of] for start in range(0, size, of))


def slowly(_sent: int) -> None:
    """Let a little time pass between two pieces of an answer."""
    time.sleep(0.005)


LIMITED = Refuse(429, {"retry-after": "60"})
STATES: dict[str, Step | None] = {
    "refused": LIMITED,  # each time as another model, so that it is really asked
    "held": LIMITED,
    "silent": Hang(),
    "connecting": None,
    "slow": Answer(chunks=pieces(2_000, of=80), between_chunks=slowly),
    "fast": Answer(chunks=pieces(100_000, of=500)),
    "long": Answer(chunks=pieces(39_000, of=39_000)),
    "instant": Answer(words(50)),
    "calling": Answer(words(50)),
    "computing": Hang(),  # which nobody waits for
}
"""What the server does to a cell; None: not even take its connection."""

CALLED = {"calling": "quick", "computing": "lasting"}
"""The functions that the model asks for first, in some states."""

SEVERAL = {
    "answering": ("instant", "slow", "fast"),
    "waiting": ("refused", "instant", "silent", "held"),
    "using": ("calling", "computing", "slow"),
}
"""The states that the models of a cell get into that asks several."""

ENDLESS = 3
"""A cell that would not end by itself is interrupted within so many times what an instant one
takes, so that it may have come to its wait."""

IN_KERNEL = """
import json, os, threading

def begin():
    # Not before: IPython can be interrupted while it holds a lock of its own, and hangs then.
    print("begun", flush=True)  # BEGUN

def quick():
    "Come back at once."
    return "done"

def lasting():
    "Come back when all is over."
    threading.Event().wait(60)

def of_litellm(name):
    return name.startswith("litellm-logging")

def told(reply):
    error = getattr(reply, "error", None)
    return {"text": getattr(reply, "text", None), "error": error and type(error).__name__}

def report(number):
    reply = Out.get(number)
    several = reply if isinstance(reply, list) else []
    named = sorted(thread.name for thread in threading.enumerate())
    print(json.dumps({
        **told(None if several else reply),
        "each": [told(one) for one in several],
        # LiteLLM logs on a pool of its own, which has a thread for each answer at once.
        "threads": len(os.listdir("/proc/self/task")) - sum(map(of_litellm, named)),
        "named": named,
    }))
"""


@dataclass
class Torture:
    """Interrupts cells and notes what should not be.

    Attributes:
        outcomes: How many cells of each state ended how.
        faults: What went wrong, with the cell.
    """

    kernel: PressedKernel
    server: ModelServer
    full_port: int
    chance: random.Random

    def __post_init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.kernel.run(IN_KERNEL)
        self.kernel.run("print('x' * 100_000)")  # for messages over 64 kB pyzmq starts a thread
        whole = list(filter(answer_of, STATES))
        lasts_s = {state: self.check_whole(state) for state in whole * 2}  # the first is slower
        endless = [*STATES, *SEVERAL]
        self.within_s = dict.fromkeys(endless, ENDLESS * lasts_s["instant"]) | lasts_s
        self.within_s["answering"] = self.within_s["using"] = lasts_s["slow"]
        self.kernel.run_pressed(self.code("refused"), [0.5])  # imports what waits need
        self.threads = self.report(0)["threads"]

    def code(self, state: str, number: int = 0) -> str:
        """Return a cell that gets into a state."""
        base = self.server.openai_base
        if state == "connecting":
            base = f"http://127.0.0.1:{self.full_port}/v1"
        states = SEVERAL.get(state, (state,))
        models = " ".join(f"-m openai/{model_of(each, number)}" for each in states)
        called = [CALLED[each] for each in states if each in CALLED]
        tools = " ".join(f"-t {name} --yes {name}" for name in called)
        return f"begin()\n%llm {models} {tools} --base-url {base} --api-key $key Hi"

    def report(self, number: int) -> dict[str, Any]:
        """Tell what became of the cell with some number, and of the kernel."""
        told: dict[str, Any] = json.loads(self.kernel.run(f"report({number})").stdout)
        return told

    def press(self, number: int) -> None:
        """Interrupt a cell once or twice, and check what became of it."""
        state = self.chance.choice([*STATES, *SEVERAL])
        after_s = [self.chance.uniform(0, self.within_s[state])]
        if self.chance.random() < 1 / 3:
            after_s.append(after_s[0] + self.chance.uniform(0, 0.15))
        ran = self.kernel.run_pressed(self.code(state, number), after_s)
        reply = self.report(ran.contents("execute_input")[0]["execution_count"])
        ended = outcome(ran)
        self.outcomes[state, ended] += 1
        cell = f"{number}, {state}, after {after_s} s, {ended}"
        faults = [*wrong_ending(ran, reply, state), *wrong_text(ran, reply, state)]
        if reply["each"]:
            faults = [*wrong_columns(ran, reply["each"], SEVERAL[state], number)]
        self.faults += [f"{cell}: {fault}" for fault in faults]

    def check_whole(self, state: str) -> float:
        """Check that a cell gets all of its answer; give the seconds that it took."""
        began_at_s = time.monotonic()
        ran = self.kernel.run(self.code(state))
        if "".join(shown["text/plain"] for shown in ran.outputs) != answer_of(state).rstrip():
            self.faults.append(f"{state} was not answered: {ran.everything}")
        return time.monotonic() - began_at_s

    def check_rest(self, number: int) -> None:
        """Check that the next cell works, and that nothing is left of those before."""
        self.check_whole("instant")
        connected = Counter(self.kernel.connected_to())
        kept = connected[int(self.server.base_url.rpartition(":")[2])]
        if kept > 1 or connected[self.full_port]:  # of answered requests one is kept
            self.faults.append(f"{number}: {kept} connections, {connected[self.full_port]} begun")
        told = self.report(0)
        until_s = time.monotonic() + ENDING_S
        while told["threads"] > self.threads and time.monotonic() < until_s:
            told = self.report(0)  # a thread that ends takes its time on a busy machine
        if told["threads"] > self.threads:
            self.faults.append(f"{number}: more than {self.threads} threads: {told}")


def model_of(state: str, number: int) -> str:
    """Name the model that gets a cell with some number into a state."""
    return f"{state}-{number}" if state == "refused" else state


def answer_of(state: str) -> str:
    """Return the whole answer of a state, "" where there is none."""
    step = STATES.get(state)
    return step.whole if isinstance(step, Answer) else ""


def outcome(ran: Ran) -> str:
    """Tell how a cell ended: "answered", "stopped", "elsewhere" or with the name of its error.

    IPython's own KeyboardInterrupt is "elsewhere", before our magic began or after its end; and so
    is a cell to which ipykernel sent no reply, because it was interrupted itself.
    """
    name = ran.reply.get("ename", "") if ran.reply else "KeyboardInterrupt"
    if name == "KeyboardInterrupt" or "KeyboardInterrupt" in ran.stdout:
        return "elsewhere"
    return {"": "answered", "Stopped": "stopped"}.get(name, name)


def wrong_ending(ran: Ran, reply: dict[str, Any], state: str) -> Iterator[str]:
    """Find what is wrong with how a cell ended."""
    errors = ["\n".join(content["traceback"]) for content in ran.contents("error")]
    match outcome(ran):
        case "answered":
            right = not errors and reply["text"] == answer_of(state) and reply["error"] is None
        case "stopped":
            one_line = len(errors) == 1 and re.fullmatch("Stopped: .*", errors[0])
            right = bool(one_line) and reply["error"] == "Stopped"
        case "elsewhere":
            right = "Asking._ask" not in ran.everything
        case _:
            right = False
    if not right:
        yield f"{reply['error']} {errors} {ran.stdout}"


def wrong_text(ran: Ran, reply: dict[str, Any], state: str) -> Iterator[str]:
    """Find what was lost of a text, or is shown otherwise."""
    text = reply["text"]
    if text is None:
        return
    if not answer_of(state).startswith(text):
        yield f"not the beginning of the answer: {text}"
    shown = "".join(each.get("text/plain", "") for each in ran.outputs)
    if re.split("(?:waited|held back) ", shown)[0].rstrip() != text.rstrip():
        yield f"shown: {shown}, replied: {text}"
    if max(map(last_word, ran.updates), default=0) > last_word(text):
        yield f"words that were shown are gone: {text}"


def wrong_columns(
    ran: Ran, each: list[dict[str, Any]], states: Sequence[str], number: int
) -> Iterator[str]:
    """Find what is wrong with the answers of a cell that asked several models."""
    is_stopped = any(one["error"] == "Stopped" for one in each)
    errors = ["\n".join(content["traceback"]) for content in ran.contents("error")]
    if outcome(ran) != "elsewhere" and is_stopped != (outcome(ran) == "stopped"):
        yield f"ended as {outcome(ran)}: {each}"
    if is_stopped and outcome(ran) == "stopped" and not re.fullmatch("Stopped: .*", errors[0]):
        yield f"no one line: {errors}"
    (shown,) = (output.get("text/plain", "") for output in ran.outputs)
    for one, state in zip(each, states, strict=True):
        title, text = f"openai/{model_of(state, number)}", one["text"]
        if one["error"] not in (None, "Stopped") or not answer_of(state).startswith(text):
            yield f"{title}: {one}"
        if one["error"] is None and text != answer_of(state):
            yield f"{title}: not whole, and without an error"
        column = shown.partition(f"## {title}\n")[2].partition("\n## ")[0]
        if (
            re.split("(?:waited|held back|No answer:|Not complete:) ", column)[0].strip()
            != text.strip()
        ):
            yield f"{title} shows: {column}, replied: {text}"
        column_of = re.compile(rf'aria-label="{title}".*?(?=<div role|$)', re.DOTALL)
        columns = map(column_of.search, ran.updates)
        if max((last_word(it[0]) for it in columns if it), default=0) > last_word(text):
            yield f"{title}: words that were shown are gone: {text}"


@pytest.fixture
def torture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> Iterator[Torture]:
    """A kernel of its own, so that no other test gets to see what is left."""
    monkeypatch.setattr("kernel.PATIENCE_S", HANG_S)
    seed = pytestconfig.getoption("randomly_seed", default=None)
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def step(received: Received) -> Step:
        # Of a request that is interrupted while it is sent, nothing but the head may arrive.
        state = received.model.partition("-")[0] if received.body else "instant"
        if state in CALLED and received.body["messages"][-1]["role"] != "tool":
            return asks(Call(CALLED[state]))
        return STATES[state] or Answer()

    with ModelServer() as server, full_port() as full, PressedKernel(env, str(home)) as kernel:
        server.script(step)
        kernel.run("%load_ext openhands_llm_magic")
        kernel.run("key = 'sk-of-the-test'")
        yield Torture(kernel, server, full, random.Random(seed))  # noqa: S311 - no secret


@pytest.mark.slow
@pytest.mark.timeout(300)  # it takes half a minute where nothing else runs
def test_nothing_is_lost_or_left_behind(torture: Torture, pytestconfig: pytest.Config) -> None:
    """Many cells, each interrupted at a random moment, a third of them twice.

    Some ask several models, and in some the model asks for functions.

    `make test-interrupts` interrupts 200, three times. `--randomly-seed` makes the same choices
    again, though not quite the same moments.
    """
    cells = pytestconfig.getoption("interrupts")
    for number in range(1, cells + 1):
        torture.press(number)
        if number % 10 == 0:
            torture.check_rest(number)
    ended = Counter(how for (_, how) in torture.outcomes.elements())
    if torture.faults:
        pytest.fail("\n".join([str(torture.outcomes), *torture.faults]))
    assert ended["elsewhere"] <= OUT_OF_REACH * cells + 2, torture.outcomes
    assert ended["stopped"] >= cells / 3, torture.outcomes
    asked = [each for each in torture.server.received if each.body and each.model == "silent"]
    assert all(each.hung_up.wait(HANG_S) for each in asked)
