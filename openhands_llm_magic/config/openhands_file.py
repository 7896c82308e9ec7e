"""The sections of config.toml beside `[llm]`, as OpenHands 0.41 reads them.

The fields are those of `openhands/core/config/` at the tag 0.41.0, and a mistake has the
consequences that `load_from_toml` there gives it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from openhands_llm_magic.config.setting import LAX, shorten
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FieldKind = Literal["bool", "int", "float", "str", "texts", "text table", "table", "servers"]

NOTHING = Text("")
UNCHECKED = Text("OpenHands would take it unchecked")
IGNORED_TOO = Text("OpenHands would ignore it, too")
NOT_STARTED = Text("OpenHands would not start")
NO_SERVERS = Text("OpenHands would use no MCP servers")
AGENT_DROPPED = Text("OpenHands would drop the whole [agent] section")


_BARE_NAME = re.compile(r"[\w-]+", re.ASCII)


def titled(path: tuple[str, ...]) -> str:
    """Return a table's header, with names quoted where TOML needs it."""
    names = (name if _BARE_NAME.fullmatch(name) else json.dumps(name) for name in path)
    return f"[{'.'.join(names)}]"


def on_bad_key(path: tuple[str, ...], openhands: str = "OpenHands") -> Text:
    """Say what OpenHands does about one bad key in a table with settings; nothing where it is ours.

    Args:
        path: The names in the table's header.
        openhands: OpenHands, or a version of it.
    """
    match path:
        case ("llm",):
            return Text("{openhands} would drop the whole [llm] section", openhands=openhands)
        case ("llm", _):
            told = "{openhands} would skip the whole group {header}"
            return Text(told, openhands=openhands, header=titled(path))
        case ("core",):
            return UNCHECKED
        case _:
            return NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section: its fields, and what one bad key in it does.

    Attributes:
        name: The table of config.toml.
        fields: The type of each field by its name.
        consequence: What OpenHands does about a key that it does not know, in words.
        on_bad_value: What it does about a value of another type, in words.
        variable_prefix: What stands before the name of a field in its environment variable.
        is_fatal: Whether OpenHands does not start with any of these mistakes.
    """

    name: str
    fields: Mapping[str, FieldKind]
    consequence: Text
    on_bad_value: Text
    variable_prefix: str
    is_fatal: bool = False


def _fields(**names: str) -> Mapping[str, FieldKind]:
    """Return the type of each field, from the names of the fields of each type."""
    kinds: dict[str, FieldKind] = {each.replace(" ", "_"): each for each in get_args(FieldKind)}
    return MappingProxyType({name: kinds[kind] for kind in names for name in names[kind].split()})


_ENTRIES = (
    Section(
        name="core",
        fields=_fields(
            bool="save_screenshots_in_trajectory run_as_openhands disable_color debug"
            " file_uploads_restrict_file_types cli_multiline_input enable_default_condenser",
            int="max_iterations file_uploads_max_file_size_mb conversation_max_age_seconds"
            " max_concurrent_conversations",
            float="max_budget_per_task",
            str="default_agent runtime file_store file_store_path file_store_web_hook_url"
            " save_trajectory_path replay_trajectory_path search_api_key workspace_base"
            " workspace_mount_path workspace_mount_path_in_sandbox workspace_mount_rewrite"
            " cache_dir e2b_api_key modal_api_token_id modal_api_token_secret jwt_secret"
            " runloop_api_key daytona_api_key daytona_api_url daytona_target mcp_host",
            texts="file_uploads_allowed_extensions",
            table="file_store_web_hook_headers",
        ),
        consequence=Text("OpenHands would ignore it, and say so in its log"),
        on_bad_value=UNCHECKED,
        variable_prefix="",
    ),
    Section(
        name="agent",
        fields=_fields(
            bool="enable_browsing enable_llm_editor enable_editor enable_jupyter enable_cmd"
            " enable_think enable_finish enable_prompt_extensions enable_mcp"
            " enable_history_truncation enable_som_visual_browsing",
            str="llm_config classpath",
            texts="disabled_microagents",
            table="condenser extended",
        ),
        consequence=AGENT_DROPPED,
        on_bad_value=AGENT_DROPPED,
        variable_prefix="AGENT_",
    ),
    Section(
        name="sandbox",
        fields=_fields(
            bool="keep_runtime_alive pause_closed_runtimes rm_all_containers"
            " remote_runtime_enable_retries enable_auto_lint use_host_network initialize_plugins"
            " force_rebuild_runtime enable_gpu",
            int="user_id timeout remote_runtime_init_timeout remote_runtime_api_timeout close_delay"
            " remote_runtime_resource_factor vscode_port",
            str="remote_runtime_api_url local_runtime_url api_key base_container_image"
            " runtime_container_image remote_runtime_class runtime_binding_address"
            " runtime_extra_deps browsergym_eval_env platform selected_repo volumes",
            texts="runtime_extra_build_args trusted_dirs",
            text_table="runtime_startup_env_vars",
            table="docker_runtime_kwargs",
        ),
        consequence=NOT_STARTED,
        on_bad_value=NOT_STARTED,
        variable_prefix="SANDBOX_",
        is_fatal=True,
    ),
    Section(
        name="security",
        fields=_fields(bool="confirmation_mode", str="security_analyzer"),
        consequence=NOT_STARTED,
        on_bad_value=NOT_STARTED,
        variable_prefix="SECURITY_",
        is_fatal=True,
    ),
    Section(
        name="mcp",
        fields=_fields(servers="sse_servers stdio_servers shttp_servers"),
        consequence=NOT_STARTED,
        on_bad_value=NOT_STARTED,
        variable_prefix="MCP_",
        is_fatal=True,
    ),
)

SECTIONS: Mapping[str, Section] = MappingProxyType({each.name: each for each in _ENTRIES})
"""The sections with a fixed set of fields, by their names."""

ALL_SECTIONS = frozenset({*SECTIONS, "llm", "condenser", "extended"})
"""Every top-level table that OpenHands reads."""

NOT_STARTED_BY_CORE: Mapping[str, str] = MappingProxyType({"llms": "llm", "sandbox": "sandbox"})
"""The keys of `[core]` that stop OpenHands at its start, and the tables to write in their place."""

NOT_STARTED_BY_TYPE = frozenset({"runtime", "workspace_base", "cache_dir", "file_store_path"})
"""The fields of `[core]` of which a value that is no text stops OpenHands at its start."""

AGENTS = frozenset({
    "BrowsingAgent", "CodeActAgent", "DummyAgent", "LocAgent", "ReadOnlyAgent",
    "VisualBrowsingAgent",
})  # fmt: skip
"""The agents of `openhands/agenthub`; one of another name has to give its classpath."""

_KEEP_FIRST = {"keep_first": 0}
_SUMMARY = {**_KEEP_FIRST, "max_size": 2}

CONDENSERS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "noop": {},
        "observation_masking": {"attention_window": 1},
        "recent": {**_KEEP_FIRST, "max_events": 1},
        "llm": {**_SUMMARY, "max_event_length": float("-inf")},
        "amortized": _SUMMARY,
        "llm_attention": _SUMMARY,
        "structured": {**_SUMMARY, "max_event_length": float("-inf")},
    }
)
"""The least value of each number that a type of condenser takes."""

CONDENSERS_BY_GROUP = frozenset({"llm", "llm_attention"})
"""The types of condensers whose llm_config names a group, and must."""

FORMER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "agent": "default_agent",
        "workspace_dir": "workspace_base",
        "sandbox_container_image": "base_container_image",
        "container_image": "base_container_image",
        "sandbox_base_container_image": "base_container_image",
        "sandbox_runtime_container_image": "runtime_container_image",
        "sandbox_user_id": "user_id",
        "sandbox_timeout": "timeout",
        "sandbox_volumes": "volumes",
        "persist_sandbox": "keep_runtime_alive",
        "run_as_devin": "run_as_openhands",
        "trajectories_path": "save_trajectory_path",
        "codeact_enable_browsing": "enable_browsing",
        "codeact_enable_jupyter": "enable_jupyter",
        "codeact_enable_llm_editor": "enable_llm_editor",
    }
)
"""The fields of today for keys of older versions, which published guides still have."""


def takes(kind: FieldKind, value: object) -> bool:
    """Return whether a field takes a value of a config file, by the lax rules of pydantic."""
    match kind:
        case "str":
            return isinstance(value, str)
        case "bool" | "int" | "float":
            return isinstance(value, str | int | float) and LAX[kind](value) is not None
        case "texts":
            return isinstance(value, list) and all(isinstance(each, str) for each in value)
        case "text table":
            return isinstance(value, dict) and takes("texts", [*value.values()])
        case "table":
            return isinstance(value, dict)
        case "servers":
            return True


def section_of(field: str) -> Section | None:
    """Return the section that has a field of this name, or None if none has, or several have."""
    having = [each for each in _ENTRIES if field in each.fields]
    return having[0] if len(having) == 1 else None


class ServerFault(NamedTuple):
    """What is wrong with the MCP servers of a file.

    Attributes:
        field: The key that it is about.
        message: What is wrong, in words.
        is_fatal: Whether OpenHands does not start for it; else it goes on without the servers.
    """

    field: str
    message: Text
    is_fatal: bool


def server_fault(mcp: Mapping[str, Any]) -> ServerFault | None:
    """Return what OpenHands stumbles over first in `[mcp]`, or None if it takes the servers."""
    servers = [field for field in SECTIONS["mcp"].fields if field in mcp]
    for field in servers:
        # A text has its characters for elements, a table its keys.
        if not isinstance(mcp[field], str | list | dict):
            return ServerFault(field, Text("{name} is not a list", name=field), is_fatal=False)
        for server in mcp[field]:
            by_address = isinstance(server, str) and field != "stdio_servers"
            entry = {"url": server} if by_address else server
            if not isinstance(entry, dict):
                message = Text("{name} is not a list of servers", name=field)
                return ServerFault(field, message, is_fatal=False)
            if fault := _entry_fault(field, entry):
                return ServerFault(field, fault, is_fatal=True)
    if unknown := [key for key in mcp if key not in servers]:
        message = Text("unknown key {key}", key=shorten(repr(unknown[0])))
        return ServerFault(unknown[0], message, is_fatal=True)
    return _address_fault(mcp.get("sse_servers", ()))


def _address_fault(servers: Iterable[Any]) -> ServerFault | None:
    """Return what is wrong with the addresses of servers, of which each has one."""
    addresses = [each if isinstance(each, str) else each["url"] for each in servers]
    if len({*addresses}) < len(addresses):
        return ServerFault("sse_servers", Text("sse_servers has a server twice"), is_fatal=True)
    if not all(map(_is_whole_address, addresses)):
        message = Text("an address in sse_servers is not a whole address")
        return ServerFault("sse_servers", message, is_fatal=True)
    return None


def _is_whole_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket left open
        return False
    return bool(parts.scheme and parts.netloc)


def _entry_fault(field: str, entry: Mapping[str, Any]) -> Text | None:
    """Return what is wrong with the table of one server, or None."""
    required: dict[str, FieldKind] = {"url": "str"}
    others: dict[str, FieldKind] = {"api_key": "str"}
    if field == "stdio_servers":
        required = {"name": "str", "command": "str"}
        others = {"args": "texts", "env": "text table"}
    for name in required:
        if name not in entry:
            return Text("a server of {field} has no {name}", field=field, name=name)
    for name, kind in (required | others).items():
        if name in entry and not takes(kind, entry[name]):
            return Text("{name} of a server of {field} has another type", name=name, field=field)
    return None
