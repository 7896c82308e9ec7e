"""Every setting, declared once.

The declarations in `SETTINGS` are the one source for config files, environment variables, traits,
flags, help, error texts, types and docs/settings.md. Names, types and defaults are those of
`LLMConfig` in OpenHands 0.41, or in 0.62 for the few that are marked `newer`. The settings that
only this package has are in a table of their own, because one unknown key makes OpenHands drop the
whole `[llm]` section. The embedding settings are there as well: OpenHands' documentation names
them, and `LLMConfig` does not have them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config.languages import LANGUAGES
from openhands_llm_magic.config.setting import OURS, Setting, shorten
from openhands_llm_magic.errors import SettingError, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BUDGETS", "SETTINGS", "TOPICS", "Setting", "closest", "setting_named"]

TOPICS: Mapping[str, str] = MappingProxyType(
    {
        "basic": "Model and provider",
        "retries": "Retries",
        "answer": "The answer",
        "advanced": "The request",
        "provider": "Single providers",
        "cost": "Cost",
        "embedding": "Embeddings",
        "prompt": "The prompt",
        "agent": "OpenHands' agent",
        "words": "What is said here",
    }
)
"""The title of each topic that settings belong to, in the order in which topics are shown."""

# fmt: off
SAMPLING_KEYWORDS = frozenset({
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "min_p",
    "mirostat", "mirostat_eta", "mirostat_tau", "num_ctx", "num_predict", "parallel_tool_calls",
    "presence_penalty", "reasoning_effort", "repeat_last_n", "repeat_penalty",
    "repetition_penalty", "response_format", "seed", "stop", "temperature", "tfs_z", "thinking",
    "top_k", "top_logprobs", "top_p", "typical_p", "verbosity",
})
"""Keywords of `completion` that say how a model writes, and neither to whom nor with which key."""

_DECLARATIONS = (
    Setting(
        name="model", title="Model", topic="basic", kind="str", default="claude-sonnet-4-20250514",
        sent_as="model", short="-m",
        help="The model, with its provider in front, as in openai/gpt-4o.",
    ),
    Setting(
        name="api_key", title="API key", topic="basic", kind="secret", sent_as="api_key",
        help="The provider's API key; it is masked wherever it would show.",
    ),
    Setting(
        name="base_url", title="Base URL", topic="basic", kind="str", sent_as="base_url",
        help="The address of the model's server, when it is not the provider's own.",
    ),
    Setting(
        name="api_version", title="API version", topic="basic", kind="str", sent_as="api_version",
        example="2024-10-21",
        help="The version of the provider's API, which Azure asks for.",
    ),
    Setting(
        name="num_retries", title="Number of retries", topic="retries", kind="int", default=4,
        used_for="the retries after the first attempt", minimum=0,
        help="How many times a prompt is sent again after a passing failure.",
    ),
    Setting(
        name="retry_min_wait", title="First wait (s)", topic="retries", kind="int", default=5,
        used_for="the waits between retries", minimum=0,
        help="Seconds to wait before the first retry.",
    ),
    Setting(
        name="retry_max_wait", title="Longest wait (s)", topic="retries", kind="int", default=30,
        used_for="the waits between retries", minimum=0,
        help="Seconds that no wait between retries goes beyond.",
    ),
    Setting(
        name="retry_multiplier", title="Multiplier", topic="retries", kind="float", default=2,
        used_for="the waits between retries", minimum=0,
        help="How many times as long as the wait before it each further wait is.",
    ),
    Setting(
        name="retry_after_limit", title="Longest server wait (s)", topic="retries", kind="float",
        default=300.0, used_for="the waits that a server asks for", minimum=0, section=OURS,
        in_projects=True,
        help="Seconds; a server that asks for a longer wait than this makes the prompt fail.",
    ),
    Setting(
        name="deadline", title="Deadline (s)", topic="retries", kind="float",
        used_for="the waits between retries, and the time of each request", minimum=1, section=OURS,
        in_projects=True,
        help="Seconds from a prompt's beginning after which it is not sent again.",
    ),
    Setting(
        name="requests_per_minute", title="Requests a minute", topic="retries", kind="float",
        used_for="the pace of requests to one model", minimum=0.01, section=OURS, in_projects=True,
        help="Requests a minute that a model is sent at most, one by one at even distances.",
    ),
    Setting(
        name="tokens_per_minute", title="Tokens a minute", topic="retries", kind="float",
        used_for="the pace of requests to one model", minimum=1, section=OURS, in_projects=True,
        help="Tokens a minute, of prompts and answers, that a model is asked for at most.",
    ),
    Setting(
        name="timeout", title="Timeout (s)", topic="retries", kind="int", sent_as="timeout",
        minimum=1,
        help="Seconds after which a request without an answer fails.",
    ),
    Setting(
        name="temperature", title="Temperature", topic="answer", kind="float", default=0.0,
        sent_as="temperature", minimum=0, maximum=2,
        help="How freely the model chooses its words, from 0 (least) to 2.",
    ),
    Setting(
        name="top_p", title="Top p", topic="answer", kind="float", default=1.0, sent_as="top_p",
        minimum=0, maximum=1,
        help="The share of the likeliest words that the model chooses from, from 0 to 1.",
    ),
    Setting(
        name="top_k", title="Top k", topic="answer", kind="float", sent_as="top_k",
        help="How many of the likeliest words the model chooses from; OpenAI's models refuse it.",
    ),
    Setting(
        name="seed", title="Seed", topic="answer", kind="int", sent_as="seed",
        help="A number that makes a model repeat its answers, as far as it can.",
    ),
    Setting(
        name="max_output_tokens", title="Output tokens", topic="answer", kind="int",
        sent_as="max_completion_tokens", minimum=1,
        help="Tokens that an answer is cut off at.",
    ),
    Setting(
        name="reasoning_effort", title="Reasoning effort", topic="answer", kind="str",
        default="high", sent_as="reasoning_effort", sent_to="models that reason",
        choices=("low", "medium", "high", "none"), may_be_empty=True,
        help="How long a reasoning model thinks: low, medium, high or none.",
    ),
    Setting(
        name="footer", title="Footer", topic="answer", kind="str", default="on",
        used_for="a line under each answer", choices=("on", "off"), closed=True, section=OURS,
        help="Whether a line under each answer tells its model, tokens, cost and seconds.",
    ),
    Setting(
        name="custom_llm_provider", title="Custom provider", topic="advanced", kind="str",
        sent_as="custom_llm_provider",
        help="LiteLLM's name of the provider, when the model's name does not tell it.",
    ),
    Setting(
        name="drop_params", title="Drop parameters", topic="advanced", kind="bool", default=True,
        sent_as="drop_params",
        help="Whether settings that the model does not take are left out instead of refused.",
    ),
    Setting(
        name="modify_params", title="Modify parameters", topic="advanced", kind="bool",
        default=True, used_for="LiteLLM's switch of this name",
        help="Whether LiteLLM may change a request that the provider would refuse.",
    ),
    Setting(
        name="completion_kwargs", title="Further arguments", topic="advanced", kind="dict",
        used_for="each request, merged in last", newer=True, keys_in_projects=SAMPLING_KEYWORDS,
        example="{'seed': 7}",
        help="Further keyword arguments of LiteLLM's completion, which come before all others.",
    ),
    Setting(
        name="aliases", title="Short names of models", topic="advanced", kind="dict",
        used_for="models that a cell, the session or Python names", section=OURS, in_projects=True,
        example="{'fast': 'openai/gpt-4o-mini'}",
        help="Short names of models, each with the model that it stands for, as in -m fast.",
    ),
    Setting(
        name="aws_access_key_id", title="AWS access key ID", topic="provider", kind="secret",
        sent_as="aws_access_key_id", sent_to="models at Amazon",
        help="The access key ID for models at Amazon; it is masked wherever it would show.",
    ),
    Setting(
        name="aws_secret_access_key", title="AWS secret access key", topic="provider",
        kind="secret", sent_as="aws_secret_access_key", sent_to="models at Amazon",
        help="The secret access key for models at Amazon; it is masked wherever it would show.",
    ),
    Setting(
        name="aws_region_name", title="AWS region", topic="provider", kind="str",
        sent_as="aws_region_name", sent_to="models at Amazon", is_in_address=True,
        example="us-east-1",
        help="The region of Amazon's servers, as in us-east-1.",
    ),
    Setting(
        name="vertex_project", title="Vertex project", topic="provider", kind="str",
        sent_as="vertex_project", sent_to="models at Vertex AI", section=OURS,
        in_projects=True, is_in_address=True,
        named_variable="VERTEXAI_PROJECT", example="my-project-123456",
        help="The project at Google Cloud that pays for models at Vertex AI.",
    ),
    Setting(
        name="vertex_location", title="Vertex location", topic="provider", kind="str",
        sent_as="vertex_location", sent_to="models at Vertex AI", section=OURS,
        in_projects=True, is_in_address=True,
        named_variable="VERTEXAI_LOCATION", example="us-central1",
        help="The region of Vertex AI's servers, as in us-central1.",
    ),
    Setting(
        name="openrouter_site_url", title="OpenRouter site", topic="provider", kind="str",
        default="https://docs.all-hands.dev/", used_for="a header that OpenRouter reads",
        may_be_empty=True,
        help="The site that OpenRouter is told the requests come from.",
    ),
    Setting(
        name="openrouter_app_name", title="OpenRouter application", topic="provider", kind="str",
        default="OpenHands", used_for="a header that OpenRouter reads", may_be_empty=True,
        help="The application that OpenRouter is told the requests come from.",
    ),
    Setting(
        name="ollama_base_url", title="Ollama base URL", topic="provider", kind="str", kept=True,
        example="http://localhost:11434",
        help="The address of Ollama's server, which OpenHands only lists models from.",
    ),
    Setting(
        name="safety_settings", title="Safety settings", topic="provider", kind="list",
        sent_as="safety_settings", sent_to="models of Gemini and Mistral", newer=True,
        example="[{'category': 'HARM_CATEGORY_HARASSMENT', 'threshold': 'BLOCK_NONE'}]",
        help="What Gemini and Mistral shall block, as their category and threshold.",
    ),
    Setting(
        name="input_cost_per_token", title="Prompt token price ($)", topic="cost", kind="float",
        used_for="the cost of an answer", minimum=0,
        example="0.0000025",
        help="US dollars for a token of the prompt, when LiteLLM's price is not right.",
    ),
    Setting(
        name="output_cost_per_token", title="Answer token price ($)", topic="cost", kind="float",
        used_for="the cost of an answer", minimum=0,
        example="0.00001",
        help="US dollars for a token of the answer, when LiteLLM's price is not right.",
    ),
    Setting(
        name="cache", title="Stored answers", topic="cost", kind="str", default="off",
        used_for="running a notebook again without paying", choices=("off", "on", "replay"),
        closed=True, section=OURS, in_projects=True,
        help="Whether answers are kept as files and taken from them: off, on, or replay alone.",
    ),
    Setting(
        name="max_budget_per_task", title="Budget per task ($)", topic="cost", kind="float",
        used_for="a limit of what this session spends", minimum=0, section="core",
        help="US dollars that this session spends at most, and OpenHands on a task; 0 is no limit.",
    ),
    Setting(
        name="budget_per_day", title="Budget per day ($)", topic="cost", kind="float",
        used_for="a limit of what all kernels spend in a day", minimum=0, section=OURS,
        help="US dollars that all kernels spend at most from midnight to midnight.",
    ),
    Setting(
        name="budget_per_month", title="Budget per month ($)", topic="cost", kind="float",
        used_for="a limit of what all kernels spend in a month", minimum=0, section=OURS,
        help="US dollars that all kernels spend at most in a calendar month.",
    ),
    Setting(
        name="ledger", title="Ledger", topic="cost", kind="str",
        used_for="keeping what requests have cost", section=OURS,
        help="The file that keeps what each request has cost, or off; none is the usual place.",
    ),
    Setting(
        name="ledger_days", title="Days in the ledger", topic="cost", kind="float", default=400.0,
        used_for="forgetting what requests have cost", minimum=1, section=OURS,
        help="Days after which what a request has cost is forgotten.",
    ),
    Setting(
        name="embedding_model", title="Embedding model", topic="embedding", kind="str",
        used_for="vectors of texts",
        choices=("openai/text-embedding-3-small", "openai", "azureopenai", "local",
                 "practice/embed"),
        section=OURS, in_projects=True, named_variable="LLM_EMBEDDING_MODEL",
        help="The model that turns text into vectors.",
    ),
    Setting(
        name="embedding_deployment_name", title="Embedding deployment", topic="embedding",
        kind="str", used_for="vectors of texts", section=OURS, in_projects=True,
        named_variable="LLM_EMBEDDING_DEPLOYMENT_NAME",
        help="The name of the embedding model's deployment on Azure.",
    ),
    Setting(
        name="embedding_base_url", title="Embedding base URL", topic="embedding", kind="str",
        used_for="vectors of texts", section=OURS, in_projects=True,
        named_variable="LLM_EMBEDDING_BASE_URL", example="http://localhost:8000/v1",
        help="The address of the embedding model's server.",
    ),
    Setting(
        name="max_message_chars", title="Message characters", topic="prompt", kind="int",
        default=30000, used_for="the variables of a prompt", minimum=1,
        help="Characters that a longer value put into a prompt is cut to.",
    ),
    Setting(
        name="mcp_timeout", title="MCP timeout (s)", topic="prompt", kind="float", default=60.0,
        used_for="tools of MCP servers", minimum=0.1, section=OURS, in_projects=True,
        help="Seconds that an MCP server has to start, and to answer each call.",
    ),
    Setting(
        name="max_input_tokens", title="Input tokens", topic="prompt", kind="int",
        used_for="trimming conversations", minimum=1,
        help="Tokens that a prompt has room for; none takes what the model is known for.",
    ),
    Setting(
        name="disable_vision", title="Disable vision", topic="prompt", kind="bool",
        used_for="the pictures of a prompt",
        help="Whether no pictures are sent; false sends them also to models not known to see.",
    ),
    Setting(
        name="caching_prompt", title="Prompt caching", topic="prompt", kind="bool", default=True,
        used_for="system prompts and long files, with Claude models",
        help="Whether the provider is asked to cache the beginning of a prompt.",
    ),
    Setting(
        name="native_tool_calling", title="Native tool calls", topic="agent", kind="bool",
        kept=True,
        help="Whether OpenHands uses the model's own tool calls; none leaves it to the model.",
    ),
    Setting(
        name="custom_tokenizer", title="Tokenizer", topic="agent", kind="str", kept=True,
        help="The tokenizer that OpenHands counts tokens with.",
    ),
    Setting(
        name="disable_stop_word", title="Disable stop words", topic="agent", kind="bool",
        default=False, kept=True, newer=True,
        help="Whether OpenHands sends no stop words.",
    ),
    Setting(
        name="for_routing", title="For routing", topic="agent", kind="bool", default=False,
        kept=True, newer=True,
        help="Whether OpenHands uses this model only to route to.",
    ),
    Setting(
        name="correct_num", title="Editor corrections", topic="agent", kind="int", default=5,
        kept=True, minimum=0, newer=True,
        help="How many times OpenHands' draft editor may correct itself.",
    ),
    Setting(
        name="log_completions", title="Log completions", topic="agent", kind="bool", default=False,
        kept=True,
        help="Whether OpenHands logs every completion.",
    ),
    Setting(
        name="log_completions_folder", title="Log folder", topic="agent", kind="str", kept=True,
        help="The folder of the log of completions; without one OpenHands takes its own.",
    ),
    Setting(
        name="language", title="Language", topic="words", kind="str",
        used_for="all that this package says to a person", choices=LANGUAGES, closed=True,
        section=OURS, in_projects=True, named_variable="LLM_MAGIC_LANG",
        help="The language of messages, help and the panel; none takes the system's.",
    ),
)
# fmt: on

SETTINGS: Mapping[str, Setting] = MappingProxyType({each.name: each for each in _DECLARATIONS})
"""Every setting by its name, in the order in which they are shown."""


BUDGETS = ("max_budget_per_task", "budget_per_day", "budget_per_month")
"""The settings that limit what is spent."""


def closest(name: str, names: Iterable[str]) -> str:
    """Return the most similar of the names, or "" if none is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a message about a mistake

    return next(iter(get_close_matches(name, names, n=1)), "")


def setting_named(name: str) -> Setting:
    """Return the setting of this name.

    Raises:
        SettingError: There is no setting of this name.
    """
    try:
        return SETTINGS[name]
    except KeyError:
        near = closest(name, SETTINGS)
        told = (
            "there is no setting {name}; did you mean {near}?"
            if near
            else ("there is no setting {name}")
        )
        raise SettingError(Text(told, name=shorten(repr(name)), near=near), setting=name) from None
