"""How a file is read and written: whole, by one process at a time, and not if it is another's.

A text is written to a new file beside the old one, which then takes its place. The new file of
`config.toml` is always `.config.toml.new`, and it is the lock as well: who holds the lock on it may
write. A process that is killed loses its lock and leaves that one file, which only its owner can
read; the next that writes takes it over, so that nothing is ever left behind for good.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    flock = None  # type: ignore[assignment]

OWNER_ONLY = 0o600
"""The permission bits of a file that a prompt, an answer or a key may be in."""

OWNER_ONLY_FOLDER = 0o700
"""The permission bits of a folder of such files."""

ANY_BITS = 0o7777

WAIT_S = 10.0
"""Seconds to wait for another process that writes the same file, which takes thousandths of one."""

POLL_S = 0.01

ABANDONED_S = 60.0
"""Seconds after which a new file is a dead process's, where there are no locks to tell."""

TRUST_VARIABLE = "LLM_MAGIC_TRUST"

ANYTHING = b"\0anything"
"""In place of a file's content: it does not matter what was in the file."""

# The file system has no locks: Windows, and some that are mounted from elsewhere.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)

# Neither through a link that somebody has put there, nor waiting for the other end of a pipe.
_NEW_FILE = os.O_RDWR | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC")
)


class NotOwnedError(OSError):
    """A file belongs to another person, and is not used; `strerror` is a `Text`."""


def read(path: Path, most_bytes: int, env: Mapping[str, str] | None = None) -> bytes:
    """Return the content of a file.

    Args:
        path: The file.
        most_bytes: The size from which on it is not read.
        env: The environment, which may name files to be trusted; by default the process's.

    Raises:
        NotOwnedError: It is another person's; see `owner_of_other`.
        OSError: It cannot be read, is too large, or is no regular file, such as a device that
            never ends or a pipe that nobody writes to.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise OSError(0, Text("it is a folder"))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, Text("it is not a regular file"))
    if owner := owner_of_other(path, env):
        told = (
            "it belongs to {owner}, and what is not yours is not used; if you trust it, set"
            " {variable}={path}"
        )
        raise NotOwnedError(0, Text(told, owner=owner, variable=TRUST_VARIABLE, path=str(path)))
    content = b""
    if status.st_size <= most_bytes:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)  # it may have grown
    if max(status.st_size, len(content)) > most_bytes:
        told = "it is larger than {size_mb} MB"
        raise OSError(0, Text(told, size_mb=most_bytes // 1_000_000))
    return content


def owner_of_other(path: Path, env: Mapping[str, str] | None = None) -> str:
    """Return the name of the person that a file, or the link to it, belongs to, if not ours.

    It is "" for a file of whoever runs this, of root, of the person who called sudo, and for one
    that `LLM_MAGIC_TRUST` names. This is the rule that git has for repositories. A
    container's root does not own what is mounted from the person outside, as for git. Windows is
    not looked at.

    Raises:
        OSError: There is no such file.
    """
    if not hasattr(os, "geteuid"):
        return ""
    env = os.environ if env is None else env
    ours = {0, os.geteuid()}
    if os.geteuid() == 0 and env.get("SUDO_UID", "").isdecimal():
        ours.add(int(env["SUDO_UID"]))
    strangers = [
        status.st_uid for status in (path.lstat(), path.stat()) if status.st_uid not in ours
    ]
    if not strangers or is_trusted(path, env):
        return ""
    return _user_name(strangers[0])


def trusted_paths(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files and folders that `LLM_MAGIC_TRUST` names, without links in their paths."""
    named = env.get(TRUST_VARIABLE, "").split(os.pathsep)
    return tuple(Path(os.path.realpath(os.path.expanduser(each))) for each in named if each)  # noqa: PTH111 - there may be no home


