"""Every setting, declared once: here those of each prompt, in `further_settings.py` the rest.

The declarations of `SETTINGS` are the one source for config files, environment variables, traits,
flags, help, error texts and docs/settings.md. Names, types and defaults are those of `LLMConfig` in
OpenHands 0.41, or for the few marked `newer` in 0.62. The settings of our own are in a section
apart, because one unknown key makes OpenHands drop the whole `[llm]` section; so are the embedding
settings, which OpenHands' documentation names and `LLMConfig` does not have.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config.further_settings import FURTHER
from openhands_llm_magic.config.setting import OURS, Setting, shorten
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["SETTINGS", "TOPICS", "Setting", "did_you_mean", "setting_named"]

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
    }
)
"""What settings are about: the title of each topic, in the order in which they are shown."""

_DECLARATIONS = (
    Setting(
        name="model",
        title="Model",
        topic="basic",
        kind="str",
        default="claude-sonnet-4-20250514",
        help="The model, with its provider in front, as in openai/gpt-4o.",
        sent_as="model",
        short="-m",
    ),
    Setting(
        name="api_key",
        title="API key",
        topic="basic",
        kind="secret",
        default=None,
        help="The provider's API key; it is masked wherever it would show.",
        sent_as="api_key",
    ),
    Setting(
        name="base_url",
        title="Base URL",
        topic="basic",
        kind="str",
        default=None,
        help="The address of the model's server, when it is not the provider's own.",
        sent_as="base_url",
    ),
    Setting(
        name="api_version",
        title="API version",
        topic="basic",
        kind="str",
        default=None,
        help="The version of the provider's API, which Azure asks for.",
        sent_as="api_version",
    ),
    Setting(
        name="num_retries",
        title="Number of retries",
        topic="retries",
        kind="int",
        default=4,
        help="How many times a prompt is sent again after a passing failure.",
        used_for="the retries after the first attempt",
        minimum=0,
    ),
    Setting(
        name="retry_min_wait",
        title="First wait (s)",
        topic="retries",
        kind="int",
        default=5,
        help="Seconds to wait before the first retry.",
        used_for="the waits between retries",
        minimum=0,
    ),
    Setting(
        name="retry_max_wait",
        title="Longest wait (s)",
        topic="retries",
        kind="int",
        default=30,
        help="Seconds that no wait between retries goes beyond.",
        used_for="the waits between retries",
        minimum=0,
    ),
    Setting(
        name="retry_multiplier",
        title="Multiplier",
        topic="retries",
        kind="float",
        default=2,
        help="How many times as long as the wait before it each further wait is.",
        used_for="the waits between retries",
        minimum=0,
    ),
    Setting(
        name="retry_after_limit",
        title="Longest server wait (s)",
        topic="retries",
        kind="float",
        default=300.0,
        help="Seconds; a server that asks for a longer wait than this makes the prompt fail.",
        used_for="the waits that a server asks for",
        minimum=0,
        section=OURS,
    ),
    Setting(
        name="deadline",
        title="Deadline (s)",
        topic="retries",
        kind="float",
        default=None,
        help="Seconds from a prompt's beginning after which it is not sent again.",
        used_for="the waits between retries, and the time of each request",
        minimum=1,
        section=OURS,
    ),
    Setting(
        name="requests_per_minute",
        title="Requests a minute",
        topic="retries",
        kind="float",
        default=None,
        help="Requests a minute that a model is sent at most, one by one at even distances.",
        used_for="the pace of requests to one model",
        minimum=0.01,
        section=OURS,
    ),
    Setting(
        name="tokens_per_minute",
        title="Tokens a minute",
        topic="retries",
        kind="float",
        default=None,
        help="Tokens a minute, of prompts and answers, that a model is asked for at most.",
        used_for="the pace of requests to one model",
        minimum=1,
        section=OURS,
    ),
    Setting(
        name="timeout",
        title="Timeout (s)",
        topic="retries",
        kind="int",
        default=None,
        help="Seconds after which a request without an answer fails.",
        sent_as="timeout",
        minimum=1,
    ),
    Setting(
        name="temperature",
        title="Temperature",
        topic="answer",
        kind="float",
        default=0.0,
        help="How freely the model chooses its words, from 0 (least) to 2.",
        sent_as="temperature",
        minimum=0,
        maximum=2,
    ),
    Setting(
        name="top_p",
        title="Top p",
        topic="answer",
        kind="float",
        default=1.0,
        help="The share of the likeliest words that the model chooses from, from 0 to 1.",
        sent_as="top_p",
        minimum=0,
        maximum=1,
    ),
    Setting(
        name="top_k",
        title="Top k",
        topic="answer",
        kind="float",
        default=None,
        help="How many of the likeliest words the model chooses from; OpenAI's models refuse it.",
        sent_as="top_k",
    ),
    Setting(
        name="seed",
        title="Seed",
        topic="answer",
        kind="int",
        default=None,
        help="A number that makes a model repeat its answers, as far as it can.",
        sent_as="seed",
    ),
    Setting(
        name="max_output_tokens",
        title="Output tokens",
        topic="answer",
        kind="int",
        default=None,
        help="Tokens that an answer is cut off at.",
        sent_as="max_completion_tokens",
        minimum=1,
    ),
    Setting(
        name="reasoning_effort",
        title="Reasoning effort",
        topic="answer",
        kind="str",
        default="high",
        help="How long a reasoning model thinks: low, medium, high or none.",
        sent_as="reasoning_effort",
        sent_to="models that reason",
        choices=("low", "medium", "high", "none"),
        may_be_empty=True,
    ),
    Setting(
        name="custom_llm_provider",
        title="Custom provider",
        topic="advanced",
        kind="str",
        default=None,
        help="LiteLLM's name of the provider, when the model's name does not tell it.",
        sent_as="custom_llm_provider",
    ),
    Setting(
        name="drop_params",
        title="Drop parameters",
        topic="advanced",
        kind="bool",
        default=True,
        help="Whether settings that the model does not take are left out instead of refused.",
        sent_as="drop_params",
    ),
    Setting(
        name="modify_params",
        title="Modify parameters",
        topic="advanced",
        kind="bool",
        default=True,
        help="Whether LiteLLM may change a request that the provider would refuse.",
        used_for="LiteLLM's switch of this name",
    ),
    Setting(
        name="completion_kwargs",
        title="Further arguments",
        topic="advanced",
        kind="dict",
        default=None,
        help="Further keyword arguments of LiteLLM's completion, which come before all others.",
        used_for="each request, merged in last",
        newer=True,
    ),
)

SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {each.name: each for each in (*_DECLARATIONS, *FURTHER)}
)
"""Every setting by its name, in the order in which they are shown."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Give "; did you mean X?" for the closest of the names, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a message about a mistake

    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def setting_named(name: str) -> Setting:
    """Find a setting by its name.

    Raises:
        SettingError: There is none of this name.
    """
    try:
        return SETTINGS[name]
    except KeyError:
        raise SettingError(
            f"there is no setting {shorten(repr(name))}{did_you_mean(name, SETTINGS)}"
        ) from None
