"""What `openhands_llm_magic` offers to Python code."""

from __future__ import annotations

import inspect

import pytest
from IPython.lib.pretty import pretty

import openhands_llm_magic
from openhands_llm_magic import Reply
from openhands_llm_magic.errors import RateLimitError


@pytest.mark.parametrize("name", openhands_llm_magic.__all__)
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(openhands_llm_magic, name))


def test_any_other_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = openhands_llm_magic.nothing


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (Reply("Hello.\nThere."), "Hello.\nThere."),
        (Reply("Half", error=RateLimitError("slow down")), "Half\n(slow down)"),
        (Reply(error=RateLimitError("slow down")), "(slow down)"),
    ],
)
def test_a_reply_shows_itself_without_the_magics(reply: Reply, shown: str) -> None:
    """As in a script's `ask(...)` at the prompt of a plain IPython."""
    assert pretty(reply) == shown
