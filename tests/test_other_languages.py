"""Pages in other languages: each has the structure and the code of the English one."""

# ruff: noqa: RUF001 - Japanese has punctuation and digits of its own

import hashlib
import re
import runpy
import unicodedata
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from openhands_llm_magic.config.languages import LANGUAGES

ROOT = Path(__file__).parents[1]
ENGLISH = ROOT / "notebooks"
NOTEBOOKS = sorted([*ENGLISH.glob("??/*.ipynb"), *ENGLISH.glob("??/*/*.ipynb")])
EVERY_NOTEBOOK = sorted(ENGLISH.rglob("*.ipynb"))
READMES = sorted(ROOT.glob("README.??.md"))
DOCS = sorted(ROOT.glob("docs/??/*.md"))
EVERY_PAGE = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

OTHERS = {*LANGUAGES} - {"en"}

WRITTEN = runpy.run_path(str(ROOT / "docs" / "generate.py"))["TRANSLATED"]
"""The pages that come from the code in each language."""

LINK = re.compile(r"\]\(([^)\s]+)\)")
SOURCE = re.compile(r'src(?:set)?="([^"]+)"')
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(.+?)\1")
MARKDOWN = MarkdownIt().enable("table")
JAPANESE = r"[\u3041-\u30ff\u4e00-\u9fff]"


def _markdown(path: Path) -> str:
    """Return the text of a page, or of a notebook's cells that are text."""
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = nbformat.read(path, 4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def _code(source: str) -> str:
    """Return what a cell of code runs; the prompt of a `%%llm` cell may be in any language."""
    return source.partition("\n")[0] if source.startswith("%%llm") else source


def _outline(text: str) -> list[str]:
    """Return the headings by level, items, rows of tables and bounds of code, in order."""
    parts = re.findall(r"^(#+ |- |```|\|)", text, re.MULTILINE)
    return [part.strip() for part in parts]


def _name(path: Path) -> str:
    """Return a file's path in the repository, such as "docs/ja/mcp.md"."""
    return path.relative_to(ROOT).as_posix()


def _english(path: Path) -> Path:
    """Return the English page of one in any language, which may be that itself."""
    parts = path.relative_to(ROOT).parts
    *folders, name = (part for part in parts if part not in OTHERS)
    language = "|".join(OTHERS)
    return ROOT.joinpath(*folders, re.sub(rf"[.-]({language})(?=-dark\.|\.)", "", name))


def _links(path: Path, text: str) -> dict[str, tuple[Path, str]]:
    """Return the files that a text links to, each with the anchor, by what is written there."""
    found = {}
    for written in LINK.findall(FENCED.sub("", text)) + SOURCE.findall(text):
        if "://" not in written:
            file, _, anchor = written.partition("#")
            found[written] = ((path.parent / file).resolve() if file else path, anchor)
    return found


def _anchors(markdown: str) -> set[str]:
    """Return the anchors that GitHub gives to headings.

    It leaves out all but letters, digits, `-`, `_` and blanks, full-width punctuation and blanks as
    well, and makes a `-` of each blank; a heading that is there already gets a number.
    """
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", markdown), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        kept = (
            each
            for each in plain.strip().lower()
            if each in " -_" or each.isalpha() or each.isdecimal()
        )
        found.append("".join(kept).replace(" ", "-"))
    again = {f"{each}-{number}" for each in found for number in range(1, found.count(each))}
    return {*found, *again}


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,]\d+)*", text))


def _digest(english: Path) -> str:
    return hashlib.sha256(english.read_bytes()).hexdigest()[:12]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_name)
def test_a_notebook_has_the_cells_of_the_english_one(path: Path) -> None:
    ours = nbformat.read(path, 4).cells
    english = nbformat.read(_english(path), 4).cells
    assert [cell.cell_type for cell in ours] == [cell.cell_type for cell in english]
    for one, other in zip(ours, english, strict=True):
        if one.cell_type == "code":
            assert _code(one.source) == _code(other.source)
            assert one.metadata.get("tags") == other.metadata.get("tags")
        else:
            assert _outline(one.source) == _outline(other.source)
            assert one.source != other.source


@pytest.mark.parametrize("path", [*READMES, *DOCS], ids=_name)
def test_a_page_has_the_structure_of_the_english_one(path: Path) -> None:
    """It has the same headings, items, tables, code, pictures and links, and links to that one."""
    english = _english(path)
    texts = path.read_text("utf-8"), english.read_text("utf-8")
    ours, others = (
        {_english(file) for file, _ in _links(page, text).values()}
        for page, text in zip((path, english), texts, strict=True)
    )
    assert _outline(texts[0]) == _outline(texts[1])
    assert ours == others | {english}


