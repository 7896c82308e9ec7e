"""Each HTTP request makes one row, however it was made and however it ended."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Cut, Hang, Refuse

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import OverBudgetError, RequestError, Stopped
from openhands_llm_magic.llm.ask import ask, ask_async, stream
from openhands_llm_magic.llm.connection import ConnectionTest
from openhands_llm_magic.llm.embedding import embed as embedding
from openhands_llm_magic.llm.events import Accepted, AttemptEnded, TextDelta
from openhands_llm_magic.llm.spending import attempt as attempt_module
from openhands_llm_magic.llm.spending import budget
from openhands_llm_magic.llm.spending.attempt import COLUMNS, SESSION
from openhands_llm_magic.llm.spending.ledger import ledger_of
from openhands_llm_magic.llm.worker import Control

if TYPE_CHECKING:
    from pathlib import Path

    from fake_clock import FakeClock
    from model_server import ModelServer, Step

PROMPT = "What becomes of the canary in the mine?"


pytestmark = pytest.mark.usefixtures("set_up", "kept")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    monkeypatch.setenv("LLM_INPUT_COST_PER_TOKEN", "0.001")
    monkeypatch.setenv("LLM_OUTPUT_COST_PER_TOKEN", "0.002")
    monkeypatch.setenv("LLM_MAX_OUTPUT_TOKENS", "50")


def rows() -> list[dict[str, Any]]:
    """Every row, by the names of the fields."""
    ledger = ledger_of(load_settings())
    assert ledger is not None
    found = ledger.rows("SELECT * FROM attempts ORDER BY id")
    return [dict(zip(COLUMNS, row[1:], strict=True)) for row in found]


def row() -> dict[str, Any]:
    [only] = rows()
    return only


def test_an_answer_is_a_row_with_all_that_is_known(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module.here, "notebook", "work/trip.ipynb")
    model_server.script(Answer("Hello.", usage=(7, 5)))
    ask(PROMPT)
    made = row()
    told = {
        "session": SESSION, "notebook": "work/trip.ipynb", "llm_group": "", "source": "",
        "source_id": None, "operation": "chat", "provider": "openai_compatible",
        "model": "openai/gpt-4o",
        "input_tokens": 7, "output_tokens": 5, "cached_tokens": 0, "host": "127.0.0.1",
        "status": 200, "error_type": "", "number": 1, "outcome": "answered",
        "cost_usd": pytest.approx(0.017), "cost_told_by": "by hand", "price_list": "",
        "counted_usd": pytest.approx(0.017), "waited_s": 0,
    }  # fmt: skip
    assert {name: made[name] for name in told} == told
    assert 0 < made["first_token_s"] <= made["took_s"]
    assert made["response_id"]
    assert made["model_answered"]


def test_each_retry_is_a_row_with_its_wait(model_server: ModelServer, clock: FakeClock) -> None:
    """A refused attempt costs nothing; one that was cut may have cost all."""
    model_server.script(Refuse(429, {"retry-after": "3"}), Cut(2), Answer("Hello."))
    ask(PROMPT, clock=clock)
    told = [
        (each["number"], each["outcome"], each["status"], each["error_type"]) for each in rows()
    ]
    assert told == [
        (1, "failed", 429, "RateLimitError"),
        (2, "failed", 200, "BrokenAnswerError"),
        (3, "answered", 200, ""),
    ]
    assert [each["waited_s"] for each in rows()] == pytest.approx([0, 3, 10], abs=0.1)
    refused, cut, answered = rows()
    assert refused["counted_usd"] == 0
    assert cut["counted_usd"] > answered["counted_usd"] > 0
    assert cut["cost_usd"] is None
    assert [each["cost_told_by"] for each in rows()] == ["not charged", "unknown", "by hand"]


@pytest.mark.parametrize("status", [None, 200])
def test_what_is_stopped_counts_as_the_most(model_server: ModelServer, status: int | None) -> None:
    """The server goes on, and may take money for it."""
    control = Control()
    told: list[object] = []

    def hang(_: object) -> Step:
        if status is None:
            control.cancel()
        return Hang(2 if status else 0)

    model_server.script(hang)
    for event in stream(PROMPT, control=control):
        told.append(event)
        if isinstance(event, TextDelta):
            control.cancel()
    [ended] = [each for each in told if isinstance(each, AttemptEnded)]
    made = row()
    assert (made["outcome"], made["error_type"]) == ("stopped", "Stopped")
    assert made["status"] == status
    assert made["counted_usd"] == ended.most_usd
    assert made["cost_usd"] is None


def test_what_never_was_sent_costs_nothing(model_server: ModelServer) -> None:
    """A machine without a network would use up the limit of its day."""
    with pytest.raises(RequestError):
        ask(PROMPT, base_url="http://127.0.0.1:9/v1", num_retries=0)
    made = row()
    assert (made["outcome"], made["error_type"]) == ("failed", "ConnectionFailedError")
    assert made["counted_usd"] == 0
    assert made["cost_told_by"] == "not charged"
    assert not model_server.count


@pytest.mark.parametrize(
    "given",
    [
        {"model": "\N{FULLWIDTH LATIN SMALL LETTER O}penai/gpt-4o"},
        {"model": "azure/my-deployment"},
        {"model": "litellm_proxy/my-model", "api_key": None},
    ],
)
def test_what_litellm_does_not_send_costs_nothing(given: dict[str, Any]) -> None:
    """A name that it does not know, an address or a key that is missing: no server got a byte."""
    with pytest.raises(RequestError):
        ask(PROMPT, **{"base_url": None, "num_retries": 0, **given})
    made = row()
    assert made["counted_usd"] == 0
    assert made["cost_told_by"] == "not charged"


def test_a_connection_that_is_lost_may_have_cost(model_server: ModelServer) -> None:
    model_server.script(Cut(how="reset"))
    with pytest.raises(RequestError):
        ask(PROMPT, num_retries=0)
    assert row()["counted_usd"] > 0


def test_a_stored_answer_is_no_row(model_server: ModelServer) -> None:
    ask(PROMPT, cache="on")
    assert ask(PROMPT, cache="on")
    assert model_server.count == 1
    row()


def test_all_ways_to_ask_make_a_row_each(model_server: ModelServer) -> None:
    asyncio.run(ask_async(PROMPT))
    assert len(rows()) == 1
    for _ in stream(PROMPT):
        pass
    assert len(rows()) == 2
    [*ConnectionTest(load_settings()).run()]
    assert len(rows()) == 3
    assert {each["outcome"] for each in rows()} == {"answered"}
    assert model_server.count == 3


def test_vectors_are_a_row_for_each_request(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they can cost at most is known where their model's price is."""
    monkeypatch.setenv("LLM_EMBEDDING_MODEL", "openai/text-embedding-3-small")
    texts = ["one", "zwei, größer"] * 20
    embedding.embed(texts)
    made = rows()
    assert len(made) == model_server.count > 1
    assert {each["operation"] for each in made} == {"embeddings"}
    assert {each["model"] for each in made} == {"openai/text-embedding-3-small"}
    assert sum(each["input_tokens"] for each in made) > 0


