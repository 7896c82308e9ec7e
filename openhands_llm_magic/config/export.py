"""The settings in force as text that OpenHands takes; no key is ever in that text."""

from __future__ import annotations

import json
import os
import re
import shlex
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.providers import (
    DOCKER_HOST,
    PROVIDERS,
    addresses_in,
    provider_of,
)
from openhands_llm_magic.config.save import as_toml, holds_key, is_unset
from openhands_llm_magic.config.secret import Secret, logins_in, secrets_in
from openhands_llm_magic.config.setting import OUR_PREFIX
from openhands_llm_magic.config.settings import SETTINGS, closest
from openhands_llm_magic.errors import SettingError, Text, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting

_THIS_MACHINE = re.compile(
    r"(?P<before>https?://)"
    r"(?:localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\])(?=[:/?#\s]|$)",
    re.IGNORECASE,
)

# No environment variable holds a NUL, and no text that can be shown a surrogate.
_NOT_IN_VARIABLES = re.compile(r"[\x00\ud800-\udfff]")

NOT_IN_PROFILES = frozenset({
    "completion_kwargs", "correct_num", "custom_llm_provider", "for_routing", "modify_params",
    "safety_settings",
})  # fmt: skip
"""The settings of `[llm]` that `LLM` of openhands-sdk 1.58.2 has no field for."""

FURTHER_IN_PROFILES: Mapping[str, str] = MappingProxyType(
    {"extra_headers": "extra_headers", "extra_body": "litellm_extra_body"}
)
"""The arguments in completion_kwargs that it has a field for, each with the field."""

NULL_IN_PROFILES = frozenset({"reasoning_effort", "timeout"})
"""What somebody may have unset, and the SDK has another default for than none."""

KEY_VARIABLE = SETTINGS["api_key"].variable
"""The variable of the key in both forms of variables."""

ALWAYS = frozenset({
    "model", "num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier",
})  # fmt: skip
"""What is handed over also where nobody has set it: OpenHands 0.41 makes 4 attempts with waits of 5
to 30 s, the SDK 5 with 8 to 64 s. num_retries is the number of attempts in both."""


def export(snapshot: Snapshot, form: str) -> str:
    """Return the settings as text in a form that OpenHands takes.

    Args:
        snapshot: The settings.
        form: The name of the form, a key of `FORMS`.

    Raises:
        UsageError: There is no such form.
        SettingError: A value cannot be written in this form, or has a user and password in it.
    """
    if form not in FORMS:
        near = closest(form, FORMS)
        told = "there is no form {form}; there are {forms}"
        if near:
            told = "there is no form {form}; did you mean {near}? There are {forms}"
        raise UsageError(Text(told, form=repr(form), near=near, forms=", ".join(FORMS)))
    require_no_login(snapshot)
    return FORMS[form](snapshot)


def require_no_login(snapshot: Snapshot) -> None:
    """Refuse settings of which one would show a user and password.

    Raises:
        SettingError: An address has them in it.
    """
    for setting, value in _decided(snapshot):
        # Leaving it out could send prompts to another server.
        if setting.kind != "secret" and logins_in(str(value)):
            told = (
                "{name} has a user or password in its address, which would show: set it without"
                " them to export it (from {origin})"
            )
            origin = snapshot.origin(setting.name).text
            raise SettingError(Text(told, name=setting.name, origin=origin))


def _docker(snapshot: Snapshot) -> str:
    """Return options of `docker run`, which takes keys from the variables of their names."""
    options: list[str] = []
    for setting, value in _decided(snapshot):
        if setting.variable.startswith(OUR_PREFIX):
            continue
        if holds_key(snapshot, setting.name):
            options.append(f"-e {setting.variable}")
            continue
        text = _variable_text(snapshot, setting, value)
        if setting.name.endswith("base_url"):
            text = _THIS_MACHINE.sub(rf"\g<before>{DOCKER_HOST}", text)
        options.append(f"-e {setting.variable}={shlex.quote(text)}")
    if address := _usual_address_here(snapshot):
        text = _THIS_MACHINE.sub(rf"\g<before>{DOCKER_HOST}", address)
        options.append(f"-e {SETTINGS['base_url'].variable}={shlex.quote(text)}")
    if variable := key_variable(snapshot):
        is_own = variable == KEY_VARIABLE
        options.append(f"-e {KEY_VARIABLE}" + ("" if is_own else f'="{_required(variable)}"'))
    options += [f"-e {variable}" for variable in _other_logins(snapshot)]
    # Docker on Linux does not know the name by itself.
    if any(DOCKER_HOST in option for option in options):
        options.insert(0, f"--add-host {DOCKER_HOST}:host-gateway")
    return " \\\n".join(options)


def _usual_address_here(snapshot: Snapshot) -> str:
    """Return the address on this machine that LiteLLM asks a model at unless told another, or "".

    In a container that address leads to the container itself.
    """
    provider = provider_of(snapshot.model, snapshot.base_url, snapshot.custom_llm_provider)
    if provider is None or not provider.local or snapshot.base_url:
        return ""
    if "base_url" in provider.asks_for or provider is PROVIDERS["practice"]:
        return ""
    return next(iter(addresses_in(os.environ, provider.prefix)), provider.base_url_form)


