"""The test of settings: a tiny prompt, told in steps, stopped from another thread at any moment."""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import subprocess
import sys
import threading
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from full_port import full_port
from model_server import LITELLM_MODELS, Answer, Cut, Hang, ModelServer, Refuse

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm import worker
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.connection import PROMPT, SET_UP, ConnectionTest, Step
from openhands_llm_magic.llm.events import (
    Accepted,
    Done,
    Event,
    Failed,
    Retrying,
    Sending,
    TextDelta,
    Usage,
    Waiting,
)
from openhands_llm_magic.llm.litellm import loading
from openhands_llm_magic.llm.practice import shared as practice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fake_clock import FakeClock

    Item = Step | Event

pytestmark = pytest.mark.usefixtures("litellm", "set_up")

KEY = "sk-canary-0123456789abcdef"
SOON_S = 2.0
"""How long an end may take on a busy machine; an idle one needs a tenth of it."""

T = TypeVar("T")


def try_out(clock: FakeClock, *, retries: bool = False, **overrides: Any) -> list[Item]:
    settings = load_settings().with_overrides(overrides)
    return list(ConnectionTest(settings, clock, retries=retries).run())


def told(items: list[Item]) -> list[str]:
    """Shorten steps to "name: state" and events to their type, pieces of text to one."""
    shortened = [
        f"{item.name}: {item.state}" if isinstance(item, Step) else type(item).__name__
        for item in items
    ]
    return [
        name for name, of in groupby(shortened) for _ in (range(1) if name == "TextDelta" else of)
    ]


def until(name: str, **overrides: Any) -> Step:
    """Run a trial until a step is over, and give the step."""
    settings = load_settings().with_overrides(overrides)
    with contextlib.closing(ConnectionTest(settings).run()) as items:
        steps = (item for item in items if isinstance(item, Step))
        return next(step for step in steps if step.name == name and step.state != "running")


def the_last(kind: type[T], items: list[Item]) -> T:
    """Return the last item, which is of a kind, and the only one of that kind."""
    assert [item for item in items if isinstance(item, kind)] == items[-1:]
    return items[-1]  # type: ignore[return-value]


def error_of(items: list[Item]) -> errors.RequestError:
    return the_last(Failed, items).error


START = ["key: done", "address: running", "address: done", "litellm: skipped"]
ACCEPTED = ["request: running", "Sending", "request: done", "Accepted", "first_token: running"]
ANSWERING = [*ACCEPTED, "first_token: done", "answer: running", "TextDelta"]
REFUSED = ["request: running", "Sending", "AttemptEnded", "request: failed"]
UNSENT = ["request: running", "request: failed"]
ANSWERED = ["Usage", "AttemptEnded", "answer: done", "Done"]


def test_the_steps(model_server: ModelServer, clock: FakeClock) -> None:
    """Each event comes between the steps that it ends and begins."""
    model_server.script(Answer("OK then"))
    items = try_out(clock)
    assert told(items) == [*START, *ANSWERING, *ANSWERED]
    assert model_server.received[0].body["messages"] == [{"role": "user", "content": PROMPT}]
    assert model_server.count == 1


def test_what_each_step_found(clock: FakeClock) -> None:
    details = {item.name: item.detail for item in try_out(clock) if isinstance(item, Step)}
    assert details == {
        "key": "LLM_API_KEY",
        "address": "127.0.0.1",
        "litellm": "",
        "request": "",
        "first_token": "",
        "answer": "",
    }


def test_the_reply(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Answer("OK", usage=(7, 1)))
    trial = ConnectionTest(load_settings(), clock)
    list(trial.run())
    reply = trial.reply
    assert (reply.text, reply.model, reply.usage) == ("OK", "openai/gpt-4o", Usage(7, 1))
    assert reply.cost_usd is not None
    assert (reply.attempts, reply.error) == (1, None)


