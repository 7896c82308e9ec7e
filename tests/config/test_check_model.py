"""What a check says about the settings in force, and that it leaves the right ones alone."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from checking import FAILS, KEY, found, notes, problems, written
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config import litellm_files, schedule, verified, withdrawn
from openhands_llm_magic.config.lint import address, case
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.setting import OURS
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.retries import RetryPolicy

if TYPE_CHECKING:
    from openhands_llm_magic.config.providers import Provider


@pytest.mark.parametrize(
    ("model", "base_url", "fix"),
    [
        ("llama3-70b-8192", None, "Write the provider before it, as in 'openai/gpt-4o'"),
        ("deepseek-chat", None, "Write 'deepseek/deepseek-chat'"),
        ("Qwen/Qwen3", None, "Write the provider before it, as in 'openrouter/Qwen/Qwen3'"),
        (
            "Qwen/Qwen3",
            "http://localhost:8000/v1",
            "Write 'openai/Qwen/Qwen3', for a server compatible with OpenAI",
        ),
    ],
)
def test_a_model_without_its_provider(model: str, base_url: str | None, fix: str) -> None:
    text = f'[llm]\nmodel = "{model}"\n' + (f'base_url = "{base_url}"\n' if base_url else "")
    assert problems(text) == [
        f"config.toml line 2: the model '{model}' names no provider. {fix}. {FAILS}"
    ]


@pytest.mark.parametrize(
    "text",
    [
        'model = "openrouter/openrouter/x"',
        'model = "openai/openai/x"',
        'model = "xai/grok-4"',
        'model = "llama3"\ncustom_llm_provider = "groq"',
        'model = "gemini-2.5-pro"\ncustom_llm_provider = "vertex_ai"',
        'model = "openai/gemini-2.5-pro"\nbase_url = "https://proxy.example/v1"',
        'model = "deepseek/x"\nbase_url = "https://api.deepseek.com"',
        'model = "litellm_proxy/x"\nbase_url = "https://proxy.example"',
        'model = "openai/x"\nbase_url = ""',
        'base_url = "https://proxy.example/v1"',
        *(f'model = "{model}"' for model in verified.PAGE.models),
    ],
)
def test_a_model_that_is_right(text: str) -> None:
    assert problems(f"[llm]\n{text}\n") == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('[llm]\nmodel = "coder:6.7b"\nprovider = "Ollama"\n', "ollama/coder:6.7b"),
        ('[llm]\nmodel = "x1"\nprovider = "groq"\n', "groq/x1"),
        ('[llm.a]\nmodel = "deepseek-x"\nprovider = "azure"\n', "azure/deepseek-x"),
        ('[llm]\nmodel = "deepseek-coder:6.7b"\n', "ollama_chat/deepseek-coder:6.7b"),
    ],
)
def test_the_provider_that_is_named_elsewhere(text: str, meant: str) -> None:
    """As in OpenHands issues 8702 and 9855; a tag is one of Ollama's."""
    [told] = [each.fix for each in found(text) if "names no provider" in each.message]
    assert told == f"Write '{meant}'"


@pytest.mark.parametrize(
    ("model", "base_url", "values", "is_refused"),
    [
        ("openai/kimi-k2.5", "https://api.moonshot.ai/v1", "", True),
        ("openai/kimi-k3", "https://api.moonshot.cn/v1", "temperature = 1\n", True),
        ("openai/kimi-k3", "https://api.moonshot.cn/v1", "temperature = 1\ntop_p = 0.95\n", False),
        ("openai/kimi-k2-0711-preview", "https://api.moonshot.ai/v1", "", False),
        ("openrouter/moonshotai/kimi-k2.5", "", "", False),
    ],
)
def test_a_model_that_takes_one_temperature(
    model: str, base_url: str, values: str, is_refused: bool
) -> None:
    """Moonshot's own servers alone refuse others."""
    text = f'[llm]\nmodel = "{model}"\nbase_url = "{base_url}"\n{values}'
    told = [each.fix for each in found(text) if "takes 1 and 0.95 alone" in each.message]
    assert told == ["Write temperature = 1 and top_p = 0.95"] * is_refused


@pytest.mark.parametrize("key", ["Bearer sk-0123456789", "bearer sk-0123456789"])
def test_a_key_with_the_word_before_it(key: str) -> None:
    [told] = problems(f'[llm]\nmodel = "openai/x"\napi_key = "{key}"\n')
    assert told == (
        f"config.toml line 3: api_key begins with {key.partition(' ')[0]}, which is put before it"
        " when it is sent. Write the key alone. OpenHands would send it twice, too, and the"
        " provider refuse the key."
    )


