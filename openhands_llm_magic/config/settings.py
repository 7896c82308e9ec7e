"""Every setting, declared once.

The declarations of `SETTINGS` are the one source for config files, environment variables, traits,
flags, help and error texts. Names, types and defaults are those of OpenHands 0.41 (`LLMConfig`);
the settings marked `ours` are not known there and are kept apart, because one unknown key makes
OpenHands drop the whole `[llm]` section.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config.setting import Setting, shorten
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["OPENHANDS_ONLY", "SETTINGS", "Setting", "did_you_mean", "setting_named"]

_DECLARATIONS = (
    Setting(
        name="model",
        kind="str",
        default="claude-sonnet-4-20250514",
        help="The model, with its provider in front, as in openai/gpt-4o.",
        sent_as="model",
        short="-m",
    ),
    Setting(
        name="api_key",
        kind="secret",
        default=None,
        help="The provider's API key; it is never shown.",
        sent_as="api_key",
    ),
    Setting(
        name="base_url",
        kind="str",
        default=None,
        help="The address of the model's server, when it is not the provider's own.",
        sent_as="base_url",
    ),
    Setting(
        name="api_version",
        kind="str",
        default=None,
        help="The version of the provider's API, which Azure asks for.",
        sent_as="api_version",
    ),
    Setting(
        name="custom_llm_provider",
        kind="str",
        default=None,
        help="LiteLLM's name of the provider, when the model's name does not tell it.",
        sent_as="custom_llm_provider",
    ),
    Setting(
        name="num_retries",
        kind="int",
        default=4,
        help="How many times a prompt is sent again after a passing failure.",
        minimum=0,
    ),
    Setting(
        name="retry_min_wait",
        kind="int",
        default=5,
        help="Seconds to wait before the first retry.",
        minimum=0,
    ),
    Setting(
        name="retry_max_wait",
        kind="int",
        default=30,
        help="Seconds that no wait between retries goes beyond.",
        minimum=0,
    ),
    Setting(
        name="retry_multiplier",
        kind="float",
        default=2,
        help="How many times as long as the wait before it each further wait is.",
        minimum=0,
    ),
    Setting(
        name="timeout",
        kind="int",
        default=None,
        help="Seconds after which a request without an answer fails.",
        minimum=1,
        sent_as="timeout",
    ),
    Setting(
        name="temperature",
        kind="float",
        default=0.0,
        help="How freely the model chooses its words, from 0 (least) to 2.",
        minimum=0,
        maximum=2,
        sent_as="temperature",
    ),
    Setting(
        name="top_p",
        kind="float",
        default=1.0,
        help="The share of the likeliest words that the model chooses from, from 0 to 1.",
        minimum=0,
        maximum=1,
        sent_as="top_p",
    ),
    Setting(
        name="max_output_tokens",
        kind="int",
        default=None,
        help="Tokens that an answer is cut off at.",
        minimum=1,
        sent_as="max_completion_tokens",
    ),
    Setting(
        name="drop_params",
        kind="bool",
        default=True,
        help="Whether settings that the model does not take are left out instead of refused.",
        sent_as="drop_params",
    ),
    Setting(
        name="retry_after_limit",
        kind="float",
        default=300.0,
        help="Seconds; a server that asks for a longer wait than this makes the prompt fail.",
        minimum=0,
        ours=True,
    ),
)

SETTINGS: Mapping[str, Setting] = MappingProxyType({each.name: each for each in _DECLARATIONS})
"""Every setting by its name, in the order in which they are shown."""

# Keys of `[llm]` that OpenHands takes and nothing here reads yet; they are not mistakes.
OPENHANDS_ONLY = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_region_name",
    "openrouter_site_url",
    "openrouter_app_name",
    "max_message_chars",
    "top_k",
    "max_input_tokens",
    "input_cost_per_token",
    "output_cost_per_token",
    "ollama_base_url",
    "modify_params",
    "disable_vision",
    "caching_prompt",
    "log_completions",
    "log_completions_folder",
    "custom_tokenizer",
    "native_tool_calling",
    "reasoning_effort",
    "seed",
    # Since a version after 0.41:
    "disable_stop_word",
    "safety_settings",
    "for_routing",
    "correct_num",
    "completion_kwargs",
)


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