def test_the_times(model_server: ModelServer, clock: FakeClock) -> None:
    """Those of the clock; a step that goes on has taken none yet."""
    seen = threading.Event()

    def late(_: object) -> Answer:
        assert seen.wait(30)
        clock.sleep(3)
        return Answer()

    model_server.script(late)
    times = {}
    for item in ConnectionTest(load_settings(), clock).run():
        if isinstance(item, Step):
            times[item.name, item.state] = item.took_s
            if item == Step("request", "running"):
                seen.set()
    assert times.pop(("request", "done")) == 3
    assert set(times.values()) == {0}


@pytest.mark.parametrize(("took_s", "detail"), [(0.25, ""), (2.0, SET_UP)])
def test_the_set_up_of_litellm_is_told_where_it_takes_time(
    monkeypatch: pytest.MonkeyPatch,
    model_server: ModelServer,
    clock: FakeClock,
    took_s: float,
    detail: str,
) -> None:
    """Its import is a step before; what is left of it is said of a first request that is slow."""
    monkeypatch.setattr(loading, "is_loaded", lambda: False)
    seen = threading.Event()

    def late(_: object) -> Answer:
        assert seen.wait(30)
        clock.sleep(took_s)
        return Answer()

    model_server.script(late)
    steps = []
    for item in ConnectionTest(load_settings(), clock).run():
        if isinstance(item, Step) and item.name in ("litellm", "request"):
            steps.append((item.name, item.state, item.detail))
            if steps[-1] == ("request", "running", SET_UP):
                seen.set()
    assert steps == [
        ("litellm", "running", ""),
        ("litellm", "done", ""),
        ("request", "running", SET_UP),
        ("request", "done", detail),
    ]


def test_a_retry(model_server: ModelServer, clock: FakeClock) -> None:
    """The wait is counted down, and the steps of the request begin again."""
    model_server.script(Refuse(429, {"retry-after": "2"}), Cut(after_chunks=1), Answer("OK"))
    items = try_out(clock, retries=True)
    assert told(items) == [
        *[*START, *REFUSED, "Retrying", *["Waiting"] * 3],
        *[*ANSWERING, "AttemptEnded", "answer: failed", "Retrying", *["Waiting"] * 11],
        *[*ANSWERING, *ANSWERED],
    ]
    assert clock.now() == 2 + 10


def test_the_retry_policy_of_the_settings(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Refuse(503))
    settings = load_settings().with_overrides({"num_retries": 2})
    trial = ConnectionTest(settings, clock, retries=True)
    items = list(trial.run())
    assert told(items)[-5:] == [*REFUSED, "Failed"]
    assert type(error_of(items)) is errors.ServerError
    assert [wait.wait_s for wait in trial.reply.waits] == [5, 10]
    assert trial.reply.error == error_of(items)


RATE_LIMITED = "the server limits the rate (429: Slow down). "


@pytest.mark.parametrize(
    ("step", "settings", "verdict"),
    [
        (
            Refuse(429, {"retry-after": "20"}, message="Slow down."),
            {},
            RATE_LIMITED + "It asks to wait 20 s: a prompt waits as long, and is sent again.",
        ),
        (
            Refuse(429, {"retry-after": "900"}, message="Slow down."),
            {},
            RATE_LIMITED + "It asks to wait 900 s, longer than retry_after_limit (now 300, from"
            " default), so a prompt gives up.",
        ),
        (
            Refuse(429, {"retry-after": "20"}, message="Slow down."),
            {"num_retries": 0},
            RATE_LIMITED + "It asks to wait 20 s; a prompt gives up, by num_retries (now 0, from"
            " the argument num_retries).",
        ),
        (
            Refuse(429, message="Slow down."),
            {"retry_min_wait": 7},
            RATE_LIMITED + "It names no wait: a prompt is sent again after 7 s.",
        ),
        (
            Refuse(503, message="Overloaded"),
            {"num_retries": 7},
            (
                "the server failed (503: Overloaded). "
                "It names no wait: a prompt is sent again after"
                " 5 s."
            ),
        ),
        (
            Refuse(500, message="Broken"),
            {"num_retries": 0},
            (
                "the server failed (500: Broken). "
                "It names no wait; a prompt gives up, by num_retries"
                " (now 0, from the argument num_retries)."
            ),
        ),
    ],
)
def test_the_verdict_of_a_passing_fault_comes_at_once(
    model_server: ModelServer,
    clock: FakeClock,
    step: Refuse,
    settings: dict[str, Any],
    verdict: str,
) -> None:
    """After one request and no wait, and it names the wait that a prompt would make."""
    model_server.script(step)
    error = error_of(try_out(clock, **settings))
    assert str(error) == verdict
    assert isinstance(error, errors.TransientError)
    assert (model_server.count, clock.sleeps_s) == (1, [])


