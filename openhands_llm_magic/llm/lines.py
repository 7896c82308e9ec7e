"""The lines of a streamed body, each with its JSON whole.

LiteLLM drops a line that it cannot read, and the answer goes on with a hole in it. Some such lines
were whole when they were sent: httpx ends a line wherever Python's `str.splitlines` does, also at
U+2028, U+2029 and U+0085 in a text, which JSON allows as they are (RFC 8259, 7).
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SEPARATOR = r"\u2028"
"""What stands for the separator that httpx took away: U+2028 in JSON."""

NO_DATA: Mapping[str, Any] = {}


def whole_lines(lines: Iterable[Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Give each line with its data, after putting lines together that belong together.

    Args:
        lines: Of server-sent events or of one JSON object each; what is no single line of text
            passes as it is.

    Raises:
        ValueError: The JSON of a line cannot be read.
    """
    held = ""
    for line in lines:
        if not isinstance(line, str) or "\n" in line:
            yield line, NO_DATA
            continue
        whole = held + SEPARATOR + line if held else line
        try:
            data = _data_in(whole)
        except ValueError:
            if held and _is_another(line, held):
                raise
            held = whole
        else:
            held = ""
            yield whole, data
    if held:
        _data_in(held)


def _data_in(line: str) -> Mapping[str, Any]:
    """Return the JSON object that a line holds.

    The bare brace of a body that is laid out over several lines is none.
    """
    is_event = line.startswith("data:")
    text = line.removeprefix("data:").lstrip() if is_event else line
    begins = text.startswith("{" if is_event else '{"')
    data: Mapping[str, Any] = json.loads(text) if begins else NO_DATA
    return data


def _is_another(line: str, held: str) -> bool:
    """Tell whether a line begins the next object, so that no more of the one held comes."""
    if held.startswith("data:"):
        return line.startswith("data:")
    with contextlib.suppress(ValueError):
        return _data_in(line) is not NO_DATA
    return False
