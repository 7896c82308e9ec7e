"""What a cell shows of a request while it runs, and below its answer: words, and their HTML."""

from __future__ import annotations

import html
import json
import math
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config import trust
from openhands_llm_magic.config.providers import Server, is_loopback, provider_of
from openhands_llm_magic.config.setting import shorten
from openhands_llm_magic.llm import events, explain
from openhands_llm_magic.llm.explain import THROTTLED_BY
from openhands_llm_magic.notebook.language import cell_words, worded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.events import Retrying
    from openhands_llm_magic.llm.reply import Reply, ReplyBuilder
    from openhands_llm_magic.llm.worker import Clock


SET_BY = {"server": "as the server asks", "policy": "by the retry policy"}

CUT_OFF = {
    "length": "cut off at the limit of the answer's tokens: raise max_output_tokens, if it is set",
    "content_filter": "cut off by the provider's content filter",
    "context": "cut off where the model's context, or a limit of the server, was full",
}
"""What is said of an answer with text, by its finish_reason."""

BAR_WIDTH = 10
"""Characters of the bar of a wait."""

TOLD_FROM_S = 0.5
"""Seconds for which a request is held back that are told."""

NOTED_FROM_S = 1.0
"""Seconds for which a request was held back that are worth a note."""

MOST_SAID = 160
"""Characters of a server's words that are shown during a wait."""


def seconds(duration_s: float, say: Say | None = None) -> str:
    """Write a duration: below a minute to a tenth of a second, above it as "5 min 19 s"."""
    say = say or cell_words()
    tenths_s = round(duration_s, 1)
    if tenths_s < 60:  # noqa: PLR2004 - a minute
        return say("{seconds} s", seconds=f"{tenths_s:g}")
    minutes, seconds_left = divmod(round(duration_s), 60)
    return say("{minutes} min {seconds} s", minutes=minutes, seconds=seconds_left)


def countdown_words(retrying: Retrying, remaining_s: float, say: Say | None = None) -> str:
    """Write a wait as it is counted down.

    Example: "Rate limit (429): retry 1 of 4 in 3 s, as the server asks".
    """
    say = say or cell_words()
    fault = retrying.caused_by
    told = say(fault.label).removeprefix("a ")
    what = told[:1].upper() + told[1:] + (f" ({fault.status})" if fault.status else "")
    if remaining_s <= 0:
        asking = "{fault}: retry {retry} of {of}, asking again …"
        return say(asking, fault=what, retry=retrying.retry, of=retrying.of)
    return say(
        "{fault}: retry {retry} of {of} in {seconds} s, {set_by}",
        fault=what,
        retry=retrying.retry,
        of=retrying.of,
        seconds=math.ceil(remaining_s),
        set_by=say(SET_BY[retrying.set_by]),
    )


def throttled_words(held: events.Throttled, say: Say | None = None) -> str:
    """Write for how long a request is held back, and why; a moment is not worth a word."""
    say = say or cell_words()
    if held.remaining_s < TOLD_FROM_S:
        return say("asking …")
    left_s = math.ceil(held.remaining_s)
    return say("Held back for {seconds} s, {why}", seconds=left_s, why=say(THROTTLED_BY[held.by]))


def call_words(name: str, arguments: Mapping[str, Any], limit_chars: int) -> str:
    """Write a call as Python does, with values in JSON: `weather(city="Kyoto")`.

    A model may write anything for the name of an argument, so that is in JSON, too, where it could
    be taken for something else.
    """
    written = partial(json.dumps, ensure_ascii=False)
    given = (
        f"{key if key.isidentifier() else written(key)}={written(each)}"
        for key, each in arguments.items()
    )
    words = f"{name}({', '.join(given)})"
    return words if len(words) <= limit_chars else f"{words[:limit_chars]}… ({len(words):,})"


def again_words() -> str:
    """Write what stands between a partial answer, which stays where it is, and the next one."""
    return cell_words()("the answer broke off; asking again")


def correcting_words(problem: str) -> str:
    """Write what stands between an answer that did not fit, and the next."""
    return cell_words()("the answer did not fit ({problem}); asking once more", problem=problem)


def bar(retrying: Retrying, remaining_s: float) -> str:
    """Draw how much of a wait is over, as in "▰▰▰▱▱▱▱▱▱▱"."""
    share = remaining_s / retrying.wait_s if retrying.wait_s > 0 else 0.0
    left = math.ceil(BAR_WIDTH * min(max(share, 0.0), 1.0))
    return "▰" * (BAR_WIDTH - left) + "▱" * left


