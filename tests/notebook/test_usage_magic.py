"""`%llm_usage` as it is shown, stored, drawn and written."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from kernel import Kernel
from model_server import Answer, Refuse

from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.errors import RequestError
from openhands_llm_magic.llm.ask import ask
from openhands_llm_magic.llm.spending import summary
from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import Ledger
from openhands_llm_magic.llm.spending.summary import Row
from openhands_llm_magic.notebook import usage_table
from openhands_llm_magic.notebook.language import Language

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_server import ModelServer

ENGLISH = Language("en")

AT_S = time.time() - 40 * 86_400
"""When all that is in the ledger of these tests was over: before this month, and not forgotten."""

NAMES = ("<img src=x onerror=alert(1)>|a\n`b`\x1b[31m", "$\\frac$", "x" * 1_000_000, "日本")
"""Names of models that would break a table, a page, a terminal or a picture."""


def attempt(**columns: Any) -> Attempt:
    """Make a row of the ledger."""
    fixed = {"ended_at_s": AT_S, "day": day_of(AT_S), "session": "another"}
    return Attempt(**{**fixed, "model": "openai/gpt-4o", **columns})


LISTED = {"cost_told_by": "price list", "cost_usd": 1.23, "counted_usd": 1.23}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with some requests of another session."""
    made = Ledger(tmp_path / "ledger.sqlite3")
    made.add_all(
        [
            attempt(**LISTED, input_tokens=1_200, cached_tokens=1_000, output_tokens=34),
            attempt(outcome="stopped", counted_usd=0.1),
            attempt(outcome="failed", status=429, cost_told_by="not charged"),
            attempt(model="ollama/qwen3", cost_told_by="local", input_tokens=5, output_tokens=6),
        ]
    )
    yield made
    made.close()


@pytest.fixture
def at_ledger(kernel: Kernel, kept: Ledger, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with that ledger, in the test's folder."""
    kernel.run(f"%cd -q {tmp_path}")
    kernel.run(f"%env LLM_MAGIC_LEDGER={kept.path}")
    yield kernel
    kernel.run("import os, sys\ndel os.environ['LLM_MAGIC_LEDGER']")


def test_a_table_by_model(at_ledger: Kernel) -> None:
    """What is not known is counted; columns in which nothing stands are left out."""
    ran = at_ledger.run("%llm_usage --all")
    assert ran.error is None
    [shown] = ran.outputs
    title, heading, gpt, qwen, in_all, *notes = shown["text/plain"].split("\n")
    assert title == "all that is in the ledger, by model"
    assert ["|".join(re.split("  +", line)) for line in (heading, gpt, qwen, in_all)] == [
        "model|requests|failed|stopped|tokens in|cached|tokens out|cost",
        "openai/gpt-4o|3|1|1|1,200|1,000|34|about $1.23 and 1 of unknown cost",
        "ollama/qwen3|1|0|0|5|0|6|local",
        "in all|4|1|1|1,205|1,000|40|about $1.23 and 1 of unknown cost",
    ]
    assert notes == [usage_table.BY_LIST, usage_table.OF_UNKNOWN_COST]
    cell = '<td style="text-align:right">about $1.23 and 1 of unknown cost</td>'
    assert cell in shown["text/html"]
    in_console = at_ledger.run("%llm_usage --all", "console").stdout
    assert in_console == shown["text/plain"] + "\n"


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("day", [day_of(AT_S)]),
        ("notebook", ["not known"]),
        ("group", ["no group"]),
        ("outcome", ["answered", "failed", "stopped"]),
        ("source", ["this package"]),
    ],
)
def test_a_table_by_something_else(at_ledger: Kernel, by: str, keys: list[str]) -> None:
    [shown] = at_ledger.run(f"%llm_usage --days 36500 --by {by}").outputs
    title, heading, *lines = shown["text/plain"].split("\n")
    assert title == f"the last 36,500 days, {usage_table.BY[by]}"
    assert heading.startswith({"day": "date"}.get(by, by))
    assert [line.split("  ")[0] for line in lines[: len(keys)]] == keys


def test_names_break_nothing(at_ledger: Kernel, kept: Ledger) -> None:
    """Each row is one line, short enough to be read, and no tag of it is one of the page."""
    kept.add_all([attempt(model=name, notebook=name, llm_group=name) for name in NAMES])
    for by in ("model", "notebook", "group"):
        [shown] = at_ledger.run(f"%llm_usage --all --by {by}").outputs
        lines = shown["text/plain"].split("\n")
        assert max(map(len, lines)) < 250
        assert "\x1b" not in shown["text/plain"]
        assert "<img" not in shown["text/html"]
        assert any("日本" in line for line in lines)


