"""Whatever LiteLLM, its clients and a person's callbacks print, log or warn of, no key is in it."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, Raw, Refuse

from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.litellm import clients
from openhands_llm_magic.llm.litellm.clients import CALLBACKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server import ModelServer, Step

pytestmark = [
    pytest.mark.usefixtures("set_up", "talkative"),
    pytest.mark.filterwarnings("always"),
]

CANARY = "sk-canary-0123456789abcdef"


def events(*chunks: dict[str, Any]) -> bytes:
    """A stream of chunks."""
    lines = [*(json.dumps(each) for each in chunks), "[DONE]"]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


HEAD = {"id": CANARY, "object": "chat.completion.chunk", "created": CANARY, "model": CANARY}
DELTA = {"role": CANARY, "content": f"It is {CANARY}, isn't it?"}
ENDS = {
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "total_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": CANARY},
        "completion_tokens_details": {"reasoning_tokens": CANARY},
    },
}

STEPS: dict[str, Step] = {
    "where a number belongs": Raw(
        events(HEAD | {"choices": [{"index": CANARY, "delta": DELTA}]}, HEAD | ENDS),
        "text/event-stream",
        headers={"x-echo": CANARY},
    ),
    "in an answer": Answer(f"It is {CANARY}.", headers={"x-echo": CANARY}),
    "in a refusal": Refuse(401, {"x-echo": CANARY}, message=f"{CANARY} is wrong", code=CANARY),
    "in a body that is no JSON": Refuse(500, body=CANARY.encode()),
}


def ask_for_nothing(*_: Any) -> None:
    """Leave all as most people have it."""


def set_verbose(litellm: Any, patch: pytest.MonkeyPatch, _: pytest.LogCaptureFixture) -> None:
    patch.setattr(litellm, "set_verbose", True)


def set_the_variable(_: Any, patch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    patch.setenv(clients.LOG_VARIABLE, "DEBUG")
    log.set_level(logging.DEBUG, "LiteLLM")


def set_levels(_: Any, __: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    for name in ("httpx", "httpcore", "openai"):
        log.set_level(logging.DEBUG, name)
    log.set_level(logging.DEBUG)


def call_back(litellm: Any, patch: pytest.MonkeyPatch, _: pytest.LogCaptureFixture) -> None:
    """Print what one is told, as LiteLLM's documentation advises for debugging."""

    def tell(told: Any, *_: Any) -> None:
        print(told)  # noqa: T201 - as they do
        print(told, file=sys.stderr)  # noqa: T201 - as they do
        warnings.warn(str(told), stacklevel=1)
        logging.getLogger("theirs").error("told %s", told)
        logging.getLogger("theirs").error("%d", told)  # words that do not fit
        logging.getLogger("theirs").error("it", exc_info=ValueError(str(told)))

    # LiteLLM makes ready for functions with the first callback that it meets, whatever it is.
    patch.setattr(litellm.utils, "callback_list", [])
    patch.setattr(litellm, "input_callback", [tell])


Way = Callable[[Any, pytest.MonkeyPatch, pytest.LogCaptureFixture], None]
WAYS: tuple[Way, ...] = (ask_for_nothing, set_verbose, set_the_variable, set_levels, call_back)


@pytest.fixture
def talkative(litellm: Any) -> Iterator[None]:
    """A root logger that prints, as `logging.basicConfig` sets it up; and all as before."""
    assert litellm
    handler = logging.StreamHandler()
    logging.root.addHandler(handler)
    before = (logging.getLogRecordFactory(), warnings.showwarning, sys.stdout, sys.stderr)
    threads = set(threading.enumerate())
    yield
    # LiteLLM tells its callbacks of a failure on a thread of its own, whose words would else come
    # in the next test.
    for thread in set(threading.enumerate()) - threads:
        if "failure_handler" in thread.name:
            thread.join(timeout=10)
    logging.root.removeHandler(handler)
    after = (logging.getLogRecordFactory(), warnings.showwarning, sys.stdout, sys.stderr)
    assert after == before


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("way", WAYS)
def test_no_key_is_printed(  # noqa: PLR0913, PLR0917 - all of its sinks
    litellm: Any,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    way: Way,
    step: Step,
) -> None:
    """The key has the shape of no provider: that would be masked anyway."""
    key = "canary0123456789abcdefXYZ"
    monkeypatch.setenv("LLM_API_KEY", key)
    way(litellm, monkeypatch, caplog)
    model_server.script(renamed(step, key))
    with contextlib.suppress(RequestError):
        ask("Hello", num_retries=0)
    printed = "".join(capfd.readouterr()) + caplog.text
    assert "canary" not in printed
    if way is ask_for_nothing:
        assert printed == ""
    elif way is set_verbose:
        assert printed  # what a body holds is not in it with every version of OpenAI's client
    elif way is call_back:
        assert "**********" in printed


def renamed(step: Any, key: str) -> Any:
    """Let a step tell another key."""
    fields = {name: getattr(step, name) for name in step.__dataclass_fields__}
    told = {
        name: it.replace(CANARY, key)
        if isinstance(it, str)
        else it.replace(CANARY.encode(), key.encode())
        if isinstance(it, bytes)
        else {each: str(value).replace(CANARY, key) for each, value in it.items()}
        if isinstance(it, dict)
        else it
        for name, it in fields.items()
    }
    return type(step)(**told)


def test_somebody_who_wraps_what_makes_records_is_left_alone(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Theirs stays in place, also when it was put there during a request."""
    before = logging.getLogRecordFactory()
    monkeypatch.setattr(logging, "_logRecordFactory", before)  # puts it back

    def wrap(_: int) -> None:
        inner = logging.getLogRecordFactory()

        def record(*told: Any, **more: Any) -> logging.LogRecord:
            made = inner(*told, **more)
            made.theirs = True
            return made

        logging.setLogRecordFactory(record)

    model_server.script(Answer("One", between_chunks=wrap), Answer("Two"), Answer("Three"))
    for _ in range(3):
        ask("Hello")
    logging.getLogger("theirs").error("told %s", CANARY)
    assert caplog.records[-1].__dict__["theirs"]
    assert caplog.records[-1].args == (CANARY,)  # no request of ours runs
    logging.setLogRecordFactory(before)


def test_an_ordinary_request_leaves_the_streams_alone(
    litellm: Any, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has asked LiteLLM to talk, no stream stands in for another's."""
    for name in CALLBACKS:
        monkeypatch.setattr(litellm, name, ["cache"])
    before, seen = (sys.stdout, sys.stderr), []
    note = Answer("Hello there.", between_chunks=lambda _: seen.append((sys.stdout, sys.stderr)))
    model_server.script(note)
    ask("Hello")
    assert seen
    assert set(seen) == {before}


def test_a_stream_that_stood_in_outlives_the_request(
    litellm: Any, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python does not hold it for a `print` that goes on with it on another thread, and crashes."""
    monkeypatch.setattr(litellm, "set_verbose", True)
    before, seen = sys.stdout, set()

    def note(_: int) -> None:
        if sys.stdout is not before:
            seen.add(weakref.ref(sys.stdout))

    model_server.script(Answer("Hello there.", between_chunks=note))
    ask("Hello")
    gc.collect()
    assert sys.stdout is before
    assert seen
    assert all(each() is not None for each in seen)
