"""Whatever a server says in place of an answer: one line of ours comes of it, without the key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from faults.wordings import WORDINGS
from fuzz.mutating import KEY, as_bytes, mutated, mutated_json, told
from fuzz.roads import asked
from hypothesis import given
from hypothesis import strategies as st
from model_server import ModelServer, Raw, Refuse
from sending import DIALECTS

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.secret import Redactor
from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm import refusals
from openhands_llm_magic.llm.explain import explained
from openhands_llm_magic.llm.meaning import meaning

if TYPE_CHECKING:
    from collections.abc import Iterator


def parsed(body: str) -> Any:
    """Return the JSON of a body, or its text."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


BODIES = [
    *sorted({wording.body for wording in WORDINGS}),
    json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}.", "code": KEY}}),
    f"<html><head><title>{KEY}</title></head><body>{KEY}</body></html>",
    json.dumps({"error": {"message": json.dumps({"error": {"message": f"no {KEY}"}})}}),
    '{"detail": [{"loc": ["body", "x"], "msg": "Field required", "type": "missing", "input": {}}]}',
]
PIECES = (
    *('"message": ', '"error": ', '"code": 429', '"type": null', "try again in ", "99999999999h"),
    *("<html>", "<title>", "</title>", "b'{", "Exception - ", "Received Model Group=", "\\n", "\\"),
    *("context length", "rate limit", "insufficient_quota", "per day", f" {KEY} ", "retryDelay"),
)
TEXTS = mutated(BODIES, PIECES) | mutated_json([parsed(each) for each in BODIES]).map(json.dumps)
STATUSES = st.sampled_from([400, 401, 402, 403, 404, 405, 407, 408, 409, 413, 422, 429, 451, 500])
STATUSES |= st.sampled_from([502, 503, 504, 520, 529, 530, 599, 418])
SETTINGS = load_settings(env={"LLM_MODEL": "openai/gpt-4o", "LLM_API_KEY": KEY})


@given(TEXTS, st.none() | STATUSES, st.booleans())
def test_any_body(text: str, status: int | None, as_json: bool) -> None:
    refusal = refusals.read(parsed(text) if as_json else text, status=status)
    assert refusal.words == " ".join(refusal.words.split())
    kind = meaning(refusal)
    assert issubclass(kind, RequestError)
    error = kind(refusal.words, status=status, retry_after_s=refusal.retry_after_s)
    error.named = refusal.settings
    error.given_by = refusal.given_by
    line = explained(error, SETTINGS, retries=2).text
    told(line.masked(Redactor(SETTINGS.secrets()).redact))


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """One server for all examples."""
    with ModelServer() as running:
        yield running


@pytest.mark.usefixtures("litellm")
@given(TEXTS, STATUSES, st.sampled_from(DIALECTS), st.sampled_from(["json", "event", "html"]))
def test_any_refusal(server: ModelServer, text: str, status: int, provider: str, how: str) -> None:
    """Over HTTP, in place of an answer or, as an event, in place of its rest."""
    body = as_bytes(text)
    refusal = Refuse(status, body=body)
    if how == "event":
        refusal = Refuse(status, body=b"data: " + body + b"\n\n", after_chunks=1)
    step = Raw(body, "text/html", status) if how == "html" else refusal
    asked(server, step, provider)