def test_an_address_that_was_copied_as_a_link() -> None:
    """As in OpenHands issue 9855."""
    link = "[http://192.168.1.155:11434](http://192.168.1.155:11434)"
    [told] = problems("", {"LLM_MODEL": "ollama/x", "LLM_BASE_URL": link})
    assert told == (
        "LLM_BASE_URL: base_url is not a whole address. Write 'http://192.168.1.155:11434'. "
        + FAILS
    )


def test_litellm_agrees(litellm: Any) -> None:
    """It places no name that a rule flags, and takes every prefix that a rule recommends."""
    for name in [*case.PREFIX_OF, "Qwen/x", "openia/gpt-4o", "OpenAI/gpt-4o", "openhands/x"]:
        with pytest.raises(litellm.BadRequestError):
            litellm.get_llm_provider(name)
    for prefix in [*case.PREFIX_OF.values(), *address.WITH_V1, *address.WITHOUT_V1]:
        name = prefix.partition("/")[0]
        assert litellm.get_llm_provider(f"{name}/x", api_key="x", api_base="http://x")[1] == name


def test_a_gemini_model_without_its_prefix() -> None:
    assert problems("", {"LLM_MODEL": "gemini-2.5-pro"}) == [
        (
            "LLM_MODEL: the model 'gemini-2.5-pro' leads to Vertex AI, not to Google AI Studio. "
            "Write 'gemini/gemini-2.5-pro', or with vertex_ai/ if that is meant. "
            "OpenHands would ask Vertex AI, too."
        )
    ]


@pytest.mark.parametrize(
    ("model", "base_url", "message"),
    [
        (
            "openai/x",
            "http://localhost:8000",
            (
                "base_url has no path, and most servers answer at /v1. "
                "Write 'http://localhost:8000/v1'"
            ),
        ),
        (
            "gpt-4o",
            "https://me:secret@proxy.example/?key=secret",
            (
                "base_url has no path, and most servers answer at /v1. "
                "Write 'https://proxy.example/v1'"
            ),
        ),
        (
            "hosted_vllm/x",
            "http://[::1]:8000/",
            "base_url has no path, and most servers answer at /v1. Write 'http://[::1]:8000/v1'",
        ),
        (
            "ollama/x",
            "http://localhost:11434/v1/",
            "base_url ends with /v1, which ollama/ adds itself. Write 'http://localhost:11434'",
        ),
    ],
)
def test_the_path_of_a_base_url(model: str, base_url: str, message: str) -> None:
    assert problems(f'[llm]\nmodel = "{model}"\nbase_url = "{base_url}"\n') == [
        f"config.toml line 3: {message}. OpenHands would ask at the wrong path, too."
    ]


@pytest.mark.parametrize("base_url", ["localhost:8000/v1", "http://", "http://[x/v1", "x/v1"])
def test_an_address_that_is_none(base_url: str) -> None:
    text = f'[llm]\nmodel = "openai/x"\nbase_url = "{base_url}"\n'
    assert problems(text) == [
        (
            "config.toml line 3: base_url is not a whole address. Write it with http:// or "
            f"https://, as in http://localhost:8000/v1. {FAILS}"
        )
    ]


def test_the_host_of_docker() -> None:
    text = '[llm]\nmodel = "openai/x"\nbase_url = "http://host.docker.internal:8000/v1"\n'
    assert problems(text, in_docker=False) == [
        (
            "config.toml line 3: base_url names host.docker.internal, which there is only inside "
            "docker. Write 'http://localhost:8000/v1'. OpenHands would reach it when it runs in "
            "docker, and only then."
        )
    ]
    assert problems(text, in_docker=True) == []


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({}, ["LLM_MODEL: vLLM asks for a base_url. Set it, as in"]),
        ({"LLM_BASE_URL": "http://localhost:8000/v1"}, []),
        ({"HOSTED_VLLM_API_BASE": "http://localhost:8000/v1"}, []),
    ],
)
def test_a_server_of_ones_own_without_an_address(env: dict[str, str], found: list[str]) -> None:
    """LiteLLM's own variable for it will do."""
    told = problems("", {"LLM_MODEL": "hosted_vllm/x", **env})
    assert [line.partition(" 'http")[0] for line in told] == found


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("openia/gpt-4o", "openai/gpt-4o"),
        ("OpenAI/gpt-4o", "openai/gpt-4o"),
        ("antropic/claude-3-7-sonnet-20250219", "anthropic/claude-3-7-sonnet-20250219"),
        ("gemeni/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("open-router/x/y", "openrouter/x/y"),
    ],
)
@pytest.mark.parametrize("base_url", ["", "https://proxy.example/v1"])
def test_a_misspelt_provider(model: str, meant: str, base_url: str) -> None:
    """LiteLLM's own list of providers tells which there are."""
    text = f'[llm]\nmodel = "{model}"\nbase_url = "{base_url}"\n'
    [told] = [each for each in problems(text) if "line 2" in each]
    assert (
        told
        == f"config.toml line 2: the model '{model}' names no provider. Write '{meant}'. {FAILS}"
    )