@pytest.mark.parametrize("provider", LITELLM_MODELS)
def test_a_dead_port_is_told_at_once(clock: FakeClock, provider: str, unused_port: int) -> None:
    """On every provider's path, whatever the retry policy."""
    base_url = f"http://127.0.0.1:{unused_port}/v1"
    model = f"{provider}/{LITELLM_MODELS[provider]}"
    error = error_of(try_out(clock, model=model, base_url=base_url, num_retries=7))
    assert type(error) is errors.ConnectionFailedError
    told = f"(no server seems to run at 127.0.0.1:{unused_port}: "
    assert str(error).startswith(f"{base_url} could not be reached {told}")
    assert str(error).endswith(
        f"Check that it runs, and base_url (now {base_url}, from the argument base_url)."
    )
    assert clock.sleeps_s == []


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port: int = closed.getsockname()[1]
    return port


def test_a_test_that_would_be_held_back_for_long_says_so_at_once(
    model_server: ModelServer,
) -> None:
    """By the machine's clock; it sends nothing."""
    model_server.script(Refuse(429, {"retry-after": "60"}))
    list(ConnectionTest(load_settings()).run())
    running = Running()
    running.thread.join(SOON_S)
    assert not running.thread.is_alive()
    error = error_of(running.items)
    assert type(error) is errors.ThrottledError
    assert re.fullmatch(
        r"not sent: it would be held back for (59|60) s, as the server told another request to"
        r" wait\. Test again then\.",
        str(error),
    )
    assert model_server.count == 1


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (Refuse(401), REFUSED),
        (Cut(after_chunks=0), [*ACCEPTED, "AttemptEnded", "first_token: failed"]),
        (Cut(after_chunks=1), [*ANSWERING, "AttemptEnded", "answer: failed"]),
    ],
)
def test_a_failure_is_one_of_the_step_that_goes_on(
    model_server: ModelServer, clock: FakeClock, answer: Refuse | Cut, failed: list[str]
) -> None:
    model_server.script(answer)
    assert told(try_out(clock)) == [*START, *failed, "Failed"]


def test_an_answer_without_text(model_server: ModelServer, clock: FakeClock) -> None:
    """It is no success, and says what to change."""
    model_server.script(Answer(chunks=(), finish_reason="length"))
    items = try_out(clock)
    shown = [name for name in told(items) if name != "Usage"]
    assert shown == [*START, *ACCEPTED, "AttemptEnded", "first_token: failed", "Failed"]
    assert "max_output_tokens" in str(error_of(items))


def test_no_key_is_shown(model_server: ModelServer, clock: FakeClock) -> None:
    """Nor a login in the address, also when the server repeats them."""
    address = model_server.openai_base.replace("//", "//user:pass-canary@")
    model_server.script(Refuse(503, message=f"no {KEY}"), Refuse(401, message=f"no {KEY}"))
    items = try_out(clock, base_url=address, retries=True)
    assert type(error_of(items)) is errors.AuthenticationError
    shown = repr(items) + "".join(str(i.caused_by) for i in items if isinstance(i, Retrying))
    assert "canary" not in shown + str(error_of(items))


