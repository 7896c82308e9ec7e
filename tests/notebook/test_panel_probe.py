"""The panel's probes and its advice on retries, worked without a browser."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import ipywidgets
from model_server import Hang, Received, Refuse
from panel_driver import Driver

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.probe.course import AS_TEXT, AS_TOOLS, Finding
from openhands_llm_magic.llm.probe.result import Report, Result
from openhands_llm_magic.llm.probe.verdict import Verdict
from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic.config.setting import Value

SET_RETRIES = "Put these values into the fields above"
SET_TOOLS = "Put it into the field Native tool calls"
GIVES_UP = "The server asks for 60 s: this package gives up after 65 s, OpenHands 0.41 after 22 s"


def at_practice(model: str, clock: FakeClock) -> Driver:
    driver = Driver(clock)
    driver.choose("Practice, without an account")
    driver.type("Model", f"practice/{model}")
    return driver


def probed(driver: Driver) -> Driver:
    driver.press("Probe the model …")
    driver.wait()
    driver.press("Send them")
    driver.wait()
    return driver


def names_of(driver: Driver) -> set[str]:
    return {each.description for each in driver.buttons}


def tips_of(driver: Driver) -> set[str]:
    return {each.tooltip for each in driver.buttons}


def test_retries_that_outlast_what_a_test_met(at_server: Driver, model_server: ModelServer) -> None:
    """Both schedules are drawn, and a button puts the values into the fields, not into force."""
    assert SET_RETRIES not in tips_of(at_server)
    model_server.script(Refuse(429, {"retry-after": "60"}))
    at_server.test()
    assert GIVES_UP in at_server.text
    texts = [each.value for each in at_server.widgets if isinstance(each, ipywidgets.HTML)]
    assert "Number of retries = 8, First wait (s) = 15, Longest wait (s) = 60" in at_server.text
    [drawn] = [text for text in texts if 'class="llm-track"' in text]
    assert drawn.count('class="llm-track"') == 6
    assert "nan" not in drawn
    at_server.press(SET_RETRIES)
    assert at_server.control("Number of retries").value == "8"
    assert at_server.control("First wait (s)").value == "15"
    assert at_server.control("Longest wait (s)").value == "60"
    assert at_server.settings.snapshot().num_retries == 4
    assert GIVES_UP not in at_server.text
    assert SET_RETRIES not in tips_of(at_server)
    at_server.press("Apply to this session")
    assert at_server.settings.snapshot().retry_max_wait == 60


def test_waits_of_earlier_days_count(
    at_server: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand in the ledger, which is read on a thread; those of other models do not count."""
    place = tmp_path / "ledger.sqlite3"
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(place))
    then_s = time.time() - 3 * 86400
    kept = Ledger(place)
    kept.add(
        Attempt(
            ended_at_s=then_s,
            day=day_of(then_s),
            session="another",
            model="openai/gpt-4.1",
            host="127.0.0.1",
            outcome="failed",
            error_type="RateLimitError",
            asked_s=60.0,
        )
    )
    kept.close()
    at_server.type("Model", "openai/gpt-4.1")
    at_server.wait()
    assert GIVES_UP in at_server.text
    at_server.type("Model", "openai/gpt-4o")
    at_server.wait()
    assert GIVES_UP not in at_server.text


def test_no_retry_is_advised_against_a_limit_of_a_day(
    at_server: Driver, model_server: ModelServer
) -> None:
    """It is said that none helps, and there is no button."""
    limit = "Rate limit reached on requests per day."
    model_server.script(Refuse(429, {"retry-after": "7200"}, message=limit))
    at_server.test()
    assert "a limit that no retry outlasts, such as one of a day" in at_server.text
    assert SET_RETRIES not in tips_of(at_server)


