"""Whatever a file of stored answers holds: it is an answer, or it is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fuzz.mutating import KEY, as_bytes, mutated, mutated_json, told
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.answers.stored import Stored
from openhands_llm_magic.llm.events import Done, Usage
from openhands_llm_magic.llm.prepare import Request
from openhands_llm_magic.llm.reply import Reply, fold
from openhands_llm_magic.notebook.view import display

if TYPE_CHECKING:
    from typing import Any

MODEL = "openai/gpt-4o"
SETTINGS = load_settings(env={"LLM_MODEL": MODEL, "LLM_API_KEY": KEY})
REQUEST = Request(MODEL, [{"role": "user", "content": "Hello"}], {"temperature": 0.5})
ANSWER = {
    "text": "Hi",
    "reasoning": "Hm.",
    "finish_reason": "stop",
    "cost_usd": 0.25,
    "cost_told_by": "price list",
    "usage": {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "cache_write_tokens": 0,
    },
}
FILES = ({"answer": ANSWER, "request": {}}, {"answer": {**ANSWER, "usage": None}, "request": {}})
PIECES = ('"text": ', "null", "1e999", "NaN", "Infinity", "-1", "{}", "\\ud800", "\ufeff")
BODIES = mutated([json.dumps(each, indent=1) for each in FILES], PIECES)
BODIES |= mutated_json(FILES).map(json.dumps)


@given(BODIES)
def test_any_file(body: str) -> None:
    """What is found can be shown."""
    place = Stored(REQUEST, SETTINGS, [KEY])
    place.path.parent.mkdir(exist_ok=True)
    place.path.write_bytes(as_bytes(body))
    events = place.find()
    if events is None:
        told(place.why_not())
        return
    reply = fold(events, MODEL)
    assert isinstance(events[-1], Done)
    assert reply.error is None
    assert reply.is_whole
    json.dumps(display.bundle(reply))


TEXT = st.text(st.characters(codec=None) | st.sampled_from("\n\r\u2028"), max_size=20)
COUNT = st.integers(0, 10**9)
USAGE = st.none() | st.builds(Usage, COUNT, COUNT)
COST = st.none() | st.floats(0, 1e6, allow_nan=False)


@given(TEXT, TEXT, st.sampled_from(["stop", "length"]), USAGE, COST)
def test_any_answer_comes_back(
    text: str, reasoning: str, reason: str, usage: Usage | None, cost_usd: float | None
) -> None:
    """A whole one is found as it was kept, but for the key; one that cannot be kept is told."""
    place = Stored(REQUEST, SETTINGS, [KEY])
    known: dict[str, Any] = {"usage": usage, "cost_usd": cost_usd, "finish_reason": reason}
    reply = Reply(f"{text}{KEY}", MODEL, **known, reasoning=reasoning)
    error = place.keep(reply)
    if error is not None:
        told(error)
        return
    assert KEY.encode() not in place.path.read_bytes()
    events = place.find()
    assert events is not None
    found = fold(events, MODEL)
    assert found.text == text + "**********"
    assert (found.usage, found.cost_usd, found.finish_reason) == (usage, cost_usd, reason)
    assert found.reasoning == reasoning