def said_words(retrying: Retrying, say: Say | None = None) -> str:
    """Return what the server said about the fault, in short, on one line."""
    told = retrying.caused_by.text.worded(say or cell_words())
    return shorten(" ".join(told.split()), MOST_SAID)


def note_words(reply: Reply) -> str:
    """Write the note that stays: how the answer was cut off, and what was waited for.

    Example: "waited 12 s for a rate limit, 2 retries". There is none for an answer as it should be.
    """
    say = cell_words()
    notes = worded(reply.notes, say)
    if reply.error is None and reply.finish_reason in CUT_OFF:
        notes.append(say(CUT_OFF[reply.finish_reason]))
    if reply.throttled_s >= NOTED_FROM_S:
        notes.append(say("held back {duration}", duration=seconds(reply.throttled_s, say)))
    return "; ".join(filter(None, [*notes, waits_words(reply, say)]))


def footer_words(reply: Reply, *, with_time: bool = True) -> str:
    """Write what an answer was made by, took and cost, or "" where that is not to be told.

    Example: "gpt-4o · 1,234 tokens in (1,000 cached), 56 out · about $0.0123 · 2.3 s".

    Args:
        reply: The answer.
        with_time: Whether the seconds are told; a text that nbval compares must not have them.
    """
    if not (reply.has_footer and reply.is_whole and reply.text):
        return ""
    say = cell_words()
    parts = [
        reply.model_answered or reply.model,
        *_host_words(reply, say),
        tokens_words(reply, say),
        cost_words(reply, say),
    ]
    if reply.attempts == 0:
        parts.append(say("stored answer"))
    elif with_time and reply.took_s is not None:
        parts.append(seconds(reply.took_s, say))
    return " · ".join(parts)


def _host_words(reply: Reply, say: Say) -> list[str]:
    """Name the host of an answer that came neither from the provider's own nor this machine."""
    provider = provider_of(reply.model)
    is_own = provider is not None and provider.runs(Server("https", reply.host, 443))
    if not reply.host or is_own or is_loopback(reply.host):
        return []
    return [say("from {host}", host=trust.shown_host(f"https://{reply.host}"))]


def tokens_words(reply: Reply, say: Say) -> str:
    """Write the tokens that an answer took, with those that were cached."""
    usage = reply.usage
    if usage is None:
        return say("tokens not counted")
    counts = {"given": f"{usage.prompt_tokens:,}", "answered": f"{usage.completion_tokens:,}"}
    if not usage.cached_tokens:
        return say("{given} tokens in, {answered} out", **counts)
    cached = f"{usage.cached_tokens:,}"
    return say("{given} tokens in ({cached} cached), {answered} out", cached=cached, **counts)


def cost_words(reply: Reply, say: Say) -> str:
    """Write what an answer cost; a list's price is no price of a server on this machine."""
    if reply.is_local:
        return say("local")
    if reply.cost_usd is None:
        return say("cost unknown")
    usd = explain.usd(reply.cost_usd)
    return say("about {usd}", usd=usd) if reply.cost_told_by == "price list" else usd


def waits_words(reply: Reply, say: Say) -> str:
    """Write what was waited for between attempts, or "" where nothing was."""
    if not reply.waits:
        return ""
    waited: defaultdict[str, float] = defaultdict(float)
    for wait in reply.waits:
        waited[wait.caused_by.label] += wait.wait_s
    causes = say(" and ").join(
        say("{duration} for {fault}", duration=seconds(wait_s, say), fault=say(label))
        for label, wait_s in waited.items()
    )
    if len(reply.waits) == 1:
        return say("waited {causes}, 1 retry", causes=causes)
    return say("waited {causes}, {count} retries", causes=causes, count=len(reply.waits))


AT_ONCE_S = 0.5
"""A step that takes no longer is not shown; for most requests that is each of them."""

QUIET_S = 2.0
"""Seconds without text after which that is said."""