def is_trusted(path: Path, env: Mapping[str, str]) -> bool:
    """Return whether `LLM_MAGIC_TRUST` names a file, or the folder that it is in.

    A folder stands for the files in it, and for none in folders below.
    """
    real = Path(os.path.realpath(path))
    return not {real, real.parent}.isdisjoint(trusted_paths(env))


def _user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - not on Windows

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return Text("the user {uid}", uid=uid)


def target_of(path: Path) -> Path:
    """Return the file that is written where a path is to be written: the target of a link.

    A link within its folder is followed, and one in a hidden folder of the person's home, such as
    `~/.openhands`: those who keep their settings elsewhere ("dotfiles") put links there. A link in
    any other folder may have come with somebody's repository.

    Raises:
        OSError: The link leads to another folder.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if Path(os.path.realpath(path.parent)) == target.parent or _is_in_hidden_folder_of_home(path):
        return target
    told = "it is a link to another folder, so name the file that is meant by itself: {target}"
    raise OSError(0, Text(told, target=target))


def _is_in_hidden_folder_of_home(path: Path) -> bool:
    try:
        return path.relative_to(Path.home()).parts[0].startswith(".")
    except (ValueError, IndexError, RuntimeError):  # elsewhere; nobody's home
        return False


class Draft:
    """A file that only this process writes now; see `writing`."""

    def __init__(self, path: Path, new: Path, descriptor: int) -> None:
        self._path = path
        self._new = new
        self._descriptor: int | None = descriptor

    def put(
        self,
        content: bytes,
        *,
        over: bytes | None = ANYTHING,
        new_bits: int = OWNER_ONLY,
        most_bits: int = ANY_BITS,
    ) -> bool:
        """Put a content in the place of the file's, and return whether that was done.

        It is not done if another program, which knows nothing of our lock, has changed the file.

        Args:
            content: What is to be in the file.
            over: What was in the file when it was read, or None where there was no file.
            new_bits: The permission bits of a file that is new, of which the umask takes some.
            most_bits: The permission bits that a file which was there may keep.

        Raises:
            OSError: It cannot be written; nothing is changed.
        """
        assert self._descriptor is not None  # noqa: S101 - for mypy: a draft is put once
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        with open(self._descriptor, "wb", closefd=False) as file:
            file.write(content)
            file.flush()
            os.fsync(self._descriptor)
        if over is not ANYTHING and self._content() != over:
            return False
        bits = new_bits & ~_umask()
        before = _status_of(self._path)
        if before is not None and stat.S_ISREG(before.st_mode):
            bits = stat.S_IMODE(before.st_mode) & most_bits
            with suppress(OSError, AttributeError):  # to give a file away is root's privilege
                os.chown(self._new, before.st_uid, before.st_gid)
        self._new.chmod(bits)
        self._replace(content, bits)
        return True

    def close(self) -> None:
        """Remove the new file unless it has taken the old one's place, and release the lock."""
        if self._descriptor is not None:
            with suppress(OSError):
                self._new.unlink()
            self._let_go()

    def _replace(self, content: bytes, bits: int) -> None:
        if flock is None:  # Windows moves no file that is open
            self._let_go()
        try:
            self._new.replace(self._path)
        except OSError as error:
            # A file that is mounted by itself, as docker and flatpak do it, cannot be replaced.
            if error.errno != errno.EBUSY:
                raise
            _overwrite(self._path, content, bits)
        else:
            self._let_go()

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None


@contextmanager
def writing(path: Path) -> Iterator[Draft]:
    """Let nobody else write a file meanwhile, and take away what a killed process left.

    Args:
        path: The file, whose folder must be there; see `target_of` for a link.

    Raises:
        OSError: There can be no new file in the folder, or another process does not finish.
    """
    new = _new_file_of(path)
    draft = Draft(path, new, _locked(new))
    try:
        yield draft
    finally:
        draft.close()


def is_being_written(path: Path) -> bool:
    """Return whether a process writes the file, or was killed while it did."""
    return os.path.lexists(_new_file_of(path))


