"""The page that shares a set-up: in the form of OpenHands' pages, and without anything private."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from model_server import Answer, Refuse

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm.practice.stand_in import in_place_of
from openhands_llm_magic.llm.probe.course import Finding
from openhands_llm_magic.llm.probe.metadata import Metadata
from openhands_llm_magic.llm.probe.page import page_of, require_free, write_page
from openhands_llm_magic.llm.probe.result import Report, Result
from openhands_llm_magic.llm.probe.run import probe
from openhands_llm_magic.llm.probe.setup import (
    OWN_SERVER,
    PRACTICE_SERVER,
    Setup,
    setup_of,
    shown_model,
)
from openhands_llm_magic.llm.probe.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from fake_clock import FakeClock
    from model_server import ModelServer

KEY = "sk-canary-0123456789abcdef"


def report(**overrides: Any) -> Report:
    settings = load_settings().with_overrides(overrides)
    return Report(settings.model, setup=setup_of(settings))


def test_a_page(clock: FakeClock, litellm: object) -> None:
    """What to set comes first, by the names of OpenHands' fields; then what came of it."""
    del litellm
    settings = {"model": "practice/agent-retypes", "temperature": 0.2, "native_tool_calling": True}
    *_, found = probe(load_settings().with_overrides(settings), clock)
    page = page_of([found])
    lines = page.split("\n")
    assert lines[0] == "# practice/agent-retypes with OpenHands"
    assert lines[2] == "In the OpenHands UI, through the Settings under the `LLM` tab:"
    assert "- `LLM Model` to `practice/agent-retypes`" in lines
    assert "- `temperature` to `0.2`" in lines
    assert "- `native_tool_calling` to `true`" in lines
    assert "max_output_tokens" not in page, "the probes' own limit is nobody's setting"
    assert any(line.startswith("- **OpenHands SDK 1.58: it will hardly do**") for line in lines)
    assert any(line.startswith("| edits a file exactly | no | it wrote other") for line in lines)
    assert "| calls a function | yes |  |" in lines
    assert "- edits a file exactly: OpenHands refuses the edit" in page
    assert "10 requests, " in page
    assert "Probed on 20" in page
    assert "\n\n\n" not in page
    assert page_of([found, found]) == f"{page}\n{page}"


SERVERS = [
    ("https://llm.acme-internal.example/v1", OWN_SERVER),
    ("http://192.168.7.31:8000/v1", OWN_SERVER),
    ("https://acme-research.openai.azure.com", OWN_SERVER),
    ("http://localhost:11434/v1", "http://localhost:11434/v1"),
    ("http://me:hunter2@127.0.0.1:8000/v1?a=sesame", "http://127.0.0.1:8000/v1"),
    ("http://127.0.0.1:8000/sesame/v1", "http://127.0.0.1:8000"),
    ("http://127.0.0.1:8000/openai/v1/", "http://127.0.0.1:8000/openai/v1/"),
    ("https://api.openai.com/v1", "https://api.openai.com/v1"),
    (None, ""),
]


@pytest.mark.parametrize(("base_url", "shown"), SERVERS)
def test_no_host_of_a_persons_network_is_told(base_url: str | None, shown: str) -> None:
    """A provider's own and this machine's are; of another one that there is one."""
    page = page_of([report(model="openai/gpt-4o", base_url=base_url, api_key=KEY)])
    told = setup_of(
        load_settings().with_overrides({"model": "openai/gpt-4o", "base_url": base_url})
    )
    assert told.address == shown
    assert shown in page
    for private in ("acme", "192.168", "hunter2", "sesame", KEY):
        assert private not in page


def test_no_secret_and_no_private_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may hold one is left out, or its value is."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    page = page_of([
        report(
            model="openai/gpt-4o", api_key=KEY, vertex_project="acme-project",
            aws_region_name="acme-region", openrouter_site_url="https://acme.example",
            completion_kwargs={"num_ctx": 32768, "extra_headers": {"Authorization": KEY}},
        )
    ])  # fmt: skip
    assert '- `completion_kwargs` to `{"num_ctx": 32768, "extra_headers": "..."}`' in page
    assert "`API Key` to a key of your own" in page
    assert "acme" not in page
    assert KEY not in page


