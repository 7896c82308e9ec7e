"""Probes of what OpenHands needs: judged without a server, and made at the practice provider."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_server import ListServer, Told
from model_server import Answer, Call, Refuse, asks

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import OverBudgetError, Text, english
from openhands_llm_magic.llm.events import AttemptEnded, Usage
from openhands_llm_magic.llm.probe import probes, schemas
from openhands_llm_magic.llm.probe.context import judged_window
from openhands_llm_magic.llm.probe.course import NOTHING, WELL, Finding, Turn
from openhands_llm_magic.llm.probe.result import Report, Result, Spent, summed
from openhands_llm_magic.llm.probe.run import (
    ANSWER_TOKENS,
    ONCE,
    RESULT_CHARS,
    Extent,
    OfModel,
    ProbeBegan,
    ProbeEnded,
    cut_short,
    estimate,
    probe,
    probe_each,
    require_room,
)
from openhands_llm_magic.llm.probe.verdict import QUALITY, verdicts
from openhands_llm_magic.llm.tools.calls import Asked
from openhands_llm_magic.llm.worker import SYSTEM_CLOCK, Control
from openhands_llm_magic.notebook import probe_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic.llm.probe.course import Course
    from openhands_llm_magic.llm.worker import Runs, SystemClock

pytestmark = pytest.mark.usefixtures("litellm")


def led(course: Callable[[], Course], *turns: Turn) -> Finding:
    """Lead a probe through turns, and return what it found."""
    going = course()
    next(going)
    for turn in turns:
        try:
            going.send(turn)
        except StopIteration as end:
            found: Finding = end.value
            return found
    pytest.fail("the probe goes on")


def calling(name: str, **arguments: Any) -> Turn:
    return Turn(calls=(Asked(name, json.dumps(arguments), "call_1"),))


ECHO = {"command": "echo ready", "security_risk": "LOW"}
BASH = {"command": "wc -l notes.txt"}
EDIT = {"command": "str_replace", "path": probes.PATH, "security_risk": "LOW"}
OLD = "\t\tself.port = 8000\t# the default\n"
CREATE = {"command": "create", "path": "/workspace/hard.txt"}

CALLS = [
    (calling("terminal", **ECHO), ""),
    (calling("terminal", command="echo ready"), ""),
    (calling("terminal", command="echo done"), "it ran 'echo done', not what it was told to"),
    (calling("terminal"), "its call leaves out command"),
    (calling("terminal", cwd="/tmp", **ECHO), "its call has cwd, which there is not"),  # noqa: S108
    (calling("terminal", summary="It runs a command.", **ECHO), ""),
    (calling("bash", **ECHO), "it called 'bash', which there is not"),
    (calling("think", thought="well"), "it called think in place of terminal"),
    (Turn(calls=(Asked("terminal", '{"command": "ec'),)), "the arguments of its call cannot be"),
    (Turn("I would run it."), "it answered in words and called nothing"),
    (Turn('<tool_call>{"name": "terminal"}'), "its call came as text, unread"),
    (Turn("Well", finish_reason="length"), "its answer was cut off at the limit of its tokens"),
]


@pytest.mark.parametrize(("turn", "did"), CALLS)
def test_a_call(turn: Turn, did: str) -> None:
    """What came in place of the call is told, with what cures it."""
    found = led(probes.call, turn)
    assert found.did.startswith(did)
    assert bool(found.did) == bool(did)
    assert bool(found.effect and found.cure) == bool(did)


def test_a_result_and_the_end_of_the_task() -> None:
    """A model that does not finish, or not with what it was told, is found out."""
    ran = calling("execute_bash", **BASH)
    ends = [
        (calling("finish", message="42 lines", task_completed="true"), ""),
        (calling("finish", message="7 lines", task_completed="true"), "it finished with '7 lines'"),
        (calling("finish", message="42 lines"), "its call leaves out task_completed"),
        (ran, "it called execute_bash in place of finish"),
        (Turn("It has 42 lines."), "it answered in words and called nothing"),
    ]
    for end, did in ends:
        found = led(probes.finish, ran, end)
        assert found.did.startswith(did)
        assert bool(found.did) == bool(did)


def edited(old: str, new: str) -> Turn:
    return calling("file_editor", **EDIT, old_str=old, new_str=new)


NEW = OLD + "\t\tself.retry = 3\n"
EDITS = [
    (edited(OLD, NEW), ""),
    (edited("8000\t# the default", "8000\t# the default\n\t\tself.retry = 3"), ""),
    (edited(OLD.expandtabs(4), NEW.expandtabs(4)), "it wrote other white space than the file has"),
    (edited("     3\t" + OLD, "     3\t" + NEW), "it copied the numbers of the lines"),
    (edited("\n\n" + OLD, "\n\n" + NEW), "it put a line end before what it replaces"),
    (edited("self.ports = 8000", NEW), "it retyped what it replaces, and made mistakes"),
    (edited("", NEW), "it retyped what it replaces, and made mistakes"),
    (edited("self.port", NEW), "what it replaces is in the file 2 times"),
    (edited(OLD, OLD + "        self.retry = 3\n"), "its edit put other white space into the file"),
    (edited(OLD, "\t\tself.retry = 3\n"), "the file is not what was asked for after its edit"),
    (calling("file_editor", command="insert", path=probes.PATH), "it used 'insert', not"),
]


@pytest.mark.parametrize(("turn", "did"), EDITS)
def test_an_edit_is_compared_by_bytes(turn: Turn, did: str) -> None:
    """Only the exact edit holds; how it went wrong is named. A second view is no fault."""
    viewing = calling("file_editor", command="view", path=probes.PATH)
    for found in (led(probes.edit, turn), led(probes.edit, viewing, turn)):
        assert found.did.startswith(did)
        assert bool(found.did) == bool(did)


def test_a_file_of_quotes_and_backslashes() -> None:
    """It comes back letter by letter, or the first line that does not is named."""
    hard = probes.HARD_FILE
    assert 700 < len(hard) / 2 < 1500, "about 1,000 tokens"
    assert not led(probes.file, calling("file_editor", **CREATE, file_text=hard)).did
    assert not led(probes.file, calling("file_editor", **CREATE, file_text=hard.rstrip())).did
    lost = hard.replace("it\\'s", "it's", 1)
    found = led(probes.file, calling("file_editor", **CREATE, file_text=lost))
    assert found.did.startswith("line 2 of 32 came back as ")
    found = led(probes.file, calling("file_editor", **CREATE, file_text=hard[: len(hard) // 2]))
    assert found.did.startswith("line ")
    assert led(probes.file, calling("file_editor", **CREATE)).did


@given(text=st.text(max_size=200))
def test_no_other_file_holds(text: str) -> None:
    """Whatever a model writes is judged, and nothing but the file itself holds."""
    assert probes.judged_file(text).did
    assert not probes.judged_file(probes.HARD_FILE + "\n").did


WRITTEN = "<function=execute_bash>\n<parameter=command>echo ready</parameter>\n"
TEXTS = [
    (WRITTEN, ""),
    ("I do so.\n" + WRITTEN + "</function>\n", ""),
    (WRITTEN + "</function>\n\nUSER: done", "it wrote on after </function>, where it is to stop"),
    ("I would run it.", "it did not write the call in the form that it was told"),
    (WRITTEN.replace("execute_bash", "bash"), "it wrote a call that OpenHands cannot run"),
    (WRITTEN.replace("execute_bash>\n", "execute_bash>"), "it wrote a call that OpenHands cannot"),
    (WRITTEN + "<parameter=why>x</parameter>\n", "it wrote a call that OpenHands cannot run"),
    (WRITTEN + "<parameter=is_input>no</parameter>\n", "it wrote a call that OpenHands cannot run"),
    (WRITTEN.replace("ready", "done"), "it ran 'echo done', not what it was told to"),
]


@pytest.mark.parametrize(("text", "did"), TEXTS)
def test_a_call_that_is_written(text: str, did: str) -> None:
    """It is read as OpenHands reads it; what comes after the stop word is a fault."""
    found = led(probes.written, Turn(text))
    assert found.did.startswith(did)
    assert bool(found.did) == bool(did)


def test_the_tools_have_openhands_names() -> None:
    """Names and required parameters are those of OpenHands 0.41 and of its SDK."""
    asked = {
        each["function"]["name"]: each["function"]["parameters"]["required"]
        for each in schemas.FOR_0_41
    }
    assert asked == {
        "execute_bash": ["command"],
        "think": ["thought"],
        "finish": ["message", "task_completed"],
        "execute_ipython_cell": ["code"],
        "str_replace_editor": ["command", "path"],
    }
    names = [each["function"]["name"] for each in schemas.FOR_SDK]
    assert names == ["terminal", "file_editor", "task_tracker", "finish", "think"]


def test_the_size_of_the_context() -> None:
    """Fewer than 16,384 tokens are refused, fewer than 22,000 are too few."""
    assert "refuses it" in judged_window(16_383).effect
    assert "asks for 22,000" in judged_window(16_384).effect
    assert judged_window(21_999).did
    assert not judged_window(22_000).did


def probed(
    model: str, clock: FakeClock | SystemClock, extent: Extent = ONCE, **overrides: Any
) -> Report:
    settings = load_settings().with_overrides({"model": model, **overrides})
    *_, report = probe(settings, clock, extent=extent)
    assert isinstance(report, Report)
    return report


def answers(report: Report) -> list[str]:
    return [each.answer for each in report.verdicts]


def test_a_good_model_holds_every_probe() -> None:
    """It takes few requests, whose times are measured, and will do for both versions."""
    report = probed("practice/agent", SYSTEM_CLOCK)
    assert report.spent.first_token_s is not None
    assert 0 < report.spent.first_token_s < report.spent.took_s
    assert len(report.spent.first_tokens_s) == report.spent.requests
    assert {each.name: each.outcome for each in report.results} == {
        "context": "not asked",
        "declared": "not asked",
        **dict.fromkeys([each.name for each in probes.PROBES if not each.is_long], "held"),
    }
    assert answers(report) == ["yes", "yes"]
    assert "tokens came from a cache" in report["again"].finding.note
    assert report.spent.requests <= estimate(load_settings()).requests <= 20
    assert report.spent.is_local
    assert json.loads(json.dumps(report.as_data()))["model"] == "practice/agent"


FAILING = {
    "practice/agent-talks": (["call", "written"], ["no", "no"]),
    "practice/agent-writes": (["call"], ["yes", "with a setting"]),
    "practice/agent-repeats": (["finish"], ["hardly", "hardly"]),
    "practice/agent-retypes": (["edit"], ["hardly", "hardly"]),
    "practice/agent-unescapes": (["file"], ["hardly", "hardly"]),
    "practice/agent-runs-on": (["written"], ["with a setting", "yes"]),
    "practice/agent-is-strict": (["history"], ["yes", "yes"]),
    "practice/agent-is-plain": (["extras"], ["yes", "with a setting"]),
    "practice/agent-forgets": (["needle"], ["no", "no"]),
    "practice/agent-keeps-nothing": (["again"], ["yes", "yes"]),
    "practice/tools-refused": (["call", "written", "again"], ["no", "no"]),
}


@pytest.mark.parametrize("model", FAILING)
def test_each_probe_finds_out_a_model_that_fails_it(model: str, clock: FakeClock) -> None:
    """The others go on, unless they need it, and the verdicts follow."""
    failed, expected = FAILING[model]
    report = probed(model, clock)
    assert [each.name for each in report.results if each.outcome == "failed"] == failed
    assert answers(report) == expected
    for each in report.results:
        if each.outcome == "failed":
            assert each.finding.cure, "each failure says what cures it"
            assert each.finding.effect[0].isupper(), "it is a sentence"


def test_a_broken_call_that_ends_the_task_is_told(clock: FakeClock) -> None:
    """It is a risk where tools are given as tools, and changes no verdict."""
    first, second = probed("practice/agent-is-strict", clock).verdicts
    assert "broken call" not in first.why
    assert second.why == "calls functions as tools; one broken call would end the task"


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-20250514", "gemini/gemini-2.5-flash"])
def test_other_dialects(model: str, clock: FakeClock, model_server: ModelServer) -> None:
    """Calls are read in them as well."""
    model_server.script(asks(Call("terminal", json.dumps(ECHO))), Answer("Well."))
    to = at(model_server) | {"base_url": model_server.base_for(model.partition("/")[0])}
    report = probed(model, clock, **to)
    assert report["call"].outcome == report["extras"].outcome == "held"


def test_native_tool_calling_counts(clock: FakeClock) -> None:
    """A version is judged by the form in which it would give the tools."""
    report = probed("practice/agent-writes", clock, native_tool_calling=False)
    assert answers(report) == ["yes", "yes"]
    report = probed("practice/agent-runs-on", clock, native_tool_calling=True)
    assert answers(report) == ["yes", "yes"]


def at(server: ModelServer) -> dict[str, Any]:
    key = "sk-canary-0123456789abcdef"
    return {"base_url": server.openai_base, "api_key": key, "num_retries": 1}


PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


def test_a_fault_is_told_and_the_others_go_on(clock: FakeClock, model_server: ModelServer) -> None:
    """A server that fails for a while costs one probe, after the retries of a prompt."""
    model_server.script(Refuse(503), Refuse(503), Answer(probes.KEY, usage=(9_000, 5)))
    report = probed("openai/gpt-4o", clock, **at(model_server))
    assert report["call"].outcome == "fault"
    assert report["call"].spent.requests == 2
    assert report["edit"].why.startswith("it needs one that did not hold")
    assert report["written"].outcome == "failed"
    assert answers(report) == ["unknown", "unknown"]


TOO_LONG = "request (3447 tokens) exceeds the available context size (2048 tokens)"
UNREAD = "Failed to parse input at pos 184: <tool_call>"


@pytest.mark.parametrize(
    ("refusal", "did", "cure"),
    [
        (Refuse(400, message=TOO_LONG), "the prompt does not fit into the context", "-c"),
        (Refuse(500, message=UNREAD), "the server could not read the call that", "--jinja"),
    ],
)
def test_a_refusal_that_is_an_answer(
    clock: FakeClock, model_server: ModelServer, refusal: Refuse, did: str, cure: str
) -> None:
    """What OpenHands would meet as well counts against the server, and is no fault of the way."""
    model_server.script(refusal, refusal, Answer("No."))
    found = probed("openai/gpt-4o", clock, **at(model_server))["call"]
    assert found.outcome == "failed"
    assert found.finding.did.startswith(did)
    assert cure in found.finding.cure
    assert refusal.message in found.finding.note


def test_a_context_that_is_full(clock: FakeClock, model_server: ModelServer) -> None:
    """An answer that ran out of tokens before its own limit has had no room for more."""
    model_server.script(Answer("So I", finish_reason="length", usage=(3_000, 100)))
    finding = probed("openai/gpt-4o", clock, **at(model_server))["call"].finding
    assert "where the context was full" in finding.did
    assert "llama.cpp's -c" in finding.cure


@pytest.mark.parametrize(
    ("usage", "cure"), [(Usage(9_000, 5), "Take a stronger model"), (None, "llama.cpp's -c")]
)
def test_what_was_not_found_in_a_prompt_that_was_read(usage: Usage | None, cure: str) -> None:
    """A larger context is no cure where the server says that it has read the whole prompt."""
    assert cure in led(probes.needle, Turn("I do not know.", usage=usage)).cure


def test_an_empty_answer(clock: FakeClock, model_server: ModelServer) -> None:
    """It is the model's fault, and no fault where only a refusal is looked for."""
    model_server.script(Answer("", reasoning="Well.", finish_reason="length"))
    report = probed("openai/gpt-4o", clock, **at(model_server))
    outcomes = {each.name: each.outcome for each in report.results}
    assert outcomes["call"] == "failed"
    assert outcomes["extras"] == "held"