def test_a_setting_that_cannot_be_sent(model_server: ModelServer, clock: FakeClock) -> None:
    items = try_out(clock, completion_kwargs={"model": "openai/other"})
    assert told(items) == [*START[:-1], *UNSENT, "Failed"]
    assert "completion_kwargs" in str(error_of(items))
    assert model_server.count == 0


def test_a_practice_model(clock: FakeClock) -> None:
    """It needs no key and no address."""
    items = try_out(clock, model="practice/echo")
    practice.running().stop()
    assert told(items)[:3] == ["key: skipped", "address: skipped", "litellm: skipped"]
    the_last(Done, items)


AWS = "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0"


@pytest.mark.parametrize(
    ("model", "variables", "detail"),
    [
        ("openai/gpt-4o", {"LLM_API_KEY": "k", "OPENAI_API_KEY": "k"}, "LLM_API_KEY"),
        ("openai/gpt-4o", {"OPENAI_API_KEY": "k"}, "OPENAI_API_KEY"),
        ("gemini/a-model", {"GOOGLE_API_KEY": "", "GEMINI_API_KEY": "k"}, "GEMINI_API_KEY"),
        ("vertex_ai/a-model", {"GOOGLE_APPLICATION_CREDENTIALS": "f"}, None),
        ("ollama/qwen3", {}, ""),
        ("ollama/qwen3", {"OLLAMA_API_KEY": "k"}, "OLLAMA_API_KEY"),
        ("practice/echo", {"LLM_API_KEY": "k"}, ""),
        ("xai/grok-4", {}, ""),
        ("xai/grok-4", {"LLM_API_KEY": "k"}, "LLM_API_KEY"),
        (AWS, {}, ""),
        (AWS, {"AWS_REGION_NAME": "us-east-1"}, ""),
        (AWS, {"AWS_ACCESS_KEY_ID": "k"}, ""),
        (
            AWS,
            {"AWS_ACCESS_KEY_ID": "k", "LLM_AWS_SECRET_ACCESS_KEY": "k"},
            "AWS_ACCESS_KEY_ID, LLM_AWS_SECRET_ACCESS_KEY",
        ),
    ],
)
def test_where_the_key_comes_from(
    monkeypatch: pytest.MonkeyPatch, model: str, variables: dict[str, str], detail: str | None
) -> None:
    """The settings count before the provider's own variables. "" stands for a skipped step.

    AWS finds keys in more places than variables, and of an unknown provider nothing is known.
    """
    for name in ("LLM_API_KEY", "LLM_BASE_URL"):
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    detail = next(iter(variables)) if detail is None else detail
    expected = Step("key", "done" if detail else "skipped", detail=detail)
    assert until("key", model=model) == expected


def test_a_key_of_the_config_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LLM_API_KEY")
    (tmp_path / "config.toml").write_text(f'[llm]\napi_key = "{KEY}"\n')
    assert until("key").detail == "config.toml line 2"


