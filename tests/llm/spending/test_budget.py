"""Limits of what is spent hold, whatever runs at once and however it ends."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from llm.spending.ledgers import require_sums_of_rows
from model_server import Answer, Cut, Hang, Raw, Refuse

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import OverBudgetError, RequestError
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.events import AttemptEnded
from openhands_llm_magic.llm.spending import budget
from openhands_llm_magic.llm.spending.attempt import day_of
from openhands_llm_magic.llm.spending.ledger import ledger_of
from openhands_llm_magic.llm.worker import Control

if TYPE_CHECKING:
    from pathlib import Path

    from model_server import ModelServer, Step

pytestmark = pytest.mark.usefixtures("set_up", "with_a_price")

HELLO = Answer("Hello.", usage=(1000, 200))

COST_USD = 0.012
"""What an answer of the server costs."""


@pytest.fixture
def with_a_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a price by hand: a server on this machine has none of its own."""
    monkeypatch.setenv("LLM_INPUT_COST_PER_TOKEN", "0.00001")
    monkeypatch.setenv("LLM_OUTPUT_COST_PER_TOKEN", "0.00001")
    monkeypatch.setenv("LLM_MAX_OUTPUT_TOKENS", "200")


def asked_until_over(**settings: Any) -> OverBudgetError:
    """Ask until a limit is reached, and return what is said then."""
    for _ in range(99):
        try:
            ask("Hello", **settings)
        except OverBudgetError as over:
            return over
    raise AssertionError("no limit was reached")


def test_over_the_limit_nothing_is_sent(model_server: ModelServer) -> None:
    """One line says what was spent, on what, and which setting the limit is from."""
    model_server.script(*[HELLO] * 99)
    over = asked_until_over(max_budget_per_task=0.1)
    sent = model_server.count
    assert 0 < sent < 99
    said = str(over)
    assert said.startswith("not sent: ")
    assert "of $0.10 was spent in this session (openai/gpt-4o $0.0" in said
    assert "max_budget_per_task (now 0.1, from" in said
    assert ask("Hello", max_budget_per_task=None) == "Hello."
    assert model_server.count == sent + 1


def test_a_retry_over_the_limit_is_not_said_to_be_the_first(model_server: ModelServer) -> None:
    """The attempt before it was sent, and counts as the most that it can have cost."""
    model_server.script(Cut(2), HELLO)
    with pytest.raises(OverBudgetError, match=r"^not sent: \$0\.\d+ of") as caught:
        ask("Hello", max_budget_per_task=0.02, retry_min_wait=0, retry_max_wait=0)
    assert "nothing" not in str(caught.value)
    assert model_server.count == 1


