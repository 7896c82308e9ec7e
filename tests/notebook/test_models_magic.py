"""`%llm_models` as it is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from list_server import ListServer, Told

from openhands_llm_magic.config import verified
from openhands_llm_magic.llm.litellm.models import Abilities
from openhands_llm_magic.llm.model_search import Model
from openhands_llm_magic.notebook import models_magic

if TYPE_CHECKING:
    from kernel import Kernel


def test_a_notebook_gets_a_table_and_a_console_aligned_text(kernel: Kernel) -> None:
    shown = kernel.run("%llm_models OPENAI/gpt-4o mini-2024-07").outputs[0]
    head, row, below = shown["text/plain"].split("\n")
    assert head.split() == ["model", "$/M", "in", "$/M", "out", "context", "vision", "also"]
    assert re.fullmatch(
        r"openai/gpt-4o-mini-2024-07-18    0.15      0.6  128,000  yes     PDF, schema,"
        r" (its maker ends it|withdrawn) on \d{4}-\d\d-\d\d",
        row,
    )
    assert below.startswith("The days on which makers end models are those of LiteLLM's list (")
    assert '<td style="text-align:right">128,000</td>' in shown["text/html"]
    in_console = kernel.run("%llm_models OPENAI/gpt-4o mini-2024-07", "console").stdout
    assert in_console == shown["text/plain"] + "\n"


def test_without_words_the_providers_are_listed(kernel: Kernel) -> None:
    text = kernel.run("%llm_models").outputs[0]["text/plain"]
    assert re.search(r"^OpenAI +openai/ +\d+$", text, re.MULTILINE)
    assert re.search(r"^vLLM on this machine +hosted_vllm/ +your own$", text, re.MULTILINE)
    assert re.search(r"^LiteLLM reaches more: .*\bxai/ \d+", text, re.MULTILINE)
    assert text.endswith(models_magic.HOW_TO)


def test_a_long_list_is_cut_and_says_so(kernel: Kernel) -> None:
    lines = kernel.run("%llm_models claude").outputs[0]["text/plain"].splitlines()
    notes = 1 + len(verified.LISTS)  # and, where one of those that are shown ends, whose word it is
    assert len(lines) - (1 + models_magic.MOST_ROWS) in (notes, notes + 1)
    assert re.fullmatch(r"… \d+ more; add a word\.", lines[1 + models_magic.MOST_ROWS])


def test_verified_models_come_first_with_their_dates(kernel: Kernel) -> None:
    """A line tells whose word it is; what its maker has ended comes last, and says so."""
    page, current = verified.LISTS
    lines = kernel.run("%llm_models verified deepseek/").outputs[0]["text/plain"].splitlines()
    assert re.match(r"deepseek/deepseek-v4-pro .*verified 2026-10", lines[1])
    rows = [line for line in lines[1:] if line.startswith(("deepseek/", "openrouter/"))]
    ended = (
        r"deepseek/deepseek-chat .*verified 2025-05, verified 2026-10, .*withdrawn on 2026-07-24"
    )
    assert re.match(ended, rows[-1])
    assert lines[len(rows) + 1 :][:2] == [
        f"{page.trait}: OpenHands lists it, as of {page.as_of}.",
        f"{current.trait}: OpenHands SDK 1.58.2 lists it, as of {current.as_of}.",
    ]


def test_what_is_not_found_is_said_in_one_line(kernel: Kernel) -> None:
    ran = kernel.run("%llm_models no-such  model")
    assert ran.stdout.startswith("No model has all of: no-such model. ")
    assert ran.stdout.count("\n") == 1
    assert ran.error is None


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (Model("a/b", Abilities()), ["unknown"] * 4 + [""]),
        (
            Model("a/b", Abilities(prompt_usd=0, answer_usd=0.0)),
            ["0", "0", "unknown", "unknown", ""],
        ),
        (Model("a/b", Abilities(window_tokens=0, sees=False)), ["unknown"] * 3 + ["no", ""]),
        (
            Model("a/b", Abilities(prompt_usd=2.99999e-6, answer_usd=1.5e-4, window_tokens=10**6)),
            ["3", "150", "1,000,000", "unknown", ""],
        ),
        (
            Model("a/b", Abilities(prompt_usd=2e-8, answer_usd=0, window_tokens=8191), embeds=True),
            ["0.02", "none", "8,191", "unknown", "embedding"],
        ),
    ],
)
def test_what_is_unknown_is_not_nothing(model: Model, row: list[str]) -> None:
    """A price of 0 is one that LiteLLM's list has."""
    assert models_magic.row(model) == ("a/b", *row)


def test_an_option_is_refused(kernel: Kernel) -> None:
    assert "no option --vision" in str(kernel.run("%llm_models --vision claude").error)


def test_a_server_tells_what_it_serves(kernel: Kernel) -> None:
    """The one of the settings, with its key, or another one without it."""
    models = {"data": [{"id": "qwen3", "max_model_len": 32768}, {"id": "gemma"}]}
    kernel.run("import ipywidgets; ipywidgets.Widget.close_all()")  # an open panel asks, too
    with ListServer({"/v1/models": Told(models)}) as server:
        kernel.run(f"%llm_config model=hosted_vllm/x base_url={server.address}/v1")
        kernel.run("key = 'sk-of-this-session-0123'\n%llm_config api_key=$key")
        shown = kernel.run("%llm_models --server").outputs[0]["text/plain"]
        kernel.run("%llm_config base_url=http://127.0.0.1:9/v1")
        elsewhere = kernel.run(f"%llm_models --server {server.address}/v1")
    assert shown == (
        "model              context\n"
        "hosted_vllm/qwen3   32,768\n"
        "hosted_vllm/gemma  unknown\n"
        f"2 of {server.address}/v1"
    )
    assert "openai/qwen3" in elsewhere.outputs[0]["text/plain"]
    keys = ["authorization" in headers for _, headers in server.asked]
    assert keys == [True, False]


def test_a_server_that_tells_nothing_is_one_line(kernel: Kernel) -> None:
    with ListServer({"/v1/models": Told({"data": []})}) as server:
        ran = kernel.run(f"%llm_models --server {server.address}/v1")
        assert ran.stdout == f"{server.address}/v1 names no model that answers prompts.\n"
        ran = kernel.run(f"%llm_models --server {server.address}/v2")
        assert ran.error == (
            f"BadRequestError: {server.address}/v2 does not tell its models: it refuses (404: Not"
            " Found)."
        )
    ran = kernel.run("%llm_models --server")
    assert ran.error == ("UsageError: the practice provider has no list of models to ask for.")
    assert "no option --serve" in str(kernel.run("%llm_models --serve").error)
