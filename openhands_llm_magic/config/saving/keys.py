"""The API keys in a config file: finding them, and a diff that does not show them."""

from __future__ import annotations

import re
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import nested
from openhands_llm_magic.config.secret import MASK, logins_in, masked
from openhands_llm_magic.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# A key's name and value in TOML text, also in a comment or an inline table.
_ASSIGNMENT = re.compile(
    r"(?P<name>[\w-]*(?:key|token|secret|passw|passphrase|auth|credential|cookie)[\w-]*)"
    r"""(?P<equals>["']?[ \t]*=[ \t]*)"""
    r"(?!(?:true|false|[-+]?[\d._]+)[ \t]*(?:[,}#\r\n]|$))"
    r'(?P<value>"""[\s\S]*?"""+|'
    r"'''[\s\S]*?'''+"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'|\[[^\]]*\]|[^\n]+)",
    re.IGNORECASE,
)


def keys_in(table: Mapping[str, Any]) -> Iterator[str]:
    """Find the keys in a parsed config file: the secrets, text named like one, and logins."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from keys_in(value)
        elif not _is_shown(name):
            yield from nested.secrets_in(value, name)
        elif isinstance(value, str):
            yield from logins_in(value)


def masked_diff(before: str, after: str, name: str, keys: Iterable[str], *, created: bool) -> str:
    """Give the unified diff of two versions of a config file, with every key masked, see `masked`.

    Args:
        before: The old text.
        after: The new text.
        name: What to call the file.
        keys: Keys to mask wherever they are.
        created: There was no file before.
    """
    masks: dict[str, str] = {}

    def mask(match: re.Match[str]) -> str:
        if _is_shown(match["name"]):
            return match[0]
        # TOML text has no NUL; a number for each value lets the diff see that a key changes.
        number = masks.setdefault(match["value"], f"\0{len(masks)}\0")
        return match["name"] + match["equals"] + number

    old, new = (_ASSIGNMENT.sub(mask, text).splitlines() for text in (before, after))
    old_name = "/dev/null" if created else name
    diff = "\n".join(unified_diff(old, new, old_name, name, lineterm=""))
    return masked(re.sub("\0[0-9]+\0", f'"{MASK}"', diff), keys)


def _is_shown(name: str) -> bool:
    """Tell whether it is a setting that is no secret, whatever its name sounds like."""
    return name in SETTINGS and SETTINGS[name].kind != "secret"
