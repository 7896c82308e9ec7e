"""Config files as documentations and people publish them, with nothing wrong in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from checking import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = 'api_key = "sk-0123456789abcdefghij"\n'

GOOD: dict[str, tuple[str, Mapping[str, str]]] = {
    "template": (
        (
            '[core]\nworkspace_base = "./workspace"\nmax_iterations = 100\n'
            'cache_dir = "/tmp/cache"\n'
            'runtime = "docker"\ndefault_agent = "CodeActAgent"\nrun_as_openhands = true\n'
            f'[llm]\nmodel = "gpt-4o"\n{KEY}num_retries = 8\nretry_min_wait = 15\n'
            "retry_max_wait = 120\nretry_multiplier = 2.0\n"
            '[llm.gpt4o-mini]\nmodel = "gpt-4o-mini"\n'
            "[agent]\nenable_browsing = true\nenable_jupyter = true\n"
            "enable_history_truncation = true\n"
            "[sandbox]\ntimeout = 120\nuser_id = 1000\n"
            'base_container_image = "nikolaik/python-nodejs:python3.12-nodejs22"\n'
            "[security]\nconfirmation_mode = false\n"
            '[condenser]\ntype = "noop"\n'
        ),
        {},
    ),
    "anthropic": (f'[llm]\nmodel = "anthropic/claude-sonnet-4-20250514"\n{KEY}', {}),
    "two models": (
        (
            f'[llm]\nmodel = "anthropic/claude-3-7-sonnet-20250219"\n{KEY}'
            f'[llm.cheap]\nmodel = "openai/gpt-4o-mini"\n{KEY}'
            '[agent.BrowsingAgent]\nllm_config = "cheap"\n'
        ),
        {},
    ),
    "condenser": (
        (
            f'[core]\n[llm]\nmodel = "openai/gpt-4.1"\n{KEY}'
            f'[llm.condenser]\nmodel = "gemini/gemini-2.5-flash"\n{KEY}temperature = 0.1\n'
            'max_input_tokens = 32000\n[condenser]\ntype = "llm"\nllm_config = "condenser"\n'
            "keep_first = 1\nmax_size = 100\n"
        ),
        {},
    ),
    "draft editor": (
        (
            f'[llm]\nmodel = "openrouter/x-ai/grok-code-fast-1"\n{KEY}'
            f'[llm.draft_editor]\nmodel = "openrouter/openai/gpt-4o-mini"\n{KEY}'
            "[agent]\nenable_llm_editor = true\n"
        ),
        {},
    ),
    "azure": (
        (
            '[llm]\nmodel = "azure/gpt-4o-prod"\nbase_url = "https://acme-eastus.openai.azure.com"\n'
            f'{KEY}api_version = "2024-10-21"\n'
        ),
        {},
    ),
    "openrouter with its address": (
        (
            '[llm]\nmodel = "openrouter/deepseek/deepseek-chat-v3-0324:free"\n'
            f'base_url = "https://openrouter.ai/api/v1"\n{KEY}'
        ),
        {},
    ),
    "lm studio": (
        (
            '[llm]\nmodel = "openai/devstral-small-2505"\nbase_url = "http://localhost:1234/v1"\n'
            'api_key = "local-llm"\n'
        ),
        {},
    ),
    "ollama": (
        (
            '[core]\nworkspace_base = "./ws"\n[llm]\nmodel = "ollama/devstral"\n'
            'base_url = "http://localhost:11434"\nollama_base_url = "http://localhost:11434"\n'
            'api_key = "ollama"\n'
        ),
        {},
    ),
    "ollama elsewhere, in OpenAI's dialect": (
        (
            '[llm]\nmodel = "openai/qwen3-coder:30b"\nbase_url = "http://192.168.1.20:11434/v1"\n'
            'api_key = "dummy"\nnative_tool_calling = false\n'
        ),
        {},
    ),
    "vllm": (
        (
            '[llm]\nmodel = "hosted_vllm/all-hands/openhands-lm-32b-v0.1"\n'
            'base_url = "http://gpu-box:8000/v1"\napi_key = "EMPTY"\nmax_input_tokens = 131072\n'
        ),
        {},
    ),
    "litellm proxy": (
        '[llm]\nmodel = "litellm_proxy/team-model"\nbase_url = "https://llm.acme.example"\n' + KEY,
        {},
    ),
    "gateway of a company": (
        (
            '[llm]\nmodel = "openai/team/model-7"\nbase_url = "https://gw.acme.example/openai/v1/"\n'
            f"{KEY}drop_params = true\ntimeout = 120\n"
        ),
        {},
    ),
    "bedrock": (
        (
            '[llm]\nmodel = "bedrock/us.anthropic.claude-3-7-sonnet-20250219-v1:0"\n'
            'aws_access_key_id = "AKIA0123456789ABCDEF"\naws_region_name = "us-east-1"\n'
            'aws_secret_access_key = "abcdEFGH0123456789abcdEFGH0123456789abcd"\n'
        ),
        {},
    ),
    "groq": (f'[llm]\nmodel = "groq/llama-3.3-70b-versatile"\n{KEY}max_output_tokens = 8000\n', {}),
    "mcp": (
        (
            f'[core]\ndebug = false\n[llm]\nmodel = "deepseek/deepseek-chat"\n{KEY}'
            '[mcp]\nsse_servers = ["http://localhost:8080/sse"]\n'
            'stdio_servers = [{name = "fetch", command = "uvx", args = ["mcp-server-fetch"]}]\n'
            '[sandbox]\nvolumes = "/home/me/src:/workspace:rw,/data:/data:ro"\n'
            'runtime_startup_env_vars = {LANG = "C.UTF-8"}\nruntime_extra_deps = "apt-get update"\n'
            "keep_runtime_alive = true\n[extended]\nteam = 1\n"
        ),
        {},
    ),
    "variables of docker run": (
        "",
        {
            "LLM_MODEL": "anthropic/claude-sonnet-4-20250514",
            "LLM_API_KEY": "sk-0123456789abcdefghij",
            "LLM_NUM_RETRIES": "8",
            "SANDBOX_VOLUMES": "/home/me/src:/workspace:rw",
            "SANDBOX_RUNTIME_CONTAINER_IMAGE": "docker.all-hands.dev/runtime:0.41-nikolaik",
            "LOG_ALL_EVENTS": "true",
        },
    ),
    "custom provider": (
        (
            '[llm]\nmodel = "my-own-model"\ncustom_llm_provider = "openai"\n'
            f'base_url = "https://inference.acme.example/v1"\n{KEY}reasoning_effort = "medium"\n'
        ),
        {},
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_wrong(name: str) -> None:
    text, env = GOOD[name]
    assert problems(text, env) == []