def test_probes_are_reckoned_first_and_a_cure_is_set_by_a_button(clock: FakeClock) -> None:
    """Nothing is sent before the person agrees; the value waits in its field to be applied."""
    driver = at_practice("agent-writes", clock)
    driver.press("Probe the model …")
    driver.wait()
    told = "probing practice/agent-writes: up to 11 requests and about"
    assert told in driver.text
    assert "OpenHands SDK 1.58: it will do" not in driver.text
    assert {"Send them", "Cancel"} <= names_of(driver)
    driver.press("Send them")
    driver.wait()
    assert "OpenHands SDK 1.58: it will do with a setting" in driver.text
    assert "its call came as text, unread" in driver.text
    assert not {"Send them", "Cancel", "Stop the probes"} & names_of(driver)
    assert "Native tool calls = false would cure it" in driver.text
    driver.press(SET_TOOLS)
    assert driver.panel.draft.edits["native_tool_calling"] is False
    assert driver.settings.snapshot().native_tool_calling is None
    assert SET_TOOLS not in tips_of(driver)
    told = "This is of practice/agent-writes, with other settings than those that are shown here"
    assert told in driver.text
    assert driver.text.index(told) < driver.text.index("it will do with a setting")
    assert "its call came as text, unread" in driver.text, "it was paid for, and stays"


def test_a_model_that_will_do_needs_no_cure(clock: FakeClock) -> None:
    driver = probed(at_practice("agent", clock))
    assert "OpenHands SDK 1.58: it will do (" in driver.text
    assert SET_TOOLS not in tips_of(driver)


def test_nothing_is_sent_when_the_person_cancels(
    at_server: Driver, model_server: ModelServer
) -> None:
    """Nor where a field is refused, which is said."""
    at_server.press("Probe the model …")
    at_server.wait()
    at_server.press("Cancel")
    at_server.wait()
    assert "up to 11 requests" not in at_server.text
    assert "Send them" not in names_of(at_server)
    at_server.type("Number of retries", "many")
    at_server.press("Probe the model …")
    at_server.wait()
    assert "Correct first: Number of retries" in at_server.text
    assert model_server.count == 0


def test_probes_can_be_stopped(at_server: Driver, model_server: ModelServer) -> None:
    """A request is hung up on, and the rest is not asked; the panel is free meanwhile."""
    model_server.script(Hang())
    at_server.press("Probe the model …")
    at_server.wait()
    at_server.press("Send them")
    at_server.type("Multiplier", "3")
    assert "5 s, 15 s, 30 s, 30 s: gives up after 80 s" in at_server.text
    at_server.press("Stop the probes")
    at_server.wait()
    assert "not asked" in at_server.text
    assert "stopped" in at_server.text
    assert model_server.count <= 1
    assert "Stop the probes" not in tips_of(at_server)


def test_probes_keep_within_the_budget(at_server: Driver, model_server: ModelServer) -> None:
    """A limit that could be passed stops them before anything is sent."""
    by_hand = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.001}
    at_server.settings.set(**by_hand, max_budget_per_task=0.0001)
    at_server.press("Probe the model …")
    at_server.wait()
    assert "can cost up to" in at_server.text
    assert "Send them" not in names_of(at_server)
    assert model_server.count == 0


def failed(name: str, **settings: Value) -> Result:
    return Result(name, Text(name), "failed", Finding(Text("did"), settings=settings))


def test_opposite_cures_are_none() -> None:
    """Unless a verdict needs one of them."""
    results = (failed("call", **AS_TEXT), failed("written", **AS_TOOLS))
    assert Report("m", results).cures == {}
    assert Report("m", results[:1]).cures == AS_TEXT
    needed = Verdict("OpenHands", "with a setting", Text("why"), AS_TOOLS)
    assert Report("m", results, (needed,)).cures == AS_TOOLS


def test_probes_end_with_the_panel(at_server: Driver, model_server: ModelServer) -> None:
    """And where it speaks another language, whose sections are new."""
    asked = threading.Event()

    def hang(_: Received) -> Hang:
        asked.set()
        return Hang()

    model_server.script(hang)
    panel = at_server.panel

    def speak(language: str) -> None:
        at_server.settings.set(language=language)
        if not panel.closed:
            panel.refresh()

    for end in (partial(speak, "ja"), panel.close):
        asked.clear()
        at_server.press("Probe the model …")
        at_server.wait()
        at_server.press("Send them")
        assert asked.wait(10)
        end()
        at_server.wait()
        assert model_server.received[-1].hung_up.wait(10)
        speak("en")
    assert model_server.count == 2
