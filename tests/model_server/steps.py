"""What a `ModelServer` can be told to do with a request."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from openhands_llm_magic.llm.practice import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openhands_llm_magic.llm.practice.wire import Call


@dataclass(frozen=True, slots=True)
class Answer(wire.Answer):
    """A correct answer, and how it is sent.

    Attributes:
        headers: HTTP headers to add, for instance `x-ratelimit-remaining-requests`.
        content_type: A wrong Content-Type to send in place of the right one.
        between_chunks: Called after each chunk of a stream with the number sent so far, so that
            a test can act at that moment. It must come back even when the test fails.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    between_chunks: Callable[[int], object] | None = None


def asks(*calls: Call, text: str = "", finish_reason: str = "tool_calls") -> Answer:
    """Make an answer that asks for functions."""
    return Answer(text, finish_reason=finish_reason, calls=calls)


def paced(text: str, *, bytes_per_s: float, piece: int) -> Answer:
    """Make an answer that comes at a pace; its clock starts with its first piece.

    Args:
        text: The answer, of ASCII characters.
        bytes_per_s: The pace.
        piece: The bytes of each piece.
    """
    began_s: list[float] = []

    def wait(sent: int) -> None:
        began_s.append(time.monotonic())
        due_s = began_s[0] + (sent - 1) * piece / bytes_per_s
        time.sleep(max(0.0, due_s + piece / bytes_per_s - time.monotonic()))

    pieces = tuple(text[at : at + piece] for at in range(0, len(text), piece))
    return Answer(chunks=pieces, between_chunks=wait)


@dataclass(frozen=True, slots=True)
class Refuse(wire.Refuse):
    """An error, and when it is sent.

    Attributes:
        after_chunks: Send it as an event of a stream that began with status 200, after so many
            chunks. A request that does not stream gets the plain error.
        of: The answer whose chunks come before.
    """

    after_chunks: int | None = None
    of: Answer = Answer()


@dataclass(frozen=True, slots=True)
class Cut:
    """An answer that breaks off.

    A request that does not stream gets half of the body where a stream gets some of the chunks.

    Attributes:
        after_chunks: Chunks that a stream sends first; None means 2, and for a reset that not a
            byte is sent.
        how: abort (the connection closes inside a chunked or counted body), close (a body that
            ends with the connection ends early), no_finish (a well-formed end without a reason to
            stop), done_only (nothing but the end mark, where the dialect has one), empty (no
            body), reset (a TCP reset).
        of: The answer that is cut.
    """

    after_chunks: int | None = None
    how: Literal["abort", "close", "no_finish", "done_only", "empty", "reset"] = "abort"
    of: Answer = Answer()


@dataclass(frozen=True, slots=True)
class Raw:
    """Any bytes, such as a page of HTML or a stream that is not well-formed."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence until the client hangs up or the server stops.

    Attributes:
        after_chunks: Chunks that a stream sends first; with 0 not even the status line comes.
        of: The answer that gets stuck.
    """

    after_chunks: int = 0
    of: Answer = Answer()


Step = Answer | Refuse | Cut | Raw | Hang
