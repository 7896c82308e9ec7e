"""Two dollars are two amounts: MathJax, which looks for formulas in all HTML, finds none there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from shown_page import Page

if TYPE_CHECKING:
    from kernel import Kernel

PRICED = "%llm_config model=openai/gpt-4o"
ASK = "%llm What is dearer: $5 or $7?"
SEVERAL = "asked = %llm -m practice/echo -m practice/$5-or-$7 Hi"


@pytest.mark.parametrize(
    "lines",
    [
        [PRICED, "%llm_usage --estimate"],
        [ASK, "%llm_usage"],
        ["%llm_models openai/gpt"],
        ["%llm_config --show"],
        [PRICED, "%llm --dry-run Is it $5 or $7?"],
        ["%llm_probe -m practice/$5-or-$7"],
        [SEVERAL, "asked"],
        [SEVERAL],
        ["%llm --chat a Is it $5 or $7?", "%llm_chat a"],
    ],
    ids=lambda lines: lines[-1],
)
def test_no_amount_is_a_formula(kernel: Kernel, lines: list[str]) -> None:
    """Nor what two amounts, or the dollars of a name, stand around."""
    *before, last = lines
    for line in before:
        kernel.run(line)
    pages = [each["text/html"] for each in kernel.run(last).outputs if "text/html" in each]
    assert pages
    assert [Page(page).formulas for page in pages] == [[]] * len(pages)
