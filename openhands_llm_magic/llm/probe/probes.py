"""The probes: what each sends, and how it judges what comes back."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import (
    BadRequestError,
    ContextLengthError,
    RequestTooLargeError,
    ServerError,
    Text,
    ToolsRefusedError,
)
from openhands_llm_magic.llm import counts
from openhands_llm_magic.llm.probe import schemas
from openhands_llm_magic.llm.probe.course import (
    AS_TEXT,
    AS_TOOLS,
    ASKS_AGAIN,
    CONTEXT_CURE,
    LOSES_STEPS,
    NATIVE_CURE,
    NO_ACTION,
    STOPS,
    WEAK,
    WELL,
    Ask,
    Finding,
    Probe,
    Turn,
)
from openhands_llm_magic.llm.tools.calls import arguments_in
from openhands_llm_magic.llm.tools.declared import MisfitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.probe.course import Course


SYSTEM = "You are a programmer's agent. You work by calling functions, one at a time."


class _NotCalledError(Exception):
    """The call that a probe waits for has not come."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.did)
        self.finding = finding


def _asked(tools: Sequence[Mapping[str, Any]], task: str, *after: Message) -> Ask:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task}, *after]
    return Ask(messages, tools)


LOOKS_LIKE_CALL = re.compile(r"<tool_call|<function|\[TOOL_CALLS\]|<\|python_tag|\"arguments\" ?:")
"""How models write a call that their server has not read."""


