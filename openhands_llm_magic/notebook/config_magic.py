"""`%llm_config`: show, change, check, save and hand over the settings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.settings import SETTINGS, setting_named
from openhands_llm_magic.errors import UsageError
from openhands_llm_magic.notebook import arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from openhands_llm_magic.config.configurable import LLMSettings

HELP = """Show, change, test, check, save or hand over the settings that prompts are sent with.

    %llm_config                       open the settings panel; in a terminal, the same as --show
    %llm_config --show [NAME ...]     each setting, its value, and where the value comes from
    %llm_config num_retries=6 model=openai/gpt-4o
                                      change settings for this session, all of them or none
    %llm_config timeout=none          unset a setting
    %llm_config api_key               ask for the key, without showing it
    %llm_config api_key=$NAME         take the key from a variable of the notebook
    %llm_config --keyring             take the key that the panel kept in the system's keyring
    %llm_config --reset NAME ...      forget what this session changed (without a name, all of it)
    %llm_config --file PATH           read this config.toml from now on
    %llm_config --use NAME            use the group [llm.NAME] from now on (llm for [llm] itself)
    %llm_config --test                send a tiny prompt, and tell each step and what it cost
    %llm_config --check [PATH]        find mistakes in a config.toml and in LLM_* variables
    %llm_config --save [PATH] [--group NAME] [--with-key]
                                      write the settings to config.toml, the key only if you say so
    %llm_config --export FORM         hand them to OpenHands: docker, shell, toml or profile

Settings come, from the lowest to the highest, from their defaults, config.toml (`[llm]`), LLM_*
environment variables, ipython_config.py (`c.LLMSettings`), this session, and a cell's own flags.
A key typed into a cell would be saved with the notebook, so it is not taken.
"""

TERMINAL_HINT = (
    "In a notebook this is a panel. Here, change a setting with `%llm_config NAME=VALUE`, enter a"
    " key with `%llm_config api_key`; `%llm_config?` tells the rest."
)


@dataclass(frozen=True, slots=True)
class _Session:
    """What an action works with."""

    shell: Any
    settings: LLMSettings


def run(line: str, shell: Any, settings: LLMSettings, open_panel: Callable[[], None]) -> None:
    """Run one `%llm_config` line; without words it opens the panel, where there can be one.

    Raises:
        UsageError: The line is not one of those in `HELP`.
        SettingError: A value is bad, or there is no such setting; nothing is changed.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error}: check the quotes.") from None
    from openhands_llm_magic.notebook.view.display import front_end  # noqa: PLC0415 - see _show

    session = _Session(shell, settings)
    match words:
        case [] if front_end(shell) == "terminal":
            _show(session, [])
            print(TERMINAL_HINT)  # noqa: T201 - a magic's output
        case []:
            open_panel()
        case [option, *rest] if option in ACTIONS:
            ACTIONS[option](session, rest)
        case [option, *_] if option.startswith("-"):
            raise UsageError(
                f"there is no option {option!r}; there are {', '.join(ACTIONS)}, and NAME=VALUE."
                " `%llm_config?` explains them."
            )
        case [name] if name in SETTINGS and SETTINGS[name].kind == "secret":
            settings.change({name: _asked(name)})
        case _:
            settings.change(dict(_change(word, shell.user_ns) for word in words))


def _show(session: _Session, names: list[str]) -> None:
    """Show settings as a table."""
    # They bring the renderer of answers along, and `%load_ext` is instant.
    from openhands_llm_magic.notebook import settings_table  # noqa: PLC0415 - see above
    from openhands_llm_magic.notebook.view import display  # noqa: PLC0415 - see above

    snapshot = session.settings.snapshot()
    table = settings_table.rows(snapshot, names)
    problems = settings_table.problems(snapshot)
    display.show_both(
        session.shell,
        text=settings_table.as_text(table, problems),
        html=settings_table.as_html(table, problems),
    )


def _keyring(session: _Session, words: list[str]) -> None:
    """Take the key of the provider in use from the system's keyring."""
    from openhands_llm_magic.config import keychain  # noqa: PLC0415 - rarely needed

    if words:
        raise UsageError("write `%llm_config --keyring`.")
    session.settings.set(api_key=keychain.key_for(session.settings.snapshot()))


def _check(session: _Session, words: list[str]) -> None:
    """Print what is wrong with a config file and the environment."""
    from openhands_llm_magic.config import check  # noqa: PLC0415 - rarely needed

    path = _only(words, "--check [PATH]") if words else session.settings.snapshot().config_file
    findings = check.check(path)
    print(check.report(findings, Path(path) if path else None))  # noqa: T201 - a magic's output


