"""What a prompt is made of: texts and files, what was said before, what is to be cached of it."""

from __future__ import annotations

import base64
import bisect
import itertools
import json
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.tools.messages import messages_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.events import ToolCall


def whole(text: str) -> str:
    """Join the halves of characters (UTF-16 surrogates); one without the other becomes U+FFFD.

    No UTF-8 can be made of a text with a half in it: it could not be sent, shown or stored.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Characters:
    """Makes the characters whole of a text that comes in pieces.

    What `feed` and finally `flush` return, joined, equals `whole` of the whole text.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Take the next piece; return what can be shown of the text so far."""
        if text.isascii() and not (text and self._half):
            return text
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return whole(text.removesuffix(self._half))

    def flush(self) -> str:
        """Return what is held back, at the text's end."""
        half, self._half = self._half, ""
        return whole(half)


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
        """Whether it is a picture, of which only a model that sees can make use."""
        return self.media_type in IMAGES

    @property
    def is_text(self) -> bool:
        """Whether it is sent as text, which every model reads."""
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
    """Return a file as it is, if its size is one that can be sent.

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


BYTES_PER_TOKEN = 4
"""What a token takes in UTF-8, roughly, in any language; counting exactly takes seconds to load."""

IMAGE_TOKENS = 1_000
"""What an image or a PDF counts as, roughly."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt and its answer.

    Attributes:
        prompt: The content of the prompt's message.
        answer: The text of the answer.
        calls: The functions that were called on the way to it.
        number: Its place among all prompts of the session, in the order in which they were asked.
    """

    prompt: Content
    answer: str
    number: int = field(default=0, compare=False)
    calls: tuple[ToolCall, ...] = ()

    @property
    def messages(self) -> list[Message]:
        """All of it as messages, in OpenAI's form."""
        return [
            {"role": "user", "content": self.prompt},
            *messages_of(self.calls, is_past=True),
            {"role": "assistant", "content": self.answer},
        ]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a prompt stands that is being asked.

    Attributes:
        before: The turns that it goes on from.
        name: The conversation that its turn will belong to, or None for one without a name.
        number: Its place among all prompts of the session.
    """

    before: tuple[Turn, ...]
    name: str | None
    number: int


@dataclass(slots=True)
class Conversations:
    """The conversations of one session; they are kept in memory alone.

    Several threads may ask at once, also in one conversation: each turn is kept, in the order in
    which the prompts were asked.

    Attributes:
        named: Those with a name, by it, in the order in which they began.
        last: The one that the last answer belongs to, which `--continue` goes on with.
        last_name: The name of that one, or None where it has no name.
        by_model: Where the last cell asked several models, what the answer of each belongs to.
    """

    named: dict[str, list[Turn]] = field(default_factory=dict)
    last: list[Turn] = field(default_factory=list)
    last_name: str | None = None
    by_model: dict[str, list[Turn]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def begin(
        self, *, name: str | None = None, goes_on: bool = False, model: str | None = None
    ) -> Place:
        """Return the place of a prompt, which stands alone unless it is given something to go on.

        Args:
            name: The conversation that it belongs to.
            goes_on: Whether it belongs to the conversation of the last answer.
            model: The model that is asked; of several last answers it goes on from its own.

        Raises:
            UsageError: There were several last answers, and none is of that model.
        """
        with self._lock:
            if goes_on:
                before, name = self._last_of(model), self.last_name
            else:
                before = [] if name is None else self.named.get(name, [])
            return Place(tuple(before), name, next(self._numbers))

    def add(
        self, place: Place, prompt: Content, answer: str, calls: tuple[ToolCall, ...] = ()
    ) -> None:
        """Add an answered prompt to its conversation.

        A cell that is run again replaces nothing: what was said was said.
        """
        turn = Turn(prompt, answer, place.number, calls)
        with self._lock:
            self.by_model = {}
            self.last, self.last_name = [*place.before, turn], place.name
            if place.name is not None:
                self.last = self.named.setdefault(place.name, [])
                bisect.insort(self.last, turn, key=lambda each: each.number)

    def add_several(self, answered: Iterable[tuple[str, Place, Turn]]) -> None:
        """Add the answers of several models to one prompt; `--continue` goes on from one of them.

        Args:
            answered: Each model with its place and its turn; of one that was asked twice, the
                first counts.
        """
        by_model: dict[str, list[Turn]] = {}
        for model, place, turn in answered:
            by_model.setdefault(model, [*place.before, turn])
        if by_model:
            with self._lock:
                self.last, self.last_name, self.by_model = [], None, by_model

    def _last_of(self, model: str | None) -> list[Turn]:
        """Return the conversation of the last answer, or of that of a model among several."""
        if not self.by_model:
            return self.last
        if len(self.by_model) == 1:
            return next(iter(self.by_model.values()))
        if model not in self.by_model:
            told = (
                "-c goes on from one answer, and the last cell had several: `-c -m MODEL` names"
                " that of {models}."
            )
            raise UsageError(Text(told, models=" or ".join(self.by_model)))
        return self.by_model[model]

    def forget(self, name: str) -> bool:
        """Forget a conversation; tell whether there was one."""
        with self._lock:
            found = self.named.pop(name, None)
            if self.last_name == name:
                self.last, self.last_name = [], None
            return found is not None

    def forget_all(self) -> None:
        """Forget all conversations."""
        with self._lock:
            self.named.clear()
            self.last, self.last_name, self.by_model = [], None, {}


def trimmed(turns: Sequence[Turn], room_tokens: float) -> tuple[list[Turn], int]:
    """Leave out the oldest turns that do not fit; return the others and how many were left out."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        room_tokens -= sum(map(tokens_of_message, turn.messages))
        if room_tokens < 0:
            break
        kept.insert(0, turn)
    return kept, len(turns) - len(kept)


