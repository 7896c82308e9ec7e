"""A cell's body made into messages, with the variables, tables, pictures and files that it names.

Of the variables (`{name}`, `{obj.attr}`, `{rows[0]}`), only what names something in the notebook is
replaced. All other braces (JSON, LaTeX, code) reach the model as they are, and a value that was put
in is not looked at again. There are no calls and no underscored names, so that a prompt runs
nothing. Pictures and tables are those of Pillow, matplotlib, IPython, pandas and polars; none of
these packages is imported for that: an object of one can exist only where it is.
"""

from __future__ import annotations

import ast
import codecs
import io
import math
import re
import stat
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.events import Reply
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.prepare import conversation
from openhands_llm_magic.notebook.last_error import title_of, traceback_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Content, Message, Turn
    from openhands_llm_magic.notebook.arguments import PromptOptions


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
        raise UsageError(f"{name}: {NO_SVG}")
    if "IPython.Image" in kinds:
        return image_from(name, value.data) if isinstance(value.data, bytes) else None
    if not kinds & {"PIL.Image", "matplotlib.Figure"}:
        return None
    try:
        data = _png(value.savefig) if "matplotlib.Figure" in kinds else _png_of_pillow(value)
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        raise UsageError(f"{name} cannot be saved as a PNG ({title_of(error)}).") from None
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
        raise UsageError(f"{name} is no image that models take: make it PNG, JPEG, WebP or GIF.")
    return conversations.sendable(conversations.Attachment(name, media_type, data))


def type_of(data: bytes) -> str | None:
    """Tell the media type of an image by its first bytes, or None if models do not take it.

    A file's name or a server's Content-Type may be wrong; the provider would refuse it.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in SIGNATURES.items() if data.startswith(begin)), None)


FRAMES = {"pandas.DataFrame", "polars.DataFrame"}
SERIES = {"pandas.Series", "polars.Series"}

MOST_ROWS = 20
MOST_COLUMNS = 20
MOST_CELL_CHARS = 200
"""Of a table, so much is shown."""


def as_markdown(value: Any) -> str | None:
    """Write the beginning of a table in Markdown, its shape first; None for what is not a table."""
    kinds = kinds_of(value)
    if kinds & SERIES:
        return as_markdown(value.to_frame())
    if not kinds & FRAMES:
        return None
    rows, columns = value.shape
    whole = _count(rows, columns)
    shown = _count(min(rows, MOST_ROWS), min(columns, MOST_COLUMNS))
    shape = f"({whole})" if shown == whole else f"({whole}, of which the first {shown})"
    headings, found = _of_pandas(value) if "pandas.DataFrame" in kinds else _of_polars(value)
    lines: list[Sequence[object]] = [headings, ["---"] * len(headings), *found] if headings else []
    table = ("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    return "\n".join([shape, "", *table]).rstrip("\n")


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


def _count(rows: int, columns: int) -> str:
    row, column = "row" if rows == 1 else "rows", "column" if columns == 1 else "columns"
    return f"{rows:,} {row} and {columns:,} {column}"


def _cell(value: object) -> str:
    text = shorten(str(value), MOST_CELL_CHARS)
    return " ".join(text.splitlines()).replace("|", "\\|")


# Python's names may hold more than letters: the vowel signs of Indian scripts are none.
_NAME = r"[A-Za-z\x80-\U0010ffff][\w\x80-\U0010ffff]*"
_STEP = rf"\.{_NAME}|\[(?:-?\d+|'[^'\\\n]*'|\"[^\"\\\n]*\")\]"
_PATH = rf"(?P<name>{_NAME})(?P<steps>(?:{_STEP})*)"
_FIELD = re.compile(rf"\{{(?P<escape>\{{)?{_PATH}\}}(?(escape)\}})")
_ONE_STEP = re.compile(_STEP)


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt with the values of the notebook's variables in it.

    Attributes:
        parts: Its text, with images as attachments between.
        notes: What a person should know: what was cut, or could not be put in.
    """

    parts: tuple[conversations.Part, ...]
    notes: tuple[str, ...] = ()


