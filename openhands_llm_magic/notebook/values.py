"""How a value of the notebook is written for a model: a table, a picture, a reply, any object.

Pictures and tables are those of Pillow, matplotlib, IPython, pandas and polars; none of these
packages is imported for that: an object of one can exist only where it is. Nothing is left out
without a word about it, whoever leaves it out: this file, or the class of the value.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.reply import Reply
from openhands_llm_magic.notebook.last_error import title_of, traceback_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
"""How the files of images begin."""

NO_SVG = "no model takes SVG as a picture; save it as PNG."


def image_of(name: str, value: Any) -> conversations.Attachment | None:
    """Return the image that an object is, or None if it is not one.

    Raises:
        UsageError: It is an image of a kind that models do not take, or cannot be saved.
    """
    kinds = kinds_of(value)
    if "IPython.SVG" in kinds:
        raise UsageError(Text("{name}: {why}", name=name, why=Text(NO_SVG)))
    if "IPython.Image" in kinds:
        return image_from(name, value.data) if isinstance(value.data, bytes) else None
    if not kinds & {"PIL.Image", "matplotlib.Figure"}:
        return None
    try:
        data = _png(value.savefig) if "matplotlib.Figure" in kinds else _png_of_pillow(value)
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        told = "{name} cannot be saved as a PNG ({why})."
        raise UsageError(Text(told, name=name, why=title_of(error))) from None
    return conversations.sendable(conversations.Attachment(name, "image/png", data))


def kinds_of(value: object) -> set[str]:
    """Name a value's classes by their packages: "pandas.DataFrame" for a GeoDataFrame, too."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}


def _png_of_pillow(image: Any) -> bytes:
    try:
        return _png(image.save)
    except OSError:  # PNG has no such colours, as of CMYK
        has_alpha = image.mode.lower().endswith("a")
        return _png(image.convert("RGBA" if has_alpha else "RGB").save)


def _png(save: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, format="png")
    return buffer.getvalue()


def image_from(name: str, data: bytes) -> conversations.Attachment:
    """Return an image by the bytes of its file.

    Raises:
        UsageError: It is an SVG, no image that models take, or too large.
    """
    media_type = type_of(data)
    if media_type is None:
        told = "{name} is no image that models take: make it PNG, JPEG, WebP or GIF."
        raise UsageError(Text(told, name=name))
    return conversations.sendable(conversations.Attachment(name, media_type, data))


