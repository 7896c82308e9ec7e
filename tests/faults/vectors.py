"""Faults of a request for vectors, which every provider's path tells in the same way."""

from __future__ import annotations

import json

from model_server import Cut, Raw, Refuse

from faults.fault import Fault
from openhands_llm_magic import errors

ADDRESS = "embedding_base_url (now {base_url}, from "
CLOSING = {"connection": "close"}
"""LiteLLM leaves the clients of some providers open, of which Python would complain."""

MODEL = "embedding_model (now {model}, from "


def answered(body: object) -> Raw:
    """Answer with JSON that holds no vectors, under status 200."""
    return Raw(json.dumps(body).encode(), "application/json", headers=CLOSING)


IN_PLACE_OF_VECTORS = (
    Fault(
        name="an error as text: a wrong path",
        steps=answered({"error": "Unexpected endpoint or method. (POST /embeddings)"}),
        error=errors.AddressError,
        shown="no model answers at {base_url} (Unexpected endpoint or method. (POST /embeddings)).",
        names=ADDRESS,
    ),
    Fault(
        name="an error as text: a text that is too long",
        steps=answered({"error": "input (767 tokens) is too large to process."}),
        error=errors.ContextLengthError,
        shown="texts 1 to 2: one is longer than {model} takes (input (767 tokens) is too large",
        names=MODEL,
    ),
    Fault(
        name="an error with a code: a wrong key",
        steps=answered({"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}),
        error=errors.AuthenticationError,
        shown="{base_url} refused the key (Incorrect API key); ",
        names="give it as api_key",
    ),
    Fault(
        name="an error with a code: a rate limit",
        steps=answered({"error": {"message": "Slow down.", "code": 429}}),
        error=errors.RateLimitError,
        shown="still rate limited (Slow down); gave up after 4 retries.",
        names="num_retries (now 4, from ",
    ),
    Fault(
        name="an error without a code",
        steps=answered({"error": {"message": "It broke."}}),
        error=errors.ServerError,
        shown="the server failed (It broke); gave up after 4 retries.",
        names="num_retries (now 4, from ",
    ),
    Fault(
        name="a detail: a wrong path",
        steps=answered({"detail": "Not Found"}),
        error=errors.AddressError,
        shown="no model answers at {base_url} (Not Found).",
        names=ADDRESS,
    ),
    Fault(
        name="a message with a code: no credit",
        steps=answered({"message": "Insufficient credits", "code": 402}),
        error=errors.QuotaError,
        shown="the account has no credit left (Insufficient credits); ",
        names="Add credit",
    ),
    Fault(
        name="a page of HTML",
        steps=Raw(
            b"<html><title>Welcome</title><p>Log in</p></html>", "text/html", headers=CLOSING
        ),
        error=errors.AddressError,
        shown="no model answers at {base_url} (a page for people came: Welcome).",
        names=ADDRESS,
    ),
    Fault(
        name="a page of HTML that calls itself JSON",
        steps=Raw(b"<h1>Welcome</h1>", "application/json", headers=CLOSING),
        error=errors.AddressError,
        shown="no model answers at {base_url} (a page for people came: Welcome).",
        names=ADDRESS,
    ),
    Fault(
        name="a text: a wrong path",
        steps=Raw(b"404 page not found", "text/plain", headers=CLOSING),
        error=errors.AddressError,
        shown="no model answers at {base_url} (404 page not found).",
        names=ADDRESS,
    ),
    Fault(
        name="an empty body",
        steps=Cut(how="empty"),
        error=errors.BrokenAnswerError,
        shown="texts 1 to 2: no vectors came (the model sent an empty answer); gave up after 4",
        names="num_retries (now 4, from ",
    ),
    Fault(
        name="JSON without vectors",
        steps=answered({}),
        error=errors.BrokenAnswerError,
        shown="texts 1 to 2: no vectors came (the",
        names="num_retries (now 4, from ",
    ),
)

REFUSED = (
    Fault(
        name="301 that leads nowhere",
        steps=Raw(b"", "text/plain", 301, CLOSING),
        error=errors.AddressError,
        shown="no model answers at {base_url}",
        names=ADDRESS,
    ),
    Fault(
        name="401",
        steps=Refuse(401, CLOSING),
        error=errors.AuthenticationError,
        shown="{base_url} refused the key (401: The model refused); ",
        names="give it as api_key",
    ),
    Fault(
        name="404",
        steps=Refuse(404, CLOSING),
        error=errors.ModelNotFoundError,
        shown="the embedding model {model} is not known (404: The model refused).",
        names=MODEL,
    ),
    Fault(
        name="429 with Retry-After in seconds",
        steps=Refuse(429, {"retry-after": "7", **CLOSING}),
        error=errors.RateLimitError,
        shown="still rate limited (429: The model refused); gave up after 4 retries.",
        names="num_retries (now 4, from ",
        server_wait_s=7,
    ),
    Fault(
        name="500",
        steps=Refuse(500, CLOSING),
        error=errors.ServerError,
        shown="the server failed (500: The model refused); gave up after 4 retries.",
        names="num_retries (now 4, from ",
    ),
)

FAULTS = (*IN_PLACE_OF_VECTORS, *REFUSED)
