"""What stands in a model's text: code blocks, and JSON."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import FormatError, Text
from openhands_llm_magic.llm.explain import KEPT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_QUOTED = 80
"""Characters of an answer that an error quotes."""

PYTHON = ("python", "python3", "py", "py3", "ipython", "ipython3")
"""What models call the language of a notebook's cells."""


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of Markdown.

    Attributes:
        language: As it is named, in lower case; "" for none.
        content: What stands in it, without the last newline.
    """

    language: str
    content: str


def blocks_in(text: str) -> list[Block]:
    """Find the code blocks of an answer that are not empty, also those within lists."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - it takes 15 ms to import

    words = ((token.info.split(), token.content) for token in _fences(MarkdownIt, text))
    return [
        Block(info[0].lower() if info else "", content.rstrip("\n"))
        for info, content in words
        if content.strip()
    ]


def _fences(parser: Any, text: str) -> Iterator[Any]:
    tokens = parser("commonmark").disable("inline").parse(text)
    return (token for token in tokens if token.type == "fence")


def unfenced(text: str) -> str:
    """Return what stands in the code blocks of an answer, or all of it if there are none."""
    return "\n".join(block.content for block in blocks_in(text)) or text.strip()


def code_in(text: str) -> str:
    """Return the code of an answer, for a cell.

    That is Python, if any block is; else all blocks of the first one's language, or an answer
    without blocks that is Python as a whole.

    Raises:
        FormatError: There is not any.
    """
    blocks = blocks_in(text)
    if any(block.language in PYTHON for block in blocks):
        return "\n\n".join(block.content for block in blocks if block.language in PYTHON)
    if blocks:
        return "\n\n".join(
            block.content for block in blocks if block.language == blocks[0].language
        )
    if text.strip() and _is_python(text):
        return text.strip()
    raise _missing("code", text)


def _is_python(text: str) -> bool:
    """Tell whether a text is Python; lines of IPython's magics and shell commands may be in it."""
    lines = (line for line in text.strip().splitlines() if not line.startswith(("%", "!")))
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a NUL; nested too deeply
        return False
    return True


def json_in(text: str) -> Any:
    """Return the JSON of an answer, also when it stands in a code block, or after a sentence.

    Raises:
        FormatError: There is not any.
    """
    for candidate in _candidates(text):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):  # nested too deeply
            continue
    raise _missing("JSON", text)


def _candidates(text: str) -> Iterator[str]:
    yield text
    yield from (block.content for block in blocks_in(text))
    begins = [text.find(mark) for mark in "{[" if mark in text]
    end = max(text.rfind(mark) for mark in "}]")
    if begins and end > min(begins):
        found = text[min(begins) : end + 1]
        # A footnote's "[1]" is no answer.
        if found.startswith("{") or 2 * len(found) >= len(text.strip()):
            yield found


def _missing(what: str, text: str) -> FormatError:
    said = repr(shorten(" ".join(text.split()), MOST_QUOTED))
    told = "the answer is no {what}: {said}. Its text is in {kept_in}; ask for {what} alone."
    return FormatError(
        Text(told, what=what, said=said, kept_in=Text(KEPT_IN)), problem=f"it is no {what}"
    )
