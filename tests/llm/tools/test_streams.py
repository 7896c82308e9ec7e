"""Calls of functions as servers really send them, of which public reports tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Call, Raw, Refuse, asks

from openhands_llm_magic import ask
from openhands_llm_magic.errors import BadRequestError, ToolsRefusedError
from openhands_llm_magic.llm.litellm.send import send
from openhands_llm_magic.llm.prepare import Request

if TYPE_CHECKING:
    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic import Reply

pytestmark = pytest.mark.usefixtures("litellm", "nothing_learned")

DONE = Answer("Done.")


def add(a: int = 0, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


def asked(server: ModelServer, clock: FakeClock, model: str = "openai/test", **more: Any) -> Reply:
    base = server.base_for(model.partition("/")[0])
    settings: dict[str, Any] = {"model": model, "api_key": "sk-of-the-test", "base_url": base}
    return ask("Add.", tools=[add], clock=clock, **settings | more)


def piece(
    index: int | None = 0, name: str | None = None, arguments: Any = None, call_id: Any = None
) -> dict[str, Any]:
    """A piece of a call, without what a server leaves out."""
    function = {"name": name, "arguments": arguments}
    made: dict[str, Any] = {"index": index, "id": call_id, "type": "function"}
    made["function"] = {key: value for key, value in function.items() if value is not None}
    return {key: value for key, value in made.items() if value is not None}


def stream(*deltas: dict[str, Any] | list[dict[str, Any]], ends: tuple[str, ...]) -> Raw:
    """A stream of deltas, each with a piece or several, and the finish reasons at its end."""
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": {"tool_calls": each if isinstance(each, list) else [each]}}
        for each in deltas
    ]
    choices += [{"index": 0, "delta": {}, "finish_reason": reason} for reason in ends]
    return raw(choices)


def raw(choices: list[dict[str, Any]]) -> Raw:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    lines = [f"data: {json.dumps({**head, 'choices': [each]})}\n\n" for each in choices]
    return Raw("".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream")


ONE, TWO = '{"a": 1, "b": 2}', '{"a": 3, "b": 4}'
TOOL_CALLS = ("tool_calls",)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(
            stream(piece(0, "add", ONE, "x"), piece(0, "add", TWO, "y"), ends=TOOL_CALLS),
            id="all calls have the index 0",  # ollama/ollama#15457, sgl-project/sglang#7117
        ),
        pytest.param(
            stream(
                piece(0, "add", "", "x"),
                piece(0, None, ONE[:5]),
                piece(0, None, ONE[5:]),
                piece(0, "add", "", "y"),
                piece(0, None, TWO[:5]),
                piece(0, None, TWO[5:]),
                ends=TOOL_CALLS,
            ),
            id="all have the index 0 and come in pieces",  # BerriAI/litellm#21331
        ),
        pytest.param(
            stream(
                piece(0, "add", "", "x"),
                piece(1, "add", "", "y"),
                piece(0, None, ONE[:5]),
                piece(1, None, TWO[:5]),
                piece(0, None, ONE[5:]),
                piece(1, None, TWO[5:]),
                ends=TOOL_CALLS,
            ),
            id="the pieces of two calls by turns",
        ),
        pytest.param(
            stream([piece(0, "add", ONE, "x"), piece(1, "add", TWO, "y")], ends=TOOL_CALLS),
            id="both in one delta",  # BerriAI/litellm#39796
        ),
        pytest.param(
            stream(piece(0, "add", ONE), piece(0, "add", TWO), ends=TOOL_CALLS),
            id="without ids",  # BerriAI/litellm#11407
        ),
        pytest.param(
            stream(
                piece(0, "add", ONE[:5], "x"),
                piece(0, "add", ONE[5:], "x"),
                piece(1, "add", TWO[:5], "y"),
                piece(1, "add", TWO[5:], "y"),
                ends=TOOL_CALLS,
            ),
            id="name and id in each piece",
        ),
        pytest.param(
            stream(
                piece(0, "ad", "", "x"),
                piece(0, "d", ""),
                piece(0, None, ONE),
                piece(1, "add", TWO, "y"),
                ends=TOOL_CALLS,
            ),
            id="a name in two pieces",
        ),
        pytest.param(
            stream(piece(0, "add", ONE, "x"), piece(1, "add", TWO, "y"), ends=("stop",)),
            id="it ends with stop",  # vllm-project/vllm#9209, BerriAI/litellm#12862
        ),
        pytest.param(
            stream(
                piece(0, "add", ONE, "x"), piece(1, "add", TWO, "y"), ends=("tool_calls", "stop")
            ),
            id="it ends twice",  # RayBytes/ChatMock#114
        ),
        pytest.param(
            raw(
                [
                    {"index": 0, "delta": {"tool_calls": [piece(0, "add", ONE, "x")]}},
                    {
                        "index": 0,
                        "delta": {"tool_calls": [piece(1, "add", TWO, "y")]},
                        "finish_reason": "tool_calls",
                    },
                ]
            ),
            id="the last call in the chunk that ends it",
        ),
        pytest.param(
            raw(
                [
                    {
                        "index": 0,
                        "delta": {"content": "I add.", "tool_calls": [piece(0, "add", ONE, "x")]},
                    },
                    {"index": 0, "delta": {"tool_calls": [piece(1, "add", TWO, "y")]}},
                    {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
                ]
            ),
            id="text in the same chunk",
        ),
    ],
)
@pytest.mark.parametrize("model", ["openai/test", "hosted_vllm/test"])
def test_two_calls_are_two_however_they_come(
    model_server: ModelServer, clock: FakeClock, sent: Raw, model: str
) -> None:
    model_server.script(sent, DONE)
    reply = asked(model_server, clock, model)
    assert [(call.arguments, call.result) for call in reply.tool_calls] == [
        ({"a": 1, "b": 2}, "3"),
        ({"a": 3, "b": 4}, "7"),
    ]
    assert reply.text == "Done."


@pytest.mark.parametrize("first", [ONE, "{}"], ids=["whole", "empty"])
def test_arguments_that_begin_anew_count_once(
    model_server: ModelServer, clock: FakeClock, first: str
) -> None:
    """They come whole, or as an empty object, and then in pieces."""
    sent = [piece(0, "add", first, "x"), piece(0, None, ONE[:5]), piece(0, None, ONE[5:])]
    model_server.script(stream(*sent, ends=TOOL_CALLS), DONE)
    [call] = asked(model_server, clock).tool_calls
    assert (call.arguments, call.result) == ({"a": 1, "b": 2}, "3")


@pytest.mark.parametrize(
    "model", ["openai/test", "anthropic/claude-sonnet-4-20250514", "mistral/mistral-small-latest"]
)
def test_no_arguments_are_none(model_server: ModelServer, clock: FakeClock, model: str) -> None:
    """BerriAI/litellm#5063, sigoden/aichat#1217: what is sent back is an object all the same."""
    model_server.script(asks(Call("add", "")), DONE)
    [call] = asked(model_server, clock, model).tool_calls
    assert (call.arguments, call.result, call.problem) == ({}, "0", "")
    assert '"arguments": ""' not in json.dumps(model_server.received[1].body)


