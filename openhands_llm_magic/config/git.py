"""Whether git has a file: what it tracks goes into a history, which others read."""

from __future__ import annotations

import os
import shutil
import subprocess
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ANSWERS_WITHIN_S = 10.0

# A repository that somebody else has made may name programs in its .git/config: git must run none.
_RUNS_NOTHING = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_FETCHES_NOTHING = {
    "GIT_ALLOW_PROTOCOL": "none",  # of a partial clone git would fetch what is missing
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_OWN_CONFIG = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")


class Standing(Enum):
    """What git has to do with a file."""

    OUTSIDE = "outside"
    """The file lies in no git repository."""
    IGNORED = "ignored"
    UNTRACKED = "untracked"
    TRACKED = "tracked"
    UNKNOWN = "unknown"
    """The file lies in a git repository, and git is not there, or does not tell."""


def standing_of(file: Path) -> Standing:
    """Return what git has to do with a file, which need not exist; a link is not followed."""
    folder = file.parent
    if not any(os.path.lexists(each / ".git") for each in (folder, *folder.parents)):
        return Standing.OUTSIDE
    status, told = _asked(
        folder, "--literal-pathspecs", "ls-files", "--error-unmatch", "--", file.name
    )
    if status == 0:
        return Standing.TRACKED
    if "not a git repository" in told:  # such as an empty folder .git
        return Standing.OUTSIDE
    if status != 1:
        return Standing.UNKNOWN
    ignored, _ = _asked(folder, "check-ignore", "--quiet", "--", file.name)
    return Standing.IGNORED if ignored == 0 else Standing.UNTRACKED


def _asked(folder: Path, *question: str) -> tuple[int | None, str]:
    """Run git, and return its exit status (None where it did not run) and what it complains of."""
    git = shutil.which("git")
    if git is None or not os.path.isabs(git):  # noqa: PTH117 - one of the working folder may be anyone's
        return None, ""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _OWN_CONFIG
    }
    try:
        done = subprocess.run(  # noqa: S603 - git itself, with nothing that a repository says
            [git, *_RUNS_NOTHING, "-C", str(folder), *question],
            env={**own, **_FETCHES_NOTHING},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWERS_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None, ""
    return done.returncode, done.stderr.decode(errors="replace")
