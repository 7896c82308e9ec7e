"""What a check finds in texts that stand where a value was meant."""

from __future__ import annotations

import json

import pytest
from checking import found, problems
from hypothesis import example, given
from hypothesis import strategies as st

from openhands_llm_magic.config.lint.finding import NO_GUESS
from openhands_llm_magic.config.lint.value import Placeholder, placeholder_in, unwrapped
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.secret import Secrecy, secrecy
from openhands_llm_magic.config.settings import SETTINGS

TAKEN = "OpenHands would take it as it stands, too."

NAME = "OPENAI_API_KEY"
REFERENCES = [
    "${X}", "${X:-y}", "${X:?no key}", "$X", "$(cat key)", "%X%", "!X!", "{{X}}", "{{ X }}", "{X}",
    "{{ env.X }}", "${{ secrets.X }}", "env:X", "env: X", "$env:X", "env.X", "ENV[X]", "env(X)",
    'os.environ["X"]', "os.environ/X", "os.getenv('X')", "process.env.X", "<%= ENV['X'] %>",
    "ENV_VAR:X", "env_var: X", "!env X", "op://vault/item/key", "secrets.X", "X",
]  # fmt: skip
TO_FILL_IN = [
    "your_api_key_here", "your-api-key", "YOUR_API_KEY", "your api key", "<your-key>", "<key>",
    "[your key]", "sk-...", "sk-ant-...", "sk-xxx", "sk-proj-xxxxxxxx", "xxx", "XXXX", "***",
    "sk-****", "…", "changeme", "REPLACE_ME", "replace-with-your-key", "insert-key-here",
    "enter_your_key", "my-api-key", "api_key_here", "KEY_HERE", "todo", "sk-your-key-here",
    "put your key here", "AIza...", "sk-<your-key>...",
]  # fmt: skip
KEYS = [
    "sk-proj-abcDEF1234567890ghijKLMN", "sk-ant-api03-AbC_dEf-123", "gsk_abcdefgh12345678",
    "AIzaSyD-abc123", "dummy", "ollama", "EMPTY", "NA", "lm-studio", "not-needed", "sk-1234",
    "local-llm", "sk-no-key-required", "anything", "123", "tvly-dev-abc", "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "hf_abcdefghijklmnop", "pa$$word", "a$b{c}",
    "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "fake-key", "local",
]  # fmt: skip


@pytest.mark.parametrize("form", REFERENCES)
def test_the_name_of_a_variable_is_no_value(form: str) -> None:
    text = form.replace("X", NAME)
    assert problems(f"[llm]\napi_key = {json.dumps(text)}\n") == [
        (
            "config.toml line 2: api_key is the name of a variable, in place of a value. TOML "
            f"expands nothing: remove the line, and set the variable LLM_API_KEY. {TAKEN}"
        )
    ]
    assert problems("", {"LLM_API_KEY": text}) == [
        (
            "LLM_API_KEY: api_key is the name of a variable, in place of a value. "
            f"Nothing is put in for it there: set the value itself. {TAKEN}"
        )
    ]


@pytest.mark.parametrize("text", TO_FILL_IN)
def test_a_text_to_fill_in_is_no_value(text: str) -> None:
    file = f"[llm]\napi_key = {json.dumps(text)}\n"
    message = "api_key is a text to be filled in, in place of a value"
    assert problems(file) == [f"config.toml line 2: {message}. Write the value itself. {TAKEN}"]
    assert problems("", {"LLM_API_KEY": text}) == [
        f"LLM_API_KEY: {message}. Set the value itself. {TAKEN}"
    ]
    at_home = 'model = "ollama/x"\nbase_url = "http://localhost:11434"\n'
    assert problems(file + at_home) == []  # any text will do there


@pytest.mark.parametrize("text", KEYS)
def test_a_key_is_a_value(text: str) -> None:
    assert problems(f"[llm]\napi_key = {json.dumps(text)}\n") == []


