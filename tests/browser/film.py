"""Film a cell while it runs: one picture each time it changes, put together as an animated PNG."""

from __future__ import annotations

import struct
import time
import zlib
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TYPE_CHECKING

from browser.server import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from browser.lab import Notebook

LAST_FRAME_S = 5.0
"""How long a film shows its end before it starts again."""


@dataclass(frozen=True)
class Frame:
    """One picture of a film.

    Attributes:
        png: All cells of the notebook, as a PNG.
        text: What a person reads in the last cell.
        shown_s: Seconds until the next picture.
    """

    png: bytes
    text: str
    shown_s: float


class Film:
    """A film of a notebook whose last cell runs or is about to.

    Args:
        notebook: The notebook.
        first: Nothing is filmed before the last cell shows this. Some viewers show no other frame.
        height: Of every frame, in CSS pixels.
    """

    def __init__(self, notebook: Notebook, *, first: str, height: float) -> None:
        self._notebook, self._first, self._height = notebook, first, height
        self._pngs: list[bytes] = []
        self._texts: list[str] = []
        self._times_s: list[float] = []

    def take(self) -> bool:
        """Take a frame, if it shows something new; tell whether it is the last: nothing runs."""
        idle = self._notebook.idle
        text = self._notebook.cell(-1).inner_text()
        png = self._notebook.picture(height=self._height)
        if self._pngs[-1:] == [png]:
            self._texts[-1] = text  # the picture before may have been taken just after a change
        elif self._pngs or self._first in text:
            self._pngs.append(png)
            self._texts.append(text)
            self._times_s.append(time.monotonic())
        return idle

    @property
    def frames(self) -> list[Frame]:
        """All that was taken."""
        assert self._pngs, f"{self._first!r} was never seen: {self._notebook.outputs}"
        shown_s = [after - before for before, after in pairwise(self._times_s)] + [LAST_FRAME_S]
        return [Frame(*one) for one in zip(self._pngs, self._texts, shown_s, strict=True)]


def film_all(films: Sequence[Film]) -> None:
    """Film several notebooks at once, each until it is idle."""
    deadline = time.monotonic() + PATIENCE_S
    running = list(films)
    while running:
        assert time.monotonic() < deadline, "a cell runs and runs"
        running = [film for film in running if not film.take()]


def animated(frames: Sequence[Frame]) -> bytes:
    """Put pictures of one size together, as the third edition of the PNG specification says."""
    header = next(_chunks(frames[0].png))[1]
    out = [(b"IHDR", header), (b"acTL", struct.pack(">II", len(frames), 0))]
    number = count()
    for index, frame in enumerate(frames):
        times = (round(frame.shown_s * 1000), 1000)
        control = struct.pack(">I8s2I2H2B", next(number), header[:8], 0, 0, *times, 0, 0)
        out.append((b"fcTL", control))
        pixels = (data for kind, data in _chunks(frame.png) if kind == b"IDAT")
        out += (
            (b"fdAT", struct.pack(">I", next(number)) + data) if index else (b"IDAT", data)
            for data in pixels
        )
    out.append((b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in out
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the data of each chunk."""
    at = 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += length + 12
