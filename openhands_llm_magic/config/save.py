"""The settings in force, written to config.toml for OpenHands and for the next session."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import Document, read_file
from openhands_llm_magic.config.layers import shown_path
from openhands_llm_magic.config.resolve import absolute, group_named
from openhands_llm_magic.config.saving.changes import FileChanges
from openhands_llm_magic.config.saving.edit import edit
from openhands_llm_magic.config.saving.keys import keys_in, masked_diff
from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.sources import FILE_NAME
from openhands_llm_magic.errors import ConfigFileError

if TYPE_CHECKING:
    from openhands_llm_magic.config.resolve import Snapshot

_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving changed, or would change.

    Attributes:
        path: The file.
        diff: The change as a unified diff, with keys masked; empty when there is none.
        key_written: A key is written that was not in the file.
        created: There was no file before.
        notes: What reading the file gives other than the settings, and why, one line each.
    """

    path: Path
    diff: str
    key_written: bool
    created: bool
    notes: tuple[str, ...] = ()


def save(
    snapshot: Snapshot,
    path: str | os.PathLike[str] | None = None,
    *,
    group: str | None = None,
    with_key: bool = False,
) -> Saved:
    """Write the settings in force to a config file, so that OpenHands reads the same.

    Comments, order and other sections stay. Written are the model, what is not a default, and
    what the file has already; what is not set is removed. Whoever reads the file meanwhile sees
    the old one or the new one, never half of it. One that holds a key is made its owner's alone.

    Args:
        snapshot: The settings.
        path: The file; by default the one that the settings were read from, else ./config.toml.
        group: The NAME of the `[llm.NAME]` to write to, or "llm" for `[llm]`; by default that of
            the settings.
        with_key: Whether to write keys, too; else those in the file stay as they are.

    Raises:
        ConfigFileError: The file cannot be read, edited or written; nothing is changed.
        SettingError: There can be no group of this name; nothing is changed.
    """
    plan = _plan(snapshot, path, group, with_key=with_key)
    if plan.is_needed:
        try:
            _replace(plan)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ConfigFileError(
                f"{shown_path(plan.saved.path)}: it cannot be written: {why}; nothing was changed"
            ) from None
    return plan.saved


def preview(
    snapshot: Snapshot,
    path: str | os.PathLike[str] | None = None,
    *,
    group: str | None = None,
    with_key: bool = False,
) -> Saved:
    """Tell what `save` would do, without doing it.

    Raises:
        ConfigFileError: The file cannot be read or edited.
        SettingError: There can be no group of this name.
    """
    return _plan(snapshot, path, group, with_key=with_key).saved


def as_toml(snapshot: Snapshot) -> str:
    """Give what `save` would write to an empty file, without keys and as `[llm]`."""
    empty = Document(Path(FILE_NAME))
    return edit(empty, FileChanges(snapshot, empty, None, with_key=False).tables).text


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to write.

    Attributes:
        saved: What to tell about it.
        text: The file's new text.
        mode: Its permission bits, or None to leave those of a new file to the system.
        status: That of the file as it is, or None when there is none.
        is_needed: Whether text or bits are not those of the file as it is.
    """

    saved: Saved
    text: str
    mode: int | None
    status: os.stat_result | None
    is_needed: bool


def _plan(
    snapshot: Snapshot, path: str | os.PathLike[str] | None, group: str | None, *, with_key: bool
) -> _Plan:
    file = absolute(path) if path is not None else snapshot.config_file or Path.cwd() / FILE_NAME
    before, status = _read(file)
    group = snapshot.group if group is None else group_named(group)
    changes = FileChanges(snapshot, before, group, with_key=with_key)
    after = edit(before, changes.tables)
    keys = [*snapshot.secrets(), *keys_in(before.data), *keys_in(after.data)]
    saved = Saved(
        path=file,
        diff=masked_diff(before.text, after.text, shown_path(file), keys, created=status is None),
        key_written=changes.writes_key,
        created=status is None,
        notes=tuple(masked(note, keys) for note in changes.notes(after)),
    )
    old_mode = None if status is None else stat.S_IMODE(status.st_mode)
    mode = _OWNER_ONLY if any(keys_in(after.data)) else old_mode
    is_needed = status is None or after.text != before.text or mode != old_mode
    return _Plan(saved, after.text, mode, status, is_needed)


def _read(file: Path) -> tuple[Document, os.stat_result | None]:
    """Read a config file, which need not be there."""
    status = None
    try:
        status = file.stat()
    except FileNotFoundError:
        return Document(file), None
    except OSError:
        pass  # read_file words it
    document = read_file(file)
    if document.problem is not None:
        raise ConfigFileError(
            f"{document.problem}; nothing was changed: correct it, or name another file"
        )
    return document, status


def _replace(plan: _Plan) -> None:
    """Write a temporary file and put it in the place of the file, or of what its link names."""
    target = Path(os.path.realpath(plan.saved.path))
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    # Of a new file without a key the system's umask decides.
    first_mode = 0o666 if plan.mode is None else _OWNER_ONLY
    try:
        with open(
            temporary, "xb", opener=lambda name, flags: os.open(name, flags, first_mode)
        ) as file:
            file.write(plan.text.encode())
            file.flush()
            os.fsync(file.fileno())
        if plan.status is not None and hasattr(os, "chown"):
            with suppress(OSError):  # giving a file to another person is root's privilege
                os.chown(temporary, plan.status.st_uid, plan.status.st_gid)
        if plan.mode is not None:
            temporary.chmod(plan.mode)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