def test_a_refused_key_ends_the_probes(clock: FakeClock, model_server: ModelServer) -> None:
    """All others would be refused as well: they are not asked, and no key shows."""
    model_server.script(*[Refuse(401, message="Incorrect API key: sk-canary-0123456789abcdef")] * 3)
    report = probed("openai/gpt-4o", clock, **at(model_server))
    assert report["call"].outcome == "fault"
    assert report["written"].outcome == "not asked"
    assert report.spent.requests == 1
    assert "0123456789abcdef" not in json.dumps(report.as_data())


def test_a_stop_keeps_what_came(clock: FakeClock, model_server: ModelServer) -> None:
    """What is over stays, the rest says that it was stopped."""
    control = Control()

    def stopped(_received: object) -> Answer:
        control.cancel()
        return Answer("Well.")

    model_server.script(asks(Call("terminal", json.dumps(ECHO))), stopped)
    settings = load_settings().with_overrides({"model": "openai/gpt-4o", **at(model_server)})
    *events, report = probe(settings, clock, control)
    assert report["call"].outcome == "held"
    assert report["finish"].why == report["written"].why == "stopped"
    ended = [each.result for each in events if isinstance(each, ProbeEnded)]
    assert ended == [*report.results]
    assert answers(report) == ["unknown", "unknown"]
    assert model_server.count == 2


