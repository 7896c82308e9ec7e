"""Pictures for the documents: what they show, their colours, and when a file is written anew."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from browser.lab import DARK, LIGHT
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from browser.lab import Notebook
    from numpy.typing import NDArray

IN_DOCUMENTS = Path(__file__).parents[2] / "docs" / "images"

LANGUAGES = {"en": "", "ja": "-ja"}
"""What stands in the name of a file for each language."""

THEMES = {LIGHT: "", DARK: "-dark"}
"""What stands there for each theme."""

SPEAKS = "import os; os.environ['LLM_MAGIC_LANG'] = '{}'\n"
"""What a kernel begins with to speak a language."""

LOADED = "get_ipython().run_line_magic('load_ext', 'openhands_llm_magic')\n"
"""What it begins with to have the magics, after its language."""

ELSEWHERE = ""
"""An empty cell to end a notebook with. The one that is worked in is marked, and not pictured."""

HIDDEN = ".jp-Notebook .jp-Cell.jp-mod-active {visibility: hidden}"

TIMES = r"(?<=· )[\d.]+ (s|秒)|\d+\.\d\d (s|秒)|[\d,.]+ tokens/s|毎秒 [\d,.]+ トークン"
"""How long something took, which each run shows otherwise."""

SHOWN = """([area, times]) => {
    const walker = document.createTreeWalker(document.querySelector(".jp-Notebook"), 4);
    const words = [], boxes = [];
    const boxes_of = (node, start, end) => {
        const range = document.createRange();
        range.setStart(node, start);
        range.setEnd(node, end);
        return [...range.getClientRects()];
    };
    const bottom = area.y + area.height;
    while (walker.nextNode()) {
        const node = walker.currentNode;
        const is_inside = box => box.top >= area.y && box.bottom <= bottom;
        if (!node.parentElement.checkVisibility({visibilityProperty: true})
            || !boxes_of(node, 0, node.length).some(is_inside)) continue;
        words.push(node.data);
        for (const match of node.data.matchAll(new RegExp(times, "g")))
            boxes.push(...boxes_of(node, match.index, match.index + match[0].length));
    }
    const sides = boxes.map(box => [box.left - area.x, box.top - area.y,
                                    box.right - area.x, box.bottom - area.y]);
    return [words.join(" "), sides.map(box => box.map(side => side * devicePixelRatio))];
}"""

WIDER = 60
"""Pixels by which a time may be wider in another run."""

MOST = 64
"""So many colours of a picture, those that it has most of, are kept as they are."""

NEAR = 16
"""Of 255, by how much a colour may differ that stands in the place of another."""


@dataclass(frozen=True)
class Picture:
    """A picture of some cells.

    Attributes:
        image: Its pixels.
        words: What can be read in it, with "#" for each number and bar.
        times: The boxes in it that show how long something took: left, top, right, bottom.
    """

    image: Image.Image
    words: str
    times: Sequence[tuple[int, int, int, int]]

    def is_as_in(self, file: Path) -> bool:
        """Return whether a file shows the same but for the times."""
        if not file.exists() or words_in(file) != self.words:
            return False
        with Image.open(file) as before:
            if before.size != self.image.size:
                return False
            differing = np.asarray(ImageChops.difference(before.convert("RGB"), self.image)).copy()
        for left, top, right, bottom in self.times:
            differing[top:bottom, left:right] = 0
        return bool(differing.max() <= NEAR)

    def save(self, file: Path) -> bool:
        """Write it, unless the file shows the same but for the times; tell whether it was written.

        The documents must have a picture of that name with the same words.
        """
        is_new = not self.is_as_in(file)
        if is_new:
            told = PngInfo()
            told.add_itxt("Description", self.words, zip=True)
            reduced([self.image])[0].save(file, optimize=True, pnginfo=told)
        of_today = words_in(IN_DOCUMENTS / file.name)
        assert of_today == self.words, f"{file.name} shows other words: run `make images`"
        return is_new

    def above(self, other: Picture) -> Picture:
        """Return one picture of this and, below it, another."""
        width, height = self.image.size
        image = Image.new("RGB", (width, height + other.image.height))
        image.paste(self.image, (0, 0))
        image.paste(other.image, (0, height))
        times = [*self.times, *_moved(other.times, height)]
        return Picture(image, f"{self.words} {other.words}", times)

    def cropped(self, top: int, bottom: int) -> Picture:
        """Return what of it is between two heights, with all of its words."""
        image = self.image.crop((0, top, self.image.width, bottom))
        return Picture(image, self.words, _moved(self.times, -top))


def _moved(
    boxes: Iterable[tuple[int, int, int, int]], down: int
) -> list[tuple[int, int, int, int]]:
    return [
        (left, max(0, top + down), right, max(0, bottom + down))
        for left, top, right, bottom in boxes
    ]


def words_in(file: Path) -> str:
    """Return what can be read in a picture, as it was noted in its file; "" for none."""
    if not file.exists():
        return ""
    with Image.open(file) as image:
        image.load()
        return str(image.info.get("Description", ""))


def take(notebook: Notebook, area: dict[str, float], height: float | None = None) -> Picture:
    """Take a picture of an area of a notebook.

    Args:
        notebook: The notebook.
        area: Where the cells are.
        height: That of the picture in CSS pixels, if it shows more than these.
    """
    whole = area | {"height": height or area["height"]}
    with Image.open(io.BytesIO(notebook.picture_of(whole))) as taken:
        image = taken.convert("RGB")
    words, boxes = notebook.page.evaluate(SHOWN, [area, TIMES])
    assert words, "nothing can be read in the picture"
    words = " ".join(re.sub(r"\d[\d.,]*|[▰▱]+", "#", words).split())
    times = [
        (int(left), int(top), int(right) + WIDER, int(bottom) + 1)
        for left, top, right, bottom in boxes
    ]
    return Picture(image, words, times)


def hide_active_cell(notebook: Notebook) -> None:
    """Let the cell that is worked in not be seen, nor its mark and its buttons."""
    notebook.page.add_style_tag(content=HIDDEN)


def reduced(images: Sequence[Image.Image]) -> list[Image.Image]:
    """Return images in the same 256 colours, undithered; a page that is white stays white.

    Pillow's own way to colours that are given takes some that are only near for the nearest.
    """
    counted: Counter[Any] = Counter()
    for image in images:
        for count, colour in image.getcolors(image.width * image.height) or ():
            counted[colour] += count
    colours = np.array([colour for colour, _count in counted.most_common()], np.uint8)
    rest = Image.fromarray(colours[None]).quantize(256 - MOST, Image.Quantize.MAXCOVERAGE)
    palette = np.vstack([colours[:MOST], np.array(rest.getpalette(), np.uint8).reshape(-1, 3)])
    apart = colours[:, None].astype(np.int32) - palette.astype(np.int32)
    nearest = np.zeros(2**24, np.uint8)
    nearest[_packed(colours)] = (apart**2).sum(axis=2).argmin(axis=1)
    made = [Image.fromarray(nearest[_packed(np.asarray(image))]) for image in images]
    for image in made:
        image.putpalette(palette.tobytes())
    return made


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return each colour as one number."""
    packed: NDArray[np.int32] = colours.astype(np.int32) @ np.array([2**16, 2**8, 1], np.int32)
    return packed