def test_what_claude_has_thought_goes_back_with_its_calls(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """BerriAI/litellm#15601, pydantic/pydantic-ai#2040: it is refused else."""
    first = asks(Call("add", ONE))
    first = Answer("", finish_reason="tool_calls", calls=first.calls, reasoning="I think.")
    model_server.script(first, DONE)
    model = "anthropic/claude-sonnet-4-20250514"
    reply = asked(model_server, clock, model, reasoning_effort="low")
    assert reply.tool_calls[0].thought == "I think."
    sent = model_server.received[1].body
    assert sent["thinking"]["type"] == "enabled"
    [thought] = [each for each in sent["messages"][1]["content"] if each["type"] == "thinking"]
    assert (thought["thinking"], thought["signature"]) == ("I think.", "c2ln")
    assert sent["messages"][1]["content"][0] == thought


def test_nothing_is_put_into_claudes_mouth(model_server: ModelServer, clock: FakeClock) -> None:
    """Of an empty text before its calls LiteLLM makes a remark of its own."""
    model_server.script(asks(Call("add", ONE)), DONE)
    asked(model_server, clock, "anthropic/claude-sonnet-4-20250514")
    said = model_server.received[1].body["messages"][1]["content"]
    assert [each["type"] for each in said] == ["tool_use"]
    model_server.script(asks(Call("add", ONE)), DONE)
    asked(model_server, clock, "openai/gpt-4o")
    assert model_server.received[-1].body["messages"][1]["content"] == ""


def test_geminis_signature_goes_back_with_its_call(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """BerriAI/litellm#16893: it is refused else."""
    part = {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "c2lnbmVk"}
    candidate = {"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
    body = f"data: {json.dumps({'candidates': [candidate]})}\n\n"
    model_server.script(Raw(body.encode(), "text/event-stream"), DONE)
    reply = asked(model_server, clock, "gemini/gemini-2.5-flash")
    assert reply.tool_calls[0].result == "1"
    assert "c2lnbmVk" in json.dumps(model_server.received[1].body)


@pytest.mark.parametrize(
    ("model", "wants"), [("deepseek/deepseek-chat", True), ("openai/o3", False)]
)
def test_what_deepseek_has_thought_goes_back_with_its_calls(
    model_server: ModelServer, clock: FakeClock, model: str, wants: bool
) -> None:
    """continuedev/continue#9606: it is refused else, and nobody else knows the field."""
    first = Answer("", finish_reason="tool_calls", calls=(Call("add", ONE),), reasoning="I think.")
    model_server.script(first, DONE)
    asked(model_server, clock, model)
    message = model_server.received[1].body["messages"][1]
    assert message.get("reasoning_content") == ("I think." if wants else None)


@pytest.mark.parametrize(
    "refusal",
    [
        Refuse(500, message="tools param requires --jinja flag"),
        Refuse(400, message="This model does not support function calling."),
        Refuse(422, message="Unknown parameter: 'tools'."),
    ],
)
def test_a_server_without_functions_is_asked_once(
    model_server: ModelServer, clock: FakeClock, refusal: Refuse
) -> None:
    """ggml-org/llama.cpp says so with 500, which would pass else."""
    model_server.script(refusal)
    with pytest.raises(ToolsRefusedError):
        asked(model_server, clock)
    assert model_server.count == 1


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("ollama/llama3", "LiteLLM passes them on with ollama_chat/ alone"),
        ("perplexity/sonar", "LiteLLM passes none on to it"),
        ("cohere_chat/command-a-03-2025", "LiteLLM loses the calls in its streams"),
    ],
)
def test_what_litellm_cannot_do_is_told_before(
    model_server: ModelServer, clock: FakeClock, model: str, why: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(ToolsRefusedError, match=f"takes no functions .{why}"):
        asked(model_server, clock, model)
    assert model_server.count == 0


def event(kind: str, **data: Any) -> str:
    return f"data: {json.dumps({'type': kind, 'sequence_number': 0, **data})}\n\n"


PIECE, IN_PIECES = "response.function_call_arguments.delta", (ONE[:5], ONE[5:])


@pytest.mark.parametrize(
    "middle",
    [
        pytest.param([(PIECE, {"delta": each}) for each in IN_PIECES], id="in pieces"),
        pytest.param([], id="whole, at its end"),  # BerriAI/litellm#27144
        pytest.param(
            [("response.function_call_arguments.done", {"arguments": ONE})], id="whole, before it"
        ),
        pytest.param(
            [(PIECE, {"delta": each}) for each in ("", *IN_PIECES)], id="an empty piece"
        ),  # BerriAI/litellm#39288
    ],
)
def test_arguments_in_the_responses_api(
    model_server: ModelServer, clock: FakeClock, middle: list[tuple[str, dict[str, Any]]]
) -> None:
    """They are read however they come."""
    item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "add"}
    begins = {"item": {**item, "arguments": "", "status": "in_progress"}, "output_index": 0}
    ends = {"item": {**item, "arguments": ONE, "status": "completed"}, "output_index": 0}
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "output": [ends["item"]],
        "usage": usage,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    lines = [
        event("response.output_item.added", **begins),
        *(event(kind, output_index=0, item_id="fc_1", **data) for kind, data in middle),
        event("response.output_item.done", **ends),
        event("response.completed", response=response),
    ]
    model_server.script(Raw("".join(lines).encode(), "text/event-stream"), DONE)
    reply = asked(model_server, clock, "openai/gpt-5-codex")
    [call] = reply.tool_calls
    assert (call.arguments, call.result) == ({"a": 1, "b": 2}, "3")
    assert reply.text == "Done."


@pytest.mark.parametrize(
    "words",
    [
        "Invalid schema for function 'add': no type.",
        "Function tools with reasoning_effort are not supported in /v1/chat/completions.",
    ],
)
def test_another_refusal_is_told_as_it_is(
    model_server: ModelServer, clock: FakeClock, words: str
) -> None:
    """Though it speaks of functions."""
    model_server.script(Refuse(400, message=words))
    with pytest.raises(BadRequestError, match=re.escape(words.rstrip("."))) as caught:
        asked(model_server, clock)
    assert type(caught.value) is BadRequestError


def test_a_broken_call_that_litellm_cannot_tell_gemini(model_server: ModelServer) -> None:
    """It is no refusal of functions, and no other model is proposed."""
    function = {"name": "add", "arguments": '{"a": 1'}
    call = {"id": "1", "type": "function", "function": function}
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "That is no JSON."},
    ]
    base = model_server.base_for("gemini")
    options = {"api_key": "sk-of-the-test", "api_base": base}
    request = Request("gemini/gemini-3.8-flash", history, options, has_tools=True)
    response = send(request, lambda _event: None)
    assert type(response.error) is BadRequestError
    assert model_server.count == 0


def test_groq_that_could_not_read_its_model_is_asked_again(
    model_server: ModelServer, clock: FakeClock
) -> None:
    """It says so with 400, before anybody else has seen the call."""
    told = "Failed to call a function. Please adjust your prompt."
    model_server.script(Refuse(400, message=told, code="tool_use_failed"), asks(Call("add")), DONE)
    reply = asked(model_server, clock, "groq/qwen-qwq-32b")
    assert (reply.text, len(reply.waits), len(reply.tool_calls)) == ("Done.", 1, 1)