def test_a_limit_of_what_is_spent_holds(clock: FakeClock, model_server: ModelServer) -> None:
    """Nothing is sent that could pass it."""
    limit = {"max_budget_per_task": 0.001, **PRICES}
    report = probed("openai/gpt-4o", clock, ONCE, **limit, **at(model_server))
    assert report["call"].outcome == "fault"
    assert report.spent.requests == 0
    assert model_server.count == 0


def test_what_each_request_sends(clock: FakeClock, model_server: ModelServer) -> None:
    """The tools go as tools, or in the prompt with the stop word; answers are limited."""
    model_server.script(
        asks(Call("terminal", json.dumps(ECHO))),
        asks(Call("execute_bash", json.dumps(BASH))),
        *[Answer("Well.")] * 9,
    )
    report = probed("openai/gpt-4o", clock, **at(model_server))
    sent = [each.body for each in model_server.received]
    assert sent[0]["tools"][0]["function"]["name"] == "terminal"
    assert sent[2]["messages"][-1] == {
        "role": "tool",
        "tool_call_id": sent[2]["messages"][-2]["tool_calls"][0]["id"],
        "content": "42 notes.txt",
    }
    [written] = [each for each in sent if "stop" in each]
    assert written["stop"] == ["</function"]
    assert "tools" not in written
    assert all(4096 in (each.get("max_tokens"), each.get("max_completion_tokens")) for each in sent)
    assert report.spent.requests == len(sent) == 9


