"""Practice models that act as an agent does: they read a task and call the tools that are offered.

No model thinks here: a task is known by its sentence. Each flaw is one of real models.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Call = tuple[str, dict[str, str]]

Flaw = Literal[
    "", "talks", "writes", "repeats", "retypes", "unescapes", "runs on", "is strict", "is plain",
    "forgets", "keeps nothing",
]  # fmt: skip
"""What it does wrong: it answers in words, writes calls as text that no server reads, repeats a
call in place of finishing, retypes what it replaces, loses backslashes, writes on after the stop
word, refuses a history with a broken call, refuses parameters that not all servers know, reads the
end of a long prompt alone, or keeps nothing in a cache."""

COMMAND = re.compile(r"Run the command `([^`]+)`")
ADDITION = re.compile(r"In (\S+), add the line `([^`]+)` below the line that sets `([^`]+)`")
FILE = re.compile(r"Create the file (\S+)")

KEY = re.compile(r"The key of the archive is (\d+)\.")
QUESTION = "What is the key of the archive?"

CONTEXT_TOKENS = 4_096
"""What the one that forgets reads of a prompt, and what `small-context` takes at most, as servers
do by default."""

CACHED_FROM_TOKENS = 1_024
"""Shorter prompts are in no cache."""

EXTRAS = ("reasoning_effort", "prompt_cache_key")

SHELLS = ("terminal", "execute_bash")
EDITORS = ("file_editor", "str_replace_editor")

MADE_UP = "\n\nUSER: EXECUTION RESULT of [{name}]:\nall is well"


@dataclass(frozen=True, slots=True)
class Agent:
    """How such a model acts.

    Attributes:
        flaw: What it does wrong, or "".
    """

    flaw: Flaw = ""

    def read(self, prompt_tokens: int) -> int:
        """Return how many tokens of a prompt it reads."""
        return min(prompt_tokens, CONTEXT_TOKENS) if self.flaw == "forgets" else prompt_tokens

    def caches(self, prompt_tokens: int) -> bool:
        """Return whether it keeps a prompt in a cache."""
        return self.flaw != "keeps nothing" and prompt_tokens >= CACHED_FROM_TOKENS

    def refusal(self, request: Mapping[str, Any]) -> str:
        """Return why it refuses a request, or ""."""
        unknown = [each for each in EXTRAS if each in request]
        if self.flaw == "is plain" and unknown:
            return f"Unrecognized request argument supplied: {unknown[0]}."
        if self.flaw == "is strict" and any(map(_is_broken, request["messages"])):
            return "The arguments of a call in the history are no JSON."
        return ""

    def calls(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the calls that it answers a request with, in OpenAI's form."""
        call = self._call(request)
        if call is None or self.flaw in ("talks", "writes"):
            return []
        name, arguments = call
        function = {"name": name, "arguments": json.dumps(arguments)}
        number = len(request["messages"])
        return [{"id": f"call_{number}", "type": "function", "function": function}]

    def text(self, request: Mapping[str, Any]) -> str | None:
        """Return the text that it answers with, or None where no task of an agent is known."""
        call = self._call(request)
        if call is not None and self.flaw == "writes":
            name, arguments = call
            return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"
        if call is not None and self.flaw == "talks":
            return "I would do that with one of the functions."
        if call is None and "<function=" in _said(request, "system") and self.flaw != "talks":
            return self._written(request)
        if QUESTION in _said(request, "user"):
            key = KEY.search(_said(request, "user"))
            return key[1] if key and self.flaw != "forgets" else "The text does not say."
        return None

    def _written(self, request: Mapping[str, Any]) -> str | None:
        """Write a call in the form that the prompt describes, as far as the stop word."""
        command = COMMAND.search(_said(request, "user"))
        if command is None:
            return None
        name, parameter = SHELLS[-1], f"<parameter=command>{command[1]}</parameter>"
        text = f"<function={name}>\n{parameter}\n</function>"
        if self.flaw == "runs on":
            return text + MADE_UP.format(name=name)
        stops = request.get("stop") or []
        for stop in [stops] if isinstance(stops, str) else stops:
            text = text.partition(stop)[0]
        return text

    def _call(self, request: Mapping[str, Any]) -> Call | None:
        """Return the call that the task asks for, with the parameters that are asked of it."""
        offered = {
            each["function"]["name"]: each["function"] for each in request.get("tools") or ()
        }
        call = self._wanted(request, offered)
        if call is None:
            return None
        name, arguments = call
        asked = offered[name]["parameters"].get("required", ())
        more = {"security_risk": "LOW", "task_completed": "true"}
        return name, arguments | {each: more[each] for each in asked if each in more}

    def _wanted(self, request: Mapping[str, Any], offered: Iterable[str]) -> Call | None:
        task, result = _said(request, "user"), _said(request, "tool")
        shell, editor = (
            next((each for each in names if each in offered), None) for names in (SHELLS, EDITORS)
        )
        command, addition, file = (each.search(task) for each in (COMMAND, ADDITION, FILE))
        if command and shell:
            if result and self.flaw != "repeats" and "finish" in offered:
                return "finish", {"message": f"The command gave: {result}"}
            return shell, {"command": command[1]}
        if addition and editor:
            return editor, self._edit(addition[1], addition[2], addition[3], result)
        if file and editor:
            text = task.partition("\nBEGIN\n")[2].removesuffix("END")
            if self.flaw == "unescapes":
                text = text.replace("\\\\", "\\")
            path = file[1].removesuffix(".")
            return editor, {"command": "create", "path": path, "file_text": text}
        return None

    def _edit(self, path: str, added: str, below: str, viewed: str) -> dict[str, str]:
        lines = [each.partition("\t")[2] for each in viewed.splitlines()]
        line = next((each for each in lines if below in each), below)
        new = f"{line}\n{line[: len(line) - len(line.lstrip())]}{added}"
        if self.flaw == "retypes":
            line, new = line.expandtabs(4), new.expandtabs(4)
        return {"command": "str_replace", "path": path, "old_str": line, "new_str": new}


def _is_broken(message: Mapping[str, Any]) -> bool:
    """Return whether a message has a call whose arguments cannot be read."""
    for call in message.get("tool_calls") or ():
        try:
            json.loads(call["function"]["arguments"])
        except ValueError:
            return True
    return False


def _said(request: Mapping[str, Any], role: str) -> str:
    """Return the text of the last message of a role, or ""."""
    texts = (
        each.get("content") for each in reversed(request["messages"]) if each.get("role") == role
    )
    content = next(texts, "")
    if isinstance(content, list):
        parts = (each.get("text") for each in content if isinstance(each, dict))
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