def _test(session: _Session, words: list[str]) -> None:
    """Send a tiny prompt, and print how far it gets."""
    # Only the test needs them, see _show.
    from openhands_llm_magic.errors import Stopped  # noqa: PLC0415 - see above
    from openhands_llm_magic.llm.connection import ConnectionTest, Step  # noqa: PLC0415 - see above
    from openhands_llm_magic.llm.events import Retrying, Throttled  # noqa: PLC0415 - see above
    from openhands_llm_magic.notebook import connection_log, wording  # noqa: PLC0415 - see above

    if words:
        raise UsageError("write `%llm_config --test`.")
    say = wording.Language(wording.preferred())
    trial = ConnectionTest(session.settings.snapshot())
    try:
        for event in trial.run():
            match event:
                case Step() if event.state != "running":
                    print(*filter(None, connection_log.step_words(event, say)))  # noqa: T201 - see above
                case Retrying(wait_s=wait_s):
                    counted = wording.countdown_words(event, wait_s, say)
                    said = wording.said_words(event, say)
                    print(f"{counted} ({said})")  # noqa: T201 - see above
                case Throttled(throttled_s=0.0, remaining_s=left_s) if (
                    left_s >= wording.TOLD_FROM_S
                ):
                    print(wording.throttled_words(event, say))  # noqa: T201 - see above
    except KeyboardInterrupt:
        raise Stopped("the test was stopped.") from None
    if trial.reply.error is not None:
        raise trial.reply.error
    print(connection_log.end_words(trial.reply, say))  # noqa: T201 - see above


def _save(session: _Session, words: list[str]) -> None:
    """Write the settings to a config file, and print what changed in it."""
    from openhands_llm_magic.config import save  # noqa: PLC0415 - rarely needed

    parser = arguments.Parser(prog="%llm_config --save", add_help=False)
    parser.add_argument("path", nargs="?")
    parser.add_argument("--group")
    parser.add_argument("--with-key", action="store_true")
    given = parser.parse_args(words)
    snapshot = session.settings.snapshot()
    if given.with_key and snapshot.secrets():
        print("the key goes into the file as plain text, which you alone can read.")  # noqa: T201 - see above
    saved = save.save(snapshot, given.path, group=given.group, with_key=given.with_key)
    done = f"saved {shown_path(saved.path)}" if saved.diff else "nothing to change"
    kept_back = bool(snapshot.api_key) and not given.with_key
    hint = ["the key was not written; --with-key writes it."] if kept_back else []
    print("\n".join([*saved.diff.splitlines(), *saved.notes, *hint, done]))  # noqa: T201 - see above


def _export(session: _Session, words: list[str]) -> None:
    """Print the settings in a form that OpenHands takes."""
    from openhands_llm_magic.config import export  # noqa: PLC0415 - rarely needed

    form = _only(words, f"--export {'|'.join(export.FORMS)}")
    print(export.export(session.settings.snapshot(), form))  # noqa: T201 - see above


ACTIONS: Mapping[str, Callable[[_Session, list[str]], None]] = {
    "--show": _show,
    "--keyring": _keyring,
    "--reset": lambda session, names: session.settings.reset(names),
    "--file": lambda session, words: session.settings.use_file(_only(words, "--file PATH")),
    "--use": lambda session, words: session.settings.use_group(_only(words, "--use NAME")),
    "--test": _test,
    "--check": _check,
    "--save": _save,
    "--export": _export,
}


def _only(words: list[str], usage: str) -> str:
    """Return the one word that must follow an option."""
    if len(words) != 1:
        raise UsageError(f"write `%llm_config {usage}`.")
    return words[0]


def _asked(name: str) -> str:
    """Ask for a secret, without showing it."""
    from getpass import getpass  # noqa: PLC0415 - rarely needed

    try:
        return getpass(f"{name}: ")
    except (NotImplementedError, EOFError):  # nbclient and nbval let nobody type
        raise UsageError(
            f"{name} cannot be asked for where nobody can type: set the variable"
            f" {SETTINGS[name].variable}, or write `%llm_config {name}=$NAME` for a variable of"
            " the notebook that holds it."
        ) from None
    except KeyboardInterrupt:
        raise UsageError(f"{name} was not entered; nothing was changed.") from None


def _change(word: str, variables: Mapping[str, object]) -> tuple[str, object]:
    """Read a word NAME=VALUE, and return the name and the value."""
    name, equals, value = word.partition("=")
    setting = setting_named(name)
    if not equals:
        raise UsageError(f"{word}: write {word}=VALUE to change it, or --show {word} to see it.")
    if setting.kind == "secret" and value not in ("", "none"):
        return name, arguments.secret_named(setting, value, variables)
    return name, value
