"""The settings in force, written as a profile that OpenHands' SDK loads by its name.

What the profile had and we do not know stays, and so does its key, unless another is to be written.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import export, files, trust, trusted
from openhands_llm_magic.config.check import check_settings
from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.providers import PROVIDERS, is_loopback, plain_server, provider_of
from openhands_llm_magic.config.save import (
    FORCE_PROFILE,
    KEY_INTO_PROFILE,
    MOST_ATTEMPTS,
    Saved,
    is_shown,
    notes_of_git,
)
from openhands_llm_magic.config.secret import (
    MASK,
    SHORTEST_REAL_KEY,
    Secrecy,
    masked,
    secrecy,
    secrets_in,
)
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import BUDGETS, SETTINGS
from openhands_llm_magic.errors import (
    ConfigFileError,
    SettingError,
    Text,
    UntrustedSettingError,
    reason_of,
)
from openhands_llm_magic.llm.explain import any_of
from openhands_llm_magic.llm.openhands import folder, json_file
from openhands_llm_magic.llm.openhands.sdk import SDK
from openhands_llm_magic.llm.openhands.sent import refusal
from openhands_llm_magic.llm.openhands.version import is_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting

KEYS = tuple(each.name for each in folder.SETTINGS_IN_PROFILES if each.kind == "secret")
"""The fields that are keys."""

LINKS = ("provider_connection_id", "auth_type", "subscription_vendor", "is_subscription")
"""The fields that have the key, and maybe the address, come from elsewhere."""

FURTHER = tuple(export.FURTHER_IN_PROFILES.values())
"""The fields that may hold keys of a gateway among other things."""

NO_KEYS = frozenset({"auth_type"})
"""What sounds like a secret and is none."""

OTHER_PLACE = (
    "{file} holds a key for {theirs}, and would send it to {ours}: nothing was changed; choose"
    " another NAME, {with_key}, or {force}"
)
LINKED = (
    "{file} takes its key and address from {link}, whatever is written: nothing was changed;"
    " choose another NAME, or {force}, which takes that out"
)


OF_PROJECT = (
    "{name} is from a project's config file ({origin}), and would count as yours in {file}: nothing"
    " was changed. {trust_it}."
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to write, and where.

    Attributes:
        saved: What to tell about it.
        before: The file's content as it is, or None when there is no file.
        after: The file's new content.
        is_needed: Whether that is another, or others may read the file.
    """

    saved: Saved
    before: bytes | None
    after: bytes
    is_needed: bool


