"""How files are written: none is lost, broken, left behind, or open to others."""

import errno
import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from setting_values import chosen

from openhands_llm_magic.config import files
from openhands_llm_magic.config.configurable import LLMSettings
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import preview, save
from openhands_llm_magic.errors import ConfigFileError

KEY = "sk-canary-0123456789"
FILE = '[llm]\nmodel = "m"\n'
CONFIG = Path("config.toml")
NEW = Path(".config.toml.new")

needs_owners = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def here() -> list[str]:
    return sorted(each.name for each in Path.cwd().iterdir() if each.name != "home")


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


# Several processes

SAVE_GROUPS = """
import sys
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import save
for number in range(20):
    settings = load_settings("config.toml", {}).with_overrides({"seed": number})
    save(settings, "config.toml", group=f"g{sys.argv[1]}-{number}")
"""


def test_three_that_save_at_once_lose_nothing() -> None:
    CONFIG.write_text(FILE)
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVE_GROUPS, str(number)])  # noqa: S603 - our own code
        for number in range(3)
    ]
    assert [each.wait() for each in savers] == [0, 0, 0]
    groups = tomllib.loads(CONFIG.read_text())["llm"]
    assert len([name for name in groups if name.startswith("g")]) == 60
    assert here() == ["config.toml"]


SAVE_UNTIL_KILLED = """
import itertools, os, random, signal, sys, time, tomllib
from pathlib import Path
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.save import save
import tomlkit
settings = load_settings("config.toml", {}).with_overrides({"api_key": "sk-canary-0123456789"})
chance = random.Random(7)
left = 0
for _ in range(60):
    child = os.fork()
    if not child:
        for seed in itertools.count(os.getpid() * 1000):
            save(settings.with_overrides({"seed": seed}), "config.toml", with_key=True)
    time.sleep(chance.uniform(0.005, 0.04))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    tomllib.loads(Path("config.toml").read_text())
    left = max(left, len(os.listdir(".")) - 1)
    assert all(os.stat(name).st_mode & 0o077 == 0 for name in os.listdir("."))
print(left)
"""