def test_the_estimate_covers_what_it_costs(clock: FakeClock) -> None:
    """A price that was set makes both; without one the estimate says that it is not known."""
    settings = load_settings().with_overrides({"model": "practice/agent", **PRICES})
    most = estimate(settings)
    report = probed("practice/agent", clock, ONCE, **PRICES)
    assert most.most_usd is not None
    assert 0 < report.spent.cost_usd < most.most_usd
    unknown = load_settings().with_overrides(
        {"model": "openai/no-such-model", "base_url": "http://h.example/v1"}
    )
    assert estimate(unknown).most_usd is None


def test_by_default_it_is_little(litellm: Any) -> None:
    """All requests are 20 at most and 30,000 tokens, by a tokenizer, in the worst course of each.

    The answers are those that were asked for; what a model thinks comes on top.
    """
    settings = load_settings().with_overrides({"model": "openai/gpt-4o", "api_key": "sk-x"})
    assert estimate(settings).requests <= 20
    viewed, edit = calling("file_editor", command="view", path=probes.PATH), edited(OLD, NEW)
    worst: dict[str, list[Turn]] = {
        "call": [calling("terminal", **ECHO)],
        "finish": [calling("execute_bash", **BASH), calling("finish", message="42 lines")],
        "edit": [viewed, edit],
        "file": [calling("file_editor", **CREATE, file_text=probes.HARD_FILE)],
        "written": [Turn(WRITTEN)],
    }
    tokens = 0
    for each in ONCE.probes:
        course, turns = each.course(), worst.get(each.name, [Turn("7391")])
        assert len(turns) == each.most_requests
        ask = next(course)
        for turn in turns:
            assert all(
                len(str(said.get("content"))) < RESULT_CHARS
                for said in ask.messages
                if said["role"] == "tool"
            ), "what the estimate counts on"
            tools = list(ask.tools) or None
            tokens += litellm.token_counter("gpt-4o", messages=[*ask.messages], tools=tools)
            told = turn.text + "".join(f"{call.name} {call.arguments}" for call in turn.calls)
            tokens += litellm.token_counter("gpt-4o", text=told)
            with contextlib.suppress(StopIteration):
                ask = course.send(turn)
    assert 20_000 < tokens <= 30_000


