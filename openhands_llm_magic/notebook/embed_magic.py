"""`%llm_embed`: texts of the notebook into vectors for NumPy."""
# ruff: noqa: PLC0415 - `%load_ext` is instant, so what only this magic needs is imported on use

from __future__ import annotations

import contextlib
import functools
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.secret import masked
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import Text, UsageError
from openhands_llm_magic.llm import explain
from openhands_llm_magic.notebook import arguments, scope
from openhands_llm_magic.notebook.asking import Interrupts
from openhands_llm_magic.notebook.buttons import Clicks, Waits
from openhands_llm_magic.notebook.language import cell_words
from openhands_llm_magic.notebook.line import split

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from openhands_llm_magic.config.configurable import LLMSettings
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import RequestError
    from openhands_llm_magic.llm.embedding.embed import Embeddings
    from openhands_llm_magic.llm.events import Event
    from openhands_llm_magic.llm.reply import Reply
    from openhands_llm_magic.llm.worker import Clock
    from openhands_llm_magic.notebook.view.display import View


OWN_SETTINGS = [
    *(setting for setting in SETTINGS.values() if setting.topic == "embedding"),
    *(SETTINGS[name] for name in ("api_key", "api_version")),
    *(setting for setting in SETTINGS.values() if setting.topic == "retries"),
]
"""The settings that a line can set for itself, the model first."""

_FLAG = re.compile(r"(?:^|\s)(?=(-\w|--[a-z][\w-]*)(?:[\s=]|$))")


@dataclass(frozen=True, slots=True)
class Options:
    """What stands on a line.

    Attributes:
        expression: What gives the texts, in Python.
        out: The variable that the vectors are stored in.
        group: The NAME of the `[llm.NAME]` whose settings apply.
        settings: Settings for this line alone, by name.
    """

    expression: str
    out: str | None
    group: str | None
    settings: Mapping[str, Any]


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Make the parser of the line's options."""
    made = arguments.Parser(prog="%llm_embed", add_help=False, allow_abbrev=False)
    made.add_argument("-o", "--out", metavar="NAME")
    made.add_argument("-g", "--group", metavar="NAME")
    for setting in OWN_SETTINGS:
        arguments.add_flag(made, setting, "-m" if setting.name == "embedding_model" else None)
    arguments.add_over_budget(made)
    return made


def parse(
    line: str, variables: Mapping[str, object], own: Mapping[str, object] | None = None
) -> Options:
    """Read a line: options before or after a Python expression, which may look like one.

    Args:
        line: The line.
        variables: Where `$NAME` is looked up, the value of a key's flag.
        own: Where `{name}` is looked up in the value of another flag; by default the same.

    Raises:
        UsageError: There is an unknown option, no expression, or a key typed as plain text.
        SettingError: A setting's value is not one that it takes.
    """
    words, expression = _parted(line.strip())
    given = arguments.read(words, parser())
    if not expression:
        raise UsageError("name the texts, as in `%llm_embed texts -o vectors`; see its help.")
    arguments.lift_limits(given)
    own = variables if own is None else own
    out = arguments.put_in(given.pop("out", None), own, "--out")
    if out is not None:
        arguments.require_name(out)
    group = arguments.put_in(given.pop("group", None), own, "--group")
    return Options(expression, out, group, arguments.settings_in(given, variables, own))


def _parted(line: str) -> tuple[list[str], str]:
    """Part a line into its options and the expression between them."""
    known = arguments.flags_of(parser())
    words, rest = split(line, known)
    found = [(match.start(), match[1]) for match in _FLAG.finditer(rest)]
    for start, flag in found:
        after, left = split(rest[start:], known)
        if flag in known and not left and is_python(rest[:start]):
            return [*words, *after], rest[:start].strip()
    if not is_python(rest):
        # Not that the text is no Python, but that the option is none.
        words += [flag for start, flag in found if flag not in known and is_python(rest[:start])]
    return words, rest


