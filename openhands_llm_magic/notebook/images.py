"""Image objects of a notebook (Pillow, matplotlib, IPython's Image) as attachments.

None of these packages is imported: an object of one can exist only where it is.
"""

from __future__ import annotations

import io
from typing import Any

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.content import Attachment

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
"""How the files of images begin."""


def image_of(name: str, value: Any) -> Attachment | None:
    """Give the image that an object is, or None if it is none.

    Raises:
        UsageError: It is an image of a kind that models do not take.
    """
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    if "PIL.Image" in kinds:
        return _saved(name, value.save)
    if "matplotlib.Figure" in kinds:
        return _saved(name, value.savefig)
    if "IPython.Image" in kinds:
        return image_from(name, value.data) if isinstance(value.data, bytes) else None
    return None


def _saved(name: str, save: Any) -> Attachment:
    """Save an image as a PNG."""
    buffer = io.BytesIO()
    save(buffer, format="png")
    return Attachment(name, "image/png", buffer.getvalue())


def image_from(name: str, data: bytes) -> Attachment:
    """Give an image by the bytes of its file.

    Raises:
        UsageError: It is an SVG, or no image that models take.
    """
    media_type = type_of(data)
    if media_type is None:
        raise UsageError(f"{name} is no image that models take: make it PNG, JPEG, WebP or GIF.")
    return Attachment(name, media_type, data)


def type_of(data: bytes) -> str | None:
    """Tell the media type of an image by its first bytes, or None if it is none that models take.

    A file's name or a server's Content-Type may be wrong; the provider would refuse it.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in SIGNATURES.items() if data.startswith(begin)), None)
