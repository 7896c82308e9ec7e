"""Film a cell while it runs: one picture each time it changes, put together as an animated GIF.

A GIF, because GitHub gives it a button that stops it, and shows it still to whoever wants less
motion; it does neither for other animated pictures.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from browser.lab import SCALE
from browser.picture import Picture, hide_active_cell, reduced, take
from browser.server import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from browser.lab import Notebook

LAST_FRAME_S = 4.0
"""How long a film shows its end before it starts again."""

HEIGHT = 500
"""Of the window's part that is filmed, in CSS pixels; a film is as high as its cells become."""

TICK_S = 0.01
"""What a GIF counts time in."""


@dataclass(frozen=True)
class Frame:
    """One picture of a film.

    Attributes:
        picture: All that is filmed.
        text: What a person reads in the cell that runs.
        height: That of all cells as far as that one, in CSS pixels.
        at_s: When it was taken, by a clock.
    """

    picture: Picture
    text: str
    height: float
    at_s: float


def film(notebook: Notebook, cell: int, *, first: str) -> list[Frame]:
    """Film a notebook from its first cell to one that runs or is about to, until all is idle.

    Args:
        notebook: The notebook.
        cell: The cell that runs.
        first: Nothing is filmed before that cell shows this. Some viewers show no other frame.
    """
    hide_active_cell(notebook)
    deadline_s = time.monotonic() + PATIENCE_S
    frames: list[Frame] = []
    is_running = True
    while is_running:
        assert time.monotonic() < deadline_s, "a cell runs and runs"
        is_running = not notebook.idle
        text = notebook.cell(cell).inner_text()
        area = notebook.area(0, cell)
        picture = take(notebook, area, HEIGHT)
        frame = Frame(picture, text, area["height"], time.monotonic())
        if frames and picture.image == frames[-1].picture.image:
            frames[-1] = replace(frame, at_s=frames[-1].at_s)  # it was taken just after a change
        elif frames or first in text:
            frames.append(frame)
    assert frames, f"{first!r} was never seen: {notebook.outputs}"
    return frames


def seconds_of(frames: Sequence[Frame]) -> list[float]:
    """Return for how long each picture is shown."""
    return [after.at_s - before.at_s for before, after in pairwise(frames)] + [LAST_FRAME_S]


def animated(frames: Sequence[Frame]) -> bytes:
    """Put the pictures together as a GIF that starts again at its end."""
    bottom = max(_pixels(frame.height) for frame in frames)
    first, *others = reduced([frame.picture.cropped(0, bottom).image for frame in frames])
    ticks = [max(2, round(shown_s / TICK_S)) for shown_s in seconds_of(frames)]
    times_ms = [round(each * TICK_S * 1000) for each in ticks]  # browsers slow down shorter ones
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=others, duration=times_ms, loop=0)
    return out.getvalue()


def still(frames: Sequence[Frame], above: float) -> Picture:
    """Return the first picture and, below it, the end of the last cell.

    Args:
        frames: The film.
        above: The height of all cells above that one, in CSS pixels.
    """
    first, last = frames[0], frames[-1]
    end = last.picture.cropped(_pixels(above), _pixels(last.height))
    return first.picture.cropped(0, _pixels(first.height)).above(end)


def _pixels(height: float) -> int:
    return round(height * SCALE)
