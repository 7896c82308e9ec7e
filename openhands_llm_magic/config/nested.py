"""Values with other values in them: dictionaries and lists of settings such as completion_kwargs.

What OpenHands and LiteLLM take there may be a key, so it is masked like one where it shows.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET_NAME = re.compile(
    r"key|token|secret|password|passphrase|auth|credential|cookie", re.IGNORECASE
)


class Options(dict[str, Any]):
    """A dictionary whose repr masks text under a name like "api_key" or "Authorization"."""

    __slots__ = ()

    def __repr__(self) -> str:
        pairs = (
            f"{name!r}: {MASK if _is_secret(name, value) else repr(value)}"
            for name, value in self.items()
        )
        return "{" + ", ".join(pairs) + "}"


def _is_secret(name: object, value: object) -> bool:
    # Not a number: max_tokens is no token.
    return isinstance(value, str | list) and bool(value) and bool(_SECRET_NAME.search(str(name)))


def copied(value: Any) -> Any:
    """Copy dictionaries, as `Options`, and lists at every depth; anything else is given back."""
    if isinstance(value, dict):
        return Options({name: copied(each) for name, each in value.items()})
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value


def secrets_in(value: object, name: object = "") -> Iterator[str]:
    """Find every text that `Options` masks, in "Bearer sk-..." also the key alone."""
    if isinstance(value, dict):
        for each_name, each in value.items():
            yield from secrets_in(each, each_name)
    elif isinstance(value, list):
        for each in value:
            yield from secrets_in(each, name)
    elif isinstance(value, str) and _is_secret(name, value):
        yield value
        yield value.split()[-1] if value.split() else value


def parsed(text: str) -> object:
    """Read a Python literal, as OpenHands reads the variables of such settings.

    Raises:
        ValueError: It is not one.
    """
    try:
        value: object = ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return value


def is_dictionary(value: object) -> bool:
    """Tell whether it is a dictionary whose names are text."""
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def is_list_of_text_dictionaries(value: object) -> bool:
    """Tell whether it is a list of dictionaries of text, the form of safety_settings."""
    return isinstance(value, list) and all(
        is_dictionary(each) and all(isinstance(text, str) for text in each.values())
        for each in value
    )
