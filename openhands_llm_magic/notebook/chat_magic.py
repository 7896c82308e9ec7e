"""`%llm_chat`: list, show, forget and export the conversations of this session."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import files
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text, UsageError, reason_of
from openhands_llm_magic.llm.conversations import fenced, text_of
from openhands_llm_magic.notebook import arguments, scope
from openhands_llm_magic.notebook.language import print_texts
from openhands_llm_magic.notebook.line import words as split_words
from openhands_llm_magic.notebook.wording import call_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.llm.conversations import Conversations, Turn

HELP = Text("""List, show, forget and export the conversations of this session.

    %llm_chat                       each conversation by its name, with its turns
    %llm_chat NAME                  what was said in it
    %llm_chat --forget NAME         forget it; without a name, forget all
    %llm_chat --export NAME PATH    write it to a Markdown file that does not exist yet

`%%llm --chat NAME` begins one or goes on with it; `%%llm -c` goes on from the last answer, in the
conversation that it belongs to. They are kept in memory, and end with the kernel.
""")

OPTIONS = ("--forget", "--export")

NONE_YET = "There is no conversation yet: `%%llm --chat NAME` begins one."

MOST_CALLED = 2_000
"""Characters of a call of a function."""

MOST_SHOWN = 60
"""Characters of the last prompt that the list shows."""


def run(
    line: str, chats: Conversations, shell: Any, local: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Run one `%llm_chat` line; `local` are the variables of the function that it stands in.

    Raises:
        UsageError: The line is not one of those in `HELP`, or there is no such conversation.
    """
    words = split_words(line, OPTIONS)
    own = scope.variables_of(shell, local).own
    match words[:1] + arguments.with_variables(words[1:], own, "%llm_chat"):
        case []:
            print_texts(*map(_listed, chats.named.items()) if chats.named else [Text(NONE_YET)])
        case ["--forget"]:
            chats.forget_all()
            print_texts(Text("All conversations are forgotten."))
        case ["--forget", name]:
            _turns(name, chats)
            chats.forget(name)
            print_texts(Text("{name} is forgotten.", name=name))
        case ["--export", name, path]:
            _export(_turns(name, chats), path)
            print_texts(Text("{name} is in {path}.", name=name, path=path))
        case [word] if not word.startswith("-"):
            name = arguments.put_in(word, own, "%llm_chat")
            _show(_turns(name, chats), shell)
        case _:
            raise UsageError("write `%llm_chat`, with a name, --forget or --export; see its help.")


def _listed(item: tuple[str, Sequence[Turn]]) -> Text:
    name, turns = item
    last = shorten(" ".join(text_of(turns[-1].prompt).split()), MOST_SHOWN)
    told = "{name}  1 turn  {last}" if len(turns) == 1 else "{name}  {count} turns  {last}"
    return Text(told, name=name, count=len(turns), last=last)


def _turns(name: str, chats: Conversations) -> Sequence[Turn]:
    if name not in chats.named:
        known = ", ".join(chats.named) or Text("none")
        told = "there is no conversation {name}; there are: {known}."
        raise UsageError(Text(told, name=repr(name), known=known))
    return chats.named[name]


def _markdown(turns: Sequence[Turn]) -> str:
    """Write a conversation, each prompt as a quotation above its answer."""
    return "\n\n---\n\n".join("\n\n".join(_parts(turn)) for turn in turns)


def _parts(turn: Turn) -> list[str]:
    """Write the prompt of a turn, each function that was called, and the answer."""
    called = [
        fenced(f"{call_words(call.name, call.arguments, MOST_CALLED)}\n{call.answer}")
        for call in turn.calls
    ]
    return [_quoted(turn), *called, turn.answer]


def _quoted(turn: Turn) -> str:
    return "\n".join(f"> {line}" for line in text_of(turn.prompt).split("\n"))


def _show(turns: Sequence[Turn], shell: Any) -> None:
    from openhands_llm_magic.notebook.view import display, sanitize  # noqa: PLC0415 - rendering is rare here

    # Each by itself: a code block that an answer leaves open ends there.
    html = "<hr>".join("".join(map(sanitize.to_html, _parts(turn))) for turn in turns)
    display.show_both(shell, text=sanitize.to_plain(_markdown(turns)), html=html)


def _export(turns: Sequence[Turn], path: str) -> None:
    opener = partial(os.open, mode=files.OWNER_ONLY)  # prompts and answers are the person's own
    try:
        with open(
            Path(path).expanduser(), "x", encoding="utf-8", newline="\n", opener=opener
        ) as file:
            file.write(_markdown(turns) + "\n")
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in it; nobody's home folder
        told = "{path}: {why}. Name a new file, in a folder that exists."
        raise UsageError(Text(told, path=path, why=reason_of(error))) from None