def test_without_options_periods_and_limits(at_ledger: Kernel) -> None:
    """Without a request of this month it says so; a limit that is set is there with its origin."""
    at_ledger.run("%llm_config budget_per_month=5")
    [shown] = at_ledger.run("%llm_usage").outputs
    at_ledger.run("%llm_config budget_per_month=none")
    lines = shown["text/plain"].split("\n")
    assert lines[0] == "What requests have cost"
    assert [line.split("  ")[0] for line in lines[2:5]] == ["this session", "today", "this month"]
    assert re.search(r"  \$[\d.]+ of \$5\.00 \(\d+ %\)$", lines[4])
    assert "budget_per_month: now 5, from this session" in lines


@pytest.mark.usefixtures("set_up")
def test_what_this_session_has_asked(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own requests, with what has counted for its limit, and its models."""
    env = {"LLM_INPUT_COST_PER_TOKEN": "0.001", "LLM_OUTPUT_COST_PER_TOKEN": "0.001"}
    env |= {"LLM_MAX_OUTPUT_TOKENS": "5", "MAX_BUDGET_PER_TASK": "5"}
    for name, value in {**env, "LLM_MAGIC_LEDGER": str(tmp_path / "ledger.sqlite3")}.items():
        monkeypatch.setenv(name, value)
    model_server.script(Answer("Hello."), Refuse(400))
    ask("Hello.")
    with pytest.raises(RequestError):
        ask("Hello.")
    settings = load_settings()
    kept = summary.ledger_in_use(settings)
    overview, by_model = usage_table.overview(settings, kept, time.time(), ENGLISH)
    kept.close()
    _, line, *_ = overview.text.split("\n")[1:]
    assert re.fullmatch(
        r"this session +2 +1 +\d+ +\d+ +\$0\.\d+ +\$0\.\d+ of \$5\.00 \(0 %\)", line
    )
    assert "max_budget_per_task: now 5, from MAX_BUDGET_PER_TASK" in overview.notes
    assert by_model.title == "this session, by model"
    assert by_model.columns["model"] == ("openai/gpt-4o",)


@pytest.mark.usefixtures("set_up")
def test_what_could_not_be_written_is_told(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sum without it would tell that nothing was spent; once it is written it is in the sum."""
    (tmp_path / "folder").write_text("")
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "folder" / "ledger.sqlite3"))
    model_server.script(Answer("Hello."), Answer("Hello."))
    ask("Hello.")
    settings = load_settings()
    kept = summary.ledger_in_use(settings)
    [overview] = usage_table.overview(settings, kept, time.time(), ENGLISH)
    told = "Requests that could not be written to the ledger yet, and are in no sum here: 1."
    assert overview.notes[-1] == told
    (tmp_path / "folder").unlink()
    ask("Hello.")
    overview, _ = usage_table.overview(settings, kept, time.time(), ENGLISH)
    kept.close()
    assert told not in overview.notes
    assert overview.columns["requests"][0] == "2"


def test_a_long_table_is_cut_and_adds_up() -> None:
    rows = [Row(key=f"{number}", attempts=1) for number in range(usage_table.MOST_ROWS + 7)]
    shown = usage_table.summed(rows, summary.everything(), "model", ENGLISH)
    assert shown.columns["model"][-2:] == ("7 more", "in all")
    assert shown.columns["requests"][-2:] == ["7", f"{len(rows)}"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(), "$0.00"),
        (Row(attempts=1, failed=1), "$0.00"),
        (Row(attempts=1, failed=1, unknown=1), "1 of unknown cost"),
        (Row(attempts=1, unknown=1), "1 of unknown cost"),
        (
            Row(attempts=9, exact=1, unknown=4_000, exact_usd=1.23),
            "$1.23 and 4,000 of unknown cost",
        ),
        (Row(attempts=2, exact=1, listed=1, exact_usd=1, listed_usd=0.5), "about $1.50"),
        (Row(attempts=1, exact=1), "$0.00"),
        (Row(attempts=2, local=1, failed=1), "local"),
        (Row(attempts=2, local=1, exact=1, exact_usd=1e12), "$1000000000000.00"),
        (Row(attempts=1, exact=1, exact_usd=1.5e-7), "$0.00000015"),
    ],
)
def test_the_words_for_a_cost(row: Row, words: str) -> None:
    """Nothing is told as $0 that is not known to be, and nothing small either."""
    assert usage_table.cost_words(row, ENGLISH) == words