def test_the_longest_prompt_fits_into_a_context_of_32k(litellm: Any) -> None:
    """With an answer of 4,096 tokens, also where a tokenizer counts a tenth more."""
    [long] = [each for each in Extent(is_full=True).probes if each.is_long]
    tokens = litellm.token_counter("gpt-4o", messages=[*next(long.course()).messages])
    assert tokens > 25_000
    assert tokens * 1.1 + ANSWER_TOKENS < 32_768


def test_all_of_it_is_asked_on_request(clock: FakeClock) -> None:
    """It is one request more, and a model that forgets the beginning is not asked for it."""
    settings, full = load_settings().with_overrides({"model": "practice/agent"}), Extent(True)
    assert estimate(settings, full).requests == estimate(settings).requests + 1
    assert probed("practice/agent", clock, full)["long"].outcome == "held"
    assert probed("practice/agent-forgets", clock, full)["long"].outcome == "not asked"


def test_what_holds_late_in_a_task_counts_less() -> None:
    """A model that reads 9,000 tokens and not 26,000 will hardly do."""
    held = [Result(each.name, each.title, "held") for each in Extent(is_full=True).probes]
    results = [replace(each, outcome="failed") if each.name == "long" else each for each in held]
    assert {each.answer for each in verdicts(results, load_settings())} == {"hardly"}