def filled(text: str, namespace: Mapping[str, object], *, limit_chars: int) -> Filled:
    """Put in the values of variables.

    Args:
        text: The prompt as it was typed. `{{name}}` becomes `{name}`.
        namespace: The notebook's variables.
        limit_chars: What a longer value is cut to.

    Raises:
        UsageError: An image is too large, cannot be saved, or is of a kind that models do not take.
    """
    parts: list[conversations.Part] = []
    notes: list[str] = []
    end = 0
    for match in _FIELD.finditer(text):
        steps = _ONE_STEP.findall(match["steps"])
        name = _normalized(match["name"])
        named = all(_normalized(step[1:]) for step in steps if step[0] == ".")
        if name not in namespace or not named:
            continue
        part, note = _part(match, namespace[name], steps, limit_chars)
        parts += [text[end : match.start()], part]
        notes += [note] if note else []
        end = match.end()
    parts.append(text[end:])
    return Filled(tuple(part for part in parts if part != ""), tuple(notes))


def _normalized(name: str) -> str:
    """Return a name as Python knows it, or "" if it is not one or begins with an underscore."""
    name = unicodedata.normalize("NFKC", name)
    return name if name.isidentifier() and not name.startswith("_") else ""


def _part(
    match: re.Match[str], value: object, steps: Sequence[str], limit_chars: int
) -> tuple[conversations.Part, str]:
    """Return what stands in for a field, and a note about it."""
    path = match["name"] + match["steps"]
    if match["escape"]:
        return f"{{{path}}}", ""
    try:
        value = _value(value, steps)
        image = image_of(path, value)
        text = "" if image else as_text(value)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        return match[0], f"{match[0]} was left as it is ({title_of(error)})"
    if image:
        return image, ""
    if len(text) <= limit_chars:
        return text, ""
    cut = f"\n… (cut: {limit_chars:,} of {len(text):,} characters)"
    return text[:limit_chars] + cut, f"{match[0]} was cut to {limit_chars:,} of {len(text):,} chars"


def _value(value: Any, steps: Sequence[str]) -> object:
    """Follow a path of attributes and items."""
    for step in steps:
        if step[0] == ".":
            value = getattr(value, _normalized(step[1:]))
        else:
            value = value[ast.literal_eval(step[1:-1])]
    return value


def as_text(value: object) -> str:
    """Write a value as a model reads it best: a table in Markdown, an error as a traceback."""
    if isinstance(value, Reply):
        return value.text
    if isinstance(value, BaseException):
        return traceback_of(value, get_ipython())
    table = as_markdown(value)
    return str(value) if table is None else table


