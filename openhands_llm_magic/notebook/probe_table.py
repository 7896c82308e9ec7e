"""What probes have found, as a table with the verdicts above it and the costs below."""

from __future__ import annotations

import html
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from openhands_llm_magic.errors import Text, quoted
from openhands_llm_magic.llm.explain import usd
from openhands_llm_magic.llm.probe.course import NOTHING
from openhands_llm_magic.llm.probe.result import Spent
from openhands_llm_magic.notebook.language import worded
from openhands_llm_magic.notebook.view import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.errors import Say
    from openhands_llm_magic.llm.probe.result import Outcome, Report, Result
    from openhands_llm_magic.llm.probe.run import Estimate
    from openhands_llm_magic.llm.probe.verdict import Answer, Verdict

MARKS: Mapping[Outcome, str] = {
    "held": "✓", "partly": "~", "failed": "✗", "fault": "!", "not asked": "·",
}  # fmt: skip

OUTCOMES: Mapping[Outcome, Text] = {
    "held": Text("held"),
    "partly": Text("sometimes"),
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


def estimated(most: Estimate) -> Text:
    """Say what the probes of a model take at most, before they are made."""
    cost: Text | str = Text("cost unknown")
    if most.is_local:
        cost = Text("local")
    elif most.most_usd is not None:
        cost = Text("{usd} at most", usd=usd(most.most_usd))
    told = (
        "probing {model}: up to {requests} requests and about {tokens} tokens without retries,"
        " {cost}"
    )
    tokens = f"{round(most.prompt_tokens, -3):,}"
    return Text(told, model=most.model, requests=most.requests, tokens=tokens, cost=cost)


def progress(results: Sequence[Result], title: Text | None, say: Say) -> str:
    """Say how far it is: a mark for each probe that is over, what it means, what is asked next."""
    marks = " ".join(MARKS[each.outcome] for each in results)
    seen = [outcome for outcome in MARKS if outcome in {each.outcome for each in results}]
    meant = say(", ").join(f"{MARKS[outcome]} {OUTCOMES[outcome].worded(say)}" for outcome in seen)
    return " ".join(filter(None, [marks, meant and f"({meant})", title and title.worded(say)]))


def shown(report: Report, say: Say) -> Shown:
    """Show a report: verdicts, a row for each probe, what to do about failures, and the costs."""
    verdicts = worded([verdict(each) for each in report.verdicts], say)
    headings = ("", say("probe"), say("result"), say("why"))
    rows = [row(each, say, report) for each in report.results]
    rows += [("", *worded(each, say)) for each in _measured(report.spent)]
    advice = worded(list(_advice(report.results)), say)
    spent = costs(report.spent).worded(say)
    paragraphs = [f"<p><strong>{html.escape(each)}</strong></p>" for each in verdicts]
    return Shown(
        "\n".join([*verdicts, table.as_text(headings, rows), *advice, spent]),
        "".join(paragraphs) + table.as_html(headings, rows, "llll") + _below([*advice], spent),
    )


def _below(lines: Sequence[str], last: str) -> str:
    listed = "".join(f"<li>{html.escape(each)}</li>" for each in lines)
    return (f"<ul>{listed}</ul>" if listed else "") + f"<p>{html.escape(last)}</p>"


def side_by_side(reports: Sequence[Report], say: Say, width: int = 0) -> Shown:
    """Show a column for each model: verdicts, probes, times and costs; below, what went wrong.

    As text, the columns stand below each other where a terminal of `width` is too narrow for them;
    0 stands for any width.
    """
    first = reports[0]
    rows: list[list[Text | str]] = [
        [each.version, *(ANSWERS[report.verdicts[at].answer] for report in reports)]
        for at, each in enumerate(first.verdicts)
    ]
    rows += [
        [each.title, *(_cell(report[each.name]) for report in reports)] for each in first.results
    ]
    measured = [_measured(report.spent) for report in reports]
    rows += [[each[0][0], *(column[1] for column in each)] for each in zip(*measured, strict=True)]
    spent = [report.spent for report in reports]
    rows += [
        [Text("requests"), *(f"{each.requests:,}" for each in spent)],
        [Text("tokens"), *(f"{each.usage.total_tokens:,}" for each in spent)],
        [Text("cost"), *map(_cost, spent)],
    ]
    headings = ("", *(report.model for report in reports))
    cells = [worded(each, say) for each in rows]
    wrong = [
        Text("{title}: {what}", title=report.model, what=each)
        for report in reports
        for each in _wrong(report)
    ]
    lines, total = worded(wrong, say), costs(sum(spent, Spent())).worded(say)
    text = table.as_text(headings, cells)
    if width and table.width_of(text) > width:
        text = table.columns_in_turn(headings, cells) + "\n"
    return Shown(
        "\n".join([text, *lines, total]),
        table.as_html(headings, cells, "l" * len(headings)) + _below(lines, total),
    )


def _cell(result: Result) -> Text:
    if result.name == "context" and result.finding.note:
        return Text.joined([MARKS[result.outcome], result.finding.note], " ")
    return Text.joined([MARKS[result.outcome], _outcome(result)], " ")


def _outcome(result: Result) -> Text:
    """Return how a probe ended, or how often it held where it was made several times."""
    if result.answered > 1:
        return Text("{held} of {count}", held=result.held, count=result.answered)
    return OUTCOMES[result.outcome]


def _wrong(report: Report) -> Iterator[Text]:
    """Say of a model that stands beside others what keeps it from doing well."""
    yield from (verdict(each) for each in report.verdicts if each.answer != "yes")
    for each in report.results:
        found = each.finding
        parts = [part for part in (found.did, found.effect, found.cure) if part]
        if each.outcome == "fault":
            yield Text("{title}: {what}", title=each.title, what=each.why)
        elif parts:
            yield Text("{title}: {what}.", title=each.title, what=_sentences(parts))


def _measured(spent: Spent) -> list[tuple[Text, Text, Text]]:
    """Return the rows about time: what was measured, the median, and of how many answers."""
    first, speed, unknown = spent.first_token_s, spent.tokens_per_s, Text("not known")
    return [
        (
            Text("first token"),
            unknown if first is None else Text("{seconds} s", seconds=f"{first:.2f}"),
            _median_of(len(spent.first_tokens_s)),
        ),
        (
            Text("speed"),
            unknown if speed is None else Text("{count} tokens/s", count=_rounded(speed)),
            _median_of(len(spent.rates)),
        ),
    ]


def _median_of(count: int) -> Text:
    if count > 1:
        return Text("the median of {count} answers", count=count)
    return Text("of one answer") if count else NOTHING


def _rounded(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"  # noqa: PLR2004 - two digits


def verdict(each: Verdict) -> Text:
    """Say whether a model will do for a version."""
    told = "{version}: {answer} ({why})"
    return Text(told, version=each.version, answer=ANSWERS[each.answer], why=each.why)


def row(result: Result, say: Say, report: Report) -> tuple[str, ...]:
    """Return the cells of a probe: mark, title, outcome, and what it did or why there is none."""
    found = result.finding
    why = found.did or found.note or result.why
    if result.name == "again" and (times := _times(report)):
        why = Text("{first}; {next}", first=why, next=times) if why else times
    return (
        MARKS[result.outcome],
        result.title.worded(say),
        _outcome(result).worded(say),
        why.worded(say),
    )


def _times(report: Report) -> Text | None:
    """Compare the times to the first token of a prompt and of the same prompt again."""
    before_s, again_s = (report[name].spent.first_token_s for name in ("needle", "again"))
    if before_s is None or again_s is None:
        return None
    told = "first token after {again} s, before {before} s"
    return Text(told, again=f"{again_s:.2f}", before=f"{before_s:.2f}")


def _advice(results: Sequence[Result]) -> Iterator[Text]:
    """Say of each failure what OpenHands makes of it, and what cures it."""
    for each in results:
        found = each.finding
        parts = [part for part in (found.effect, found.cure) if part]
        if parts:
            yield Text("{title}: {what}.", title=each.title, what=_sentences(parts))
        if each.outcome == "failed" and found.note:
            yield Text("{title}: {what}", title=each.title, what=found.note)


def _sentences(parts: Sequence[Text]) -> Text:
    """Join sentences that have no full stop."""
    return reduce(lambda first, then: Text("{first}. {next}", first=first, next=then), parts)


def costs(spent: Spent) -> Text:
    """Say what the requests have taken."""
    requests = spent.requests
    told = Text("1 request") if requests == 1 else Text("{count} requests", count=f"{requests:,}")
    tokens = spent.usage.total_tokens
    counted = Text("1 token") if tokens == 1 else Text("{count} tokens", count=f"{tokens:,}")
    return Text.listed([told, counted, _cost(spent)])


def _cost(spent: Spent) -> Text:
    known = quoted(usd(spent.cost_usd))
    if spent.is_about:
        known = Text("about {usd}", usd=usd(spent.cost_usd))
    if spent.is_local:
        return Text("local")
    if spent.unknown:
        unknown = Text("{count} of unknown cost", count=spent.unknown)
        return Text.listed([known, unknown]) if spent.cost_usd else Text("cost unknown")
    return known
