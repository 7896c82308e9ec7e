"""Keys that do not show, and texts cleaned of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MASK = "**********"
"""What is shown in place of a key."""

SHORTEST_KEY = 6
"""Characters; a shorter "key" is a common word or number, and masking it would spoil the text."""

SHORTEST_REAL_KEY = 12
"""Characters; local servers take keys like "ollama", which is also in the name of the model."""

# What well-known providers' keys look like, for one that stands where no key belongs.
_KEY_SHAPE = re.compile(
    r"\b(?:(?:(?:sk|gsk|xai|pplx|nvapi|tgp|csk)[-_]|hf_)[\w-]{12,}|AIza[\w-]{20,}|AKIA\w{12,})"
)

# A password may hold an @, so the last one before the path ends it (as `urlsplit` has it).
_LOGIN = re.compile(r"(?<=://)[^/?#\s]+(?=@)")


class Secret:
    """A string that is never shown: `str`, `repr` and `format` give `**********`.

    Two secrets with the same value are equal. An empty one shows as nothing and is false.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """Give the string itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK if self._value else ""

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask known keys, what looks like a key, and the user and password of every address.

    Args:
        text: What is to be shown, not yet cut: half a key would not be known as one.
        secrets: The known keys; see `Redactor`.
    """
    return _LOGIN.sub(MASK, _KEY_SHAPE.sub(MASK, Redactor(secrets).redact(text)))


def throughout(value: Any, mask: Callable[[str], str]) -> Any:
    """Mask every text within a value of JSON."""
    match value:
        case dict():
            return {name: throughout(each, mask) for name, each in value.items()}
        case list() | tuple():
            return [throughout(each, mask) for each in value]
        case str():
            return mask(value)
    return value


def logins_in(text: str) -> list[str]:
    """Find the user and password ("user:password") of every address in a text."""
    return _LOGIN.findall(text)


class Redactor:
    """Replaces every known key in a text by `**********`.

    Of several keys that begin at the same place the longest is taken. Strings shorter than
    `SHORTEST_KEY` are ignored.

    Args:
        secrets: The plain strings that must not show.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        keys = {secret for secret in secrets if len(secret) >= SHORTEST_KEY}
        self.keys = tuple(sorted(keys, key=lambda key: (-len(key), key)))
        self.pattern = re.compile("|".join(map(re.escape, self.keys))) if self.keys else None

    def redact(self, text: str) -> str:
        """Give the text with every key masked."""
        return self.pattern.sub(MASK, text) if self.pattern else text

    def stream(self) -> StreamRedactor:
        """Start on a text that comes in chunks."""
        return StreamRedactor(self)


class StreamRedactor:
    """Masks keys in a text that comes in chunks, also where a chunk ends inside a key.

    What `feed` and finally `flush` return, joined, equals `Redactor.redact` of the whole text.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next chunk; give what can be shown of the text so far."""
        pattern = self._redactor.pattern
        if pattern is None:
            return text
        text = self._held + text
        shown: list[str] = []
        position = 0
        while True:
            match = pattern.search(text, position)
            open_at = self._key_may_begin(text, position)
            # A longer key may still come of what begins before or at a complete one.
            if match is None or open_at <= match.start():
                break
            shown += text[position : match.start()], MASK
            position = match.end()
        shown.append(text[position:open_at])
        self._held = text[open_at:]
        return "".join(shown)

    def flush(self) -> str:
        """Give what is held back, at the text's end."""
        held, self._held = self._held, ""
        return self._redactor.redact(held)

    def _key_may_begin(self, text: str, start: int) -> int:
        """Find where the text's end begins to look like a key, at its end if nowhere."""
        keys = self._redactor.keys
        for position in range(max(start, len(text) - len(keys[0]) + 1), len(text)):
            end = text[position:]
            # A complete key is no beginning of itself.
            if any(key.startswith(end) and key != end for key in keys):
                return position
        return len(text)