def _shell(snapshot: Snapshot) -> str:
    """Return `export` commands, which take keys from the variables of their names."""
    lines: list[str] = []
    for setting, value in _decided(snapshot):
        name = setting.variable
        if holds_key(snapshot, setting.name):
            lines.append(f'export {name}="{_required(name)}"')
        else:
            text = _variable_text(snapshot, setting, value)
            lines.append(f"export {name}={shlex.quote(text)}")
    if variable := key_variable(snapshot):
        lines.append(f'export {KEY_VARIABLE}="{_required(variable)}"')
    return "\n".join(lines)


def _required(variable: str) -> str:
    """Return what a shell puts a variable's value for, or says that it is not set."""
    return f"${{{variable}:?is not set: type it after read -rs {variable}}}"


def key_variable(snapshot: Snapshot) -> str | None:
    """Return the variable that has the key of settings without one, or None where none is needed.

    It is the provider's own, as here; where that is not set, either, it is `KEY_VARIABLE`.
    OpenHands 0.41 is set up with that one alone, and the current CLI does not start without it.
    """
    provider = provider_of(snapshot.model, snapshot.base_url, snapshot.custom_llm_provider)
    if provider is None or holds_key(snapshot, "api_key"):
        return None
    found = provider.stand_in("", os.environ)
    if found in provider.api_key_variables:
        return found
    return KEY_VARIABLE if "api_key" in provider.asks_for and not found else None


def _other_logins(snapshot: Snapshot) -> Iterator[str]:
    """Yield the variables that are set, and that LiteLLM logs in with in place of an api_key."""
    provider = provider_of(snapshot.model, snapshot.base_url, snapshot.custom_llm_provider)
    if provider is None or holds_key(snapshot, "api_key") or key_variable(snapshot):
        return
    variables = dict.fromkeys((*provider.key_variables, *provider.sent_besides))
    for name in variables:
        is_file = name.endswith("_CREDENTIALS")  # which docker does not have
        if os.environ.get(name) and name not in provider.api_key_variables and not is_file:
            yield name


def _profile(snapshot: Snapshot) -> str:
    """Return the JSON of a profile, as the OpenHands SDK keeps it in ~/.openhands/profiles."""
    return json.dumps(profile_fields(snapshot), indent=2, ensure_ascii=False)


def profile_fields(snapshot: Snapshot, *, with_key: bool = False) -> dict[str, Any]:
    """Return what a profile of the OpenHands SDK has of the settings, by the names of its fields.

    Args:
        snapshot: The settings.
        with_key: Whether keys are among it, in plain text.
    """
    fields = {
        setting.name: value.get_secret_value() if isinstance(value, Secret) else _plain(value)
        for setting, value in _decided(snapshot)
        if setting.section == "llm" and setting.name not in NOT_IN_PROFILES
        if with_key or not holds_key(snapshot, setting.name)
    }
    further = {
        FURTHER_IN_PROFILES[name]: _plain(value)
        for name, value in (snapshot.completion_kwargs or {}).items()
        if name in FURTHER_IN_PROFILES and value
        if with_key or not any(secrets_in(value, name))
    }
    unset = {
        name: None
        for name in SETTINGS
        if name in NULL_IN_PROFILES and is_unset(getattr(snapshot, name))
        if snapshot.origin(name).kind != "default"
    }
    return fields | further | unset


def without_field(snapshot: Snapshot, name: str) -> list[str]:
    """Name a setting that goes into no profile; of completion_kwargs, those arguments.

    Nothing is lost of modify_params, which the SDK always switches on.
    """
    if name != "completion_kwargs":
        return [] if name == "modify_params" and snapshot.modify_params else [name]
    given = snapshot.completion_kwargs or ()
    return [f"{name}.{each}" for each in given if each not in FURTHER_IN_PROFILES]


def _decided(snapshot: Snapshot) -> Iterator[tuple[Setting, Any]]:
    """Yield the settings to hand over: `ALWAYS`, and each that somebody has set.

    A default that somebody has set is among them: other versions of OpenHands have other defaults.
    A whole number has no ".0", wherever it comes from.
    """
    for name, setting in SETTINGS.items():
        value = getattr(snapshot, name)
        is_decided = value != setting.default or snapshot.origin(name).kind != "default"
        if name in ALWAYS or (is_decided and not is_unset(value)):
            is_whole = isinstance(value, float) and value.is_integer()
            yield setting, int(value) if is_whole else value


def _variable_text(snapshot: Snapshot, setting: Setting, value: Any) -> str:
    """Return a value as OpenHands reads it from an environment variable."""
    text = str(value).lower() if isinstance(value, bool) else str(_plain(value))
    if _NOT_IN_VARIABLES.search(text):
        told = "{name} holds a character that no environment variable can hold (from {origin})"
        origin = snapshot.origin(setting.name).text
        raise SettingError(Text(told, name=setting.name, origin=origin))
    return text


def _plain(value: Any) -> Any:
    """Return a value whose dictionaries are plain ones: the repr of a `MaskingDict` masks."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


FORMS: Mapping[str, Callable[[Snapshot], str]] = MappingProxyType(
    {"profile": _profile, "shell": _shell, "docker": _docker, "toml": as_toml}
)
"""The functions that write each form, by its name; those of the current OpenHands come first."""
