"""Which config files of projects the person has trusted, and with which hosts.

Each is a small file of its own in the user's data folder, named after the path of the config file,
with the hash of its text and the hosts in it: as direnv does it, a file that changes is asked about
again. A file for each lets kernels that run at once trust files without a lock, and one that cannot
be read costs no other. Where no person is, in CI, `LLM_MAGIC_TRUST` names the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import files
from openhands_llm_magic.config.document import read_file, shown_path
from openhands_llm_magic.config.layers import FILE_NAME
from openhands_llm_magic.config.providers import (
    Server,
    address_within,
    is_loopback,
    plain_server,
    server_of,
)
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.secret import masked, secrets_in
from openhands_llm_magic.config.setting import MCP, shorten
from openhands_llm_magic.config.setting import OURS as OURS_TABLE
from openhands_llm_magic.errors import SettingError, Text, on_one_line, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OURS = "openhands-llm-magic"
LARGEST_ENTRY = 100_000
"""Bytes; a larger file is no entry of ours."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """A config file that was trusted.

    Attributes:
        path: The file, without links in its path.
        digest: The SHA-256 of its text.
        hosts: The servers that it names, as "https://host:443".
        programs: The MCP servers that it may start, as they would be typed.
    """

    path: str
    digest: str
    hosts: tuple[str, ...]
    programs: tuple[str, ...] = ()


def data_folder(env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of what this package keeps for the user."""
    home = absolute("~")
    if sys.platform == "win32":
        return Path(env.get("LOCALAPPDATA") or home / "AppData" / "Local") / OURS
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / OURS
    named = env.get("XDG_DATA_HOME", "")
    return (Path(named) if os.path.isabs(named) else home / ".local" / "share") / OURS  # noqa: PTH117 - as the specification has it


def is_trusted(
    path: Path, digest: str, server: Server | None = None, env: Mapping[str, str] = os.environ
) -> bool:
    """Return whether a config file was trusted as it is now, with a server that it names.

    Args:
        path: The file.
        digest: The SHA-256 of the text that the settings were read from.
        server: The server, or None where it is about the file's other settings.
        env: The environment.
    """
    if files.is_trusted(path, env):
        return True
    real = _real(path)
    entry = _entry(_place(real, env))
    return (
        entry is not None
        and entry.path == real
        and entry.digest == digest
        and (server is None or _shown(server) in entry.hosts)
    )


def trust(path: str | os.PathLike[str], env: Mapping[str, str] = os.environ) -> Trusted:
    """Trust a config file as it is now, with the hosts that it names; a folder is its config.toml.

    Raises:
        ConfigFileError: The file cannot be read.
        SettingError: The trust cannot be kept.
    """
    file = _file_at(path)
    document = read_file(file).require_readable()
    servers = dict.fromkeys(_servers_in(document.data))
    hosts = tuple(_shown(server) for server in servers)
    programs = tuple(programs_in(document.data))
    entry = Trusted(_real(file), document.digest, hosts, programs)
    try:
        files.write(_place(entry.path, env), json.dumps(asdict(entry)).encode() + b"\n")
    except OSError as error:
        told = "{file} could not be kept as trusted: {folder}: {why}."
        folder, why = shown_path(_folder(env)), reason_of(error)
        text = Text(told, file=shown_path(file), folder=folder, why=why)
        raise SettingError(text) from None
    return entry


def untrust(path: str | os.PathLike[str], env: Mapping[str, str] = os.environ) -> bool:
    """Trust a config file no longer, and return whether it was.

    Raises:
        SettingError: What was kept cannot be deleted.
    """
    place = _place(_real(_file_at(path)), env)
    try:
        place.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        text = Text("{file}: {why}.", file=shown_path(place), why=reason_of(error))
        raise SettingError(text) from None
    return True


def listed(env: Mapping[str, str] = os.environ) -> list[Trusted]:
    """Return what was trusted, by path, with what `LLM_MAGIC_TRUST` names."""
    try:
        places = sorted(_folder(env).iterdir())
    except OSError:
        places = []
    kept = [entry for place in places if (entry := _entry(place))]
    named = [Trusted(_real(_file_at(path)), "", ()) for path in files.trusted_paths(env)]
    return sorted([*kept, *named], key=lambda each: each.path)