def called(turn: Turn, tools: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the arguments of the call that was waited for.

    Raises:
        _NotCalledError: There is none, another one, or one that OpenHands cannot run.
    """
    if not turn.calls:
        raise _NotCalledError(_uncalled(turn))
    call = turn.calls[0]
    named = {each["function"]["name"]: each["function"]["parameters"] for each in tools}
    if call.name not in named:
        did = Text("it called {name}, which there is not", name=shorten(repr(call.name)))
        raise _NotCalledError(Finding(did, ASKS_AGAIN, WEAK))
    try:
        arguments = arguments_in(call.arguments)
    except MisfitError as misfit:
        did = Text("the arguments of its call cannot be read: {why}", why=shorten(str(misfit)))
        raise _NotCalledError(Finding(did, ASKS_AGAIN, NATIVE_CURE, settings=AS_TEXT)) from None
    if name == call.name:
        missing = {*named[name]["required"]} - arguments.keys()
        if missing:
            did = Text("its call leaves out {names}", names=", ".join(sorted(missing)))
            raise _NotCalledError(Finding(did, ASKS_AGAIN, WEAK))
        unknown = arguments.keys() - named[name]["properties"].keys() - schemas.ADDED.keys()
        if unknown and tools is schemas.FOR_SDK:  # 0.41 does not look at them
            did = Text("its call has {names}, which there is not", names=", ".join(sorted(unknown)))
            raise _NotCalledError(Finding(did, ASKS_AGAIN, WEAK))
        return arguments
    did = Text("it called {name} in place of {wanted}", name=call.name, wanted=name)
    raise _NotCalledError(Finding(did, LOSES_STEPS, WEAK))


def _uncalled(turn: Turn) -> Finding:
    """Say what came in place of a call."""
    if turn.finish_reason == "length":
        did = Text("its answer was cut off at the limit of its tokens before a call came")
        return Finding(did, NO_ACTION, Text("Raise max_output_tokens"))
    if turn.finish_reason == "context":
        did = Text("its answer was cut off where the context was full, before a call came")
        return Finding(did, NO_ACTION, CONTEXT_CURE)
    if LOOKS_LIKE_CALL.search(turn.text):
        return Finding(
            Text("its call came as text, unread"), NO_ACTION, NATIVE_CURE, settings=AS_TEXT
        )
    did = Text("it answered in words and called nothing")
    return Finding(did, NO_ACTION, NATIVE_CURE, settings=AS_TEXT)


def answer_to(turn: Turn, result: str) -> list[Message]:
    """Return what is said after a call: the call, and what came of it."""
    call = turn.calls[0]
    return _call_and_result(call.id or "call_1", call.name, call.arguments, result)


def _call_and_result(id_: str, name: str, arguments: str, result: str) -> list[Message]:
    function = {"name": name, "arguments": arguments}
    asked = [{"id": id_, "type": "function", "function": function}]
    return [
        {"role": "assistant", "content": "", "tool_calls": asked},
        {"role": "tool", "tool_call_id": id_, "content": result},
    ]


ECHO = "echo ready"


def call() -> Course:
    """One call of a function, with the SDK's tools."""
    turn = yield _asked(schemas.FOR_SDK, f"Run the command `{ECHO}`.")
    try:
        arguments = called(turn, schemas.FOR_SDK, "terminal")
    except _NotCalledError as missed:
        return missed.finding
    return _is_command(arguments["command"])


def _is_command(command: object) -> Finding:
    if str(command).strip() == ECHO:
        return WELL
    did = Text("it ran {command}, not what it was told to", command=shorten(repr(command)))
    return Finding(did, LOSES_STEPS, WEAK)


COUNTED = "wc -l notes.txt"


def finish() -> Course:
    """A call, its result, and then the call that ends the task, with the tools of 0.41."""
    task = (
        f"Run the command `{COUNTED}`. Then call finish, with the number of lines as the message."
    )
    tools = schemas.FOR_0_41
    turn = yield _asked(tools, task)
    try:
        called(turn, tools, "execute_bash")
        turn = yield _asked(tools, task, *answer_to(turn, "42 notes.txt"))
        message = str(called(turn, tools, "finish")["message"])
    except _NotCalledError as missed:
        return missed.finding
    if "42" not in message:
        did = Text(
            "it finished with {message}, and the result said 42", message=shorten(repr(message))
        )
        return Finding(did, Text("What it reports is not what it found"), WEAK)
    return WELL


PATH = "/workspace/server.py"
BEFORE = (
    "class Server:\n"
    "\tdef __init__(self):\n"
    "\t\tself.port = 8000\t# the default\n"
    "\t\tself.name = 'a'\n"
    "\n"
    "\tdef url(self):\n"
    '\t\treturn f"http://localhost:{self.port}"\n'
)
ADDED, BELOW = "self.retry = 3", "self.port = 8000"
AFTER = BEFORE.replace("default\n", f"default\n\t\t{ADDED}\n")


def numbered(text: str) -> str:
    """Write a file as OpenHands' editor shows it: a number and a tab before each line."""
    lines = "".join(f"{number:6}\t{line}\n" for number, line in enumerate(text.splitlines(), 1))
    return f"Here's the result of running `cat -n` on {PATH}:\n{lines}"


def edit() -> Course:
    """An exact edit in a file that is indented by tabs, as seen in a view with numbers."""
    task = (
        f"In {PATH}, add the line `{ADDED}` below the line that sets `{BELOW}`, indented like it, "
        "and change nothing else. Use str_replace."
    )
    viewed = json.dumps({"command": "view", "path": PATH, "security_risk": "LOW"})
    after = _call_and_result("call_view", "file_editor", viewed, numbered(BEFORE))
    turn = yield _asked(schemas.FOR_SDK, task, *after)
    try:
        arguments = called(turn, schemas.FOR_SDK, "file_editor")
        if arguments["command"] == "view":  # once more, which costs a step and is no fault
            after += answer_to(turn, numbered(BEFORE))
            turn = yield _asked(schemas.FOR_SDK, task, *after)
            arguments = called(turn, schemas.FOR_SDK, "file_editor")
    except _NotCalledError as missed:
        return missed.finding
    return judged_edit(arguments)


EDIT_FAILS = Text("OpenHands refuses the edit, and it tries again: long tasks get stuck")


def judged_edit(arguments: Mapping[str, Any]) -> Finding:
    """Compare what an edit makes of the file with what was asked for, by bytes."""
    if arguments["command"] != "str_replace":
        did = Text(
            "it used {command}, not str_replace", command=shorten(repr(arguments["command"]))
        )
        return Finding(did, LOSES_STEPS, WEAK)
    old, new = str(arguments.get("old_str", "")), str(arguments.get("new_str", ""))
    count = BEFORE.count(old) if old else 0
    if count == 1:
        if BEFORE.replace(old, new) == AFTER:
            return WELL
        did = Text("the file is not what was asked for after its edit")
        if BEFORE.replace(old, new).split() == AFTER.split():
            did = Text("its edit put other white space into the file")
        return Finding(did, Text("OpenHands writes a file that may not run"), WEAK)
    if count:
        return Finding(
            Text("what it replaces is in the file {count} times", count=count), EDIT_FAILS, WEAK
        )
    return Finding(_misread(old), EDIT_FAILS, WEAK)


def _misread(old: str) -> Text:
    """Say how a text differs from the part of the file that was meant."""
    if re.search(r"^ *\d+\t", old, re.MULTILINE):
        return Text("it copied the numbers of the lines into what it replaces")
    if old.lstrip("\n") in BEFORE and old.strip():
        return Text("it put a line end before what it replaces")
    if old.strip() and " ".join(old.split()) in " ".join(BEFORE.split()):
        return Text("it wrote other white space than the file has, such as blanks for tabs")
    return Text("it retyped what it replaces, and made mistakes")


HARD_LINES = (
    r'path_{n} = "C:\\new\\table_{n}\\" + r"\d+\.\w{{2,{n}}}"',
    r"""say_{n} = 'it\'s "{n}"' + "it's \"{n}\"" + '''a "triple" one\n'''""",
    r'json_{n} = "{{\"key\": \"a \\\"quoted\\\" word\", \"n\": {n}}}"',
    r"sed -e 's/\\\(.*\)\\n/\"\1\"/{n}' < `cat \"f $HOME\\{n}\"` | tr '\t' \"'\"",
)
HARD_FILE = "\n".join(line.format(n=n) for n in range(1, 9) for line in HARD_LINES) + "\n"
"""About 1,000 tokens of quotes and backslashes."""


def file() -> Course:
    """A file full of quotes and backslashes, as an argument."""
    task = (
        "Create the file /workspace/hard.txt. Its content is what stands between the lines BEGIN "
        f"and END, letter by letter:\n\nBEGIN\n{HARD_FILE}END"
    )
    turn = yield _asked(schemas.FOR_SDK, task)
    try:
        arguments = called(turn, schemas.FOR_SDK, "file_editor")
    except _NotCalledError as missed:
        return missed.finding
    return judged_file(str(arguments.get("file_text", "")))


def judged_file(text: str) -> Finding:
    """Compare a file with what was asked for; a line end at its end does not matter."""
    wanted, got = HARD_FILE.rstrip("\n").split("\n"), text.rstrip("\n").split("\n")
    if wanted == got:
        return WELL
    number = next(
        (at for at, (one, other) in enumerate(zip(wanted, got, strict=False), 1) if one != other),
        min(len(wanted), len(got)) + 1,
    )
    line = got[number - 1] if number <= len(got) else ""
    did = Text(
        "line {number} of {count} came back as {line}",
        number=number,
        count=len(wanted),
        line=shorten(repr(line)),
    )
    return Finding(did, Text("OpenHands writes files with broken quotes or backslashes"), WEAK)


STOP_CURE = Text("Have the server keep the stop word, or set native_tool_calling = true")


def written() -> Course:
    """The tools of 0.41 written into the prompt, and a word at which the server is to stop."""
    system = f"{SYSTEM}\n\n{schemas.in_prompt(schemas.FOR_0_41)}"
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": f"Run the command `{ECHO}`."},
    ]
    turn = yield Ask(messages, options={"stop": [schemas.STOP_WORD]})
    _, begun, text = turn.text.partition("<function=")
    if not begun:
        did = Text("it did not write the call in the form that it was told")
        return Finding(
            did,
            NO_ACTION,
            Text("Set native_tool_calling = true, if it calls tools"),
            settings=AS_TOOLS,
        )
    text, _, rest = text.partition(schemas.STOP_WORD)
    if rest.lstrip("s> \n"):
        did = Text("it wrote on after {word}, where it is to stop", word=f"{schemas.STOP_WORD}>")
        return Finding(
            did,
            Text("OpenHands may read results that the model made up"),
            STOP_CURE,
            settings=AS_TOOLS,
        )
    name, _, body = text.partition(">\n")  # without a line end OpenHands reads no call
    arguments = parameters_in(body)
    if name != "execute_bash" or "command" not in arguments or not _fits(arguments):
        written = shorten(repr(begun + text))
        did = Text("it wrote a call that OpenHands cannot run: {call}", call=written)
        return Finding(did, ASKS_AGAIN, WEAK)
    return _is_command(arguments["command"])