class Progress:
    """Follows the events of a request, and says with seconds what it is doing.

    Attributes:
        said: The server's own words about a fault that is waited for, or "".
        done: How much of the work is done, which stands in front of each step, or "".
    """

    def __init__(self, model: str, clock: Clock) -> None:
        self._clock = clock
        self._say = say = cell_words()
        self._asking = say("asking {model}", model=model)
        self._what = self._fixed = self._before = self.said = self.done = ""
        self._began_s = clock.now()
        self._thinking: ReplyBuilder | None = None
        self._thought = (0, "")  # at which second
        self._begin(self._asking)

    def see(self, event: events.Event, builder: ReplyBuilder) -> None:
        """Take in the next event."""
        match event:
            case events.TextDelta():
                if self._what:
                    self._begin("")
                self._began_s = self._clock.now()
            case events.ReasoningDelta() if self._thinking is None:
                self._begin(self._say("thinking"))
                self._thinking = builder
            case events.Loading() | events.Sending() | events.Accepted():
                self._see_request(event)
            case events.Throttled():
                self._see_held(event)
            case events.Waiting(retrying, remaining_s):
                counted = countdown_words(retrying, remaining_s)
                self._fix(f"{counted} {bar(retrying, remaining_s)}", said_words(retrying))
            case events.Correcting() | events.ToolResult():
                self._begin(self._asking)
            case events.ToolCallBegun() | events.ToolCalled():
                self._see_call(event)
            case _:
                pass

    def _see_call(self, event: events.ToolCallBegun | events.ToolCalled) -> None:
        if isinstance(event, events.ToolCallBegun):
            self._begin(self._say("writing a call of {name}", name=event.name))
        else:
            self._fix(self._say("calling {name} …", name=event.call.tool.name))

    def _see_request(self, event: events.Loading | events.Sending | events.Accepted) -> None:
        match event:
            case events.Loading():
                self._begin(self._say("loading LiteLLM"))
            case events.Sending(model, host):
                self._begin(self._say("connecting to {host}", host=host or model))
            case events.Accepted():
                self._begin(self._say("waiting for the first token"))

    def _see_held(self, held: events.Throttled) -> None:
        if held.remaining_s >= TOLD_FROM_S:
            self._fix(throttled_words(held))
        elif self._fixed:
            self._begin(self._asking)

    def _fix(self, words: str, said: str = "") -> None:
        """Show these words until something else happens."""
        self._begin(words)
        self._fixed, self.said = words, said

    def _begin(self, what: str) -> None:
        self._before = self._step
        self._what, self._began_s = what, self._clock.now()
        self._fixed = self.said = ""
        self._thinking = None

    @property
    def words(self) -> str:
        """What is to be shown now; "" while text comes."""
        return " · ".join(filter(None, (self.done, self._step)))

    @property
    def _step(self) -> str:
        if self._fixed:
            return self._fixed
        lasted_s = self._clock.now() - self._began_s
        second = int(lasted_s)
        if not self._what:
            quiet = self._say("… nothing for {seconds} s", seconds=second)
            return quiet if lasted_s >= QUIET_S else ""
        if self._before and lasted_s < AT_ONCE_S:
            return self._before
        if self._thinking is not None:
            if self._thought[0] != second or not self._thought[1]:  # counting takes a while
                count = f"{self._thinking.words_thought:,}"
                self._thought = second, self._say("thinking … {count} words", count=count)
            return self._thought[1]
        if not second:
            return f"{self._what} …"
        return self._say("{what} … {seconds} s", what=self._what, seconds=second)


Bundle = dict[str, str]
"""What an output shows, by MIME type."""

NO_MATH = 'class="mathjax_ignore tex2jax_ignore"'
"""Keeps MathJax from money and from what a server says between two dollars."""


def without_math(html: str) -> str:
    """Return HTML in which MathJax sees only the formulas that an answer marks as such."""
    return f"<div {NO_MATH}>{html}</div>"


def status_html(words: str) -> str:
    """Write a line that stands in an output until there is something better."""
    return f"<p {NO_MATH}>{html.escape(words)}</p>"


def note_html(note: str) -> str:
    """Write a note below an answer or a status; an empty one is left out."""
    return f"<p {NO_MATH}><small>{html.escape(note)}</small></p>" if note else ""


def footer_html(footer: str) -> str:
    """Write the quiet line that ends an answer; an empty one is left out."""
    style = 'style="opacity: 0.7"'
    return f"<p {NO_MATH}><small {style}>{html.escape(footer)}</small></p>" if footer else ""


def below_answer(reply: Reply) -> tuple[str, str]:
    """Return what stands below an answer, its note and its footer, as HTML and as text."""
    note = note_words(reply)
    html = note_html(note) + footer_html(footer_words(reply))
    plain = (note, footer_words(reply, with_time=False))
    return html, "\n\n".join(filter(None, plain))