@pytest.mark.parametrize("path", DOCS, ids=_name)
def test_a_page_of_the_docs_has_the_code_and_the_numbers_of_the_english_one(path: Path) -> None:
    """So a name or a number that has changed there is not left behind here."""
    ours, english = (each.read_text("utf-8") for each in (path, _english(path)))
    assert FENCED.findall(ours) == FENCED.findall(english)
    ours, english = FENCED.sub("", ours), FENCED.sub("", english)
    assert {code for _, code in CODE.findall(ours)} == {code for _, code in CODE.findall(english)}
    assert _numbers(english) - _numbers(ours) == set()
    assert f"]({path.parent.name}/{path.name})" in english


@pytest.mark.translations
@pytest.mark.parametrize("path", [path for path in DOCS if path.name not in WRITTEN], ids=_name)
def test_a_page_that_a_person_wrote_is_of_the_english_one_of_today(path: Path) -> None:
    """Its last line says which that was; see what has changed there since, then write it anew."""
    last = path.read_text("utf-8").splitlines()[-1]
    assert last == f"<!-- {_name(_english(path))} {_digest(_english(path))} -->"


@pytest.mark.parametrize("path", [*READMES, *DOCS, *NOTEBOOKS], ids=_name)
def test_japanese_is_shown_as_it_is_meant(path: Path) -> None:
    """A line break within a sentence would be a blank, `**` beside a full stop may stay as it is.

    Between Japanese and Latin letters there is a blank.
    """
    shown = [_shown(token) for token in MARKDOWN.parse(_markdown(path)) if token.children]
    assert [each for each in shown if re.search(rf"{JAPANESE}\n|\*\*", each)] == []
    touching = rf"{JAPANESE}[A-Za-z0-9]|[A-Za-z0-9]{JAPANESE}"
    assert [each for each in shown if re.search(touching, each)] == []


def _shown(paragraph: Token) -> str:
    """Return the words of a paragraph, with a word in place of code."""
    breaks = {"softbreak": "\n", "code_inline": "code"}
    return "".join(breaks.get(each.type, each.content) for each in paragraph.children or ())


@pytest.mark.parametrize("path", [*READMES, *DOCS, *NOTEBOOKS], ids=_name)
def test_what_is_copied_from_a_japanese_page_works(path: Path) -> None:
    """No blank is one that a shell and Python do not know, and no code has full-width signs.

    The comments of a block of code are Japanese, too.
    """
    text = _markdown(path)
    assert unicodedata.is_normalized("NFC", text)
    assert not re.search("[\u3000\u00a0\u200b\ufeff]", text)
    code = [code for _, code in CODE.findall(FENCED.sub("", text))]
    code += [re.sub("#.*", "", block) for block in FENCED.findall(text)]
    assert [
        each for each in code if re.search("[\uff01-\uff5e\u201c\u201d\u2018\u2019]", each)
    ] == []


@pytest.mark.parametrize("path", [*EVERY_PAGE, *EVERY_NOTEBOOK], ids=_name)
def test_what_a_page_links_to_is_there(path: Path) -> None:
    links = _links(path, _markdown(path))
    assert [written for written, (file, _) in links.items() if not file.exists()] == []
    assert [written for written, link in links.items() if not _has_anchor(*link)] == []


def _has_anchor(file: Path, anchor: str) -> bool:
    return not anchor or anchor in _anchors(_markdown(file))


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Files of other people", "files-of-other-people"),
        ("The columns of `attempts`", "the-columns-of-attempts"),
        ("`attempts` の列", "attempts-の列"),
        ("ほかの人が書いたファイル", "ほかの人が書いたファイル"),
        ("誰に、何ができるか（要約）？", "誰に何ができるか要約"),
        ("サーバーの起動・終了：２ 通り", "サーバーの起動終了２-通り"),
        ("402: 残高を増やすか、トークンを減らす", "402-残高を増やすかトークンを減らす"),
        ("① a & b", "-a--b"),
        ("[言語](ja/x.md) の名前_", "言語-の名前_"),
    ],
)
def test_the_anchor_of_a_heading(heading: str, anchor: str) -> None:
    assert _anchors(f"# Title\n\n## {heading}\n") == {"title", anchor}


def test_the_second_heading_of_a_name_has_a_number_in_its_anchor() -> None:
    text = "# 設定\n\n```\n# 設定\n```\n\n## 設定\n\n## 設定\n"
    assert _anchors(text) == {"設定", "設定-1", "設定-2"}


@pytest.mark.parametrize("path", [ROOT / "README.md", *READMES], ids=_name)
def test_a_readme_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 120, "people read no longer page"


@pytest.mark.parametrize("path", [*READMES, *DOCS, *NOTEBOOKS], ids=_name)
def test_a_link_leads_to_a_page_of_the_same_language_where_there_is_one(path: Path) -> None:
    (language,) = OTHERS & {*path.parts, *path.name.split(".")}
    for written, (file, _) in _links(path, _markdown(path)).items():
        if file not in (path, _english(path)) and language not in file.parts:
            folder, *rest = file.relative_to(ROOT).parts
            assert not ROOT.joinpath(folder, language, *rest).exists(), written