def test_a_missing_key(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """The trial ends there, with the words of a prompt without a key."""
    monkeypatch.delenv("LLM_API_KEY")
    items = try_out(clock)
    assert told(items) == ["key: running", "key: failed", "Failed"]
    assert type(error_of(items)) is errors.MissingKeyError
    assert "OPENAI_API_KEY" in str(error_of(items))
    assert model_server.count == 0


def name_servers(monkeypatch: pytest.MonkeyPatch, look_up: Callable[[str], object]) -> None:
    """Put a function in the place of the network's name servers; loopback stays as it is."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
        return real(host, *args, **options) if host == "127.0.0.1" else look_up(host)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("settings", "variables", "host"),
    [
        ({"model": "x", "base_url": "https://me:pw@proxy.example:8443/v1"}, {}, "proxy.example"),
        ({"model": "openai/gpt-4o"}, {}, "api.openai.com"),
        ({"model": "gpt-4o"}, {}, "api.openai.com"),
        ({"model": "openai/gpt-4o"}, {"OPENAI_BASE_URL": "https://p.example/v1"}, "p.example"),
        ({"model": "ollama/qwen3"}, {}, "localhost"),
        ({"model": "ollama/qwen3"}, {"OLLAMA_API_BASE": "http://gpu.example:1"}, "gpu.example"),
        ({"model": "azure/my-deployment"}, {}, ""),
        ({"model": "azure/x", "base_url": "https://x.openai.azure.com"}, {}, "x.openai.azure.com"),
        ({"model": AWS}, {}, ""),
        ({"model": "vertex_ai/gemini-2.5-pro"}, {}, ""),
        ({"model": "practice/echo", "base_url": "https://proxy.example"}, {}, ""),
        ({"model": "xai/grok-4"}, {}, ""),
        ({"model": "openai/x", "base_url": "http://[half"}, {}, ""),
        ({"model": "openai/x", "base_url": "proxy.example/v1"}, {}, ""),
        ({"model": "openai/gpt-4o"}, {"HTTPS_PROXY": "http://127.0.0.1:9"}, ""),
        ({"model": "openai/gpt-4o"}, {"http_proxy": "http://127.0.0.1:9"}, "api.openai.com"),
        ({"model": "openai/gpt-4o"}, {"all_proxy": "http://127.0.0.1:9"}, ""),
        (
            {"model": "openai/gpt-4o"},
            {"https_proxy": "http://127.0.0.1:9", "no_proxy": "openai.com"},
            "api.openai.com",
        ),
    ],
)  # fmt: skip
def test_whose_name_is_looked_up(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    variables: dict[str, str],
    host: str,
) -> None:
    """The server's, unless it is not known ("") or a proxy looks it up."""
    asked: list[str] = []
    name_servers(monkeypatch, asked.append)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    step = until("address", **{"base_url": "", **settings})
    assert (step.state, step.detail) == ("done" if host else "skipped", host)
    assert asked == ([host] if host else [])


@pytest.mark.parametrize("host", ["nowhere.example", "x" * 64 + ".example"])
def test_an_unknown_name(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, host: str
) -> None:
    """It names base_url and its origin, without the login. The second is too long for a name."""

    def refuse(host: str) -> None:
        host.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    name_servers(monkeypatch, refuse)
    monkeypatch.setenv("LLM_BASE_URL", f"https://me:pass-canary@{host}/v1")
    items = try_out(clock)
    assert told(items) == ["key: done", "address: running", "address: failed", "Failed"]
    error = error_of(items)
    assert type(error) is errors.ConnectionFailedError
    assert [part for part in (host, "base_url", "LLM_BASE_URL") if part not in str(error)] == []
    assert "canary" not in repr(items) + str(error)
    assert model_server.count == 0


IN_A_FRESH_PROCESS = """
import sys, threading
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm.connection import Step, ConnectionTest

def stop_in_the_middle(trial):
    while "litellm" not in sys.modules:
        pass
    trial.stop()

for stops in (True, False):
    trial = ConnectionTest(load_settings())
    for item in trial.run():
        if isinstance(item, Step) and item.name == "litellm":
            print(item.state)
            if stops and item.state == "running":
                threading.Thread(target=stop_in_the_middle, args=[trial]).start()
        elif isinstance(item, Step) and item.name == "request" and item.state == "done":
            print(item.detail.replace(" ", "-"))
    print(type(trial.reply.error).__name__)
"""


@pytest.mark.slow
def test_the_import_of_litellm_is_a_step(model_server: ModelServer) -> None:
    """It is stopped by leaving it behind; another trial waits for the rest of it."""
    model_server.script(Answer())
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", IN_A_FRESH_PROCESS], check=True, capture_output=True, text=True
    )
    first, second = ["running", "failed", "Stopped"], ["running", "done", "with-LiteLLM's-set-up"]
    assert done.stdout.split() == [*first, *second, "NoneType"]
    assert done.stderr == ""
    assert model_server.count == 1