def type_of(data: bytes) -> str | None:
    """Tell the media type of an image by its first bytes, or None if models do not take it.

    A file's name or a server's Content-Type may be wrong; the provider would refuse it.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in SIGNATURES.items() if data.startswith(begin)), None)


@dataclass(frozen=True, slots=True)
class Written:
    """A value as text for a model.

    Attributes:
        text: The text.
        notes: What a person should know of it: what was left out, what is not whole.
    """

    text: str
    notes: tuple[Text, ...] = ()


LONGEST_WHOLE = 1_000_000
"""Numbers of an array that are written one by one; NumPy takes a second for so many."""


def written(name: str, value: object, *, limit_chars: int = LONGEST_WHOLE) -> Written:
    """Write a value as a model reads it best.

    A table becomes Markdown, an error its traceback, a reply its text, and a collection with
    replies in it the texts of these.

    Args:
        name: What the notes call it.
        value: Any object.
        limit_chars: Characters that can be used of it; a longer array need not be written whole.
    """
    if isinstance(value, str) and not isinstance(value, Reply):
        return Written(value)
    if isinstance(value, BaseException):
        return Written(traceback_of(value, get_ipython()))
    if any(True for _ in replies_in(value)):
        return _of_replies(name, value, limit_chars)
    table = _table(name, value)
    return _of_others(name, value, limit_chars) if table is None else table


MOST_NESTED = 4
"""How deep collections are looked into for replies."""


def replies_in(value: object, depth: int = 0) -> Iterator[Reply]:
    """Yield the replies that a value is, or that its lists, tuples and dictionaries hold."""
    if isinstance(value, Reply):
        yield value
    elif isinstance(value, list | tuple | Mapping) and depth < MOST_NESTED:
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from replies_in(each, depth + 1)


BETWEEN = "\n\n---\n\n"
"""What stands between the items of a collection with replies."""


def _of_replies(name: str, value: object, limit_chars: int) -> Written:
    """Write a reply, or a collection with some; one that has failed is told as that."""
    if isinstance(value, Reply):
        if value.error is None:
            return Written(value.text)
        error = value.error.text
        note = Text("{name} holds no whole answer ({error})", name=name, error=error)
        return Written(f"{value.text}\n(no whole answer: {error})".lstrip(), (note,))
    items = value.items() if isinstance(value, Mapping) else enumerate(value)  # type: ignore[arg-type]
    found = [
        (key, written(f"{name}[{key!r}]", each, limit_chars=limit_chars)) for key, each in items
    ]
    titled = isinstance(value, Mapping)
    texts = (f"{key}:\n\n{each.text}" if titled else each.text for key, each in found)
    return Written(BETWEEN.join(texts), tuple(note for _, each in found for note in each.notes))


_IN_QUOTES = re.compile(r"'(?:\\.|[^'\\\n])*+'|\"(?:\\.|[^\"\\\n])*+\"")
_LEFT_OUT = re.compile(r"(?<![.\w])(?:\.{2,3}|…)(?![.\w])")


def _of_others(name: str, value: object, limit_chars: int) -> Written:
    """Write any object by its `str`, and tell where that leaves something out.

    NumPy, pandas, PyTorch and xarray put dots in the place of what is too long for a screen, as
    does Python for a list in itself. What stands in quotes is a text's own.
    """
    text = shown(str, value, limit_chars)
    if not _LEFT_OUT.search(_IN_QUOTES.sub("''", text)):
        return Written(text)
    told = "{name} is not whole: its class {kind} leaves out a part, and writes dots for it"
    return Written(text, (Text(told, name=name, kind=type(value).__name__),))


def shown(show: Callable[[object], str], value: object, limit_chars: int) -> str:
    """Show a value by `str` or the like; NumPy writes arrays of up to so many numbers whole."""
    numpy: Any = sys.modules.get("numpy")
    if not hasattr(numpy, "printoptions"):
        return show(value)
    with numpy.printoptions(threshold=limit_chars):
        return show(value)


FRAMES = {"pandas.DataFrame", "polars.DataFrame"}
SERIES = {"pandas.Series", "polars.Series"}

MOST_ROWS = 20
MOST_COLUMNS = 20
MOST_CELL_CHARS = 200
"""Of a table, so much is shown."""


def _table(name: str, value: Any) -> Written | None:
    """Write the beginning of a table in Markdown, its shape first; None for what is not a table."""
    kinds = kinds_of(value)
    if kinds & SERIES:
        return _table(name, value.to_frame())
    if not kinds & FRAMES:
        return None
    rows, columns = value.shape
    whole = _count(rows, columns)
    shown = _count(min(rows, MOST_ROWS), min(columns, MOST_COLUMNS))
    shape, notes = f"({whole})", []
    if shown != whole:
        shape = f"({whole}, of which the first {shown})"
        notes.append(
            Text("{name}: the first {shown} of {whole}", name=name, shown=shown, whole=whole)
        )
    headings, found = _of_pandas(value) if "pandas.DataFrame" in kinds else _of_polars(value)
    cells = [[_cell_text(cell) for cell in row] for row in (headings, *found)]
    if any(len(cell) > MOST_CELL_CHARS for row in cells for cell in row):
        told = "{name}: cells were cut to {limit} characters"
        notes.append(Text(told, name=name, limit=MOST_CELL_CHARS))
    lines = [cells[0], ["---"] * len(cells[0]), *cells[1:]] if headings else []
    table = ("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    return Written("\n".join([shape, "", *table]).rstrip("\n"), tuple(notes))


def _of_pandas(table: Any) -> tuple[list[object], Iterable[Sequence[object]]]:
    """Return the headings and the rows, with the index unless it only counts the rows."""
    index = table.index
    shown = table.iloc[:MOST_ROWS, :MOST_COLUMNS]
    rows = shown.itertuples(index=False, name=None)
    counts = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
    if counts and index.name is None:
        return list(shown.columns), rows
    names = ["" if name is None else name for name in index.names]
    labels = shown.index if index.nlevels > 1 else ((label,) for label in shown.index)
    rows_with_labels = [(*label, *row) for label, row in zip(labels, rows, strict=True)]
    return [*names, *shown.columns], rows_with_labels


def _of_polars(table: Any) -> tuple[list[object], Iterable[Sequence[object]]]:
    rows = (row[:MOST_COLUMNS] for row in table.head(MOST_ROWS).iter_rows())
    return table.columns[:MOST_COLUMNS], rows


def _count(rows: int, columns: int) -> Text:
    row = Text("1 row") if rows == 1 else Text("{count} rows", count=f"{rows:,}")
    column = Text("1 column") if columns == 1 else Text("{count} columns", count=f"{columns:,}")
    return Text("{rows} and {columns}", rows=row, columns=column)


def _cell_text(value: object) -> str:
    return value.text if isinstance(value, Reply) else str(value)


def _cell(text: str) -> str:
    return " ".join(shorten(text, MOST_CELL_CHARS).splitlines()).replace("|", "\\|")
