"""`openhands-llm-magic autoload`: a startup file by which every IPython loads the extension.

IPython runs the files of two folders at its start, in a kernel and in a terminal: that of the
environment, whatever the profile, and that of the person's default profile, which all of his
environments share. The file is read by other versions of Python, IPython and this package, too, so
it asks little of them, and all that it does is done by `load_ipython_extension`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from openhands_llm_magic.config import files
from openhands_llm_magic.errors import SettingError, Text, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Scope = Literal["sys-prefix", "user"]

SCOPES: tuple[Scope, ...] = ("sys-prefix", "user")
"""Whose kernels read the file: those of this environment, or those of this person."""

FILE_NAME = "50-openhands-llm-magic.py"

MARK = "# openhands-llm-magic autoload "
"""Begins the line with the hash of all that is below it: an edited file is the person's own."""

HEAD = """\
# Loads the magics of openhands-llm-magic at the start of IPython and of each kernel.
# `openhands-llm-magic autoload on` has written it, and `openhands-llm-magic autoload off` removes
# it. Once it is edited, neither of them touches it.
"""

BODY = """

def _openhands_llm_magic():
    import os
    import sys

    shell, name, path = get_ipython(), "openhands_llm_magic", sys.path[:]
    warn = "the magics of openhands-llm-magic are not loaded: %s"
    missing = "it is not installed, or only in the working folder; %s can be deleted"
    another = "there is another %llm; `%load_ext openhands_llm_magic` takes its place"
    try:
        # Not from the working folder, which may be a repository that somebody else wrote.
        sys.path[:] = [
            each
            for each in path
            if os.path.isabs(each) and not (os.path.exists(each) and os.path.samefile(each, "."))
        ]
        try:
            __import__(name)
        except ImportError:
            if {tells_missing}:
                shell.log.warning(warn, missing % __file__)
            return
        finally:
            sys.path[:] = path
        if name in shell.extension_manager.loaded:
            return
        if "llm" in shell.magics_manager.magics["line"]:
            shell.log.warning(warn, another)
            return
        shell.extension_manager.load_extension(name)
    except Exception as error:
        shell.log.warning(warn, " ".join(("%s: %s" % (type(error).__name__, error)).split()))


try:
    _openhands_llm_magic()
finally:
    del _openhands_llm_magic
"""

LONGEST_FILE = 100_000
"""Characters of a file that is compared with ours."""

PATIENCE_S = 60.0
"""How long an IPython that is started to see may take."""

ASKS_WHETHER = "print('openhands_llm_magic' in get_ipython().extension_manager.loaded)"

State = Literal["none", "current", "stale", "edited", "foreign"]

