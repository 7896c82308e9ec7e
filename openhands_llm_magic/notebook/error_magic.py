"""`%llm_error`: ask the model why a cell failed."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.secret import SHORTEST_REAL_KEY, Secrecy, Secret, masked, secrecy
from openhands_llm_magic.errors import LLMMagicError, Text, UsageError
from openhands_llm_magic.llm.conversations import fenced
from openhands_llm_magic.notebook import prompt_options, scope
from openhands_llm_magic.notebook.language import cell_words, print_texts
from openhands_llm_magic.notebook.last_error import NONE_YET, Failure, LastError, failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from openhands_llm_magic.config.configurable import LLMSettings

HELP = Text("""Ask the model why the last cell that failed did so, and how to put it right.

    %llm_error                               explain the last exception
    %llm_error why only on Windows?          with a question of your own
    %llm_error -m openai/gpt-4o --chat fix   with the options of %llm; `%%llm --chat fix` goes on

It sends the traceback and the cells that it passes through, cut to max_message_chars: of a long
traceback the end is kept. The values of variables are not sent. Keys that the settings, the
environment or variables such as api_key hold are masked, and what looks like a key.

An exception that is not of the last cell is named before it is sent: one of a thread, or an older
one. What a cell caught and printed is not known; explain it within its `except` block.

Errors of %llm itself are one line that says what to do. They are not sent, and not the last
exception: after one, `%llm_error` still explains yours. Inside an `except` block it explains the
exception that is handled there.
""")

INSTRUCTION = (
    "A cell of a Jupyter notebook failed. Say briefly why, then how to put it right, with the"
    " corrected code."
)

ALL_SAID = "That line says all there is to it, and nothing was sent."


def asked(
    line: str, last: LastError, shell: Any, settings: LLMSettings, local: Mapping[str, object]
) -> tuple[str, str] | None:
    """Make a line and a body for `%%llm` out of a line for `%llm_error`.

    Args:
        line: What stands after `%llm_error`.
        last: The last exception.
        shell: The session.
        settings: Its settings.
        local: The variables of the function that the line stands in.

    Returns:
        The two, or None when nothing is to be sent.

    Raises:
        UsageError: There is no exception, or an option is wrong.
        SettingError: A setting has a value that it does not take.
    """
    own = scope.variables_of(shell, local).own
    options = prompt_options.parse(line, {**shell.user_ns, **local}, own)
    found = _handled(shell) or last.own
    if found is None and not last.line:
        nothing = UsageError(NONE_YET)
        last.pass_over(nothing)
        raise nothing
    if found is None:
        print_texts(*last.line.splitlines(), Text(ALL_SAID))
        return None
    from openhands_llm_magic.llm.prepare import secrets_of  # noqa: PLC0415 - on use, see `magics`

    snapshot = settings.snapshot(options.settings, options.group)
    secrets = [*secrets_of(snapshot), *_secrets_in(shell.user_ns)]
    # Else it may not be the one that the person has seen last.
    if found is last.own and (last.line or not last.is_of_last_cell):
        print_texts(Text("Explaining {title}", title=masked(found.title, secrets)))
    limit_chars = snapshot.max_message_chars
    body = prompt(found, options.prompt, secrets, limit_chars=limit_chars)
    if _CUT.search(body):
        told = "What is sent of it was cut to {limit} characters (max_message_chars)."
        print_texts(Text(told, limit=f"{limit_chars:,}"))
    return f"--raw {line.strip().removesuffix(options.prompt)}", body


def _handled(shell: Any) -> Failure | None:
    """Return the exception whose `except` block the magic stands in."""
    error = sys.exception()
    if error is None or isinstance(error, LLMMagicError):
        return None
    return failure(error, "", shell)


def prompt(found: Failure, question: str, secrets: Iterable[str], *, limit_chars: int) -> str:
    """Write the prompt: of the exception what fits, without the secrets, and the person's question.

    Its traceback and its cells may have `limit_chars` characters in all.
    """
    secrets = tuple(secrets)
    share = limit_chars * 3 // 4 if found.cells else limit_chars
    told = masked(found.traceback, secrets).strip()
    room = limit_chars - min(len(told), share)
    blocks = [cell_words()(INSTRUCTION)]  # the answer is in its language
    for name, source in found.cells:
        text = masked(source, secrets).strip()
        if room > 0 and text:
            blocks.append(f"{name}:\n\n{fenced(_beginning(text, room))}")
            room -= len(text)
    blocks += [f"The traceback:\n\n{fenced(_end(told, share))}", question]
    return "\n\n".join(block for block in blocks if block)


_CUT = re.compile(r"^… \([\d,]+ characters (?:before|more)\)$", re.MULTILINE)
"""What stands in the place of what is left out."""


def _end(text: str, limit: int) -> str:
    """Cut a text from its beginning: the last frames and the message tell most."""
    left_out = len(text) - limit
    return text if left_out <= 0 else f"… ({left_out:,} characters before)\n{text[left_out:]}"


def _beginning(text: str, limit: int) -> str:
    left_out = len(text) - limit
    return text if left_out <= 0 else f"{text[:limit]}\n… ({left_out:,} characters more)"


def _secrets_in(variables: Mapping[str, object]) -> Iterator[str]:
    """Yield the values of variables with the name of a secret; a mere `key` is often no secret."""
    for name, value in variables.items():
        text = value.get_secret_value() if isinstance(value, Secret) else value
        if (
            isinstance(text, str)
            and secrecy(name) == Secrecy.SURE
            and len(text) >= SHORTEST_REAL_KEY
        ):
            yield text
