"""What is said where settings do not lead to a model: what the check and the server know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_server import ListServer, Told
from sending import ask_in_vain

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.llm import astray
from openhands_llm_magic.llm.connection import ConnectionTest
from openhands_llm_magic.llm.events import Failed

if TYPE_CHECKING:
    from fake_clock import FakeClock

pytestmark = pytest.mark.usefixtures("litellm", "nothing_learned")

KEY = "sk-canary-0123456789abcdef"
UNKNOWN = Told({"error": {"message": "The model `x` does not exist.", "code": 404}}, 404)
HAS = ("llama-3", "phi4", "qwen-coder", "mistral-small", "gemma3", "granite")


def listing(*names: str) -> Told:
    return Told({"data": [{"id": name} for name in names]})


def server_with(list_told: Told | None) -> ListServer:
    lists = {"/v1/chat/completions": UNKNOWN, "/chat/completions": UNKNOWN}
    return ListServer(lists | ({"/v1/models": list_told} if list_told else {}))


def in_vain(clock: FakeClock, **settings: Any) -> errors.RequestError:
    return ask_in_vain(clock, **{"api_key": KEY, "num_retries": 0, **settings})


def failure_of_test(clock: FakeClock, **settings: Any) -> errors.RequestError:
    given_settings = load_settings().with_overrides({"api_key": KEY, "num_retries": 0, **settings})
    *_, last = ConnectionTest(given_settings, clock).run()
    assert isinstance(last, Failed)
    return last.error


@pytest.mark.parametrize("tell", [in_vain, failure_of_test])
@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("hosted_vllm/qwen-code", "hosted_vllm/qwen-coder"),
        ("litellm_proxy/qwen-codr", "litellm_proxy/qwen-coder"),
    ],
)
def test_the_models_that_the_server_has_are_named_nearest_first(
    clock: FakeClock, tell: Any, model: str, near: str
) -> None:
    """The prefix is right, so that nothing is said of it; the list is asked for once."""
    with server_with(listing(*HAS)) as server:
        error = tell(clock, model=model, base_url=server.address + "/v1")
        lists = [path for path, _ in server.asked if path == "/v1/models"]
    assert type(error) is errors.ModelNotFoundError
    assert f"Did you mean {near}? Set model (now {model}, from" in str(error)
    assert f"to one that the server has: {near}, " in str(error)
    assert str(error).endswith(", …; its list of models tells them all.")
    assert "prefix" not in str(error)
    assert "openai/gpt-4o" not in str(error)
    assert len(str(error).splitlines()) == 1
    assert len(lists) == 1


def test_without_a_list_it_is_told_where_to_look(clock: FakeClock) -> None:
    with server_with(None) as server:
        error = in_vain(clock, model="hosted_vllm/qwen-code", base_url=server.address + "/v1")
    assert "to one that the server has; its list of models tells them all." in str(error)


def test_a_list_that_does_not_come_delays_the_error_by_a_moment(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(astray, "LIST_TIMEOUT_S", 0.2)
    with server_with(Told({"data": []}, hangs=True)) as server:
        error = in_vain(clock, model="hosted_vllm/qwen-code", base_url=server.address + "/v1")
    assert "to one that the server has; its list" in str(error)


def test_a_server_that_lists_the_name_itself_is_not_said_to_mean_it(clock: FakeClock) -> None:
    with server_with(listing("qwen-coder", "phi4")) as server:
        error = in_vain(clock, model="hosted_vllm/qwen-coder", base_url=server.address + "/v1")
    assert "that the server has: hosted_vllm/phi4; its list" in str(error)
    assert "Did you mean" not in str(error)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("practice/ecko", "Did you mean practice/echo? Set model (now practice/ecko, from"),
        ("practice/zzzzzz", "to another name, or try the model practice/echo."),
    ],
)
def test_where_no_list_can_be_asked_for_none_is_advised(
    clock: FakeClock, model: str, told: str
) -> None:
    error = in_vain(clock, model=model)
    assert told in str(error)
    assert "list of models" not in str(error)


@pytest.mark.parametrize("tell", [in_vain, failure_of_test])
@pytest.mark.parametrize(
    ("settings", "kind", "told"),
    [
        (
            ("vllm/qwen-coder", "/v1"), errors.LibraryError,
            ("(No module named 'vllm'). The reason: base_url is not used by vllm/, which would load"
            " the model into this process (from the argument base_url)."
            " Write model = 'hosted_vllm/qwen-coder'."),
        ),
        (
            ("qwen-coder", "/v1"), errors.ModelNotFoundError,
            ("the model 'qwen-coder' names no provider (from the argument model)."
            " Write 'openai/qwen-coder', for a server compatible with OpenAI."),
        ),
        (
            ("hosted_vllm/qwen-coder", ""), errors.ModelNotFoundError,
            "base_url has no path, and most servers answer at /v1 (from the argument base_url).",
        ),
        (
            ("ollama_chat/qwen3", "/api"), errors.AddressError,
            "base_url ends with /api, which ollama_chat/ adds itself (from the argument base_url).",
        ),
    ],
)  # fmt: skip
def test_what_the_check_finds_is_told_in_place_of_advice_in_general(
    clock: FakeClock, tell: Any, settings: tuple[str, str], kind: type, told: str
) -> None:
    model, path = settings
    with server_with(listing(*HAS)) as server:
        error = tell(clock, model=model, base_url=server.address + path)
    assert type(error) is kind
    assert told in str(error)
    assert "openai/gpt-4o" not in str(error)
    assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("tell", [in_vain, failure_of_test])
@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("hosted_vllm/qwen3", "vLLM asks for a base_url (from the argument model). Set it, as in"),
        ("vllm/qwen3", "Write 'hosted_vllm/qwen3', and set base_url, as in"),
    ],
)
def test_an_address_that_is_not_set(clock: FakeClock, tell: Any, model: str, told: str) -> None:
    """A name that nobody knows is not what a person can look for."""
    assert told in str(tell(clock, model=model))


def test_a_server_that_does_not_run_has_no_wrong_path(clock: FakeClock) -> None:
    """Nobody has looked for the path, so that the check's word on it is no reason."""
    error = in_vain(clock, model="hosted_vllm/x", base_url="http://127.0.0.1:9")
    assert "Check that it runs, and base_url" in str(error)


