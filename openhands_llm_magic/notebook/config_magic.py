"""`%llm_config`: show, change, check, save and hand over the settings."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from openhands_llm_magic.config.document import shown_path
from openhands_llm_magic.config.resolve import absolute
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.config.settings import BUDGETS, SETTINGS
from openhands_llm_magic.config.width import narrow
from openhands_llm_magic.errors import SettingError, Text, UsageError
from openhands_llm_magic.notebook import arguments, from_ai, language, prompt_options, scope
from openhands_llm_magic.notebook.language import cell_words, print_texts
from openhands_llm_magic.notebook.line import words as split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from openhands_llm_magic.config.check import Finding
    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.secret import Secret
    from openhands_llm_magic.llm.openhands import folder
    from openhands_llm_magic.llm.reply import Reply

HELP = Text("""Show, change, test, check, save or hand over the settings that prompts are sent with.

    %llm_config                       open the settings panel; in a terminal, the same as --show
    %llm_config --show [NAME ...]     each setting, its value, and where the value comes from
    %llm_config num_retries=6 model=openai/gpt-4o
                                      change settings for this session, all of them or none
    %llm_config timeout=none          unset a setting
    %llm_config api_key               ask for the key, without showing it
    %llm_config api_key=$NAME         take the key from a variable of the notebook
    %llm_config --keyring             take the key that the panel kept in the system's keyring
    %llm_config --alias NAME MODEL    give a model a short name for this session, as in -m NAME;
                                      `none` takes it away, and without words all are listed
    %llm_config --reset NAME ...      forget what this session changed (without a name, all of it)
    %llm_config --file PATH           read this config.toml from now on
    %llm_config --use NAME            use the group [llm.NAME] from now on (llm for [llm] itself)
    %llm_config --test [--retries]    send a tiny prompt once, and tell each step and what it cost;
                                      wait out passing faults only with --retries, and pass a
                                      limit of what is spent only with --over-budget
    %llm_config --advice              say whether retries outlast the waits that the model's server
                                      has been seen to ask for, here and in OpenHands, and what to
                                      set if they do not
    %llm_config --practice PROVIDER [MODEL]
                                      without a key for this provider, let a practice server on
                                      this machine answer in its place, for this session; MODEL,
                                      such as rate-limited, is what each model there acts as
    %llm_config --check [PATH]        find mistakes in a config.toml and in LLM_* variables
    %llm_config --trust [PATH]        let this config.toml decide where prompts and keys go, as it
                                      is now; --untrust takes that back, --trusted lists all
    %llm_config --save [PATH] [--group NAME] [--with-key [--force]]
                                      write the settings to config.toml, the key only if you say so,
                                      and into a file that git tracks only with --force
    %llm_config --from-openhands [NAME]
                                      take what the current OpenHands has: the profile of this
                                      name, agent_settings.json for its CLI's model, or
                                      settings.json for its GUI's; without a name the only one,
                                      or a list
    %llm_config --to-openhands NAME [--with-key] [--force]
                                      write them as a profile of the current OpenHands, the key
                                      only if you say so; --force also where the profile's own key
                                      would go to another server
    %llm_config --export FORM         hand them to OpenHands: profile or shell for the current one
                                      (CLI 1.16.0, SDK 1.58.2), docker or toml for 0.41