RATES = [
    ("held", "held", "held"),
    ("held failed", "partly", "1 of 2"),
    ("failed held held", "partly", "2 of 3"),
    ("failed held failed", "failed", "1 of 3"),
    ("failed failed", "failed", "0 of 2"),
    ("held fault held", "held", "2 of 2"),
    ("fault fault", "fault", "no answer"),
    ("held not-asked", "held", "held"),
]


@pytest.mark.parametrize(("outcomes", "outcome", "shown"), RATES)
def test_rates(outcomes: str, outcome: str, shown: str) -> None:
    """A probe holds partly from half of its answers on; faults of the way are no answers."""
    runs = [one_run(each.replace("-", " ")) for each in outcomes.split()]
    result = summed(runs)
    assert result.outcome == outcome
    assert result.spent.requests == len(runs)
    assert bool(result.finding.did) == (outcome in {"partly", "failed"})
    report = Report("m", (result,))
    assert probe_table.row(result, english, report)[2] == shown


def one_run(outcome: Any) -> Result:
    did = Finding(Text("it failed")) if outcome == "failed" else WELL
    counted = int(outcome == "held"), int(outcome in {"held", "failed"})
    return Result("edit", Text("edits"), outcome, did, NOTHING, Spent(1), *counted)


BY_RATE = [
    ({}, ["yes", "yes"]),
    ({"edit": "partly", "file": "partly"}, ["yes", "yes"]),
    ({"edit": "failed"}, ["hardly", "hardly"]),
    ({"call": "partly"}, ["yes", "with a setting"]),
    ({"written": "partly"}, ["with a setting", "yes"]),
    ({"call": "partly", "written": "failed"}, ["hardly", "hardly"]),
    ({"call": "failed", "written": "partly"}, ["hardly", "hardly"]),
    ({"call": "partly", "written": "partly"}, ["hardly", "hardly"]),
    ({"call": "partly", "written": "fault"}, ["unknown", "hardly"]),
]


@pytest.mark.parametrize(("outcomes", "expected"), BY_RATE)
def test_verdicts_from_rates(outcomes: dict[str, Any], expected: list[str]) -> None:
    """Calls have to come each time; what costs a step has to hold half of the times."""
    results = [
        Result(each.name, each.title, outcomes.get(each.name, "held")) for each in ONCE.probes
    ]
    judged = verdicts(results, load_settings().with_overrides({"model": "practice/agent"}))
    assert [each.answer for each in judged] == expected
    if outcomes.get("edit") == "partly":
        assert "only sometimes: edits a file exactly, writes quotes" in judged[0].why


def test_what_the_model_does_is_repeated(clock: FakeClock, model_server: ModelServer) -> None:
    """What the server alone decides is asked once; each repeat counts in the estimate."""
    words = iter(["echo ready", "echo done", "echo ready"])

    def turn(received: Any) -> Any:
        if "tools" in received.body and "echo ready" in str(received.body["messages"][-1]):
            return asks(Call("terminal", json.dumps({"command": next(words)})))
        return Answer("Well.")

    model_server.script(turn)
    three = Extent(repeats=3)
    report = probed("openai/gpt-4o", clock, three, **at(model_server))
    assert (report["call"].held, report["call"].answered) == (2, 3)
    assert report["call"].finding.did.startswith("it ran 'echo done'")
    assert report["written"].answered == 3
    assert report["edit"].answered == 3, "it needs no call that comes each time"
    assert report["history"].answered == report["extras"].answered == 1
    settings = load_settings().with_overrides({"model": "openai/gpt-4o", **at(model_server)})
    assert report.spent.requests <= estimate(settings, three).requests
    assert estimate(settings, three).requests == 11 + 2 * 7


def measured(tokens: int, first_s: float, took_s: float, outcome: Any = "answered") -> Spent:
    ended = AttemptEnded(
        1, outcome, usage=Usage(100, tokens), first_token_s=first_s, took_s=took_s, status=200
    )
    return Spent().with_attempt(ended, load_settings())


