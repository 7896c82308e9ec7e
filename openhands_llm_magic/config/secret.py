"""Secrets: which names stand for one, values that do not show, and texts masked of them."""

from __future__ import annotations

import functools
import re
from base64 import b64encode
from copy import deepcopy
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote

from openhands_llm_magic.errors import NotPickledError, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import SupportsIndex

MASK = "**********"
"""The text that is shown in place of a secret."""

SHORTEST_KEY = 6
"""Characters; a shorter "key" is a common word or number, and masking it would spoil the text."""

SHORTEST_REAL_KEY = 12
"""Characters; local servers take keys like "ollama", which is also in the name of the model."""

# What well-known providers' keys look like, for a key that stands where none belongs.
_KEY_PREFIX = r"(?:(?:sk|gsk|xai|pplx|nvapi|tgp|csk)[-_]|hf_)"
_KEY_SHAPE = re.compile(rf"\b(?:{_KEY_PREFIX}[\w-]{{12,}}|AIza[\w-]{{20,}}|AKIA\w{{12,}})")

_SEPARATORS = re.compile(r"[\s_./:,;#@+=-]+")
# A short piece ("k8s", "7B"), a number, or a word, also several in camel case, with a number before
# or after it. Words and numbers that are longer are rare.
_WORD = r"[A-Z]{1,15}|[a-z]{1,15}(?:[A-Z][a-z]{2,14})*|(?:[A-Z][a-z]{2,14})+"
_WORD_LIKE = re.compile(rf"\w{{0,3}}|\d{{1,8}}|\d{{0,8}}(?:{_WORD})\d{{0,8}}", re.ASCII)

_IN_ADDRESS = re.compile(r"[./:]")

# A password may hold an @, so the last one before the path ends it (as `urlsplit` has it).
_LOGIN = re.compile(r"(?<=://)[^/?#\s]+(?=@)")


class Secrecy(IntEnum):
    """How surely a name is the name of a secret.

    A name that is shown or saved with its value is masked from `POSSIBLE` on, as too much masking
    harms nothing there. A value that is searched for in other texts, such as an answer, needs a
    higher degree: there, masking what is no secret makes the text wrong.
    """

    NO = 0
    """The name has no word for a secret in it: "temperature"."""
    POSSIBLE = 1
    """The name has such a word somewhere: "key_file", "max_tokens", "Authorization"."""
    LIKELY = 2
    """The name ends with such a word: "GROQ_KEY", "HF_TOKEN", "sort_key"."""
    SURE = 3
    """The name cannot well be that of anything else: "api_key", "password", "access_token"."""


SECRET_WORDS = "key|token|secret|passw|passphrase|auth|credential|cookie"  # noqa: S105 - the words, not a secret
"""The words for secrets, as a regular expression without regard to case."""

_SURE = r"(?:api_?key|secret|passw(?:or)?d|passphrase|(?:access|api|auth|bearer)_?token)s?$"
_BY_SECRECY = {
    Secrecy.SURE: re.compile(_SURE, re.IGNORECASE),
    Secrecy.LIKELY: re.compile(r"(?:key|token|key_id)$", re.IGNORECASE),
    Secrecy.POSSIBLE: re.compile(SECRET_WORDS, re.IGNORECASE),
}


@functools.lru_cache(maxsize=1024)  # each prompt asks for every environment variable
def secrecy(name: str) -> Secrecy:
    """Return how surely this is the name of a secret: a setting, a variable, a header, a field."""
    plain = name.replace("-", "_")
    return next(
        (degree for degree, words in _BY_SECRECY.items() if words.search(plain)), Secrecy.NO
    )


class NeverPickled:
    """Holds a key: a copy is the object itself, which never changes, and there is no pickle."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise _not_pickled(self)

    def __getstate__(self) -> NoReturn:
        raise _not_pickled(self)


def _not_pickled(held: object) -> NotPickledError:
    told = (
        "a {kind} is not pickled, as its keys could be read in the file: read the settings anew"
        " with load_settings() where they are needed"
    )
    return NotPickledError(Text(told, kind=type(held).__name__))


class Secret(NeverPickled):
    """A string that is never shown: `str`, `repr` and `format` return `**********`.

    Two secrets with the same value are equal. An empty secret shows as an empty text and is false.
    It is not pickled: `get_secret_value` tells it to whoever means to write it down.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """Return the string itself."""
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


