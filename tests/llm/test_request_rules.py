"""What of the settings is sent depends on the model, as in OpenHands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, ModelServer

from openhands_llm_magic import errors
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.prepare import SAMPLING, TAKEN_KEYWORDS, request_from

if TYPE_CHECKING:
    from openhands_llm_magic.llm.prepare import Request

PLAIN = "openai/gpt-4o"
MESSAGES = [{"role": "user", "content": "Hello"}]
HARM = [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}]
PROXY = "https://llm-proxy.app.all-hands.dev/"


def request(**settings: Any) -> Request:
    return request_from(load_settings(env={}).with_overrides(settings), MESSAGES)


def options(**settings: Any) -> dict[str, Any]:
    return dict(request(**settings).options)


def test_the_defaults_of_a_plain_model() -> None:
    made = request(model=PLAIN)
    assert (made.model, made.messages) == (PLAIN, MESSAGES)
    assert made.options == {"drop_params": True}
    assert (made.modify_params, made.price_usd_per_token) == (True, None)


def test_every_setting_that_is_sent_is_sent_under_its_keyword() -> None:
    """Set all of them, and all of them are there, for one of three models."""
    values: dict[str, Any] = {"bool": True, "int": 1, "float": 0.5, "str": "x", "secret": "k"}
    sent = {each.name: each for each in SETTINGS.values() if each.sent_as and each.name != "model"}
    given = {name: values.get(each.kind, HARM) for name, each in sent.items()}
    del given["custom_llm_provider"]  # it would say that both are the same provider's
    made = (
        options(model="bedrock/mistral.x", **given)
        | options(model="vertex_ai/gemini-2.5-pro", **given)
        | options(model="openai/o3", custom_llm_provider="openai", **given)
    )
    assert set(made) == {each.sent_as for each in sent.values()}


@pytest.mark.parametrize("name", ["api_key", "base_url", "api_version", "custom_llm_provider"])
def test_an_empty_text_is_not_sent(name: str) -> None:
    assert name not in options(model=PLAIN, **{name: ""})


@pytest.mark.parametrize(
    "model", [PLAIN, "openai/o3", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro", "azure/a"]
)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"temperature": 0.0},
        {"top_p": 0.9},
        {"temperature": 0.3, "top_p": 1.0},
        {"reasoning_effort": "low"},
    ],
    ids=str,
)
def test_of_the_sampling_only_what_somebody_has_set_is_sent(
    model: str, given: dict[str, Any]
) -> None:
    """Also where that is the default's value; many a model refuses what nobody has asked for."""
    sent = options(model=model, **given)
    assert {name: sent[name] for name in SAMPLING if name in sent} == given


def test_an_effort_that_is_set_to_an_empty_text_is_not_sent() -> None:
    assert "reasoning_effort" not in options(model="openai/o1", reasoning_effort="")


@pytest.mark.parametrize(
    ("model", "keyword"),
    [("azure/a", "max_tokens"), ("azure_ai/a", "max_tokens"), (PLAIN, "max_completion_tokens")],
)
def test_azure_has_the_limit_of_an_answer_under_its_older_name(model: str, keyword: str) -> None:
    limits = {"max_tokens", "max_completion_tokens"}
    sent = options(model=model, max_output_tokens=9)
    assert {name: sent[name] for name in limits & set(sent)} == {keyword: 9}


@pytest.mark.parametrize(
    ("model", "sent"),
    [("gemini/gemini-2.5-pro", True), ("openrouter/mistralai/Mistral-x", True), (PLAIN, False)],
)
def test_safety_settings_go_to_gemini_and_mistral(model: str, sent: bool) -> None:
    assert ("safety_settings" in options(model=model, safety_settings=HARM)) == sent


@pytest.mark.parametrize(
    ("model", "given", "address"),
    [
        # OpenHands lists models from it, and sends no prompt there: neither do we.
        ("ollama/x", {"ollama_base_url": "http://host:1"}, None),
        ("openhands/o3", {}, PROXY),
        ("openhands/o3", {"base_url": "http://b:2"}, "http://b:2"),
    ],
)
def test_where_a_model_is(model: str, given: dict[str, str], address: str | None) -> None:
    assert options(model=model, **given).get("base_url") == address


