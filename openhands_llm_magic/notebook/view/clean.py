"""The allow-list that all HTML passes before it is shown in a trusted notebook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BLOCKS = {"blockquote", "div", "hr", "li", "ol", "p", "pre", "ul", *map("h{}".format, range(1, 7))}
_INLINES = {"a", "br", "code", "em", "s", "span", "strong"}
_TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "*": set[str]()}  # nh3's own "*" allows title.


def cleaner(values: Mapping[str, Mapping[str, set[str]]] | None = None) -> Callable[[str], str]:
    """Make what takes out of HTML all that could run, load, navigate or change how a page looks.

    Args:
        values: The classes and alignments that are allowed, by tag and attribute.
    """
    import nh3  # noqa: PLC0415 - with its friends it takes 25 ms to import

    return nh3.Cleaner(
        tags=_BLOCKS | _INLINES | _TABLES,
        attributes=_ATTRIBUTES,
        attribute_filter=lambda _tag, name, value: (
            value if name != "href" or is_web_address(value) else None
        ),
        tag_attribute_values={tag: dict(found) for tag, found in (values or {}).items()},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer",
        url_schemes={"http", "https", "mailto"},
    ).clean


def is_web_address(url: str) -> bool:
    """A relative link counts as none: JupyterLab would open a file or call its own server."""
    return re.match(r"(?:https?://|mailto:)\S", url, re.IGNORECASE) is not None