class MaskingDict(dict[str, Any]):
    """A dictionary whose repr masks the text under a name like "api_key" or "Authorization"."""

    __slots__ = ()

    _in_headers = False

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if any(secrets_in(self)):
            raise _not_pickled(self)
        return super().__reduce_ex__(protocol)

    def __copy__(self) -> Self:
        return type(self)(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)((name, deepcopy(each, memo)) for name, each in self.items())

    def __repr__(self) -> str:
        pairs = (
            f"{name!r}: {MASK if is_secret(name, value, self._in_headers) else repr(value)}"
            for name, value in self.items()
        )
        return "{" + ", ".join(pairs) + "}"


class MaskingHeaders(MaskingDict):
    """HTTP headers: what can be a key by its looks is masked, too, whatever its name."""

    __slots__ = ()

    _in_headers = True


def is_secret(name: object, value: object, in_headers: bool = False) -> bool:
    """Return whether a value in a dictionary may be a secret: text, or a list, under such a name.

    A number is never a secret: max_tokens holds no token. A gateway may take a key in a header of
    any name, so there a text counts that can be one; and a key may have been pasted where an
    address belongs.
    """
    is_text = isinstance(value, str | list) and bool(value)
    if in_headers and isinstance(value, str) and any(map(can_be_secret, value.split())):
        return True
    if str(name).lower().endswith("base_url") and isinstance(value, str):
        return _IN_ADDRESS.search(value) is None and can_be_secret(value)
    return is_text and secrecy(str(name)) >= Secrecy.POSSIBLE


def is_of_headers(name: object) -> bool:
    """Return whether a dictionary under this name holds HTTP headers."""
    return str(name).lower().endswith("headers")


def can_be_secret(text: str) -> bool:
    """Return whether a text cannot well be in an answer by chance, so that it may be masked there.

    A secret has 12 characters or more. It begins as a provider's keys do, or it does not read as
    words and numbers, as "postgres", "length", "ollama", "created_at_2024" and a path do.
    """
    if len(text) < SHORTEST_REAL_KEY:
        return False
    is_words = all(map(_WORD_LIKE.fullmatch, _SEPARATORS.split(text)))
    return re.match(_KEY_PREFIX, text) is not None or not is_words


def masking(value: Any, name: object = "") -> Any:
    """Return a deep copy of lists and dictionaries, each of the latter as a `MaskingDict`.

    Any other value is returned as it is.

    Args:
        value: The list, the dictionary or a single value.
        name: The name that `value` stands under.
    """
    if isinstance(value, dict):
        kind = MaskingHeaders if is_of_headers(name) else MaskingDict
        return kind({each_name: masking(each, each_name) for each_name, each in value.items()})
    if isinstance(value, list):
        return [masking(each) for each in value]
    return value


def secrets_in(value: object, name: object = "", in_headers: bool = False) -> Iterator[str]:
    """Yield every text in nested lists and dictionaries that `MaskingDict` masks.

    Of a text like "Bearer sk-..." the last word is yielded, too.

    Args:
        value: The list, the dictionary or a single value.
        name: The name that `value` stands under.
        in_headers: Whether that is the name of an HTTP header.
    """
    if isinstance(value, dict):
        for each_name, each in value.items():
            yield from secrets_in(each, each_name, is_of_headers(name))
    elif isinstance(value, list):
        for each in value:
            yield from secrets_in(each, name, in_headers)
    elif isinstance(value, str) and is_secret(name, value, in_headers):
        yield value
        yield value.split()[-1] if value.split() else value


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with known keys, what looks like a key, and the login of addresses masked.

    Args:
        text: The text that is to be shown, not yet cut: half a key would not be known as one.
        secrets: The known keys; see `Redactor`.
    """
    return _LOGIN.sub(MASK, _KEY_SHAPE.sub(MASK, Redactor(secrets).redact(text)))


def throughout(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a value of JSON with `mask` applied to every text in it."""
    match value:
        case dict():
            return {name: throughout(each, mask) for name, each in value.items()}
        case list() | tuple():
            return [throughout(each, mask) for each in value]
        case str():
            return mask(value)
    return value


def logins_in(text: str) -> list[str]:
    """Return the user and password ("user:password") of every address in a text."""
    return _LOGIN.findall(text)