def test_a_refused_key_has_both_advices() -> None:
    """The address of another provider may be why, or the key."""
    settings = load_settings(
        env={"LLM_MODEL": "openai/gpt-4o", "LLM_BASE_URL": "https://openrouter.ai/api/v1"}
    )
    error = errors.AuthenticationError("No.", status=401)
    told = str(astray.found_by_check(error, settings))
    assert told.startswith("base_url is that of OpenRouter, whose prefix is openrouter/ (from LLM")


def test_a_missing_litellm_is_no_fault_of_the_model() -> None:
    settings = load_settings(env={"LLM_MODEL": "qwen-coder"})
    assert astray.found_by_check(errors.LibraryError("LiteLLM is missing."), settings) is None


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("anthropic/claude-sonnet-9", ""),
        ("anthropic/claude-sonet-4-5", "anthropic/claude-sonnet-4-5"),
    ],
)
def test_of_a_list_that_is_not_the_servers_only_a_slip_is_told(model: str, near: str) -> None:
    """The newest model is in no list yet, and is not said to be an older one."""
    listed = astray.Listed(["anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-6"])
    assert astray.nearest(model, listed) == near


@given(st.lists(st.text("abc-", min_size=1, max_size=8), unique=True, max_size=9))
def test_nearest_first_keeps_every_name(names: list[str]) -> None:
    """The nearest is the first, and a name that is there is not taken for another."""
    model = "hosted_vllm/abc"
    ordered = astray.nearest_first(model, [f"hosted_vllm/{name}" for name in names])
    assert sorted(ordered) == sorted(f"hosted_vllm/{name}" for name in names)
    near = astray.nearest(model, astray.Listed(ordered, are_all=True))
    assert near in ("", *ordered)
    if "abc" in names:
        assert ordered[0] == model
        assert near == ""
