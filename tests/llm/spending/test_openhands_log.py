"""What OpenHands has logged comes into the ledger once, whatever else lies in its folder."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.resolve import Snapshot, load_settings
from openhands_llm_magic.errors import SettingError, UsageError
from openhands_llm_magic.llm.spending import budget
from openhands_llm_magic.llm.spending.attempt import Attempt, day_of
from openhands_llm_magic.llm.spending.ledger import close_all, ledger_of
from openhands_llm_magic.llm.spending.openhands_log import attempt_in, import_from

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"

AT_S = 1_748_000_000.123456

OF_0_41: dict[str, Any] = {
    "messages": [{"role": "user", "content": f"my key is {KEY}"}],
    "response": {
        "id": "chatcmpl-1",
        "created": 1_748_000_000,
        "model": "claude-sonnet-4-20250514",
        "object": "chat.completion",
        "choices": [{"message": {"role": "assistant", "content": f"It is {KEY}"}}],
        "usage": {
            "prompt_tokens": 12_572,
            "completion_tokens": 103,
            "total_tokens": 12_675,
            "prompt_tokens_details": {"cached_tokens": 12_331},
            "cache_creation_input_tokens": 238,
        },
    },
    "args": [],
    "kwargs": {"extra_body": {"metadata": {}}, "api_key": KEY},
    "timestamp": AT_S,
    "cost": 0.0061498,
}
"""A file as OpenHands 0.41 writes it, and a key where none belongs."""

OF_SDK: dict[str, Any] = {
    "context_window": 200_000,
    "kwargs": {"max_completion_tokens": 64_000},
    "response": {
        "id": "resp_1",
        "model": "gpt-5-2025-08-07",
        "output": [],
        "usage": {
            "input_tokens": 9_000,
            "output_tokens": 400,
            "input_tokens_details": {"cached_tokens": 7_000},
            "output_tokens_details": {"reasoning_tokens": 320},
        },
    },
    "cost": 0.0,
    "timestamp": AT_S,
    "latency_sec": 3.25,
    "usage_summary": {"prompt_tokens": 9_000},
}
"""A file as the SDK writes it, of the Responses API; it does not know the cost."""

FAILED: dict[str, Any] = {
    "context_window": 200_000,
    "error": {"type": "RateLimitError", "message": f"refused {KEY}", "traceback": "..."},
    "timestamp": AT_S,
    "latency_sec": 0.5,
    "cost": 0.0,
}

NAME_0_41 = "anthropic__claude-sonnet-4-20250514-1748000000.123456.json"
NAME_SDK = "openai__gpt-5-1748000000.123-0a1f.json"
NAME_FAILED = "openai__gpt-5-1748000000.123-0a1f-error.json"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """Settings with a ledger."""
    monkeypatch.setenv("LLM_MAGIC_LEDGER", str(tmp_path / "ledger.sqlite3"))
    return load_settings()


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    close_all()


def write(folder: Path, name: str, told: Any) -> Path:
    """Write a file of a log."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(told if isinstance(told, bytes) else json.dumps(told).encode())
    return path


def test_a_completion_of_0_41_is_a_row(tmp_path: Path) -> None:
    """The tokens are the whole prompt's, and the cost is the one that OpenHands has made out."""
    assert attempt_in(write(tmp_path, NAME_0_41, OF_0_41)) == Attempt(
        ended_at_s=AT_S,
        day=day_of(AT_S),
        session="openhands",
        source="openhands",
        source_id=NAME_0_41,
        provider="anthropic",
        model="anthropic/claude-sonnet-4-20250514",
        model_answered="claude-sonnet-4-20250514",
        response_id="chatcmpl-1",
        input_tokens=12_572,
        output_tokens=103,
        cached_tokens=12_331,
        cache_write_tokens=238,
        reasoning_tokens=0,
        cost_usd=0.0061498,
        cost_told_by="openhands",
    )


def test_a_completion_of_the_sdk_is_a_row(tmp_path: Path) -> None:
    """A cost of 0 is one that OpenHands does not know."""
    row = attempt_in(write(tmp_path, NAME_SDK, OF_SDK))
    assert (row.model, row.took_s) == ("openai/gpt-5", 3.25)
    assert (row.input_tokens, row.output_tokens) == (9_000, 400)
    assert (row.cached_tokens, row.reasoning_tokens) == (7_000, 320)
    assert (row.cost_usd, row.cost_told_by) == (None, "unknown")


def test_a_failure_of_the_sdk_is_a_row(tmp_path: Path) -> None:
    row = attempt_in(write(tmp_path, NAME_FAILED, FAILED))
    assert (row.outcome, row.error_type) == ("failed", "RateLimitError")
    assert (row.input_tokens, row.cost_usd, row.took_s) == (None, None, 0.5)


def test_a_second_import_adds_none(tmp_path: Path, settings: Snapshot) -> None:
    """Nor does one of a copy; files in folders below, as of an evaluation, are read as well."""
    write(tmp_path / "log", NAME_0_41, OF_0_41)
    write(tmp_path / "log" / "django-11099", NAME_SDK, OF_SDK)
    assert import_from(settings, "log") == "From log: read in 2, there already 0."
    assert import_from(settings, "log") == "From log: read in 0, there already 2."
    write(tmp_path / "copy", NAME_0_41, OF_0_41)
    assert import_from(settings, "copy") == "From copy: read in 0, there already 1."
    ledger = ledger_of(settings)
    assert ledger is not None
    assert ledger.rows("SELECT sum(attempts), sum(cost_usd) FROM sums") == [(2, 0.0061498)]