@pytest.mark.parametrize("maker", ["meta-llama", "deepseek-ai", "mistralai", "Qwen", "unsloth"])
def test_a_maker_is_no_misspelt_provider(maker: str) -> None:
    [told] = problems(f'[llm]\nmodel = "{maker}/x"\n')
    assert f"Write the provider before it, as in 'openrouter/{maker}/x'." in told
    [told] = problems(f'[llm]\nmodel = "{maker}/x"\nbase_url = "http://localhost:8000/v1"\n')
    assert f"Write 'openai/{maker}/x', for a server compatible with OpenAI." in told


@pytest.mark.parametrize("maker", case.WITHOUT_PREFIX)
def test_a_name_that_litellm_knows_without_a_prefix(litellm: Any, maker: str) -> None:
    listed = litellm_files.prices().items()
    names = [each for each, facts in listed if facts.get("litellm_provider") == maker]
    name = next(each for each in names if "/" not in each)
    assert litellm.get_llm_provider(name)[1] == case.prefix_of(name)


def test_the_prefix_that_openhands_041_does_not_know() -> None:
    assert problems("", {"LLM_MODEL": "openhands/claude-sonnet-4-20250514"}) == [
        (
            "LLM_MODEL: OpenHands 0.41 does not know the prefix openhands/ yet, and LiteLLM never "
            "does. Write 'litellm_proxy/claude-sonnet-4-20250514' and base_url = "
            "'https://llm-proxy.app.all-hands.dev/' for 0.41. "
            "OpenHands 0.41 would fail at the first prompt."
        )
    ]


@pytest.mark.parametrize(
    "model",
    [
        "anthropic/claude-opus-4-6", "claude-opus-4-1-20250805", "anthropic/claude-sonnet-4-5",
        "anthropic/claude-haiku-4-5-20251001", "bedrock/us.anthropic.claude-opus-4-5-20251101-v1:0",
        "vertex_ai/claude-opus-4-5@20251101", "openrouter/anthropic/claude-opus-4.1",
        "openrouter/anthropic/claude-4.5-sonnet", "anthropic/claude-opus-4-7",
        "anthropic/claude-sonnet-5", "anthropic/claude-mythos-preview", "openai/gpt-5",
        "gpt-5-mini", "azure/gpt-5-2025-08-07",
    ],
)  # fmt: skip
def test_a_model_that_refuses_what_openhands_041_sends(model: str) -> None:
    told = problems(f'[llm]\nmodel = "{model}"\nbase_url = "https://proxy.example/v1/"\n')
    [line] = [each for each in told if "temperature" in each]
    assert line.startswith("config.toml line 2: OpenHands 0.41 sends temperature and top_p with")
    assert line.endswith("OpenHands 0.41 would fail at the first prompt.")


@pytest.mark.parametrize(
    "model",
    [
        "claude-sonnet-4-20250514", "anthropic/claude-opus-4-20250514", "openai/o3",
        "claude-3-7-sonnet-20250219", "anthropic/claude-3-5-haiku-20241022",
        "openrouter/anthropic/claude-sonnet-4",
        "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "vertex_ai/claude-sonnet-4@20250514",
        "openrouter/anthropic/claude-3.7-sonnet", "openai/gpt-5-chat-latest",
        "openai/gpt-4.1", "openai/gpt-50b-mine",
    ],
)  # fmt: skip
def test_a_model_that_takes_what_openhands_041_sends(model: str) -> None:
    assert problems(f'[llm]\nmodel = "{model}"\n') == []


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max", ""])
def test_an_effort_that_some_model_takes(effort: str) -> None:
    assert problems(f'[llm]\nmodel = "openai/o3"\nreasoning_effort = "{effort}"\n') == []