class Running:
    """A trial on a thread of its own, with the machine's clock."""

    def __init__(self, *, retries: bool = False, **overrides: Any) -> None:
        settings = load_settings().with_overrides(overrides)
        self.connection = ConnectionTest(settings, retries=retries)
        self.items: list[Item] = []
        self._told: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for item in self.connection.run():
            self.items.append(item)
            self._told.put(item)

    def wait_for(self, is_it: Callable[[Item], bool]) -> None:
        while not is_it(self._told.get(timeout=30)):
            pass

    def stop(self, within_s: float = SOON_S) -> None:
        """Stop it, and see that it ends, and leaves no thread behind."""
        self.connection.stop()
        self.thread.join(within_s)
        assert not self.thread.is_alive()
        for thread in threading.enumerate():
            if thread.name == "hang up":
                thread.join(SOON_S)
        assert "hang up" not in {thread.name for thread in threading.enumerate()}
        error = error_of(self.items)
        assert type(error) is errors.Stopped
        assert self.connection.reply.error is error
        assert not [item for item in self.items if isinstance(item, Done)]


@pytest.fixture
def warm(set_up: None, model_server: ModelServer) -> None:  # noqa: ARG001 - it must come before
    """The first request of a process takes LiteLLM a second, which nothing can break off."""
    ask("Hello")
    model_server.received.clear()


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama_chat"])
def test_stopping_before_an_answer(
    model_server: ModelServer, capfd: pytest.CaptureFixture[str], provider: str
) -> None:
    """The server sees that it is hung up on; nothing is sent again, and nothing printed."""
    arrived = threading.Event()

    def hang(_: object) -> Hang:
        arrived.set()
        return Hang()

    model_server.script(hang)
    running = Running(
        model=f"{provider}/{LITELLM_MODELS[provider]}", base_url=model_server.base_for(provider)
    )
    assert arrived.wait(30)
    running.wait_for(lambda item: isinstance(item, Sending))  # else it is stopped before that
    running.stop()
    assert model_server.received[0].hung_up.wait(SOON_S)
    assert told(running.items)[-2:] == ["request: failed", "Failed"]
    assert (model_server.count, running.connection.reply.attempts) == (1, 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("warm")
def test_stopping_in_the_middle_of_an_answer(model_server: ModelServer) -> None:
    """What has come is kept."""
    model_server.script(Hang(after_chunks=2, of=Answer("one two three")))
    running = Running()
    running.wait_for(lambda item: isinstance(item, TextDelta) and "two " in item.text)
    running.stop()
    assert model_server.received[0].hung_up.wait(SOON_S)
    assert told(running.items)[-2:] == ["answer: failed", "Failed"]
    assert running.connection.reply.text == "one two "


def test_stopping_a_wait(model_server: ModelServer) -> None:
    """Before the second is over at whose end it would be counted down."""
    model_server.script(Refuse(429, {"retry-after": "200"}))
    running = Running(retries=True)
    running.wait_for(lambda item: isinstance(item, Waiting))
    running.stop(within_s=0.5)
    assert told(running.items)[-3:] == ["Retrying", "Waiting", "Failed"]
    reply = running.connection.reply
    assert (model_server.count, reply.attempts) == (1, 1)
    assert reply.waited_s < SOON_S


def threads_named(name: str) -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == name and each.ident]


def socket_of(thread: threading.Thread) -> socket.socket | None:
    """Find the socket that would be shut down."""
    assert thread.ident
    return worker._socket_awaited(thread.ident, worker.Control.on_socket.__code__)


def test_a_socket_of_the_one_who_asks_is_let_alone() -> None:
    """Only one that the request itself has made is shut down."""
    ours = worker.Control()
    waits, over = threading.Event(), threading.Event()

    def work() -> bool:
        waits.set()
        return over.wait(30)

    def ask_with(sock: socket.socket) -> None:
        assert sock.fileno() >= 0
        ours.on_socket(work)

    with socket.socket() as sock:
        thread = threading.Thread(target=ask_with, args=[sock])
        thread.start()
        assert waits.wait(30)
        found = socket_of(thread)
        over.set()
        thread.join()
    assert found is None


