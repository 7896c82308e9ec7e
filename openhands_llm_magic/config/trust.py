"""Where a request may go with a person's keys, and what a project's config file may set.

A config.toml is found from the working folder, so a cloned repository can bring one. It may choose
the model, and name a server; a key that is not its own goes there only if the server is the
provider's own, this machine, or one that the person has allowed (`trusted`). What the person gives
himself, in the environment, in the session, on a line or in ~/.openhands, may lead anywhere. Over
plain http, which others can read on the way, a key goes only where its own source sends it.

Prompts, vectors, connection tests and lists of models all ask here, before anything is sent.
LiteLLM takes keys from many variables and files by itself; where it cannot be known which, it
counts as if one would be sent.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from openhands_llm_magic.config import litellm_files, trusted
from openhands_llm_magic.config.document import Origin, read_file, shown_path
from openhands_llm_magic.config.layers import FILE_NAME
from openhands_llm_magic.config.providers import (
    PROVIDERS,
    Server,
    address_variables,
    address_within,
    addresses_in,
    full_name,
    is_loopback,
    plain_server,
    server_of,
)
from openhands_llm_magic.config.resolve import FILE_VARIABLE, absolute
from openhands_llm_magic.config.secret import Secrecy, Secret, masked, secrecy, secrets_in
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import Text, UntrustedAddressError, UntrustedSettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.config.providers import Provider
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting

TRUST_IT = "If you trust that file, run `openhands-llm-magic trust {path}`"

UNTRUSTED = (
    "not sent: {address_from} leads to {host}, and {key} would go there, which is from elsewhere."
    " {trust_it}."
)
UNENCRYPTED = (
    "not sent: {address_from} leads to {host} over plain http, so that others could read {key} on"
    " the way. Write https://, or give the key in the place that names the address."
)
UNTRUSTED_SETTING = (
    "{name} ({origin}) is not taken from a project's config file: {why}. Take it out. {trust_it}."
)
UNREADABLE = (
    "not sent: the address from {address_from} can be read in more than one way ({host}), and {key}"
    " would go there. Write it in plain letters and digits."
)
NO_ADDRESS = (
    "not sent: the address from {address_from} is not a whole one, and {key} would go wherever it"
    " leads. Write it with http:// or https://."
)
READABLE = "the key goes to {host} over plain http, where others can read it on the way"

REFERENCES = ("os.environ/", "oidc/")
"""The beginnings of values in whose place LiteLLM puts a variable, a file or a token."""

REACHES = "it can decide where prompts and keys go, and which"
HIDES = "it can hide which server has answered"
REFERS = "its value stands for a variable, a file or a token of this machine"
LEADS = "its value holds an address"
NO_NAME = "its value is not a plain name, and could lead to another host"

MODELS = frozenset({"model", "embedding_model", "aliases"})
"""The settings that name models."""

HEADERS_VARIABLE = "OPENAI_CUSTOM_HEADERS"
"""Headers that OpenAI's client, through which LiteLLM asks most providers, sends to any server."""

FINDS_KEYS = (
    *("aws", "azure", "bedrock", "chatgpt", "databricks", "gdc", "gigachat", "github", "oci", "s3"),
    *("sagemaker", "sap", "snowflake", "vertex", "watsonx"),
)
"""The beginnings of LiteLLM's names for those providers outside the catalogue that may be sent
credentials of this machine beside a key."""

_NAME = re.compile(r"[\w.:-]*", re.ASCII)  # of a region; of a project, as in example.com:mine


def shown_host(address: str) -> str:
    """Return the host of an address as a person can tell it from another: in ASCII, with no login.

    Letters of other alphabets look like those of ours.
    """
    server = server_of(address)
    host = server.host if server else masked(address)
    if not (host.isascii() and host.isprintable()):
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = ascii(host)[1:-1]
    usual = server is None or server.port in (80, 443, None)
    return shorten(host if usual or server is None else f"{host}:{server.port}")