def test_vectors_that_were_stopped_as_they_came_are_a_row(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have been paid for."""
    monkeypatch.setenv("LLM_EMBEDDING_MODEL", "openai/text-embedding-3-small")
    control = Control()
    original = Accepted.__init__

    def accepted(event: Accepted, *args: Any) -> None:  # the last moment of the request
        control.cancel()
        original(event, *args)

    monkeypatch.setattr(Accepted, "__init__", accepted)
    events = [*embedding.run(embedding.prepare(["one"], load_settings()), control=control)]
    assert isinstance(events[-1].error, Stopped)
    assert model_server.count == 1
    assert row()["outcome"] == "stopped"


def test_vectors_keep_within_a_limit(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their price is that of their own model; a byte is a token at most."""
    monkeypatch.setenv("LLM_EMBEDDING_MODEL", "openai/text-embedding-3-small")
    monkeypatch.setenv("LLM_EMBEDDING_BASE_URL", "https://nowhere.invalid/v1")
    with pytest.raises(OverBudgetError, match=r"these texts can cost up to \$0\.0"):
        embedding.embed(["größer " * 9000], max_budget_per_task=0.0001)
    monkeypatch.setenv("LLM_EMBEDDING_MODEL", "openai/of-my-own")
    with pytest.raises(OverBudgetError, match=r"no price for openai/of-my-own\. Take another"):
        embedding.embed(["one"], max_budget_per_task=0.0001)
    assert not model_server.count


def test_what_is_free_is_asked_over_the_limit_and_without_a_ledger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server on this machine takes no money."""
    ask(PROMPT)
    monkeypatch.delenv("LLM_INPUT_COST_PER_TOKEN")
    assert ask(PROMPT, max_budget_per_task=0.001)
    monkeypatch.setenv("LLM_MAGIC_LEDGER", "off")
    assert ask(PROMPT, budget_per_day=0.001)


def test_a_price_that_is_set_is_none_of_vectors(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of this machine stay free where a person has set what a prompt costs."""
    monkeypatch.setenv("LLM_EMBEDDING_MODEL", "openai/of-my-own")
    assert embedding.embed(["one"], max_budget_per_task=0.0001)
    assert (row()["cost_told_by"], row()["counted_usd"]) == ("local", 0)
    assert model_server.count == 1


def test_neither_prompt_nor_answer_nor_key_is_in_it(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of no outcome, in none of the files that SQLite makes, the write-ahead log too."""
    key = "sk-canary-0123456789abcdef"
    monkeypatch.setenv("LLM_MAGIC_BUDGET_PER_DAY", "100")
    answer = f"A whole answer with {key} in it."
    steps = (
        Answer(answer, reasoning=answer, headers={"x-request-id": key}),
        Cut(3, of=Answer(answer)),
        Refuse(400, message=f"{PROMPT} {key}", code=key),
        Refuse(500, body=f"{PROMPT} {key}".encode()),
    )
    for step in steps:
        model_server.script(step)
        with contextlib.suppress(RequestError):
            ask(PROMPT, system=f"Secret {PROMPT}", num_retries=0)
    assert budget.notes(load_settings()) == ()
    assert len(rows()) == len(steps)
    files = [each.read_bytes() for each in tmp_path.glob("ledger.sqlite3*")]
    assert len(files) == 3
    for word in (key, "canary", "Secret", "whole answer"):
        assert not [each for each in files if word.encode() in each]
