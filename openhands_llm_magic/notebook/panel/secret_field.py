"""The input of a key, which leaves the browser as a message and is never state of a widget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anywidget
from traitlets import Unicode

from openhands_llm_magic.config.secret import Secret, masked
from openhands_llm_magic.errors import LLMMagicError, SettingError, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_KEY = 10_000
"""Characters; longer is no key but something pasted by mistake, and is ignored."""


class SecretField(anywidget.AnyWidget):
    """A labelled password input with buttons to show what is typed and to set it.

    A typed or pasted key is sent when Enter or "Set" is pressed, or when the focus leaves the
    field, and the input is empty again at once. As no trait ever holds the key, neither does a
    saved notebook.

    Args:
        label: What the input is called.
        on_secret: Called with each key. What it raises is shown as one line, key masked.
        on_refused: Called when what was sent is too long for a key.
        texts: Other words for the traits `show_text`, `hide_text`, `set_text`, `placeholder`.
    """

    _esm = Path(__file__).with_name("secret_field.js")

    label = Unicode().tag(sync=True)
    show_text = Unicode("Show").tag(sync=True)
    hide_text = Unicode("Hide").tag(sync=True)
    set_text = Unicode("Set").tag(sync=True)
    placeholder = Unicode().tag(sync=True)

    def __init__(
        self,
        *,
        label: str,
        on_secret: Callable[[Secret], None],
        on_refused: Callable[[], None] = lambda: None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(label=label, **(texts or {}))
        self._on_secret = on_secret
        self._on_refused = on_refused
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return f"SecretField(label={self.label!r})"

    def _receive(self, _field: object, content: dict[str, object], _buffers: object) -> None:
        """Handle a message of the front end.

        A traceback may show the locals of every frame: neither here nor above, where the kernel
        still has the message, is the plain key left when a callback runs.
        """
        match content:
            case {"type": "secret"}:
                secret, refused = _taken_from(content)
                if refused:
                    self._on_refused()
                elif secret:
                    _hand_over(secret, self._on_secret)


def _taken_from(content: dict[str, object]) -> tuple[Secret | None, bool]:
    """Empty the message; give what it held if that can be a key, and whether it is too long."""
    value = content.pop("value", None)
    content.clear()
    if not isinstance(value, str):
        return None, False
    if len(value) > LONGEST_KEY:
        return None, True
    return Secret(value.strip()) or None, False


def _hand_over(secret: Secret, on_secret: Callable[[Secret], None]) -> None:
    """Call back; a failure loses its traceback, whose frames may hold the plain key."""
    try:
        on_secret(secret)
    except LLMMagicError as error:
        problem = error.text.masked(lambda text: masked(text, [secret.get_secret_value()]))
    except Exception as error:  # noqa: BLE001 - whatever it is, its text and frames may hold the key
        told = "the key was not set, because of an internal {error}."
        problem = Text(told, error=type(error).__name__)
    else:
        return
    # Outside of `except`, so that the failure is not its context either.
    raise SettingError(problem)