@pytest.mark.parametrize(
    ("effort", "fix"),
    [("super_high", "Write 'high'"), ("High", "Write 'high'"), ("x-high", "Write 'xhigh'"),
     ("5", "Write one of: default, disable, high, low, max, medium, minimal, none, xhigh")],
)  # fmt: skip
def test_an_effort_that_no_model_takes(effort: str, fix: str) -> None:
    told = f"reasoning_effort cannot be '{effort}'. {fix}. OpenHands would send it to models that "
    assert problems(f'[llm]\nreasoning_effort = "{effort}"\n') == [
        f"config.toml line 2: {told}reason, which refuse it."
    ]
    [of_variable] = problems("", {"LLM_REASONING_EFFORT": effort})
    assert of_variable.startswith("LLM_REASONING_EFFORT: ")


SMALL = (
    "Take a model with a larger context{}, or set the variable ALLOW_SHORT_CONTEXT_WINDOWS=true. "
    "OpenHands' SDK and command line, later than 0.41, would refuse it."
)


def test_a_context_that_openhands_sdk_refuses() -> None:
    """It asks for 16,384 tokens, where LiteLLM lists fewer or max_input_tokens is smaller."""
    asks = "and OpenHands' SDK asks for 16384 at least."
    assert problems('[llm]\nmodel = "openai/gpt-4"\n') == [
        (
            "config.toml line 2: LiteLLM lists 8192 tokens of context for 'openai/gpt-4', "
            f"{asks} {SMALL.format(', or set max_input_tokens if it has more')}"
        )
    ]
    assert problems('[llm]\nmodel = "openai/gpt-4o"\nmax_input_tokens = 8000\n') == [
        f"config.toml line 3: max_input_tokens is 8000, {asks} {SMALL.format('')}"
    ]
    for text, env in [
        ('model = "openai/gpt-4"\nmax_input_tokens = 32768', {}),
        ('model = "openai/gpt-4"', {"ALLOW_SHORT_CONTEXT_WINDOWS": "true"}),
        ('model = "openai/of-no-list"\n', {}),
    ]:
        assert problems(f"[llm]\n{text}\n", env) == []