Settings come, from the lowest to the highest, from their defaults, config.toml (`[llm]`), LLM_*
environment variables, ipython_config.py (`c.LLMSettings`), this session, and a cell's own flags.
A key typed into a cell would be saved with the notebook, so it is not taken. `{name}` puts in a
variable: `model={name}`. Short names of models can stand in config.toml, in the table
`[openhands_llm_magic.aliases]`, which OpenHands leaves alone.
""")

TERMINAL_HINT = (
    "In a notebook this is a panel. Here, change a setting with `%llm_config NAME=VALUE`, enter a"
    " key with `%llm_config api_key`; `%llm_config?` tells the rest."
)


@dataclass(frozen=True, slots=True)
class _Session:
    """What an action works with."""

    shell: Any
    settings: LLMSettings


def run(
    line: str,
    shell: Any,
    settings: LLMSettings,
    open_panel: Callable[[], None],
    local: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Run one `%llm_config` line; without words it opens the panel, where there can be one.

    `local` are the variables of the function that the line stands in.

    Raises:
        UsageError: The line is not one of those in `HELP`.
        SettingError: A value is bad, or there is no such setting; nothing is changed.
    """
    words = split_words(line, (*ACTIONS, "--group", "--with-key", "--force"))
    from openhands_llm_magic.notebook.view.display import front_end  # noqa: PLC0415 - see _show

    session = _Session(shell, settings)
    own = scope.variables_of(shell, local).own if "{" in line else {}
    match words:
        case [] if front_end(shell) == "terminal":
            _show(session, [])
            print_texts(*advice_on(settings.snapshot()), Text(TERMINAL_HINT))
        case []:
            open_panel()
        case [option, *rest] if option in ACTIONS:
            ACTIONS[option](session, arguments.with_variables(rest, own, option))
        case [option, *_] if option.startswith("-"):
            told = (
                "there is no option {option}; there are {options}, and NAME=VALUE. `%llm_config?`"
                " explains them."
            )
            raise UsageError(Text(told, option=repr(option), options=", ".join(ACTIONS)))
        case [name] if name in SETTINGS and SETTINGS[name].kind == "secret":
            settings.change({name: _asked(name)})
            _tell_taken(name, getattr(settings.snapshot(), name))
        case _:
            known = {**shell.user_ns, **local}
            settings.change(dict(_change(word, known, own) for word in words))


def _show(session: _Session, names: list[str]) -> None:
    """Show settings as a table."""
    # They bring the renderer of answers along, and `%load_ext` is instant.
    from openhands_llm_magic.notebook import settings_table  # noqa: PLC0415 - see above
    from openhands_llm_magic.notebook.view import display  # noqa: PLC0415 - see above

    snapshot = session.settings.snapshot()
    say = cell_words()
    table = settings_table.rows(snapshot, say, names)
    problems = [each.worded(say) for each in settings_table.problems(snapshot)]
    display.show_both(
        session.shell,
        text=settings_table.as_text(table, problems, say),
        html=settings_table.as_html(table, problems, say),
    )


def _advice(session: _Session, words: list[str]) -> None:
    """Print whether retries outlast what was seen of the server, and what to set if not."""
    from openhands_llm_magic.llm.limits import advice, seen  # noqa: PLC0415 - rarely needed

    if words:
        raise UsageError(Text("write `%llm_config --advice`."))
    snapshot = session.settings.snapshot()
    print_texts(*advice.told_in_full(snapshot, seen.seen(snapshot)))


def advice_on(snapshot: Snapshot) -> list[Text]:
    """Say what to set where retries do not outlast what was seen."""
    from openhands_llm_magic.llm.limits import advice, seen  # noqa: PLC0415 - see _show

    return advice.told(advice.advice(snapshot, seen.seen(snapshot)))


def _keyring(session: _Session, words: list[str]) -> None:
    """Take the key of the provider in use from the system's keyring."""
    from openhands_llm_magic.config import keychain  # noqa: PLC0415 - rarely needed

    if words:
        raise UsageError("write `%llm_config --keyring`.")
    session.settings.set(api_key=keychain.key_for(session.settings.snapshot()))


def _check(session: _Session, words: list[str]) -> None:
    """Print what is wrong with a config file and the environment."""
    from openhands_llm_magic.config import check  # noqa: PLC0415 - rarely needed
    from openhands_llm_magic.llm.openhands import sent  # noqa: PLC0415 - rarely needed

    settings = session.settings.snapshot()
    path = _only(words, "--check [PATH]") if words else settings.config_file
    findings = sent.checked(path)
    if not words:
        findings += _of_session(settings)
    report = check.report(findings, Path(path) if path else None, language.cell_words())
    print(report)  # noqa: T201 - a magic's output


def _of_session(settings: Snapshot) -> Iterator[Finding]:
    """Yield what is wrong with values that neither the file nor the environment has."""
    from openhands_llm_magic.config.check import check_settings  # noqa: PLC0415 - rarely needed
    from openhands_llm_magic.llm.practice import stand_in  # noqa: PLC0415 - rarely needed

    elsewhere = ("file", "environment", "default")
    of_practice = stand_in.left_over(settings)
    for each in check_settings(settings):
        is_own = each.origin.kind not in elsewhere and each.setting not in of_practice
        if is_own and each.is_problem:
            yield each


