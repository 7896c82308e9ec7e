"""The pictures of the README, and that they show what they are there for: `make images`."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest
from browser.film import Film, animated, film_all
from browser.lab import DARK, LIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from browser.conftest import OpenNotebook
    from browser.film import Frame

FILMS = {"wait.png": LIGHT, "wait-dark.png": DARK}
"""The name of each film's file, and the theme it is taken in."""

LOAD = "%load_ext openhands_llm_magic"
WAIT = '%%llm -m practice/rate-limited\nWhat does {"temperature": 0} change?'
ANSWER = "%%llm -m practice/markdown\nShow me some Markdown."

PRICED = "%llm_config input_cost_per_token=0.000003 output_cost_per_token=0.000015"
PAID = "%%llm -m practice/echo\nWhat does this cost?"
CHEAP = "%llm -m practice/markdown --output-cost-per-token 0.000005 Show me some Markdown."
SPENT = "%llm_usage --session --plot"

FILM_HEIGHT = 285
"""Height of every frame, in CSS pixels: room for the cells and the answer."""

PLAY = """async data => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const decoder = new ImageDecoder({data: bytes, type: "image/png"});
    await decoder.tracks.ready;
    await decoder.completed;
    const frames = decoder.tracks.selectedTrack.frameCount;
    const durations = [];
    for (let frameIndex = 0; frameIndex < frames; frameIndex++)
        durations.push((await decoder.decode({frameIndex})).image.duration / 1e6);
    return durations;
}"""  # in seconds


def test_waits_are_counted_down(notebook: OpenNotebook, images: Path) -> None:
    """Each film begins with the countdown, ends with the answer, and plays in a browser."""
    opened = {name: notebook(LOAD, WAIT, theme=theme) for name, theme in FILMS.items()}
    films = {
        name: Film(one, first="retry 1 of 4", height=FILM_HEIGHT) for name, one in opened.items()
    }
    for one in opened.values():
        one.run_all()
    film_all(list(films.values()))
    for name, film in films.items():
        picture = animated(film.frames)
        (images / name).write_bytes(picture)
        played = opened[name].page.evaluate(PLAY, base64.b64encode(picture).decode())

        assert_that_it_shows_a_wait(film.frames)
        assert played == pytest.approx([frame.shown_s for frame in film.frames], abs=0.001)
        assert opened[name].errors == []


def assert_that_it_shows_a_wait(frames: Sequence[Frame]) -> None:
    found = [re.search(r"Rate limit \(429\): retry 1 of 4 in (\d+) s", f.text) for f in frames]
    countdown = [int(match[1]) for match in found if match]

    assert frames[0].text.startswith("[*]:")
    assert len(set(countdown)) > 1
    assert countdown == sorted(countdown, reverse=True)
    assert frames[-1].text.startswith("[2]:")
    assert "waited 6 s for a rate limit, 2 retries" in frames[-1].text


def test_an_answer_is_rendered(notebook: OpenNotebook, images: Path) -> None:
    opened = notebook(LOAD, ANSWER)
    opened.run_all()
    opened.wait_for_idle()
    formulas = opened.output(1).locator("mjx-container")
    formulas.nth(1).wait_for()
    (images / "answer.png").write_bytes(opened.picture())

    assert formulas.count() == 2
    assert "$" not in opened.outputs[1]
    assert opened.output(1).locator("table").is_visible()
    assert opened.output(1).locator(".highlight").is_visible()
    assert opened.errors == []


def test_what_was_spent_is_drawn(notebook: OpenNotebook, images: Path) -> None:
    """An answer with its line, and the table and the picture of the session."""
    opened = notebook(LOAD, PRICED, CHEAP, PAID, SPENT, height=1500)
    opened.run_all()
    opened.wait_for_idle()
    picture = opened.output(4).locator("img")
    picture.wait_for()
    (images / "money.png").write_bytes(opened.picture(first=3))

    assert "tokens in" in opened.outputs[3]
    assert "$0.0" in opened.outputs[3]
    assert "practice/markdown" in opened.outputs[4]
    assert picture.evaluate("image => image.naturalWidth") > 0
    assert opened.errors == []