@pytest.mark.parametrize("name", ["model", "base_url", "api_version", "aws_region_name"])
def test_a_placeholder_stands_alone(name: str) -> None:
    """No other rule makes something of it."""
    for text in ("${MINE}", "<mine>", "your-value"):
        [told] = problems(f'[llm]\n{name} = "{text}"\n')
        assert f"{name} is " in told
        assert "in place of a value" in told


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model", "openai/MODEL_NAME"),
        ("model", "azure/<deployment-name>"),
        ("model", "ollama/{model}"),
        ("base_url", "https://OPENAI_COMPATIBLE_URL/v1"),
        ("base_url", "https://YOUR_RESOURCE_NAME.openai.azure.com"),
        ("base_url", "http://<host>:8000/v1"),
        ("base_url", "http://$HOST:8000/v1"),
        ("base_url", "https://{resource}.openai.azure.com"),
    ],
)
def test_a_gap_in_a_name_or_an_address(name: str, text: str) -> None:
    [told] = problems(f'[llm]\n{name} = "{text}"\n')
    assert told.startswith(f"config.toml line 2: {name} is ")
    assert "in place of a value" in told


@pytest.mark.parametrize("model", ["azure/PROD_GPT4", "openai/My_Model-7B", "hosted_vllm/QWEN_3"])
def test_a_name_in_capitals_is_a_name(model: str) -> None:
    text = f'[llm]\nmodel = "{model}"\nbase_url = "https://x.example/v1"\n'
    assert [each for each in problems(text) if "in place of a value" in each] == []


@pytest.mark.parametrize(
    "text",
    [
        '[core]\ne2b_api_key = "${E2B_API_KEY}"',
        '[sandbox]\nmy_api_key = "$SANDBOX_API_KEY"',
        '[mcp]\nsse_servers = [{url = "http://a.example", token = "${TOKEN}"}]',
    ],
)
def test_a_placeholder_in_another_section(text: str) -> None:
    [told] = [each for each in problems(text) if "in place of a value" in each]
    assert told.startswith("config.toml line 2: ")
    assert "TOML expands nothing: write the value itself." in told


def test_a_placeholder_in_a_group() -> None:
    """There is no variable of a group."""
    [told] = problems('[llm.a]\napi_key = "${OPENAI_API_KEY}"\n')
    assert "TOML expands nothing: write the value itself." in told


@given(st.text())
@example("your" * 40)
@example("sk-" * 60 + "!")
def test_any_text_is_looked_at_without_an_error(text: str) -> None:
    assert placeholder_in(text) in (None, *Placeholder)
    assert unwrapped(unwrapped(text)) == unwrapped(text)


@pytest.mark.parametrize(
    ("text", "around"),
    [
        ('"{}"', "quotes"),
        ("'{}'", "quotes"),
        ("“{}”", "quotes"),
        ('{}"', "quotes"),
        (" {}", "blanks or line breaks"),
        ("{}\n", "blanks or line breaks"),
        ("{}\r\n", "blanks or line breaks"),
        ("\u200b{}", "invisible characters"),
    ],
)
@pytest.mark.parametrize("name", ["model", "base_url", "api_key"])
def test_what_stands_around_a_text(name: str, text: str, around: str) -> None:
    """Docker's --env-file and the lists of a compose file keep quotes."""
    value = {"model": "ollama/q", "base_url": "http://localhost:8000/v1", "api_key": "sk-1234567"}
    text = text.format(value[name])
    if name == "api_key" and text[-1:] == '"' != text[:1]:
        return  # a key may end in any character
    told = f"the {around} around {name} count as part of it"
    after = "OpenHands would take them, too."
    assert problems("", {f"LLM_{name.upper()}": text}) == [
        f"LLM_{name.upper()}: {told}. Write it without {around}. {after}"
    ]
    assert problems(f"[llm]\n{name} = {json.dumps(text)}\n") == [
        f"config.toml line 2: {told}. Write it without {around}. {after}"
    ]


