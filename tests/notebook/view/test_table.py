"""Tables as text."""

from __future__ import annotations

from openhands_llm_magic.notebook.view import table


def test_a_letter_that_is_twice_as_wide_counts_twice() -> None:
    """So that the columns of a Japanese table stand below each other in a terminal."""
    text = table.as_text(["モデル", "費用"], [["a", "$1.00"], ["日本", "ローカル"]], "lr")
    assert text.splitlines() == [
        "モデル      費用",
        "a          $1.00",
        "日本    ローカル",
    ]