def test_openhands_own_models_are_those_of_its_proxy() -> None:
    assert request(model="openhands/claude-x").model == "litellm_proxy/claude-x"


def test_a_practice_model_has_a_server_of_its_own() -> None:
    """Whatever the settings for real models say."""
    made = request(
        model="practice/echo",
        base_url="https://real.example",
        api_key="sk-real",
        custom_llm_provider="azure",
    )
    assert made.model == "openai/echo"
    assert made.options["base_url"].startswith("http://127.0.0.1:")
    assert made.options["api_key"] != "sk-real"
    assert "custom_llm_provider" not in made.options


@pytest.mark.parametrize("model", ["sagemaker/x", "bedrock/x", "anthropic.claude-x", PLAIN])
def test_aws_keys_go_to_aws(model: str) -> None:
    sent = options(model=model, aws_access_key_id="AKIA", aws_region_name="us-east-1")
    assert ("aws_access_key_id" in sent) == ("aws_region_name" in sent) == (model != PLAIN)


@pytest.mark.parametrize("model", ["vertex_ai/gemini-2.5-pro", "gemini-2.5-pro", PLAIN])
def test_project_and_location_go_to_vertex_ai(model: str) -> None:
    sent = options(model=model, vertex_project="mine", vertex_location="us-central1")
    assert ("vertex_project" in sent) == ("vertex_location" in sent) == (model != PLAIN)


def test_completion_kwargs_count_more_than_all_else() -> None:
    given = {"temperature": 1.5, "reasoning_effort": "low", "extra_body": {"a": [1]}}
    sent = options(model=PLAIN, temperature=0.1, completion_kwargs=given)
    assert {name: sent[name] for name in given} == given


@pytest.mark.parametrize("keyword", sorted(TAKEN_KEYWORDS))
def test_completion_kwargs_cannot_hold_what_is_set_elsewhere(keyword: str) -> None:
    with pytest.raises(errors.SettingError, match=f"cannot hold {keyword}:"):
        request(model=PLAIN, completion_kwargs={keyword: 1})


@pytest.mark.parametrize(
    ("given", "cost_usd"),
    [
        ({"input_cost_per_token": 0.5, "output_cost_per_token": 2.0}, 7 * 0.5 + 5 * 2.0),
        ({"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}, 0.0),
        ({"input_cost_per_token": 0.5}, None),  # one alone does not count, as in OpenHands
    ],
)
def test_the_cost_is_counted_by_the_prices_that_are_set(
    model_server: ModelServer, given: dict[str, float], cost_usd: float | None
) -> None:
    model_server.script(Answer(usage=(7, 5)))
    settings = load_settings(env={}).with_overrides({"model": "openai/x", "api_key": "k", **given})
    assert ask("Hello", settings, base_url=model_server.openai_base).cost_usd == cost_usd


@pytest.mark.parametrize("modify", [True, False])
def test_modify_params_is_litellms_switch_during_the_request(
    model_server: ModelServer, litellm: Any, monkeypatch: pytest.MonkeyPatch, modify: bool
) -> None:
    """It is no keyword: LiteLLM would send it to the server."""
    monkeypatch.setattr(litellm, "modify_params", "the user's")
    during = []
    model_server.script(Answer(between_chunks=lambda _: during.append(litellm.modify_params)))
    settings = load_settings(env={}).with_overrides({"model": "openai/x", "api_key": "k"})
    ask("Hello", settings, base_url=model_server.openai_base, modify_params=modify)
    assert set(during) == {modify}
    assert litellm.modify_params == "the user's"
    assert "modify_params" not in model_server.received[0].body


@pytest.mark.parametrize("around", [" {}", "{}\n", "\t{} \r\n"])
def test_what_was_copied_around_a_key_is_not_sent(around: str) -> None:
    assert (
        options(model=PLAIN, api_key=around.format("sk-0123456789"))["api_key"] == "sk-0123456789"
    )