@pytest.mark.parametrize("name", ["model", "base_url", "api_key"])
def test_a_comment_after_a_value(name: str) -> None:
    """Docker's --env-file takes the rest of the line."""
    value = {"model": "openai/x", "base_url": "http://localhost:8000/v1", "api_key": "sk-1234567"}
    assert problems("", {f"LLM_{name.upper()}": f"{value[name]}  # mine"}) == [
        (
            f"LLM_{name.upper()}: the comment after {name} counts as part of it. "
            "Write it without the comment. OpenHands would take them, too."
        )
    ]


def test_quotes_around_a_number() -> None:
    assert problems("", {"LLM_NUM_RETRIES": '"5"', "LLM_DROP_PARAMS": "'true'"}) == [
        (
            "LLM_NUM_RETRIES: the quotes around num_retries count as part of it. "
            "Set it without quotes. OpenHands would ignore it, too."
        ),
        (
            "LLM_DROP_PARAMS: the quotes around drop_params count as part of it. "
            "Set it without quotes. OpenHands would take it."
        ),
    ]


SECRETS = [
    "tavily_api_key", "serper_key", "github_token", "hf_token", "brave_api_key", "key", "token",
    "secret", "password", "embedding_api_key", "aws_session_token", "e2b_token", "llm_key",
    "sandbox_api_key", "api_keys", "api_key_2", "backup_api_key", "azure_openai_key",
]  # fmt: skip


@pytest.mark.parametrize("key", SECRETS)
def test_no_guess_hands_a_secret_to_another_server(key: str) -> None:
    value = "0f1e2d3c4b5a69788796"
    [in_file] = problems(f'[llm]\n{key} = "{value}"\n')
    [in_env] = problems("", {f"LLM_{key.upper()}": value})
    for told in (in_file, in_env):
        assert NO_GUESS in told or "which LiteLLM reads for" in told
        assert value not in told


@given(st.sampled_from(["api", "key", "token", "secret"]), st.from_regex(r"[a-z_]{1,12}"))
def test_no_spelling_leads_to_a_key(word: str, other: str) -> None:
    """Only the same letters do, as in api-key or ApiKey."""
    for name in (f"{other}_{word}", f"{word}_{other}"):
        same = {each.replace("_", "") for each in SETTINGS}
        if secrecy(name) < Secrecy.LIKELY or name.replace("_", "").removeprefix("llm") in same:
            continue
        for each in found(f'[llm]\n{name} = "0f1e2d3c4b5a6978"\n'):
            assert each.fix not in [f"Write {setting}" for setting in SETTINGS]


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("api-key", "Write api_key."),
        ("apiKey", "Write api_key."),
        ("LLM_API_KEY", "Write api_key."),
        ("baseURL", "Write base_url."),
        (
            "openai_api_key",
            "Remove it, and set the variable OPENAI_API_KEY, which LiteLLM reads for",
        ),
        ("search_api_key", "It is a setting of [core]: set the variable SEARCH_API_KEY."),
        ("e2b_api_key", "It is a setting of [core]: set the variable E2B_API_KEY."),
        ("workspace_base", "Write it under [core]."),
        ("volumes", "Write it under [sandbox]."),
        ("llm_config", "Write it under [agent]."),
        ("draft_editor", "Write its settings as a group, [llm.draft_editor]."),
    ],
)
def test_a_key_that_belongs_elsewhere(key: str, fix: str) -> None:
    [told] = problems(f'[llm]\n{key} = "0f1e2d3c4b5a6978"\n')
    assert fix in told


def test_a_variable_of_another_section() -> None:
    assert problems("", {"LLM_SEARCH_API_KEY": "tvly-0123456789"}) == [
        (
            "LLM_SEARCH_API_KEY: unknown variable. Set SEARCH_API_KEY. "
            "OpenHands would ignore it without a word."
        )
    ]


def test_the_variables_that_advice_names_are_those_of_providers() -> None:
    names = {each for provider in PROVIDERS.values() for each in provider.key_variables}
    assert {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"} <= names