def is_python(text: str) -> bool:
    """Tell whether a text is a Python expression."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about it is said when it runs
        try:
            compile(text.strip(), "", "eval")
        except (SyntaxError, ValueError):
            return False
    return True


_FLAGS = ", ".join(setting.flag for setting in OWN_SETTINGS[1:])
_FLAGS = textwrap.fill(_FLAGS, width=96, break_on_hyphens=False)
_FLAGS = textwrap.indent(_FLAGS, "    ")

HELP = Text(
    """Turn a text, or a list of texts, into vectors for NumPy.

    %llm_embed texts -o vectors                      into a variable
    vectors = %llm_embed [each.title for each in rows]
    %llm_embed "a text" -m openai/text-embedding-3-small

What stands there is Python: a text, or a list, a pandas Series or another iterable of texts. The
value is an array of float64 with a row for each text, or for a single text its one vector. Without
NumPy it is a sequence of the same shape, which numpy.asarray takes as it is.

    -o, --out NAME               store the vectors in this variable, only when all have come
    -m, --embedding-model NAME   the model; practice/embed needs no account
    -g, --group NAME             use the settings of [llm.NAME]
    --over-budget                send them even where a limit of what is spent would not let them

Other settings for this line alone:

{flags}

OpenHands' names of embedding models are understood: openai, azureopenai with
embedding_deployment_name, voyage, and its names of Ollama's models, such as nomic-embed-text.
api_key goes along only to the server that your prompts go to; elsewhere the key is that of the
provider's own variable, such as OPENAI_API_KEY, or the one on the line, as `--api-key $NAME`.

Many texts go in several requests, each with the retries and the deadline of a prompt: at most 96
texts and about 8,000 tokens in one; for OpenAI and Azure 256 and 100,000; for your own server
behind openai/ 32 and 8,000. If one fails, or you stop it, the vectors that had come are in `_`.
""",
    flags=_FLAGS,
)

TOLD_EVERY_S = 0.2
"""Seconds between two updates of how far it is."""


def options_of(line: str, shell: Any, local: Mapping[str, object]) -> Options:
    """Read a line with a session's variables; `local` are those of the function it stands in.

    Raises:
        UsageError: The line cannot be read.
        SettingError: A setting's value is not one that it takes.
    """
    return parse(line, {**shell.user_ns, **local}, scope.variables_of(shell, local).own)


def run(
    options: Options,
    shell: Any,
    settings: LLMSettings,
    clicks: Clicks,
    clock: Clock | None = None,
) -> Any:
    """Run one `%llm_embed` line; return the vectors, unless they are stored.

    Raises:
        RequestError: A request failed; its `reply` is the `Embeddings` of the texts before it.
        SettingError: No embedding model is set, or it cannot be used as it is.
        UsageError: The line gives no texts.
    """
    texts, alone = _texts(_value(options.expression, shell))
    snapshot = settings.snapshot(options.settings, options.group)
    with Interrupts(in_kernel=hasattr(shell, "kernel")) as interrupts:
        made, reply = _Embedding(texts, snapshot, shell, clicks, clock).run(interrupts)
        vectors = _array(made[0] if alone and made else made)
        if reply.error is not None:
            if made:
                # A line that raises has no value; this keeps what came in `_` and `Out[n]`.
                shell.displayhook.update_user_ns(vectors)
            raise reply.error from None
    if options.out is None:
        return vectors
    shell.user_ns[options.out] = vectors
    return None


def _value(expression: str, shell: Any) -> Any:
    """Compute what stands on the line; it is the person's own code, like that of any cell."""
    if not is_python(expression):
        told = "{expression} is no Python expression; put a text in quotes."
        raise UsageError(Text(told, expression=repr(expression)))
    try:
        value = shell.ev(expression)
        return list(value) if isinstance(value, Iterator) else value
    except Exception as error:  # noqa: BLE001 - whatever the person's code raises
        said = masked(" ".join(f"{type(error).__name__}: {error}".split()))
        raise UsageError(Text("{at}: {why}", at=expression, why=said)) from None


def _texts(value: Any) -> tuple[list[str], bool]:
    """Return the texts in a value, and whether it is a text itself."""
    if isinstance(value, str):
        return [str(value)], True
    many = isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | Mapping)
    if not many or getattr(value, "ndim", 1) != 1:  # a DataFrame would give its columns' names
        told = "%llm_embed takes a text or a list of texts, not this {kind}."
        raise UsageError(Text(told, kind=type(value).__name__))
    texts = list(value)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            told = "item {number} of {count} is no text, but of type {kind}."
            where = {"number": f"{number:,}", "count": f"{len(texts):,}"}
            raise UsageError(Text(told, kind=type(text).__name__, **where))
    return [str(text) for text in texts], False


