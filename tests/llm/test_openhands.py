"""What we say that OpenHands sends, compared with what the real one was recorded to send.

`make openhands-recordings` makes the recordings; here no OpenHands is needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openhands.cases import CASES, KEY, MESSAGES, POLICY
from sending import takes_sampling

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.schedule import openhands_wait_s
from openhands_llm_magic.llm.litellm import models
from openhands_llm_magic.llm.litellm.preview import preview
from openhands_llm_magic.llm.openhands.sent import VERSIONS, as_sent_by, checked, findings, refusal
from openhands_llm_magic.notebook.prompt_options import OPENHANDS

RECORDED = json.loads(
    (Path(__file__).parents[1] / "openhands" / "recordings.json").read_text("utf-8")
)
ADDRESS = "http://127.0.0.1:1"

each_request = pytest.mark.parametrize(
    ("version", "name"), [(version, name) for version in VERSIONS for name in CASES]
)


@pytest.fixture(autouse=True)
def as_listed_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteLLM's list of models as it was when OpenHands was recorded."""
    monkeypatch.setattr(models, "prices", lambda: RECORDED["facts"])


LATER_LITELLM = {
    "openrouter/": {"usage"},
    "gemini/": {"seed"},
    "openai/gpt-5": {"temperature", "top_p"},
    "azure/gpt-5": {"temperature", "top_p", "max_tokens", "max_completion_tokens"},
}
"""Parts of a body in which the LiteLLM 1.72 of 0.41 differs from ours, by the model's beginning."""

SAMPLING = {"temperature", "top_p"}
"""What a newer LiteLLM leaves out for models that no longer take it."""

NEWEST_LITELLM = {"deepseek/": {"reasoning_effort"}}
"""Those in which the newest LiteLLM differs from the one that the SDK was recorded with."""


def compared(body: Any, version: str, model: str) -> Any:
    """Return what is compared of a body: empty lists and dictionaries say nothing."""
    left_out = {
        name
        for start, names in (LATER_LITELLM if version == "openhands" else NEWEST_LITELLM).items()
        if model.startswith(start)
        for name in names
    }
    if not takes_sampling(model):
        left_out |= SAMPLING
    if isinstance(body, list):
        return [compared(each, version, model) for each in body]
    if not isinstance(body, dict):
        return body
    return {
        name: compared(value, version, model)
        for name, value in body.items()
        if name not in left_out and value not in ([], {})
    }


@each_request
def test_the_preview_shows_the_body_that_openhands_sends(version: str, name: str) -> None:
    """A model that OpenHands fails with before it sends anything is said to be one."""
    sent, case = RECORDED[version]["requests"][name], CASES[name]
    settings = case.at(ADDRESS)
    reason = refusal(VERSIONS[version], settings)
    assert bool(reason) == ("error" in sent), reason or sent
    if reason:
        return
    made = as_sent_by(VERSIONS[version], MESSAGES, settings)
    shown = preview(made.prepared, made.how)
    told = compared(dict(shown.body), version, case.model)
    assert told == compared(sent["body"], version, case.model)


@pytest.mark.parametrize("name", CASES)
def test_the_preview_shows_the_headers_that_the_sdk_adds(name: str) -> None:
    sent = RECORDED["openhands-sdk"]["requests"][name]
    if "error" in sent:
        return
    made = as_sent_by(VERSIONS["openhands-sdk"], MESSAGES, CASES[name].at(ADDRESS))
    shown = preview(made.prepared, made.how).headers
    named = ("http-referer", "x-title", "anthropic-beta")
    told = {header.lower(): value for header, value in shown.items() if header.lower() in named}
    assert told == {
        header: sent["headers"][header] for header in named if header in sent["headers"]
    }


