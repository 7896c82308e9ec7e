"""`%llm_chat`: list, show, forget and export the conversations of this session."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.conversations import text_of
from openhands_llm_magic.notebook import arguments, scope
from openhands_llm_magic.notebook.line import words as split_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openhands_llm_magic.llm.conversations import Conversations, Turn

HELP = """List, show, forget and export the conversations of this session.

    %llm_chat                       each conversation by its name, with its turns
    %llm_chat NAME                  what was said in it
    %llm_chat --forget NAME         forget it; without a name, forget all
    %llm_chat --export NAME PATH    write it to a Markdown file that does not exist yet

`%%llm --chat NAME` begins one or goes on with it; `%%llm -c` goes on from the last answer, in the
conversation that it belongs to. They are kept in memory, and end with the kernel.
"""

OPTIONS = ("--forget", "--export")

NONE_YET = "There is no conversation yet: `%%llm --chat NAME` begins one."

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
            _tell("\n".join(map(_listed, chats.named.items())) or NONE_YET)
        case ["--forget"]:
            chats.forget_all()
            _tell("All conversations are forgotten.")
        case ["--forget", name]:
            _turns(name, chats)
            chats.forget(name)
            _tell(f"{name} is forgotten.")
        case ["--export", name, path]:
            _export(_turns(name, chats), path)
            _tell(f"{name} is in {path}.")
        case [word] if not word.startswith("-"):
            name = arguments.put_in(word, own, "%llm_chat")
            _show(_turns(name, chats), shell)
        case _:
            raise UsageError("write `%llm_chat`, with a name, --forget or --export; see its help.")


def _tell(text: str) -> None:
    print(text)  # noqa: T201 - a magic's output


def _listed(item: tuple[str, Sequence[Turn]]) -> str:
    name, turns = item
    last = shorten(" ".join(text_of(turns[-1].prompt).split()), MOST_SHOWN)
    return f"{name}  {len(turns)} {'turn' if len(turns) == 1 else 'turns'}  {last}"


def _turns(name: str, chats: Conversations) -> Sequence[Turn]:
    if name not in chats.named:
        known = ", ".join(chats.named) or "none"
        raise UsageError(f"there is no conversation {name!r}; there are: {known}.")
    return chats.named[name]


def _markdown(turns: Sequence[Turn]) -> str:
    """Write a conversation, each prompt as a quotation above its answer."""
    return "\n\n---\n\n".join(f"{_quoted(turn)}\n\n{turn.answer}" for turn in turns)


def _quoted(turn: Turn) -> str:
    return "\n".join(f"> {line}" for line in text_of(turn.prompt).split("\n"))


def _show(turns: Sequence[Turn], shell: Any) -> None:
    from openhands_llm_magic.notebook.view import display, sanitize  # noqa: PLC0415 - rendering is rare here

    # Each by itself: a code block that an answer leaves open ends there.
    html = "<hr>".join(
        sanitize.to_html(_quoted(turn)) + sanitize.to_html(turn.answer) for turn in turns
    )
    display.show_both(shell, text=sanitize.to_plain(_markdown(turns)), html=html)


def _export(turns: Sequence[Turn], path: str) -> None:
    try:
        with Path(path).expanduser().open("x", encoding="utf-8", newline="\n") as file:
            file.write(_markdown(turns) + "\n")
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in it; nobody's home folder
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: {reason}. Name a file that does not exist.") from None
