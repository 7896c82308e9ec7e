"""A cell's body made into messages, with the variables and the files that it names."""

from __future__ import annotations

import codecs
import math
import re
import stat
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.errors import Text, UsageError, reason_of
from openhands_llm_magic.llm import conversations
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.prepare import conversation
from openhands_llm_magic.notebook.last_error import title_of
from openhands_llm_magic.notebook.placeholders import Filled, filled
from openhands_llm_magic.notebook.values import NO_SVG, image_of, type_of, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.conversations import Content, Message, Turn
    from openhands_llm_magic.notebook.prompt_options import PromptOptions
    from openhands_llm_magic.notebook.scope import Variables


ANSWER_WITHIN_S = 30
"""How long a server may take to send a file, between two pieces of it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://\S+")

# What may stand before the root of an XML document, and a root that is SVG's. The groups are
# atomic: a comment that was read is not read again in another way.
_SVG = re.compile(
    rb"(?>\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*+(?>\[.*?\])?\s*>)*+<(?:[\w-]+:)?svg[\s/>]",
    re.DOTALL | re.IGNORECASE,
)


def attachment(
    word: str, namespace: Mapping[str, object], note: Callable[[Text], None] = lambda _: None
) -> conversations.Attachment:
    """Find what a word of `-a` names.

    Args:
        word: An http address, a variable's name, or a path from the working folder.
        namespace: The notebook's variables.
        note: Takes what a person should know of it: what was left out.

    Raises:
        UsageError: There is no such thing, it is too large, or models do not take its kind.
    """
    if scheme := _SCHEME.match(word):
        name = _without_secrets(word)
        if scheme[1].lower() not in {"http", "https"}:
            told = "-a {name}: only http and https addresses, paths and variables can be named."
            raise UsageError(Text(told, name=name))
        return _from_bytes(name, _downloaded(word, name))
    if word in namespace:
        return _from_value(word, namespace[word], note)
    return _from_bytes(Path(word).name, _read(word))


def _without_secrets(address: str) -> str:
    """Return an address without its login and its query, which may hold keys."""
    return masked(re.sub(r"://[^/]*@", "://", re.split(r"[?#]", address, maxsplit=1)[0]))


def _from_value(name: str, value: object, note: Callable[[Text], None]) -> conversations.Attachment:
    try:
        image = image_of(name, value)
        if image is not None:
            return image
        if isinstance(value, bytes | bytearray):
            return _from_bytes(name, bytes(value))
        if isinstance(value, Path):
            return _from_bytes(value.name, _read(value))
        found = written(name, value)
        for each in found.notes:
            note(each)
        return conversations.sendable(
            conversations.Attachment(name, "text/plain", found.text.encode())
        )
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's own objects raise
        raise UsageError(Text("-a {name}: {why}", name=name, why=title_of(error))) from None


def _read(path: str | Path) -> bytes:
    try:
        found = Path(path).expanduser()
        if not stat.S_ISREG(found.stat().st_mode):  # opening a pipe would wait for its other end
            raise UsageError(Text("-a {name}: it is no regular file.", name=path))
        with found.open("rb") as file:
            return file.read(conversations.MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in it; nobody's home folder
        told = "-a {name}: {why}. Name a file, an http address, or a variable."
        raise UsageError(Text(told, name=path, why=reason_of(error))) from None


def _downloaded(address: str, name: str) -> bytes:
    import httpx  # noqa: PLC0415 - it takes 57 ms to import, and is rarely needed

    from openhands_llm_magic.llm.litellm.clients import ours  # noqa: PLC0415 - the same

    data = bytearray()
    try:
        with (
            ours(),
            httpx.stream(
                "GET", address, follow_redirects=True, timeout=ANSWER_WITHIN_S
            ) as response,
        ):
            if not response.is_success:
                status = f"{response.status_code} {response.reason_phrase}"
                told = "-a {name}: the server answered {status}."
                raise UsageError(Text(told, name=name, status=status))
            for piece in response.iter_bytes():
                data += piece
                if len(data) > conversations.MOST_BYTES:
                    break
    except httpx.InvalidURL:  # what it says may quote a password
        raise UsageError("-a: this is no valid http address.") from None
    except httpx.HTTPError as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        why = masked(_ADDRESS.sub(lambda found: _without_secrets(found[0]), why))
        raise UsageError(Text("-a {name}: {why}", name=name, why=why)) from None
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
        raise UsageError(Text("-a {name}: {why}", name=name, why=Text(NO_SVG)))
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        told = (
            "-a {name}: models take PNG, JPEG, WebP, GIF, PDF and text in UTF-8, and this is none"
            " of them; if it is text, save it as UTF-8."
        )
        raise UsageError(Text(told, name=name))
    return data


REFUSED = {
    "image_url": "{name} is a picture, and {reason}.",
    "file": "{name} is a PDF, and {reason}.",
}
LEFT_OUT = {
    "image_url": "the pictures of earlier turns are left out ({reason})",
    "file": "the PDFs of earlier turns are left out ({reason})",
}
"""What is said of a file that is not sent, by the type of its part."""


@dataclass(frozen=True, slots=True)
class Made:
    """A prompt as it is sent: its messages, and what a person should know of them.

    Attributes:
        content: That of its own message.
        messages: All that is sent, in OpenAI's form.
        notes: What a person should know of how it was made.
        left: Fields like `{name}` that were left as they are.
    """

    content: Content
    messages: list[Message]
    notes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def with_left(self) -> Made:
        """The same, with a note of the fields that were left."""
        if not self.left:
            return self
        told = Text("left as they are: {fields}", fields=", ".join(self.left))
        return replace(self, notes=(*self.notes, told))


class Draft:
    """A body with the variables and files that it names, each read once for all models.

    Args:
        body: The body, as it was typed.
        options: What stands above it.
        variables: Those that it can name.
    """

    def __init__(self, body: str, options: PromptOptions, variables: Variables) -> None:
        self.options = options
        self._body = body
        self._variables = variables
        self._texts: dict[int, tuple[Filled, Filled]] = {}

    def texts(self, limit_chars: int) -> tuple[Filled, Filled]:
        """Return the body and the instructions before it, with variables of at most that length.

        Raises:
            UsageError: The prompt is empty, or a picture stands in the instructions.
        """
        if limit_chars not in self._texts:
            self._texts[limit_chars] = _texts(
                self._body, self.options, self._variables, limit_chars
            )
        return self._texts[limit_chars]

    @cached_property
    def files(self) -> tuple[list[conversations.Part], list[str]]:
        """The files that it is sent with, and what a person should know of them."""
        notes: list[str] = []
        own = self._variables.own
        return [attachment(word, own, notes.append) for word in self.options.attach], notes


def made(draft: Draft, settings: Snapshot, before: Sequence[Turn] = ()) -> Made:
    """Make what is sent to a model, which goes on from what was said before, as far as it fits.

    Raises:
        UsageError: The prompt is empty, a file cannot be sent, or the model does not take it.
    """
    text, system = draft.texts(settings.max_message_chars)
    files, notes_of_files = draft.files
    notes = [*notes_of_files]
    # Files come first: what is the same from prompt to prompt can be cached.
    parts: list[conversations.Part] = [*files, *text.parts]
    not_taken = _not_taken(settings)
    _require_taken(parts, not_taken)
    cached_from_bytes = conversations.LONG_BYTES if conversations.caches(settings) else math.inf
    content = conversations.content_of(parts, cached_from_bytes=cached_from_bytes)
    instructions = "".join(str(part) for part in system.parts)
    window_tokens = settings.max_input_tokens or abilities_of(settings.model).window_tokens
    room_tokens = (
        (window_tokens or math.inf)
        - conversations.tokens_of(content)
        - conversations.tokens_of(instructions)
    )
    taken = [
        replace(turn, prompt=conversations.without_files(turn.prompt, not_taken)) for turn in before
    ]
    kept, left_out = conversations.trimmed(taken, room_tokens)
    notes += _notes_of_fields(text, system)
    if draft.options.goes_on and not before:
        notes.append(Text("there was no answer to go on from (-c): this prompt stood alone"))
    if left_out:
        told = "{count} older turns left out, to fit into {limit} tokens"
        if left_out == 1:
            told = "{count} older turn left out, to fit into {limit} tokens"
        notes.append(Text(told, count=left_out, limit=f"{window_tokens:,}"))
    notes += _notes_of_files(before[left_out:], not_taken)
    messages = [message for turn in kept for message in turn.messages]
    sent = conversation(content, system=instructions or None, before=messages)
    return Made(content, sent, tuple(notes), (*system.left, *text.left))


def _texts(
    body: str, options: PromptOptions, variables: Variables, limit_chars: int
) -> tuple[Filled, Filled]:
    """Put variables into a body and into the instructions before it."""
    conversation(body)  # an empty one is refused before anything is read
    system = options.system or ""
    if options.raw:
        return Filled((body,)), Filled((system,) if system else ())
    fill = partial(
        filled,
        namespace=variables.own,
        limit_chars=limit_chars,
        unkept=variables.unkept,
    )
    text, instructions = fill(body), fill(system)
    if not any(isinstance(part, conversations.Attachment) or part.strip() for part in text.parts):
        raise UsageError("the prompt is empty once its variables are put in.")
    for part in instructions.parts:
        if isinstance(part, conversations.Attachment):
            told = "--system takes text, and {name} is a picture: use -a."
            raise UsageError(Text(told, name=part.name))
    return text, instructions


def _notes_of_fields(*texts: Filled) -> list[Text]:
    """Tell what was put into texts, and what went wrong with it."""
    put_in = dict.fromkeys(each for text in texts for each in text.put_in)
    told = [Text("put in: {names}", names=", ".join(put_in))] if put_in else []
    return [*told, *(note for text in texts for note in text.notes)]


def _not_taken(settings: Snapshot) -> dict[str, Text]:
    """Tell which types of parts are not sent, each with the reason."""
    known, vision_is_off = abilities_of(settings.model), settings.disable_vision
    takes_none = Text(
        "{model} takes none, as far as is known: `--no-disable-vision` sends them all the same",
        model=settings.model,
    )
    reasons: dict[str, Text] = {}
    if vision_is_off:
        origin = settings.origin("disable_vision").text
        reasons["image_url"] = Text("disable_vision is on (from {origin})", origin=origin)
    elif known.sees is False and vision_is_off is None:
        reasons["image_url"] = takes_none
    if known.reads_pdf is False and vision_is_off is not False:
        reasons["file"] = takes_none
    return reasons


def _notes_of_files(turns: Iterable[Turn], not_taken: Mapping[str, Text]) -> list[Text]:
    """Tell which files of earlier turns are not sent again."""
    lost = {
        form["type"] for turn in turns if not isinstance(turn.prompt, str) for form in turn.prompt
    }
    return [
        Text(LEFT_OUT[kind], reason=reason) for kind, reason in not_taken.items() if kind in lost
    ]


def _require_taken(parts: Iterable[conversations.Part], not_taken: Mapping[str, Text]) -> None:
    """Refuse a prompt with a file that is not sent; nothing is sent then."""
    for part in parts:
        if isinstance(part, conversations.Attachment):
            kind = part.type
            if kind in not_taken:
                raise UsageError(Text(REFUSED[kind], name=part.name, reason=not_taken[kind]))
