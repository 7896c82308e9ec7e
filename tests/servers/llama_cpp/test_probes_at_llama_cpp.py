"""The probes of a model, made at llama.cpp's own server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from servers.llama_cpp.server import llama_cpp

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.probe.result import Report
from openhands_llm_magic.llm.probe.run import probe

if TYPE_CHECKING:
    from pathlib import Path

    from fake_clock import FakeClock
    from servers.llama_cpp.server import LlamaCpp


pytestmark = pytest.mark.timeout(300)


def probed(server: LlamaCpp, clock: FakeClock, **changed: Any) -> Report:
    settings = load_settings().with_overrides(server.settings(**changed))
    *_, report = probe(settings, clock)
    assert isinstance(report, Report)
    return report


def failed(report: Report) -> dict[str, str]:
    """Return what was done wrong in the probes that failed."""
    return {each.name: each.finding.did for each in report.results if each.outcome == "failed"}


def not_asked(report: Report) -> list[str]:
    return [each.name for each in report.results if each.outcome == "not asked"]


def test_a_model_that_calls_functions(server: LlamaCpp, clock: FakeClock) -> None:
    """The server reads its calls, keeps the stop word, tells its context and what was cached.

    It refuses a broken call in the history for good, so that it is asked but once.
    """
    report = probed(server, clock)
    assert failed(report) == {"history": "a history with a broken call is refused"}
    assert not_asked(report) == []
    assert "500: Failed to parse tool call arguments as JSON" in report["history"].finding.note
    assert report["history"].spent.requests == 1
    assert report["context"].finding.note.startswith("32,768 tokens")
    assert "tokens came from a cache" in report["again"].finding.note
    assert report.spent.is_local
    assert [(each.answer, each.why) for each in report.verdicts] == [
        ("yes", "calls functions in its text"),
        ("yes", "calls functions as tools; one broken call would end the task"),
    ]


def test_a_model_that_writes_nonsense(nonsense: Path, clock: FakeClock) -> None:
    """It fails what needs sense; the server is not blamed for it."""
    with llama_cpp(nonsense) as server:
        report = probed(server, clock, max_output_tokens=100)
    assert failed(report) == {
        "call": "its answer was cut off at the limit of its tokens before a call came",
        "written": "it did not write the call in the form that it was told",
        "needle": "it did not find what the prompt begins with",
    }
    assert report["needle"].finding.cure == "Take a stronger model"
    assert not_asked(report) == ["finish", "edit", "file", "history", "again"]
    assert [each.answer for each in report.verdicts] == ["no", "no"]


def test_a_server_without_jinja(tiny: Path, clock: FakeClock) -> None:
    """It takes no functions, and which option cures that is told."""
    with llama_cpp(tiny, use_jinja=False) as server:
        found = probed(server, clock)["call"].finding
    assert found.did == "the server refuses functions"
    assert "llama.cpp with --jinja" in found.cure
    assert "500: tools param requires --jinja flag" in found.note


def test_a_context_that_is_too_small(tiny: Path, clock: FakeClock) -> None:
    """Each probe that does not fit says so, and what cures it."""
    with llama_cpp(tiny, n_ctx=2_048) as server:
        report = probed(server, clock)
    found = failed(report)
    assert found.pop("context").startswith("its context has 2,048 tokens")
    assert found == {
        "call": "the prompt does not fit into the context",
        "written": "the prompt does not fit into the context",
        "needle": "the server refuses a prompt of 9,000 tokens",
    }
    cures = [each.finding.cure for each in report.results if each.outcome == "failed"]
    assert all(" -c" in cure for cure in cures)
    assert [each.answer for each in report.verdicts] == ["no", "no"]


def test_the_context_is_that_of_one_request(tiny: Path, clock: FakeClock) -> None:
    """A server that answers four at once gives each a quarter of it."""
    with llama_cpp(tiny, n_ctx=65_536, n_parallel=4) as server:
        report = probed(server, clock)
    assert report["context"].finding.did.startswith("its context has 16,384 tokens")
    assert list(failed(report)) == ["context", "history"]
