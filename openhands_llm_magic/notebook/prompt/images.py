"""Image objects of a notebook (Pillow, matplotlib, IPython's Image) as attachments.

None of these packages is imported: an object of one can exist only where it is.
"""

from __future__ import annotations

import io
from typing import Any

from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.llm.conversations import Attachment, sendable
from openhands_llm_magic.notebook.last_error import title_of

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
"""How the files of images begin."""

NO_SVG = "no model takes SVG as a picture; save it as PNG."


def image_of(name: str, value: Any) -> Attachment | None:
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
        data = _png_of_figure(value) if "matplotlib.Figure" in kinds else _png(value)
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        raise UsageError(f"{name} cannot be saved as a PNG ({title_of(error)}).") from None
    return sendable(Attachment(name, "image/png", data))


def kinds_of(value: object) -> set[str]:
    """Name a value's classes by their packages: "pandas.DataFrame" for a GeoDataFrame, too."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}


def _png(image: Any) -> bytes:
    """Save an image of Pillow's as a PNG."""
    buffer = io.BytesIO()
    try:
        image.save(buffer, format="png")
    except OSError:  # PNG has no such colours, as of CMYK
        has_alpha = image.mode.lower().endswith("a")
        image.convert("RGBA" if has_alpha else "RGB").save(buffer, format="png")
    return buffer.getvalue()


def _png_of_figure(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def image_from(name: str, data: bytes) -> Attachment:
    """Return an image by the bytes of its file.

    Raises:
        UsageError: It is an SVG, no image that models take, or too large.
    """
    media_type = type_of(data)
    if media_type is None:
        raise UsageError(f"{name} is no image that models take: make it PNG, JPEG, WebP or GIF.")
    return sendable(Attachment(name, media_type, data))


def type_of(data: bytes) -> str | None:
    """Tell the media type of an image by its first bytes, or None if models do not take it.

    A file's name or a server's Content-Type may be wrong; the provider would refuse it.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in SIGNATURES.items() if data.startswith(begin)), None)