def test_budgets_do_not_count_it(tmp_path: Path, settings: Snapshot) -> None:
    """What OpenHands has spent is not what this package may spend."""
    write(tmp_path / "log", NAME_0_41, OF_0_41 | {"cost": 500.0})
    import_from(settings, "log")
    ledger = ledger_of(settings)
    assert ledger is not None
    assert ledger.counted_usd("0000-01-01", "9999-12-31") == 0
    assert not budget.notes(settings)


def test_no_text_of_a_prompt_or_key_comes_in(tmp_path: Path, settings: Snapshot) -> None:
    """Also where a key stands in a name that is copied."""
    write(tmp_path / "log", NAME_0_41, OF_0_41)
    write(tmp_path / "log", NAME_FAILED, FAILED)
    named = OF_SDK["response"] | {"id": f"id {KEY}", "model": KEY}
    write(tmp_path / "log", NAME_SDK, OF_SDK | {"response": named})
    import_from(settings, "log")
    close_all()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.sqlite3*"))
    assert b"claude-sonnet-4" in kept
    assert KEY.encode() not in kept
    assert b"my key is" not in kept


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (json.dumps(OF_0_41).encode()[:500], "it is no JSON, or only a part of it"),
        (b"", "it is no JSON, or only a part of it"),
        (b"\xff\xfe\x00", "it is no JSON, or only a part of it"),
        (b"[" * 100_000, "it is no JSON, or only a part of it"),
        (b"[]", "it is no log of a completion of OpenHands"),
        (b'{"response": "text"}', "it is no log of a completion of OpenHands"),
        (b'{"timestamp": 1748000000}', "it is no log of a completion of OpenHands"),
    ],
    ids=["cut", "empty", "not UTF-8", "too deep", "a list", "no response", "nothing"],
)
def test_a_file_that_is_none_is_told(
    tmp_path: Path, settings: Snapshot, content: bytes, why: str
) -> None:
    """The others are read, and this one is read once it is whole."""
    write(tmp_path / "log", NAME_SDK, OF_SDK)
    write(tmp_path / "log", NAME_0_41, content)
    told = import_from(settings, "log")
    counts = "From log: read in 1, there already 0, not readable 1"
    assert told == f"{counts}: the first is {NAME_0_41}: {why}."
    write(tmp_path / "log", NAME_0_41, OF_0_41)
    assert import_from(settings, "log") == "From log: read in 1, there already 1."


def test_other_json_is_not_taken(tmp_path: Path, settings: Snapshot) -> None:
    """A response of something else, under another name."""
    write(tmp_path / "log", "package.json", {"response": {}, "cost": 3})
    assert "read in 0, there already 0, not readable 1" in import_from(settings, "log")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_neither_a_pipe_nor_a_link_elsewhere_stops_it(tmp_path: Path, settings: Snapshot) -> None:
    """A pipe nobody writes to is not waited for, and a link to a folder above is not followed."""
    folder = tmp_path / "log"
    write(folder, NAME_SDK, OF_SDK)
    os.mkfifo(folder / NAME_0_41)
    (folder / "above").symlink_to(folder)
    assert "read in 1, there already 0, not readable 1" in import_from(settings, "log")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_a_file_of_another_person_is_not_read(tmp_path: Path, settings: Snapshot) -> None:
    os.chown(write(tmp_path / "log", NAME_SDK, OF_SDK), 4321, 4321)
    assert "it belongs to the user 4321" in import_from(settings, "log")


def test_the_folder_of_the_settings_is_taken(
    tmp_path: Path, settings: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"name it, or set log_completions_folder \(now not set"):
        import_from(settings, None)
    monkeypatch.setenv("LLM_LOG_COMPLETIONS_FOLDER", str(tmp_path / "log"))
    with pytest.raises(UsageError, match="log is no folder"):
        import_from(load_settings(), None)
    write(tmp_path / "log", NAME_SDK, OF_SDK)
    assert "read in 1" in import_from(load_settings(), None)


def test_without_a_ledger_it_says_so(tmp_path: Path) -> None:
    """It names the setting."""
    write(tmp_path / "log", NAME_SDK, OF_SDK)
    with pytest.raises(SettingError, match="nothing is kept"):
        import_from(load_settings(env={"LLM_MAGIC_LEDGER": "off"}), "log")


def test_many_files_come_in_at_once(tmp_path: Path, settings: Snapshot) -> None:
    """A second import reads none of them."""
    for number in range(500):
        write(tmp_path / "log", f"m-1748000000.{number:03}-{number:04x}.json", OF_SDK)
    assert import_from(settings, "log") == "From log: read in 500, there already 0."
    for path in (tmp_path / "log").iterdir():
        path.write_bytes(b"not to be read")
    assert import_from(settings, "log") == "From log: read in 0, there already 500."


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(seed=st.integers(0, 10**6), value=VALUES)
def test_no_value_breaks_an_import(seed: int, value: Any, tmp_path_factory: Any) -> None:
    """Whatever stands in a field, the file is a row or is told, and the rows can be written."""
    chosen = random.Random(seed)  # noqa: S311 - a test's data
    told = json.loads(json.dumps(chosen.choice([OF_0_41, OF_SDK, FAILED])))
    places: list[tuple[Any, Any]] = []

    def note(inside: Any) -> None:
        if isinstance(inside, dict):
            for name, each in inside.items():
                places.append((inside, name))
                note(each)

    note(told)
    inside, name = chosen.choice(places)
    inside[name] = value
    folder = tmp_path_factory.mktemp("log")
    write(folder, NAME_SDK, told)
    settings = load_settings(env={"LLM_MAGIC_LEDGER": str(folder / "ledger.sqlite3")})
    try:
        assert import_from(settings, str(folder)).startswith("From ")
    finally:
        close_all()
