"""Requests in each provider's dialect, read into OpenAI's form, on which the practice models work.

A body of another form fails with KeyError, TypeError, ValueError or AttributeError; `answers.py`
says then what is wrong with it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Body = Mapping[str, Any]


def in_openai_form(dialect: str, body: Body) -> dict[str, Any]:
    """Return a request in OpenAI's form, without the model and whether it streams."""
    read: Callable[[Body], dict[str, Any]] = READERS.get(dialect, dict)
    return {name: value for name, value in read(body).items() if value is not None}


def _anthropic(body: Body) -> dict[str, Any]:
    return {
        "messages": [*_system(body.get("system")), *_of_blocks(body["messages"], _anthropic_block)],
        "tools": _tools(
            (each["name"], each["input_schema"])
            for each in _having(body.get("tools"), "input_schema")
        ),
        "max_tokens": body.get("max_tokens"),
        "stop": body.get("stop_sequences"),
    }


def _anthropic_block(block: Body) -> Body:
    match block["type"]:
        case "tool_use":
            return _call(block["name"], block["input"], block.get("id"))
        case "tool_result":
            return _result(_text(block.get("content")), block.get("tool_use_id"))
    return {"text": block.get("text")}


def _bedrock(body: Body) -> dict[str, Any]:
    limits = body.get("inferenceConfig") or {}
    specs = [
        each["toolSpec"]
        for each in _having((body.get("toolConfig") or {}).get("tools"), "toolSpec")
    ]
    return {
        "messages": [*_system(body.get("system")), *_of_blocks(body["messages"], _bedrock_block)],
        "tools": _tools((each["name"], each["inputSchema"]["json"]) for each in specs),
        "max_tokens": limits.get("maxTokens"),
        "stop": limits.get("stopSequences"),
    }


def _bedrock_block(block: Body) -> Body:
    if "toolUse" in block:
        use = block["toolUse"]
        return _call(use["name"], use["input"], use.get("toolUseId"))
    if "toolResult" in block:
        result = block["toolResult"]
        parts = result.get("content") or []
        return _result("\n".join(map(_bedrock_text, parts)), result.get("toolUseId"))
    return {"text": block.get("text")}


def _bedrock_text(part: Body) -> str:
    return str(part["text"]) if "text" in part else json.dumps(part.get("json"))


def _gemini(body: Body) -> dict[str, Any]:
    limits = body.get("generationConfig") or {}
    system = body.get("systemInstruction") or body.get("system_instruction") or {}
    declared = [
        function
        for each in body.get("tools") or ()
        for function in each.get("functionDeclarations") or each.get("function_declarations") or ()
    ]
    turns = [
        {"role": "assistant" if each.get("role") == "model" else "user", "content": each["parts"]}
        for each in body["contents"]
    ]
    return {
        "messages": [*_system(system.get("parts")), *_of_blocks(turns, _gemini_part)],
        "tools": _tools(
            (each["name"], each.get("parameters") or each.get("parametersJsonSchema") or {})
            for each in declared
        ),
        "max_tokens": limits.get("maxOutputTokens") or limits.get("max_output_tokens"),
        "stop": limits.get("stopSequences") or limits.get("stop_sequences"),
    }


def _gemini_part(part: Body) -> Body:
    if call := part.get("functionCall") or part.get("function_call"):
        return _call(call["name"], call.get("args") or {}, None)
    if result := part.get("functionResponse") or part.get("function_response"):
        told = result.get("response") or {}
        only = next(iter(told.values())) if len(told) == 1 else None
        return _result(only if isinstance(only, str) else json.dumps(told), result.get("id"))
    return {"text": part.get("text")}


def _ollama(body: Body) -> dict[str, Any]:
    limits = body.get("options") or {}
    messages = [dict(each) for each in body["messages"]]
    for message in messages:
        if calls := message.pop("tool_calls", None):
            functions = [each["function"] for each in calls]
            said = (_call(each["name"], each.get("arguments") or {}, None) for each in functions)
            message["tool_calls"] = [each["call"] for each in said]
    return {
        "messages": messages,
        "tools": body.get("tools"),
        "max_tokens": limits.get("num_predict"),
        "stop": limits.get("stop"),
    }


def _ollama_generate(body: Body) -> dict[str, Any]:
    limits = body.get("options") or {}
    return {
        "messages": [*_system(body.get("system")), {"role": "user", "content": body["prompt"]}],
        "max_tokens": limits.get("num_predict"),
        "stop": limits.get("stop"),
    }


def _responses(body: Body) -> dict[str, Any]:
    items = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    declared = [each for each in body.get("tools") or () if each.get("type") == "function"]
    return {
        "messages": [*_system(body.get("instructions")), *map(_item, items)],
        "tools": _tools((each["name"], each.get("parameters") or {}) for each in declared),
        "max_tokens": body.get("max_output_tokens"),
    }


def _item(item: Body) -> dict[str, Any]:
    match item.get("type"):
        case "function_call":
            call = _call(item["name"], item["arguments"], item.get("call_id"))["call"]
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        case "function_call_output":
            return {"role": "tool", "content": _text(item.get("output"))}
    return {"role": item["role"], "content": item.get("content")}


READERS: Mapping[str, Callable[[Body], dict[str, Any]]] = {
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "gemini": _gemini,
    "ollama": _ollama,
    "ollama_generate": _ollama_generate,
    "responses": _responses,
}


# What the dialects share.


def _of_blocks(turns: Any, read: Callable[[Body], Body]) -> Iterator[dict[str, Any]]:
    """Yield the messages that turns of blocks are: each result of a function is one of its own."""
    for turn in turns:
        content = turn["content"]
        blocks: Iterable[Body] = map(read, [] if isinstance(content, str) else content)
        blocks = [{"text": content}] if isinstance(content, str) else blocks
        said: dict[str, Any] = {"role": turn["role"], "content": []}
        texts: list[Any] = said["content"]
        has_results = False
        for block in blocks:
            if "result" in block:
                has_results = True
                yield block["result"]
            elif "call" in block:
                said.setdefault("tool_calls", []).append(block["call"])
            elif block["text"]:
                texts.append({"type": "text", "text": block["text"]})
        if texts or not has_results:
            yield said


def _system(content: Any) -> list[dict[str, Any]]:
    return [{"role": "system", "content": _text(content)}] if content else []


def _text(content: Any) -> str:
    """Return the text of a content: a text, or a list of parts of which some have one."""
    if isinstance(content, str):
        return content
    texts = [each.get("text") for each in content or ()]
    return "\n".join(each for each in texts if isinstance(each, str))


def _call(name: str, arguments: Any, call_id: Any) -> dict[str, Any]:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": written}
    return {"call": {"id": call_id, "type": "function", "function": function}}


def _result(text: str, call_id: Any) -> dict[str, Any]:
    return {"result": {"role": "tool", "tool_call_id": call_id, "content": text}}


def _having(tools: Any, name: str) -> list[Any]:
    """Return the functions among tools; a provider's own tools and marks of a cache are none."""
    return [each for each in tools or () if name in each]


def _tools(declared: Iterable[tuple[str, Any]]) -> list[dict[str, Any]] | None:
    functions = [{"name": name, "parameters": schema} for name, schema in declared]
    return [{"type": "function", "function": each} for each in functions] or None