def test_a_key_of_the_environment_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not told that none was needed where a provider's own variable holds it."""
    assert "any text: none was set" in page_of([report(model="openai/gpt-4o")])
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    page = page_of([report(model="openai/gpt-4o")])
    assert "a key of your own" in page
    assert KEY not in page


PATHS = [
    ("openai//home/jane/models/q4.gguf", "openai/q4.gguf"),
    ("hosted_vllm//data/jane/qwen", "hosted_vllm/qwen"),
    ("openai/../models/q4.gguf", "openai/q4.gguf"),
    ("openai/C:\\Users\\jane\\q4.gguf", "openai/q4.gguf"),
    ("openai/~/q4.gguf", "openai/q4.gguf"),
    ("openrouter/z-ai/glm-5", "openrouter/z-ai/glm-5"),
    ("ollama/hf.co/maker/model:Q4_K_M", "ollama/hf.co/maker/model:Q4_K_M"),
    ("gpt-4o", "gpt-4o"),
]


@pytest.mark.parametrize(("model", "shown"), PATHS)
def test_no_folder_of_a_models_file_is_told(model: str, shown: str) -> None:
    """Servers call a model by the path of its file unless they are told a name."""
    assert shown_model(model) == shown
    assert "jane" not in page_of([report(model=model)])


def test_what_a_server_said_is_left_out(clock: FakeClock, model_server: ModelServer) -> None:
    """Its words may name an account, a host or a key."""
    refusal = Refuse(400, message="Organization acme at 10.1.2.3 has no functions")
    model_server.script(refusal, refusal, Refuse(503, message="acme is busy"), Answer(""))
    to = {"base_url": model_server.openai_base, "api_key": KEY, "num_retries": 1}
    *_, found = probe(load_settings().with_overrides({"model": "openai/gpt-4o", **to}), clock)
    assert "acme" in json.dumps(found.as_data())
    page = page_of([found])
    assert "acme" not in page
    assert "10.1.2.3" not in page
    assert "| no |" in page
    assert "| no answer |" in page


@given(said=st.text(min_size=1, max_size=60))
def test_whatever_a_model_wrote_is_shown_as_text(said: str) -> None:
    """It makes no element, no link and no other cell of the table."""
    found = Finding(Text("{said}", said=f"{said} <img src=x> [a](http://b) | c"))
    result = Result("call", Text("calls a function"), "failed", found, held=0, answered=1)
    made = Report("m", (result,), (Verdict("OpenHands", "no", Text("w")),), Setup("P"), Metadata())
    html = MarkdownIt("commonmark").enable("table").render(page_of([made]))
    assert "<img" not in html
    assert "<a " not in html
    assert html.count("<td>") == 3


def test_a_page_is_written_and_nothing_is_lost(tmp_path: Path) -> None:
    """A file that is there stays, unless that is asked for."""
    file = tmp_path / "page.md"
    assert write_page("page.md", "# one\n").startswith("page.md is written")
    for refused in (write_page, require_free):
        with pytest.raises(UsageError, match=r"page\.md: there is such a file already"):
            refused("page.md", *(["# two\n"] if refused is write_page else []))
    assert file.read_text() == "# one\n"
    write_page("page.md", "# two\n", over=True)
    assert file.read_text() == "# two\n"
    for name in ("no-such-folder/page.md", ".", "a\0b"):
        with pytest.raises(UsageError):
            require_free(name, over=True)
        with pytest.raises(UsageError):
            write_page(name, "# two\n", over=True)


def test_what_the_practice_server_has_answered_is_told_as_that() -> None:
    """Its address is nobody else's, and what it did says nothing of the model."""
    base = load_settings(env={})
    stood_in = base.with_overrides({"model": "azure/my-deployment", **in_place_of(base, "azure")})
    page = page_of([Report(stood_in.model, setup=setup_of(stood_in))])
    assert f"- `Base URL` to {PRACTICE_SERVER}" in page
    assert "127.0.0.1" not in page
