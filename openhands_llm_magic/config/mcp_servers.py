"""The MCP servers that a person has configured: programs to start, or addresses to ask.

They stand in config.toml, as `[openhands_llm_magic.mcp.NAME]` or as OpenHands 0.41 has them under
`[mcp]`, and in the `mcp.json` of the current OpenHands' folder. Nothing is started or asked here.
A server of a project's config.toml is none until the person trusts that file: it is a program of
somebody else's choice.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from openhands_llm_magic.config import files, trust, trusted
from openhands_llm_magic.config.document import LARGEST_FILE, Document, Origin, read_file
from openhands_llm_magic.config.openhands_file import takes
from openhands_llm_magic.config.secret import Secrecy, Secret, can_be_secret, masked, secrecy
from openhands_llm_magic.config.setting import MCP, OURS, described, shorten
from openhands_llm_magic.config.settings import closest
from openhands_llm_magic.errors import (
    SettingError,
    Text,
    UntrustedSettingError,
    on_one_line,
    quoted,
    reason_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.config.openhands_file import FieldKind
    from openhands_llm_magic.config.resolve import Snapshot

JSON_FILE = "mcp.json"
"""The file of MCP servers in the folder of the current OpenHands."""

PROGRAM_KEYS: Mapping[str, FieldKind] = MappingProxyType(
    {"command": "str", "args": "texts", "env": "text table", "cwd": "str"}
)
"""The keys of a server that is a program of this machine, with their types."""

ADDRESS_KEYS: Mapping[str, FieldKind] = MappingProxyType(
    {"url": "str", "transport": "str", "headers": "text table", "api_key": "str"}
)
"""The keys of a server that has an address, with their types."""

KEYS: Mapping[str, FieldKind] = MappingProxyType({**PROGRAM_KEYS, **ADDRESS_KEYS})

TRANSPORTS = ("http", "sse")

VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
"""What stands for a variable of the environment in `env`, `headers` and `api_key` of ours."""

Transport = Literal["stdio", "http", "sse"]

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be started or asked.

    Attributes:
        name: What the person calls it.
        origin: The file and line that it stands in.
        transport: How it is spoken to.
        command: The program, or "".
        args: The program's arguments.
        env: Further variables that the program gets.
        folder: The folder that it runs in.
        url: The address, or "".
        headers: What is sent with each request.
    """

    name: str
    origin: Origin
    transport: Transport
    command: str = ""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, Secret], ...] = ()
    folder: Path = field(default_factory=Path)
    url: str = ""
    headers: tuple[tuple[str, Secret], ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that must not show, in plain text; a level of logging need not be hidden."""
        given = [(name, value.get_secret_value()) for name, value in (*self.env, *self.headers)]
        values = [
            value
            for name, value in given
            if secrecy(name) >= Secrecy.POSSIBLE or can_be_secret(value)
        ]
        values += [*_secrets_in_arguments(self.args), *_secrets_in_address(self.url)]
        bare = [value.removeprefix("Bearer ") for value in values]
        return tuple(dict.fromkeys([*values, *bare]))


def _secrets_in_arguments(args: Sequence[str]) -> Iterator[str]:
    """Yield the keys in arguments: `--api-key KEY`, `--token=KEY`, `Authorization: Bearer KEY`."""
    named = [(name, value) for name, value in pairwise(args) if name.startswith("-")]
    named += [(match[1], match[2]) for each in args if (match := _NAMED.fullmatch(each))]
    for name, value in named:
        surely = secrecy(name)
        if surely >= Secrecy.LIKELY or (surely >= Secrecy.POSSIBLE and can_be_secret(value)):
            yield value


_NAMED = re.compile(r"([\w-]+)[=:]\s*(.+)", re.DOTALL)


def _secrets_in_address(url: str) -> Iterator[str]:
    """Yield the keys in an address, which some providers put into its query or its path."""
    parts = urlsplit(url)
    queried = [each.partition("=") for each in parts.query.split("&")]
    for name, _, value in [*queried, *(("", "", each) for each in parts.path.split("/"))]:
        if secrecy(name) >= Secrecy.LIKELY or can_be_secret(unquote(value)):
            yield from (value, unquote(value))


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the table of a server.

    Attributes:
        key: The key that it is about, or "" for the whole table.
        message: What is wrong, in words.
        fix: What to do, in words.
    """

    key: str
    message: Text
    fix: Text


@dataclass(frozen=True, slots=True)
class Entry:
    """A server as it stands in a file.

    Attributes:
        name: What the person calls it.
        origin: The file and line that it stands in.
        table: Its keys and values.
        digest: The SHA-256 of the file's text, where a person has to trust it; else "".
        expands: Whether `$NAME` stands for a variable in it.
        problem: Why it cannot be used, or "".
    """

    name: str
    origin: Origin
    table: Mapping[str, Any] = field(repr=False)
    digest: str = ""
    expands: bool = False
    problem: Text = Text("")  # noqa: RUF009 - a `Text` never changes

    def server(self, env: Mapping[str, str] = os.environ) -> Server:
        """Return the server.

        Raises:
            UntrustedSettingError: A project's config file names it, which the person does not
                trust.
            SettingError: It is not written as it must be.
        """
        self._require_trusted(env)
        if self.problem:
            raise self._error(self.problem)
        for fault in faults(self.name, self.table):
            told = "{message}. {fix}"
            raise self._error(Text(told, message=fault.message, fix=fault.fix))
        table, folder = self.table, (self.origin.path or Path()).parent
        if "command" in table:
            command = os.path.expanduser(table["command"])  # noqa: PTH111 - Path raises without a home
            if os.path.basename(command) != command:  # noqa: PTH119 - a name alone is looked for
                command = str(folder / command)
            return Server(
                self.name,
                self.origin,
                "stdio",
                command,
                tuple(table.get("args", ())),
                tuple(self._values("env", env)),
                folder / os.path.expanduser(table.get("cwd", "")),  # noqa: PTH111 - as above
            )
        headers = dict(self._values("headers", env))
        if key := table.get("api_key"):
            bearer = self._value("api_key", key, env).get_secret_value()
            headers["Authorization"] = Secret(f"Bearer {bearer}")
        return Server(
            self.name,
            self.origin,
            transport_of(table),
            url=table["url"],
            headers=tuple(headers.items()),
        )

    def _require_trusted(self, env: Mapping[str, str]) -> None:
        path = self.origin.path
        if path is None or not self.digest or is_trusted(path, self.digest, env):
            return
        told = (
            "the MCP server {name} ({origin}) is not used: it stands in a project's config file,"
            " which could start any program. {trust_it}."
        )
        origin = self.origin.text
        text = Text(told, name=self.name, origin=origin, trust_it=trust.trust_it(path))
        raise UntrustedSettingError(text, setting=MCP, origin=str(self.origin))

    def _error(self, why: Text) -> SettingError:
        told = "the MCP server {name} ({origin}) cannot be used: {why}."
        text = Text(told, name=self.name, origin=self.origin.text, why=why)
        return SettingError(text.masked(masked))

    def _values(self, key: str, env: Mapping[str, str]) -> Iterator[tuple[str, Secret]]:
        for name, value in self.table.get(key, {}).items():
            yield name, self._value(f"{key}.{name}", value, env)

    def _value(self, key: str, value: str, env: Mapping[str, str]) -> Secret:
        name = variable_in(value) if self.expands else ""
        if name and name not in env:
            told = "{key} names the variable {name}, which is not set"
            raise self._error(Text(told, key=key, name=name))
        return Secret(env[name] if name else value)


def is_trusted(path: Path, digest: str, env: Mapping[str, str]) -> bool:
    """Return whether the servers of a config file may be used."""
    return trust.is_own_file(path, env) or trusted.is_trusted(path, digest, env=env)


def variable_in(value: str) -> str:
    """Return the name of the variable that a value stands for, or "" where it is the value."""
    match = VARIABLE.fullmatch(value)
    return (match[1] or match[2]) if match else ""


def transport_of(table: Mapping[str, Any]) -> Transport:
    """Return how a server with an address is spoken to; a path that ends in /sse tells it, too."""
    named = table.get("transport")
    path = urlsplit(table["url"]).path.rstrip("/")
    return "sse" if named == "sse" or (named is None and path.endswith("/sse")) else "http"


def faults(name: str, table: object) -> Iterator[Fault]:
    """Yield what is wrong with a server as it stands in a file."""
    if not isinstance(table, dict):
        message = Text("{name} is {value}, not a table", name=name, value=described(table))
        yield Fault("", message, Text("Write {value}", value=f"[{OURS}.{MCP}.{name}]"))
        return
    if not _NAME.fullmatch(name):
        message = Text("{name} is no name for an MCP server", name=shorten(repr(name)))
        yield Fault("", message, Text("Write letters, digits, - and _"))
    yield from _faults_of_keys(table)
    meant = {closest(key, KEYS) for key in table if key not in KEYS}
    if ("command" in table) == ("url" in table):
        if "url" not in table and meant & {"command", "url"}:
            return
        told = "{name} has neither command nor url"
        if "command" in table:
            told = "{name} has both command and url"
        fix = "Write command, a program of this machine, or url, an http address"
        yield Fault("", Text(told, name=name), Text(fix))
        return
    others = ADDRESS_KEYS if "command" in table else PROGRAM_KEYS
    goes_with = "url" if "command" in table else "command"
    for key in table:
        if key in others:
            message = Text("{key} goes with {other}", key=key, other=goes_with)
            yield Fault(key, message, Text("Remove it"))
    yield from _faults_of_program(table)
    yield from _faults_of_address(table)


def _faults_of_keys(table: Mapping[str, Any]) -> Iterator[Fault]:
    for key, value in table.items():
        if key not in KEYS:
            near = closest(key, KEYS)
            fix = Text("Write {value}", value=near) if near else Text("Remove it")
            yield Fault(key, Text("unknown key {key}", key=shorten(repr(key))), fix)
        elif not takes(KEYS[key], value):
            yield Fault(key, Text("{key} has another type", key=key), _KINDS[KEYS[key]])


_KINDS: Mapping[str, Text] = MappingProxyType(
    {
        "str": Text("Write a text"),
        "texts": Text("Write a list of texts, as in {example}", example='["-y", "a-server"]'),
        "text table": Text("Write texts by their names, as in {example}", example='{NAME = "…"}'),
    }
)


def _faults_of_program(table: Mapping[str, Any]) -> Iterator[Fault]:
    command = table.get("command")
    if not isinstance(command, str):
        return
    if not command.strip():
        yield Fault("command", Text("command is empty"), Text("Write the name of a program"))
    elif "args" not in table and re.search(r"\s", command) and not re.search(r"[\\/]", command):
        message = Text("command holds more than the name of a program")
        program, *args = command.split()
        fix = Text("Write command = {program} and args = {args}", program=f'"{program}"', args=args)
        yield Fault("command", message, fix)


def _faults_of_address(table: Mapping[str, Any]) -> Iterator[Fault]:
    url, transport = table.get("url"), table.get("transport", "http")
    if isinstance(url, str) and not _is_address(url):
        fix = Text("Write a whole address, as in {example}", example="https://example.com/mcp")
        yield Fault("url", Text("url is no http address"), fix)
    if isinstance(transport, str) and transport not in TRANSPORTS:
        fix = Text("Write one of: {names}", names=", ".join(TRANSPORTS))
        yield Fault("transport", Text("unknown transport"), fix)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket left open
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def configured(settings: Snapshot, openhands: Path) -> dict[str, Entry]:
    """Return the servers by their names: those of the config file in force, then of `mcp.json`.

    Args:
        settings: The settings, which name the config file.
        openhands: The folder of the current OpenHands.
    """
    found = [*_in_json(openhands / JSON_FILE)]
    if settings.config_file is not None:
        found += in_file(read_file(settings.config_file))
    return {entry.name: entry for entry in found}  # the last of a name counts


def in_file(document: Document) -> Iterator[Entry]:
    """Yield the servers of a config file: OpenHands' own, then those of ours."""
    yield from _in_openhands(document)
    for name, table in tables_of(document).items():
        origin = document.origin(OURS, MCP, name)
        yield Entry(name, origin, table, document.digest, expands=True)


def tables_of(document: Document) -> Mapping[str, Any]:
    """Return what stands in `[openhands_llm_magic.mcp]`, or nothing where that is no table."""
    servers = document.table(OURS).get(MCP)
    return servers if isinstance(servers, dict) else {}


_TRANSPORT_BY_KEY = {"sse_servers": "sse", "shttp_servers": "http", "stdio_servers": ""}


def _in_openhands(document: Document) -> Iterator[Entry]:
    """Yield the servers of OpenHands 0.41's `[mcp]`, those without a name by their host."""
    taken: set[str] = set()
    for key, transport in _TRANSPORT_BY_KEY.items():
        listed = document.table(MCP).get(key)
        origin = document.origin(MCP, key)
        for each in listed if isinstance(listed, list) else ():
            table = {"url": each} if isinstance(each, str) else each
            if not isinstance(table, dict):
                continue
            if transport:
                name = _name_of(table.get("url"), taken)
                table = {**table, "transport": transport}
            else:
                name = str(table.get("name"))
                table = {own: value for own, value in table.items() if own != "name"}
            taken.add(name)
            yield Entry(name, origin, table, document.digest)


def _name_of(url: object, taken: set[str]) -> str:
    """Name a server by its host, and its port where it names one: `localhost_8000`."""
    try:
        place = urlsplit(str(url)).netloc.rpartition("@")[2]
    except ValueError:
        place = ""
    name = re.sub(r"[^A-Za-z0-9-]+", "_", place).strip("_") or "server"
    later = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return next(each for each in (name, *later) if each not in taken)


def _in_json(path: Path) -> Iterator[Entry]:
    """Yield the servers of the current OpenHands' `mcp.json`, whose form is FastMCP's."""
    if not os.path.lexists(path):
        return
    origin = Origin("file", path=path)
    try:
        read = json.loads(files.read(path, LARGEST_FILE))
        servers = read["mcpServers"] if isinstance(read, dict) else {}
    except (OSError, ValueError, KeyError, RecursionError):
        return
    for name, table in servers.items() if isinstance(servers, dict) else ():
        yield _from_json(name, table, origin)


def _from_json(name: str, table: object, origin: Origin) -> Entry:
    """Turn FastMCP's form of a server into ours, without what says nothing of how to reach it."""
    if not isinstance(table, dict):
        return Entry(name, origin, {}, problem=Text("it is no object"))
    own = {key: each for key, each in table.items() if key in KEYS and each not in (None, {}, [])}
    problem = Text("")
    if table.get("enabled") is False:
        problem = Text("it is switched off there")
    match table.get("auth"):
        case str(token) if token != "oauth":  # noqa: S105 - FastMCP's word, and no secret
            own["api_key"] = token
        case None | "":
            pass
        case _:
            problem = Text("it asks for a login by OAuth, which is not supported here")
    if "command" in own:
        own.pop("transport", None)
    elif own.get("transport") == "streamable-http":
        own["transport"] = "http"
    return Entry(name, origin, own, problem=problem)


def problem_of_json(openhands: Path) -> Text | None:
    """Say why no server can be read from `mcp.json`, or return None."""
    path = openhands / JSON_FILE
    if not os.path.lexists(path):
        return None
    try:
        json.loads(files.read(path, LARGEST_FILE))
    except OSError as error:
        why: Text = reason_of(error)
    except (ValueError, RecursionError) as error:
        why = quoted(on_one_line(shorten(str(error))))
    else:
        return None
    return Text("{origin}: {problem}", origin=Origin("file", path=path).text, problem=why)
