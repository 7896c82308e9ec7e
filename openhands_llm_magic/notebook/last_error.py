"""The last exception of the person's own code, kept as text so that it keeps no variables alive."""

from __future__ import annotations

import contextlib
import itertools
import linecache
import os
import re
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError as IPythonUsageError

from openhands_llm_magic.errors import LLMMagicError

if TYPE_CHECKING:
    from collections.abc import Iterator

_STANDARD_LIBRARY = str(Path(traceback.__file__).parent) + os.sep
_CALLERS = re.compile(r"(?:IPython|ipykernel)[/\\]")
_PACKAGES = re.compile(r"\A.*[/\\](?:site|dist)-packages[/\\]", re.DOTALL)

NONE_YET = "there is no exception to explain: run `%llm_error` after a cell that failed."


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception, as text.

    Attributes:
        title: Its class and the first line of its message.
        traceback: As Python writes it, without the values of variables.
        cells: The cells that it passed through, each with what the traceback calls it.
    """

    title: str
    traceback: str
    cells: tuple[tuple[str, str], ...]


class LastError:
    """What `%llm_error` explains.

    An error of ours, or of a magic that was called wrongly, is one line that says what to do. It
    leaves the person's own exception in its place, which so can be asked about again. One that a
    thread ended with counts as well. One that was caught and printed is known to nobody.

    Args:
        shell: The session. What has failed in it before counts, too.

    Attributes:
        own: The last exception with a traceback of the person's own, or None.
        line: That of an error that is one line and came after it, or "".
        is_of_last_cell: Whether the cell that ran last has failed with it.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._seen: BaseException | None = None  # sys.last_value keeps it anyway
        self.own: Failure | None = None
        self.line = ""
        self.is_of_last_cell = False
        self._hook_before = threading.excepthook
        self._hook = self._note_thread  # the same object each time, so that it is known again
        threading.excepthook = self._hook

    def close(self) -> None:
        """Hear of threads no more."""
        if threading.excepthook is self._hook:
            threading.excepthook = self._hook_before

    def pass_over(self, error: BaseException) -> None:
        """Take no notice of an error that says that there is none to explain."""
        self._seen = error

    def _note_thread(self, ended: threading.ExceptHookArgs) -> None:
        """Note what a thread has ended with, and show it as before."""
        error = ended.exc_value
        if error is not None and not isinstance(error, SystemExit | LLMMagicError):
            with contextlib.suppress(Exception):  # the traceback must be shown in any case
                self.own, self.line = failure(error, "", self._shell), ""
                self.is_of_last_cell = False
        self._hook_before(ended)

    def note(self, cell: str) -> None:
        """Note the exception that was raised last, if it was not noted before.

        Args:
            cell: The cell that has just run, as it was typed, or "" when that is not known.
        """
        # Not the cell's result: `%run` and `%%time` show an exception and end without one.
        error = getattr(sys, "last_value", None)
        self.is_of_last_cell = error is not None and error is not self._seen
        if not self.is_of_last_cell or error is None:
            return
        self._seen = error
        if not isinstance(error, LLMMagicError | IPythonUsageError):
            self.own, self.line = failure(error, cell, self._shell), ""
        else:
            self.line = f"{type(error).__name__}: {error}"


def failure(error: BaseException, cell: str, shell: Any) -> Failure:
    """Write an exception as text.

    Args:
        error: It.
        cell: The cell that failed, as it was typed, or "" when that is not known.
        shell: The session, which knows its cells by the names of files in the traceback.
    """
    written = traceback.TracebackException.from_exception(error)
    files: dict[str, str] = {}
    for one in _chain(written):
        for frame in one.stack:
            if _cell_name(frame.filename, shell) and frame.filename not in files:
                files[frame.filename] = "".join(linecache.getlines(frame.filename))
        _tidy(one, shell)
    as_run = _as_run(cell, shell)
    failed = next((file for file, source in files.items() if source.strip() == as_run), None)
    cells = [(_cell_name(file, shell), files[file]) for file in files if file != failed]
    if cell.strip():
        cells.insert(0, (_cell_name(failed or "", shell) or "The cell", cell))
    return Failure(title_of(error), "".join(written.format()), tuple(cells))


def title_of(error: BaseException) -> str:
    """Return an exception's class and the first line of its message."""
    lines = "".join(traceback.format_exception_only(error)).splitlines()
    return next(line for line in lines if not line.startswith(" "))


def traceback_of(error: BaseException, shell: Any) -> str:
    """Write an exception with its traceback, cells by their names, the same from run to run.

    Args:
        error: It.
        shell: The session, or None where there is none.
    """
    written = traceback.TracebackException.from_exception(error)
    for one in _chain(written):
        _tidy(one, shell)
    return "".join(written.format())


def _tidy(written: Any, shell: Any) -> None:
    """Name cells as IPython does, leave out its own frames that call them, shorten paths."""
    first = itertools.takewhile(
        lambda frame: _CALLERS.match(short_path(frame.filename)), written.stack
    )
    del written.stack[: len(list(first))]
    for each in (*written.stack, written):
        if getattr(each, "filename", None):  # of an exception, if it is a SyntaxError
            each.filename = _cell_name(each.filename, shell) or short_path(each.filename)
    written.stack = written.stack or None  # without frames it has no traceback


def _chain(written: Any) -> Iterator[Any]:
    """Yield an exception and all that Python shows with it."""
    yield written
    context = None if written.__suppress_context__ else written.__context__
    for other in (written.__cause__, context, *(written.exceptions or ())):
        if other is not None:
            yield from _chain(other)


def _cell_name(file: str, shell: Any) -> str:
    """Name a cell, such as "Cell In[3]", by the file that it is in a traceback; "" for others."""
    return " ".join(shell.compile.format_code_name(file) or ()) if shell else ""


def _as_run(cell: str, shell: Any) -> str:
    """Return a cell as IPython runs it, its magics made into Python."""
    try:
        return str(shell.transform_cell(cell)).strip()
    except SyntaxError:
        return cell.strip()


def short_path(path: str) -> str:
    """Shorten the path of a library's file to what tells something, and hide the home folder."""
    short = _PACKAGES.sub("", path).removeprefix(_STANDARD_LIBRARY)
    home = os.path.expanduser("~") + os.sep  # noqa: PTH111 - Path's fails where there is no home
    return "~" + os.sep + short.removeprefix(home) if short.startswith(home) else short
