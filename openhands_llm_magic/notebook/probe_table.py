"""What probes have found, as a table with the verdicts above it and the costs below."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, NamedTuple

from openhands_llm_magic.errors import Text, quoted
from openhands_llm_magic.llm.explain import usd
from openhands_llm_magic.notebook.view import table
from openhands_llm_magic.notebook.wording import worded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.probe.result import Outcome, Report, Result, Spent
    from openhands_llm_magic.llm.probe.run import Estimate
    from openhands_llm_magic.llm.probe.verdict import Answer, Verdict

MARKS: Mapping[Outcome, str] = {"held": "✓", "failed": "✗", "fault": "!", "not asked": "·"}

OUTCOMES: Mapping[Outcome, Text] = {
    "held": Text("held"),
    "failed": Text("failed"),
    "fault": Text("no answer"),
    "not asked": Text("not asked"),
}

ANSWERS: Mapping[Answer, Text] = {
    "yes": Text("it will do"),
    "with a setting": Text("it will do with a setting"),
    "hardly": Text("it will hardly do"),
    "no": Text("it will not do"),
    "unknown": Text("not known"),
}


class Shown(NamedTuple):
    """The same as text and as HTML."""

    text: str
    html: str


def estimated(most: Estimate, model: str) -> Text:
    """Say what the probes take at most, before they are made."""
    cost: Text | str = Text("cost unknown")
    if most.is_local:
        cost = Text("local")
    elif most.most_usd is not None:
        cost = Text("{usd} at most", usd=usd(most.most_usd))
    told = "probing {model}: up to {requests} requests without retries, {cost}"
    return Text(told, model=model, requests=most.requests, cost=cost)


def progress(results: Sequence[Result], title: Text | None, say: Say) -> str:
    """Say how far it is: a mark for each probe that is over, and what the next one asks."""
    marks = " ".join(MARKS[each.outcome] for each in results)
    return " ".join(filter(None, [marks, title and title.worded(say)]))


def shown(report: Report, say: Say) -> Shown:
    """Show a report: verdicts, a row for each probe, what to do about failures, and the costs."""
    verdicts = worded([verdict(each) for each in report.verdicts], say)
    headings = ("", say("probe"), say("result"), say("why"))
    rows = [row(each, say) for each in report.results]
    advice = worded(list(_advice(report.results)), say)
    spent = costs(report.spent).worded(say)
    paragraphs = [f"<p><strong>{html.escape(each)}</strong></p>" for each in verdicts]
    listed = "".join(f"<li>{html.escape(each)}</li>" for each in advice)
    below = (f"<ul>{listed}</ul>" if listed else "") + f"<p>{html.escape(spent)}</p>"
    return Shown(
        "\n".join([*verdicts, table.as_text(headings, rows), *advice, spent]),
        "".join(paragraphs) + table.as_html(headings, rows, "llll") + below,
    )


def verdict(each: Verdict) -> Text:
    """Say whether a model will do for a version."""
    told = "{version}: {answer} ({why})"
    return Text(told, version=each.version, answer=ANSWERS[each.answer], why=each.why)


def row(result: Result, say: Say) -> tuple[str, ...]:
    """Return the cells of a probe: mark, title, outcome, and what it did or why there is none."""
    found = result.finding
    why = found.did or found.note or result.why
    return (
        MARKS[result.outcome],
        result.title.worded(say),
        OUTCOMES[result.outcome].worded(say),
        why.worded(say),
    )


def _advice(results: Sequence[Result]) -> Iterator[Text]:
    """Say of each failure what OpenHands makes of it, and what cures it."""
    for each in results:
        found = each.finding
        parts = [part for part in (found.effect, found.cure) if part]
        if parts:
            yield Text("{title}: {what}.", title=each.title, what=Text.joined(parts, ". "))
        if each.outcome == "failed" and found.note:
            yield Text("{title}: {what}", title=each.title, what=found.note)


def costs(spent: Spent) -> Text:
    """Say what the requests have taken."""
    requests = spent.requests
    told = Text("1 request") if requests == 1 else Text("{count} requests", count=f"{requests:,}")
    tokens = spent.usage.total_tokens
    counted = Text("1 token") if tokens == 1 else Text("{count} tokens", count=f"{tokens:,}")
    return Text.joined([told, counted, _cost(spent)], ", ")


def _cost(spent: Spent) -> Text:
    known = quoted(usd(spent.cost_usd))
    if spent.is_about:
        known = Text("about {usd}", usd=usd(spent.cost_usd))
    if spent.is_local:
        return Text("local")
    if spent.unknown:
        unknown = Text("{count} of unknown cost", count=spent.unknown)
        return Text.joined([known, unknown], ", ") if spent.cost_usd else Text("cost unknown")
    return known
