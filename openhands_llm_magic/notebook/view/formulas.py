"""A model's mathematics, found here: Markdown leaves it alone, and MathJax sees nothing else.

The rules are those of MathJax 3 as JupyterLab (4.6) sets it up, but stricter.
"""

from __future__ import annotations

import functools
import html
import re
from itertools import accumulate, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

CLASS = "llm-math mathjax_process tex2jax_process"
"""The classes of an element that holds a formula."""

MAX_FORMULAS = 1_000
"""Formulas of an answer that are typeset: so many fractions take the browser 2 s, 4,000 some 10."""

_MAX_LENGTH = 5_000  # Characters; MathJax's own buffer holds no more.
_MAX_DEPTH = 10  # An \xrightarrow in another doubles the time; 140 arrays crash the browser's page.

_ENVIRONMENT = r"(?:align|array|cases|eqnarray|equation|gather|multline|split|[bpvBV]?matrix)"
BLOCK_OPENER = re.compile(rf"\$\$|\\\[|\\begin\{{{_ENVIRONMENT}\*?\}}")
"""What a formula in lines of its own begins with."""
_INLINE_OPENER = re.compile(r"(?<![A-Za-z$])\$(?![\s$])|\$\$|\\\(|(?<![0-9A-Za-z])\\\[")
# Pandoc's rule, by which "$5 or $6" and "$5-$6" are money, and for shell "$HOME/$USER", "${A}${B}".
_INLINE_DOLLAR_ENDS = re.compile(r"(?<!\s)\$(?![0-9_{]|[A-Z]{2})")

# What would reach beyond the formula, after the sources of MathJax: link, load, set styles, ids or
# any attribute, react to the mouse, define names or labels for the whole page. \unicode and
# \fcolorbox write a font and a colour into a style as they stand. The last three double the work at
# each level, or (\verb) hide braces from `_depth`.
_REACHES_OUT = re.compile(
    r"\\(?:href|url|html[A-Za-z]*|class|style|cssId|data|bbox|mmlToken|includegraphics|input"
    r"|toggle|endtoggle|mathtip|texttip|require|autoload|set[oO]ptions|mathtoolsset|usetagform"
    r"|[egx]?def|let|futurelet|global|(?:re)?new(?!line)[A-Za-z]+|provide[A-Za-z]+|Newextarrow"
    r"|Declare[A-Za-z]+|definecolor|minCDarrow[a-z]+|label|ref|eqref|refeq"
    r"|unicode|fcolorbox|(?:over|under)bracket|adjustlimits|verb)(?![A-Za-z])"
)
_LABEL = re.compile(r"\\label\s*\{[^{}]*\}")


@functools.cache
def _marks(opener: str, closer: str) -> re.Pattern[str]:
    """What matters between two delimiters; a backslash takes the next character with it."""
    return re.compile(rf"{re.escape(closer)}|{re.escape(opener)}|\\.|[{{}}`]", re.DOTALL)


def _math_end(source: str, opener: re.Match[str], stop: int) -> int:
    """Find where the formula after `opener` ends, as MathJax's FindTeX does but stricter.

    Any second delimiter or code span decides at once, so that a text full of openers stays linear.

    Returns:
        The index after the closing delimiter, or -1 if this is not a formula.
    """
    closer = opener[0].translate({ord("("): ")", ord("["): "]"}).replace(r"\begin", r"\end")
    begin, depth = opener.end(), 0
    for mark in _marks(opener[0], closer).finditer(source, begin, min(stop, begin + _MAX_LENGTH)):
        if mark[0] == closer and depth == 0 and source[begin : mark.start()].strip():
            return mark.end()
        if mark[0] in {closer, opener[0], "`"}:
            return -1
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
    return -1


def inline(state: StateInline, silent: bool) -> bool:
    """Find a formula in a line: a rule of markdown-it's inline parser."""
    opener = _INLINE_OPENER.match(state.src, state.pos)
    end = _math_end(state.src, opener, state.posMax) if opener else -1
    if not opener or end < 0:
        return False
    if opener[0] == "$" and not _INLINE_DOLLAR_ENDS.match(state.src, end - 1):
        return False
    if not silent:
        state.push("math_inline", "span", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Find a formula in lines of its own: a rule of markdown-it's block parser."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    opener = BLOCK_OPENER.match(state.src, begin, state.eMarks[start_line])
    if not opener or state.is_code_block(start_line):
        return False
    end = _math_end(state.src, opener, len(state.src))
    if end < 0:
        return False
    last = start_line + state.src.count("\n", begin, end)
    if last >= end_line or state.src[end : state.eMarks[last]].strip():
        return False
    for line in range(start_line + 1, last + 1):
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
    if not silent:
        token = state.push("math_block", "p", 0)
        token.content = state.getLines(start_line, last + 1, state.blkIndent, False).strip()
        token.map = [start_line, last + 1]
        state.line = last + 1
    return True


def limit(state: StateCore) -> None:
    """Leave formulas beyond `MAX_FORMULAS` of an answer as code: a core rule of markdown-it."""
    tokens = (each for block in state.tokens for each in (block, *(block.children or ())))
    found = (each for each in tokens if each.type in ("math_block", "math_inline"))
    for token in islice(found, max(0, MAX_FORMULAS - state.env.get("formulas", 0)), None):
        token.type = "fence" if token.type == "math_block" else "code_inline"
        token.tag = "code"


def render(token: Token) -> str:
    """Write a formula for MathJax, or as code if it reaches out or is nested too deeply."""
    formula = _LABEL.sub("", token.content)
    if _REACHES_OUT.search(formula) or _depth(formula) > _MAX_DEPTH:
        return f"<code>{html.escape(formula)}</code>"
    return f'<span class="{CLASS}">{html.escape(formula)}</span>'


_NESTING = re.compile(
    r"(?P<more>\{|\\begin|\\left(?![A-Za-z]))|(?P<less>\}|\\end|\\right(?![A-Za-z]))|%.*|\\."
)


def _depth(formula: str) -> int:
    """Count how many groups are open at most."""
    depths = accumulate(
        {"more": 1, "less": -1}.get(mark.lastgroup or "", 0) for mark in _NESTING.finditer(formula)
    )
    return max(depths, default=0)
