"""The real OpenHands: what it sends now is what was recorded, and however it is handed over."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer
from openhands.cases import AWS, CASES, CHOSEN, KEY, MESSAGES
from openhands.record import FORMS, RECORDINGS, facts, recorded, retries

from openhands_llm_magic.config.export import export

if TYPE_CHECKING:
    from openhands.real import OpenHands

AGAIN = "run `make openhands-recordings`"

RECORDED: dict[str, Any] = json.loads(RECORDINGS.read_text("utf-8"))


@pytest.fixture(autouse=True)
def answering(openhands: OpenHands) -> None:
    """Have the server answer again after a test in which it refused."""
    openhands.server.script(Answer())


def test_the_list_of_models_is_the_one_that_it_was_recorded_with() -> None:
    assert facts() == RECORDED["facts"], AGAIN


@pytest.mark.parametrize("case", CASES)
def test_it_sends_what_was_recorded(openhands: OpenHands, name: str, case: str) -> None:
    told = recorded(openhands, name, CASES[case])
    assert told == RECORDED[name]["requests"][case], f"{openhands.version}: {AGAIN}"


@pytest.mark.parametrize("case", [key for key, case in CASES.items() if key == case.provider])
def test_it_tries_again_as_was_recorded(openhands: OpenHands, name: str, case: str) -> None:
    """As often, and after as long; a busy machine adds to the waits."""
    told, was = retries(openhands, name, CASES[case]), RECORDED[name]["retries"][case]
    assert told["requests"] == was["requests"], f"{openhands.version}: {AGAIN}"
    late_s = [now - then for now, then in zip(told["waits_s"], was["waits_s"], strict=True)]
    assert all(0 <= each <= 2 for each in late_s), f"{openhands.version}: {told}; {AGAIN}"


@pytest.mark.parametrize("settings", [{}, CHOSEN], ids=["nothing set", "chosen"])
def test_it_sends_the_same_however_the_settings_are_handed_over(
    openhands: OpenHands, name: str, settings: dict[str, Any]
) -> None:
    """As a file or a profile, and as the variables of `--export shell`."""
    snapshot = CASES["openai_compatible"].at(openhands.server.base_url, **settings)
    script = f"{export(snapshot, 'shell')}\nenv -0"
    made = subprocess.run(  # noqa: S603 - our own script
        ["/bin/bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "LLM_API_KEY": KEY},
        check=True,
        capture_output=True,
        text=True,
    )
    variables = dict(each.split("=", 1) for each in made.stdout.split("\0") if "=" in each)
    by_file = openhands.ask(snapshot, MESSAGES, FORMS[name], AWS)
    by_variables = openhands.ask(snapshot, MESSAGES, "env", variables)
    assert (by_file.error, by_variables.error) == (None, None)
    [first], [second] = by_file.requests, by_variables.requests
    assert (first.path, first.body) == (second.path, second.body)
    assert first.headers["authorization"] == second.headers["authorization"] == f"Bearer {KEY}"