@dataclass(frozen=True, slots=True)
class _Named:
    """An address, and who named it."""

    address: str
    origin: Origin

    @property
    def server(self) -> Server | None:
        return plain_server(self.address)

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody on the way can read what is sent, as far as the address tells."""
        server = self.server or server_of(self.address)
        return server is None or server.scheme != "http"


@dataclass(frozen=True, slots=True)
class _Credential:
    """A key that would be sent.

    Attributes:
        words: What it is and where it is from, without its value.
        source: Where it is from, as `_source` has it, or "" where LiteLLM finds it by itself.
        providers: The providers that it is for, by name; empty where that is not known.
    """

    words: Text
    source: str
    providers: frozenset[str] = frozenset()


_ENVIRONMENT: Final = "environment"
_HERE: Final = "here"


def _source(origin: Origin) -> str:
    """Return what tells sources apart: a file, the environment, or what the person does here."""
    if origin.path:
        return str(origin.path)
    return _ENVIRONMENT if origin.kind == _ENVIRONMENT else _HERE


def is_all_of_the_person(
    settings: Snapshot, file: Path, env: Mapping[str, str] = os.environ
) -> bool:
    """Return whether nothing but what the person gave will be in a file that is about to be saved.

    The file must be new, or trusted as it is, and no setting from a project's file without trust.
    """
    if os.path.lexists(file) and not trusted.is_trusted(file, read_file(file).digest, env=env):
        return False
    paths = {found[0].origin.path for found in settings.found.values()} - {None}
    return all(
        is_own_file(path, env) or trusted.is_trusted(path, settings.digest, env=env)
        for path in paths
        if path is not None
    )


def trust_it(path: Path) -> Text:
    """Return what to do to trust a config file."""
    shown = shown_path(path)
    at_home = shown.startswith("~/") and shlex.quote(shown[2:]) == shown[2:]
    return Text(TRUST_IT, path=shown if at_home else shlex.quote(shown))


def is_own_file(path: Path, env: Mapping[str, str]) -> bool:
    """Return whether a config file is the person's own, in whatever folder he works.

    It is that of ~/.openhands, or the one that a whole path in `LLM_MAGIC_CONFIG` names.
    """
    named = os.path.expanduser(env.get(FILE_VARIABLE, ""))  # noqa: PTH111 - Path raises without a home
    own = {absolute("~") / ".openhands" / FILE_NAME}
    return path in own | ({Path(named)} if os.path.isabs(named) else set())  # noqa: PTH117 - as above


def require_harmless(settings: Snapshot, env: Mapping[str, str] = os.environ) -> None:
    """Refuse what a project's config file must not decide.

    Raises:
        UntrustedSettingError: A setting in force is from such a file, and is none of those that
            it may set.
    """
    for name, (found, *_) in settings.found.items():
        path = found.origin.path
        if path is None or found.value is None:
            continue
        refused = _refused(SETTINGS[name], found.value)
        if (
            refused
            and not is_own_file(path, env)
            and not trusted.is_trusted(path, settings.digest, env=env)
        ):
            what, why = refused
            raise UntrustedSettingError(
                Text(
                    UNTRUSTED_SETTING,
                    name=what,
                    origin=found.origin.text,
                    why=Text(why),
                    trust_it=trust_it(path),
                ),
                setting=name,
                origin=str(found.origin),
            )


def _refused(setting: Setting, value: Any) -> tuple[str, str] | None:
    """Return what of a project's setting is refused, and why, or None."""
    if setting.keys_in_projects:
        strange = [
            shorten(_plain_name(key)) for key in value if key not in setting.keys_in_projects
        ]
        if strange:
            return ", ".join(f"{setting.name}.{key}" for key in strange), REACHES
    elif setting.ours and not setting.in_projects:
        return setting.name, HIDES
    texts = list(_texts(value))
    if any(text.strip().lower().startswith(REFERENCES) for text in texts):
        return setting.name, REFERS
    if setting.kind == "dict" and any("://" in text for text in texts):
        return setting.name, LEADS
    in_address = texts if setting.is_in_address else []
    if setting.name in MODELS:
        in_address = [_region_in(text) for text in texts]
    if not all(map(_NAME.fullmatch, in_address)):
        return setting.name, NO_NAME
    return None


def _region_in(model: str) -> str:
    """Return the region in a model's name, of which LiteLLM makes a host, or "".

    Amazon's names of resources are "arn:aws:SERVICE:REGION:ACCOUNT:…".
    """
    return "".join(model.split(":")[3:4])


def _plain_name(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else ascii(key)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case Secret():
            yield value.get_secret_value()
        case str():
            yield value
        case dict():
            for name, each in value.items():
                yield name
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)


