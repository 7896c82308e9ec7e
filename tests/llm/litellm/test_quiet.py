"""LiteLLM's log stays out of the cell while a request of ours runs, and only then."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer
from sending import request_to, send_once

from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.litellm import clients
from openhands_llm_magic.llm.litellm.send import send
from openhands_llm_magic.llm.prepare import Request

if TYPE_CHECKING:
    from model_server import ModelServer

LOGGER = logging.getLogger("LiteLLM")


@pytest.fixture(autouse=True)
def _loaded(litellm: Any) -> None:
    """The first import may log."""
    assert litellm


def test_a_warning_about_our_request_is_not_printed(
    model_server: ModelServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """LiteLLM warns of each temperature for newer models of Gemini."""
    server = {"base_url": model_server.base_for("gemini"), "api_key": "sk-test-key"}
    messages = [{"role": "user", "content": "Hello"}]
    list(send_once(Request("gemini/gemini-3-pro", messages, {**server, "temperature": 0.5})))
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("always")
def test_a_warning_of_pydantic_is_not_printed(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would show what the server has sent; those of others, on another thread, are shown."""
    shown: list[object] = []
    monkeypatch.setattr(warnings, "showwarning", lambda *told: shown.append(str(told[0])))

    def warn(_: int) -> None:  # on a thread of the server
        warnings.warn("theirs", stacklevel=1)

    model_server.script(Answer("One", between_chunks=warn))
    request = request_to(model_server)
    send(request, lambda _event: warnings.warn("ours", stacklevel=1))
    send(replace(request, model="openai/o3-pro"), lambda _event: None)  # of a count with a cost
    assert shown == ["theirs", "theirs"]
    warnings.warn("after", stacklevel=1)
    assert shown[-1] == "after"


def test_a_failure_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    """LiteLLM logs the traceback of an unmet dependency beside the error that it raises."""
    options = {"vertex_project": "mine", "vertex_location": "us-central1"}
    with pytest.raises(RequestError):
        list(send_once(Request("vertex_ai/gemini-2.5-pro", [], options)))
    assert capfd.readouterr() == ("", "")


def test_the_log_of_others_is_printed(
    model_server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Before and after our request, and in the middle of it on other threads."""

    def log(_: int) -> None:  # on a thread of the server
        LOGGER.warning("meanwhile")

    LOGGER.warning("before")
    model_server.script(Answer("One two", between_chunks=log))
    list(send_once(request_to(model_server)))
    LOGGER.warning("after")
    assert [record.message for record in caplog.records if record.name == LOGGER.name] == [
        "before",
        "meanwhile",
        "meanwhile",
        "after",
    ]


def test_who_asks_for_the_log_gets_it(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(clients.LOG_VARIABLE, "DEBUG")
    send(request_to(model_server), lambda _event: LOGGER.warning("ours"))
    assert "ours" in caplog.messages


def test_a_warning_is_shown_after_another_thread_has_caught_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`catch_warnings` puts back what it found, also what a request of ours had put there."""
    shown: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
    with contextlib.ExitStack() as caught, clients.ours():
        caught.enter_context(warnings.catch_warnings())
    with clients.ours():
        pass
    warnings.showwarning("mine", UserWarning, "cell", 1)
    with clients.ours():
        elsewhere = threading.Thread(
            target=warnings.showwarning, args=("mine, too", UserWarning, "cell", 1)
        )
        elsewhere.start()
        elsewhere.join()
    assert shown == ["mine", "mine, too"]
