"""docs/page.md, the table of OpenHands' page: what it names exists, and is as it says."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from openhands_llm_magic.cli import main
from openhands_llm_magic.config.providers import PROVIDERS
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.openhands.sent import VERSIONS
from openhands_llm_magic.notebook import completion

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

ROWS: list[dict[str, Any]] = [
    row
    for section in tomllib.loads((DOCS / "page.toml").read_text("utf-8"))["section"]
    for row in section["row"]
]

KEYS = {"about", "here", "setting", "page_default", "providers", "lines", "docs", "notebooks"}

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row["about"])

# Of the page: what it asks to be set, with the defaults that it names, and its guides, in order.
VARIABLES = {
    "LLM_API_VERSION": None,
    "LLM_EMBEDDING_MODEL": None,
    "LLM_EMBEDDING_DEPLOYMENT_NAME": None,
    "LLM_DROP_PARAMS": None,
    "LLM_DISABLE_VISION": None,
    "LLM_CACHING_PROMPT": None,
    "LLM_NUM_RETRIES": 4,
    "LLM_RETRY_MIN_WAIT": 5,
    "LLM_RETRY_MAX_WAIT": 30,
    "LLM_RETRY_MULTIPLIER": 2,
}
GUIDES = ["Azure", "Google", "Groq", "Local", "LiteLLM Proxy", "OpenAI", "OpenRouter"]


def test_nothing_of_the_page_is_missing() -> None:
    """Each variable with its default, and each guide, has a row."""
    of_variables = {
        row["about"].strip("`"): row.get("page_default")
        for row in ROWS
        if row["about"].startswith("`LLM_")
    }
    assert of_variables == VARIABLES
    guides = [row["about"] for row in ROWS if "providers" in row]
    assert [about.startswith(guide) for about, guide in zip(guides, GUIDES, strict=True)] == [
        True
    ] * len(GUIDES)


@each_row
def test_a_row_says_what_there_is(row: dict[str, Any]) -> None:
    """And a test shows it."""
    assert row.keys() <= KEYS | {"tests"}
    assert row["tests"]
    assert row.get("here") or row.get("providers")
    for name in row.get("providers", ()):
        assert name in PROVIDERS


@each_row
def test_a_setting_is_as_the_page_has_it(row: dict[str, Any]) -> None:
    """Its variable and its default, which are those of OpenHands 0.41, too."""
    if "setting" in row:
        setting = SETTINGS[row["setting"]]
        if row["about"].startswith("`"):
            assert row["about"] == f"`{setting.variable}`"
        if "page_default" in row:
            in_0_41 = VERSIONS["openhands"].defaults[setting.name]
            assert row["page_default"] == setting.default == in_0_41
    else:
        assert "page_default" not in row


@each_row
def test_its_tests_exist(row: dict[str, Any]) -> None:
    for named in row["tests"]:
        file, _, test = named.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not test or test in names, named


@each_row
def test_its_lines_can_be_typed(row: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The magic or command is there, and so is each option."""
    for line in row.get("lines", ()):
        options = re.findall(r"(?<=\s)--?[a-z][a-z-]*", line)
        magic = re.match(r"%(llm\w*)", line)
        if magic:
            known = set(completion.LINES[magic[1]]().flags)
        else:
            _, command, *_ = line.split()
            with pytest.raises(SystemExit) as caught:
                main([command, "--help"])
            assert caught.value.code == 0
            known = set(re.findall(r"--?[a-z][a-z-]*", capsys.readouterr().out))
        assert set(options) <= known, line


def headings_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and JupyterLab make them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name
)
def test_links_of_the_pages_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading in it, if one is named."""
    text = re.sub(r"(`+)[^`].*?\1", "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        assert not anchor or anchor in headings_of(file), target
