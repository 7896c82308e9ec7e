"""Answers that fit a JSON schema, so that a cell which asks for one runs without an account."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST = 30
"""Levels of an answer; a schema that refers to itself without an end has no shorter one."""

TOLD = "that fits this JSON schema:\n"
"""How prompts of this package tell a schema to models that take none."""

FORMATS = {
    "date": "2025-01-01",
    "time": "12:00:00Z",
    "date-time": "2025-01-01T12:00:00Z",
    "email": "practice@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def schema_in(asked: Mapping[str, Any], system: str) -> Mapping[str, Any] | None:
    """Return the schema that an answer is held to, or None.

    Args:
        asked: The request, in any provider's dialect.
        system: The text of its system message.
    """
    limits = asked.get("generationConfig") or {}
    ways = (
        ((asked.get("response_format") or {}).get("json_schema") or {}).get("schema"),
        (asked.get("output_format") or {}).get("schema"),
        ((asked.get("output_config") or {}).get("format") or {}).get("schema"),
        *(limits.get(name) for name in ("response_json_schema", "responseJsonSchema")),
        *(limits.get(name) for name in ("response_schema", "responseSchema")),
        ((asked.get("text") or {}).get("format") or {}).get("schema"),
        asked.get("format"),
    )
    found = next((each for each in ways if isinstance(each, dict)), None)
    if found is None and TOLD in system:
        with suppress(ValueError):
            found, _ = json.JSONDecoder().raw_decode(system.partition(TOLD)[2])
    return found


def forced_in(asked: Mapping[str, Any]) -> str:
    """Return the name of the one function that has to be called, or ""."""
    choice = asked.get("tool_choice") or (asked.get("toolConfig") or {}).get("toolChoice") or {}
    if not isinstance(choice, dict):
        return ""
    named = choice.get("function") or choice.get("tool") or choice
    return str(named.get("name", ""))


def fitting(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """Return a short value that fits a schema, as far as that can be told without a search.

    Args:
        schema: The schema.
        root: The one that it is part of, to which it may refer.
        depth: How deep in that it is.

    Raises:
        RecursionError: There is no end to it.
    """
    if depth > DEEPEST:
        raise RecursionError
    root = schema if root is None else root
    if not isinstance(schema, dict):
        return {}
    given = [schema[name] for name in ("const", "default") if name in schema]
    if given := given or schema.get("enum", []):
        return given[0]
    inner = schema.get("anyOf") or schema.get("oneOf")
    inner = inner[0] if inner else None
    if "$ref" in schema:
        inner = _referred(schema["$ref"], root)
    elif "allOf" in schema:
        inner = {key: value for each in schema["allOf"] for key, value in each.items()}
    return _of_type(schema, root, depth) if inner is None else fitting(inner, root, depth + 1)


def _of_type(schema: Mapping[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()  # Gemini writes capitals
    match kind:
        case "object":
            parts = schema.get("properties", {})
            wanted = schema.get("required", parts)
            return {name: fitting(parts.get(name, {}), root, depth + 1) for name in wanted}
        case "array":
            count = max(1, schema.get("minItems", 1))
            return [fitting(schema.get("items", {}), root, depth + 1) for _ in range(min(count, 9))]
        case "integer" | "number":
            low = max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
            return min(low, schema.get("maximum", low), schema.get("exclusiveMaximum", low + 1) - 1)
        case "boolean":
            return True
        case "null":
            return None
    text = FORMATS.get(schema.get("format", ""), "practice")
    return text.ljust(min(schema.get("minLength", 0), 999), "-")[: schema.get("maxLength")]


def _referred(reference: str, root: Any) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        root = root[part]
    return root