ANSWER_WITHIN_S = 30
"""How long a server may take to send a file, between two pieces of it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")

# What may stand before the root of an XML document, and a root that is SVG's. The groups are
# atomic: a comment that was read is not read again in another way.
_SVG = re.compile(
    rb"(?>\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?>\[.*?\])?\s*>)*+<(?:[\w-]+:)?svg[\s/>]",
    re.DOTALL | re.IGNORECASE,
)


def attachment(word: str, namespace: Mapping[str, object]) -> conversations.Attachment:
    """Find what a word of `-a` names.

    Args:
        word: An http address, a variable's name, or a path from the working folder.
        namespace: The notebook's variables.

    Raises:
        UsageError: There is no such thing, it is too large, or models do not take its kind.
    """
    if scheme := _SCHEME.match(word):
        name = _without_secrets(word)
        if scheme[1].lower() not in {"http", "https"}:
            raise UsageError(
                f"-a {name}: only http and https addresses, paths and variables can be named."
            )
        return _from_bytes(name, _downloaded(word, name))
    if word in namespace:
        return _from_value(word, namespace[word])
    return _from_bytes(Path(word).name, _read(word))


def _without_secrets(address: str) -> str:
    """Return an address without its login and its query, which may hold keys."""
    return masked(re.sub(r"://[^/]*@", "://", re.split(r"[?#]", address, maxsplit=1)[0]))


def _from_value(name: str, value: object) -> conversations.Attachment:
    try:
        found = image_of(name, value)
        if found is not None:
            return found
        if isinstance(value, bytes | bytearray):
            return _from_bytes(name, bytes(value))
        if isinstance(value, Path):
            return _from_bytes(value.name, _read(value))
        return conversations.sendable(
            conversations.Attachment(name, "text/plain", as_text(value).encode())
        )
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        raise UsageError(f"-a {name}: {title_of(error)}") from None


def _read(path: str | Path) -> bytes:
    try:
        found = Path(path).expanduser()
        if not stat.S_ISREG(found.stat().st_mode):  # opening a pipe would wait for its other end
            raise UsageError(f"-a {path}: it is no regular file.")
        with found.open("rb") as file:
            return file.read(conversations.MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in it; nobody's home folder
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"-a {path}: {reason}. Name a file, an http address, or a variable."
        ) from None


def _downloaded(address: str, name: str) -> bytes:
    import httpx  # noqa: PLC0415 - it takes 57 ms to import, and is rarely needed

    data = bytearray()
    try:
        with httpx.stream(
            "GET", address, follow_redirects=True, timeout=ANSWER_WITHIN_S
        ) as response:
            if not response.is_success:
                told = f"{response.status_code} {response.reason_phrase}"
                raise UsageError(f"-a {name}: the server answered {told}.")
            for piece in response.iter_bytes():
                data += piece
                if len(data) > conversations.MOST_BYTES:
                    break
    except httpx.InvalidURL:  # what it says may quote a password
        raise UsageError("-a: this is no valid http address.") from None
    except httpx.HTTPError as error:
        told = str(error).partition("\n")[0] or type(error).__name__
        told = _ADDRESS.sub(lambda found: _without_secrets(found[0]), told)
        raise UsageError(f"-a {name}: {masked(told)}") from None
    return bytes(data)


def _from_bytes(name: str, data: bytes) -> conversations.Attachment:
    """Tell by its first bytes what a file is, as its name may be wrong."""
    media_type = type_of(data) or (conversations.PDF if data.startswith(b"%PDF-") else None)
    if media_type is None:
        media_type, data = "text/plain", _text(name, data.removeprefix(codecs.BOM_UTF8))
    return conversations.sendable(conversations.Attachment(name, media_type, data))


def _text(name: str, data: bytes) -> bytes:
    """Return a file's bytes, if they are text that models take.

    Raises:
        UsageError: It is not.
    """
    if _SVG.match(data):
        raise UsageError(f"-a {name}: {NO_SVG}")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(
            f"-a {name}: models take PNG, JPEG, WebP, GIF, PDF and text in UTF-8, and this is none"
            " of them; if it is text, save it as UTF-8."
        )
    return data


HISTORY = ("In", "Out")
"""Names of IPython's that a prompt may use beside the person's own."""

KINDS = {"image_url": "picture", "file": "PDF"}
"""What a person calls a file, by the type of its part."""


@dataclass(frozen=True, slots=True)
class Made:
    """A prompt as it is sent: its messages, and what a person should know of them.

    Attributes:
        content: That of its own message.
        messages: All that is sent, in OpenAI's form.
        notes: What a person should know of how it was made.
    """

    content: Content
    messages: list[Message]
    notes: tuple[str, ...] = ()


def made(
    body: str,
    options: PromptOptions,
    own: Mapping[str, object],
    settings: Snapshot,
    before: Sequence[Turn] = (),
) -> Made:
    """Put variables and files into a body, and go on from what was said before, as far as it fits.

    `own` are the person's variables.

    Raises:
        UsageError: The prompt is empty, a file cannot be sent, or the model does not take it.
    """
    text = _filled(body, options, own, settings)
    # Files come first: what is the same from prompt to prompt can be cached.
    parts: list[conversations.Part] = [
        *(attachment(word, own) for word in options.attach),
        *text.parts,
    ]
    not_taken = _not_taken(settings)
    _require_taken(parts, not_taken)
    cached_from_bytes = conversations.LONG_BYTES if conversations.caches(settings) else math.inf
    content = conversations.content_of(parts, cached_from_bytes=cached_from_bytes)
    window_tokens = settings.max_input_tokens or abilities_of(settings.model).window_tokens
    room_tokens = (
        (window_tokens or math.inf)
        - conversations.tokens_of(content)
        - conversations.tokens_of(options.system or "")
    )
    taken = [
        replace(turn, prompt=conversations.without_files(turn.prompt, not_taken)) for turn in before
    ]
    kept, left_out = conversations.trimmed(taken, room_tokens)
    notes = list(text.notes)
    if left_out:
        turns = "turn" if left_out == 1 else "turns"
        notes.append(f"{left_out} older {turns} left out, to fit into {window_tokens:,} tokens")
    notes += _notes_of_files(before[left_out:], not_taken)
    messages = [message for turn in kept for message in turn.messages]
    sent = conversation(content, system=options.system, before=messages)
    return Made(content, sent, tuple(notes))


def _filled(
    body: str, options: PromptOptions, own: Mapping[str, object], settings: Snapshot
) -> Filled:
    conversation(body)  # an empty one is refused before anything is read
    if options.raw:
        return Filled((body,))
    text = filled(body, own, limit_chars=settings.max_message_chars)
    if not any(isinstance(part, conversations.Attachment) or part.strip() for part in text.parts):
        raise UsageError("the prompt is empty once its variables are put in.")
    return text


def own_variables(shell: Any, local: Mapping[str, object]) -> dict[str, object]:
    """Return the person's variables; one that a startup file defined counts once it is redefined.

    Args:
        shell: The session.
        local: The variables of the function that the prompt stands in.
    """
    hidden = shell.user_ns_hidden
    found = {
        name: value
        for name, value in shell.user_ns.items()
        if name in HISTORY or name not in hidden or hidden[name] is not value
    }
    return {**found, **local}


def _not_taken(settings: Snapshot) -> dict[str, str]:
    """Tell which types of parts are not sent, each with the reason."""
    known, vision_is_off = abilities_of(settings.model), settings.disable_vision
    anyway = "as far as is known: `--no-disable-vision` sends them all the same"
    reasons: dict[str, str] = {}
    if vision_is_off:
        reasons["image_url"] = f"disable_vision is on (from {settings.origin('disable_vision')})"
    elif known.sees is False and vision_is_off is None:
        reasons["image_url"] = f"{settings.model} takes none, {anyway}"
    if known.reads_pdf is False and vision_is_off is not False:
        reasons["file"] = f"{settings.model} takes none, {anyway}"
    return reasons


def _notes_of_files(turns: Iterable[Turn], not_taken: Mapping[str, str]) -> list[str]:
    """Tell which files of earlier turns are not sent again."""
    lost = {
        form["type"] for turn in turns if not isinstance(turn.prompt, str) for form in turn.prompt
    }
    return [
        f"the {KINDS[kind]}s of earlier turns are left out ({reason})"
        for kind, reason in not_taken.items()
        if kind in lost
    ]


def _require_taken(parts: Iterable[conversations.Part], not_taken: Mapping[str, str]) -> None:
    """Refuse a prompt with a file that is not sent; nothing is sent then."""
    for part in parts:
        if isinstance(part, conversations.Attachment):
            kind = part.type
            if kind in not_taken:
                raise UsageError(f"{part.name} is a {KINDS[kind]}, and {not_taken[kind]}.")