def test_tokens_that_nobody_has_counted_are_not_none() -> None:
    """A refused request has taken none."""
    rows = [Row(key="a", attempts=1, answered=1), Row(key="b", attempts=1, failed=1)]
    rows += [Row(key="c", attempts=1, answered=1, output_tokens=5)]
    shown = usage_table.summed(rows, summary.everything(), "model", ENGLISH)
    assert shown.columns["tokens in"] == ["not counted", "0", "0", "0"]
    assert shown.columns["tokens out"] == ["not counted", "0", "5", "5"]


def test_a_data_frame(at_ledger: Kernel) -> None:
    """A cost of which nothing is known is NaN."""
    assert at_ledger.run("%llm_usage --all -o costs").error is None
    shown = at_ledger.run("costs[['model', 'attempts', 'cost_usd', 'unknown']].values.tolist()")
    assert shown.outputs[0]["text/plain"] == (
        "[['openai/gpt-4o', 3, 1.23, 1], ['ollama/qwen3', 1, nan, 0]]"
    )
    assert at_ledger.run("%llm_usage --session -o costs").error is None
    assert at_ledger.run("costs.shape[0], str(costs.cost_usd.dtype)").outputs[0]["text/plain"] == (
        "(0, 'float64')"
    )


def test_a_picture(at_ledger: Kernel, kept: Ledger) -> None:
    """It is PNG, with words for who cannot see it; no name in it is taken for mathematics."""
    kept.add_all([attempt(model=name, notebook=name) for name in NAMES])
    for by in ("model", "notebook", "day"):
        ran = at_ledger.run(f"%llm_usage --all --plot --by {by}")
        assert ran.error is None
        assert ran.stdout == ""
        _, shown = ran.outputs
        assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG")
        assert shown["text/plain"].startswith("A picture of the cost and the tokens, all that is")
        assert "about $1.23 and " in shown["text/plain"]
    assert len(at_ledger.run("%llm_usage --session --plot").outputs) == 1


@pytest.mark.parametrize(("option", "package"), [("--plot", "matplotlib"), ("-o x", "pandas")])
def test_what_is_not_installed_is_told_in_one_line(
    at_ledger: Kernel, option: str, package: str
) -> None:
    """And nothing else is shown or written."""
    at_ledger.run(
        "import sys\nbefore = {name: it for name, it in sys.modules.items()"
        f" if name.partition('.')[0] == '{package}'}}\n"
        f"for each in before: del sys.modules[each]\nsys.modules['{package}'] = None"
    )
    ran = at_ledger.run(f"%llm_usage --all {option} --csv x.csv")
    at_ledger.run(f"del sys.modules['{package}']\nsys.modules.update(before)")
    flag = option.split(maxsplit=1)[0]
    assert ran.error == f"UsageError: {flag} needs {package}: run `%pip install {package}`."
    assert ran.outputs == []


def test_a_csv_file(at_ledger: Kernel, tmp_path: Path) -> None:
    ran = at_ledger.run("name = 'my usage'\n%llm_usage --all --csv '{name}.csv'")
    assert ran.stdout == "my usage.csv is written; its rows: 2.\n"
    text = (tmp_path / "my usage.csv").read_text("utf-8")
    assert text.splitlines()[1].startswith("openai/gpt-4o,3,1,1,1,0,1200,1000,34,0,1.23,1.23,1,0,")
    again = at_ledger.run("%llm_usage --all --csv 'my usage.csv'")
    assert "there is such a file already" in str(again.error)
    assert at_ledger.run("%llm_usage --csv 'my usage.csv' --force").error is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "--month --by modle",
            "--by takes model, day, notebook, group, outcome, source, not 'modle'.",
        ),
        ("--by", "--by takes a value"),
        ("--mont", "there is no option --mont; did you mean --month?"),
        ("by model", "there is no option by"),
        ("--today --month", "name one period"),
        ("--days 3 --all", "name one period"),
        ("--days 0", "--days takes a number from 1 to 36,500, not '0'."),
        ("--days -3", "--days takes a"),
        ("--days 36501", "--days takes a number"),
        ("--days " + "9" * 5_000, "--days takes a number"),
        ("--days ²", "--days takes a number"),
        ("--days 1.5", "--days takes a number"),
        ("-o 1x", "--out takes a variable's name"),
        ("-o {nothing}", "there is no variable for {nothing}"),
        ("--force", "--force goes with --csv"),
        ("--csv no/folder/x.csv", "Name a new file, in a folder that exists."),
        ("--by 'model", "check the quotes"),
        ("--estimate 0", "--estimate takes a number from 1 to 10,000, not '0'."),
        ("--estimate --all", "--estimate takes no other option beside it."),
        ("--estimate -m openai/gpt-4o", "--estimate takes the model in force: set another with"),
        ("--import . --by source", "--import takes no other option beside it."),
        ("--import no/folder", "--import: no/folder is no folder."),
    ],
)
def test_a_line_that_is_not_understood_is_one_line(at_ledger: Kernel, line: str, told: str) -> None:
    ran = at_ledger.run(f"%llm_usage {line}")
    assert told in str(ran.error)
    assert len(str(ran.error).splitlines()) == 1


