"""What a person sees of a request where text can only be added: a terminal, a console, a pipe."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from openhands_llm_magic.llm.events import Correcting, Event, Retrying, TextDelta, Throttled
from openhands_llm_magic.notebook.view import sanitize
from openhands_llm_magic.notebook.view.progress import Progress
from openhands_llm_magic.notebook.view.words import (
    TOLD_FROM_S,
    again_words,
    correcting_words,
    countdown_words,
    note_words,
    said_words,
    throttled_words,
)

if TYPE_CHECKING:
    from openhands_llm_magic.llm.events import Reply, ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock


class TerminalView:
    """Adds text as it arrives, with one line that rewrites itself during a wait."""

    def __init__(self, model: str, clock: Clock) -> None:
        self._progress = Progress(model, clock)
        self._told = self._progress.words
        self._status_width = 0
        self._at_line_start = True
        self._answer_began = False
        self._held = False
        # A pipe or a file cannot go back to a line's start; a kernel's console can.
        self._rewrites = sys.stdout.isatty() or "ipykernel" in sys.modules

    def update(self, event: Event, builder: ReplyBuilder) -> None:
        """Write a piece of the answer, or rewrite the status line."""
        self._progress.see(event, builder)
        match event:
            case TextDelta(text):
                self._erase_status()
                self._write(sanitize.to_plain(text))
                self._answer_began = True
            case Correcting(problem):
                self._end_line()
                self._write(f"({correcting_words(problem)})\n")
                self._answer_began = False
            case Retrying():
                self._end_line()
                if self._answer_began:
                    self._write(f"({again_words()})\n")
                    self._answer_began = False
                if not self._rewrites:
                    counted = countdown_words(event, event.wait_s)
                    self._write(f"{counted} ({said_words(event)})\n")
            case Throttled(remaining_s=remaining_s) if not self._rewrites:
                if remaining_s >= TOLD_FROM_S and not self._held:
                    self._write(throttled_words(event) + "\n")
                self._held = remaining_s > 0
            case _:
                pass
        self.tick()

    def tell(self, words: str) -> None:
        """Rewrite the status line with how far it is."""
        self._progress.done = words
        self.tick()

    def tick(self) -> None:
        """Rewrite the status line with what is waited for, where no text would be overwritten."""
        words = self._progress.words
        if words == self._told or not (self._rewrites and self._at_line_start):
            return
        self._told = words
        if words:
            said = self._progress.said
            self._show_status(f"{words} (Ctrl-C stops it) {said}".rstrip() if said else words)

    def render(self, reply: Reply) -> None:
        """Prepare the note."""
        self._note = note_words(reply)

    def finish(self) -> None:
        """End the line, and add the note."""
        self._erase_status()
        self._end_line()
        if self._note:
            self._write(f"({self._note})\n")

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._out(text)
            self._at_line_start = text.endswith("\n")

    def _show_status(self, words: str) -> None:
        # A line that wraps could not be rewritten.
        words = words[: shutil.get_terminal_size().columns - 1]
        self._out("\r" + words.ljust(self._status_width))
        self._status_width = len(words)

    def _erase_status(self) -> None:
        if self._status_width:
            self._out("\r" + " " * self._status_width + "\r")
            self._status_width = 0

    @staticmethod
    def _out(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