def refusals(
    settings: Snapshot, env: Mapping[str, str] = os.environ
) -> Iterator[UntrustedSettingError | UntrustedAddressError]:
    """Yield each reason for which a prompt with these settings would not be sent."""
    sent = {"base_url": settings.base_url}
    if settings.api_key:
        sent["api_key"] = settings.api_key.get_secret_value().strip()
    try:
        require_harmless(settings, env)
    except UntrustedSettingError as error:
        yield error
    if settings.model.startswith(PROVIDERS["practice"].prefix):
        return
    try:
        require_trusted(settings, settings.model, sent, env)
    except UntrustedAddressError as error:
        yield error


def refused(
    settings: Snapshot, env: Mapping[str, str] = os.environ
) -> UntrustedSettingError | UntrustedAddressError | None:
    """Return why a prompt with these settings would not be sent, or None where it would be."""
    return next(refusals(settings, env), None)


def require_trusted(  # noqa: PLR0913 - the last two are named
    settings: Snapshot,
    model: str,
    options: Mapping[str, Any],
    env: Mapping[str, str] = os.environ,
    *,
    for_vectors: bool = False,
    held: Sequence[str] = (),
) -> Text | None:
    """Refuse to send a key to a server that only a project's config file names.

    Args:
        settings: The settings, with their origins.
        model: The model as the settings name it.
        options: The keyword arguments of LiteLLM's function: the address, the key.
        env: The environment.
        for_vectors: Whether vectors are asked for, which have an address of their own.
        held: Variables of Python in which LiteLLM has further keys and headers.

    Returns:
        What the person should know of a key that goes over plain http, or None.

    Raises:
        UntrustedAddressError: A key would go to a server that is neither the provider's own, nor
            this machine, nor named or allowed by the person.
    """
    return _Way(settings, model, options, env, for_vectors, held).require_trusted()