def save(
    snapshot: Snapshot,
    name: str,
    *,
    with_key: bool = False,
    force: bool = False,
    env: Mapping[str, str] = os.environ,
) -> Saved:
    """Write settings as a profile of the current OpenHands, whole and for its owner alone.

    Args:
        snapshot: The settings.
        name: The profile's name, with or without ".json".
        with_key: Whether to write keys, too; else those in the file stay as they are.
        force: Whether to go on where a key that is in the file would go to another server, where
            the file is linked to a connection, or where git tracks a file that gets a key.
        env: The environment, which may name OpenHands' folder.

    Raises:
        ConfigFileError: The profile cannot be read or written, or one of the above is so; nothing
            is changed.
        SettingError: No profile can have this name, or a setting does not go into one.
    """
    plan = _plan(snapshot, name, env, with_key=with_key, force=force)
    path = plan.saved.path
    try:
        path.parent.mkdir(mode=files.OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        with files.writing(path) as draft:
            for _ in range(MOST_ATTEMPTS):
                plan = _plan(snapshot, name, env, with_key=with_key, force=force)
                bits = {"new_bits": files.OWNER_ONLY, "most_bits": files.OWNER_ONLY}
                if not plan.is_needed or draft.put(plan.after, over=plan.before, **bits):
                    return plan.saved
    except OSError as error:
        told = "{file}: it cannot be written: {why}; nothing was changed"
        raise ConfigFileError(Text(told, file=shown_path(path), why=reason_of(error))) from None
    told = "{file}: another program changes it again and again; nothing was changed"
    raise ConfigFileError(Text(told, file=shown_path(path)))


def preview(
    snapshot: Snapshot,
    name: str,
    *,
    with_key: bool = False,
    force: bool = False,
    env: Mapping[str, str] = os.environ,
) -> Saved:
    """Return what `save` would do with the same arguments, without doing it.

    Raises:
        SettingError: It would not do it.
    """
    return _plan(snapshot, name, env, with_key=with_key, force=force).saved


def path_of(name: str, env: Mapping[str, str] = os.environ) -> Path:
    """Return the file of a profile.

    Raises:
        SettingError: No profile can have this name.
    """
    plain = name.removesuffix(".json")
    if not folder.PROFILE_NAME.fullmatch(plain):
        told = "no profile can be called {name}: a name has {rule}"
        raise SettingError(Text(told, name=shorten(repr(masked(name))), rule=folder.NAME_RULE))
    return folder.profiles_folder(env) / f"{plain}.json"


def _plan(
    snapshot: Snapshot, name: str, env: Mapping[str, str], *, with_key: bool, force: bool
) -> _Plan:
    path = path_of(name, env)
    if not with_key:
        export.require_no_login(snapshot)
    _require_addresses_of_the_person(snapshot, path, env)
    content = _content(path, env)
    old = {} if content is None else json_file.parsed(content, path)
    json_file.require_known_schema(old, path)
    fields = export.profile_fields(snapshot, with_key=with_key)
    writes_key = any(fields.get(key) for key in KEYS) or any(_with_keys(fields))
    known = {each.name for each in folder.SETTINGS_IN_PROFILES} - {*KEYS}
    left = {key: value for key, value in old.items() if key not in known}
    kept = {} if with_key else {key: old[key] for key in _with_keys(old)}
    after = left | fields | kept | {"schema_version": json_file.NEWEST_SCHEMA}
    keeps_key = bool(kept) or any(key not in fields for key in _with_keys(old))
    has_own = "api_key" not in fields and old.get("api_key") not in (None, "", MASK)
    keeps_key |= has_own
    keys = {"writes_key": writes_key, "keeps_key": keeps_key, "force": force}
    after = _of_one_place(path, old, after, env, **keys)
    after = {key: after[key] for key in (*old, *after) if key in after}  # in the file's order
    notes = [*_notes(snapshot, fields, keeps_key=has_own)]
    if writes_key and not force:
        notes += notes_of_git(path, path)
    secrets = [*snapshot.secrets(), *secrets_in(old), *secrets_in(after)]
    secrets = [key for key in secrets if len(key) >= SHORTEST_REAL_KEY]
    saved = Saved(
        path=path,
        diff=_diff(None if content is None else old, after, path, secrets),
        key_written=writes_key,
        created=content is None,
        notes=tuple(note.masked(lambda told: masked(told, secrets)) for note in notes),
    )
    is_open = content is not None and bool(path.stat().st_mode & 0o077)
    is_needed = content is None or old != after or is_open
    return _Plan(saved, content, _json(after).encode(), is_needed)


def _require_addresses_of_the_person(
    snapshot: Snapshot, path: Path, env: Mapping[str, str]
) -> None:
    """Refuse an address that only a project's file names, and that would be the person's then.

    Raises:
        UntrustedSettingError: There is such an address, or another setting that such a file must
            not decide.
    """
    trust.require_harmless(snapshot, env)
    for name in ("base_url", "ollama_base_url"):
        address, file = getattr(snapshot, name), snapshot.origin(name).path
        if not address or file is None or trust.is_own_file(file, env):
            continue
        server = plain_server(address)
        is_usual = any(each.has_address and each.is_at(address) for each in PROVIDERS.values())
        if server and (is_usual or is_loopback(server.host)):
            continue
        if not trusted.is_trusted(file, snapshot.digest, env=env):
            origin = snapshot.origin(name).text
            facts = {"name": name, "origin": origin, "file": shown_path(path)}
            told = Text(OF_PROJECT, **facts, trust_it=trust.trust_it(file))
            raise UntrustedSettingError(told, setting=name, origin=str(origin))


def _content(path: Path, env: Mapping[str, str]) -> bytes | None:
    """Return the content of a profile, or None where there is none.

    Raises:
        ConfigFileError: It is a link, or none of ours to change, or cannot be read.
    """
    told = "{file}: {why}; nothing was changed"
    if path.is_symlink():
        why = Text("it is a link, and what it leads to is not written")
        raise ConfigFileError(Text(told, file=shown_path(path), why=why))
    for place in (path.parent, path.parent.parent):
        if os.path.lexists(place) and (owner := files.owner_of_other(place, env)):
            why = Text("{place} belongs to {owner}", place=shown_path(place), owner=owner)
            raise ConfigFileError(Text(told, file=shown_path(path), why=why))
    return json_file.content_of(path, env) if os.path.lexists(path) else None


def _of_one_place(  # noqa: PLR0913 - the last three are named
    path: Path,
    old: Mapping[str, Any],
    after: dict[str, Any],
    env: Mapping[str, str],
    *,
    writes_key: bool,
    keeps_key: bool,
    force: bool,
) -> dict[str, Any]:
    """Return the new fields, of which each key is one for the address.

    Raises:
        ConfigFileError: The file's own key would go to another server, or what is written would
            not count.
    """
    facts = {"file": shown_path(path), "force": Text(FORCE_PROFILE)}
    connection = old.get("provider_connection_id")
    if connection:
        _, found = folder.connection(connection, env)
        shared = {"model": old.get("model"), "base_url": (found or {}).get("base_url")}
        if found and not writes_key and _place(shared) == _place(after):
            return {key: each for key, each in after.items() if key not in ("api_key", "base_url")}
    if connection or folder.is_subscription(old):
        if not force:
            link = Text("a subscription")
            if connection:
                link = Text("the connection {name}", name=shorten(repr(connection)))
            raise ConfigFileError(Text(LINKED, link=link, **facts))
        return {key: each for key, each in after.items() if key not in LINKS}
    if keeps_key and _place(old) != _place(after) and not force:
        theirs, ours = (shorten(masked(_shown_place(each))) for each in (old, after))
        facts |= {"theirs": theirs, "ours": ours, "with_key": Text(KEY_INTO_PROFILE)}
        raise ConfigFileError(Text(OTHER_PLACE, **facts))
    return after


def _with_keys(fields: Mapping[str, Any]) -> Iterator[str]:
    """Name the fields of headers and of the body that hold keys."""
    return (name for name in FURTHER if any(secrets_in(fields.get(name), name)))


def _place(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return where a profile's key goes: to a provider, and an address if one is set."""
    model = str(fields.get("model") or "")
    provider = provider_of(model)
    name = model.partition("/")[0] if "/" in model else provider.name if provider else model
    return name, str(fields.get("base_url") or "").rstrip("/")


def _shown_place(fields: Mapping[str, Any]) -> str:
    name, address = _place(fields)
    return address or name


def _notes(snapshot: Snapshot, fields: Mapping[str, Any], *, keeps_key: bool) -> Iterator[Text]:
    """Yield what does not go along, and what comes of the model there."""
    left = [
        each
        for name, setting in SETTINGS.items()
        if name not in fields and setting.kind != "secret" and _is_of_requests(setting)
        if is_set(snapshot, name) and getattr(snapshot, name) not in (None, "", {}, [])
        for each in export.without_field(snapshot, name)
    ]
    if left:
        told = "these do not go along, as no profile has them: {names}"
        yield Text(told, names=", ".join(left))
    if snapshot.custom_llm_provider:
        told = "write {provider} before the model's name in place of custom_llm_provider"
        yield Text(told, provider=f"{snapshot.custom_llm_provider}/")
    if not any(map(fields.get, KEYS)):
        yield from _of_key(snapshot, keeps_key=keeps_key)
    given = snapshot.completion_kwargs or {}
    kept_back = [
        name
        for name, field in export.FURTHER_IN_PROFILES.items()
        if given.get(name) and field not in fields
    ]
    if kept_back:
        told = "completion_kwargs may hold a key in {names}, which only --with-key writes"
        yield Text(told, names=", ".join(kept_back))
    if reason := refusal(SDK, snapshot):
        yield reason
    else:
        yield from (each.text for each in check_settings(snapshot) if each.is_problem)


def _of_key(snapshot: Snapshot, *, keeps_key: bool) -> Iterator[Text]:
    """Yield where a profile has its key from that is written without one.

    OpenHands' SDK reads LLM_API_KEY with `LLM.load_from_env` alone; its LiteLLM looks for the
    provider's own variable.
    """
    provider = provider_of(snapshot.model, snapshot.base_url, snapshot.custom_llm_provider)
    variables = provider.api_key_variables if provider else ()
    if keeps_key:
        if any(getattr(snapshot, key) for key in KEYS):
            yield Text("the key in use is not written, and the profile keeps the one that it has")
    elif not snapshot.api_key and (found := export.key_variable(snapshot)):
        told = "no key is written: set {variable} where OpenHands runs, too, as the SDK looks there"
        if found == export.KEY_VARIABLE:
            told = "there is no key: set {variable}, where the SDK looks for it"
            found = any_of(variables)
        yield Text(told, variable=found)
    elif snapshot.api_key and variables:
        told = (
            "the key is not written, and the SDK does not read {ours} for a profile: set {variable}"
            " to it where OpenHands runs, or {with_key}"
        )
        facts = {"ours": export.KEY_VARIABLE, "with_key": Text(KEY_INTO_PROFILE)}
        yield Text(told, variable=any_of(variables), **facts)
    elif any(getattr(snapshot, key) for key in KEYS):
        yield Text("the key is not written; the SDK then looks for the provider's own variable")


def _is_of_requests(setting: Setting) -> bool:
    """Return whether OpenHands' requests, or what they cost, would be others without a setting."""
    is_limit = setting.topic == "retries" or setting.name in BUDGETS
    return setting.section == "llm" or bool(setting.sent_as) or is_limit


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2) + "\n"


def _diff(
    old: Mapping[str, Any] | None, new: Mapping[str, Any], path: Path, keys: list[str]
) -> str:
    """Return the unified diff of two profiles, with keys masked."""
    before, after = (
        [] if each is None else _json(_without_keys(each)).splitlines() for each in (old, new)
    )
    name = shown_path(path)
    named = "/dev/null" if old is None else name
    return masked("\n".join(unified_diff(before, after, named, name, lineterm="")), keys)


def _without_keys(value: Any, name: str = "") -> Any:
    match value:
        case dict():
            return {each: _without_keys(inner, each) for each, inner in value.items()}
        case list():
            return [_without_keys(each, name) for each in value]
        case str() if value and secrecy(name) >= Secrecy.POSSIBLE and not is_shown(name):
            return value if name in NO_KEYS else MASK
    return value
