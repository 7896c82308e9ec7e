"""What a check says of an address and the prefix beside it: one finding with one cure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from checking import found, problems
from hypothesis import example, given
from hypothesis import strategies as st

from openhands_llm_magic.config.providers import DOCKER_HOST, PROVIDERS, provider_at

if TYPE_CHECKING:
    from openhands_llm_magic.config.lint.finding import Finding

PATH = "OpenHands would ask at the wrong path, too."
WAY = "OpenHands would ask in the wrong way, too."
AZURE = "https://mine.openai.azure.com"
DEPLOYMENT = f"{AZURE}/openai/deployments/dep"
OPENROUTER = "https://openrouter.ai/api/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"


def told(model: str, base_url: str, **kwargs: bool) -> list[str]:
    """Return what is said of the third line, the address."""
    text = f'[llm]\nmodel = "{model}"\nbase_url = "{base_url}"\n'
    start = "config.toml line 3: "
    every = problems(text, **kwargs)
    return [each.removeprefix(start) for each in every if each.startswith(start)]


@pytest.mark.parametrize(
    ("model", "base_url", "fix"),
    [
        ("gpt-4o", AZURE, "Write model = 'azure/gpt-4o'. " + WAY),
        ("openai/gpt-4o", AZURE + "/", "Write model = 'azure/gpt-4o'. " + WAY),
        ("gpt-4o", f"{AZURE}/v1", f"Write base_url = '{AZURE}' and model = 'azure/gpt-4o'. {WAY}"),
        (
            "anthropic/claude-3-5-sonnet-20241022",
            OPENROUTER,
            "Write model = 'openrouter/anthropic/claude-3-5-sonnet-20241022'. " + WAY,
        ),
        ("gpt-4o", OPENROUTER, "Write model = 'openrouter/openai/gpt-4o'. " + WAY),
        ("openai/gpt-4o", OPENROUTER, "Write model = 'openrouter/openai/gpt-4o'. " + WAY),
        (
            "deepseek/deepseek-chat",
            "https://openrouter.ai",
            (
                f"Write base_url = '{OPENROUTER}' and "
                f"model = 'openrouter/deepseek/deepseek-chat'. {WAY}"
            ),
        ),
        ("gemini-2.5-pro", "https://x.example/v1", "Write model = 'openai/gemini-2.5-pro'. " + WAY),
        ("gemini-2.5-pro", GEMINI, "Write model = 'gemini/gemini-2.5-pro'. " + WAY),
        (
            "anthropic/claude-3-7-sonnet-20250219",
            "https://api.openai.com/v1",
            "Remove base_url. " + WAY,
        ),
        ("gpt-4o", "https://api.anthropic.com", "Remove base_url. " + WAY),
        (
            "gemini/gemini-2.5-pro",
            "http://localhost:11434",
            "Write model = 'ollama_chat/gemini-2.5-pro'. " + WAY,
        ),
    ],
)
def test_the_host_tells_who_is_meant(model: str, base_url: str, fix: str) -> None:
    """The prefix follows it, and nothing is said of a /v1 that would not help."""
    [line] = told(model, base_url)
    assert line.endswith(fix)
    assert "answer at /v1" not in line


@pytest.mark.parametrize(
    ("model", "base_url", "right"),
    [
        ("openai/x", "https://x.example/v1/chat/completions", "https://x.example/v1"),
        ("openai/x", "https://x.example/v1/completions/", "https://x.example/v1"),
        ("openai/x", "https://x.example/v1/responses", "https://x.example/v1"),
        ("openai/x", "https://x.example/v1/models", "https://x.example/v1"),
        ("openai/x", "http://localhost:1234/api/v0/chat/completions", "http://localhost:1234/v1"),
        ("openai/x", "http://localhost:8000/chat/completions", "http://localhost:8000/v1"),
        ("anthropic/x", "https://proxy.example/v1/chat/completions", "https://proxy.example"),
        ("azure/x", f"{AZURE}/openai", AZURE),
        ("azure/x", f"{AZURE}/v1", AZURE),
        ("gemini/gemini-2.5-pro", "https://generativelanguage.googleapis.com", GEMINI),
        ("gemini/gemini-2.5-pro", f"{GEMINI}/openai/", GEMINI),
        ("openai/gpt-4o", "https://api.openai.com", "https://api.openai.com/v1"),
        ("ollama/x", "http://localhost:11434/api/chat", "http://localhost:11434"),
        ("ollama_chat/x", "http://localhost:11434/api/generate", "http://localhost:11434"),
        ("openai/x", "http://localhost:11434/api/chat", "http://localhost:11434/v1"),
        ("openrouter/x/y", "https://openrouter.ai/api/v1/chat/completions", OPENROUTER),
        ("gemini/gemini-2.5-pro", f"{GEMINI}/models/gemini-2.5-pro:generateContent", GEMINI),
        (
            "gemini/gemini-2.5-pro",
            f"{GEMINI}/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
            GEMINI,
        ),
        ("litellm_proxy/x", "https://p.example/chat/completions", "https://p.example"),
        (
            "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/x/converse-stream",
            "https://bedrock-runtime.us-east-1.amazonaws.com",
        ),
        ("openrouter/x/y", "https://openrouter.ai/v1", OPENROUTER),
        ("groq/x", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("openai/x", "http://localhost:11434", "http://localhost:11434/v1"),
    ],
)
def test_the_endpoint_is_not_the_base(model: str, base_url: str, right: str) -> None:
    [line] = told(model, base_url)
    assert line.endswith(f"Write '{right}'. {PATH}")
    assert told(model, right) == []


@pytest.mark.parametrize(
    ("model", "base_url", "endpoint"),
    [
        ("anthropic/x", "https://api.anthropic.com", "/v1/messages"),
        ("ollama/x", "http://localhost:11434", "/api/generate"),
        ("ollama_chat/x", "http://localhost:11434", "/api/chat"),
        ("deepseek/x", "https://api.deepseek.com/v1", "/chat/completions"),
    ],
)
def test_an_endpoint_that_litellm_does_not_append_twice(
    model: str, base_url: str, endpoint: str
) -> None:
    assert told(model, base_url + endpoint) == [
        (
            f"base_url names the endpoint {endpoint}, which is appended to it. "
            f"Write '{base_url}'. LiteLLM asks there all the same; other programs may not."
        )
    ]


@pytest.mark.parametrize("model", ["azure/dep", "gpt-4o", "openai/gpt-4o"])
def test_the_address_of_a_deployment(model: str) -> None:
    url = f"{DEPLOYMENT}/chat/completions?api-version=2024-10-21"
    beside = "" if model == "azure/dep" else ", model = 'azure/dep'"
    [line] = told(model, url)
    assert line == (
        f"base_url is that of one deployment. Write base_url = '{AZURE}'{beside} and "
        f"api_version = '2024-10-21'. {PATH}"
    )
    assert told("azure/dep", DEPLOYMENT) == []


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("azure/dep", AZURE),
        ("openai/dep", f"{AZURE}/openai/v1"),
        ("openai/openai/gpt-4o", OPENROUTER),
        ("openrouter/openai/gpt-4o", OPENROUTER),
        ("openai/gemini-2.5-pro", f"{GEMINI}/openai/"),
        ("openai/claude-3-5-sonnet-20241022", "https://api.anthropic.com/v1"),
        ("openai/deepseek-chat", "https://api.deepseek.com"),
        ("deepseek/deepseek-chat", "https://api.deepseek.com/v1"),
        ("openai/llama3-70b-8192", "https://api.groq.com/openai/v1"),
        ("anthropic/kimi-k2", "https://api.moonshot.ai/anthropic"),
        ("anthropic/qwen3", "http://localhost:11434"),
        ("openai/gpt-4o", "https://api.openai.com/v1"),
        (
            "openai/gpt-4o",
            "https://gateway.example/models/v1",
        ),
        ("litellm_proxy/claude", "https://proxy.example"),
        ("ollama/qwen3", "http://192.168.1.5:11434"),
        ("mistral/mistral-small-latest", "https://api.mistral.ai/v1"),
    ],
)
def test_an_address_that_is_right(model: str, base_url: str) -> None:
    assert told(model, base_url) == []


def seen_from_docker(base_url: str) -> list[Finding]:
    """Return what is found about an address, notes too, where this runs in a container."""
    text = f'[llm]\nmodel = "openai/x"\nbase_url = "{base_url}"\n'
    return [each for each in found(text, in_docker=True) if each.setting == "base_url"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_seen_from_a_container(host: str) -> None:
    """A note and no mistake, as the server may run in this container."""
    [note] = seen_from_docker(f"http://{host}:8000/v1")
    assert not note.is_problem
    assert note.text == (
        f"base_url names {host.strip('[]')}, which inside a container is the container itself. "
        f"OpenHands in docker needs 'http://{DOCKER_HOST}:8000/v1', which the docker export puts in"
        " by itself; here it is needed only if the server runs outside of this container."
    )
    assert told("openai/x", f"http://{host}:8000/v1") == []
    assert told("openai/x", f"http://{DOCKER_HOST}:8000/v1", in_docker=True) == []


def test_a_mistake_is_told_beside_the_note_about_docker() -> None:
    """The address in the note has the mistake mended."""
    mistake, note = seen_from_docker("http://localhost:8000")
    assert "Write 'http://localhost:8000/v1'" in mistake.text
    assert f"needs 'http://{DOCKER_HOST}:8000/v1'," in note.text


def test_what_is_to_be_copied_is_whole() -> None:
    """However long it is: half an address would be copied as if it were all."""
    path = "/groq/as/rate-limited/openai/of-a-long-name/v1"
    [line] = told("openai/x", f"http://models.example:46037{path}/chat/completions")
    assert f"Write 'http://models.example:46037{path}'." in line
    [note] = seen_from_docker(f"http://127.0.0.1:46037{path}")
    assert f"needs 'http://{DOCKER_HOST}:46037{path}'," in note.text


def test_the_address_of_the_embedding_model() -> None:
    text = '[openhands_llm_magic]\nembedding_base_url = "https://x.example/v1/embeddings"\n'
    assert problems(text) == [
        (
            "config.toml line 2: embedding_base_url names the endpoint /embeddings, which is "
            f"appended to it. Write 'https://x.example/v1'. {PATH}"
        )
    ]


HOSTS = st.sampled_from(
    [
        "localhost:8000", "localhost:1234", "localhost:11434", "host.docker.internal:11434",
        "x.example", "openrouter.ai", "api.openai.com", "api.anthropic.com", "api.groq.com",
        "mine.openai.azure.com", "generativelanguage.googleapis.com", "api.deepseek.com",
        "api.mistral.ai", "api.moonshot.cn", "us-central1-aiplatform.googleapis.com",
        "bedrock-runtime.eu-west-1.amazonaws.com", "me:geheim@x.example",
    ]
)  # fmt: skip
PATHS = st.sampled_from(
    [
        "", "/", "/v1", "/v1/", "/api", "/api/v1", "/openai/v1", "/v1beta", "/v1beta/openai",
        "/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/responses", "/api/chat",
        "/openai/deployments/d", "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        "/v1beta/models/gemini-2.5-pro:generateContent", "/model/m/invoke",
        "?api-version=2024-10-21",
    ]
)  # fmt: skip
MODELS = st.sampled_from(
    [
        *(each.example for each in PROVIDERS.values()), "gpt-4o", "claude-3-5-haiku-20241022",
        "gemini-2.5-flash", "llama3", "Qwen/Qwen3", "openia/gpt-4o", "deepseek-chat",
        "openai/deepseek-chat", "openai/openai/gpt-4o", "ollama_chat/x", "xai/grok-4",
    ]
)  # fmt: skip
WRITTEN = re.compile(r"(?:(\w+) = )?'([^']*)'")


@given(HOSTS, PATHS, MODELS, st.sampled_from(["", "openai", "azure"]), st.booleans())
@example("openrouter.ai", "/api/v1", "anthropic/claude-3-7-sonnet-20250219", "", False)
def test_no_two_cures_contradict_each_other(
    host: str, path: str, model: str, custom: str, in_docker: bool
) -> None:
    """There is one finding about the address at most, and following all cures leaves none."""
    values = {"model": model, "base_url": f"https://{host}{path}", "custom_llm_provider": custom}
    for _ in range(2):
        text = "[llm]\n" + "".join(f'{each} = "{text}"\n' for each, text in values.items())
        about = [
            each
            for each in found(text, in_docker=in_docker)
            if each.is_problem and re.match("base_url|the model|reasoning", each.message)
        ]
        assert len([each for each in about if each.origin.line == 3]) <= 1
        assert "geheim" not in repr(about)
        cures: dict[str, set[str]] = {}
        for each in about:
            if each.fix.startswith("Remove base_url"):
                cures.setdefault("base_url", set()).add("")
                continue
            default = "model" if each.origin.line == 2 else "base_url"
            for name, value in WRITTEN.findall(each.fix.partition(", unless")[0]):
                if "as in" not in each.fix:
                    cures.setdefault(name or default, set()).add(value)
        assert all(len(each) == 1 for each in cures.values()), about
        before = dict(values)
        values |= {name: each.pop() for name, each in cures.items() if name in values}
        if values == before:
            break
    leads = provider_at(values["base_url"])
    assert not values["base_url"] or urlsplit(values["base_url"]).hostname
    if custom == "" and leads and leads.has_own_alone:
        assert "is that of" not in repr(about)


@pytest.mark.parametrize(
    ("host", "in_docker"), [("localhost", False), ("localhost", True), (DOCKER_HOST, True)]
)
def test_the_api_of_ollama_is_appended_by_litellm(host: str, in_docker: bool) -> None:
    """What OpenHands in docker needs instead of the host is a note of its own."""
    [line] = told("ollama_chat/qwen3", f"http://{host}:11434/api", in_docker=in_docker)
    reason = "base_url ends with /api, which ollama_chat/ adds itself"
    assert line == f"{reason}. Write 'http://{host}:11434'. {PATH}"