def _fits(arguments: Mapping[str, str]) -> bool:
    """Tell whether a written call of the shell has no parameter and no word that there is not."""
    known = schemas.FOR_0_41[0]["function"]["parameters"]["properties"]
    return all(
        name in known and value in known[name].get("enum", (value,))
        for name, value in arguments.items()
    )


BROKEN = '{"command": "echo rea'


def history() -> Course:
    """A call that was broken off stands in the history, as OpenHands keeps it."""
    told = "error: the arguments of the call are no JSON"
    after = _call_and_result("call_broken", "terminal", BROKEN, told)
    yield _asked(schemas.FOR_SDK, f"Run the command `{ECHO}`.", *after)
    return WELL  # whatever it says, the server takes such a history


KEY = "7391"
FILLER = "This shelf holds old letters that nobody has read for years. "
LONG_WORDS = 8_200
"""About 9,000 tokens, as OpenAI's tokenizer counts."""
LONGEST_WORDS = 23_600
"""About 26,000 tokens: with an answer of 4,096 they fit into a context of 32,768, also where a
tokenizer counts a tenth more."""


def _prompt(words: int) -> str:
    return (
        f"The key of the archive is {KEY}. "
        + FILLER * (words // len(FILLER.split()))
        + "\n\nWhat is the key of the archive? Answer with the number alone."
    )


LONG = _prompt(LONG_WORDS)


def needle(words: int = LONG_WORDS) -> Course:
    """What stands at the beginning of a long prompt, and whether the server has read it all."""
    ask = Ask([{"role": "user", "content": _prompt(words)}])
    turn = yield ask
    if counts.is_cut(ask.messages, turn.usage):
        assert turn.usage is not None  # noqa: S101 - `is_cut` says so
        did = Text(
            "the server has read only {read} tokens of a prompt of {fewest} or more",
            read=f"{turn.usage.prompt_tokens:,}",
            fewest=f"{counts.fewest_tokens(ask.messages):,}",
        )
        return Finding(did, Text("OpenHands loses its task after a few steps"), CONTEXT_CURE)
    if KEY not in turn.text:
        did = Text("it did not find what the prompt begins with")
        cure = WEAK if counts.is_whole(ask.messages, turn.usage) else CONTEXT_CURE
        return Finding(did, Text("OpenHands loses its task in a long history"), cure)
    return WELL


def again() -> Course:
    """The same prompt again: how much of it comes from a cache."""
    turn = yield Ask([{"role": "user", "content": LONG}])
    if turn.usage is None:
        return Finding(note=Text("the server counts no tokens"))
    known = {"cached": f"{turn.usage.cached_tokens:,}", "tokens": f"{turn.usage.prompt_tokens:,}"}
    if turn.usage.cached_tokens:
        return Finding(note=Text("{cached} of {tokens} tokens came from a cache", **known))
    did = Text("none of {tokens} tokens came from a cache, as far as the server tells", **known)
    cure = Text(
        "vLLM tells it with --enable-prompt-tokens-details; else the provider may have none"
    )
    return Finding(did, Text("Each step pays for the whole history anew"), cure)


def extras() -> Course:
    """The parameters that the SDK adds, which LiteLLM drops where it knows that it must."""
    options = {"reasoning_effort": "high", "prompt_cache_key": "probe"}
    yield Ask([{"role": "user", "content": "Answer with the one word OK."}], options=options)
    return WELL


def parameters_in(text: str) -> dict[str, str]:
    """Return the parameters of a call that is written, by name; those without an end are none."""
    pieces = (each.partition(">") for each in text.split("<parameter=")[1:])
    values = {name: value.partition("</parameter>") for name, _, value in pieces}
    return {name: value for name, (value, end, _) in values.items() if end}


SIZE_REFUSALS = (BadRequestError, ContextLengthError, RequestTooLargeError)
TOO_LONG = Finding(Text("the prompt does not fit into the context"), STOPS, CONTEXT_CURE)
"""What it means where a server refuses a probe as too long: OpenHands' own prompts are longer."""

UNREAD = Finding(
    Text("the server could not read the call that the model wrote"),
    Text("OpenHands asks again, and gives up after some attempts"),
    NATIVE_CURE,
    settings=AS_TEXT,
)
"""What it means where a server answers with an error in place of a call."""

REFUSES_TOOLS = Finding(Text("the server refuses functions"), STOPS, NATIVE_CURE, settings=AS_TEXT)

PROBES = (
    Probe("call", Text("calls a function"), call, if_refused=REFUSES_TOOLS, is_sampled=True),
    Probe(
        "finish",
        Text("reads the result and finishes"),
        finish,
        most_requests=2,
        needs="call",
        if_refused=Finding(
            Text("the server refuses the result of a call"), STOPS, NATIVE_CURE, settings=AS_TEXT
        ),
        is_sampled=True,
    ),
    Probe(
        "edit",
        Text("edits a file exactly"),
        edit,
        most_requests=2,
        needs="call",
        if_refused=REFUSES_TOOLS,
        is_sampled=True,
    ),
    Probe(
        "file",
        Text("writes quotes and backslashes"),
        file,
        needs="call",
        if_refused=REFUSES_TOOLS,
        is_sampled=True,
    ),
    Probe(
        "written",
        Text("calls functions that the prompt describes"),
        written,
        if_refused=Finding(
            Text("the server refuses a stop word"),
            STOPS,
            Text("Set native_tool_calling = true"),
            settings=AS_TOOLS,
        ),
        is_sampled=True,
    ),
    Probe(
        "history",
        Text("goes on after a broken call"),
        history,
        needs="call",
        if_refused=Finding(
            Text("a history with a broken call is refused"),
            Text("One broken call ends the task"),
            Text("Set native_tool_calling = false"),
            settings=AS_TEXT,
        ),
        refusals=(BadRequestError, ToolsRefusedError, ServerError),
        takes_any_answer=True,
    ),
    Probe(
        "needle",
        Text("reads 9,000 tokens"),
        needle,
        if_refused=Finding(
            Text("the server refuses a prompt of 9,000 tokens"), STOPS, CONTEXT_CURE
        ),
        refusals=SIZE_REFUSALS,
    ),
    Probe("again", Text("caches what was sent before"), again, needs="needle"),
    Probe(
        "long",
        Text("reads 26,000 tokens"),
        partial(needle, LONGEST_WORDS),
        needs="needle",
        if_refused=Finding(
            Text("the server refuses a prompt of 26,000 tokens"), STOPS, CONTEXT_CURE
        ),
        refusals=SIZE_REFUSALS,
        is_long=True,
    ),
    Probe(
        "extras",
        Text("takes what the SDK adds"),
        extras,
        takes_any_answer=True,
        if_refused=Finding(
            Text("the server refuses reasoning_effort or prompt_cache_key"),
            Text("The current OpenHands stops at its first request; 0.41 sends neither to it"),
            Text("Write litellm_proxy/ before the model's name, or unset reasoning_effort"),
        ),
    ),
)
"""In the order in which they are made."""