def test_the_speed_of_answers() -> None:
    """It is measured after the first token, in answers that are long enough.

    An answer that comes at once after a long wait was held back: the whole time counts.
    """
    assert measured(100, 0.5, 2.5).tokens_per_s == 50
    assert measured(19, 0.5, 2.5).tokens_per_s is None
    assert measured(100, 2.0, 2.1).tokens_per_s == pytest.approx(100 / 2.1)
    assert measured(100, 5.0, 7.0).tokens_per_s == 50
    assert measured(100, 0.5, 2.5, "failed").tokens_per_s is None
    assert measured(100, 0.0, 0.0).tokens_per_s is None
    many = measured(100, 0.5, 2.5) + measured(100, 0.1, 1.1) + measured(100, 3.0, 4.0)
    assert many.tokens_per_s == 100
    assert many.first_token_s == 0.5
    assert Spent().first_token_s is None


def test_a_limit_is_held_against_all_requests_together() -> None:
    """Nothing is reserved; what is unknown, and a limit that is near, are told in one line."""
    priced = {"model": "openai/gpt-4o", "base_url": "http://h.example/v1", **PRICES}
    settings = load_settings().with_overrides({**priced, "max_budget_per_task": 0.1})
    most = estimate(settings)
    assert most.most_usd is not None
    assert 0.1 < most.most_usd < 1
    with pytest.raises(OverBudgetError, match=r"^nothing was sent: \$0\.00 of \$0\.10? was spent"):
        require_room(settings, [most])
    enough = settings.with_overrides({"max_budget_per_task": most.most_usd + 0.001})
    require_room(enough, [most])
    with pytest.raises(OverBudgetError, match="max_budget_per_task"):
        require_room(enough, [most, most])
    with pytest.raises(OverBudgetError, match="it is not known what openai/gpt-4o can cost"):
        require_room(enough, [replace(most, most_usd=None)])
    free = settings.with_overrides(dict.fromkeys(PRICES))
    require_room(free, [replace(most, host="127.0.0.1", most_usd=None)])
    require_room(settings.with_overrides({"max_budget_per_task": None}), [most])


def events_of(runs: Runs) -> Iterator[Any]:
    while not runs.ended:
        for each in runs.take():
            if isinstance(each.event, OfModel):
                yield each.event


def test_several_models(clock: FakeClock, model_server: ModelServer) -> None:
    """Those of one endpoint wait for each other; one that fails does not stop the others."""
    model_server.script(Refuse(401))
    names = ["practice/agent", "openai/gpt-4o", "practice/agent-repeats"]
    settings = [
        load_settings().with_overrides(
            {"model": name, **({} if name.startswith("practice") else at(model_server))}
        )
        for name in names
    ]
    elsewhere = settings[1].with_overrides({"base_url": "http://no-such-host.invalid/v1"})
    settings[1] = elsewhere
    reports, open_, order = {}, set(), []
    for each in events_of(probe_each(settings, clock=clock)):
        if isinstance(each.event, ProbeBegan) and each.event.name == "context":
            open_.add(each.number)
            assert not {0, 2} <= open_, "two models of one endpoint at once"
        if isinstance(each.event, Report):
            open_.discard(each.number)
            order.append(each.number)
            reports[each.number] = each.event
    assert [reports[number].model for number in range(3)] == names
    assert answers(reports[0]) == ["yes", "yes"]
    assert answers(reports[1]) == ["unknown", "unknown"]
    assert answers(reports[2]) == ["hardly", "hardly"]
    assert order.index(0) < order.index(2)


def test_a_stop_ends_all_models(clock: FakeClock) -> None:
    """What is over stays, and each model has a report."""
    settings = [
        load_settings().with_overrides({"model": f"practice/{name}"})
        for name in ("agent", "agent-talks")
    ]
    runs, reports = probe_each(settings, clock=clock), {}
    for each in events_of(runs):
        if isinstance(each.event, ProbeEnded) and each.event.result.name == "call":
            runs.control.cancel()
        if isinstance(each.event, Report):
            reports[each.number] = each.event
    assert reports[0]["call"].outcome == "held"
    assert reports[1]["context"].why == reports[1]["call"].why == "stopped"
    left = cut_short(settings[0], ONCE, reports[0].results[:3])
    assert [each.name for each in left.results] == [each.name for each in reports[0].results]