def _test(session: _Session, words: list[str]) -> None:
    """Send a tiny prompt, and print how far it gets."""
    # Only the test needs them, see _show.
    from openhands_llm_magic.errors import Stopped  # noqa: PLC0415 - see above
    from openhands_llm_magic.llm.connection import ConnectionTest, Step  # noqa: PLC0415 - see above
    from openhands_llm_magic.llm.events import Retrying, Throttled  # noqa: PLC0415 - see above
    from openhands_llm_magic.notebook import connection_log, wording  # noqa: PLC0415 - see above

    if not {"--retries", "--over-budget"}.issuperset(words):
        raise UsageError("write `%llm_config --test`, alone or with --retries or --over-budget.")
    say = cell_words()
    lifted = dict.fromkeys(BUDGETS) if "--over-budget" in words else {}
    retries = "--retries" in words
    snapshot = session.settings.snapshot().with_overrides(lifted)
    trial = ConnectionTest(snapshot, retries=retries)
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
    error = trial.reply.error
    if error is None:
        print(connection_log.end_words(trial.reply, say))  # noqa: T201 - see above
    elif connection_log.may_pass(error) and not retries:
        print(say("`%llm_config --test --retries` waits and tries again."))  # noqa: T201 - see above
    print_texts(*_advice_after(trial.reply, snapshot))
    if error is not None:
        raise error


def _advice_after(reply: Reply, snapshot: Snapshot) -> list[Text]:
    """Say what to set where a test has met a limit, and retries would not outlast it."""
    from openhands_llm_magic.notebook import connection_log  # noqa: PLC0415 - see _show

    met = [each.caused_by for each in reply.waits] + ([reply.error] if reply.error else [])
    return advice_on(snapshot) if any(map(connection_log.may_pass, met)) else []


def _practice(session: _Session, words: list[str]) -> None:
    """Let the practice server answer in place of a provider, if there is no key for that one."""
    from openhands_llm_magic.llm.practice import stand_in  # noqa: PLC0415 - rarely needed

    if len(words) == 1:
        words = words[0].split("/", 1)  # as Python's `practice_in_place_of` takes it
    if not 0 < len(words) <= 2:  # noqa: PLR2004 - the two of its usage
        raise UsageError(Text("write `%llm_config --practice PROVIDER [MODEL]`."))
    settings = session.settings
    provider = stand_in.provider_named(words[0])
    found = stand_in.found_in(settings.snapshot(), provider)
    if found is None:
        values = stand_in.in_place_of(settings.snapshot(), provider.name, *words[1:])
        settings.set(**values)
        told = (
            "no key for {provider}: the practice server on this machine answers in its place, which"
            " is not a language model. `%llm_config --reset` ends that."
        )
        if provider.local:
            told = (
                "no server of {provider} runs: the practice server on this machine answers in its"
                " place, which is not a language model. `%llm_config --reset` ends that."
            )
        lines = [Text(told, provider=Text(provider.called))]
        if model := values.get("model"):
            told = "As no model was chosen, {model} is asked for."
            lines.append(Text(told, model=model))
        elif another := stand_in.another_providers_model(settings.snapshot()):
            lines.append(another)
        print_texts(*lines)
        return
    if left_over := stand_in.left_over(settings.snapshot()):
        settings.reset(left_over)
    told = "{provider} itself is asked: {found}."
    print_texts(Text(told, provider=Text(provider.called), found=found))


def _save(session: _Session, words: list[str]) -> None:
    """Write the settings to a config file, and print what changed in it."""
    from openhands_llm_magic.config import save  # noqa: PLC0415 - rarely needed
    from openhands_llm_magic.llm.practice import stand_in  # noqa: PLC0415 - rarely needed

    parser = arguments.Parser(prog="%llm_config --save", add_help=False)
    parser.add_argument("path", nargs="?")
    parser.add_argument("--group")
    parser.add_argument("--with-key", action="store_true")
    parser.add_argument("--force", action="store_true")
    given = parser.parse_args(words)
    snapshot, left_out = stand_in.handed_over(session.settings.snapshot(), with_keys=True)
    if given.with_key and snapshot.secrets():
        print_texts(Text("the key goes into the file as plain text, which you alone can read."))
    saved = save.save(
        snapshot, given.path, group=given.group, with_key=given.with_key, force=given.force
    )
    print_texts(*saved.diff.splitlines(), *left_out, *saved.notes)
    if snapshot.api_key and not given.with_key:
        print_texts(Text("the key was not written; --with-key writes it."))
    done = Text("saved {file}", file=shown_path(saved.path))
    print_texts(done if saved.diff else Text("nothing to change"))