def test_sixty_that_are_killed_leave_nothing_behind() -> None:
    """The next save takes away what a killed one left, which only its owner could read."""
    folder = Path("killed")
    folder.mkdir()
    (folder / CONFIG).touch(0o600)
    (folder / CONFIG).write_text(FILE)
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", SAVE_UNTIL_KILLED],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(ran.stdout) <= 1, "however many are killed, one file is left"
    save(load_settings(folder / CONFIG, {}), folder / CONFIG)
    assert [each.name for each in folder.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("changes", [True, False])
def test_what_a_killed_process_left_is_taken_away_by_the_next(changes: bool) -> None:
    """Also by one that has nothing to write."""
    CONFIG.write_text(FILE)
    NEW.write_text(f'api_key = "{KEY}"')
    save(chosen(model="other" if changes else "m"), CONFIG)
    assert here() == ["config.toml"]
    assert KEY not in CONFIG.read_text()


def test_a_process_that_does_not_finish_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    CONFIG.write_text(FILE)
    monkeypatch.setattr(files, "WAIT_S", 0.05)
    with (
        files.writing(CONFIG),
        pytest.raises(ConfigFileError, match=r"config\.toml: .*another program has been writing"),
    ):
        save(chosen(model="other"), CONFIG)
    assert CONFIG.read_text() == FILE
    assert here() == ["config.toml"]


def edited_meanwhile(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let an editor, which knows nothing of our lock, write while ours does."""
    sync = os.fsync
    numbers = iter(range(times))

    def edit(descriptor: int) -> None:
        sync(descriptor)
        if (number := next(numbers, None)) is not None:
            CONFIG.write_text(f"{CONFIG.read_text()}\n[llm.editor{number}]\n")

    monkeypatch.setattr(os, "fsync", edit)


def test_what_an_editor_writes_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    CONFIG.write_text(FILE)
    edited_meanwhile(monkeypatch, 2)
    save(chosen(model="other"), CONFIG)
    assert tomllib.loads(CONFIG.read_text()) == {
        "llm": {"model": "other", "editor0": {}, "editor1": {}}
    }


def test_a_file_that_changes_again_and_again_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    CONFIG.write_text(FILE)
    edited_meanwhile(monkeypatch, 1000)
    with pytest.raises(ConfigFileError, match="changes it again and again; nothing was changed"):
        save(chosen(model="other"), CONFIG)
    assert tomllib.loads(CONFIG.read_text())["llm"]["model"] == "m"
    assert here() == ["config.toml"]


def test_where_there_are_no_locks_the_new_file_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, and on some file systems; one that is old is a dead process's."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files, "flock", no_locks)
    CONFIG.write_text(FILE)
    save(chosen(model="other"), CONFIG)
    assert 'model = "other"' in CONFIG.read_text()
    NEW.touch()
    with monkeypatch.context() as patch:
        patch.setattr(files, "WAIT_S", 0.05)
        with pytest.raises(ConfigFileError, match="another program"):
            save(chosen(model="third"), CONFIG)
    os.utime(NEW, (0, 0))
    save(chosen(model="third"), CONFIG)
    assert here() == ["config.toml"]


def test_a_file_that_is_mounted_by_itself_is_written_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Docker's `-v FILE:FILE` lets nothing take its place."""

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    CONFIG.write_text(f"{FILE}seed = 5\n# {'long ' * 50}\n")
    at = CONFIG.stat().st_ino
    monkeypatch.setattr(Path, "replace", busy)
    for values in ({"model": "n", "seed": None}, {"model": "m" * 500}):
        save(chosen(**values), CONFIG)
        assert tomllib.loads(CONFIG.read_text())["llm"] == {"model": values["model"]}
        assert (CONFIG.stat().st_ino, here()) == (at, ["config.toml"])


# Who may read them


@pytest.mark.parametrize("bits", [0o077, 0o022])
def test_the_umask_is_kept_to(bits: int) -> None:
    with umask(bits):
        save(chosen(), "without.toml")
        save(chosen(api_key=KEY), "with.toml", with_key=True)
        files.write(Path("answers/one.json"), b"{}")
    assert mode(Path("without.toml")) == 0o666 & ~bits
    assert mode(Path("with.toml")) == mode(Path("answers/one.json")) == 0o600
    assert mode(Path("answers")) == 0o700


@pytest.mark.parametrize("bits", [0o400, 0o600, 0o640, 0o664])
def test_a_file_never_gets_wider(bits: int) -> None:
    for path in (CONFIG, Path("answer.json")):
        path.write_text(FILE)
        path.chmod(bits)
    save(chosen(api_key=KEY), CONFIG, with_key=True)
    files.write(Path("answer.json"), b"{}")
    assert mode(CONFIG) == bits & 0o600
    assert mode(Path("answer.json")) == bits


# Links


@pytest.fixture
def elsewhere() -> Path:
    """A file in another folder."""
    folder = Path("elsewhere")
    folder.mkdir()
    file = folder / "settings.toml"
    file.write_text(FILE)
    return file.resolve()


def test_a_link_to_another_folder_is_not_written_through(elsewhere: Path) -> None:
    """Such as a repository may have, with the settings of another program as its target."""
    CONFIG.symlink_to(elsewhere)
    for function in (save, preview):
        with pytest.raises(ConfigFileError) as caught:
            function(chosen(model="other"), CONFIG)
    assert str(caught.value) == (
        "config.toml: it is a link to another folder, so name the file that is meant by itself:"
        f" {elsewhere}; nothing was changed"
    )
    assert (elsewhere.read_text(), CONFIG.is_symlink()) == (FILE, True)
    save(chosen(model="other"), elsewhere)
    assert 'model = "other"' in elsewhere.read_text()


def test_settings_that_are_kept_elsewhere_are_written_there(elsewhere: Path) -> None:
    """A link in a hidden folder of the home is the person's own, as dotfiles managers make them."""
    for folder in (".openhands", ".config/openhands"):
        link = Path.home() / folder / "config.toml"
        link.parent.mkdir(parents=True)
        link.symlink_to(elsewhere)
        save(chosen(model=folder), link)
        assert link.is_symlink()
        assert load_settings(elsewhere, {}).model == folder
        assert [each.name for each in elsewhere.parent.iterdir()] == [elsewhere.name]


def test_a_folder_that_is_a_link_is_followed(elsewhere: Path) -> None:
    """The person has named it, or works in it."""
    Path("linked").symlink_to(elsewhere.parent)
    save(chosen(model="other"), Path("linked") / elsewhere.name)
    assert 'model = "other"' in elsewhere.read_text()


@pytest.mark.parametrize("planted", ["link", "hard link", "pipe"])
def test_what_somebody_puts_in_place_of_the_new_file_is_not_written(
    elsewhere: Path, planted: str
) -> None:
    CONFIG.write_text(FILE)
    if planted == "link":
        NEW.symlink_to(elsewhere)
    elif planted == "hard link":
        NEW.hardlink_to(elsewhere)
    else:
        os.mkfifo(NEW)
    save(chosen(api_key=KEY, model="other"), CONFIG, with_key=True)
    assert elsewhere.read_text() == FILE
    assert here() == ["config.toml", "elsewhere"]
    assert mode(CONFIG) == 0o600


# Other people's


def given_away(path: Path, uid: int = 4321) -> Path:
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


@needs_owners
def test_a_config_file_of_another_person_is_not_used_and_that_is_said() -> None:
    CONFIG.write_text('[llm]\nmodel = "theirs"\n')
    given_away(CONFIG)
    settings = load_settings(env={})
    (problem,) = settings.problems
    assert settings.model != "theirs"
    assert str(problem) == (
        "config.toml: it belongs to the user 4321, and what is not yours is not used; if you trust"
        f" it, set LLM_MAGIC_TRUST={CONFIG.absolute()}"
    )
    for function in (load_settings, lambda path: save(chosen(), path)):
        with pytest.raises(ConfigFileError, match="belongs to the user 4321"):
            function("config.toml")


@needs_owners
def test_the_link_may_be_another_persons_as_well() -> None:
    Path("mine.toml").write_text(FILE)
    CONFIG.symlink_to("mine.toml")
    given_away(CONFIG)
    assert "belongs to" in str(load_settings(env={}).problems[0])


@needs_owners
@pytest.mark.parametrize("trusted", ["config.toml", ".", "~"])
def test_what_is_named_as_trusted_is_used(
    trusted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    CONFIG.write_text('[llm]\nmodel = "theirs"\n')
    given_away(CONFIG)
    session = LLMSettings()
    assert session.snapshot().model != "theirs"
    monkeypatch.setenv("LLM_MAGIC_TRUST", os.pathsep.join(["/nowhere", trusted]))
    assert load_settings().model == session.snapshot().model == "theirs"


@needs_owners
def test_who_calls_sudo_owns_files_still(monkeypatch: pytest.MonkeyPatch) -> None:
    CONFIG.write_text('[llm]\nmodel = "mine"\n')
    given_away(CONFIG)
    monkeypatch.setenv("SUDO_UID", "4321")
    assert load_settings().model == "mine"
    save(chosen(model="other"), CONFIG)
    assert CONFIG.stat().st_uid == 4321


@needs_owners
def test_a_repository_of_another_person_does_not_lead_to_a_file_above(tmp_path: Path) -> None:
    """Whoever may write to /tmp could make one of it."""
    CONFIG.write_text('[llm]\nmodel = "above"\n')
    (tmp_path / ".git").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    os.chdir(work)
    assert load_settings(env={}).model == "above"
    given_away(tmp_path / ".git")
    settings = load_settings(env={})
    assert settings.model != "above"
    (problem,) = settings.problems
    assert "config.toml: it is not used" in str(problem)
    assert f"{tmp_path / '.git'} belongs to the user 4321" in str(problem)
    assert load_settings(env={"LLM_MAGIC_TRUST": str(tmp_path)}).model == "above"
    (work / CONFIG).write_text('[llm]\nmodel = "here"\n')
    assert load_settings(env={}).model == "here"


# Git


@pytest.fixture
def repository() -> Path:
    """A git repository that tracks config.toml."""
    CONFIG.write_text(FILE)
    git("init", "-q")
    git("add", "config.toml")
    return Path.cwd()


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True)  # noqa: S603, S607 - a test


def with_key(path: Path | str = CONFIG, **options: Any) -> tuple[str, ...]:
    """Save a key, and return the notes."""
    return save(chosen(model="m", api_key=KEY), path, with_key=True, **options).notes


@pytest.mark.usefixtures("repository")
def test_no_key_goes_into_a_file_that_git_tracks() -> None:
    for function in (save, preview):
        with pytest.raises(ConfigFileError) as caught:
            function(chosen(model="m", api_key=KEY), CONFIG, with_key=True)
    assert str(caught.value) == (
        "config.toml: git tracks this file, and others can read a key in git's history; nothing"
        " was changed: save without the key, which the keyring or LLM_API_KEY can hold, name a"
        " file that git does not track, or pass force=True to write it there all the same"
    )
    assert CONFIG.read_text() == FILE
    save(chosen(model="other", api_key=KEY), CONFIG)
    assert with_key(force=True) == ()
    assert KEY in CONFIG.read_text()
    with_key()  # it is there already


@pytest.mark.usefixtures("repository")
def test_a_file_that_git_does_not_ignore_is_told() -> None:
    assert with_key("new.toml") == (
        "git does not ignore new.toml, and would take the key along: name it in .gitignore",
    )
    Path(".gitignore").write_text("*.toml\n")
    assert with_key("other.toml") == ()


def test_a_file_outside_of_git_needs_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert with_key() == ()


def test_a_folder_that_only_looks_like_gits_is_none() -> None:
    Path(".git").mkdir()
    assert with_key() == ()


@pytest.mark.usefixtures("repository")
def test_a_name_is_no_pattern_to_git() -> None:
    assert len(with_key("c*.toml")) == 1


def test_the_file_that_a_link_leads_to_is_the_one_that_counts(repository: Path) -> None:
    """As of dotfiles, which are shared."""
    link = Path.home() / ".openhands" / "config.toml"
    link.parent.mkdir(parents=True)
    link.symlink_to(repository / CONFIG)
    with pytest.raises(ConfigFileError, match="git tracks this file"):
        with_key(link)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("path", ["", ".:"])
def test_where_git_cannot_be_asked_nothing_is_risked(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A git of the working folder is anyone's, so it is not asked either."""
    Path("git").write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    Path("git").chmod(0o755)
    monkeypatch.setenv("PATH", path)
    with pytest.raises(ConfigFileError, match="git cannot say whether it tracks this file"):
        with_key()
    assert not Path("ran").exists()
    assert with_key(force=True) == ()


@needs_owners
def test_a_repository_of_another_person_is_not_asked(repository: Path) -> None:
    for each in (repository, repository / ".git"):
        given_away(each)
    with pytest.raises(ConfigFileError, match="git cannot say"):
        with_key()


@pytest.mark.usefixtures("repository")
def test_git_runs_no_program_that_a_repository_names() -> None:
    run = str(Path("run.sh").absolute())
    Path(run).write_text("#!/bin/sh\ntouch ran\n")
    Path(run).chmod(0o755)
    for name in ("core.fsmonitor", "core.sshCommand", "core.pager", "filter.x.clean"):
        git("config", name, run)
    git("config", "core.hooksPath", str(Path.cwd()))
    Path("post-index-change").symlink_to(run)
    git_runs_it = subprocess.run(["git", "status"], check=False, capture_output=True)  # noqa: S607 - a test
    assert git_runs_it.returncode is not None
    assert Path("ran").exists(), "git itself runs them"
    Path("ran").unlink()
    with pytest.raises(ConfigFileError, match="git tracks"):
        with_key()
    with_key("new.toml")
    assert not Path("ran").exists()