def test_what_openhands_has_logged_is_summed_up_by_its_source(
    at_ledger: Kernel, tmp_path: Path
) -> None:
    """Beside what this package has asked."""
    usage = {"prompt_tokens": 900, "completion_tokens": 80}
    response = {"id": "x", "model": "gpt-4o", "object": "chat.completion", "usage": usage}
    log = {"response": response | {"choices": []}, "timestamp": AT_S, "cost": 0.75}
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / f"openai__gpt-4o-{AT_S}.json").write_text(json.dumps(log), "utf-8")
    ran = at_ledger.run("%llm_usage --import log")
    assert ran.stdout == "From log: read in 1, there already 0.\n"
    [shown] = at_ledger.run("%llm_usage --all --by source").outputs
    assert re.search(
        r"^openhands +1 .+ 900 .+ 80 +about \$0\.75$", shown["text/plain"], re.MULTILINE
    )


def test_an_estimate(kernel: Kernel) -> None:
    """It needs no ledger."""
    kernel.run("%llm_config ledger=off")
    [shown] = kernel.run("%llm_usage --estimate").outputs
    assert "50 steps" in shown["text/plain"]
    [shown] = kernel.run("%llm_usage --estimate 7").outputs
    assert "7 steps" in shown["text/plain"]


def test_dashes_of_a_phone(at_ledger: Kernel) -> None:
    assert at_ledger.run("%llm_usage —all —by “day”").error is None


def test_a_ledger_that_is_off_or_broken_is_one_line(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("%llm_config ledger=off")
    assert str(kernel.run("%llm_usage").error).startswith(
        "SettingError: nothing is kept of what requests cost: ledger (now off, from this session"
    )
    (tmp_path / "broken").write_text("no database " * 999)
    kernel.run(f"%llm_config ledger={tmp_path / 'broken'}")
    error = kernel.run("%llm_usage --all").error
    assert re.fullmatch(r"LedgerError: the ledger \S+ cannot be used: .+", str(error))


def test_the_first_look_finds_nothing(kernel: Kernel, tmp_path: Path) -> None:
    """It says so, and makes no file."""
    kernel.run(f"%llm_config ledger={tmp_path / 'none'}")
    [shown] = kernel.run("%llm_usage").outputs
    assert "The ledger has no request for this period: this month." in shown["text/plain"]
    [shown] = kernel.run("%llm_usage --all").outputs
    told = "The ledger has no request for this period: all that is in the ledger."
    assert shown["text/plain"] == told
    assert [*tmp_path.iterdir()] == []


def test_tab_offers_its_options(kernel: Kernel) -> None:
    offered = kernel.complete("%llm_usage --")
    assert {"--by", "--days", "--plot", "--csv", "--out"} <= set(offered)
    assert kernel.complete("%llm_usage --by ") == [*summary.BY]


@pytest.mark.slow  # it starts a kernel of its own
def test_a_kernel_knows_its_notebook_and_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    """Jupyter Server names it in the environment; `%load_ext` imports nothing that sums up."""
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "JPY_SESSION_NAME": "/a/日本.ipynb"}
    with Kernel({**env, "LLM_MAGIC_LEDGER": "ledger.sqlite3"}, str(tmp_path)) as kernel:
        kernel.run("%load_ext openhands_llm_magic")
        loaded = kernel.run(
            "import sys\n[it for it in sys.modules if it.startswith('openhands') and 'usage' in it]"
        )
        kernel.run("%llm -m practice/echo Hello")
        [shown] = kernel.run("%llm_usage --session --by notebook").outputs
    assert loaded.outputs[0]["text/plain"] == "[]"
    assert re.search(r"^/a/日本\.ipynb +1 +1 +\d+ +local$", shown["text/plain"], re.MULTILINE)
