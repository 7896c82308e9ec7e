"""The pictures of the README, and that they show what they are there for: `make images`."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest
from browser.film import animated, film, seconds_of, still
from browser.lab import LIGHT
from browser.picture import ELSEWHERE, LANGUAGES, LOADED, SPEAKS, THEMES, hide_active_cell, take

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from browser.conftest import OpenNotebook
    from browser.film import Frame
    from browser.lab import Notebook

LOAD = "%load_ext openhands_llm_magic"
PACE = """
from dataclasses import replace
from openhands_llm_magic.llm.practice import models, server
models.MODELS["rate-limited"] = replace(models.MODELS["rate-limited"], word_by_word=True)
server.running()._responder._pause_s = 0.06
"""
"""Lets the practice provider write as a language model does; it is done at once otherwise."""

WAIT = {
    "en": '%%llm -m practice/rate-limited\nWhat does {"temperature": 0} change?',
    "ja": '%%llm -m practice/rate-limited\n{"temperature": 0} にすると、何が変わりますか。',
}
WAITS = {
    "en": r"Rate limit \(429\): retry 1 of 4 in (\d+) s",
    "ja": r"(\d+) 秒後に再試行",
}
WAITED = {
    "en": "waited 6 s for a rate limit, 2 retries",
    "ja": "再試行 2 回",
}
BEGUN = "▰▰▰▱▱▱▱▱▱▱\n\nRate limit reached for requests. Please try again in 3s.\n\n"
"""What stands above the buttons once they can be clicked, and a second has been waited."""

RETRY_NOW = {"en": "Retry now", "ja": "今すぐ再試行"}
ANSWER = "%%llm -m practice/markdown\nShow me some Markdown."

PRICED = "%llm_config input_cost_per_token=0.000003 output_cost_per_token=0.000015"
PAID = {
    "en": "%%llm -m practice/echo\nWhat does this cost?",
    "ja": "%%llm -m practice/echo\n費用はいくらですか。",
}
CHEAP = "%llm -m practice/markdown --output-cost-per-token 0.000005 Show me some Markdown."
SPENT = "%llm_usage --session --plot"

PROBE = "%llm_probe -m practice/agent -m practice/agent-forgets"

PLAY = """async data => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const decoder = new ImageDecoder({data: bytes, type: "image/gif"});
    await decoder.tracks.ready;
    await decoder.completed;
    const track = decoder.tracks.selectedTrack;
    const durations = [];
    for (let frameIndex = 0; frameIndex < track.frameCount; frameIndex++)
        durations.push((await decoder.decode({frameIndex})).image.duration / 1e6);
    return [durations, track.repetitionCount];
}"""  # in seconds


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_wait_is_filmed(notebook: OpenNotebook, images: Path, language: str, theme: str) -> None:
    """The picture begins with the countdown, ends with the answer, and plays in a browser.

    Beside it is a still of the beginning and the end. Where that shows nothing new, neither does
    the film, whose frames come at other moments in each run.
    """
    begin = SPEAKS.format(language) + PACE
    opened = notebook(LOAD, WAIT[language], ELSEWHERE, theme=theme, startup=begin)
    opened.run_all()
    frames = film(opened, 1, first=BEGUN + RETRY_NOW[language])
    name = f"wait{LANGUAGES[language]}{THEMES[theme]}"
    picture, file = animated(frames), images / f"{name}.gif"
    above = opened.area(1, 1)["y"] - opened.area()["y"]
    if still(frames, above).save(images / f"{name}.png") or not file.exists():
        file.write_bytes(picture)

    assert_that_it_shows_a_wait(frames, language)
    played, repetitions = opened.page.evaluate(PLAY, base64.b64encode(picture).decode())
    assert played == pytest.approx(seconds_of(frames), abs=0.011)
    assert repetitions == float("inf")
    assert opened.errors == []


def assert_that_it_shows_a_wait(frames: Sequence[Frame], language: str) -> None:
    found = [re.search(WAITS[language], frame.text) for frame in frames]
    countdown = [int(match[1]) for match in found if match]

    assert frames[0].text.startswith("[*]:")
    assert len(set(countdown)) > 1
    assert frames[-1].text.startswith("[2]:")
    assert WAITED[language] in frames[-1].text


def save(  # noqa: PLR0913 - a picture's cells and looks
    notebook: Notebook,
    folder: Path,
    name: str,
    first: int,
    last: int,
    *,
    themes: Iterable[str] = THEMES,
) -> None:
    """Write a picture of some cells in some themes, or see that it is there."""
    hide_active_cell(notebook)
    for theme in themes:
        notebook.theme = theme
        take(notebook, notebook.area(first, last)).save(folder / f"{name}{THEMES[theme]}.png")


def test_an_answer_is_rendered(notebook: OpenNotebook, images: Path) -> None:
    opened = notebook(LOAD, ANSWER, ELSEWHERE)
    opened.run_all()
    opened.wait_for_idle()
    formulas = opened.output(1).locator("mjx-container")
    formulas.nth(1).wait_for()
    save(opened, images, "answer", 0, 1, themes=[LIGHT])

    assert formulas.count() == 2
    assert "$" not in opened.outputs[1]
    assert opened.output(1).locator("table").is_visible()
    assert opened.output(1).locator(".highlight").is_visible()
    assert opened.errors == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_spent_is_drawn(notebook: OpenNotebook, images: Path, language: str) -> None:
    """An answer with its line, and the table and the picture of the session."""
    begin = SPEAKS.format(language) + LOADED
    cells = (PAID[language], SPENT, ELSEWHERE)
    opened = notebook(PRICED, CHEAP, *cells, startup=begin, height=1_500)
    opened.run_all()
    opened.wait_for_idle()
    picture = opened.output(3).locator("img")
    picture.wait_for()
    save(opened, images, f"money{LANGUAGES[language]}", 2, 3)

    assert "$0.0" in opened.outputs[2]
    assert "practice/markdown" in opened.outputs[3]
    assert picture.evaluate("image => image.naturalWidth") > 0
    assert opened.errors == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_probes_find_is_shown(notebook: OpenNotebook, images: Path, language: str) -> None:
    """A model that will do beside one that will not, and what cures it."""
    begin = SPEAKS.format(language) + LOADED
    opened = notebook(PROBE, ELSEWHERE, startup=begin, width=950, height=1_500)
    opened.run_all()
    opened.wait_for_idle()
    save(opened, images, f"probe{LANGUAGES[language]}", 0, 0)

    assert opened.outputs[0].count("✗") == 1
    assert "OLLAMA_CONTEXT_LENGTH" in opened.outputs[0]
    assert opened.errors == []
