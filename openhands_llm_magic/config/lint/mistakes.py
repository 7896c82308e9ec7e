"""The usual mistakes in settings: what people write, what they mean, and words for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from openhands_llm_magic.config.setting import Setting, described, shorten
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.config.sources import FILE_VARIABLE
from openhands_llm_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

RENAMED = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "context_window": "max_input_tokens",
    "context_length": "max_input_tokens",
    "api_base": "base_url",
    "url": "base_url",
    "endpoint": "base_url",
    "host": "base_url",
    "key": "api_key",
    "token": "api_key",
    "model_name": "model",
    "model_id": "model",
    "retries": "num_retries",
    "max_retries": "num_retries",
    "request_timeout": "timeout",
}
"""The setting that people mean by each key that is not a setting."""

ADVICE = {
    "provider": "Write the provider before the model's name, as in openai/gpt-4o",
    "deployment": "Write the deployment's name in model, as in azure/my-deployment",
    "deployment_name": "Write the deployment's name in model, as in azure/my-deployment",
    "api_key_env": "Write the key in api_key, or set the variable LLM_API_KEY to it",
    "config": f"Name the config file in {FILE_VARIABLE}",
}
"""Advice for each key that people write and that no setting stands for."""

NONE_WORDS = ("None", "null")


def quoted(text: str) -> str:
    """Return a name in quotes, on one line and not too long, for a message."""
    return shorten(repr(text))


def cannot_be(setting: Setting, value: object) -> str:
    """Return words for a setting that does not take a value."""
    shown = "this" if setting.kind == "secret" else described(value)
    return f"{setting.name} cannot be {shown}"


def fault_of(
    setting: Setting, read: Callable[[Any], Any], value: object
) -> Literal["type", "bounds"] | None:
    """Return what is wrong with a value, or None if nothing is.

    Args:
        setting: The setting.
        read: The method of `setting` that converts the value.
        value: The value as the source has it.

    Returns:
        "type" when OpenHands refuses the value, "bounds" when only this package does.
    """
    try:
        result = read(value)
    except SettingError:
        return "type"
    try:
        setting.check(result)
    except SettingError:
        return "bounds"
    return None


def meant_by(key: str, section: str) -> Setting | str | None:
    """Return what is meant by an unknown key: a setting, a sentence of `ADVICE`, or None."""
    key = key.lower().removeprefix("llm_")
    if section != "llm":
        return _closest(key, section)
    if key in ADVICE:
        return ADVICE[key]
    return SETTINGS.get(RENAMED.get(key, key)) or _closest(key, section)


def _closest(key: str, section: str) -> Setting | None:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    here = [each.name for each in SETTINGS.values() if each.section == section]
    close = get_close_matches(key, here, n=1)
    return SETTINGS[close[0]] if close else None
