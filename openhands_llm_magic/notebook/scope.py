"""Which variables a prompt can name: the notebook's, and those of the function that it stands in.

To Python a prompt is text, so a function keeps no variable of the function around it for a prompt's
sake. Those of a function that still runs are found in its frame; of one that has returned only the
names are known.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

_OF_IPYTHON = re.compile(r"In|Out|_{1,3}|_\d+")
"""Names of IPython's that a prompt may use beside the person's own: cells and their values."""

MAGICS_ARE_RUN_BY = ("run_line_magic", "run_cell_magic")
"""The functions of IPython that a cell's code calls for a magic."""

WITHIN = "<locals>"
"""What stands in a function's qualified name between the function around it and its own."""


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables that a prompt can name.

    Attributes:
        own: The person's: those of the notebook, and of the functions that the prompt stands in.
        unkept: Those of functions that have returned, each with the name of its function.
    """

    own: Mapping[str, object]
    unkept: Mapping[str, str] = field(default_factory=dict)


def variables_of(shell: Any, local: Mapping[str, object]) -> Variables:
    """Return the person's variables; one that a startup file defined counts once it is redefined.

    Args:
        shell: The session.
        local: The variables of the function that the prompt stands in; none in a cell.
    """
    hidden = shell.user_ns_hidden
    own = {
        name: value
        for name, value in shell.user_ns.items()
        if name not in hidden or hidden[name] is not value or _OF_IPYTHON.fullmatch(name)
    }
    frame = _of_caller() if local else None
    if frame is None:
        return Variables({**own, **local})
    for around in _around(frame):
        own |= {name: value for name, value in around.items() if name not in local}
    own |= local
    unkept = {name: function for name, function in _named_around(frame) if name not in own}
    return Variables(own, unkept)


def _of_caller() -> FrameType | None:
    """Return the frame of the code that the magic stands in."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - IPython finds local variables by it
    while frame is not None and frame.f_code.co_name not in MAGICS_ARE_RUN_BY:
        frame = frame.f_back
    return frame.f_back if frame is not None else None


def _around(frame: FrameType) -> list[Mapping[str, object]]:
    """List the variables of the functions around, as far as they run, the outermost first."""
    found: list[Mapping[str, object]] = []
    inner, caller = frame.f_code, frame.f_back
    while caller is not None and caller.f_locals is not caller.f_globals:
        if inner in caller.f_code.co_consts:
            found.insert(0, dict(caller.f_locals))
            inner = caller.f_code
        caller = caller.f_back
    return found


def _named_around(frame: FrameType) -> Iterator[tuple[str, str]]:
    """Yield the variables of all functions around by name, each with that of its function."""
    found: Any = None
    for name in frame.f_code.co_qualname.split("."):
        if name == WITHIN:
            code = found if isinstance(found, CodeType) else getattr(found, "__code__", None)
            if code is None:
                return
            yield from ((each, code.co_name) for each in (*code.co_varnames, *code.co_cellvars))
            found = code
        elif isinstance(found, CodeType):
            inner = [each for each in found.co_consts if isinstance(each, CodeType)]
            found = next((each for each in inner if each.co_name == name), None)
        else:
            found = frame.f_globals.get(name) if found is None else getattr(found, name, None)