def test_an_object_that_is_half_made_is_not_asked_for_its_socket() -> None:
    """Whatever the thread is in the middle of; pydantic has such objects for a moment."""

    class HalfMade:
        def __getattribute__(self, name: str) -> object:
            raise RecursionError(name)

    control = worker.Control()
    waits, over = threading.Event(), threading.Event()

    def work(self: HalfMade) -> bool:
        waits.set()
        return over.wait(30) and self is not None

    thread = threading.Thread(target=lambda: control.on_socket(lambda: work(HalfMade())))
    thread.start()
    try:
        assert waits.wait(30)
        assert socket_of(thread) is None
    finally:
        over.set()
        thread.join()


@pytest.fixture
def full_server() -> Iterator[int]:
    """The port of a server that takes no more connections: one more is neither made nor refused."""
    with full_port() as port:
        yield port


@pytest.mark.usefixtures("warm")
@pytest.mark.skipif(sys.platform != "linux", reason="others refuse a connection too many")
def test_stopping_while_it_connects(full_server: int) -> None:
    running = Running(base_url=f"http://127.0.0.1:{full_server}/v1")
    running.wait_for(lambda item: item == Step("request", "running"))
    while not any(map(socket_of, threads_named("openhands-llm-magic"))):
        assert running.thread.is_alive()
    running.stop()
    assert told(running.items)[-2:] == ["request: failed", "Failed"]


@pytest.mark.usefixtures("warm")
def test_stopping_while_tls_is_agreed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = Running(base_url=f"https://127.0.0.1:{server.getsockname()[1]}/v1")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(SOON_S)
            assert connection.recv(1)
            running.stop()
            while connection.recv(4096):
                pass


@pytest.mark.usefixtures("warm")
def test_stopping_as_the_request_begins() -> None:
    """There is no socket yet; it is hung up on as soon as there is one."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running = Running(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        running.wait_for(lambda item: item == Step("request", "running"))
        running.stop()
        assert told(running.items)[-2:] == ["request: failed", "Failed"]


def test_stopping_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which goes on by itself, as nothing can break it off."""
    asked, answered = threading.Event(), threading.Event()

    def silent(_: str) -> None:
        asked.set()
        answered.wait(30)

    name_servers(monkeypatch, silent)
    before = set(threading.enumerate())
    running = Running(base_url="https://slow.example/v1")
    assert asked.wait(30)
    running.stop()
    assert told(running.items)[-2:] == ["address: failed", "Failed"]
    answered.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(SOON_S)
        assert not thread.is_alive()


def test_stopping_between_two_events(model_server: ModelServer, clock: FakeClock) -> None:
    """By whoever reads them, on the same thread."""
    model_server.script(Hang(after_chunks=1))
    trial = ConnectionTest(load_settings(), clock)
    items = []
    for item in trial.run():
        items.append(item)
        if isinstance(item, Accepted):
            trial.stop()
    assert told(items) == [*START, *ACCEPTED[:4], "Failed"]
    assert type(error_of(items)) is errors.Stopped
    assert model_server.received[0].hung_up.wait(SOON_S)


def test_stopping_beforehand(model_server: ModelServer, clock: FakeClock) -> None:
    trial = ConnectionTest(load_settings(), clock)
    trial.stop()
    assert told(list(trial.run())) == ["Failed"]
    assert model_server.count == 0


def test_stopping_afterwards(clock: FakeClock) -> None:
    trial = ConnectionTest(load_settings(), clock)
    items = list(trial.run())
    trial.stop()
    the_last(Done, items)
    assert trial.reply.error is None


def test_closing_it_hangs_up(model_server: ModelServer, clock: FakeClock) -> None:
    model_server.script(Hang(after_chunks=1))
    with contextlib.closing(ConnectionTest(load_settings(), clock).run()) as items:
        while not isinstance(next(items), TextDelta):
            pass
    assert model_server.received[0].hung_up.wait(SOON_S)
