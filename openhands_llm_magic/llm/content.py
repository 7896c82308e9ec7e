"""What a prompt is made of: text, and files that go with it."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import Text, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif")
"""The media types of images that models take."""

PDF = "application/pdf"

MOST_BYTES = 20_000_000
"""What no provider takes more of."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a prompt.

    Attributes:
        name: What the person calls it: a file's name, an address or a variable.
        media_type: Its type: one of `IMAGES`, `PDF`, or a type of text.
        data: Its bytes; UTF-8 for text.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)

    @property
    def is_image(self) -> bool:
        """Whether a model has to see to make use of it."""
        return self.media_type in IMAGES

    @property
    def is_text(self) -> bool:
        """Whether it goes in as text, which every model reads."""
        return not self.is_image and self.media_type != PDF

    @property
    def type(self) -> str:
        """The type of its part of a message, in OpenAI's form."""
        return "text" if self.is_text else "image_url" if self.is_image else "file"


Part = str | Attachment
Content = str | list[dict[str, Any]]

IN_PLACE_OF = {"image_url": "(a picture was here)\n\n", "file": "(a PDF was here)\n\n"}
"""What stands for a file that a model does not take, by the type of its part."""

CACHED = {"cache_control": {"type": "ephemeral"}}
"""The mark of a part up to whose end Anthropic's models shall cache a prompt."""


def content_of(parts: Sequence[Part], *, cached_from_bytes: float = math.inf) -> Content:
    """Return the content of a message in OpenAI's form: a text alone, or a list of parts.

    Args:
        parts: Texts and files.
        cached_from_bytes: The size from which on a file is marked to be cached.
    """
    long = [isinstance(part, Attachment) and len(part.data) >= cached_from_bytes for part in parts]
    return joined(
        [_form(part) | (CACHED if cached else {}) for part, cached in zip(parts, long, strict=True)]
    )


def joined(forms: Sequence[dict[str, Any]]) -> Content:
    """Join texts that follow each other, as some servers take one text alone; marked ones stay."""
    made: list[dict[str, Any]] = []
    for form in forms:
        if made and made[-1].keys() == form.keys() == {"type", "text"}:
            made[-1] = form | {"text": made[-1]["text"] + form["text"]}
        else:
            made.append(form)
    if [form.keys() for form in made] == [{"type", "text"}]:
        return str(made[0]["text"])
    return made


def _form(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.is_text:
        text = part.data.decode("utf-8", errors="replace")
        return {"type": "text", "text": f"{part.name}:\n\n{fenced(text)}\n\n"}
    url = f"data:{part.media_type};base64,{base64.b64encode(part.data).decode()}"
    if part.is_image:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": part.name, "file_data": url}}


def sendable(found: Attachment) -> Attachment:
    """Give back a file of a size that can be sent.

    Raises:
        UsageError: It is too large, or empty.
    """
    if len(found.data) > MOST_BYTES:
        told = "{name} has more than {limit} MB, which no provider takes."
        raise UsageError(Text(told, name=found.name, limit=MOST_BYTES // 1_000_000))
    if not found.data:
        raise UsageError(Text("there is nothing in {name}.", name=found.name))
    return found


def without_files(content: Content, types: Collection[str]) -> Content:
    """Put words in the place of files.

    Args:
        content: That of a message.
        types: The types of the parts to replace: "image_url", "file".
    """
    if isinstance(content, str) or not any(form["type"] in types for form in content):
        return content
    return joined(
        [
            {"type": "text", "text": IN_PLACE_OF[form["type"]]} if form["type"] in types else form
            for form in content
        ]
    )


def fenced(text: str) -> str:
    """Put text into a Markdown code block that nothing in it can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def text_of(content: Content) -> str:
    """Return the text of a message's content, without its files."""
    if isinstance(content, str):
        return content
    return "".join(form["text"] for form in content if form["type"] == "text")
