"""The kernel's interrupt ends a cell at once, and loses nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Hang, ModelServer, Refuse

if TYPE_CHECKING:
    from kernel import Kernel, Ran

WITHIN_S = 2.0
"""Far above the 0.2 s that benchmarks measure: this tells a stop from a wait."""


def interrupted(kernel: Kernel, code: str, when: str, *, times: int = 1) -> tuple[Ran, float]:
    """Run a cell, interrupt it when an output holds some text, and return how long it took then."""
    at_s: list[float] = []

    def interrupt(message: dict[str, Any]) -> None:
        if when in str(message["content"].get("data", "")) and not at_s:
            at_s.append(time.monotonic())
            for _ in range(times):
                kernel.interrupt()

    ran = kernel.run(code, on_message=interrupt)
    assert at_s, ran.everything
    return ran, ran.times_s[-1] - at_s[0]


@pytest.fixture
def options(kernel: Kernel, model_server: ModelServer) -> str:
    """The options that send a prompt to the test server."""
    kernel.run("key = 'sk-of-the-test'")
    return f"-m openai/test --base-url {model_server.openai_base} --api-key $key"


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_wait_is_stopped(
    kernel: Kernel, model_server: ModelServer, options: str, times: int
) -> None:
    """During a wait the cell ends with one line, also on more interrupts in its clean-up."""
    model_server.script(Refuse(429, {"retry-after": "60"}))
    ran, took_s = interrupted(kernel, f"%%llm {options}\nHi", "retry 1 of 4", times=times)
    assert took_s < WITHIN_S
    assert ran.error is not None
    assert ran.error.startswith("Stopped: stopped before openai/test had answered")
    assert "\n" not in ran.error
    assert model_server.count == 1
    assert kernel.run("print(type(_.error).__name__, _.attempts)").stdout == "Stopped 1\n"
    assert kernel.run("%llm Hello").reply["status"] == "ok"


@pytest.mark.parametrize("times", [1, 2])
def test_a_stream_is_stopped(
    kernel: Kernel, model_server: ModelServer, options: str, times: int
) -> None:
    """In mid-answer the connection closes, and the partial text stays shown and in `_`, `Out`."""
    model_server.script(Hang(after_chunks=1, of=Answer(chunks=("Some words", " that never end."))))
    ran, took_s = interrupted(kernel, f"%%llm {options}\nHi", "Some", times=times)
    assert took_s < WITHIN_S
    assert ran.error is not None
    assert ran.error.startswith("Stopped: ")
    assert model_server.received[-1].hung_up.wait(WITHIN_S)
    assert ran.outputs[0]["text/plain"] == "Some words"
    assert kernel.run("print(_, '|', Out[max(Out)].text)").stdout == "Some words | Some words\n"
    assert kernel.run("%llm Hello").reply["status"] == "ok"


def test_a_silent_server_is_stopped(
    kernel: Kernel, model_server: ModelServer, options: str
) -> None:
    """While nothing has come yet, an interrupt closes the connection too."""
    arrived = threading.Event()

    def hang(_received: object) -> Hang:
        arrived.set()
        return Hang()

    model_server.script(hang)

    def interrupt_on_arrival() -> None:
        assert arrived.wait(30)
        kernel.interrupt()

    thread = threading.Thread(target=interrupt_on_arrival)
    thread.start()
    ran = kernel.run(f"%%llm {options}\nHi")
    thread.join()
    assert ran.error is not None
    assert ran.error.startswith("Stopped: ")
    assert model_server.received[-1].hung_up.wait(WITHIN_S)


def test_a_cell_that_goes_on_after_a_stop_can_be_interrupted(
    kernel: Kernel, model_server: ModelServer, options: str
) -> None:
    """A cell that catches `Stopped` hears the next interrupt soon after the first."""
    model_server.script(Refuse(429, {"retry-after": "60"}))
    code = f"import time\ntry:\n    %llm {options} Hi\nexcept Exception as error:\n"
    code += "    time.sleep(0.3)\n    print('went on', flush=True)\n    time.sleep(5)\n"
    signs = ["went on", "retry 1 of 4"]
    at_s: list[float] = []

    def interrupt(message: dict[str, Any]) -> None:
        if signs and signs[-1] in str(message["content"]) and "code" not in message["content"]:
            signs.pop()
            at_s.append(time.monotonic())
            kernel.interrupt()

    ran = kernel.run(code, on_message=interrupt)
    assert ran.error is not None
    assert "KeyboardInterrupt" in ran.error
    assert ran.times_s[-1] - at_s[-1] < WITHIN_S


def test_the_users_own_interrupt_works_afterwards(kernel: Kernel) -> None:
    """A stopped prompt leaves Python's own handling of interrupts as it was."""
    code = "import signal\nbefore = signal.getsignal(signal.SIGINT)\n%llm Hello\n"
    ran = kernel.run(code + "print(signal.getsignal(signal.SIGINT) is before)")
    assert ran.stdout == "True\n"