def tokens_of(content: Content) -> float:
    """Estimate the tokens of a message's content."""
    files = 0 if isinstance(content, str) else sum(form["type"] != "text" for form in content)
    return len(text_of(content).encode(errors="replace")) / BYTES_PER_TOKEN + IMAGE_TOKENS * files


def tokens_of_message(message: Message) -> float:
    """Estimate the tokens of a message, with the calls of functions in it."""
    calls = message.get("tool_calls")
    written = len(json.dumps(calls, default=str)) / BYTES_PER_TOKEN if calls else 0
    return tokens_of(message["content"]) + written


WANT_THOUGHTS = ("deepseek", "kimi", "moonshot")
"""Parts of the names of models that want back what they thought before they asked for functions.
To others the field is unknown."""


def thoughts_as_wanted(messages: Sequence[Message], model: str) -> list[Message]:
    """Leave what was thought out of messages, unless the model wants it back."""
    if any(part in model.lower() for part in WANT_THOUGHTS):
        return [*messages]
    return [
        {name: value for name, value in each.items() if name != "reasoning_content"}
        for each in messages
    ]


MOST_MARKS = 4
"""Marks that Anthropic takes; it refuses a request with more."""

LONG_BYTES = 4_096
"""The size from which on a file is worth a mark: less than 1,024 tokens are not cached."""


def caches(settings: Snapshot) -> bool:
    """Whether a prompt is marked: `caching_prompt` is on, and the model caches by marks."""
    named = settings.custom_llm_provider
    model = f"{named}/{settings.model}" if named else settings.model
    return bool(settings.caching_prompt) and abilities_of(model).caches_by_marks


def marked(messages: Sequence[Message], settings: Snapshot) -> list[Message]:
    """Mark what of the messages is to be cached, if the model caches by marks; take others away."""
    return _with_marks(messages) if caches(settings) else _without_marks(messages)


def _with_marks(messages: Sequence[Message]) -> list[Message]:
    """Mark the system prompt; of the files of a conversation the newest stay marked."""
    left = MOST_MARKS - any(each["role"] == "system" for each in messages)
    made: list[Message] = []
    for message in reversed(messages):
        content: Content = message["content"]
        if message["role"] == "system" and isinstance(content, str):
            content = [{"type": "text", "text": content} | CACHED]
        elif message["role"] != "system" and not isinstance(content, str):
            forms: list[dict[str, Any]] = []
            for form in reversed(content):
                left -= "cache_control" in form
                forms.append(form if left >= 0 else _unmarked(form))
            content = forms[::-1]
        made.append(message | {"content": content})
    return made[::-1]


def _without_marks(messages: Sequence[Message]) -> list[Message]:
    """Take away the marks of earlier turns, for a model that knows none."""
    return [
        message
        if isinstance(message["content"], str)
        else message | {"content": joined([_unmarked(form) for form in message["content"]])}
        for message in messages
    ]


def _unmarked(form: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in form.items() if name != "cache_control"}
