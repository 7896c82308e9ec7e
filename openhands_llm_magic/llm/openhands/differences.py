"""How 0.41 and the current OpenHands differ over the same settings: what each ignores, which of
their defaults counts, and what of a request the server refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import Origin
from openhands_llm_magic.config.export import NOT_IN_PROFILES, without_field
from openhands_llm_magic.config.lint.finding import FAILS, Finding
from openhands_llm_magic.config.openhands_file import NOTHING
from openhands_llm_magic.config.providers import PROVIDERS, provider_at, server_of
from openhands_llm_magic.config.save import WRITE_PROFILE
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.setting import OUR_PREFIX, shorten
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError, Text, on_one_line
from openhands_llm_magic.llm.openhands import folder
from openhands_llm_magic.llm.openhands.sdk import SDK, twice_named
from openhands_llm_magic.llm.openhands.v0_41 import V0_41
from openhands_llm_magic.llm.openhands.version import is_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting

CLI = "OpenHands CLI 1.16"

TAKEN_BY_CLI = ("LLM_API_KEY", "LLM_BASE_URL", "LLM_MODEL")
"""The variables that the CLI takes, and then only with --override-with-envs."""

NEEDED_BY_CLI = ("LLM_API_KEY", "LLM_MODEL")
"""Those of them without which it does not start where it has no settings of its own."""

POLICY = ("num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier", "timeout")
"""The settings whose defaults are others in each version, and change no request but how often and
how long it is waited for."""

SENDS_CACHE_KEY = frozenset({
    "azure", "custom_openai", "deepseek", "fireworks_ai", "groq", "hosted_vllm", "huggingface",
    "llamafile", "lm_studio", "moonshot", "openai", "openrouter", "together_ai",
})  # fmt: skip
"""The prefixes of models to which the SDK sends prompt_cache_key within a conversation: those that
LiteLLM says take it, whatever server base_url names."""

SENDS_EFFORT = frozenset({"deepseek", "hosted_vllm", "openai", "openrouter"})
"""Those of them whose models LiteLLM all says to take a reasoning_effort."""


RESPONSES_SINCE = "2025-03-01"
"""The day of Azure's first api_version with the Responses API: 2025-03-01-preview."""


@dataclass(frozen=True, slots=True)
class Strict:
    """A server that refuses a parameter of the SDK's requests.

    Attributes:
        parameter: What it refuses.
        instead: The prefix of models with which the SDK does not send it.
    """

    parameter: str
    instead: str


REFUSE: Mapping[str, Strict] = MappingProxyType(
    {"integrate.api.nvidia.com": Strict("prompt_cache_key", "nvidia_nim/")}
)
"""The hosts that are known to refuse one, as `tests/faults/wordings.toml` has it."""