NOTHING = Text("no config file is trusted.")


def told(entry: Trusted) -> Text:
    """Return a line about a file that is trusted, with what it may lead to, and start."""
    return with_programs(_told(entry), entry.programs)


def with_programs(line: Text, programs: Iterable[str]) -> Text:
    """Return a line about a file, and which MCP servers the file may start."""
    shown = ", ".join(programs)
    return Text("{line} It may start {programs}.", line=line, programs=shown) if shown else line


def _told(entry: Trusted) -> Text:
    file = shown_path(Path(entry.path))
    if not entry.digest:
        return Text("{file} is trusted, by {variable}.", file=file, variable=files.TRUST_VARIABLE)
    if not entry.hosts:
        return Text("{file} is trusted as it is now.", file=file)
    hosts = ", ".join(entry.hosts)
    if any(host.startswith("http:") and not _is_here(host) for host in entry.hosts):
        exposed = (
            "{file} is trusted as it is now, with {hosts}. Over plain http, which others can read,"
            " no key goes there but the file's own."
        )
        return Text(exposed, file=file, hosts=hosts)
    return Text("{file} is trusted as it is now, with {hosts}.", file=file, hosts=hosts)


def untrusted(path: str | os.PathLike[str], env: Mapping[str, str] = os.environ) -> Text:
    """Trust a config file no longer, and return a line that says whether it was trusted.

    Raises:
        SettingError: What was kept cannot be deleted.
    """
    file = shown_path(absolute(path))
    if untrust(path, env):
        return Text("{file} is no longer trusted.", file=file)
    return Text("{file} is not trusted.", file=file)


def _is_here(address: str) -> bool:
    server = server_of(address)
    return server is not None and is_loopback(server.host)


def _file_at(path: str | os.PathLike[str]) -> Path:
    file = absolute(path)
    return file / FILE_NAME if os.path.isdir(file) else file  # noqa: PTH112 - Path raises where a folder cannot be entered


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _folder(env: Mapping[str, str]) -> Path:
    return data_folder(env) / "trusted"


def _place(real: str, env: Mapping[str, str]) -> Path:
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()
    return _folder(env) / f"{digest}.json"


def _shown(server: Server) -> str:
    return f"{server.scheme}://{server.host}:{server.port}"


def _entry(place: Path) -> Trusted | None:
    """Read what was kept, or return None for what is missing, not ours alone, or no such thing."""
    try:
        with place.open("rb") as file:
            status = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
                return None
            kept = json.loads(file.read(LARGEST_ENTRY))
        path, digest, hosts = kept["path"], kept["digest"], [*kept["hosts"]]
        programs = [*kept.get("programs", ())]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (path, digest, *hosts, *programs)
    if not all(isinstance(each, str) for each in texts) or not digest:
        return None
    return Trusted(path, digest, tuple(hosts), tuple(programs))


def programs_in(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the programs that a file's MCP servers are, as they would be typed: `A=$KEY npx`."""
    ours, openhands = data.get(OURS_TABLE), data.get(MCP)
    tables = ours.get(MCP) if isinstance(ours, dict) else None
    listed = openhands.get("stdio_servers") if isinstance(openhands, dict) else None
    own = [*tables.values()] if isinstance(tables, dict) else []
    for server in [*own, *(listed if isinstance(listed, list) else ())]:
        if isinstance(server, dict) and isinstance(server.get("command"), str):
            args, env = server.get("args"), server.get("env") if server in own else None
            words = [server["command"], *(args if isinstance(args, list) else ())]
            typed = masked(shlex.join(map(str, words)), secrets_in(server))
            taken = env.items() if isinstance(env, dict) else ()
            variables = (f"{name}={it}" for name, it in taken if _VARIABLE.fullmatch(str(it)))
            yield shorten(on_one_line(" ".join([*variables, typed])))


_VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})", re.ASCII)
"""What takes a variable of the person's in `env`; any other value is the file's own."""


def _servers_in(value: Any) -> Iterator[Server]:
    """Yield the servers of all addresses in a file's values."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _servers_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _servers_in(each)
    elif isinstance(value, str) and (server := plain_server(address_within(value))):
        yield server