def write(path: Path, content: bytes) -> None:
    """Write a file that prompts and answers are in, and its folder where it is missing.

    A link is not followed: the file takes its place.

    Raises:
        OSError: It cannot be written; nothing is changed.
    """
    path.parent.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    with writing(path) as draft:
        draft.put(content)


def write_new(path: Path, text: str, *, over: bool) -> None:
    """Write a file that a person has named, whole or not at all, in a folder that exists.

    Args:
        path: The file.
        text: What is written.
        over: Whether it may take the place of a file.

    Raises:
        FileExistsError: There is such a file, and `over` is false.
        OSError: It cannot be written; nothing is changed.
    """
    target = target_of(path)
    require_free(target, over=over)
    with writing(target) as draft:
        content = text.encode(errors="replace")
        if not draft.put(content, over=ANYTHING if over else None):
            raise FileExistsError  # it came just now


def require_free(path: Path, *, over: bool) -> None:
    """Refuse what is there already, unless it is a file that may be written over.

    Raises:
        FileExistsError: There is such a file, and `over` is false.
        OSError: It is refused.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        raise OSError(0, Text("it is a folder"))
    if not over:
        raise FileExistsError
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, Text("it is not a regular file"))


def _new_file_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _locked(new: Path) -> int:
    """Return a descriptor of the new file, which is empty and which no other process has."""
    ends_s = time.monotonic() + WAIT_S
    while time.monotonic() < ends_s:
        descriptor, is_ours = _opened(new)
        if descriptor is None:
            continue
        is_held = _lock(descriptor)
        if is_held or (is_held is None and is_ours):
            status = os.fstat(descriptor)
            now_there = _status_of(new)
            if now_there is not None and os.path.samestat(now_there, status):
                if _is_plain(status):
                    new.chmod(OWNER_ONLY)
                    os.ftruncate(descriptor, 0)
                    return descriptor
                new.unlink()  # somebody put it there
            os.close(descriptor)  # or the one who had the lock is done
        else:
            seconds_old = time.time() - os.fstat(descriptor).st_mtime
            os.close(descriptor)
            if is_held is None and seconds_old > ABANDONED_S:
                new.unlink(missing_ok=True)
            time.sleep(POLL_S)
    told = "another program has been writing it for {waited_s} s"
    raise OSError(errno.EAGAIN, Text(told, waited_s=f"{WAIT_S:.0f}"))


def _opened(new: Path) -> tuple[int | None, bool]:
    """Return a descriptor of the new file, or None, and whether it was made just now."""
    try:
        return os.open(new, _NEW_FILE | os.O_CREAT | os.O_EXCL, OWNER_ONLY), True
    except FileExistsError:
        pass
    try:
        return os.open(new, _NEW_FILE), False
    except FileNotFoundError:
        return None, False
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK):
            raise
        new.unlink()  # a link that somebody put there
        return None, False


def _lock(descriptor: int) -> bool | None:
    """Return whether this process has the lock now, or None where there are no locks.

    Then the process that has made the file is the one to write.
    """
    if flock is None:
        return None
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError as error:
        return None if error.errno in _NO_LOCKS else False
    return True


def _status_of(path: Path) -> os.stat_result | None:
    """Return the status of what is at a path, also of a link, or None where there is nothing."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _is_plain(status: os.stat_result) -> bool:
    """Return whether it is a file of our own that has no other name."""
    is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISREG(status.st_mode) and is_own and status.st_nlink == 1


def _overwrite(path: Path, content: bytes, bits: int) -> None:
    """Write into a file itself; blank lines fill it up, so that no piece of the old one is left."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.write(content.ljust(size, b"\n"))
        file.flush()
        file.truncate(len(content))
        os.fsync(file.fileno())
    path.chmod(bits)


def _umask() -> int:
    """Return the process's umask, which is only told when it is set."""
    bits = os.umask(0o077)
    os.umask(bits)
    return bits