def test_a_gateway_of_this_machine_that_tells_costs_is_not_free(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has told one, a limit is compared with the most that its next prompt can cost."""
    monkeypatch.delenv("LLM_INPUT_COST_PER_TOKEN")
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "cost": 0.03}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}
    told = [chunk | {"choices": [choice]}, chunk | {"choices": [], "usage": usage}]
    body = "".join(f"data: {json.dumps(each)}\n\n" for each in told)
    model_server.script(*[Raw(body.encode(), "text/event-stream")] * 9)
    assert ask("Hello", max_budget_per_task=0.05).cost_usd == 0.03
    assert "$0.03 of $0.01 was spent" in str(asked_until_over(max_budget_per_task=0.01))
    with pytest.raises(OverBudgetError, match="Set input_cost_per_token"):
        [ask("Hello", model="openai/of-my-own", max_budget_per_task=9) for _ in range(2)]
    assert model_server.count == 2


def test_without_a_price_a_limit_does_not_pretend_to_hold(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for the price in place of booking nothing."""
    monkeypatch.setenv("LLM_BASE_URL", "https://nowhere.invalid/v1")
    monkeypatch.delenv("LLM_INPUT_COST_PER_TOKEN")
    with pytest.raises(OverBudgetError, match="Set input_cost_per_token") as caught:
        ask("Hello", model="openai/of-my-own", max_budget_per_task=1)
    assert "not known what openai/of-my-own can cost" in str(caught.value)
    assert not model_server.count


def test_what_a_refused_attempt_could_have_cost_is_free_again(model_server: ModelServer) -> None:
    """A server that has refused a prompt has not charged for it."""
    model_server.script(*[Refuse(400)] * 10, HELLO)
    for _ in range(10):
        with pytest.raises(RequestError, match="refused"):
            ask("Hello", max_budget_per_task=0.02)
    assert ask("Hello", max_budget_per_task=0.02) == "Hello."


def test_near_the_limit_a_note_says_so_once(model_server: ModelServer) -> None:
    """It comes with the answer that has passed 80 %."""
    model_server.script(*[HELLO] * 8)
    notes = [ask("Hello", max_budget_per_task=9.9 * COST_USD).notes for _ in range(8)]
    assert [len(each) for each in notes] == [0] * 7 + [1]
    assert notes[7][0].startswith("$0.096 of $0.12 was spent in this session (max_budget_per_task,")


def test_kernels_share_the_limit_of_a_day(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another session has spent counts, and what is spent here counts there."""
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    monkeypatch.setenv("LLM_MAGIC_BUDGET_PER_DAY", "0.1")
    model_server.script(*[HELLO] * 99)
    assert "of $0.10 was spent today" in str(asked_until_over())
    sent = model_server.count
    budget.forget()  # as another kernel begins
    with pytest.raises(OverBudgetError, match=r"was spent today \(openai/gpt-4o \$0\.0") as caught:
        ask("Hello")
    assert "of $0.10" in str(caught.value)
    assert model_server.count == sent


def test_prompts_at_once_do_not_pass_together(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reserves what it can cost before the next is compared."""
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    model_server.script(*[HELLO] * 200)
    spent_usd: list[float] = []

    def ask_on() -> None:
        for _ in range(20):
            try:
                spent_usd.append(ask("Hello", max_budget_per_task=0.2).cost_usd or 0)
            except OverBudgetError:
                return

    threads = [threading.Thread(target=ask_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < sum(spent_usd) <= 0.2
    assert len(spent_usd) < 160


SEED = random.randrange(1_000_000)  # noqa: S311 - chances of a test

LIMIT_USD = 1.0


# A connection that is hung up on while it is made may be left to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("limit", ["max_budget_per_task", "budget_per_day"])
def test_whatever_is_interrupted_a_limit_is_not_passed(
    model_server: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    """Eight threads ask, and are stopped at any moment; answers hang, are cut and refused.

    What the server may take is the price of each request that it has accepted.
    """
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    sys.stdout.write(f"seed {SEED}\n")
    chance = random.Random(SEED)  # noqa: S311 - see above
    steps: list[Step] = [HELLO, HELLO, Hang(2), Hang(0), Cut(2), Refuse(400)]
    model_server.script(*chance.choices(steps, k=999))
    ended: list[AttemptEnded] = []
    settings = load_settings().with_overrides(
        {limit: LIMIT_USD, "num_retries": 0, "retry_min_wait": 0, "retry_max_wait": 0}
    )
    is_over = threading.Event()

    def ask_on(delays: random.Random) -> None:
        while not is_over.is_set():
            control = Control()
            stop = threading.Timer(delays.choice([0.0, 0.02, 0.1, 0.5]), control.cancel)
            stop.start()
            try:
                for event in stream("Hello", settings, control=control):
                    if isinstance(event, AttemptEnded):
                        ended.append(event)
                    if isinstance(getattr(event, "error", None), OverBudgetError):
                        is_over.set()
            finally:
                stop.cancel()

    threads = [
        threading.Thread(target=ask_on, args=(random.Random(SEED + each),), daemon=True)  # noqa: S311 - see above
        for each in range(8)
    ]
    ends_s = time.monotonic() + 40
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ends_s - time.monotonic())
    assert not any(thread.is_alive() for thread in threads)
    # A server that has begun to answer may take the price of all of it.
    charged_usd = sum(COST_USD for each in ended if each.status == 200)
    assert 0.2 < charged_usd <= LIMIT_USD
    ledger = ledger_of(settings)
    assert ledger is not None
    require_sums_of_rows(ledger)
    today = day_of(time.time())
    counted_usd = ledger.counted_usd(today, today)
    assert charged_usd <= counted_usd <= LIMIT_USD
    assert ledger.rows("SELECT count(*) FROM attempts") == [(len(ended),)]
    assert ledger.rows("SELECT * FROM reservations") == []
    assert budget._session.reserved_usd == pytest.approx(0, abs=1e-9)
