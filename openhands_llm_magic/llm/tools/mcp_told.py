"""What an MCP server tells of its tools, and of a call, as a model is told it.

Providers refuse a whole request for one name or schema that they do not take, and servers have many
such.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.tools.declared import LONGEST_NAME, RemoteError, fit_name

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_DESCRIPTION = 10_000
"""Characters; each request pays for them."""

DEEPEST_SCHEMA = 50

TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
"""The types of JSON; servers write "int", too."""


def name_for(server: str, tool: str) -> str:
    """Name a tool so that it is told from all others, also of another server: `files__read`.

    A name that has to be changed for the providers gets a part of its hash.
    """
    name = f"{server}__{tool}"
    if fit_name(name) == name and "__" not in server:
        return name
    digest = hashlib.sha256(f"{server}\0{tool}".encode()).hexdigest()[:8]
    return f"{fit_name(name)[: LONGEST_NAME - 9]}_{digest}"


COMBINED = ("anyOf", "oneOf", "allOf", "not", "if", "then", "else", "enum", "const")
"""What OpenAI and Anthropic refuse at the top of a schema, where they want an object."""


def mended(result: dict[str, Any]) -> None:
    """Let a list of tools, as a server sends it, be one that the package takes.

    The package refuses the whole list for one tool in it that is not as it should be.
    """
    tools = result.get("tools")
    if isinstance(tools, list):
        named = (each for each in tools if isinstance(each, dict) and _is_text(each.get("name")))
        result["tools"] = [_mended(each) for each in named]


def _mended(tool: Mapping[str, Any]) -> dict[str, Any]:
    words = {name: tool.get(name) for name in ("name", "title", "description")}
    told: dict[str, Any] = {name: each for name, each in words.items() if _is_text(each)}
    schema = tool.get("inputSchema")
    return {**told, "inputSchema": fit_schema(schema if isinstance(schema, dict) else {})}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def fit_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a server's tool as providers take it.

    The server holds what it is given to its own schema, so that what is left out here is only
    told less of.
    """
    fitted: dict[str, Any] = _fitted(dict(schema))
    properties = _properties_in(fitted)
    for name in ("$schema", "$id", "$comment", "title", *COMBINED):
        fitted.pop(name, None)
    fitted |= {"type": "object", "properties": properties}
    required = fitted.pop("required", None)
    if isinstance(required, list) and (known := [each for each in required if each in properties]):
        fitted["required"] = known
    return fitted


def _properties_in(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments that a schema names, also in alternatives, which are left out."""
    own = schema.get("properties")
    properties = dict(own) if isinstance(own, dict) else {}
    for combined in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(combined)
        for branch in branches if isinstance(branches, list) else ():
            if isinstance(branch, dict):
                properties = _properties_in(branch) | properties
    return properties


IN_NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""The keywords whose value has schemas by names of the person's own."""


def _fitted(schema: Any, depth: int = 0) -> Any:
    """Return a schema with none in it that is a truth value, nested too deep, or half a list."""
    if not isinstance(schema, dict):
        return [_fitted(each, depth) for each in schema] if isinstance(schema, list) else schema
    if depth > DEEPEST_SCHEMA:
        return {}
    fitted: dict[str, Any] = {}
    for key, value in schema.items():
        if key in IN_NAMES and isinstance(value, dict):
            fitted[key] = {
                name: _fitted(each, depth + 1) if isinstance(each, dict) else {}
                for name, each in value.items()
            }
        elif key in ("default", "enum", "examples"):
            fitted[key] = value
        elif key == "items" and isinstance(value, bool):
            fitted[key] = {}
        else:
            fitted[key] = _fitted(value, depth + 1)
    kind = fitted.get("type")
    if isinstance(kind, str) and kind not in TYPES:
        del fitted["type"]
    if kind == "array" or (isinstance(kind, list) and "array" in kind):
        fitted.setdefault("items", {})
    return fitted


def text_of(result: Any) -> str:
    """Return what a call has come to, as a text for a model.

    Raises:
        RemoteError: The server tells of a failure.
    """
    texts = [_text_in(each) for each in result.content]
    if not texts and result.structured_content is not None:
        texts = [json.dumps(result.structured_content, ensure_ascii=False)]
    text = "\n".join(texts)
    if result.is_error:
        raise RemoteError(text or "the tool has failed, and does not say why")
    return text


def _text_in(block: Any) -> str:
    """Return one part of a result; what is no text is told of, and left out."""
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            count = len(block.data) * 3 // 4
            return f"({block.type} of {count:,} bytes, {block.mime_type}, left out)"
        case "resource_link":
            return f"({block.name}: {block.uri})"
        case _:
            held = block.resource
            if (text := getattr(held, "text", None)) is not None:
                return str(text)
            count = len(held.blob) * 3 // 4
            return f"(file of {count:,} bytes, {held.uri}, left out)"