def test_without_litellms_files_every_prefix_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is known of providers and contexts, and nothing is said of them."""
    monkeypatch.setattr(litellm_files, "providers", frozenset)
    monkeypatch.setattr(litellm_files, "prices", dict)
    for model in ("openia/gpt-4o", "openai/gpt-4"):
        assert problems(f'[llm]\nmodel = "{model}"\n') == []


def test_the_providers_are_those_of_litellm(litellm: Any) -> None:
    assert {getattr(each, "value", each) for each in litellm.provider_list} <= {
        *litellm_files.providers()
    }


def test_a_prefix_alone_is_no_model() -> None:
    [told] = problems('[llm]\nmodel = "mistral/"\n')
    assert "has no name after its provider" in told


def test_azure_without_a_version() -> None:
    """As in OpenHands, a config file gets one and the environment does not."""
    assert notes('[llm]\nmodel = "azure/x"\nnum_retries = 0') == [
        (
            "config.toml line 2: api_version is not set, and 2024-12-01-preview is taken. "
            "Write api_version beside it. OpenHands takes it, too, for a model in a config file."
        )
    ]
    missing = (
        "Azure asks for an api_version. {}. "
        "OpenHands adds one only for a model azure/... in a config file."
    )
    env = {"LLM_MODEL": "azure/x", "AZURE_API_BASE": "https://x"}
    assert problems("", env) == ["LLM_MODEL: " + missing.format("Set LLM_API_VERSION")]
    assert problems('[llm]\nmodel = "x"\ncustom_llm_provider = "azure"') == [
        "config.toml line 2: " + missing.format("Write api_version beside it")
    ]
    assert problems("", {**env, "LLM_API_VERSION": "2024-10-21"}) == []
    assert problems("", {**env, "AZURE_API_VERSION": "2024-10-21"}) == []


@pytest.mark.parametrize(
    ("text", "line", "ours", "theirs"),
    [
        ("[llm]", 1, "4 retries after 5, 10, 20, 30 s", "3 retries after 5, 5, 8 s"),
        ("[llm]\nretry_min_wait = 1\nnum_retries = 1", 3, "1 retry after 1 s", "no retry"),
        (
            "[llm]\nnum_retries = 1000000\nretry_multiplier = 1e308\nretry_max_wait = 7",
            2,
            "1000000 retries after 5, 7, 7, 7, 7, 7, ... s",
            "999999 retries after 7, 7, 7, 7, 7, 7, ... s",
        ),
    ],
)
def test_the_difference_in_retries(text: str, line: int, ours: str, theirs: str) -> None:
    num_retries = ours.partition(" ")[0]
    assert notes(text) == [
        (
            f"config.toml line {line}: num_retries = {num_retries} means {ours} here. "
            "Set it one higher if OpenHands shall try as often. "
            f"OpenHands counts attempts, not retries: it would make {theirs}."
        )
    ]


@pytest.mark.parametrize("text", ["[llm]\nnum_retries = 0", ""])
def test_no_difference_in_retries(text: str) -> None:
    assert notes(text) == []


@given(
    st.fixed_dictionaries(
        {
            "retry_min_wait": st.integers(0, 1000),
            "retry_max_wait": st.integers(0, 1000),
            "retry_multiplier": st.floats(0, 1e308),
        }
    ),
    st.integers(1, 9),
)
def test_our_waits_are_those_that_are_waited(values: dict[str, float], retry: int) -> None:
    settings = load_settings(written(""), env={}).with_overrides(values)
    assert schedule.our_wait_s(settings, retry) == RetryPolicy.from_settings(
        settings
    ).wait_before_s(retry)


SETTINGS_ASKED_FOR = {"api_key": KEY, "api_version": "2024-10-21"}


def clean(provider: Provider) -> dict[str, str]:
    values = {name: SETTINGS_ASKED_FOR.get(name, "us-east-1") for name in provider.asks_for}
    if "base_url" in values:
        values["base_url"] = provider.base_url_form.replace("//your-", "//our-")
    if provider.name == "moonshot":
        values |= {"temperature": "1", "top_p": "0.95"}  # all that it takes
    return {"model": provider.example, **values}


UNKNOWN_TO_041 = {"anthropic", "openhands"}
"""0.41 does not know the prefix of the one, and what the other makes today refuses its sampling."""

KNOWN_TO_041 = {name: each for name, each in PROVIDERS.items() if name not in UNKNOWN_TO_041}


@pytest.mark.parametrize("provider", KNOWN_TO_041.values(), ids=KNOWN_TO_041)
def test_a_clean_config_of_each_provider_has_no_problem(provider: Provider) -> None:
    """Neither in `[llm]`, nor in a group, nor in the environment."""
    values = clean(provider)
    of_section: dict[str, str] = {"llm": "", OURS: ""}
    for name, value in values.items():
        of_section[SETTINGS[name].section] += f"{name} = {json.dumps(value)}\n"
    env = {SETTINGS[name].variable: value for name, value in values.items()}
    ours = f"[{OURS}]\n{of_section[OURS]}"
    assert problems(f"[core]\n[llm]\n{of_section['llm']}{ours}") == []
    assert problems(f"[llm.mine]\n{of_section['llm']}{ours}") == []
    assert problems("", env) == []


LISTED = {
    "gone-1": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "2026-07-24"},
    "soon-1": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "2026-12-24"},
    "later-1": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "2028-12-24"},
    "odd-1": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "soon"},
}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("openai/gone-1", ("the model 'openai/gone-1' was withdrawn on 2026-07-24", "warning")),
        ("openai/soon-1", ("the maker of the model 'openai/soon-1' ends it on 2026-12-24", "note")),
        ("openai/later-1", None),
        ("openai/odd-1", None),
    ],
)
def test_a_model_that_its_maker_ends_is_told(
    model: str, told: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By LiteLLM's list, and at its maker: another server may have it for longer."""
    monkeypatch.setattr(litellm_files, "prices", lambda: LISTED)
    monkeypatch.setattr(withdrawn, "today", lambda: date(2026, 11, 30))

    def ends(**env: str) -> list[tuple[str, str]]:
        findings = found(env={"LLM_MODEL": model, **env})
        of_ends = [each for each in findings if "as LiteLLM's list says" in each.message]
        assert all("as 'openai/gpt-4o'" in each.fix for each in of_ends)
        return [(each.message.partition(", as")[0], each.level) for each in of_ends]

    assert ends() == ([told] if told else [])
    assert ends(LLM_BASE_URL="https://api.openai.com/v1") == ends()
    assert ends(LLM_BASE_URL="https://proxy.example/v1") == []


@pytest.mark.parametrize(
    ("version", "is_told"),
    [
        ("2024-13-01", True), ("2023-02-29", True), ("2024-00-10-preview", True),
        ("2024-02-29", False), ("2024-12-01-preview", False), ("preview", False), ("v1", False),
    ],
)  # fmt: skip
def test_a_version_of_a_day_that_there_is_none_of(version: str, is_told: bool) -> None:
    env = {
        "LLM_MODEL": "azure/mine",
        "LLM_BASE_URL": "https://x.openai.azure.com",
        "LLM_API_VERSION": version,
    }
    told = f"api_version names {version[:10]}, and there is no such day. Write a version that Azure"
    found = problems(env=env)
    assert len(found) == is_told
    assert all(line.startswith(f"LLM_API_VERSION: {told} has, as in") for line in found)
