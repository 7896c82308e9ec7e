"""The files that `-a` names: a path, an address, or a variable of the notebook."""

from __future__ import annotations

import codecs
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.conversations import PDF, Attachment, sendable
from openhands_llm_magic.notebook.last_error import title_of
from openhands_llm_magic.notebook.prompt import images
from openhands_llm_magic.notebook.prompt.variables import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def attachment(word: str, namespace: Mapping[str, object]) -> Attachment:
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


def _from_value(name: str, value: object) -> Attachment:
    try:
        found = images.image_of(name, value)
        if found is not None:
            return found
        if isinstance(value, bytes | bytearray):
            return _from_bytes(name, bytes(value))
        if isinstance(value, Path):
            return _from_bytes(value.name, _read(value))
        return sendable(Attachment(name, "text/plain", as_text(value).encode()))
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


def _from_bytes(name: str, data: bytes) -> Attachment:
    """Tell by its first bytes what a file is, as its name may be wrong."""
    media_type = images.type_of(data) or (PDF if data.startswith(b"%PDF-") else None)
    if media_type is None:
        media_type, data = "text/plain", _text(name, data.removeprefix(codecs.BOM_UTF8))
    return sendable(Attachment(name, media_type, data))


def _text(name: str, data: bytes) -> bytes:
    """Give back what is text that models take.

    Raises:
        UsageError: It is not.
    """
    if _SVG.match(data):
        raise UsageError(f"-a {name}: {images.NO_SVG}")
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
