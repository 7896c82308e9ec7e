"""Records what the real OpenHands sends: `make openhands-recordings` runs this.

The recordings are compared with our own preview by `tests/llm/test_openhands.py`, for which no
OpenHands is needed, and with the real one by `make test-openhands`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from model_server import Refuse  # noqa: E402 - it is found only now
from openhands.cases import ATTEMPTS, AWS, CASES, MESSAGES, POLICY  # noqa: E402
from openhands.real import OpenHands  # noqa: E402

from openhands_llm_magic.config.litellm_files import facts_of  # noqa: E402

if TYPE_CHECKING:
    from openhands.cases import Case

RECORDINGS = Path(__file__).with_name("recordings.json")

FORMS = {"openhands": "toml", "openhands-sdk": "profile"}
"""How each version is handed the settings, by its name after `--as`."""

HTTP_CLIENTS = (
    "accept", "connection", "content-", "host", "user-agent", "x-stainless-", "x-amz-d",
)  # fmt: skip
"""The beginnings of headers that say nothing of the settings."""

KEYS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")

FACTS = (
    "max_input_tokens", "max_output_tokens", "max_tokens", "supported_endpoints",
    "supports_adaptive_thinking", "supports_prompt_caching", "supports_reasoning",
    "supports_sampling_params", "supports_vision",
)  # fmt: skip
"""What of LiteLLM's list has a part in a request of OpenHands."""


def recorded(openhands: OpenHands, name: str, case: Case) -> dict[str, Any]:
    """Record the request of one case, or how it failed without any."""
    settings = case.at(openhands.server.base_url, num_retries=1)
    asides = len(openhands.server.asides)
    outcome = openhands.ask(settings, MESSAGES, FORMS[name], AWS)
    # The server plays no Responses API: such a request is among those that ask no model.
    others = [each for each in openhands.server.asides[asides:] if "/responses" in each.path]
    sent = [*outcome.requests, *others]
    if not sent:
        assert outcome.error is not None
        return {"error": outcome.error.splitlines()[0].partition(": ")[0]}
    assert len(sent) == 1, [each.path for each in sent]
    return {
        "path": sent[0].path,
        "headers": {
            header: "…" if header in KEYS else value
            for header, value in sorted(sent[0].headers.items())
            if not header.startswith(HTTP_CLIENTS)
        },
        "body": sent[0].body,
    }


def retries(openhands: OpenHands, name: str, case: Case) -> dict[str, Any]:
    """Record the requests of three attempts at a server that refuses all, and the waits between.

    Below each attempt the provider's client may make retries of its own, at random moments.
    """
    settings = case.at(openhands.server.base_url, **POLICY)
    outcome = openhands.ask(settings, MESSAGES, FORMS[name], AWS, Refuse(429))
    count = len(outcome.requests)
    each, odd = divmod(count, ATTEMPTS)
    waits_s = outcome.waits_s[each - 1 :: each] if each and not odd else []
    return {"requests": count, "waits_s": [int(wait_s + 0.2) for wait_s in waits_s]}


def recording(name: str, python: Path) -> dict[str, Any]:
    """Record all that one version sends."""
    with tempfile.TemporaryDirectory() as folder, OpenHands(python, Path(folder)) as openhands:
        return {
            "version": openhands.version,
            "requests": {key: recorded(openhands, name, case) for key, case in CASES.items()},
            "retries": {
                key: retries(openhands, name, case)
                for key, case in CASES.items()
                if key == case.provider
            },
        }


def facts() -> dict[str, Any]:
    """Return what LiteLLM's list says now of the models of all cases."""
    models = {case.model for case in CASES.values()}
    return {
        model: {fact: value for fact in FACTS if (value := facts_of(model).get(fact)) is not None}
        for model in sorted(models)
    }


if __name__ == "__main__":
    pythons = dict(zip(FORMS, map(Path.absolute, map(Path, sys.argv[1:])), strict=True))
    made = {name: recording(name, python) for name, python in pythons.items()}
    text = json.dumps({"facts": facts(), **made}, indent=1, ensure_ascii=False)
    RECORDINGS.write_text(text + "\n", "utf-8")