@pytest.mark.parametrize(
    ("version", "name"),
    [(version, name) for version in VERSIONS for name in RECORDED[version]["retries"]],
)
def test_the_waits_between_attempts_are_those_of_our_preview(version: str, name: str) -> None:
    """Where OpenHands tries again at all: 0.41 gives up at once on Ollama's 429."""
    waits_s = RECORDED[version]["retries"][name]["waits_s"]
    settings = CASES[name].at(ADDRESS, **POLICY)
    assert waits_s in ([], [openhands_wait_s(settings, retry) for retry in (1, 2)])
    assert bool(waits_s) == (RECORDED[version]["retries"][name]["requests"] > 1)


def test_0_41_makes_nine_requests_where_openais_client_has_retries_of_its_own() -> None:
    """Three attempts, and below each two retries of the client; the SDK makes three requests."""
    requests = {name: told["requests"] for name, told in RECORDED["openhands"]["retries"].items()}
    assert {name for name, count in requests.items() if count == 9} == {
        "azure", "groq_openai", "litellm_proxy", "lm_studio", "mistral", "openai",
        "openai_compatible", "sglang", "vllm",
    }  # fmt: skip
    of_the_sdk = {told["requests"] for told in RECORDED["openhands-sdk"]["retries"].values()}
    assert of_the_sdk == {3}


def notes_of(version: str, **settings: Any) -> str:
    """Return the notes of a request, in one text."""
    settings = {"model": "openai/gpt-4o", "api_key": KEY} | settings
    snapshot = load_settings(env={}).with_overrides(settings)
    return "\n".join(as_sent_by(VERSIONS[version], MESSAGES, snapshot).notes)


def test_the_versions_that_a_line_can_name_are_those_that_there_are() -> None:
    assert tuple(VERSIONS) == OPENHANDS


def test_what_a_version_does_not_pass_on_is_named() -> None:
    chosen = {"completion_kwargs": {"n": 2}, "custom_llm_provider": "openai"}
    assert "It does not pass on: completion_kwargs." in notes_of("openhands", **chosen)
    told = "It does not pass on: custom_llm_provider, completion_kwargs."
    assert told in notes_of("openhands-sdk", **chosen)
    aws = {"model": "bedrock/x", "aws_region_name": "us-east-1"}
    assert "It does not pass on: aws_region_name." in notes_of("openhands", **aws)
    assert "does not pass on" not in notes_of("openhands-sdk", **aws)


def test_the_litellm_of_0_41_sends_more_to_models_that_it_does_not_know() -> None:
    assert "refuses them together" in notes_of("openhands", model="openai/gpt-5")
    assert "refuses them together" not in notes_of("openhands")


