"""`%llm_probe` in a real kernel: what it shows, stores and prints."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Call, Refuse, asks

from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.events import Usage
from openhands_llm_magic.llm.probe.course import Finding
from openhands_llm_magic.llm.probe.result import Report, Result, Spent
from openhands_llm_magic.notebook import probe_table
from openhands_llm_magic.notebook.language import Language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Kernel, Ran
    from model_server import ModelServer

ENGLISH = Language("en")

ESTIMATED = "probing practice/{}: up to {} requests and about {} tokens without retries, local\n"


@pytest.fixture
def at_server(kernel: Kernel, model_server: ModelServer) -> Iterator[Kernel]:
    """A kernel whose environment leads to the loopback server."""
    kernel.run(f"%env LLM_BASE_URL={model_server.openai_base}")
    kernel.run("%env LLM_API_KEY=sk-canary-0123456789abcdef")
    yield kernel
    kernel.run("import os\ndel os.environ['LLM_BASE_URL'], os.environ['LLM_API_KEY']")


def test_a_good_model(kernel: Kernel) -> None:
    """The estimate comes first; then the verdicts, a row for each probe, and what it took."""
    ran = kernel.run("%llm_probe -m practice/agent -o found")
    assert ran.error is None
    assert ran.stdout == ESTIMATED.format("agent", 11, "30,000")
    shown = ran.outputs[-1]["text/plain"].split("\n")
    assert shown[0] == "OpenHands 0.41: it will do (calls functions in its text)"
    assert shown[1] == "OpenHands SDK 1.58: it will do (calls functions as tools)"
    assert ["✓", "calls", "a", "function", "held"] in [each.split() for each in shown]
    [speed] = [each for each in shown if each.strip().startswith("speed")]
    assert re.fullmatch(r" +speed +[\d,.]+ tokens/s  the median of 2 answers", speed)
    [first] = [each for each in shown if each.strip().startswith("first token")]
    assert re.fullmatch(r" +first token +\d+\.\d\d s +the median of 10 answers", first)
    [again] = [each for each in shown if "caches what was sent" in each]
    assert re.search(
        r"came from a cache; first token after \d+\.\d\d s, before \d+\.\d\d s$", again
    )
    assert shown[-1].startswith("10 requests, ")
    assert shown[-1].endswith(" tokens, local")
    assert kernel.run("print(found['edit'].outcome)").stdout == "held\n"


def test_a_failure_says_what_cures_it(kernel: Kernel) -> None:
    """What the model did stands in its row; what OpenHands makes of it, and the cure, below."""
    ran = kernel.run("%llm_probe -m practice/agent-writes")
    shown = ran.outputs[-1]["text/plain"]
    assert "OpenHands SDK 1.58: it will do with a setting (works with native_tool_calling" in shown
    assert re.search("failed +its call came as text, unread", shown)
    assert re.search("not asked +it needs one that did not hold: calls a function", shown)
    assert "--enable-auto-tool-choice and --tool-call-parser" in shown
    assert "<strong>OpenHands 0.41: it will do" in ran.outputs[-1]["text/html"]


def test_json(kernel: Kernel) -> None:
    """It is all that is printed."""
    ran = kernel.run("%llm_probe -m practice/agent-retypes --json")
    data = json.loads(ran.stdout)
    assert [each["answer"] for each in data["verdicts"]] == ["hardly", "hardly"]
    assert [each["name"] for each in data["probes"] if each["outcome"] == "failed"] == ["edit"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--fully", "there is no option --fully; did you mean --full?"),
        ("--repeat 0", "--repeat takes a number from 1 to 20, not '0'."),
        ("--repeat many", "--repeat takes a number from 1 to 20, not 'many'."),
        ("--json --report", "--report and --json both print: name a file for the page."),
        ("--report no-such-folder/page.md", "no-such-folder/page.md: there is no such file or"),
        ("--report . ", ".: it is a folder."),
        ("--force", "--force goes with --report FILE: it writes over a file."),
        ("-o 1st", "--out takes a variable's name, not '1st'."),
        ("-m", "-m"),
    ],
)
def test_a_bad_line(kernel: Kernel, line: str, told: str) -> None:
    """It gets one line, and nothing is sent."""
    ran = kernel.run(f"%llm_probe {line}")
    assert told in str(ran.error)
    assert ran.outputs == []


def test_several_models(kernel: Kernel) -> None:
    """Each is a column; the verdicts come first, and what is wrong with which below."""
    ran = kernel.run("%llm_probe -m practice/agent -m practice/agent-retypes --repeat 2 -o found")
    assert ran.error is None
    assert ran.stdout == ESTIMATED.format("agent", 18, "36,000") + ESTIMATED.format(
        "agent-retypes", 18, "36,000"
    )
    shown = [re.split(r"  +", each) for each in ran.outputs[-1]["text/plain"].split("\n")]
    assert shown[0] == ["", "practice/agent", "practice/agent-retypes"]
    assert shown[1] == ["OpenHands 0.41", "it will do", "it will hardly do"]
    assert ["edits a file exactly", "✓ 2 of 2", "✗ 0 of 2"] in shown
    assert ["goes on after a broken call", "✓ held", "✓ held"] in shown
    assert ["cost", "local", "local"] in shown
    wrong = [each[0] for each in shown if each[0].startswith("practice/agent-retypes: edits")]
    assert len(wrong) == 1
    assert "white space" in wrong[0]
    assert shown[-1][0].startswith("32 requests, ")
    assert "<td" in ran.outputs[-1]["text/html"]
    printed = kernel.run("print([each.model for each in found], found[1]['edit'].answered)").stdout
    assert printed == "['practice/agent', 'practice/agent-retypes'] 2\n"


def test_several_models_as_json(kernel: Kernel) -> None:
    """They are a list, one for each model in the order of the line."""
    ran = kernel.run("%llm_probe -m practice/agent -m practice/tools-refused --json")
    data = json.loads(ran.stdout)
    assert [each["model"] for each in data] == ["practice/agent", "practice/tools-refused"]
    assert data[0]["first_token_s"] > 0
    assert data[0]["tokens_per_s"] > 0
    assert data[0]["server"]["window_tokens"] is None
    assert data[0]["setup"]["provider"] == "Practice, without an account"


def test_a_page_to_share(kernel: Kernel) -> None:
    """It is printed to be copied, or written to a file that is not there yet."""
    ran = kernel.run("%llm_probe -m practice/agent --report")
    assert "# practice/agent with OpenHands\n" in ran.stdout
    assert ran.outputs[-1]["text/plain"].startswith("OpenHands 0.41")
    name = "page-to-share.md"
    ran = kernel.run(f"%llm_probe -m practice/agent --report {name}")
    assert ran.stdout.endswith(f"{name} is written: a page to share. Read it before you do.\n")
    ran = kernel.run(f"%llm_probe -m practice/agent --report {name}")
    assert "there is such a file already" in str(ran.error)
    assert ran.outputs == []
    ran = kernel.run(f"%llm_probe -m practice/agent --json --report {name} --force")
    assert json.loads(ran.stdout)["model"] == "practice/agent"
    kernel.run(f"import os\nos.remove({name!r})")


def test_a_limit_refuses_all_of_it_before_the_first_request(
    at_server: Kernel, model_server: ModelServer
) -> None:
    """One line says what it may cost, which limit, and how it is lifted for this line."""
    model_server.script(Refuse(400))
    prices = "input_cost_per_token=0.000001 output_cost_per_token=0.000002"
    at_server.run(f"%llm_config max_budget_per_task=0.2 {prices}")
    ran = at_server.run("%llm_probe -m openai/test")
    assert re.match(
        r"OverBudgetError: nothing was sent: \$0\.00 of \$0\.20 was spent in this session, and"
        r" all of these requests can cost up to \$0\.\d+\. .*max_budget_per_task.*--over-b",
        str(ran.error),
    )
    assert model_server.count == 0
    ran = at_server.run("%llm_probe -m openai/test --over-budget")
    assert ran.error is None
    assert re.search(r"tokens without retries, \$0\.\d+ at most\n", ran.stdout)
    assert model_server.count > 0


def stopped_in_a_wait(kernel: Kernel, line: str) -> Ran:
    """Run a line, and interrupt it once it waits for a retry."""
    pressed: list[bool] = []

    def interrupt(message: dict[str, Any]) -> None:
        if "retry 1 of 4" in str(message["content"].get("data", "")) and not pressed:
            pressed.append(True)
            kernel.interrupt()

    ran = kernel.run(line, on_message=interrupt)
    assert ran.error == "Stopped: stopped before all probes were made."
    return ran


def test_an_interrupt_keeps_what_came(at_server: Kernel, model_server: ModelServer) -> None:
    """In the middle of a wait, the table is shown and stored, and *Run all* stops."""
    call = Call("terminal", '{"command": "echo ready", "security_risk": "LOW"}')
    model_server.script(asks(call), Refuse(429, {"retry-after": "60"}))
    ran = stopped_in_a_wait(at_server, "%llm_probe -m openai/test -o left")
    shown = [each.split() for each in ran.outputs[-1]["text/plain"].split("\n")]
    assert ["✓", "calls", "a", "function", "held"] in shown
    assert at_server.run("print(left['call'].outcome, left['edit'].why)").stdout == "held stopped\n"


def test_one_interrupt_stops_all_models(at_server: Kernel, model_server: ModelServer) -> None:
    """Each has a report of what had come, and those that were not asked say so."""
    model_server.script(Refuse(429, {"retry-after": "60"}))
    ran = stopped_in_a_wait(at_server, "%llm_probe -m openai/a -m openai/b -o left")
    assert ran.outputs[-1]["text/plain"].split("\n")[0].split() == ["openai/a", "openai/b"]
    assert at_server.run("print([each['call'].why for each in left])").stdout == (
        "['stopped', 'stopped']\n"
    )
    assert model_server.count == 1


def test_a_refusal_of_functions_names_a_setting_and_no_option(kernel: Kernel) -> None:
    """The line of a probe has no `-t` to leave out."""
    told = kernel.run("%llm_probe -m practice/tools-refused").outputs[-1]["text/plain"]
    assert "Set another model" in told
    assert "or set native_tool_calling = false." in told
    assert "`-t`" not in told


def test_hostile_words_are_shown_as_text() -> None:
    """What a model or a server says is no HTML of the page."""
    title, why = Text("calls a function"), Text("{said}", said="<img src=x onerror=alert(1)>")
    each = Report("m", (Result("call", title, "fault", why=why),))
    beside = probe_table.side_by_side([each, each], ENGLISH)
    for shown in (probe_table.shown(each, ENGLISH), beside):
        assert "<img" not in shown.html


def test_costs() -> None:
    """What is not known is counted; a list's price is about right; local is local."""
    usage, say = Usage(1_200, 34), probe_table.costs
    assert say(Spent(1, usage, 0.01)) == "1 request, 1,234 tokens, $0.01"
    assert say(Spent(2, usage, 0.01, is_about=True)) == "2 requests, 1,234 tokens, about $0.01"
    assert say(Spent(2, usage, 0.01, unknown=1)).endswith("$0.01, 1 of unknown cost")
    assert say(Spent(2, usage, unknown=2)).endswith("cost unknown")
    assert say(Spent(2, usage, is_local=True)).endswith("local")


