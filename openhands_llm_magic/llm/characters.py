"""Characters whole: some servers send one in two halves, as JSON may write it (RFC 8259, 7)."""

from __future__ import annotations


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