_LOWER = str.maketrans({chr(each): chr(each + 32) for each in range(ord("A"), ord("Z") + 1)})
"""ASCII's letters alone: `str.lower` makes two characters of some others."""


def encodings(key: str) -> set[str]:
    """Return a key as the usual encodings write it, whatever stands before and after it.

    One with blanks or dashes between its characters is none of them: in a stream each word that
    ends in the key's first letter would be held back, which for most keys is "s".
    Upper and lower case are not told apart. Base64 takes three bytes at a time, so that what
    stands around a key decides how its first and last two are written: these are left out.
    """
    data = key.encode(errors="surrogatepass")
    whole = [data[start:][: (len(data) - start) // 3 * 3] for start in range(3)]
    base64 = {b64encode(each).decode() for each in whole}
    pairs = data.hex(" ").split()
    return {
        key[::-1],
        quote(key, safe="", errors="surrogatepass"),
        *base64,
        *(each.replace("+", "-").replace("/", "_") for each in base64),
        *(separator.join(pairs) for separator in ("", " ", ":", "-")),
        *("".join(f"{mark}{pair}" for pair in pairs) for mark in ("%", "\\x")),
    }


class Redactor:
    """Replaces every known key in a text by `**********`, also one that is written otherwise.

    Upper and lower case of a key are not told apart. One that cannot well be in a text by chance
    is known in its usual `encodings`, too. Where several begin at the same place, the longest is
    replaced. Strings shorter than `SHORTEST_KEY` are ignored.

    Args:
        secrets: The plain strings that must not show.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        keys = {secret for secret in secrets if len(secret) >= SHORTEST_KEY}
        forms = {each for key in keys if can_be_secret(key) for each in encodings(key)} | keys
        lower = {form.translate(_LOWER) for form in forms}
        self.keys = tuple(sorted(lower, key=lambda key: (-len(key), key)))
        self.by_first: dict[str, list[str]] = {}
        for key in self.keys:
            self.by_first.setdefault(key[0], []).append(key)

    def pattern_in(self, lower: str) -> re.Pattern[str] | None:
        """Return a pattern of the keys that are in a text in lower case, or None.

        Most texts have none, and a pattern of all takes ten times as long.
        """
        there = [key for key in self.keys if key in lower]
        return re.compile("|".join(map(re.escape, there))) if there else None

    def redact(self, text: str) -> str:
        """Return the text with every key masked."""
        pattern = self.pattern_in(lower := text.translate(_LOWER))
        shown: list[str] = []
        position = 0
        for match in pattern.finditer(lower) if pattern else ():
            shown += text[position : match.start()], MASK
            position = match.end()
        return "".join([*shown, text[position:]])

    def stream(self) -> StreamRedactor:
        """Return a redactor for one text that comes in chunks."""
        return StreamRedactor(self)


class StreamRedactor:
    """Masks keys in a text that comes in chunks, also where a chunk ends inside a key.

    The texts that `feed` and finally `flush` return, joined, equal `Redactor.redact` of the whole
    text.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next chunk, and return what can be shown of the text so far."""
        if not self._redactor.keys:
            return text
        text = self._held + text
        lower = text.translate(_LOWER)
        pattern = self._redactor.pattern_in(lower)
        shown: list[str] = []
        position = 0
        while True:
            match = pattern and pattern.search(lower, position)
            open_at = self._key_may_begin(lower, position)
            # A longer key may still come of what begins before or at a complete one.
            if not match or open_at <= match.start():
                break
            shown += text[position : match.start()], MASK
            position = match.end()
        shown.append(text[position:open_at])
        self._held = text[open_at:]
        return "".join(shown)

    def flush(self) -> str:
        """Return the rest of the text, which was held back in case that it began a key."""
        held, self._held = self._held, ""
        return self._redactor.redact(held)

    def _key_may_begin(self, lower: str, start: int) -> int:
        """Return where the end of the text may be the beginning of a key, or the text's length."""
        longest, by_first = len(self._redactor.keys[0]), self._redactor.by_first
        for position in range(max(start, len(lower) - longest + 1), len(lower)):
            end = lower[position:]
            # A complete key is no beginning of itself.
            if any(key.startswith(end) and key != end for key in by_first.get(end[0], ())):
                return position
        return len(lower)
