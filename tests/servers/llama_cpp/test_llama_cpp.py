"""Prompts to llama.cpp's own server: what comes back, and how its refusals are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from kernel import Kernel
from servers.llama_cpp.server import HELLO, KEY, MODEL, llama_cpp, write_tiny

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.ask import ask, stream
from openhands_llm_magic.llm.events import TextDelta
from openhands_llm_magic.llm.probe import probes
from openhands_llm_magic.llm.served import Served, place_of, served

if TYPE_CHECKING:
    from pathlib import Path

    from servers.llama_cpp.server import LlamaCpp

pytestmark = pytest.mark.timeout(300)

ONCE = {"num_retries": 0}

ROADS = {
    "openai": (MODEL, "/v1"),
    "openai, without /v1": (MODEL, ""),
    "Responses API": (f"responses/{MODEL}", "/v1"),
    "hosted_vllm": (MODEL, "/v1"),
    "lm_studio": (MODEL, "/v1"),
    "llamafile": (MODEL, "/v1"),
    "litellm_proxy": (MODEL, "/v1"),
    "anthropic": (MODEL, ""),
}
"""The ways to it: it speaks OpenAI's two dialects, and Anthropic's."""


def on(road: str, server: LlamaCpp) -> dict[str, Any]:
    name, path = ROADS[road]
    prefix = road.partition(",")[0] if road != "Responses API" else "openai"
    return server.settings(model=f"{prefix}/{name}", base_url=server.url + path) | ONCE


@pytest.mark.parametrize("road", ROADS)
def test_a_prompt(road: str, server: LlamaCpp) -> None:
    """Its answer comes in pieces, with the tokens that the server has counted."""
    events = list(stream("Who is there?", **on(road, server)))
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(pieces) == HELLO
    reply = ask("Who is there?", **on(road, server))
    assert reply.text == HELLO
    assert reply.finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.cached_tokens == reply.usage.prompt_tokens - 1
    assert reply.usage.completion_tokens > 1


def terminal(command: str, security_risk: str) -> str:
    """Run a command."""
    return f"{command}, at a {security_risk} risk, has run"


@pytest.mark.parametrize("road", ROADS)
def test_a_function_is_called(road: str, server: LlamaCpp) -> None:
    """The model asks for it, is told what came of it, and answers."""
    task = f"Run the command `{probes.ECHO}`."
    reply = ask(task, tools=[terminal], **on(road, server))
    assert reply.text == HELLO
    (call,) = reply.tool_calls
    assert call.arguments == {"command": probes.ECHO, "security_risk": "LOW"}
    assert call.answer == "echo ready, at a LOW risk, has run"


def test_a_stop_word(server: LlamaCpp) -> None:
    """The server stops before it."""
    given = server.settings(completion_kwargs={"stop": [" model"]})
    assert ask("Who is there?", **given).text == HELLO.partition(" model")[0]


def test_a_server_that_asks_for_a_key(tiny: Path) -> None:
    """A wrong one is told as that at once, by a prompt and by the list of its models."""
    with llama_cpp(tiny, api_keys=[KEY]) as server:
        with pytest.raises(errors.AuthenticationError, match="401: Invalid API Key"):
            ask("Who is there?", **server.settings())
        assert ask("Who is there?", **server.settings(api_key=KEY)).text == HELLO
        place = place_of(load_settings().with_overrides(server.settings(api_key=KEY)))
        assert served(place) == (Served(f"openai/{MODEL}", 32_768),)


def test_a_prompt_that_is_too_long(tiny: Path) -> None:
    """It is told as the context's fault, with the option that cures it, and sent once."""
    told = (
        r"the prompt is longer than openai/tiny takes \(400: request \([\d,]+ tokens\) exceeds the"
        r" available context size \(1024 tokens\), try increasing it\)\. Shorten it, give the"
        r" server more context \(llama\.cpp: -c;"
    )
    with (
        llama_cpp(tiny, n_ctx=1_024) as server,
        pytest.raises(errors.ContextLengthError, match=told) as failure,
    ):
        ask(probes.LONG, **server.settings())
    assert failure.value.reply.attempts == 1


def test_an_answer_that_fills_the_context(nonsense: Path) -> None:
    """It says where it was cut off."""
    with llama_cpp(nonsense, n_ctx=512) as server:
        reply = ask("Go on.", **server.settings(max_output_tokens=4_096))
    assert reply.finish_reason == "context"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens == 512


def test_a_broken_call_in_the_history(server: LlamaCpp) -> None:
    """The server refuses it for good, with a status that passes: it is asked but once."""
    function = {"name": "terminal", "arguments": '{"command": "ec'}
    call = {"id": "call_1", "type": "function", "function": function}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Who is there?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "no JSON"},
    ]
    with pytest.raises(errors.BadRequestError, match="500: Failed to parse tool call") as failure:
        ask(messages, **server.settings())
    assert failure.value.reply.attempts == 1


def test_functions_without_jinja(tiny: Path) -> None:
    with (
        llama_cpp(tiny, use_jinja=False) as server,
        pytest.raises(errors.ToolsRefusedError, match="500: tools param requires --jinja flag"),
    ):
        ask("Run it.", tools=[terminal], **server.settings())


def test_an_answer_that_has_a_form(nonsense: Path) -> None:
    """The server holds even nonsense to a schema."""
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema}}
    with llama_cpp(nonsense) as server:
        given = server.settings(completion_kwargs={"response_format": form})
        reply = ask("Which colour?", schema=schema, **given)
    assert reply.data["colour"] in ("red", "green")
    assert reply.attempts == 1


def test_what_the_sdk_adds_is_taken(server: LlamaCpp) -> None:
    further = {"prompt_cache_key": "a-conversation"}
    given = server.settings(reasoning_effort="high", completion_kwargs=further)
    assert ask("Who is there?", **given).text == HELLO


def test_a_model_that_is_being_loaded(tmp_path: Path) -> None:
    """The server is asked again until it has loaded it."""
    slow = write_tiny(tmp_path / "slow.gguf", is_slow=True)
    waits = {"num_retries": 100, "retry_min_wait": 1, "retry_max_wait": 1}
    with llama_cpp(slow, is_awaited=False) as server:
        reply = ask("Who is there?", **server.settings(**waits))
    assert reply.text == HELLO
    assert reply.attempts > 1
    assert {(wait.caused_by.status, wait.wait_s) for wait in reply.waits} == {(503, 1.0)}
    assert "Loading model" in str(reply.waits[0].caused_by)


def test_the_magics(server: LlamaCpp, tmp_path: Path) -> None:
    """The connection test, the list of models and a cell, as a person sees them."""
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    for name, value in server.settings().items():
        env[f"LLM_{name.upper()}"] = value
    with Kernel(env, cwd=str(tmp_path)) as kernel:
        kernel.run("%load_ext openhands_llm_magic")
        tested = kernel.run("%llm_config --test")
        assert tested.error is None, tested.error
        assert f"It works. · Answer: {HELLO}" in tested.stdout
        listed = kernel.run("%llm_models --server").outputs[0]["text/plain"]
        assert ["openai/tiny", "32,768"] in [line.split() for line in listed.split("\n")]
        ran = kernel.run("%%llm\nWho is there?")
        assert HELLO in ran.outputs[-1]["text/plain"]
