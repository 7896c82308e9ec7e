"""The line under an answer: what made it, what it took and what it cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer

from openhands_llm_magic.errors import ServerError
from openhands_llm_magic.llm.events import AttemptEnded, Cost, Done, Sending, TextDelta, Usage
from openhands_llm_magic.llm.reply import fold
from openhands_llm_magic.notebook.view.display import bundle
from openhands_llm_magic.notebook.wording import footer_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Kernel
    from model_server import ModelServer

    from openhands_llm_magic.llm.reply import Reply


def answered(**told: Any) -> Reply:
    """Return an answer of 56 tokens that took 2.34 s, of which more is told."""
    usage = told.pop("usage", Usage(1234, 56))
    cost = told.pop("cost", Cost(0.0123, "price list"))
    ended = AttemptEnded(1, "answered", took_s=2.34, cost=cost, host="api.openai.com", **told)
    events = [Sending("openai/gpt-4o"), TextDelta("Hi"), *([usage] if usage else []), ended]
    reply = fold([*events, Done("stop", cost.usd)], "openai/gpt-4o")
    return replace(reply, has_footer=True)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "openai/gpt-4o · 1,234 tokens in, 56 out · about $0.012 · 2.3 s"),
        (
            {"model_answered": "gpt-4o-2024-08-06", "usage": Usage(1234, 56, cached_tokens=1000)},
            "gpt-4o-2024-08-06 · 1,234 tokens in (1,000 cached), 56 out · about $0.012 · 2.3 s",
        ),
        (
            {"cost": Cost(0.0123, "provider")},
            "openai/gpt-4o · 1,234 tokens in, 56 out · $0.012 · 2.3 s",
        ),
        (
            {"cost": Cost(), "usage": None},
            "openai/gpt-4o · tokens not counted · cost unknown · 2.3 s",
        ),
    ],
)
def test_it_tells_what_is_known_and_what_is_not(told: dict[str, Any], words: str) -> None:
    """A price of the list is about right; the provider's own figure and one's own price count."""
    assert footer_words(answered(**told)) == words


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (Cost(), "local"),
        (Cost(0.5, "price list"), "local"),
        (Cost(0.5, "provider"), "$0.50"),
        (Cost(0.5, "by hand"), "$0.50"),
    ],
)
def test_a_server_on_this_machine_has_no_lists_price(cost: Cost, words: str) -> None:
    """Its model may have the name of a dear one; a proxy on it may tell what it costs."""
    reply = replace(answered(cost=cost), host="127.0.0.1")
    assert footer_words(reply).split(" · ")[2] == words


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("api.openai.com", ""),
        ("127.0.0.1", ""),
        ("attacker.test", "from attacker.test"),
        ("api.openai.com.attacker.test", "from api.openai.com.attacker.test"),
        ("\u0430pi.openai.com", "from xn--pi-6kc.openai.com"),  # the first letter is Cyrillic
        ("", ""),
    ],
)
def test_a_host_that_is_not_the_providers_own_is_named(host: str, told: str) -> None:
    parts = footer_words(replace(answered(), host=host)).split(" · ")

    assert [part for part in parts if part.startswith("from ")] == [told] * bool(told)


def test_what_nbval_compares_has_no_seconds() -> None:
    shown = bundle(answered())
    assert shown["text/plain"] == "Hi\n\nopenai/gpt-4o · 1,234 tokens in, 56 out · about $0.012"
    assert "2.3 s" in shown["text/html"]


def test_an_answer_that_is_not_whole_has_none() -> None:
    assert footer_words(replace(answered(), error=ServerError("No."))) == ""


@pytest.fixture(params=["live", "final", "terminal"])
def shown_kernel(kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """The kernel as each front end has it."""
    kernel.run(f"%env LLM_MAGIC_DISPLAY={request.param}")
    yield kernel
    kernel.run("import os; del os.environ['LLM_MAGIC_DISPLAY']")


def test_a_cell_shows_it_unless_it_is_off(shown_kernel: Kernel, model_server: ModelServer) -> None:
    model_server.script(Answer("Hello you", usage=(7, 5)))
    cell = f"%%llm -m openai/gpt-4o --base-url {model_server.base_for('openai')} --api-key $KEY"
    shown_kernel.run("KEY = 'sk-0123456789'")
    shown = shown_kernel.run(f"{cell} --footer on\nHi").everything
    assert "7 tokens in, 5 out" in shown
    assert "local" in shown
    assert "tokens in" not in shown_kernel.run(f"{cell} --footer off\nHi").everything