def test_a_picture_is_sent_to_models_that_see(litellm: Any) -> None:  # noqa: ARG001 - imported once
    """A model that gets a text loses it, as in OpenHands."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "What is this?"}
    messages = [{"role": "user", "content": [picture, text]}]
    made = as_sent_by(VERSIONS["openhands"], messages, CASES["openai"].at(ADDRESS))
    assert made.prepared.request.messages == messages
    made = as_sent_by(VERSIONS["openhands"], messages, CASES["vllm"].at(ADDRESS))
    assert made.prepared.request.messages == [{"role": "user", "content": "\nWhat is this?"}]


def test_the_check_tells_what_0_41_sends_that_nobody_set() -> None:
    told, *_ = findings(CASES["openai_compatible"].at(ADDRESS))
    assert told.level == "note"
    assert told.message == (
        "OpenHands 0.41 sends temperature = 0.0, top_p = 1.0, max_completion_tokens = 4096, which"
        " nobody set; the SDK sends reasoning_effort = 'high' to models that take it"
    )
    told, *_ = findings(
        CASES["openai_compatible"].at(ADDRESS, temperature=0.3, max_output_tokens=9)
    )
    assert "sends top_p = 1.0, which nobody set" in told.message
    chosen = findings(CASES["openai_compatible, chosen"].at(ADDRESS))
    assert not any("which nobody set" in each.message for each in chosen)
    assert not [*findings(load_settings(env={}))]


def test_the_check_says_nothing_of_what_is_sent_for_a_file_with_an_error(tmp_path: Path) -> None:
    """OpenHands drops the section, and so sends something else."""
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "openai/a"\nmax_tokens = 5\n')
    assert not any("sends temperature" in each.message for each in checked())
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "openai/a"\n')
    assert any("sends temperature" in each.message for each in checked())


def test_a_context_that_the_sdk_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, sdk = CASES["openai/gpt-4, chosen"].at(ADDRESS), VERSIONS["openhands-sdk"]
    assert "its context of 8,192 tokens is below 16,384" in refusal(sdk, settings)
    assert "8,000" in refusal(sdk, CASES["vllm"].at("", max_input_tokens=8000))
    monkeypatch.setenv("ALLOW_SHORT_CONTEXT_WINDOWS", "1")
    assert not refusal(sdk, settings)


@pytest.mark.parametrize(
    ("model", "part"), [("openai/gpt-4", "context"), ("openhands/claude-sonnet-4", "openhands/")]
)
def test_the_check_tells_one_thing_once(model: str, part: str, tmp_path: Path) -> None:
    """The rules of the file's check and those of OpenHands' versions look at the same model."""
    (tmp_path / "config.toml").write_text(f'[llm]\nmodel = "{model}"\n')
    assert len([each for each in checked() if part in each.message]) == 1


def test_the_check_finds_a_provider_that_0_41_does_not_know() -> None:
    told, *_ = findings(CASES["moonshot, chosen"].at(ADDRESS))
    assert told.message == (
        "OpenHands 0.41 would fail: neither it nor the LiteLLM 1.72 of its image knows moonshot/"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_practice_model_is_known_to_no_openhands(version: str) -> None:
    settings = load_settings(env={}).with_overrides({"model": "practice/echo"})
    assert "does not know the practice models" in refusal(VERSIONS[version], settings)
    assert not [*findings(settings)]


def test_the_sdk_passes_on_headers_and_body_and_nothing_else_of_the_further_arguments() -> None:
    """As fields of a profile; 0.41 knows no further arguments."""
    further = {"extra_headers": {"X-Team": "research"}, "extra_body": {"tags": ["mine"]}}
    settings = CASES["openai_compatible"].at(ADDRESS, completion_kwargs={**further, "stop": ["x"]})
    made = as_sent_by(VERSIONS["openhands-sdk"], MESSAGES, settings)
    shown = preview(made.prepared, made.how)
    assert shown.body["tags"] == ["mine"]
    assert shown.headers["X-Team"] == "research"
    assert shown.headers["X-Title"] == "OpenHands"
    assert "stop" not in shown.body
    assert VERSIONS["openhands-sdk"].ignored(settings) == ["completion_kwargs.stop"]
    assert VERSIONS["openhands"].ignored(settings) == ["completion_kwargs"]
    taken = settings.with_overrides({"completion_kwargs": further})
    assert VERSIONS["openhands-sdk"].ignored(taken) == []
    for name, version in VERSIONS.items():
        none = settings.with_overrides({"completion_kwargs": {}})
        assert version.ignored(none) == [], name


@pytest.mark.parametrize(
    ("version", "model", "path"),
    [
        ("openhands", "openai/o3", "chat/completions"),
        ("openhands", "openai/gpt-4o", "chat/completions"),
        ("openhands-sdk", "openai/gpt-5-mini", "responses"),
    ],
)
def test_the_address_of_openai_is_told_to_its_end(
    version: str, model: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key in OpenAI's own variable, of which LiteLLM shows no header."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    hello = [{"role": "user", "content": "Hi"}]
    made = as_sent_by(VERSIONS[version], hello, load_settings(env={"LLM_MODEL": model}))
    shown = preview(made.prepared, made.how)
    assert shown.address == f"https://api.openai.com/v1/{path}"
    assert 0 < shown.prompt_tokens < 20  # two letters, and what each message costs