def _from_openhands(session: _Session, words: list[str]) -> None:
    """Take the settings of a profile of OpenHands, or of its CLI, and show them."""
    from openhands_llm_magic.llm.openhands import folder  # noqa: PLC0415 - rarely needed

    if words:
        chosen = folder.named(_only(words, "--from-openhands [NAME]"))
    else:
        chosen = _only_kept(folder.kept())
    taken = folder.take(chosen)
    session.settings.take(taken.layer)
    _show(session, taken.shown)
    print_texts(*taken.notes)


def _only_kept(kept: list[folder.Kept]) -> folder.Kept:
    """Return the one file that there is; of several, print a list."""
    from openhands_llm_magic.llm.openhands import folder  # noqa: PLC0415 - rarely needed

    if not kept:
        place = shown_path(folder.profiles_folder(os.environ))
        told = "OpenHands has no profile in {folder}, its CLI no {file}, and its GUI no {gui}."
        facts = {"folder": place, "file": folder.CLI_FILE, "gui": folder.GUI_FILE}
        raise UsageError(Text(told, **facts))
    if len(kept) > 1:
        print_texts(*map(folder.described, kept))
        raise UsageError(Text("which of them? Write `%llm_config --from-openhands NAME`."))
    return kept[0]


def _to_openhands(session: _Session, words: list[str]) -> None:
    """Write the settings as a profile of OpenHands, and print what changed in it."""
    from openhands_llm_magic.llm.openhands import profile  # noqa: PLC0415 - rarely needed
    from openhands_llm_magic.llm.practice import stand_in  # noqa: PLC0415 - rarely needed

    parser = arguments.Parser(prog="%llm_config --to-openhands", add_help=False)
    parser.add_argument("name")
    parser.add_argument("--with-key", action="store_true")
    parser.add_argument("--force", action="store_true")
    given = parser.parse_args(words)
    snapshot, left_out = stand_in.handed_over(session.settings.snapshot(), with_keys=True)
    if given.with_key and snapshot.secrets():
        print_texts(Text("the key goes into the file as plain text, which you alone can read."))
    saved = profile.save(snapshot, given.name, with_key=given.with_key, force=given.force)
    print_texts(*saved.diff.splitlines(), *left_out, *saved.notes)
    done = Text("saved {file}", file=shown_path(saved.path))
    print_texts(done if saved.diff else Text("nothing to change"))


def _export(session: _Session, words: list[str]) -> None:
    """Print the settings in a form that OpenHands takes."""
    from openhands_llm_magic.config import export  # noqa: PLC0415 - rarely needed
    from openhands_llm_magic.llm.practice import stand_in  # noqa: PLC0415 - rarely needed

    form = _only(words, f"--export {'|'.join(export.FORMS)}")
    snapshot, left_out = stand_in.handed_over(session.settings.snapshot(), with_keys=False)
    print(export.export(snapshot, form))  # noqa: T201 - see above
    print_texts(*left_out, file=sys.stderr)  # who takes the text elsewhere takes it without them


def _trust(session: _Session, words: list[str]) -> None:
    """Trust the config file in use, or another, and print what it names."""
    from openhands_llm_magic.config import trusted  # noqa: PLC0415 - rarely needed

    print_texts(trusted.told(trusted.trust(_file(session, words, "--trust [PATH]"))))


def _untrust(session: _Session, words: list[str]) -> None:
    """Trust the config file in use, or another, no longer."""
    from openhands_llm_magic.config import trusted  # noqa: PLC0415 - rarely needed

    print_texts(trusted.untrusted(_file(session, words, "--untrust [PATH]")))


def _trusted(_session: _Session, words: list[str]) -> None:
    """List the config files that are trusted."""
    from openhands_llm_magic.config import trusted  # noqa: PLC0415 - rarely needed

    if words:
        raise UsageError(Text("write `%llm_config --trusted`."))
    print_texts(*([*map(trusted.told, trusted.listed())] or [trusted.NOTHING]))


def _file(session: _Session, words: list[str], usage: str) -> Path:
    """Return the config file that a line names, or that is in use."""
    path = _only(words, usage) if words else session.settings.snapshot().config_file
    if path is None:
        raise UsageError(Text("there is no config.toml here."))
    return absolute(path)


def _only(words: list[str], usage: str) -> str:
    """Return the one word that must follow an option."""
    if len(words) != 1:
        raise UsageError(Text("write `%llm_config {usage}`.", usage=usage))
    return words[0]


