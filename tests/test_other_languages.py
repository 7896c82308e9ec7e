"""Pages in other languages: each has the structure and the code of the English one."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
ENGLISH = ROOT / "notebooks"
NOTEBOOKS = sorted([*ENGLISH.glob("??/*.ipynb"), *ENGLISH.glob("??/*/*.ipynb")])
EVERY_NOTEBOOK = sorted(ENGLISH.rglob("*.ipynb"))
PAGES = sorted(ROOT.glob("README.??.md"))

LINK = re.compile(r"\]\(([^)#]+)")
SOURCE = re.compile(r'src(?:set)?="([^"]+)"')


def _code(source: str) -> str:
    """Return what a cell of code runs; the prompt of a `%%llm` cell may be in any language."""
    return source.partition("\n")[0] if source.startswith("%%llm") else source


def _outline(text: str) -> list[str]:
    """Return the headings by level, the items and the bounds of blocks of code, in order."""
    parts = re.findall(r"^(#+ |- |```)", text, re.MULTILINE)
    return [part.strip() for part in parts]


def _name(path: Path) -> str:
    """Return a notebook's path below the folder of all, such as "ja/providers/azure.ipynb"."""
    return path.relative_to(ENGLISH).as_posix()


def _without_notebooks(links: list[str]) -> set[str]:
    """Return links to other pages; a notebook may be there in one language or in both."""
    return {link for link in links if not link.endswith(".ipynb")}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_name)
def test_a_notebook_has_the_cells_of_the_english_one(path: Path) -> None:
    ours = nbformat.read(path, 4).cells
    _, _, name = _name(path).partition("/")
    english = nbformat.read(ENGLISH / name, 4).cells
    assert [cell.cell_type for cell in ours] == [cell.cell_type for cell in english]
    for one, other in zip(ours, english, strict=True):
        if one.cell_type == "code":
            assert _code(one.source) == _code(other.source)
            assert one.metadata.get("tags") == other.metadata.get("tags")
        else:
            assert _outline(one.source) == _outline(other.source)
            assert one.source != other.source


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_has_the_structure_of_the_english_one(path: Path) -> None:
    """It has the same headings, items, blocks of code, pictures and links."""
    ours, english = path.read_text("utf-8"), (ROOT / "README.md").read_text("utf-8")
    english = english.partition("\n## 日本語\n")[0]  # it says where the other page is
    assert _outline(ours) == _outline(english)
    assert SOURCE.findall(ours) == SOURCE.findall(english)
    there = {"README.md", path.name}
    assert (
        _without_notebooks(LINK.findall(ours)) ^ _without_notebooks(LINK.findall(english)) <= there
    )


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_what_a_page_links_to_is_there(path: Path) -> None:
    text = path.read_text("utf-8")
    links = [each for each in LINK.findall(text) + SOURCE.findall(text) if "://" not in each]
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert len(text.splitlines()) < 120, "people read no longer page"


@pytest.mark.parametrize("path", EVERY_NOTEBOOK, ids=_name)
def test_what_a_notebook_links_to_is_there(path: Path) -> None:
    cells = nbformat.read(path, 4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    links = [each for each in LINK.findall(text) if "://" not in each]
    assert [link for link in links if not (path.parent / link).exists()] == []