@dataclass(frozen=True, slots=True)
class _Way:
    """The way that one request would take; the attributes are those of `require_trusted`."""

    settings: Snapshot
    model: str
    options: Mapping[str, Any]
    env: Mapping[str, str]
    for_vectors: bool
    held: Sequence[str]

    def require_trusted(self) -> Text | None:
        note = None
        for named in self._addresses():
            server = named.server
            if server is not None and is_loopback(server.host):
                continue
            for credential in self._credentials():
                if not self._may_go(credential, named):
                    error = UntrustedAddressError(self._told(credential, named))
                    error.is_known = bool(credential.source)
                    raise error
                if not named.is_encrypted:
                    note = Text(READABLE, host=shown_host(named.address))
        return note

    def _told(self, credential: _Credential, named: _Named) -> Text:
        path = named.origin.path
        known = {"address_from": named.origin.text, "host": shown_host(named.address)}
        known["key"] = credential.words
        if not named.is_encrypted or path is None or is_own_file(path, self.env):
            return Text(UNENCRYPTED, **known)
        if named.server is None:
            return Text(UNREADABLE if "://" in named.address else NO_ADDRESS, **known)
        return Text(UNTRUSTED, **known, trust_it=trust_it(path))

    def _may_go(self, credential: _Credential, named: _Named) -> bool:
        """Return whether a credential may go to a server that is not this machine."""
        server = named.server
        if server is not None and self._is_own(server, credential):
            return True
        if credential.source and self._names(credential.source, named):
            return True
        path = named.origin.path
        if path is None or is_own_file(path, self.env):
            return named.is_encrypted
        if server is None or not named.is_encrypted:
            return False
        return trusted.is_trusted(path, self.settings.digest, server, self.env)

    def _is_own(self, server: Server, credential: _Credential) -> bool:
        """Return whether a server is that of the provider that the model and the key are for."""
        for own in PROVIDERS.values():
            if not own.runs(server):
                continue
            speaks_openai = self.model.startswith("openai/") and own.openai_path is not None
            leads = own in self._entries or speaks_openai
            if leads and (not credential.providers or own.name in credential.providers):
                return True
        return False

    def _names(self, source: str, named: _Named) -> bool:
        """Return whether a source of keys names a server itself."""
        server = named.server
        given = [
            found.value
            for name in ("base_url", "embedding_base_url")
            for found in self.settings.found[name]
            if found.value and _source(found.origin) == source
        ]
        if source == _ENVIRONMENT:
            given += addresses_in(self.env, self._prefix)
        return any(
            address == named.address
            or (server is not None and plain_server(str(address)) == server)
            for address in given
        )

    def _addresses(self) -> Iterator[_Named]:
        """Yield the addresses that the request may go to; none where it is the provider's own."""
        settings, options = self.settings, self.options
        if address := options.get("base_url"):
            name = "base_url"
            if self.for_vectors and settings.embedding_base_url:
                name = "embedding_base_url"
            yield _Named(address, settings.origin(name))
        elif address := options.get("api_base"):  # of completion_kwargs alone
            yield _Named(str(address), settings.origin("completion_kwargs"))
        else:
            for variable, address in address_variables(self.env, self._prefix).items():
                yield _Named(address, Origin(_ENVIRONMENT, variable))
        if address := address_within(self.model):  # as LiteLLM takes it for some providers
            yield _Named(
                address, settings.origin("embedding_model" if self.for_vectors else "model")
            )

    @property
    def _name(self) -> str:
        named = None if self.for_vectors else self.settings.custom_llm_provider
        return full_name(self.model, named)

    @property
    def _entries(self) -> list[Provider]:
        """The entries of the catalogue that may be meant, which differ in their addresses."""
        leading = [each for each in PROVIDERS.values() if each.leads(self._name)]
        return leading or [each for each in PROVIDERS.values() if each.owns(self._name)]

    @property
    def _prefix(self) -> str:
        """LiteLLM's name of the provider, with which variables of it begin."""
        if not self._name.partition("/")[1] and self._entries:
            return self._entries[0].prefix.removesuffix("/")
        return self._name.partition("/")[0]

    def _credentials(self) -> Iterator[_Credential]:
        """Yield all that may be sent, and nothing where there is surely no key."""
        settings, entries = self.settings, self._entries
        if key := self.options.get("api_key"):
            yield from self._given(str(key))
        else:
            yield from self._found()
        for name in self.held:
            if not key or name.endswith("headers"):
                yield _Credential(Text(name), _HERE)
        besides = [HEADERS_VARIABLE, *(name for each in entries for name in each.sent_besides)]
        yield from map(self._of_variable, filter(self.env.get, dict.fromkeys(besides)))
        secret = [
            name
            for name in ("aws_access_key_id", "aws_secret_access_key")
            if self.options.get(name)
        ]
        yield from map(self._of_setting, secret)
        for each in entries:
            explicit = [name for name in each.asks_for if SETTINGS[name].kind == "secret"]
            if each.finds and not (explicit and set(explicit) <= set(secret)):
                yield _Credential(Text(each.finds), "", frozenset({each.name}))
        if not entries and (not key or self._may_find_keys):
            told = Text("any key that LiteLLM finds for {prefix}/", prefix=self._prefix)
            if self._prefix not in litellm_files.providers():
                told = Text("any key that LiteLLM finds for this model")
            yield _Credential(told, "")
        kwargs = {} if self.for_vectors else settings.completion_kwargs or {}
        if any(secrets_in(kwargs)) or any("header" in name for name in kwargs):
            yield self._of_setting("completion_kwargs")

    @property
    def _may_find_keys(self) -> bool:
        """Whether credentials of this machine may be sent beside a key, as the name tells.

        Of a name without one of LiteLLM's providers in front, only LiteLLM knows whose it is.
        """
        prefix = self._prefix
        return prefix.lower().startswith(FINDS_KEYS) or prefix not in litellm_files.providers()

    def _given(self, key: str) -> Iterator[_Credential]:
        """Yield the credential of a key that is sent by name, unless it is a word for none."""
        own = self.settings.api_key
        if own and own.get_secret_value().strip() == key:
            yield self._of_setting("api_key")
            return
        variables = (name for each in self._entries for name in each.key_variables)
        yield from (self._of_variable(name) for name in variables if self.env.get(name) == key)

    def _found(self) -> Iterator[_Credential]:
        """Yield the credentials that LiteLLM finds in variables."""
        named = [name for each in self._entries for name in each.key_variables]
        stem = self._prefix.upper().replace("-", "_") + "_"
        named += [name for name in self.env if name.upper().startswith(stem)]
        for name in dict.fromkeys(named):
            if self.env.get(name) and secrecy(name) >= Secrecy.POSSIBLE:
                yield self._of_variable(name)

    def _of_setting(self, name: str) -> _Credential:
        origin = self.settings.origin(name)
        words = Text("{name} ({origin})", name=name, origin=origin.text)
        return _Credential(words, _source(origin))

    def _of_variable(self, name: str) -> _Credential:
        of = frozenset(each.name for each in self._entries if name in each.key_variables)
        return _Credential(Text(name), _ENVIRONMENT, of or frozenset({self._prefix}))