def _asked(name: str) -> str:
    """Ask for a secret, without showing it."""
    from getpass import getpass  # noqa: PLC0415 - rarely needed

    try:
        return getpass(f"{name}: ")
    except (NotImplementedError, EOFError):  # nbclient and nbval let nobody type
        told = (
            "{name} cannot be asked for where nobody can type: set the variable {variable}, or"
            " write `%llm_config {name}=$NAME` for a variable of the notebook that holds it."
        )
        raise UsageError(Text(told, name=name, variable=SETTINGS[name].variable)) from None
    except KeyboardInterrupt:
        told = "{name} was not entered; nothing was changed."
        raise UsageError(Text(told, name=name)) from None


def _tell_taken(name: str, secret: Secret | None) -> None:
    """Tell that a secret was taken, with its length, by which one that was cut shows."""
    if not secret:
        print_texts(Text("nothing was entered: {name} is not set in this session.", name=name))
        return
    told = "{name} is taken, with {count} characters; it counts from this session's next prompt."
    print_texts(Text(told, name=name, count=len(secret.get_secret_value())))


def _change(
    word: str, variables: Mapping[str, object], own: Mapping[str, object]
) -> tuple[str, object]:
    """Read a word NAME=VALUE, and return the name and the value.

    Args:
        word: The word.
        variables: Where `$NAME` is looked up.
        own: Where `{name}` is looked up.
    """
    name, equals, value = _EQUALS.sub("=", word, count=1).partition("=")
    name = narrow(name)
    if name not in SETTINGS:
        meant = prompt_options.meant_setting(name)
        told = "there is no setting {name}{meant}"
        text = Text(told, name=shorten(repr(name)), meant=meant)
        raise SettingError(text, setting=name)
    setting = SETTINGS[name]
    if not equals:
        told = "{name}: write {name}=VALUE to change it, or --show {name} to see it."
        raise UsageError(Text(told, name=word))
    if setting.kind == "secret" and value not in ("", "none"):
        return name, arguments.secret_named(setting, value, variables)
    return name, arguments.put_in(value, own, name, whole=setting.kind in ("list", "dict"))


_EQUALS = re.compile("[=＝]")  # noqa: RUF001 - an input method's


def _alias(session: _Session, words: list[str]) -> None:
    """Give a model a short name for this session, take one away, or list them."""
    aliases: dict[str, Any] = session.settings.snapshot().aliases or {}
    match words:
        case []:
            listed = [f"{name}  {model}" for name, model in aliases.items()]
            print_texts(*listed or [Text(NO_ALIASES)])
        case [name, "none"]:
            if name not in aliases:
                known = ", ".join(aliases) or Text("none")
                told = "there is no short name {name}; there are: {known}."
                raise UsageError(Text(told, name=repr(name), known=known))
            session.settings.set(aliases={each: aliases[each] for each in aliases if each != name})
        case [name, model] if _SHORT_NAME.fullmatch(name):
            model = from_ai.slashed(model) or model
            session.settings.set(aliases={**aliases, name: model})
            print_texts(Text("-m {name} is {model} in this session.", name=name, model=model))
        case [name, _]:
            told = "a short name has letters, digits, - and _ alone, unlike {name}."
            raise UsageError(Text(told, name=repr(name)))
        case _:
            raise UsageError("write `%llm_config --alias NAME MODEL`.")


_SHORT_NAME = re.compile(r"[A-Za-z0-9_-]+")  # a key of TOML without quotes

NO_ALIASES = "There are no short names yet: `%llm_config --alias fast openai/gpt-4o-mini`."

ACTIONS: Mapping[str, Callable[[_Session, list[str]], None]] = {
    "--show": _show,
    "--alias": _alias,
    "--keyring": _keyring,
    "--reset": lambda session, names: session.settings.reset(names),
    "--file": lambda session, words: session.settings.use_file(_only(words, "--file PATH")),
    "--use": lambda session, words: session.settings.use_group(_only(words, "--use NAME")),
    "--test": _test,
    "--advice": _advice,
    "--practice": _practice,
    "--check": _check,
    "--trust": _trust,
    "--untrust": _untrust,
    "--trusted": _trusted,
    "--save": _save,
    "--from-openhands": _from_openhands,
    "--to-openhands": _to_openhands,
    "--export": _export,
}