def differences(settings: Snapshot, env: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a note for each thing in which the versions differ over these settings."""
    yield from _of_file(settings)
    yield from _of_variables(env)
    yield from _of_cli(env)
    yield from _of_defaults(settings)
    yield from _of_name(settings)
    yield from _of_parameters(settings)
    yield from _of_api_version(settings)


def _of_file(settings: Snapshot) -> Iterator[Finding]:
    """Find settings that come from a config.toml, which the current OpenHands does not read."""
    file = settings.config_file
    names = [
        name for name, found in settings.found.items() if found[0].origin.path and _is_llm(name)
    ]
    if file is None or not names:
        return
    message = Text("the current OpenHands reads no config.toml, and ignores all of it")
    unknown = [
        each for name in names if name in NOT_IN_PROFILES for each in without_field(settings, name)
    ]
    if unknown:
        told = "the current OpenHands reads no config.toml, and a profile of it has no {names}"
        message = Text(told, names=", ".join(unknown))
    yield Finding(Origin("file", path=file), message, Text(WRITE_PROFILE), level="note")


def _of_variables(env: Mapping[str, str]) -> Iterator[Finding]:
    """Find variables that are set, and that one of the versions does not take."""
    given = {
        setting.variable: setting
        for setting in SETTINGS.values()
        if _is_llm(setting.name) and env.get(setting.variable)
    }
    ignored_by_cli = [name for name in given if name not in TAKEN_BY_CLI]
    ignored_by_sdk = [name for name, each in given.items() if _sdk_ignores(each, env[name])]
    ignored_by_0_41 = [name for name, each in given.items() if each.newer]
    with_flag = [name for name in given if name in TAKEN_BY_CLI]
    cli, sdk, earlier = {"version": CLI}, {"version": SDK.title}, {"version": V0_41.title}
    without_flag = Text(
        "{version} ignores {names} without --override-with-envs", names=", ".join(with_flag), **cli
    )
    always = Text("{version} ignores {names} in any case", names=", ".join(ignored_by_cli), **cli)
    # It reads no profiles.
    into = 'Write what it has a field for into "llm" of its {file}'
    own_file = Text(into, file=folder.CLI_FILE)
    silently = "{version} ignores {names} without a word"
    by_sdk = Text(silently, names=", ".join(ignored_by_sdk), **sdk)
    by_0_41 = Text(silently, names=", ".join(ignored_by_0_41), **earlier)
    found = (
        (with_flag, without_flag, Text("Start it with --override-with-envs")),
        (ignored_by_cli, always, own_file),
        (ignored_by_sdk, by_sdk, Text(WRITE_PROFILE)),
        (ignored_by_0_41, by_0_41, Text("Unset what is not needed")),
    )
    for names, message, fix in found:
        if names:
            yield Finding(Origin("environment", names[0]), message, fix, level="note")


def _of_cli(env: Mapping[str, str]) -> Iterator[Finding]:
    """Find what the CLI makes of some of its three variables without the others."""
    given = [name for name in TAKEN_BY_CLI if env.get(name)]
    missing = [name for name in NEEDED_BY_CLI if name not in given]
    if not given:
        return
    origin = Origin("environment", given[0])
    try:
        own = folder.of_cli(env)
    except SettingError:  # a folder that is none, which is told where it is asked for
        return
    if own is None and missing:
        told = "{version} does not start with --override-with-envs and without {names}"
        message = Text(told, version=CLI, names=", ".join(missing))
        fix = Text("Set the variable")
        if "LLM_API_KEY" in missing:
            fix = Text("Set it; any text is a key for a server that asks for none")
        yield Finding(origin, message, fix, level="note")
    address = str((own or {}).get("base_url") or "")
    if address and "LLM_BASE_URL" not in given:
        told = (
            "with --override-with-envs {version} goes on to ask {address}, which its {file} names,"
            " as LLM_BASE_URL is not set"
        )
        shown = shorten(masked(address))
        message = Text(told, version=CLI, address=shown, file=folder.CLI_FILE).masked(on_one_line)
        yield Finding(origin, message, Text("Set LLM_BASE_URL, too"), level="note")


def _is_llm(name: str) -> bool:
    setting = SETTINGS[name]
    return setting.section == "llm" and not setting.variable.startswith(OUR_PREFIX)


def _sdk_ignores(setting: Setting, text: str) -> bool:
    """Return whether `LLM.load_from_env` leaves a variable out: no field, or no number."""
    if setting.name in NOT_IN_PROFILES:
        return True
    try:
        setting.from_env(text)
    except SettingError:
        return setting.kind in ("int", "float")
    return False


def _of_defaults(settings: Snapshot) -> Iterator[Finding]:
    """Find settings that nobody has set and that are others in each version."""
    unset = [name for name in POLICY if not is_set(settings, name)]
    if not unset:
        return
    told = "nobody has set {names}: {earlier} takes {before}, and {later} {now}"
    versions = {"earlier": V0_41, "later": SDK}
    before, now = (
        ", ".join(
            "none" if (value := each.defaults[name]) is None else f"{value:g}" for name in unset
        )
        for each in versions.values()
    )
    titles = {name: each.title for name, each in versions.items()}
    message = Text(told, names=", ".join(unset), before=before, now=now, **titles)
    fix = Text("Set those that are to be the same everywhere")
    yield Finding(settings.origin("model"), message, fix, level="note", setting=unset[0])


def _of_name(settings: Snapshot) -> Iterator[Finding]:
    """Find a model of whose name the current OpenHands leaves out the beginning."""
    name = twice_named(settings.model)
    if not name or not settings.base_url:
        return
    there = provider_at(settings.base_url)
    prefix = there.prefix if there and there.prefix != "openai/" else "litellm_proxy/"
    told = "{version} asks this server for {short}, not for {name}: it takes the prefix off twice"
    facts = {"short": repr(name.partition("/")[2]), "name": repr(name), "version": SDK.title}
    fix = Text("Write {model} for it", model=repr(f"{prefix}{name}"))
    yield Finding(settings.origin("model"), Text(told, **facts), fix, NOTHING, "warning", "model")


def _of_parameters(settings: Snapshot) -> Iterator[Finding]:
    """Find what the current OpenHands sends to a server that may refuse it."""
    prefix, slash, _ = settings.model.partition("/")
    server = server_of(settings.base_url)
    if not slash or prefix not in SENDS_CACHE_KEY or server is None:
        return
    origin = settings.origin("base_url")
    if strict := REFUSE.get(server.host):
        told = "{host} refuses {parameter}, which {version} sends with a model {prefix}..."
        facts = {"host": server.host, "parameter": strict.parameter, "version": SDK.title}
        fix = Text("Write {instead} before the model's name", instead=strict.instead)
        message = Text(told, prefix=f"{prefix}/", **facts)
        yield Finding(origin, message, fix, FAILS, "warning", "model")
        return
    if prefix == "azure" or any(
        each.prefix == f"{prefix}/" and each.has_address and each.is_at(settings.base_url or "")
        for each in PROVIDERS.values()
    ):
        return  # its own server, which takes what is usually sent to it
    effort = settings.reasoning_effort
    sends_effort = prefix in SENDS_EFFORT and effort != ""
    told = "{version} sends prompt_cache_key to this server, which may refuse it with 400"
    fix = Text("Write litellm_proxy/ before the model's name if it does")
    if sends_effort:
        told = (
            "{version} sends prompt_cache_key and reasoning_effort = {effort} to this server, which"
            " may refuse them with 400"
        )
        fix = Text("Write litellm_proxy/ before the model's name if it does, or unset the effort")
    message = Text(told, version=SDK.title, effort=repr(effort))
    yield Finding(origin, message, fix, NOTHING, "note", "base_url")


def _of_api_version(settings: Snapshot) -> Iterator[Finding]:
    """Find a version of Azure's API that is older than the Responses API, on which the SDK asks."""
    version = settings.api_version or ""
    is_old = re.match(r"\d{4}-\d\d-\d\d", version) and version < RESPONSES_SINCE
    if not (is_old and settings.model.startswith(PROVIDERS["azure"].prefix)):
        return
    if SDK.draft(settings).how != "responses":
        return
    told = (
        "{version} asks this model on the Responses API, which Azure's {api_version} does not have"
    )
    message = Text(told, version=SDK.title, api_version=version)
    fix = Text("Set api_version = '2025-03-01-preview', or a later one")
    openhands = Text("The current OpenHands would fail at the first prompt")
    yield Finding(settings.origin("api_version"), message, fix, openhands, "warning", "api_version")