def test_a_limit_that_was_met_gives_advice_on_retries(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """Below the result, and not in what is read by programs."""
    model_server.script(Refuse(429, {"retry-after": "1"}))
    kernel.run(f"%llm_config model=hosted_vllm/of-a-second base_url={model_server.openai_base}")
    kernel.run("%llm_config num_retries=0")
    ran = kernel.run("%llm_probe")
    assert "`%llm_config num_retries=2` would outlast it" in ran.stdout
    assert json.loads(kernel.run("%llm_probe --json").stdout)["model"] == "hosted_vllm/of-a-second"


def test_advice_below_several_models_names_each(kernel: Kernel, model_server: ModelServer) -> None:
    """It is of one server and model, and another may need none."""
    model_server.script(Refuse(429, {"retry-after": "1"}))
    kernel.run(f"%llm_config base_url={model_server.openai_base} num_retries=0")
    told = kernel.run("%llm_probe -m hosted_vllm/first -m practice/agent").stdout
    assert re.search("^hosted_vllm/first: The server asks for 1 s: this", told, re.MULTILINE)
    assert re.search("^hosted_vllm/first: `%llm_config num_retries=2` would", told, re.MULTILINE)


def test_sentences_end_as_those_of_the_language_do() -> None:
    """How sentences and lists are put together is translated, too."""
    said = {"{first}. {next}": "{first}。{next}", "{first}, {next}": "{first}、{next}"}

    def say(template: str, **facts: object) -> str:
        return said.get(template, template).format(**facts)

    parts = (Text("its call came as text, unread"), Text("OpenHands stops at this request"))
    failed = Result("call", Text("calls a function"), "failed", Finding(*parts, Text("A cure")))
    alone = Report("practice/echo", (failed, *map(not_asked, ("needle", "again"))))
    for shown in (probe_table.shown(alone, say), probe_table.side_by_side([alone], say)):
        assert "OpenHands stops at this request。A cure." in shown.text
        assert "0 requests、0 tokens、$0" in shown.text


def test_columns_that_do_not_fit_a_terminal_stand_below_each_other() -> None:
    """Each with the probes beside it; a notebook's table and a wide terminal's stay as they are."""
    reports = [
        Report(f"practice/{name}", tuple(map(not_asked, ("needle", "again")))) for name in "ab"
    ]
    wide = probe_table.side_by_side(reports, ENGLISH)
    lines = wide.text.split("\n")
    assert lines[0].split() == ["practice/a", "practice/b"]
    fits = max(map(len, lines[:8]))
    assert probe_table.side_by_side(reports, ENGLISH, fits) == wide
    narrow = probe_table.side_by_side(reports, ENGLISH, fits - 1)
    first, second, _ = narrow.text.split("\n\n")
    assert [first.split("\n")[0], second.split("\n")[0]] == ["practice/a", "practice/b"]
    for block in (first, second):
        assert re.search("^calls a function +· not asked$", block, re.MULTILINE)
        assert max(map(len, block.split("\n"))) < fits
    assert narrow.html == wide.html


def not_asked(name: str) -> Result:
    return Result(name, Text("calls a function"), "not asked")


def test_the_marks_of_probes_that_run_are_explained() -> None:
    """Each that is there, once; nothing is said before the first."""
    title = Text("calls a function")
    results = [not_asked("a"), not_asked("b"), Result("c", title, "failed")]
    told = "· · ✗ (✗ failed, · not asked) calls a function"
    assert probe_table.progress(results, title, ENGLISH) == told
    assert probe_table.progress([], title, ENGLISH) == "calls a function"


def test_a_report_is_shown_again_as_its_table(kernel: Kernel) -> None:
    """So is it by IPython, which would else print pages; a list of reports has a line for each."""
    told = kernel.run("%llm_probe -m practice/agent -o found").outputs[-1]["text/plain"]
    assert kernel.run("found").outputs[-1]["text/plain"] == told
    verdicts = "OpenHands 0.41: yes, OpenHands SDK 1.58: yes"
    assert kernel.run("print([found])").stdout == f"[<Report of practice/agent: {verdicts}>]\n"
