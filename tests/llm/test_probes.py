"""Probes of what OpenHands needs: judged without a server, and made at the practice provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_server import ListServer, Told
from model_server import Answer, Call, Refuse, asks

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.events import AttemptEnded
from openhands_llm_magic.llm.probe import probes, schemas
from openhands_llm_magic.llm.probe.context import judged_window
from openhands_llm_magic.llm.probe.probes import Turn
from openhands_llm_magic.llm.probe.result import Report, Result
from openhands_llm_magic.llm.probe.run import ProbeEnded, estimate, probe
from openhands_llm_magic.llm.probe.verdict import QUALITY, verdicts
from openhands_llm_magic.llm.tools.calls import Asked
from openhands_llm_magic.llm.worker import Control

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_clock import FakeClock
    from model_server import ModelServer

    from openhands_llm_magic.llm.probe.probes import Course, Finding

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
    assert names == ["terminal", "file_editor", "task_tracker", "think", "finish"]


def test_the_size_of_the_context() -> None:
    """Fewer than 16,384 tokens are refused, fewer than 22,000 are too few."""
    assert "refuses it" in judged_window(16_383).effect
    assert "asks for 22,000" in judged_window(16_384).effect
    assert judged_window(21_999).did
    assert not judged_window(22_000).did


def probed(model: str, clock: FakeClock, **overrides: Any) -> Report:
    settings = load_settings().with_overrides({"model": model, **overrides})
    *_, report = probe(settings, clock)
    assert isinstance(report, Report)
    return report


def answers(report: Report) -> list[str]:
    return [each.answer for each in report.verdicts]


def test_a_good_model_holds_every_probe(clock: FakeClock) -> None:
    """It takes few requests, and will do for both versions."""
    report = probed("practice/agent", clock)
    assert {each.name: each.outcome for each in report.results} == {
        "context": "not asked",
        **dict.fromkeys([each.name for each in probes.PROBES], "held"),
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
    report = probed("openai/gpt-4o", clock, **limit, **at(model_server))
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
    report = probed("practice/agent", clock, **PRICES)
    assert most.most_usd is not None
    assert 0 < report.spent.cost_usd < most.most_usd
    unknown = load_settings().with_overrides(
        {"model": "openai/no-such-model", "base_url": "http://h.example/v1"}
    )
    assert estimate(unknown).most_usd is None


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