STATES: dict[State, str] = {
    "none": "{file}: there is none.",
    "current": "{file}: it is there, for {whose}.",
    "stale": "{file}: another version of this package has written it; `autoload on` renews it.",
    "edited": "{file}: it was changed by hand, and stays as it is.",
    "foreign": "{file}: it is not ours, and stays as it is.",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a startup file is.

    Attributes:
        scope: Whose kernels read it.
        root: The folder of the environment, or IPython's own; all that is written lies below it.
        file: The file.
    """

    scope: Scope
    root: Path
    file: Path

    @property
    def whose(self) -> Text:
        """Whose kernels read the file, in words."""
        if self.scope == "user":
            return Text("the default profile in all of your environments that have this package")
        return Text("the environment {folder}", folder=self.root)

    def text(self) -> str:
        """Return what this version writes into the file.

        Of an environment without the package only the environment's own file complains, as the
        person's is meant for those that have it.
        """
        body = BODY.replace("{tells_missing}", str(self.scope == "sys-prefix"))
        return f"{HEAD}{MARK}{_digest(body)}\n{body}"

    def state(self) -> tuple[State, bytes | None]:
        """Return what is there, and its content.

        Raises:
            SettingError: It cannot be read, is no file, or lies elsewhere.
        """
        try:
            self._require_within()
            status = self.file.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, _kind(status.st_mode))  # noqa: TRY301 - told as the others
            content = files.read(self.file, LONGEST_FILE)
        except FileNotFoundError:
            return "none", None
        except OSError as error:
            raise self.refused(error) from None
        if content == self.text().encode():
            return "current", content
        _, mark, below = content.decode(errors="replace").partition(MARK)
        digest, _, body = below.partition("\n")
        if not mark:
            return "foreign", content
        return ("stale" if digest.strip() == _digest(body) else "edited"), content

    def refused(self, error: OSError) -> SettingError:
        """Return the error of a file that cannot be read, written or removed."""
        return SettingError(Text("{file}: {why}.", file=self.file, why=reason_of(error)))

    def _require_within(self) -> None:
        """Refuse a folder that a link leads out of the environment, or of IPython's folder.

        Raises:
            OSError: It does.
        """
        root, real = (Path(os.path.realpath(each)) for each in (self.root, self.file.parent))
        if not real.is_relative_to(root):
            told = "its folder is a link to another place ({folder}), where nothing is written"
            raise OSError(0, Text(told, folder=real))


def _kind(mode: int) -> Text:
    if stat.S_ISLNK(mode):
        return Text("it is a link")
    return Text("it is a folder") if stat.S_ISDIR(mode) else Text("it is not a regular file")


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def place_of(scope: Scope) -> Place:
    """Return where the startup file of a scope is, as the IPython of this environment reads it.

    Raises:
        SettingError: IPython's folder cannot be written to; it would use another one each time.
    """
    if scope == "sys-prefix":
        root = Path(sys.prefix)
        return Place(scope, root, root / "etc" / "ipython" / "startup" / FILE_NAME)
    from IPython.paths import get_ipython_dir  # noqa: PLC0415 - of this scope alone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "IPython (dir|parent)")
        try:
            root = Path(get_ipython_dir())
        except (OSError, UserWarning):
            told = (
                "IPython can write to no folder of yours, and reads none: neither the one that"
                " IPYTHONDIR names, nor .ipython in your home folder."
            )
            raise SettingError(Text(told)) from None
    return Place(scope, root, root / "profile_default" / "startup" / FILE_NAME)


def switch_on(scope: Scope) -> list[Text]:
    """Write the startup file, and return what to tell of it.

    Raises:
        SettingError: It cannot be written, or what is there is not ours.
    """
    place = place_of(scope)
    state, before = place.state()
    if state in ("edited", "foreign"):
        raise SettingError(Text(STATES[state], file=place.file))
    if state != "current":
        try:
            place.file.parent.mkdir(parents=True, exist_ok=True)
            with files.writing(place.file) as draft:
                bits = 0o666  # others may use the environment, too; the umask counts
                if not draft.put(place.text().encode(), over=before, new_bits=bits):
                    raise OSError(0, Text("another program has just changed it"))  # noqa: TRY301 - told as the others
        except OSError as error:
            raise _unwritten(place, error) from None
        return [Text("{file} is written, for {whose}.", file=place.file, whose=place.whose), NEXT]
    return [Text(STATES["current"], file=place.file, whose=place.whose)]


NEXT = Text("Kernels and IPython load the magics when they start anew.")


def _unwritten(place: Place, error: OSError) -> SettingError:
    told = "{file}: {why}."
    if place.scope == "sys-prefix" and isinstance(error, PermissionError):
        told = "{file}: {why}. With --user it is written for you alone."
    return SettingError(Text(told, file=place.file, why=reason_of(error)))


def switch_off(scope: Scope) -> list[Text]:
    """Remove the startup file if it is ours, and return what to tell of it.

    Raises:
        SettingError: It cannot be removed, or is not ours.
    """
    place = place_of(scope)
    state, _ = place.state()
    if state in ("edited", "foreign"):
        raise SettingError(Text(STATES[state], file=place.file))
    if state != "none":
        try:
            place.file.unlink(missing_ok=True)
        except OSError as error:
            raise place.refused(error) from None
    told = "{file}: there is none." if state == "none" else "{file} is removed."
    return [Text(told, file=place.file), *_others(scope)]


def _others(scope: Scope) -> Iterator[Text]:
    """Tell of the file of the other scope, which goes on loading the magics."""
    for other in SCOPES:
        if other != scope:
            try:
                place = place_of(other)
                state, _ = place.state()
            except SettingError:
                continue
            if state in ("current", "stale"):
                told = "{file} still loads them: `autoload off --{scope}`."
                yield Text(told, file=place.file, scope=other)


def status(scopes: Sequence[Scope] = SCOPES) -> tuple[list[Text], bool]:
    """Return what there is to tell of each file, and whether an IPython that starts loads us."""
    lines = []
    for scope in scopes:
        try:
            place = place_of(scope)
            lines.append(Text(STATES[place.state()[0]], file=place.file, whose=place.whose))
        except SettingError as error:
            lines.append(error.text)
    loads, said = _started()
    if loads:
        told = "An IPython of {folder} was started to see: it loads the magics."
    elif said:
        told = "An IPython of {folder} was started to see: it does not load the magics: {said}"
    else:
        told = "An IPython of {folder} was started to see: it does not load the magics."
    return [*lines, Text(told, folder=sys.prefix, said=said)], loads


def _started() -> tuple[bool, str]:
    """Start the IPython of this environment; return whether it loads us, and its last warning."""
    options = ["--no-banner", "--HistoryManager.enabled=False", "-c", ASKS_WHETHER]
    with tempfile.TemporaryDirectory() as nowhere:
        try:
            ran = subprocess.run(  # noqa: S603 - this Python, and a fixed text
                [sys.executable, "-m", "IPython", *options],
                cwd=nowhere,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return False, str(error)
    said = [line for line in ran.stderr.splitlines() if line.strip()]
    return ran.stdout.split()[-1:] == ["True"], said[-1] if said else ""
