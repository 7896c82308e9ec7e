"""OpenHands' tools as models are told of them: the names and parameters are its own.

What is said of them is said in words of ours, and in fewer: a probe is to cost little, and whether
a model can call a tool hardly depends on them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Schema = dict[str, Any]

TEXT = {"type": "string"}


def _tool(
    name: str, about: str, parameters: Mapping[str, Mapping[str, Any]], *required: str
) -> Schema:
    schema = {"type": "object", "properties": dict(parameters), "required": [*required]}
    told = {"name": name, "description": about, "parameters": schema}
    return {"type": "function", "function": told}


def _text(about: str) -> Schema:
    return TEXT | {"description": about}


RISK = {
    "type": "string",
    "enum": ["UNKNOWN", "LOW", "MEDIUM", "HIGH"],
    "description": "How much harm it could do.",
}
SUMMARY = _text("What it is for, in ten words.")
ADDED = {"security_risk": RISK, "summary": SUMMARY}
"""What the SDK puts before a tool's own parameters; none of it is required, and a tool that changes
nothing has no risk."""

IS_INPUT = {
    "type": "string",
    "enum": ["true", "false"],
    "description": "Whether it is typed into a program that is still running.",
}
TIMEOUT = {"type": "number", "description": "Seconds after which the command is given up."}
COMMAND = _text("The command for the shell.")

EDITOR = {
    "command": {
        "type": "string",
        "enum": ["view", "create", "str_replace", "insert", "undo_edit"],
        "description": "What to do.",
    },
    "path": _text("The absolute path of the file."),
    "file_text": _text("For create: all that the file is to hold."),
    "old_str": _text("For str_replace: the exact text to take out, which is in the file once."),
    "new_str": _text("For str_replace and insert: the text to put in."),
    "insert_line": {"type": "integer", "description": "For insert: the line to put it after."},
    "view_range": {
        "type": "array",
        "items": {"type": "integer"},
        "description": "For view: the first and the last line, as in [11, 12].",
    },
}
EDITS = (
    "View, create and edit files. A view numbers the lines as cat -n does: a number and a tab, "
    "which are no part of the file, stand before each."
)
THINK = "Write a thought down. Nothing else happens."
THOUGHT = {"thought": _text("The thought.")}
MESSAGE = _text("The last message to the user.")

FOR_0_41 = (
    _tool(
        "execute_bash",
        "Run a command in a shell that stays open.",
        {"command": COMMAND, "is_input": IS_INPUT, "timeout": TIMEOUT},
        "command",
    ),
    _tool("think", THINK, THOUGHT, "thought"),
    _tool(
        "finish",
        "Say that the task is over.",
        {
            "message": MESSAGE,
            "task_completed": {
                "type": "string",
                "enum": ["true", "false", "partial"],
                "description": "Whether the task is done.",
            },
        },
        "message",
        "task_completed",
    ),
    _tool(
        "execute_ipython_cell",
        "Run Python in an IPython session that stays open.",
        {"code": _text("The code.")},
        "code",
    ),
    _tool("str_replace_editor", EDITS, EDITOR, "command", "path"),
)
"""Those of OpenHands 0.41."""

FOR_SDK = (
    _tool(
        "terminal",
        "Run a command in a terminal that stays open.",
        ADDED
        | {
            "command": COMMAND,
            "is_input": {"type": "boolean", "description": IS_INPUT["description"]},
            "timeout": TIMEOUT,
            "reset": {"type": "boolean", "description": "Whether to begin anew."},
        },
        "command",
    ),
    _tool("file_editor", EDITS, ADDED | EDITOR, "command", "path"),
    _tool(
        "task_tracker",
        "Keep a list of what is to be done.",
        ADDED
        | {
            "command": {"type": "string", "enum": ["view", "plan"], "description": "What to do."},
            "task_list": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "title": TEXT,
                        "notes": TEXT,
                        "status": {"type": "string", "enum": ["todo", "in_progress", "done"]},
                    },
                    "required": ["title"],
                },
                "description": "For plan: the whole list.",
            },
        },
    ),
    _tool(
        "finish", "Say that the task is over.", {"summary": SUMMARY, "message": MESSAGE}, "message"
    ),
    _tool("think", THINK, {"summary": SUMMARY} | THOUGHT, "thought"),
)
"""Those of the current SDK."""

STOP_WORD = "</function"
"""What OpenHands has a server stop at when the tools are written into the prompt."""


def in_prompt(tools: Sequence[Schema]) -> str:
    """Write tools into a prompt in the form that OpenHands reads back."""
    written = "\n".join(json.dumps(each["function"]) for each in tools)
    return (
        f"You can call these functions, each described in JSON:\n{written}\n\n"
        "To call one, end your answer with the call, in exactly this form, and write nothing "
        "after it:\n\n<function=NAME>\n<parameter=PARAMETER>value</parameter>\n</function>\n\n"
        "Call one function at a time, and give every required parameter."
    )
