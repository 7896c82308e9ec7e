"""What a browser and MathJax make of the HTML that an answer is shown as."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from markdown_attacks import ATTRIBUTES, TAGS

BRACKETS = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
OPENER = re.compile(r"\$\$|\\\(|\\\[|\$|\\begin\s*\{([^}]*)\}|\\[\\$]|\\(?:eq)?ref\s*\{[^}]*\}")


class Page(HTMLParser):
    """What a browser and MathJax make of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text = ""
        self.forbidden: list[str] = []
        self.formulas: list[str] = []
        self._stack: list[tuple[str, bool]] = []
        self._chunk = ""
        self.feed(source)
        self.close()
        self._end_chunk()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.forbidden.append(tag)
        for name, value in attrs:
            if not re.fullmatch(ATTRIBUTES.get((tag, name), "(?!)"), value or ""):
                self.forbidden.append(f"{tag} {name}={value}")
        if tag == "br":
            self._chunk += "\n"
            return
        self._end_chunk()
        # MathJax 3, HTMLDomStrings: a formula never spans two elements.
        names = str(dict(attrs).get("class")).split()
        ignored = bool(self._stack and self._stack[-1][1])
        ignored = (ignored or "mathjax_ignore" in names) and "mathjax_process" not in names
        if tag != "hr":
            self._stack.append((tag, ignored or tag in {"pre", "code"}))

    def handle_endtag(self, tag: str) -> None:
        self._end_chunk()
        opened, _ = self._stack.pop()
        assert opened == tag, "badly nested"

    def handle_data(self, data: str) -> None:
        self.text += data
        if not (self._stack and self._stack[-1][1]):
            self._chunk += data

    def handle_comment(self, data: str) -> None:
        self.forbidden.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.forbidden.append(f"declaration {decl}")

    def handle_pi(self, data: str) -> None:
        self.forbidden.append(f"instruction {data}")

    def _end_chunk(self) -> None:
        """MathJax 3, FindTeX with JupyterLab's options."""
        at, chunk, self._chunk = 0, self._chunk, ""
        while opener := OPENER.search(chunk, at):
            at = opener.end()
            if opener[1] is not None:
                closer = rf"\\end\s*\{{{re.escape(opener[1])}\}}"
            elif opener[0] in BRACKETS:
                closer = re.escape(BRACKETS[opener[0]])
            else:
                self.formulas += [opener[0]] if "ref" in opener[0] else []
                continue
            depth = 0
            for mark in re.compile(rf"({closer})|\\(?:[a-zA-Z]|.)|[{{}}]").finditer(chunk, at):
                if mark[1] and depth == 0:
                    at = mark.end()
                    self.formulas.append(chunk[opener.start() : at])
                    break
                depth = max(0, depth + {"{": 1, "}": -1}.get(mark[0], 0))