def _array(vectors: Any) -> Any:
    """Return vectors as an array of NumPy, where it is installed."""
    try:
        import numpy as np  # type: ignore[import-not-found,unused-ignore]  # it need not be there
    except ImportError:
        return vectors
    return np.asarray(vectors)


class _Embedding:
    """The requests of one line, and what is shown of them."""

    def __init__(
        self,
        texts: Sequence[str],
        settings: Snapshot,
        shell: Any,
        clicks: Clicks,
        clock: Clock | None,
    ) -> None:
        from openhands_llm_magic.llm.embedding import embed as embedding
        from openhands_llm_magic.llm.reply import ReplyBuilder
        from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Control

        self._shell = shell
        self._settings = settings
        self._clicks = clicks
        self._clock = clock or SYSTEM_CLOCK
        self._control = Control()
        self._running = embedding.run(
            embedding.prepare(texts, settings), self._clock, self._control
        )
        self._count = len(texts)
        self._builder = ReplyBuilder(settings.embedding_model or "")
        self._parts: list[Embeddings] = []
        self._done = 0
        self._told_s = self._clock.now()

    def run(self, interrupts: Interrupts) -> tuple[Any, Reply]:
        """Make the requests; return the vectors that came, and the waits and the failure."""
        from openhands_llm_magic.notebook.view import display

        where, model = display.front_end(self._shell), self._builder.model
        with contextlib.closing(Waits(self._clicks, self._control, self._clock)) as waits:
            view = display.view_on(where, model, self._clock, waits)
            interrupts.watch(self._running, partial(self._take, view=view), view)
            return self._finished(view)

    def _take(self, event: Event | Embeddings, view: View) -> None:
        from openhands_llm_magic.llm.embedding.embed import Embeddings

        if not isinstance(event, Embeddings):
            self._builder.add(event)
            view.update(event, self._builder)
            return
        self._parts.append(event)
        self._done += len(event.vectors)
        now_s = self._clock.now()
        if self._done < self._count and now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            done = {"done": f"{self._done:,}", "count": f"{self._count:,}"}
            view.tell(cell_words()("{done} of {count} vectors", **done))

    def _finished(self, view: View) -> tuple[Any, Reply]:
        """Show what came of all requests; return the vectors and the reply."""
        from dataclasses import replace

        from openhands_llm_magic.llm.embedding.embed import Embeddings
        from openhands_llm_magic.llm.spending import budget

        made = Embeddings.joined(self._parts)
        reply = self._builder.reply
        if reply.error is not None:
            error = _told(reply.error, self._done, self._count)
            error.reply = made
            reply = replace(reply, error=error)
        if self._parts:
            notes = (words(made), *reply.notes, *budget.notes(self._settings))
            reply = replace(reply, notes=notes)
        view.render(reply)
        view.finish()
        return made.vectors, reply


def _told(error: RequestError, done: int, count: int) -> RequestError:
    """Add to a failure where the vectors are that came before it."""
    if count == 1:
        return error
    told = "{error} The first {done} of {count} vectors are in `_`."
    if not done:
        told = "{error} No vectors came."
    return error.reworded(Text(told, error=error.text, done=f"{done:,}", count=f"{count:,}"))


def words(made: Embeddings) -> Text:
    """Write what came and what it cost, as in "3 vectors of 1,536 numbers, 12 tokens, $0.001"."""
    count, width = made.vectors.shape
    told = "1 vector of {width} numbers" if count == 1 else "{count} vectors of {width} numbers"
    said = [Text(told, count=f"{count:,}", width=f"{width:,}")]
    if made.usage is not None:
        tokens = made.usage.total_tokens
        said.append(Text("1 token") if tokens == 1 else Text("{count} tokens", count=f"{tokens:,}"))
    if made.is_local:
        said.append(Text("local"))
    elif made.cost_usd is not None:
        said.append(Text.joined([explain.usd(made.cost_usd)]))
    return Text.listed(said)