@pytest.mark.parametrize(
    ("tokens", "outcome"), [(8_192, "failed"), (32_768, "held"), (None, "not asked")]
)
def test_the_server_is_asked_for_its_context(
    tokens: int | None, outcome: str, clock: FakeClock
) -> None:
    """That takes no tokens; too small a context settles the verdict, whatever else is wrong."""
    listed = {"data": [{"id": "qwen3", "max_model_len": tokens}]}
    with ListServer({"/v1/models": Told(listed)}) as server:
        report = probed("hosted_vllm/qwen3", clock, base_url=f"{server.address}/v1", api_key="x")
    assert report["context"].outcome == outcome
    assert report["context"].spent.requests == 0
    is_why = ["has room for a task" in each.why for each in report.verdicts]
    assert is_why == [outcome == "failed"] * 2


def test_verdicts_without_results() -> None:
    """What was not asked is not known."""
    assert [each.answer for each in verdicts([], load_settings())] == ["unknown", "unknown"]


def test_a_local_answer_costs_nothing_known(clock: FakeClock) -> None:
    """Each attempt at this machine is local, and none of unknown cost."""
    settings = load_settings().with_overrides({"model": "practice/agent"})
    ended = [each for each in probe(settings, clock) if isinstance(each, AttemptEnded)]
    assert {each.cost.told_by for each in ended} == {"local"}


NATIVE = "native_tool_calling"


@pytest.mark.parametrize(
    ("model", "probe_name", "cured_by", "needed"),
    [
        ("practice/agent-writes", "call", {NATIVE: False}, [{}, {NATIVE: False}]),
        ("practice/agent-runs-on", "written", {NATIVE: True}, [{NATIVE: True}, {}]),
        ("practice/agent-is-strict", "history", {NATIVE: False}, [{}, {}]),
        ("practice/agent-forgets", "needle", {}, [{}, {}]),
        ("practice/agent-is-plain", "extras", {}, [{}, {}]),
    ],
)
def test_a_cure_that_is_a_setting_is_told_as_one(
    model: str,
    probe_name: str,
    cured_by: dict[str, bool],
    needed: list[dict[str, bool]],
    clock: FakeClock,
) -> None:
    """The failure and the verdict name it with its value; a server's own flag is none."""
    report = probed(model, clock)
    assert report[probe_name].finding.settings == cured_by
    assert [each.settings for each in report.verdicts] == needed
    told = json.loads(json.dumps(report.as_data()))
    [failed] = [each for each in told["probes"] if each["name"] == probe_name]
    assert failed.get("settings", {}) == cured_by
    assert [each.get("settings", {}) for each in told["verdicts"]] == needed


@pytest.mark.parametrize(
    ("model", "base_url", "needed"),
    [
        ("openai/qwen3", "http://h.example/v1", {"model": "litellm_proxy/qwen3"}),
        ("hosted_vllm/maker/qwen3", "http://h.example/v1", {"model": "litellm_proxy/maker/qwen3"}),
        ("openai/qwen3", None, {}),
        ("groq/qwen3", "http://h.example/v1", {}),
    ],
)
def test_a_server_that_refuses_what_the_sdk_adds_is_named_as_a_proxy(
    model: str, base_url: str | None, needed: dict[str, str]
) -> None:
    """Only where the address is set, and is asked in OpenAI's dialect either way."""
    outcomes = dict.fromkeys(["call", "written", *QUALITY], "held") | {"extras": "failed"}
    results = [Result(name, Text(name), outcome) for name, outcome in outcomes.items()]  # type: ignore[arg-type]
    settings = load_settings().with_overrides({"model": model, "base_url": base_url})
    _, sdk = verdicts(results, settings)
    assert (sdk.answer, sdk.settings) == ("with a setting", needed)


def test_a_way_of_calling_that_has_failed_cures_nothing(clock: FakeClock) -> None:
    """Where both ways fail, neither is told as the cure of the other; the server's options stay."""
    report = probed("practice/echo", clock)
    assert report["call"].finding.cure.startswith("Have the server read calls: vLLM with")
    assert report["written"].finding.cure == "Take another model"
    assert report.cures == {}
    report = probed("practice/agent-writes", clock)
    assert report["call"].finding.cure.startswith("Set native_tool_calling = false, or have")


def test_what_never_left_is_no_request(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    report = probed("openai/gpt-4o", clock)
    assert report["call"].outcome == "fault"
    assert report.spent.requests == 0


def test_a_model_that_there_is_not_refuses_no_functions(clock: FakeClock) -> None:
    """Also where the server names models that are called after tools."""
    report = probed("practice/no-such-model", clock)
    assert report["call"].outcome == "fault"
    assert report["call"].why.startswith("the model practice/no-such-model is not known")
    assert report.cures == {}
