"""The files that `-a` names: a path, an address, or a variable of the notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.content import PDF, Attachment
from openhands_llm_magic.notebook import images
from openhands_llm_magic.notebook.variables import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 20_000_000
"""What no provider takes more of."""

ANSWER_WITHIN_S = 30
"""How long a server may take to send a file, between two pieces of it."""


def attachment(word: str, namespace: Mapping[str, object]) -> Attachment:
    """Find what a word of `-a` names.

    Args:
        word: An http address, a variable's name, or a path from the working folder.
        namespace: The notebook's variables.

    Raises:
        UsageError: There is no such thing, it is too large, or models do not take its kind.
    """
    if word.startswith(("http://", "https://")):
        return _from_bytes(word, _downloaded(word))
    if word in namespace:
        return _from_value(word, namespace[word])
    return _from_bytes(Path(word).name, _read(word))


def _from_value(name: str, value: object) -> Attachment:
    found = images.image_of(name, value)
    if found is not None:
        return _checked(found)
    if isinstance(value, bytes | bytearray):
        return _from_bytes(name, bytes(value))
    if isinstance(value, Path):
        return _from_bytes(value.name, _read(value))
    return _checked(Attachment(name, "text/plain", as_text(value).encode()))


def _read(path: str | Path) -> bytes:
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"-a {path}: {reason}. Name a file, an http address, or a variable."
        ) from None


def _downloaded(address: str) -> bytes:
    import httpx  # noqa: PLC0415 - it takes 57 ms to import, and is rarely needed

    data = bytearray()
    try:
        with httpx.stream(
            "GET", address, follow_redirects=True, timeout=ANSWER_WITHIN_S
        ) as response:
            response.raise_for_status()
            for piece in response.iter_bytes():
                data += piece
                if len(data) > MOST_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(f"-a {address}: {reason}") from None
    return bytes(data)


def _from_bytes(name: str, data: bytes) -> Attachment:
    """Tell by its first bytes what a file is, as its name may be wrong."""
    media_type = images.type_of(data) or (PDF if data.startswith(b"%PDF-") else None)
    return _checked(Attachment(name, media_type or _type_of_text(name, data), data))


def _type_of_text(name: str, data: bytes) -> str:
    head = data[:1000].lstrip()
    if b"<svg" in head:
        raise UsageError(f"-a {name}: no model takes SVG as a picture; save it as PNG.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(
            f"-a {name}: models take PNG, JPEG, WebP, GIF, PDF and text; this is none of them."
        )
    return "text/plain"


def _checked(found: Attachment) -> Attachment:
    if len(found.data) > MOST_BYTES:
        raise UsageError(
            f"-a {found.name}: it has more than {MOST_BYTES // 1_000_000} MB, which no provider"
            " takes."
        )
    if not found.data:
        raise UsageError(f"-a {found.name}: there is nothing in it.")
    return found
